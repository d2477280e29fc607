"""Frozen Gaussians of already-encoded neighbour blocks, around a block of a large picture."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gscodec.image.regions import Rect
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, LodTable, joined


@dataclass(frozen=True)
class Surroundings:
    """The finished part of the picture around a block. Means are in px of the block's window.

    Blocks are finished in raster order: the finished ones lie above a core and left of it. A block's Gaussians may
    reach into them, which the loss there takes into account, but none has its mean there.
    """

    core: Rect  # px of the picture, as the window
    window: Rect
    grid: Grid  # of the whole picture
    lods: LodTable  # with the gains of the whole file
    neighbours: GaussianSet  # gains not applied
    generations: npt.NDArray[np.int64]  # (n,) of the neighbours

    @property
    def origin(self) -> Float64Array:
        """(2,) x, y of the window's corner, px of the picture."""
        return np.array([self.window.x0, self.window.y0], np.float64)

    @property
    def window_grid(self) -> Grid:
        """The window as a grid of its own."""
        return replace(self.grid, height=self.window.height, width=self.window.width)

    def beside(self, gaussians: GaussianSet, generations: npt.NDArray[np.int64]) -> "Surroundings":
        """A copy with additional neighbours, in px of the window."""
        return replace(
            self,
            neighbours=joined([self.neighbours, gaussians]),
            generations=np.concatenate([self.generations, generations]),
        )

    @cached_property
    def _inner(self) -> Rect:
        x, y = self.window.x0, self.window.y0
        return Rect(self.core.x0 - x, self.core.y0 - y, self.core.x1 - x, self.core.y1 - y)

    @cached_property
    def allowed(self) -> npt.NDArray[np.bool_]:
        """Boolean (H, W) array of the window: pixels where the block's Gaussians may lie during the fit."""
        inner = self._inner
        mask = np.ones((self.window.height, self.window.width), np.bool_)
        mask[: inner.y0] = False
        mask[: inner.y1, : inner.x0] = False
        return mask

    def confine(self, means: Float32Array) -> None:
        """Move means (n, 2), in place, out of finished cores and into the window."""
        inner = self._inner
        x, y = means[:, 0], means[:, 1]
        np.clip(x, 0, self.window.width, out=x)
        np.clip(y, inner.y0, self.window.height, out=y)
        bottom = np.inf if self.core.y1 == self.grid.height else inner.y1  # as in `in_core`
        np.maximum(x, inner.x0, out=x, where=y < bottom)

    def in_core(self, means: Float64Array) -> npt.NDArray[np.bool_]:
        """(n,) whether means lie in the core; edges of the picture belong to it."""
        inner = self._inner
        right = np.inf if self.core.x1 == self.grid.width else inner.x1
        bottom = np.inf if self.core.y1 == self.grid.height else inner.y1
        x, y = means.T
        return np.asarray((x >= inner.x0) & (x < right) & (y >= inner.y0) & (y < bottom))

    @cached_property
    def log_gains(self) -> Float32Array:
        """(L, L) logarithms of the gains; 0 for generations that a level does not show."""
        rows = np.zeros((len(self.lods), len(self.lods)), np.float32)
        for m, row in enumerate(self.lods.gains):
            rows[m, : m + 1] = np.log(np.asarray(row, np.float32))
        return rows

    @cached_property
    def shown(self) -> tuple[GaussianSet, ...]:
        """Per level step: the neighbours visible in the window, gains applied, with the values of float32."""
        return tuple(self._shown(m) for m in range(len(self.lods)))

    def _shown(self, level: int) -> GaussianSet:
        which = np.flatnonzero(self.generations <= level)
        gains = np.asarray(self.lods.gains[level])[self.generations[which]]
        part = self.neighbours[which]
        part = replace(part, inv_scales=part.inv_scales * gains[:, None])
        size = np.array([self.window.width, self.window.height])
        reach = half_extents(part, self.grid.support_q)
        part = part[np.flatnonzero(((part.means + reach >= 0) & (part.means - reach <= size)).all(axis=1))]
        return GaussianSet.of_float32(part.means, part.inv_scales, part.rotations, part.features)


def half_extents(gaussians: GaussianSet, support_q: float) -> Float64Array:
    """(n, 2) half extents in px of the support ellipses' bounding boxes (spec/igs.md, section 3.4)."""
    first, second = 1.0 / gaussians.inv_scales.T
    cos, sin = np.cos(gaussians.rotations), np.sin(gaussians.rotations)
    half = np.stack([np.hypot(cos * first, sin * second), np.hypot(sin * first, cos * second)], axis=1)
    return np.asarray(np.sqrt(support_q) * half)
