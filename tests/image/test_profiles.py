"""ICC profiles: kept where they are sound and of the picture's colour model, left out with a warning where not."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from icc_profiles import ink_profile, make_profile
from PIL import Image, ImageCms

from gscodec.errors import SourceWarning
from gscodec.image.arrays import from_array
from gscodec.image.load import load_image
from gscodec.image.profiles import colour_model, is_srgb
from gscodec.image.save import save_image
from gscodec.image.stack import cmyk_groups
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, Transfer

Saved = Callable[..., bytes]
GRAY, RGB, CMYK = make_profile(b"GRAY"), make_profile(b"RGB "), make_profile(b"CMYK")
PICTURES = {
    mode: Image.new(mode, (6, 5), 100 if mode == "L" else (100,) * len(mode)) for mode in ("L", "RGB", "RGBA", "CMYK")
}


def info(path: Path) -> dict[Any, Any]:
    with Image.open(path) as image:
        return image.info


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def tags_of(icc: bytes) -> dict[bytes, bytes]:
    """The tags of a profile."""
    (count,) = struct.unpack_from(">I", icc, 128)
    entries = [struct.unpack_from(">4sII", icc, 132 + 12 * number) for number in range(count)]
    return {name: icc[at : at + size] for name, at, size in entries}


def curve(values: npt.NDArray[np.float64]) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + np.round(values * 65535).astype(">u2").tobytes()


def with_curves(values: npt.NDArray[np.float64]) -> dict[bytes, bytes]:
    return tags_of(SRGB) | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(values))


X = np.linspace(0, 1, 512)
SRGB_CURVE = np.where(X <= 0.04045, X / 12.92, ((X + 0.055) / 1.055) ** 2.4)
P3 = {
    name: b"XYZ " + bytes(4) + struct.pack(">3i", *(round(part * 65536) for part in colorant))
    for name, colorant in {
        b"rXYZ": (0.5151, 0.2412, -0.0011),
        b"gXYZ": (0.2920, 0.6922, 0.0419),
        b"bXYZ": (0.1571, 0.0666, 0.7841),
    }.items()
}
CALLED_SRGB = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"sRGB\0" + bytes(78)}


@pytest.mark.parametrize(
    ("icc", "expected"),
    [
        (SRGB, True),
        (make_profile(tags=with_curves(SRGB_CURVE)), True),
        (make_profile(b"GRAY", {b"wtpt": tags_of(SRGB)[b"wtpt"], b"kTRC": curve(SRGB_CURVE)}), True),
        (make_profile(tags=with_curves(X**2.2)), False),
        (make_profile(tags=tags_of(SRGB) | P3), False),
        (make_profile(tags=tags_of(SRGB) | P3 | CALLED_SRGB), False),
        (make_profile(tags=CALLED_SRGB), False),
        (b"sRGB", False),
        (ink_profile(), False),
    ],
)
def test_colours_and_not_names_make_a_profile_srgb(icc: bytes, expected: bool) -> None:
    assert is_srgb(icc) is expected


def test_the_model_of_a_profile() -> None:
    assert colour_model(SRGB) == "RGB "
    assert colour_model(GRAY) == "GRAY"
    whole = ink_profile()
    assert colour_model(whole) == "CMYK"
    for cut in range(0, len(whole), 7):
        assert colour_model(whole[:cut]) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("mode", "icc"), [("L", RGB), ("RGB", GRAY), ("RGB", CMYK), ("RGB", RGB[:100]), ("RGB", b"x" * 300)]
)
def test_profiles_of_other_models_and_damaged_ones_are_left_out(kind: str, mode: str, icc: bytes, saved: Saved) -> None:
    if kind == "WEBP" and mode == "L":
        mode, icc = "RGB", GRAY  # it has no gray
    with pytest.warns(SourceWarning, match=r"its ICC profile .*left out"):
        assert load_image(saved(PICTURES[mode], kind, icc_profile=icc)).icc is None


@pytest.mark.parametrize(("mode", "icc"), [("L", GRAY), ("RGB", RGB), ("RGBA", RGB), ("CMYK", CMYK)])
def test_profiles_of_the_picture_s_model_stay(mode: str, icc: bytes, saved: Saved) -> None:
    assert load_image(saved(PICTURES[mode], "TIFF", icc_profile=icc)).icc == icc


@pytest.mark.parametrize(("name", "depth"), [("a.webp", None), ("a.tif", 16)])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_gray_profile_is_not_put_into_rgb(name: str, depth: int | None, n_channels: int, tmp_path: Path) -> None:
    alpha = AlphaMode.STRAIGHT if n_channels == 2 else AlphaMode.NONE
    groups = [ChannelGroup("color", Role.COLOR, n_channels, 8, alpha=alpha)]
    gray = np.full((5, 6, n_channels), 90, np.uint8)
    if name == "a.tif" and n_channels == 1:
        save_image(tmp_path / name, gray, groups, GRAY, bit_depth=depth)
        assert info(tmp_path / name)["icc_profile"] == GRAY
        return
    with pytest.warns(SourceWarning, match="is for gray, the picture is RGB"):
        save_image(tmp_path / name, gray, groups, GRAY, bit_depth=depth)
    assert not info(tmp_path / name).get("icc_profile")


def test_an_rgb_profile_is_not_put_into_gray(tmp_path: Path) -> None:
    stack = from_array(np.zeros((3, 4), np.uint8))
    with pytest.warns(SourceWarning, match="is for RGB, the picture is gray"):
        save_image(tmp_path / "a.png", stack.samples, stack.groups, RGB)
    assert "icc_profile" not in info(tmp_path / "a.png")


def test_a_file_type_without_profiles_says_so(tmp_path: Path) -> None:
    stack = from_array(np.zeros((3, 4, 3), np.uint8))
    for name in ("a.bmp", "a.exr", "a.ppm"):
        with pytest.warns(SourceWarning, match="no place for the ICC profile"):
            save_image(tmp_path / name, stack.samples, stack.groups, RGB)
    save_image(tmp_path / "b.bmp", stack.samples, stack.groups, SRGB)  # nothing is lost


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_become_rgb_through_their_profile(kind: str, saved: Saved, tmp_path: Path) -> None:
    data = saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), kind, icc_profile=ink_profile())
    stack = load_image(data)
    save_image(tmp_path / "a.png", stack.samples, stack.groups, stack.icc)
    red, green, blue = pixels(tmp_path / "a.png")[4, 4].tolist()
    assert red > 200
    assert max(green, blue) < 60
    assert "icc_profile" not in info(tmp_path / "a.png")


def test_a_profile_that_its_library_refuses_is_reported(tmp_path: Path) -> None:
    inks = np.full((4, 4, 4), 255, np.uint8)
    inks[:, :, 1:] = 0
    with pytest.warns(SourceWarning, match="inks become RGB without it"):
        save_image(tmp_path / "a.png", inks, cmyk_groups(8), CMYK)
    assert pixels(tmp_path / "a.png")[0, 0].tolist() == [0, 255, 255]


def test_inks_of_jpeg_are_not_upside_down(saved: Saved) -> None:
    got = load_image(saved(Image.new("CMYK", (8, 8), (200, 40, 90, 10)), "JPEG", quality=98)).samples
    np.testing.assert_allclose(got[4, 4], np.array([200, 40, 90, 10]) / 255, atol=0.02)


def test_data_has_no_profile(tmp_path: Path) -> None:
    import tifffile

    data: npt.NDArray[Any] = np.zeros((4, 5, 6), np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, photometric="minisblack", planarconfig="contig", metadata=None, iccprofile=RGB)
    with pytest.warns(SourceWarning, match="the picture is data"):
        stack = load_image(path)
    assert stack.icc is None
    assert stack.groups[0].transfer is Transfer.LINEAR
