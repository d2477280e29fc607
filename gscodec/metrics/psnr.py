"""Peak signal-to-noise ratio."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.metrics._samples import check_pair

_BLOCK_ROWS = 256  # rows per float64 block, so that no float64 copy of the whole picture is made


def mse(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Mean squared difference over all pixels and channels, in squared sample units.

    Raises:
        InvalidArgument: shapes differ, or types that have no common scale.
    """
    first, second, _ = check_pair(first, second, None)
    sums = []
    for row in range(0, first.shape[0], _BLOCK_ROWS):
        rows = slice(row, row + _BLOCK_ROWS)
        difference = first[rows].astype(np.float64) - second[rows].astype(np.float64)
        sums.append(float(np.square(difference, out=difference).sum()))
    return math.fsum(sums) / first.size


def psnr(first: npt.NDArray[Any], second: npt.NDArray[Any], *, peak: float | None = None) -> float:
    """10 log10(peak^2 / MSE) in dB, the MSE taken over all pixels and channels together; inf for equal pictures.

    Args:
        first: (H, W) or (H, W, C) samples at their output bit depth: unsigned integers, or floats in 0..1.
        second: the same shape and type.
        peak: largest possible sample; None is the largest of an integer type, 1 for floats.

    Raises:
        InvalidArgument: shapes differ, or types that have no common scale.
    """
    first, second, top = check_pair(first, second, peak)
    if peak is not None and first.dtype != second.dtype:  # an explicit peak is the common scale
        first, second = first.astype(np.float64), second.astype(np.float64)
    error = mse(first, second)
    return math.inf if error == 0 else 10 * math.log10(top * top / error)
