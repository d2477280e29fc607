"""Whatever the sources are called, the encoder writes names that the format has."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from PIL import Image

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.container.validate import Severity, validate
from gscodec.errors import InvalidArgument
from gscodec.image.arrays import from_array
from gscodec.image.load import load_image
from gscodec.material.maps import Overrides, load_source
from gscodec.model.channels import ChannelGroup

QUICK: dict[str, Any] = {"gaussians": 20, "preset": "fast", "steps": 10, "lods": 1}


def draw(path: bytes | Path, seed: int = 0) -> None:
    """A small picture, drawn where no suffix says what it is."""
    levels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(levels).save(path, "PNG")


def errors(data: bytes) -> list[str]:
    return [issue.message for issue in validate(data) if issue.severity is Severity.ERROR]


ODD = ["a\\b.png", "x\x1b[31m.png", "\u202egnp.png", "\udcff.png", "\udcfe.png", "x\u200b.png", "NUL.png", "-r.png"]
KEPT = ["a_b.png", "x_[31m.png", "_gnp.png", "_.png", "__2.png", "x_.png", "NUL.png", "-r.png"]


def test_odd_file_names(tmp_path: Path) -> None:
    for number, name in enumerate(ODD):
        draw(os.path.join(os.fsencode(tmp_path), os.fsencode(name)), number)  # noqa: PTH118 - bytes
    stack = load_source([tmp_path / name for name in ODD], overrides=Overrides(stack=True))
    assert [entry.name for entry in stack.files] == KEPT
    data = gscodec.encode(stack, **QUICK).data
    assert errors(data) == []
    with IgsReader(data) as reader:
        assert [group.source for group in reader.groups] == KEPT
        assert len({group.name for group in reader.groups}) == len(KEPT)


def test_names_of_255_bytes(tmp_path: Path) -> None:
    names = ["日" * 83 + "ab.png", "日" * 83 + "AC.png"]
    for number, name in enumerate(names):
        draw(tmp_path / name, number)
    stack = load_source([tmp_path / name for name in names], overrides=Overrides(stack=True))
    assert [entry.name for entry in stack.files] == names
    assert errors(gscodec.encode(stack, **QUICK).data) == []


def test_layers_of_openexr_with_separators_and_escapes(tmp_path: Path) -> None:
    path = tmp_path / "shot.exr"
    names = ["cam/left.R", "cam/left.G", "cam/left.B", "cam_left.Z", "..", "x\x1b[2J", "a\u202eb", "\\"]
    pixels = np.random.default_rng(0).random((12, 16), np.float32)
    channels = {name: OpenEXR.Channel(pixels * (k + 1)) for k, name in enumerate(names)}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, "view": "left\x07"}
    OpenEXR.File(header, channels).write(str(path))
    stack = load_image(path)
    data = gscodec.encode(stack, **QUICK).data
    assert errors(data) == []
    with gscodec.open(data) as image:
        assert {group.name for group in image.groups} >= {"cam_left", "cam_left.Z"}
        (entry,) = image.files
        kept = {channel["name"] for channel in entry.exr["channels"]}
        assert kept == {"cam/left.R", "cam/left.G", "cam/left.B", "cam_left.Z", "..", "x_[2J", "a_b", "\\"}
        assert entry.exr["view"] == "left_"


@pytest.mark.parametrize("name", ["a/b", "..", "", "x\\u001by", "\\u202e"])
def test_names_of_a_manifest_are_refused_at_once(tmp_path: Path, name: str) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "m.toml").write_text(f'[[map]]\nfile = "a.png"\nname = "{name}"\n')
    with pytest.raises(InvalidArgument, match="map 1: name"):
        load_source([tmp_path / "m.toml"])


def test_groups_of_an_array_are_refused_before_the_fit() -> None:
    stack = from_array(np.zeros((8, 8, 3), np.uint8), [ChannelGroup("a/b")])
    with pytest.raises(InvalidArgument, match="bare file name"):
        gscodec.encode(stack, gaussians=5, preset="fast", progress=lambda _: pytest.fail("the fit has begun"))
