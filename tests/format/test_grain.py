"""The chunk GRAN: what is stored comes back, and what a file cannot hold is refused both ways."""

from dataclasses import replace

import numpy as np
import pytest

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import pack
from gscodec.errors import ChecksumMismatch, CorruptField, InvalidArgument
from gscodec.format.grain import pack_grain, unpack_grain
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.grain import Grain

GROUPS = (
    ChannelGroup("color", n_channels=3),
    ChannelGroup("normal", Role.NORMAL, 3),
    ChannelGroup("light", Role.EMISSIVE, 3, 32, SampleType.FLOAT),
    ChannelGroup("paint", Role.ALBEDO, 2, alpha=AlphaMode.STRAIGHT),
    ChannelGroup("pair", Role.ALBEDO, 2),
)
GRAIN = Grain(0, 4, 100, (1, 2, 3, 4, 5, 6, 7, 255))


def contents(grain: tuple[Grain, ...]) -> Contents:
    n = sum(group.n_channels for group in GROUPS)
    gaussian = GaussianSet(np.ones((1, 2)), np.ones((1, 2)), np.zeros(1), np.zeros((1, n), np.float32))
    return Contents(Grid(8, 9, np.zeros(n, np.float32)), GROUPS, LodTable.single(1), gaussian, grain=grain)


def test_grain_comes_back() -> None:
    grains = (GRAIN, replace(GRAIN, group=3, correlation=16, independence=255))
    data = pack(contents(grains))
    with IgsReader(data) as reader:
        assert reader.grain == grains
    assert validate(data) == []
    without = pack(contents(()))
    assert len(data) - len(without) == 10 + 1 + 2 * 11  # entry of the table of contents, and the chunk
    with IgsReader(without) as reader:
        assert reader.grain == ()


@pytest.mark.parametrize(
    "grains",
    [
        (replace(GRAIN, group=1),),  # a normal map
        (replace(GRAIN, group=2),),  # floats
        (replace(GRAIN, group=4),),  # two colours
        (replace(GRAIN, group=5),),  # not there
        (replace(GRAIN, group=3), GRAIN),  # not ascending
        (GRAIN, GRAIN),
        (replace(GRAIN, correlation=17),),
        (replace(GRAIN, independence=256),),
        (replace(GRAIN, strengths=(1, 2, 3)),),
        (replace(GRAIN, strengths=(0, 0, 0, 0, 0, 0, 0, 256)),),
    ],
)
def test_what_no_file_holds_is_not_written(grains: tuple[Grain, ...]) -> None:
    with pytest.raises(InvalidArgument):
        pack(contents(grains))


def test_damaged_chunks_are_refused() -> None:
    good = pack_grain([GRAIN], GROUPS, "x", InvalidArgument)
    assert unpack_grain(good, GROUPS, "x") == (GRAIN,)
    bad = [b"", b"\0", b"\2" + good[1:], good[:-1], good + b"\0", b"\1\x05" + good[2:], b"\1\0\x11" + good[3:]]
    for data in bad:
        with pytest.raises(CorruptField):
            unpack_grain(data, GROUPS, "x")
    file = pack(contents((GRAIN,)))
    at = file.index(good)
    damaged = file[:at] + b"\3" + file[at + 1 :]
    with IgsReader(damaged) as reader, pytest.raises(ChecksumMismatch):
        _ = reader.grain
    assert [issue.where for issue in validate(damaged)] == ["GRAN"]
