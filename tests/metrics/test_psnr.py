import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from gscodec.errors import InvalidArgument
from gscodec.metrics import mse, psnr


def test_one_code_value_everywhere_is_48_13_db() -> None:
    grey = np.full((9, 7, 3), 100, np.uint8)
    assert psnr(grey, grey + np.uint8(1)) == pytest.approx(20 * math.log10(255), abs=1e-12)


def test_black_against_white_is_0_db() -> None:
    for top in (np.uint8(255), np.uint16(65535), np.float32(1)):
        white = np.full((4, 5), top)
        assert psnr(np.zeros_like(white), white) == 0.0


def test_equal_pictures_are_infinitely_close() -> None:
    assert psnr(np.ones((3, 3, 1), np.uint16), np.ones((3, 3, 1), np.uint16)) == math.inf


def test_unsigned_differences_do_not_wrap() -> None:
    low, high = np.zeros((2, 2), np.uint8), np.full((2, 2), 200, np.uint8)
    assert mse(low, high) == mse(high, low) == 40000.0


def test_agrees_with_scikit_image(pictures: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> None:
    expected = peak_signal_noise_ratio(*pictures)  # type: ignore[no-untyped-call]
    assert psnr(*pictures) == pytest.approx(expected, abs=1e-10)


def test_blocks_of_rows_do_not_show() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 700, 5, 2), np.float32)
    assert mse(a, b) == pytest.approx(np.mean((a.astype(float) - b) ** 2), rel=1e-12)


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0.01, 1))
def test_scale_of_samples_does_not_matter(height: int, width: int, error: float) -> None:
    base = np.full((height, width), 0.0)
    expected = -20 * math.log10(error)
    assert psnr(base, base + error) == pytest.approx(expected, abs=1e-9)
    assert psnr(base * 40, (base + error) * 40, peak=40) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "peak"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), None),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint16), None),
        (np.zeros((0, 2)), np.zeros((0, 2)), None),
        (np.zeros(4), np.zeros(4), None),
        (np.zeros((2, 2), np.int32), np.zeros((2, 2), np.int32), None),
        (np.zeros((2, 2)), np.zeros((2, 2)), 0.0),
        (np.zeros((2, 2)), np.zeros((2, 2)), math.nan),
    ],
)
def test_what_cannot_be_compared_is_refused(
    first: npt.NDArray[Any], second: npt.NDArray[Any], peak: float | None
) -> None:
    with pytest.raises(InvalidArgument):
        psnr(first, second, peak=peak)


def test_a_given_peak_compares_different_types() -> None:
    stored = np.full((2, 2), 10, np.uint8)
    assert psnr(stored, np.full((2, 2), 20, np.uint16), peak=255) == pytest.approx(20 * math.log10(25.5))
