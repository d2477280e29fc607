"""Inputs and results of the engines: tile lists, loss weights, gradients, pixel subsets."""

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, LimitExceeded
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
    """Weights of the photometric loss l1 * mean|d| + l2 * mean d^2 + means * mean m^2 + ssim * (1 - mean SSIM).

    d is image - target, and m the mean of d over a block of 4x4 px, at each of its pixels; blocks begin at pixel 0,
    and at the right and at the bottom they may have fewer pixels. Of a subset of the pixels, a block has those in it;
    if that is one, there is no such term, which would be d^2. A loss has no SSIM beside this term.

    SSIM is taken per channel with an 11-tap Gaussian window of sigma 1.5 px, zero padding, dynamic range 1,
    C1 = 0.01^2 and C2 = 0.03^2 (Wang et al. 2004), and averaged over pixels and channels.

    If a loss has an `importance` map, each pixel's |d|, d^2 and 1 - SSIM are multiplied by its value before averaging,
    and m^2 by the mean of the map over the block; a map of mean 1 preserves the scale of the loss. The map may have one
    plane per channel.

    A term is a field here, with the same field in native/shared/loss_terms.h. Terms within tiles come first.
    """

    l1: float = 0.0
    l2: float = 0.0
    means: float = 0.0
    ssim: float = field(default=0.0, metadata={"compares_neighbours": True})

    def __post_init__(self) -> None:
        if self.means and self.ssim:
            raise InvalidArgument(f"a loss has block means ({self.means:g}) or SSIM ({self.ssim:g}), not both")

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The weights, in the order of the fields."""
        return tuple(getattr(self, each.name) for each in fields(self))

    @cached_property
    def compares_neighbours(self) -> bool:
        """Whether a term of the loss looks beyond a sample's tile."""
        return any(self.values[N_POINTWISE_TERMS:])

    @property
    def n_sums(self) -> int:
        """Number of terms whose sums make up the loss: all, or those within tiles if the rest have no weight."""
        return N_TERMS if self.compares_neighbours else N_POINTWISE_TERMS

    def per_sample(self, n_samples: int) -> "LossWeights":
        """Weights of the terms' sums over n_samples, where these are of the means."""
        return LossWeights(*(weight / n_samples for weight in self.values))


N_TERMS = len(fields(LossWeights))
"""Terms of the loss."""

N_POINTWISE_TERMS = sum("compares_neighbours" not in term.metadata for term in fields(LossWeights))
"""Terms within tiles, which come before those that compare neighbours."""


@dataclass(frozen=True)
class Subset:
    """The pixels (x + i step, y + j step) of a picture, to which a fit step may be restricted."""

    step: int
    x: int = 0
    y: int = 0


SUBSET_STEPS = (1, 2, 4)
"""Steps supported by engines; each divides the side of a tile."""


WHOLE = Subset(1)
