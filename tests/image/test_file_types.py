"""The registry of picture file types: each reads what it writes, and a new one needs nothing but its class."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from gscodec.cli.app import app
from gscodec.errors import BadImage, InvalidArgument, SourceWarning
from gscodec.format.metadata import Metadata
from gscodec.image.file_types import registry
from gscodec.image.file_types.base import HEAD_BYTES, IntegerPicture, PictureType, SourceFile
from gscodec.image.levels import full_range, to_values
from gscodec.image.load import load_image
from gscodec.image.save import save_image
from gscodec.image.stack import ImageStack, picture_groups

WRITTEN_AND_READ = [kind for kind in registry.picture_types() if kind.restored_suffixes]
LOSSY = {"JPEG": 40}
"""Largest error of a sample, of 255."""


class Toy(PictureType):
    """8-bit RGB behind four letters and two sizes of two bytes."""

    name = "TOY"
    title = "Toy"
    starts = (b"TOY1",)
    read_suffixes = (".toy",)
    written_suffixes = (".toy",)

    def read(self, source: SourceFile) -> ImageStack:
        data = source.file.read()
        height, width = (int.from_bytes(data[at : at + 2], "little") for at in (4, 6))
        source.check(height, width, source.name, 3)
        if len(data) != 8 + 3 * height * width:
            raise BadImage(f"{source.name}: cut off")
        levels = np.frombuffer(data, np.uint8, offset=8).reshape(height, width, 3)
        return ImageStack(full_range(levels, np.float32), picture_groups(3, 8), source_name=source.name)

    def write(self, picture: IntegerPicture) -> bytes:
        height, width, n_channels = picture.samples.shape
        assert n_channels == 3
        sizes = height.to_bytes(2, "little") + width.to_bytes(2, "little")
        data: bytes = self.starts[0] + sizes + picture.samples.tobytes()
        return data


@pytest.fixture
def toy() -> Iterator[Toy]:
    kind = Toy()
    registry.register(kind)
    yield kind
    registry.unregister(kind)


def ramp(height: int = 24, width: int = 32) -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    pixels: npt.NDArray[np.uint8] = np.stack([8 * x, 10 * y, np.full_like(x, 128)], axis=2).astype(np.uint8)
    return pixels


@pytest.mark.parametrize("kind", WRITTEN_AND_READ, ids=lambda kind: kind.name)
def test_every_type_reads_what_it_writes(kind: PictureType, tmp_path: Path) -> None:
    pixels, groups = ramp(), picture_groups(3, 8)
    path = tmp_path / f"a{kind.written_suffixes[0]}"
    save_image(path, pixels, groups)
    data = path.read_bytes()
    assert registry.type_of_content(data[:HEAD_BYTES], "a") is kind
    stack = load_image(path)
    assert stack.samples.shape == pixels.shape
    if kind.has_integers:
        assert np.abs(255 * stack.samples - pixels).max() <= LOSSY.get(kind.name, 0.01)
        assert np.abs(255 * stack.samples - pixels).mean() < 3
    else:
        values = to_values(stack.samples, stack.groups)
        light = np.where(pixels <= 0.04045 * 255, pixels / 255 / 12.92, ((pixels / 255 + 0.055) / 1.055) ** 2.4)
        assert np.abs(values - light).max() < 1 / 128  # RGBE has 8 bits of the largest channel


@pytest.mark.parametrize("kind", WRITTEN_AND_READ, ids=lambda kind: kind.name)
def test_every_type_keeps_the_depth_and_the_alpha_that_it_states(kind: PictureType, tmp_path: Path) -> None:
    path = tmp_path / f"a{kind.written_suffixes[0]}"
    if not kind.has_integers:
        values = np.random.default_rng(3).random((5, 7, 1), np.float32)
        save_image(path, values, picture_groups(1, 16), bit_depth=32)
        assert load_image(path).groups[0].bit_depth in {16, 32}
        return
    alpha = np.concatenate([ramp(), ramp()[:, :, :1]], axis=2)
    if kind.has_alpha:
        save_image(path, alpha, picture_groups(4, 8))
        assert np.array_equal(np.rint(255 * load_image(path).samples), alpha)
    else:
        with pytest.raises(InvalidArgument, match=f"{kind.name} has no alpha"):
            save_image(path, alpha, picture_groups(4, 8))
    deep = ramp().astype(np.uint16) * 257 + 1
    if kind.has_16_bits:
        save_image(path, deep, picture_groups(3, 16), bit_depth=16, overwrite=True)
        assert np.array_equal(np.rint(65535 * load_image(path).samples), deep)
    else:
        with pytest.raises(InvalidArgument, match="not written at 16 bits"):
            save_image(path, deep, picture_groups(3, 16), bit_depth=16, overwrite=True)


def test_suffixes_and_first_bytes_belong_to_one_type() -> None:
    kinds = registry.picture_types()
    for field in ("read_suffixes", "written_suffixes", "starts"):
        every = [each for kind in kinds for each in getattr(kind, field)]
        assert len(every) == len(set(every)), field
    assert len({kind.name for kind in kinds}) == len(kinds)


def test_a_toy_type_is_encoded_from_and_decoded_to(toy: Toy, tmp_path: Path) -> None:
    source, encoded, decoded = tmp_path / "a.toy", tmp_path / "a.igs", tmp_path / "b.toy"
    save_image(source, ramp(), picture_groups(3, 8))
    assert source.read_bytes().startswith(toy.starts[0])
    runner = CliRunner()
    options = ["--gaussians", "150", "--steps", "60", "--device", "cpu"]
    done = runner.invoke(app, ["encode", str(source), str(encoded), *options])
    assert done.exit_code == 0, done.output
    done = runner.invoke(app, ["decode", str(encoded), str(decoded), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    got = load_image(decoded)
    assert got.samples.shape == (24, 32, 3)
    assert np.abs(255 * got.samples - ramp()).mean() < 16


def test_a_toy_type_is_known_wherever_types_are_listed(toy: Toy) -> None:
    assert ".toy" in registry.read_suffixes() & registry.restored_suffixes() & registry.known_suffixes()
    assert registry.type_to_write("a", "toy") is toy
    with pytest.raises(BadImage, match="Radiance HDR and Toy are"):
        load_image(b"neither")
    with pytest.raises(BadImage, match="cut off"):
        load_image(b"TOY1\1\0\1\0")
    with pytest.raises(InvalidArgument, match="no parts"):
        load_image(b"TOY1\1\0\1\0abc", part="1")
    with pytest.raises(InvalidArgument, match="TOY is registered already"):
        registry.register(Toy())


def test_what_a_toy_type_has_no_place_for_is_named(toy: Toy, tmp_path: Path) -> None:
    with pytest.warns(SourceWarning, match="TOY has no place for XMP, pixel density"):
        save_image(tmp_path / "a.toy", ramp(), picture_groups(3, 8), metadata=Metadata((72.0, 72.0), xmp=b"<x/>"))
    assert toy.recognises((tmp_path / "a.toy").read_bytes()[:HEAD_BYTES])


def test_an_unregistered_type_is_gone(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ".toy" not in registry.known_suffixes()
        with pytest.raises(InvalidArgument, match="not written as"):
            save_image(tmp_path / "a.toy", ramp(), picture_groups(3, 8))
