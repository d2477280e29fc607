"""Tiles that no Gaussian reaches: they show the background, a square of a colour that the picture may not have.

A fit keeps its Gaussians near the tiles they contribute to (`fit.upkeep`). Rounding scales and means can undo that for
the last Gaussian of a tile, whose loss no gradient shows.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.fit.shown_tiles import on_shown_tiles
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import GaussianSet, Grid
from gscodec.render.base import Rasterizer

REACH: Final = 0.6
"""Fraction of the support, in q, within which the centre of such a tile comes to lie; rounding may undo a part."""


def without_holes(rasterizer: Rasterizer, gaussians: GaussianSet, grid: Grid) -> GaussianSet:
    """The Gaussians, of which the nearest to each empty tile is as much wider as it takes to reach its centre.

    The same object if no tile is empty.
    """
    centres = empty_tiles(rasterizer, gaussians, grid)
    if not len(centres) or not len(gaussians):
        return gaussians
    factors = np.ones(len(gaussians))
    for centre in centres:
        q = _squared_distances(gaussians, centre)
        nearest = int(q.argmin())
        factors[nearest] = min(factors[nearest], np.sqrt(REACH * grid.support_q / max(q[nearest], 1e-12)))
    return replace(gaussians, inv_scales=gaussians.inv_scales * factors[:, None])


def empty_tiles(rasterizer: Rasterizer, gaussians: GaussianSet, grid: Grid) -> npt.NDArray[np.float64]:
    """(m, 2) centres, px, of the tiles of the file whose list is empty, or those of single pixels of a coarser set."""
    shown, there = on_shown_tiles(gaussians, grid, TILE_SIZE.bit_length() - 1)
    columns = -(-there.width // TILE_SIZE)
    empty = np.flatnonzero(np.diff(rasterizer.bin(shown, there).offsets) == 0)
    corners = TILE_SIZE * np.stack([empty % columns, empty // columns], axis=1)
    ends = np.minimum(corners + TILE_SIZE, (there.width, there.height))
    return (corners + ends) / 2 / (there.width / grid.width)


def _squared_distances(gaussians: GaussianSet, point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n,) squared Mahalanobis distances of a point (spec/igs.md, section 3.5)."""
    x, y = (point - gaussians.means).T
    cosine, sine = np.cos(gaussians.rotations), np.sin(gaussians.rotations)
    u = gaussians.inv_scales[:, 0] * (cosine * x + sine * y)
    v = gaussians.inv_scales[:, 1] * (cosine * y - sine * x)
    return np.asarray(u * u + v * v, np.float64)
