"""Radiance HDR: what its header says of the numbers and of their order."""

import numpy as np
import numpy.typing as npt
import pytest

from gscodec.errors import BadImage, SourceWarning, UnsupportedImage
from gscodec.image.levels import to_values
from gscodec.image.load import load_image

PIXELS = np.random.default_rng(0).integers(64, 256, (5, 7, 4), np.uint8)
PIXELS[:, :, 3] = 130


def hdr(pixels: npt.NDArray[np.uint8], *lines: str, size: str | None = None) -> bytes:
    size = size or f"-Y {pixels.shape[0]} +X {pixels.shape[1]}"
    head = "\n".join(["#?RADIANCE", "FORMAT=32-bit_rle_rgbe", *lines])
    return f"{head}\n\n{size}\n".encode("latin-1") + pixels.tobytes()


def light(data: bytes) -> npt.NDArray[np.float32]:
    stack = load_image(data)
    return to_values(stack.samples, stack.groups)


PLAIN = light(hdr(PIXELS))


@pytest.mark.parametrize(
    ("lines", "factors"),
    [
        (["EXPOSURE=2.0", "EXPOSURE= 2.0"], [4, 4, 4]),
        (["EXPOSURE=5e-1"], [0.5, 0.5, 0.5]),
        (["COLORCORR=1 2 4", "EXPOSURE=2"], [2, 4, 8]),
    ],
)
def test_exposure_and_colour_corrections_are_undone(lines: list[str], factors: list[float]) -> None:
    np.testing.assert_allclose(light(hdr(PIXELS, *lines)) * factors, PLAIN, rtol=1e-3)


@pytest.mark.parametrize("line", ["EXPOSURE=0", "EXPOSURE=x", "COLORCORR=1 2", "EXPOSURE=1e-44", "EXPOSURE=nan"])
def test_exposures_that_mean_nothing_are_one_error(line: str) -> None:
    with pytest.raises(BadImage):
        load_image(hdr(PIXELS, line))


@pytest.mark.parametrize(
    ("axes", "stored"),
    [
        ("-Y {h} +X {w}", PIXELS),
        ("+Y {h} +X {w}", PIXELS[::-1]),
        ("-Y {h} -X {w}", PIXELS[:, ::-1]),
        ("+Y {h} -X {w}", PIXELS[::-1, ::-1]),
        ("+X {w} -Y {h}", PIXELS.swapaxes(0, 1)),
        ("+X {w} +Y {h}", PIXELS[::-1].swapaxes(0, 1)),
        ("-X {w} -Y {h}", PIXELS[:, ::-1].swapaxes(0, 1)),
        ("-X {w} +Y {h}", PIXELS[::-1, ::-1].swapaxes(0, 1)),
    ],
)
def test_any_order_of_rows_is_upright(axes: str, stored: npt.NDArray[np.uint8]) -> None:
    data = hdr(np.ascontiguousarray(stored), size=axes.format(h=5, w=7))
    np.testing.assert_array_equal(light(data), PLAIN)


def test_an_impossible_size_is_one_error() -> None:
    with pytest.raises(BadImage, match="size"):
        load_image(hdr(PIXELS, size="-Y 5 +Y 7"))


def test_runs_of_old_are_read() -> None:
    row = np.repeat(PIXELS[:1, :2], [300, 4], axis=1)
    coded = np.concatenate([PIXELS[0, :1], [[1, 1, 1, 43], [1, 1, 1, 1]], PIXELS[0, 1:2], [[1, 1, 1, 3]]]).astype(
        np.uint8
    )
    np.testing.assert_array_equal(light(hdr(coded[None], size="-Y 1 +X 304")), light(hdr(row)))
    with pytest.raises(BadImage, match="cut off"):
        load_image(hdr(coded[None], size="-Y 1 +X 305"))
    with pytest.raises(BadImage, match="cut off"):
        load_image(hdr(coded[None, 1:], size="-Y 1 +X 300"))


def test_xyz_is_named() -> None:
    with pytest.raises(UnsupportedImage, match="CIE XYZ"):
        load_image(hdr(PIXELS).replace(b"rgbe", b"xyze"))


def test_aspect_and_primaries_are_kept_and_other_lines_reported() -> None:
    primaries = "0.64 0.33 0.29 0.6 0.15 0.06 0.3333 0.3333"
    with pytest.warns(SourceWarning, match="left out: VIEW$"):
        stack = load_image(hdr(PIXELS, "PIXASPECT=2", f"PRIMARIES={primaries}", "VIEW= -vtv", "SOFTWARE=x"))
    exr = stack.files[0].exr
    assert exr["pixel_aspect"] == 0.5
    assert exr["chromaticities"] == [float(part) for part in primaries.split()]
