"""Structural similarity: SSIM and multi-scale SSIM.

SSIM follows Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
Similarity", IEEE TIP 2004: an 11-tap Gaussian window of sigma 1.5 px, K1 = 0.01, K2 = 0.03, population moments, only
windows that lie wholly inside the picture. MS-SSIM follows Wang, Simoncelli, Bovik, "Multi-Scale Structural Similarity
for Image Quality Assessment", Asilomar 2003, with its five weights. Both treat each channel as a picture of its own
and return the mean over channels.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.metrics._samples import Float64Array, check_pair

WINDOW_TAPS: Final = 11
WINDOW_SIGMA: Final = 1.5  # px
K1: Final = 0.01
K2: Final = 0.03
SCALE_WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest scale first

_BLOCK: Final = 32  # rows filtered at a time, so that their moments stay in the cache


def ssim(first: npt.NDArray[Any], second: npt.NDArray[Any], *, peak: float | None = None) -> float:
    """Mean SSIM over windows and channels, -1..1, and 1 for equal pictures.

    A picture with a side below 11 px is measured with the widest odd window that fits, of the same sigma.

    Args:
        first: (H, W) or (H, W, C) samples at their output bit depth: unsigned integers, or floats in 0..1.
        second: the same shape and type.
        peak: largest possible sample; None is the largest of an integer type, 1 for floats.

    Raises:
        InvalidArgument: shapes differ, or types that have no common scale.
    """
    first, second, top = check_pair(first, second, peak)
    values = [_means(_plane(first, c), _plane(second, c), top)[0] for c in range(first.shape[2])]
    return float(np.mean(values))


def ms_ssim(first: npt.NDArray[Any], second: npt.NDArray[Any], *, peak: float | None = None) -> float:
    """Mean over channels of the multi-scale SSIM, 0..1, and 1 for equal pictures.

    Contrast and structure of the finer scales, and SSIM of the coarsest, are raised to SCALE_WEIGHTS and multiplied;
    a negative mean counts as 0. Between scales the picture is averaged over 2x2 blocks, after a side of odd length got
    one row or column of zeros in front: that is what the implementation in common use, pytorch-msssim, does, and it
    makes figures comparable. Five scales need a shorter side of 161 px. A smaller picture is measured at the scales
    whose shorter side still holds the 11-tap window, at least one, with their weights scaled to sum to one.

    Args:
        first: (H, W) or (H, W, C) samples at their output bit depth: unsigned integers, or floats in 0..1.
        second: the same shape and type.
        peak: largest possible sample; None is the largest of an integer type, 1 for floats.

    Raises:
        InvalidArgument: shapes differ, or types that have no common scale.
    """
    first, second, top = check_pair(first, second, peak)
    weights = np.array(SCALE_WEIGHTS[: count_scales(*first.shape[:2])])
    weights /= weights.sum()
    values = []
    for channel in range(first.shape[2]):
        a, b = _plane(first, channel), _plane(second, channel)
        terms = []
        for scale in range(len(weights)):
            if scale:
                a, b = _halve(a), _halve(b)
            full, contrast = _means(a, b, top)
            terms.append(full if scale == len(weights) - 1 else contrast)
        values.append(np.prod(np.maximum(terms, 0) ** weights))
    return float(np.mean(values))


def count_scales(height: int, width: int) -> int:
    """Number of MS-SSIM scales that fit a picture, 1 to 5."""
    side, scales = min(height, width), 1
    while scales < len(SCALE_WEIGHTS) and (side + 1) // 2 >= WINDOW_TAPS:
        side, scales = (side + 1) // 2, scales + 1
    return scales


def _plane(picture: npt.NDArray[Any], channel: int) -> Float64Array:
    return picture[:, :, channel].astype(np.float64)


def _halve(plane: Float64Array) -> Float64Array:
    plane = np.pad(plane, [(side % 2, 0) for side in plane.shape])
    rows = plane[0::2] + plane[1::2]
    result: Float64Array = (rows[:, 0::2] + rows[:, 1::2]) / 4
    return result


def window(taps: int) -> Float64Array:
    """(taps,) Gaussian weights that sum to one."""
    offsets = np.arange(taps) - (taps - 1) / 2
    weights = np.exp(-(offsets**2) / (2 * WINDOW_SIGMA**2))
    result: Float64Array = weights / weights.sum()
    return result


def _slide(values: Float64Array, weights: Float64Array, axis: int) -> Float64Array:
    """Values filtered with the window along one axis. The window is symmetric, so two taps share a product."""
    taps = len(weights)
    size = values.shape[axis] - taps + 1

    def tap(index: int) -> Float64Array:
        return values[index : index + size] if axis == 0 else values[:, index : index + size]

    result: Float64Array = tap(taps // 2) * weights[taps // 2]
    pair = np.empty_like(result)
    for index in range(taps // 2):
        np.add(tap(index), tap(taps - 1 - index), out=pair)
        pair *= weights[index]
        result += pair
    return result


def _means(a: Float64Array, b: Float64Array, peak: float) -> tuple[float, float]:
    """Mean SSIM and mean contrast-structure term of two planes."""
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    taps = min(WINDOW_TAPS, (min(a.shape) - 1) // 2 * 2 + 1)
    weights = window(taps)
    height, width = a.shape[0] - taps + 1, a.shape[1] - taps + 1
    full, contrast = 0.0, 0.0
    for top in range(0, height, _BLOCK):
        rows = slice(top, min(top + _BLOCK, height) + taps - 1)
        x, y = a[rows], b[rows]
        mean_x, mean_y, xx, yy, xy = (
            _slide(_slide(moment, weights, 0), weights, 1) for moment in (x, y, x * x, y * y, x * y)
        )
        product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
        structure = (2 * (xy - product) + c2) / (xx + yy - squares + c2)
        contrast += float(structure.sum())
        full += float(((2 * product + c1) / (squares + c1) * structure).sum())
    return full / (height * width), contrast / (height * width)
