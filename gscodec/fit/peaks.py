"""Peaks of the error under matched filters: where new Gaussians gain most, and of what size.

A blob u with the best colour takes |sum u e|^2 / sum u^2 off the squared error e: for a Gaussian of standard deviation
s that is 4 pi s^2 |G_s * e|^2. Unlike draws by the error of single pixels (paper, Eq. 7), this tells structure, which
a blob of its size can gain, from noise, in which errors of neighbours cancel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gscodec import _engine
from gscodec.model.gaussians import Float32Array, Float64Array

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Blobs:
    """Sizes of blobs to choose from."""

    sigmas: Float64Array  # (S,) standard deviations, px, of two passes of a box filter
    boxes: Int32Array  # (S, 2) radius of the box, and half the side of the square around a blob without another, px
    factors: Float32Array  # (S,) on the square of the blurred error

    @classmethod
    def near(cls, sigmas: Sequence[float], exponent: float, reach: float) -> "Blobs":
        """The blobs nearest to standard deviations in px.

        Args:
            exponent: 1 ranks blobs of different sizes by what each would gain, 0 by that over its area.
            reach: half the side, in sigmas, of the square around a blob without another.
        """
        radii = np.array(sorted({max(0, round((math.sqrt(6 * sigma**2 + 1) - 1) / 2)) for sigma in sigmas}))
        widths = np.sqrt(((2 * radii + 1.0) ** 2 - 1) / 6).clip(1 / math.sqrt(2))  # a single pixel's: not 0
        boxes = np.array([radii, np.maximum(1, np.round(reach * widths))], np.int32).T.copy()
        return cls(widths, boxes, ((4 * math.pi * widths**2) ** exponent).astype(np.float32))


def error_peaks(
    errors: Float32Array,
    blobs: Blobs,
    n_most: int,
    *,
    allowed: npt.NDArray[np.bool_] | None = None,
    threads: int = 0,
) -> tuple[Int64Array, Int32Array]:
    """(n,) pixels, counted row by row, and sizes of at most n_most blobs, those that gain most first.

    Args:
        errors: float32 (H, W, C).
        allowed: bool (H, W), pixels that may be centres; None means all.
    """
    planes = np.ascontiguousarray(np.moveaxis(errors, 2, 0))
    return _engine.error_peaks(planes, blobs.boxes, blobs.factors, allowed, n_most, threads)


def keep_apart(
    pixels: Int64Array, sizes: Int32Array, gains: Float32Array, blobs: Blobs, shape: tuple[int, int], n_most: int
) -> tuple[Int64Array, Int32Array]:
    """Pixels and sizes as `error_peaks` returns them, of candidates: local maxima of the gain, in ascending order."""
    order = np.argsort(-gains, kind="stable")
    pixels, sizes = pixels[order], sizes[order]
    kept = _engine.keep_apart(pixels, sizes, *shape, blobs.boxes, blobs.factors, n_most)
    return pixels[kept], sizes[kept]
