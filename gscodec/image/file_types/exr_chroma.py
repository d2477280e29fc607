"""OpenEXR's luminance and chroma channels Y, RY and BY to R, G and B.

Source: OpenEXR, "Technical Introduction", Luminance/Chroma Images, and ImfRgbaYca.cpp, BSD-3-Clause, whose filter
weights these are. Its last step, which takes saturation out of single pixels, is left out.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]

REC_709: Final = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
"""Chromaticities of a file that has none: x, y of red, green, blue and white (ITU-R BT.709)."""

_TAPS: Final = (0.002128, -0.007540, 0.019597, -0.043159, 0.087929, -0.186077, 0.627123)
"""Weights of the stored neighbours of a pixel between two of them, from the seventh to the next, on either side."""


def luminance_weights(chromaticities: Sequence[float]) -> npt.NDArray[np.float64]:
    """(3,) what R, G and B contribute to luminance; they add up to 1.

    Raises:
        ValueError: the chromaticities are those of no three primaries.
    """
    x, y = np.asarray(chromaticities, np.float64).reshape(4, 2).T
    if (y == 0).any():
        raise ValueError("chromaticities without luminance")
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])  # (3, 4), each of luminance 1
    weights = np.linalg.solve(xyz[:, :3], xyz[:, 3])
    if not np.isfinite(weights).all() or abs(weights[1]) < 1e-6:
        raise ValueError("chromaticities of no three primaries")
    return np.asarray(weights / weights.sum())


def colour_of(luminance: Plane, red: Plane, blue: Plane, weights: npt.NDArray[np.float64]) -> list[Plane]:
    """(H, W) R, G and B of Y, RY = (R - Y) / Y and BY = (B - Y) / Y, all of them (H, W)."""
    y = luminance.astype(np.float64)
    r, b = (red + 1.0) * y, (blue + 1.0) * y
    g = (y - weights[0] * r - weights[2] * b) / weights[1]
    return [np.asarray(plane, np.float32) for plane in (r, g, b)]


def enlarged_chroma(plane: Plane, height: int, width: int) -> Plane:
    """A chroma plane that has every second row and column, from the first on, at (height, width)."""
    columns = _doubled(plane, width)
    return np.ascontiguousarray(_doubled(columns.T, height).T)


def _doubled(values: Plane, width: int) -> Plane:
    """(h, width) of (h, ceil(width / 2)) values; ends are repeated."""
    reach = len(_TAPS)
    padded = np.pad(values.astype(np.float64), [(0, 0), (reach, reach)], mode="edge")
    count = values.shape[1]
    between = np.zeros((values.shape[0], count))
    for tap, weight in enumerate(_TAPS):
        left = tap + 1  # the seventh to the left of the gap behind value 0 stands at index 1 of `padded`
        right = 2 * reach - tap
        between += weight * (padded[:, left : left + count] + padded[:, right : right + count])
    result = np.empty((values.shape[0], 2 * count))
    result[:, 0::2], result[:, 1::2] = values, between
    return np.asarray(result[:, :width], np.float32)
