"""Coarser sets made of mips that come with a picture."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest
from PIL import Image

import gscodec
from gscodec.encoding.settings import EncodeSettings
from gscodec.encoding.source_mips import load_mips, mip_samples
from gscodec.encoding.sources import load_samples
from gscodec.errors import FileAccessError, InvalidArgument
from gscodec.image.arrays import from_array
from gscodec.image.levels import to_values
from gscodec.image.reduced import reduced_samples
from gscodec.image.stack import ImageStack
from gscodec.model.gaussians import Float32Array
from gscodec.model.limits import DEFAULT_LIMITS

QUICK: Final[dict[str, Any]] = {"preset": "fast", "steps": 25, "threads": 1}
SIDE: Final = 256

Pixels = npt.NDArray[np.uint8]


def soft(height: int = SIDE, width: int = SIDE) -> Pixels:
    """(height, width, 3) soft shapes."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [np.sin(x / 57 + k) * np.cos(y / 71 - k) for k in range(3)]
    return np.asarray(np.clip(120 + 60 * np.stack(waves, axis=2), 0, 255), np.uint8)


def means(pixels: Pixels, level: int) -> Pixels:
    side = 1 << level
    height, width, channels = pixels.shape
    parts = pixels.reshape(height // side, side, width // side, side, channels)
    return np.asarray(parts.mean(axis=(1, 3)) + 0.5, np.uint8)


def shown(data: bytes, lod: int) -> npt.NDArray[np.float64]:
    """A level of a file at the size of its set."""
    with gscodec.open(data) as image:
        side = SIDE >> (lod + 2)
        return np.asarray(image.render(lod=lod, size=(side, side)), np.float64)


def rms(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.mean((first.astype(np.float64) - second) ** 2)))


def stored(source: Any, **settings: Any) -> ImageStack:
    found = load_samples(source, EncodeSettings(**settings), DEFAULT_LIMITS, None, None)
    assert isinstance(found, ImageStack)
    return found


def test_each_set_shows_the_mip_of_its_size() -> None:
    pixels = soft()
    mips = [255 - means(pixels, level) for level in range(1, 6)]
    data = gscodec.encode(pixels, size=12_000, lods=4, mips=mips, **QUICK).data
    for lod in (1, 2, 3):
        assert rms(shown(data, lod), mips[lod + 1]) < 15, "the last of these sets has 75 bytes"
        assert rms(shown(data, lod), means(pixels, lod + 2)) > 40
    with gscodec.open(data) as image:
        assert rms(image.render(), pixels) < 8


def test_mips_that_are_averages_change_no_byte() -> None:
    pixels = soft()
    stack = from_array(pixels)
    mips = [reduced_samples(stack.samples, stack.groups, 1 << level) for level in (5, 3, 4)]
    plain, own = (gscodec.encode(pixels, size=9000, mips=given, **QUICK) for given in ((), mips))
    assert plain.data == own.data


def test_missing_levels_are_averages_of_the_next_larger_mip() -> None:
    pixels = soft()
    half = 255 - means(pixels, 1)
    data = gscodec.encode(pixels, size=12_000, lods=4, mips=[half, means(pixels, 4)], **QUICK).data
    assert rms(shown(data, 1), means(half, 2)) < 8
    assert rms(shown(data, 2), means(pixels, 4)) < 8
    assert rms(shown(data, 3), means(pixels, 5)) < 12, "of the mip above it, not of the first"
    data = gscodec.encode(pixels, size=12_000, lods=4, mips=[255 - means(pixels, 5)], **QUICK).data
    assert rms(shown(data, 2), means(pixels, 4)) < 8, "a smaller mip is of no use to it"


@pytest.mark.parametrize("size", [(53, 75), (64, 40), (27, 42)])
@pytest.mark.parametrize("side", [8, 16])
def test_areas_are_those_of_the_set(size: tuple[int, int], side: int) -> None:
    groups = from_array(np.zeros((1, 1, 3), np.uint8)).groups
    mip = np.random.default_rng(2).random((size[0] // 2, size[1] // 2, 3), np.float32)
    found = mip_samples([mip], groups, size, side)
    assert found is not None
    finer = np.repeat(np.repeat(mip, size[0], axis=0), size[1], axis=1)  # size[0] fine rows per mip row
    rows, columns = (size[0] // 2) * size[0], (size[1] // 2) * size[1]
    assert finer.shape[:2] == (rows, columns)
    steps = rows // size[0], columns // size[1]  # fine rows and columns of a pixel of the picture
    for i in range(-(-size[0] // side)):
        for j in range(-(-size[1] // side)):
            area = finer[
                i * side * steps[0] : (i + 1) * side * steps[0], j * side * steps[1] : (j + 1) * side * steps[1]
            ]
            np.testing.assert_allclose(found[i, j], area.mean(axis=(0, 1), dtype=np.float64), atol=1e-5)


def of_files(folder: Path, name: str, levels: list[Pixels]) -> tuple[ImageStack, tuple[Float32Array, ...]]:
    """What is stored of a picture, and of its mips."""
    for number, pixels in enumerate(levels):
        Image.fromarray(pixels).save(folder / f"{name}{f'.mip{number}' if number else ''}.png")
    stack = stored(folder / f"{name}.png")
    return stack, load_mips([folder / f"{name}.mip{number}.png" for number in range(1, len(levels))], stack)


def test_a_gray_map_in_an_rgb_file_has_gray_mips(tmp_path: Path) -> None:
    gray = np.repeat(soft()[:, :, :1], 3, axis=2)
    stack, mips = of_files(tmp_path, "rock_roughness", [gray, means(gray, 1), means(gray, 2)])
    assert stack.samples.shape[2] == 1
    assert [mip.shape for mip in mips] == [(128, 128, 1), (64, 64, 1)]
    np.testing.assert_allclose(mips[0][:, :, 0], means(gray, 1)[:, :, 0] / 255, atol=1e-6)


def test_mips_of_normals_are_x_and_y_of_unit_vectors(tmp_path: Path) -> None:
    y, x = np.mgrid[0:64, 0:64] / 64
    xy = np.stack([0.6 * np.sin(7 * x), 0.5 * np.cos(6 * y)], axis=2)
    vectors = np.dstack([xy, np.sqrt(1 - np.square(xy).sum(axis=2))])
    pixels = np.asarray(127.5 + 127.5 * vectors + 0.5, np.uint8)
    short = np.asarray(127.5 + 0.5 * (means(pixels, 1) - 127.5) + 0.5, np.uint8)
    stack, (mip,) = of_files(tmp_path, "rock_normal", [pixels, short])
    assert stack.samples.shape[2] == mip.shape[2] == 2
    assert np.abs(mip - means(pixels, 1)[:, :, :2] / 255).max() < 0.02


def test_an_opaque_alpha_goes_and_one_that_is_missing_comes(tmp_path: Path) -> None:
    pixels = np.dstack([soft(), np.full((SIDE, SIDE, 1), 255, np.uint8)])
    stack, (mip,) = of_files(tmp_path, "a", [pixels, means(pixels, 1)])
    assert stack.samples.shape[2] == mip.shape[2] == 3
    pixels[:40, :, 3] = 0
    stack, (mip,) = of_files(tmp_path, "b", [pixels, means(pixels, 1)[:, :, :3]])
    assert stack.samples.shape[2] == mip.shape[2] == 4
    assert (mip[:, :, 3] == 1).all()
    clear = means(pixels, 1)
    clear[:30, :, 3] = 0
    with pytest.raises(InvalidArgument, match=r"c\.mip1\.png: has an alpha, and the picture none"):
        of_files(tmp_path, "c", [pixels[:, :, :3], clear])


def test_floats_are_stored_in_the_range_of_the_picture(tmp_path: Path) -> None:
    light = (soft(64, 64) / 16.0).astype(np.float16)
    half = np.ascontiguousarray(light.min() + light.max() - light[::2, ::2])
    for name, values in {"sky.exr": light, "sky.mip1.exr": half}.items():
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"RGB": OpenEXR.Channel(values)}).write(str(tmp_path / name))
    stack = stored(tmp_path / "sky.exr")
    (mip,) = load_mips([tmp_path / "sky.mip1.exr"], stack)
    np.testing.assert_allclose(to_values(mip, stack.groups), half, rtol=2e-3, atol=1e-3)
    with pytest.raises(InvalidArgument, match="the picture has floats, its mip integers"):
        load_mips([from_array(soft(32, 32))], stack)


@pytest.mark.parametrize(
    ("mip", "text"),
    [
        (np.zeros((256, 256, 3), np.uint8), r"mips\[0\]: 256x256 px is the size of the picture"),
        (np.zeros((100, 128, 3), np.uint8), r"mips\[0\]: 128x100 px is no half, quarter ... of 256x256"),
        (np.zeros((64, 128, 3), np.uint8), "is no half"),
        (np.zeros((64, 64, 5), np.uint8), "has 5 channels, and the picture 3"),
    ],
)
def test_what_is_no_mip_is_refused(mip: Pixels, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        gscodec.encode(soft(), size=9000, mips=[mip], **QUICK)


def test_what_has_no_use_for_mips_is_refused(tmp_path: Path) -> None:
    pixels, half = soft(64, 64), soft(32, 32)
    with pytest.raises(InvalidArgument, match="the file would have none"):
        gscodec.encode(pixels, size=3000, mips=[half], lods=1, **QUICK)
    with pytest.raises(InvalidArgument, match="the file would have none"):
        gscodec.encode(pixels, size=3000, mips=[half], lods=3, halves=2, **QUICK)
    with pytest.raises(InvalidArgument, match="another mip has its size, 32x32"):
        gscodec.encode(pixels, size=3000, mips=[half, half], **QUICK)
    for name in ("rock_albedo.png", "rock_height.png"):
        Image.fromarray(pixels if "albedo" in name else pixels[:, :, 0]).save(tmp_path / name)
    with pytest.raises(InvalidArgument, match="has several maps or layers"):
        gscodec.encode(tmp_path, size=3000, mips=[half], **QUICK)
    with pytest.raises(FileAccessError, match=r"gone\.png"):
        gscodec.encode(pixels, size=3000, mips=[tmp_path / "gone.png"], **QUICK)


def test_a_mip_is_never_the_output(tmp_path: Path) -> None:
    Image.fromarray(soft(32, 32)).save(tmp_path / "half.png")
    before = (tmp_path / "half.png").read_bytes()
    with pytest.raises(InvalidArgument):
        gscodec.encode(soft(64, 64), tmp_path / "half.png", mips=[tmp_path / "half.png"], overwrite=True, **QUICK)
    assert (tmp_path / "half.png").read_bytes() == before
