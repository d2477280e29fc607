import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from skimage.metrics import structural_similarity

from gscodec.metrics import ms_ssim, ssim
from gscodec.metrics.ssim import SCALE_WEIGHTS, count_scales, window

Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def naive_terms(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], peak: float) -> tuple[float, float]:
    """Mean SSIM and contrast-structure of two planes, one window at a time, straight from the paper's formulas."""
    kernel = np.outer(window(11), window(11))
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    full, contrast = [], []
    for row in range(a.shape[0] - 10):
        for column in range(a.shape[1] - 10):
            x, y = a[row : row + 11, column : column + 11], b[row : row + 11, column : column + 11]
            mx, my = float((kernel * x).sum()), float((kernel * y).sum())
            vx, vy = float((kernel * (x - mx) ** 2).sum()), float((kernel * (y - my) ** 2).sum())
            cov = float((kernel * (x - mx) * (y - my)).sum())
            contrast.append((2 * cov + c2) / (vx + vy + c2))
            full.append((2 * mx * my + c1) / (mx * mx + my * my + c1) * contrast[-1])
    return float(np.mean(full)), float(np.mean(contrast))


def test_window_is_the_papers() -> None:
    weights = window(11)
    assert weights.sum() == pytest.approx(1)
    # the 11-tap window as it is usually printed
    assert weights[:6] == pytest.approx([0.0010, 0.0076, 0.0360, 0.1094, 0.2130, 0.2660], abs=5e-5)
    assert weights == pytest.approx(weights[::-1])


def test_agrees_with_scikit_image(pictures: Pair) -> None:
    a, b = pictures
    maps = [
        structural_similarity(  # type: ignore[no-untyped-call]
            a[:, :, c], b[:, :, c], gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )[1][5:-5, 5:-5]
        for c in range(3)
    ]
    assert ssim(a, b) == pytest.approx(np.mean(maps), abs=1e-9)


def test_agrees_with_windows_taken_one_by_one(pictures: Pair) -> None:
    a, b = (picture[:19, :24, 1].astype(np.float64) for picture in pictures)
    assert ssim(a, b, peak=255) == pytest.approx(naive_terms(a, b, 255)[0], abs=1e-12)


def test_flat_pictures_have_the_closed_form() -> None:
    a, b = np.full((40, 50), 0.25), np.full((40, 50), 0.5)
    expected = (2 * 0.25 * 0.5 + 1e-4) / (0.25**2 + 0.5**2 + 1e-4)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-12)
    # contrast and structure agree, so that only the coarsest scale's luminance is left
    assert count_scales(40, 50) == 2
    exponent = SCALE_WEIGHTS[1] / (SCALE_WEIGHTS[0] + SCALE_WEIGHTS[1])
    assert ms_ssim(a, b) == pytest.approx(expected**exponent, abs=1e-12)


def test_equal_pictures_score_one(pictures: Pair) -> None:
    assert ssim(pictures[0], pictures[0]) == 1.0
    assert ms_ssim(pictures[0], pictures[0]) == 1.0


def test_order_does_not_matter(pictures: Pair) -> None:
    a, b = pictures
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-14)
    assert ms_ssim(a, b) == pytest.approx(ms_ssim(b, a), abs=1e-14)


def test_scale_of_samples_does_not_matter(pictures: Pair) -> None:
    a, b = pictures
    wide = (a.astype(np.uint16) * 257, b.astype(np.uint16) * 257)
    real = (a.astype(np.float32) / 255, b.astype(np.float32) / 255)
    for metric in (ssim, ms_ssim):
        assert metric(*wide) == pytest.approx(metric(a, b), abs=1e-9)
        assert metric(*real) == pytest.approx(metric(a, b), abs=1e-6)


def test_negative_structure_counts_as_nothing() -> None:
    x = np.indices((32, 32)).sum(axis=0) % 2 * 0.8 + 0.1
    assert ssim(x, 1 - x) < -0.9
    assert ms_ssim(x, 1 - x) == 0.0


def test_multi_scale_agrees_with_its_formula(pictures: Pair) -> None:
    a, b = (np.pad(picture[:, :, 0].astype(np.float64), ((0, 21), (0, 5))) for picture in pictures)  # 88 x 88
    assert count_scales(88, 88) == 4
    weights = np.array(SCALE_WEIGHTS[:4]) / sum(SCALE_WEIGHTS[:4])
    terms = []
    for scale in range(4):
        if scale:
            a, b = (plane.reshape(len(plane) // 2, 2, len(plane) // 2, 2).mean(axis=(1, 3)) for plane in (a, b))
        full, contrast = naive_terms(a, b, 255)
        terms.append(full if scale == 3 else contrast)
    expected = math.prod(max(term, 0) ** weight for term, weight in zip(terms, weights, strict=True))
    padded = [np.pad(picture[:, :, 0], ((0, 21), (0, 5))) for picture in pictures]
    assert ms_ssim(*padded) == pytest.approx(expected, abs=1e-12)


def test_odd_sides_get_zeros_in_front() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.random((2, 21, 23))
    half_a, half_b = (np.pad(plane, ((1, 0), (1, 0))).reshape(11, 2, 12, 2).mean(axis=(1, 3)) for plane in (a, b))
    fine, coarse = naive_terms(a, b, 1)[1], naive_terms(half_a, half_b, 1)[0]
    share = SCALE_WEIGHTS[0] / (SCALE_WEIGHTS[0] + SCALE_WEIGHTS[1])
    assert ms_ssim(a, b) == pytest.approx(max(fine, 0) ** share * max(coarse, 0) ** (1 - share), abs=1e-12)


@pytest.mark.parametrize(("side", "scales"), [(1, 1), (20, 1), (21, 2), (160, 4), (161, 5), (4000, 5)])
def test_number_of_scales_follows_the_shorter_side(side: int, scales: int) -> None:
    assert count_scales(side, 5000) == count_scales(5000, side) == scales


@pytest.mark.parametrize("shape", [(1, 1), (1, 40, 3), (2, 9), (10, 10, 2)])
def test_tiny_pictures_have_figures_too(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(6)
    a = rng.random(shape)
    assert ssim(a, a) == ms_ssim(a, a) == 1.0
    assert -1 <= ssim(a, 1 - a) < 1


def test_channels_count_alike(pictures: Pair) -> None:
    a, b = pictures
    for metric in (ssim, ms_ssim):
        assert metric(a, b) == pytest.approx(np.mean([metric(a[:, :, c], b[:, :, c]) for c in range(3)]), abs=1e-12)
