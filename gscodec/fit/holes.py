"""Tiles that no Gaussian reaches: they show the background, a square of a colour that the picture may not have.

A fit keeps its Gaussians near the tiles they contribute to (`fit.upkeep`). Rounding scales and means can undo that for
the last Gaussian of a tile, whose loss no gradient shows.
"""

from collections.abc import Callable, Iterator
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

MOST_MOVED: Final = 1 / 8
"""Maximum fraction of a set that is moved to empty tiles."""

ROUNDS: Final = 4
"""Maximum number of times that tiles are filled which were left empty by Gaussians that filled others."""


def without_holes(
    rasterizer: Rasterizer,
    gaussians: GaussianSet,
    grid: Grid,
    least_needed: Callable[[], npt.NDArray[np.int64]] | None = None,
) -> GaussianSet:
    """The Gaussians, of which some reach each tile that was empty; the same object if none was.

    The least needed ones are moved there, as round as half a tile is wide: they change little elsewhere, where others
    are nearer. Where there are few of them, the nearest Gaussian is as much wider as it takes, which changes all of
    its surroundings: of three fills in an anime frame one blurred an edge of 100 px and took 0.3 dB.

    Args:
        least_needed: returns indices of Gaussians that may be moved, the least important first; None means none may.
    """
    centres = empty_tiles(rasterizer, gaussians, grid)
    if not len(centres) or not len(gaussians):
        return gaussians
    if least_needed is not None and len(centres) <= MOST_MOVED * len(gaussians):
        spare = iter(least_needed()[: int(MOST_MOVED * len(gaussians))].tolist())
        for _ in range(ROUNDS):
            gaussians = _moved(gaussians, grid, centres, spare)
            centres = empty_tiles(rasterizer, gaussians, grid)
            if not len(centres):
                return gaussians
    return _widened(gaussians, grid, centres)


def _moved(gaussians: GaussianSet, grid: Grid, centres: npt.NDArray[np.float64], spare: Iterator[int]) -> GaussianSet:
    """The Gaussians, of which one of the spare ones is in each tile that others of them do not reach."""
    sigma = TILE_SIZE / 2 / (1 << min(grid.scale_log2, TILE_SIZE.bit_length() - 1))
    reach = np.sqrt(REACH * grid.support_q) * sigma
    means, inv_scales, rotations = gaussians.means.copy(), gaussians.inv_scales.copy(), gaussians.rotations.copy()
    filled: list[npt.NDArray[np.float64]] = []
    for centre in centres:
        if any(np.hypot(*(centre - other)) < reach for other in filled):
            continue
        moved = next(spare, None)
        if moved is None:
            break
        means[moved], inv_scales[moved], rotations[moved] = centre, 1.0 / sigma, 0.0
        filled.append(centre)
    return replace(gaussians, means=means, inv_scales=inv_scales, rotations=rotations)


def _widened(gaussians: GaussianSet, grid: Grid, centres: npt.NDArray[np.float64]) -> GaussianSet:
    """The Gaussians, of which the nearest to each point is as much wider as it takes to reach it."""
    factors = np.ones(len(gaussians))
    for centre in centres:
        q = squared_distances(gaussians, centre)
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


def squared_distances(gaussians: GaussianSet, point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n,) squared Mahalanobis distances of a point (spec/igs.md, section 3.5)."""
    x, y = (point - gaussians.means).T
    cosine, sine = np.cos(gaussians.rotations), np.sin(gaussians.rotations)
    u = gaussians.inv_scales[:, 0] * (cosine * x + sine * y)
    v = gaussians.inv_scales[:, 1] * (cosine * y - sine * x)
    return np.asarray(u * u + v * v, np.float64)
