"""Straight and premultiplied colour, from every kind of file to every other."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest
import tifffile
from PIL import Image

from gscodec.errors import SourceWarning
from gscodec.image.alpha import covers, in_mode, straightened
from gscodec.image.levels import to_values
from gscodec.image.load import load_image
from gscodec.image.save import save_image
from gscodec.material.restore import Restored, restore
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer

Floats = npt.NDArray[np.float32]

SIDE = 32
LIGHT = (0.5, 0.2, 0.1)
CODES = (188, 124, 89)  # of sRGB for that light


def soft_disc(largest: float = 0.8) -> Floats:
    """(SIDE, SIDE) alpha: 0 at the corners, soft towards the middle."""
    y, x = np.mgrid[:SIDE, :SIDE] - 0.5 * (SIDE - 1)
    return np.asarray(largest * np.clip(1 - np.hypot(x, y) / (0.5 * SIDE), 0, 1), np.float32)


def write_rgba_exr(path: Path, colour: Floats, alpha: Floats) -> Path:
    planes = {"R": colour[:, :, 0], "G": colour[:, :, 1], "B": colour[:, :, 2], "A": alpha}
    channels = {name: np.ascontiguousarray(plane.astype(np.float16)) for name, plane in planes.items()}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(path))
    return path


def read_rgba_exr(path: Path) -> Floats:
    channels = OpenEXR.File(str(path), separate_channels=True).channels()
    return np.stack([channels[name].pixels.astype(np.float32) for name in "RGBA"], axis=2)


def restored_of(path: Path) -> Restored:
    """The picture of a float file as a decode without loss gives it."""
    stack = load_image(path)
    return restore(stack.files[0], stack.groups, to_values(stack.samples, stack.groups), (SIDE, SIDE))


def written(restored: Restored, path: Path) -> Path:
    save_image(path, restored.samples, restored.groups, exr=restored.entry.exr)
    return path


def read_tiff(path: Path) -> tuple[Floats, tuple[int, ...]]:
    """Samples, and what ExtraSamples says."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        return page.asarray(), tuple(int(kind) for kind in page.extrasamples)  # type: ignore[union-attr]


def read_codes(path: Path) -> npt.NDArray[np.int64]:
    """8-bit codes."""
    with Image.open(path) as image:
        return np.asarray(image).astype(np.int64)


def test_premultiplied_exr_becomes_straight_png_and_the_same_exr(tmp_path: Path) -> None:
    alpha = soft_disc()
    source = write_rgba_exr(tmp_path / "in.exr", np.asarray(LIGHT, np.float32) * alpha[:, :, None], alpha)
    assert [cover.mode for cover in covers(load_image(source).groups)] == [AlphaMode.STRAIGHT]
    restored = restored_of(source)
    for suffix in (".png", ".webp", ".tga"):
        shown = read_codes(written(restored, tmp_path / f"out{suffix}"))
        assert np.abs(shown[:, :, :3] - CODES).max() <= 1
        assert np.abs(shown[:, :, 3] / 255 - alpha).max() < 4e-3
    values, extra = read_tiff(written(restored, tmp_path / "out.tif"))
    assert extra == (1,)
    np.testing.assert_allclose(values[:, :, :3], np.asarray(LIGHT) * alpha[:, :, None], atol=3e-3)
    np.testing.assert_allclose(
        read_rgba_exr(written(restored, tmp_path / "out.exr")), read_rgba_exr(source), rtol=2e-3, atol=1e-4
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_straight_png_becomes_premultiplied_light(bits: int, tmp_path: Path) -> None:
    alpha = soft_disc()
    rgba = np.dstack([np.broadcast_to(np.asarray(CODES) / 255, (SIDE, SIDE, 3)), alpha])
    dtype = np.uint8 if bits == 8 else np.uint16
    codes = np.rint(rgba * np.iinfo(dtype).max).astype(dtype)
    save_image(
        tmp_path / "out.exr", codes, (ChannelGroup("color", n_channels=4, bit_depth=bits, alpha=AlphaMode.STRAIGHT),)
    )
    got = read_rgba_exr(tmp_path / "out.exr")
    np.testing.assert_allclose(got[:, :, :3], np.asarray(LIGHT) * got[:, :, 3:], atol=3e-3)
    assert np.abs(got[:, :, 3] - alpha).max() < 4e-3


@pytest.mark.parametrize(("kind", "code"), [("unassalpha", 2), ("assocalpha", 1)])
def test_float_tiffs_keep_what_extra_samples_says(kind: str, code: int, tmp_path: Path) -> None:
    alpha = soft_disc()
    straight = np.dstack([np.broadcast_to(np.asarray(LIGHT, np.float32), (SIDE, SIDE, 3)), alpha]).astype(np.float32)
    samples = straight.copy()
    if kind == "assocalpha":
        samples[:, :, :3] *= alpha[:, :, None]
    tifffile.imwrite(tmp_path / "in.tif", samples, photometric="rgb", extrasamples=[kind])
    restored = restored_of(tmp_path / "in.tif")
    np.testing.assert_allclose(restored.samples, samples, atol=1e-4)
    values, extra = read_tiff(written(restored, tmp_path / "out.tif"))
    assert extra == (code,)
    np.testing.assert_allclose(values, samples, atol=1e-4)
    premultiplied = read_rgba_exr(written(restored, tmp_path / "out.exr"))
    np.testing.assert_allclose(premultiplied[:, :, :3], np.asarray(LIGHT) * alpha[:, :, None], atol=1e-3)
    save_image(tmp_path / "out.png", restored.samples, restored.groups, bit_depth=8)
    assert np.abs(read_codes(tmp_path / "out.png")[:, :, :3] - CODES).max() <= 1


def test_a_fourth_float_channel_that_is_no_alpha_is_data(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).random((SIDE, SIDE, 4)).astype(np.float32)
    tifffile.imwrite(tmp_path / "in.tif", samples, photometric="rgb", extrasamples=["unspecified"])
    restored = restored_of(tmp_path / "in.tif")
    assert [group.role for group in restored.groups] == [Role.COLOR, Role.DATA]
    np.testing.assert_allclose(restored.samples, samples, atol=1e-3)
    assert read_tiff(written(restored, tmp_path / "out.tif"))[1] == (0,)
    with pytest.warns(SourceWarning, match="left out: extra; write OpenEXR"):
        save_image(tmp_path / "out.png", restored.samples, restored.groups, bit_depth=8)
    assert read_codes(tmp_path / "out.png").shape[2] == 3


def test_layers_have_alphas_of_their_own(tmp_path: Path) -> None:
    alpha = soft_disc(1.0)
    colour = np.asarray(LIGHT, np.float32) * alpha[:, :, None]
    planes = {"R": colour[:, :, 0], "G": colour[:, :, 1], "B": colour[:, :, 2], "A": alpha}
    channels = {
        f"{layer}.{name}": np.ascontiguousarray(plane)
        for layer in ("diffuse", "glow")
        for name, plane in planes.items()
    }
    channels["glow.A"] = np.zeros_like(alpha)  # light that covers nothing
    channels["Z"] = alpha + 1
    OpenEXR.File({"type": OpenEXR.scanlineimage}, dict(channels)).write(str(tmp_path / "in.exr"))
    stack = load_image(tmp_path / "in.exr")
    assert [group.name for group in stack.groups] == ["diffuse", "diffuse.A", "glow", "glow.A", "Z"]
    assert [(c.group.name, c.mode) for c in covers(stack.groups)] == [
        ("diffuse", AlphaMode.STRAIGHT),
        ("glow", AlphaMode.PREMULTIPLIED),
    ]
    again = OpenEXR.File(str(written(restored_of(tmp_path / "in.exr"), tmp_path / "out.exr")), separate_channels=True)
    found = again.channels()
    for name, plane in channels.items():
        np.testing.assert_allclose(found[name].pixels, plane, atol=3e-3)


@pytest.mark.parametrize("glow", [0.02, 5.0])
def test_light_that_covers_nothing_is_not_lost(glow: float) -> None:
    alpha = soft_disc(1.0)
    colour = np.asarray(LIGHT, np.float32) * alpha[:, :, None]
    assert straightened(colour, alpha) is not None
    colour[0, 0] = glow
    assert straightened(colour, alpha) is None  # behind an alpha of 0
    alpha[0, 0] = 1e-4
    assert straightened(colour, alpha) is None  # or next to that


def test_an_alpha_that_misses_its_ends_by_rounding_means_them(tmp_path: Path) -> None:
    alpha = soft_disc(1.0)
    colour = np.asarray(LIGHT, np.float32) * alpha[:, :, None]
    alpha = np.where(alpha == 0, np.float32(-2e-4), alpha * np.float32(1.0004))
    source = write_rgba_exr(tmp_path / "in.exr", colour, alpha)
    groups = load_image(source).groups
    assert [cover.mode for cover in covers(groups)] == [AlphaMode.STRAIGHT]
    assert (groups[1].value_min, groups[1].value_max) == (0, 1)
    colour[0, 0] = 1.0
    assert covers(load_image(write_rgba_exr(source, colour, alpha)).groups)[0].mode is AlphaMode.PREMULTIPLIED
    far = load_image(write_rgba_exr(source, colour, 2 * alpha)).groups
    assert far[1].value_max > 1


def test_both_ways_give_the_same_where_there_is_cover() -> None:
    rng = np.random.default_rng(2)
    alpha = soft_disc()
    values = np.dstack([rng.random((SIDE, SIDE, 3)), alpha]).astype(np.float32)
    groups = (
        ChannelGroup("color", Role.COLOR, 3, 16, SampleType.FLOAT, Transfer.ASINH),
        ChannelGroup("A", Role.OPACITY, 1, 16, SampleType.FLOAT, Transfer.ASINH, AlphaMode.STRAIGHT, knee_log2=6),
    )
    there, marked = in_mode(values, groups, AlphaMode.PREMULTIPLIED)
    np.testing.assert_allclose(there[:, :, :3], values[:, :, :3] * alpha[:, :, None], rtol=1e-6)
    back, again = in_mode(there, marked, AlphaMode.STRAIGHT)
    assert again == groups
    seen = alpha > 0
    np.testing.assert_allclose(back[seen], values[seen], rtol=1e-5)
    assert back[~seen][:, :3].min() > 0  # what filters meet beyond an edge is the colour of the edge


def test_files_without_an_alpha_show_colour_over_black(tmp_path: Path) -> None:
    alpha = soft_disc()
    source = write_rgba_exr(tmp_path / "in.exr", np.asarray(LIGHT, np.float32) * alpha[:, :, None], alpha)
    restored = restored_of(source)
    with pytest.warns(SourceWarning, match="BMP has no alpha channel; colour is that over black"):
        save_image(tmp_path / "out.bmp", restored.samples, restored.groups)
    shown = read_codes(tmp_path / "out.bmp")
    assert shown[0, 0].max() == 0
    assert np.abs(shown[SIDE // 2, SIDE // 2] - np.asarray((169, 112, 80))).max() <= 6
    with pytest.warns(SourceWarning, match="HDR has no alpha channel; colour is that over black"):
        written(restored, tmp_path / "out.hdr")
    opaque = restored_of(
        write_rgba_exr(source, np.full((SIDE, SIDE, 3), 0.5, np.float32), np.ones((SIDE, SIDE), np.float32))
    )
    written(opaque, tmp_path / "opaque.hdr")  # loses nothing, and warns of nothing


def test_layers_that_a_file_of_one_picture_leaves_out_are_named(tmp_path: Path) -> None:
    plane = soft_disc(1.0)
    for names, shown, left in (
        (("R", "G", "B", "A", "spec.R", "spec.G", "spec.B", "Z"), 4, "spec, Z"),
        (("X", "Y", "Z"), 1, "X, Z"),
    ):
        path = tmp_path / "in.exr"
        OpenEXR.File({"type": OpenEXR.scanlineimage}, dict.fromkeys(names, plane)).write(str(path))
        with pytest.warns(SourceWarning, match=f"PNG holds one picture; left out: {left}; write OpenEXR"):
            png = written(restored_of(path), tmp_path / f"{shown}.png")
        assert load_image(png).samples.shape[2] == shown
