"""Noise of a picture: fine variation without direction, which no file of a low rate holds.

Gravel, grain and foliage from afar vary from pixel to pixel and in all directions; edges and shapes vary over longer
ways, or along one direction. Hence two signs: the share of the variance that a filter of 3x3 px removes, and the
coherence of the structure tensor (Bigun and Granlund 1987).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gscodec.model.gaussians import Float32Array

CELL: Final = 4
"""Side of the squares over whose pixels statistics are averaged, px."""

_FINE: Final = (0.2, 0.45)
"""Shares of fine variance from which variation begins to be noise, and is noise entirely."""

_COHERENT: Final = (0.25, 0.7)
"""Coherences up to which variation may be noise, and from which it is none."""

_FAINT: Final = 2e-3
"""Variance of luma in 0..1 well below which an area is flat and shows its tint, whatever grain lies over it."""

_STRIP: Final = 64
"""Rows of pixels looked at at a time; a multiple of CELL."""


def noise_of(*planes: Float32Array) -> Float32Array:
    """Noise of each cell in 0..1: float32 (ceil(H / CELL), ceil(W / CELL)).

    Args:
        planes: float32 (H, W) each, in 0..1. Of several the variances and structure tensors are averaged (Di Zenzo
            1986): noise that differs from channel to channel is noise, which it hardly is in their mean.
    """
    moments = [_moments(plane) for plane in planes]
    fine = _mean([each.fine for each in moments])
    total = _mean([np.maximum(each.square - np.square(each.level), 0) for each in moments])
    share = np.asarray(fine / (total + np.float32(_FAINT)), np.float32)
    xx, yy, xy = (_mean([each.slopes[k] for each in moments]) for k in range(3))
    coherence = np.asarray(np.hypot(xx - yy, 2 * xy) / (xx + yy + np.float32(1e-6)), np.float32)
    return np.asarray(_step(share, *_FINE) * (1 - _step(coherence, *_COHERENT)), np.float32)


def variance_of_cells(luma: Float32Array) -> Float32Array:
    """Variance of the means of cells in a window of about 20 px around each: float32 (rows, columns)."""
    cells = _cells(luma)
    return np.maximum(_smooth(cells * cells) - np.square(_smooth(cells)), 0)


@dataclass(frozen=True)
class _Moments:
    """Means around each cell of a plane, in windows of about 20 px: each (rows, columns)."""

    fine: Float32Array  # of the square of what a filter of 3x3 px removes
    square: Float32Array
    level: Float32Array
    slopes: tuple[Float32Array, Float32Array, Float32Array]  # of the structure tensor: xx, yy, xy


def _moments(plane: Float32Array) -> _Moments:
    """Moments of a plane, taken strip by strip: what is between stays in the cache."""
    height = len(plane)
    strips = []
    for first in range(0, height, _STRIP):
        last = min(height, first + _STRIP)
        above, below = min(first, 1), min(height - last, 1)
        part = np.ascontiguousarray(plane[first - above : last + below])
        fine = part - _mean_of_nine(part)
        down, across = (np.gradient(part, axis=a) if part.shape[a] > 1 else np.zeros_like(part) for a in (0, 1))
        products = (fine * fine, part * part, part, across * across, down * down, across * down)
        strips.append([_cells(product[above : above + last - first]) for product in products])
    fine, square, level, *slopes = (_smooth(np.concatenate(parts)) for parts in zip(*strips, strict=True))
    return _Moments(fine, square, level, (slopes[0], slopes[1], slopes[2]))


def _cells(plane: Float32Array) -> Float32Array:
    """Means of the cells of (H, W); the last row and column are repeated where a cell is cut off."""
    height, width = plane.shape
    if height % CELL or width % CELL:
        plane = np.pad(plane, ((0, -height % CELL), (0, -width % CELL)), mode="edge")
    rows = sum(plane[k::CELL] for k in range(1, CELL)) + plane[::CELL]
    columns = sum(rows[:, k::CELL] for k in range(1, CELL)) + rows[:, ::CELL]
    return np.asarray(columns / np.float32(CELL * CELL), np.float32)


def _mean(planes: Sequence[Float32Array]) -> Float32Array:
    return np.asarray(sum(planes[1:], planes[0]) / np.float32(len(planes)), np.float32)


def _smooth(plane: Float32Array) -> Float32Array:
    return _mean_of_nine(_mean_of_nine(plane))


def _mean_of_nine(plane: Float32Array) -> Float32Array:
    """Means over 3x3 values, edges repeated."""
    rows = np.pad(plane, ((1, 1), (0, 0)), mode="edge")
    sums = rows[:-2] + rows[1:-1] + rows[2:]
    columns = np.pad(sums, ((0, 0), (1, 1)), mode="edge")
    return np.asarray((columns[:, :-2] + columns[:, 1:-1] + columns[:, 2:]) / np.float32(9), np.float32)


def _step(values: Float32Array, low: float, high: float) -> Float32Array:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
