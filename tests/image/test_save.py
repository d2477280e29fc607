import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from icc_profiles import make_profile
from PIL import Image

from gscodec.errors import FileAccessError, InvalidArgument, OutputExists, UnsupportedImage
from gscodec.image.arrays import from_array
from gscodec.image.load import load_image
from gscodec.image.save import save_image
from gscodec.model.channels import AlphaMode, ChannelGroup, Role

Noise = Callable[..., npt.NDArray[Any]]


def colour(n_channels: int, bit_depth: int = 8) -> tuple[ChannelGroup, ...]:
    alpha = AlphaMode.STRAIGHT if n_channels in {2, 4} else AlphaMode.NONE
    return (ChannelGroup("color", n_channels=n_channels, bit_depth=bit_depth, alpha=alpha),)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp", ".ppm"])
def test_what_is_saved_loads_the_same(
    suffix: str, n_channels: int, dtype: npt.DTypeLike, noise: Noise, tmp_path: Path
) -> None:
    pixels = noise(n_channels, dtype)
    stack = from_array(pixels)
    path = tmp_path / f"picture{suffix}"
    if n_channels in {2, 4} and suffix in {".bmp", ".ppm"}:
        with pytest.raises(InvalidArgument, match="alpha"):
            save_image(path, pixels, stack.groups)
        return
    save_image(path, pixels, stack.groups)
    back = load_image(path)
    shown = back.samples
    if shown.shape[2] != n_channels:  # WebP has no gray, 16-bit TIFF none with alpha
        shown = shown[:, :, [0] if n_channels == 1 else [0, 3]]
    deep = dtype == np.uint16 and suffix in {".png", ".tif", ".ppm"}
    assert back.groups[0].bit_depth == (16 if deep else 8)
    np.testing.assert_allclose(shown, stack.samples, rtol=0, atol=0 if deep or dtype == np.uint8 else 0.5 / 255 + 1e-6)


@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_deep_tiff_agrees_with_another_reader(n_channels: int, noise: Noise, tmp_path: Path) -> None:
    pixels = np.tile(noise(n_channels, np.uint16), (60, 150, 1))  # several strips
    profile = make_profile(b"GRAY" if n_channels == 1 else b"RGB ")
    save_image(tmp_path / "a.tif", pixels, colour(n_channels, 16), profile)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages.first.dataoffsets) > 1
        np.testing.assert_array_equal(file.asarray().reshape(pixels.shape), pixels)
    assert load_image(tmp_path / "a.tif").icc == profile


def test_deep_png_compresses_and_spans_blocks(tmp_path: Path) -> None:
    y, x = np.mgrid[0:150, 0:90]
    pixels = np.stack([x * 700, y * 400, x * y * 4], axis=2).astype(np.uint16)
    save_image(tmp_path / "a.png", pixels, colour(3, 16))
    assert (tmp_path / "a.png").stat().st_size < pixels.nbytes // 4
    np.testing.assert_array_equal(load_image(tmp_path / "a.png").samples, pixels / np.float32(65535))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_icc_profile_is_embedded(kind: str, bit_depth: int, noise: Noise, tmp_path: Path) -> None:
    if bit_depth == 16 and kind in {"JPEG", "WEBP"}:
        with pytest.raises(InvalidArgument):
            save_image(tmp_path / "a", noise(3), colour(3), None, bit_depth=16, format=kind)
        return
    save_image(tmp_path / "a", noise(3), colour(3), make_profile(), bit_depth=bit_depth, format=kind)
    assert load_image(tmp_path / "a").icc == make_profile()


def test_jpeg_is_close(tmp_path: Path) -> None:
    y, x = np.mgrid[0:32, 0:48]
    pixels = np.stack([x * 5, y * 7, x + y], axis=2).astype(np.uint8)
    save_image(tmp_path / "a.JPG", pixels, colour(3))
    assert np.abs(load_image(tmp_path / "a.JPG").samples - pixels / 255).max() < 0.03


@pytest.mark.parametrize(("depth", "mode"), [(1, "1"), (2, "L"), (4, "L"), (8, "L"), (12, "I;16")])
def test_gray_of_any_depth_keeps_its_levels(depth: int, mode: str, tmp_path: Path) -> None:
    steps = 2**depth - 1
    unit = np.linspace(0, 1, 64, dtype=np.float32).reshape(4, 16, 1)
    save_image(tmp_path / "a.png", unit, colour(1, depth))
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == mode
    back = load_image(tmp_path / "a.png").samples
    np.testing.assert_allclose(back, np.floor(unit * steps + 0.5) / steps, atol=1 / 65535)


def test_floats_are_clamped_and_rounded(tmp_path: Path) -> None:
    values = np.array([[[-1.0], [0.5 / 255], [0.49 / 255], [2.0]]], np.float32)
    save_image(tmp_path / "a.png", values, colour(1))
    assert (load_image(tmp_path / "a.png").samples * 255).ravel().tolist() == [0, 1, 0, 255]


def test_asked_for_bit_depth_wins(noise: Noise, tmp_path: Path) -> None:
    pixels = noise(3)
    save_image(tmp_path / "deep.png", pixels, colour(3), bit_depth=16)
    np.testing.assert_array_equal(load_image(tmp_path / "deep.png").samples, pixels / np.float32(255))
    save_image(tmp_path / "flat.png", pixels.astype(np.uint16) * 257, colour(3, 16), bit_depth=8)
    np.testing.assert_array_equal(load_image(tmp_path / "flat.png").samples, pixels / np.float32(255))


@pytest.mark.parametrize(("name", "format_name"), [("a.xyz", None), ("a.png", "pdf"), ("a.png", "nothing"), ("a", "")])
def test_unknown_formats_are_refused(name: str, format_name: str | None, noise: Noise, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="png, tiff"):
        save_image(tmp_path / name, noise(3), colour(3), format=format_name)
    assert not list(tmp_path.iterdir())


def test_formats_by_any_name(noise: Noise, tmp_path: Path) -> None:
    for format_name, start in {
        "jpg": b"\xff\xd8",
        "TIF": b"II",
        ".WebP": b"RIFF",
        "png": b"\x89PNG",
        "gif": b"GIF",
    }.items():
        save_image(tmp_path / "a.dat", noise(3), colour(3), format=format_name, overwrite=True)
        assert (tmp_path / "a.dat").read_bytes().startswith(start)


def test_a_size_the_format_cannot_hold_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot be written as WEBP"):
        save_image(tmp_path / "a.webp", np.zeros((1, 16384, 3), np.uint8), colour(3))


def test_stacks_are_not_pictures(tmp_path: Path) -> None:
    groups = (ChannelGroup("albedo", Role.ALBEDO), ChannelGroup("normal", Role.NORMAL))
    with pytest.raises(UnsupportedImage, match="albedo, normal"):
        save_image(tmp_path / "a.png", np.zeros((2, 2, 6), np.uint8), groups)
    with pytest.raises(UnsupportedImage):
        save_image(tmp_path / "a.png", np.zeros((2, 2, 4), np.uint8), (ChannelGroup("data", Role.DATA, 4),))


def test_an_opacity_group_is_the_alpha(noise: Noise, tmp_path: Path) -> None:
    groups = (ChannelGroup("color"), ChannelGroup("opacity", Role.OPACITY, 1))
    save_image(tmp_path / "a.png", noise(4), groups)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png").samples, noise(4) / np.float32(255))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 2), np.uint8),
        np.zeros((2, 2, 3), np.int32),
        np.full((2, 2, 3), np.nan),
    ],
)
def test_arrays_that_do_not_fit_are_refused(array: npt.NDArray[Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        save_image(tmp_path / "a.png", array, colour(3))


def test_files_are_replaced_only_when_asked(noise: Noise, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(OutputExists):
        save_image(path, noise(3), colour(3))
    assert path.read_bytes() == b"old"
    save_image(path, noise(3), colour(3), overwrite=True)
    assert load_image(path).samples.shape == (13, 17, 3)
    with pytest.raises(FileAccessError):
        save_image(tmp_path / "no folder" / "a.png", noise(3), colour(3))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_a_dash_writes_stdout(monkeypatch: pytest.MonkeyPatch, noise: Noise) -> None:
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream))
    save_image("-", noise(3), colour(3))
    assert stream.getvalue().startswith(b"\x89PNG")
