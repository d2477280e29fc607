import json
from typing import Any

import numpy as np
import pytest

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import pack
from gscodec.errors import CorruptField, InvalidArgument
from gscodec.format.files import FileEntry, pack_files, unpack_files
from gscodec.model.channels import ChannelGroup, Role
from gscodec.model.gaussians import GaussianSet, Grid, LodTable

GROUPS = (ChannelGroup("normal", Role.NORMAL, 2), ChannelGroup("ao", Role.AO, 1), ChannelGroup("rgb", n_channels=3))
NORMAL: dict[str, Any] = {
    "name": "n.png",
    "width": 4,
    "height": 5,
    "channels": 3,
    "groups": ["normal"],
    "unit_z": True,
}
EXR: dict[str, Any] = {
    **NORMAL,
    "channels": 1,
    "groups": ["ao", "rgb"],
    "unit_z": False,
    "exr": {"channels": [{"name": "Z", "type": "half", "place": 3}]},
}


def packed(*entries: object, **rest: object) -> bytes:
    return json.dumps({"files": list(entries), **rest}).encode()


def test_entries_come_back() -> None:
    value = ChannelGroup("mask", Role.MASK, 1)
    files = (
        FileEntry("n.png", 4, 5, 3, ("normal",), unit_z=True),
        FileEntry("m.png", 9, 9, 2, (), binary=True, constant=(1.0,), constant_group=value),
        FileEntry("a.png", 4, 5, 4, ("ao",), icc=True),
        FileEntry("xy.png", 4, 5, 4, ("normal",), fill=0.25, icc=False),
    )
    assert unpack_files(pack_files(files, "x", InvalidArgument), GROUPS, "x") == files
    assert len(unpack_files(packed(NORMAL, later="more"), GROUPS, "x")) == 1
    (entry,) = unpack_files(packed({**EXR, "exr": {**EXR["exr"], "data_window": [0, 0, 3, 4], "new": 1}}), GROUPS, "x")
    assert entry.exr["data_window"] == [0, 0, 3, 4]
    assert "new" not in entry.exr
    layer = {"name": "cam/left.Z", "type": "half", "place": 0}
    (entry,) = unpack_files(packed({**EXR, "exr": {"channels": [layer], "part": "a/b"}}), GROUPS, "x")
    assert entry.exr["channels"] == [layer]


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "../n.png"},
        {"name": "a\u0007"},
        {"name": "a\u202eb"},
        {"name": "\ufeffa"},
        {"name": "a\\b"},
        {"name": ".."},
        {"name": 3},
        {"width": 0},
        {"width": True},
        {"height": 2**21},
        {"channels": 2},
        {"channels": 65},
        {"groups": ["other"]},
        {"groups": [7]},
        {"groups": []},
        {"groups": ["normal", "ao"]},
        {"groups": ["rgb"]},
        {"unit_z": "yes"},
        {"unit_z": False},
        {"constant": {"values": [1]}},
        {"fill": 0.5},
        {"unit_z": False, "fill": 1.5},
        {"unit_z": False, "fill": True},
        {"unit_z": False, "fill": "0"},
        {"unit_z": False, "fill": 0, "groups": ["rgb"]},
        {"unit_z": False, "fill": 0, "channels": 2},
        {"icc": "yes"},
    ],
)
def test_impossible_pictures_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptField):
        unpack_files(packed({**NORMAL, **change}), GROUPS, "x")


@pytest.mark.parametrize(
    "change",
    [
        {"channels": []},
        {"channels": [{"name": "Z", "type": "half", "place": 4}]},
        {"channels": [{"name": "Z", "type": "uint", "place": 0}]},
        {"channels": [{"name": "", "type": "half", "place": 0}]},
        {"channels": [EXR["exr"]["channels"][0]] * 2},
        {"data_window": [0, 0, 3]},
        {"data_window": [0, 0, -1, 3]},
        {"display_window": [0, 0, 2.5, 3]},
        {"chromaticities": [1, 2]},
        {"pixel_aspect": 0},
        {"view": "\n"},
        {"part": "a\u2066b"},
        {"channels": [{"name": "Z\u200b", "type": "half", "place": 0}]},
    ],
)
def test_impossible_layers_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptField):
        unpack_files(packed({**EXR, "exr": {**EXR["exr"], **change}}), GROUPS, "x")


@pytest.mark.parametrize(
    "change",
    [{"values": []}, {"values": ["1"]}, {"values": [1e40]}, {"role": "x"}, {"bit_depth": 40}, {"name": ""}],
)
def test_impossible_constants_are_refused(change: dict[str, Any]) -> None:
    good = {
        "values": [0.5],
        "name": "ao",
        "role": "ao",
        "bit_depth": 8,
        "sample_type": "uint",
        "transfer": "linear",
        "alpha": "none",
        "normal": "none",
        "value_min": 0,
        "value_max": 1,
        "knee_log2": 0,
    }
    base = {"name": "c.png", "width": 1, "height": 1, "channels": 1}
    assert unpack_files(packed({**base, "constant": good}), GROUPS, "x")[0].constant == (0.5,)
    with pytest.raises(CorruptField):
        unpack_files(packed({**base, "constant": {**good, **change}}), GROUPS, "x")


@pytest.mark.parametrize("data", [b"[]", b"{}", packed(), packed(NORMAL, {**NORMAL, "name": "N.PNG"}), packed(1)])
def test_other_json_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptField):
        unpack_files(data, GROUPS, "x")


def test_the_validator_looks_into_the_chunk() -> None:
    gaussians = GaussianSet(np.ones((1, 2)), np.ones((1, 2)), np.zeros(1), np.ones((1, 6), np.float32))
    grid = Grid(8, 8, np.zeros(6, np.float32))
    contents = Contents(grid, GROUPS, LodTable.single(1), gaussians, files=(FileEntry("n.png", 4, 5, 1, ("ao",)),))
    assert validate(pack(contents)) == []
    with IgsReader(pack(contents)) as reader:
        assert reader.files == contents.files
    wrong = Contents(grid, GROUPS, LodTable.single(1), gaussians, files=(FileEntry("n.png", 4, 5, 1, ("gone",)),))
    assert [(issue.where, "'gone'" in issue.message) for issue in validate(pack(wrong))] == [("FILE", True)]
    with pytest.raises(InvalidArgument, match="'a/b'"):
        pack(Contents(grid, GROUPS, LodTable.single(1), gaussians, files=(FileEntry("a/b", 1, 1, 1, ("ao",)),)))
