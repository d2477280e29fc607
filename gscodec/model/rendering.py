"""Inputs and results of the engines: tile lists, loss weights, gradients, pixel subsets."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gscodec.errors import LimitExceeded
from gscodec.model.gaussians import Float32Array, Float64Array, Grid

OutputDtype = Literal["float32", "uint8", "uint16"]


@dataclass(frozen=True)
class TileIndex:
    """For each tile, in row-major order, the Gaussians whose support meets it, by ascending index.

    Tile t holds indices[offsets[t] : offsets[t + 1]]. `tiles` is the half-open rectangle (tx0, ty0, tx1, ty1) of tiles
    that the index covers; None is the whole grid.
    """

    offsets: npt.NDArray[np.int64]  # (n_tiles + 1,)
    indices: npt.NDArray[np.int32]  # (n_pairs,)
    tiles: tuple[int, int, int, int] | None = None


class TooManyPairs(LimitExceeded):
    """The tile lists of a rectangle of tiles exceed the limit; a smaller rectangle may stay below it."""

    def __init__(
        self, n_gaussians: int, grid: Grid, max_pairs: int, remedy: str = "raise --max-memory (Limits.max_memory)"
    ) -> None:
        super().__init__(
            f"{n_gaussians} Gaussians on {grid.width}x{grid.height} px make tile lists of more than {max_pairs} "
            f"entries; decode a smaller region or a coarser LOD, or {remedy}"
        )


@dataclass(frozen=True)
class GaussianGrads:
    """Gradient of a scalar loss to the fields of a GaussianSet, in their shapes."""

    means: Float64Array  # (N, 2) per px
    inv_scales: Float64Array  # (N, 2) per 1/px
    rotations: Float64Array  # (N,) per rad
    features: Float32Array  # (N, C)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the photometric loss l1 * mean|d| + l2 * mean d^2 + ssim * (1 - mean SSIM), d = image - target.

    SSIM is taken per channel with an 11-tap Gaussian window of sigma 1.5 px, zero padding, dynamic range 1,
    C1 = 0.01^2 and C2 = 0.03^2 (Wang et al. 2004), and averaged over pixels and channels.

    If a loss has an `importance` map, each pixel's |d|, d^2 and 1 - SSIM are multiplied by its value before averaging;
    a map of mean 1 preserves the scale of the loss. The map may have one plane per channel.
    """

    l1: float = 0.0
    l2: float = 0.0
    ssim: float = 0.0


@dataclass(frozen=True)
class Subset:
    """The pixels (x + i step, y + j step) of a picture, to which a fit step may be restricted."""

    step: int
    x: int = 0
    y: int = 0


SUBSET_STEPS = (1, 2, 4)
"""Steps supported by engines; each divides the side of a tile."""


WHOLE = Subset(1)
