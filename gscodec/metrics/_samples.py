"""Checks shared by all metrics: both pictures have one shape and a known peak value."""

from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument

Float64Array = npt.NDArray[np.float64]


def peak_of(samples: npt.NDArray[Any]) -> float:
    """The sample value that represents 1: the maximum of an unsigned integer type, 1 for floats and bools."""
    return float(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else 1.0


def check_pair(
    first: npt.NDArray[Any], second: npt.NDArray[Any], peak: float | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], float]:
    """Both pictures as (H, W, C) and the peak to use.

    Args:
        first: (H, W) or (H, W, C), unsigned integers, floats or bools.
        second: the same shape; the same type, or both floats.
        peak: largest possible value; None takes it from the type.

    Raises:
        InvalidArgument: shapes or types differ, nothing to compare, or no valid peak.
    """
    if first.shape != second.shape or first.ndim not in {2, 3} or not first.size:
        raise InvalidArgument(f"pictures of shapes {first.shape} and {second.shape} cannot be compared")
    if first.dtype.kind not in "ufb" or second.dtype.kind not in "ufb":
        raise InvalidArgument(f"samples of types {first.dtype} and {second.dtype} cannot be compared")
    if peak is None and peak_of(first) != peak_of(second):
        raise InvalidArgument(
            f"samples of types {first.dtype} and {second.dtype} differ in scale: convert one to the type of the other"
        )
    value = peak_of(first) if peak is None else float(peak)
    if not value > 0 or not np.isfinite(value):
        raise InvalidArgument(f"peak {peak} is not a positive number")
    if first.ndim == 2:
        return first[:, :, None], second[:, :, None], value
    return first, second, value
