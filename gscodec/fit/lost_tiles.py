"""Tiles that rounding takes from the Gaussian that showed them: they come back as squares of another colour.

A tile lists the Gaussians that reach it. Rounding can move the right one just out of its reach; another one, however
far, then shows all of the tile, and no gradient tells the right one to come back. `fit.holes` looks after tiles that
nothing is left in.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.fit.holes import squared_distances
from gscodec.fit.qat_task import QatTask, squares_of
from gscodec.fit.shown_tiles import on_shown_tiles
from gscodec.image.reduced import square_sums
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float64Array, GaussianSet, joined
from gscodec.render.cpu import CpuRasterizer

Indices = npt.NDArray[np.int64]

LEAST_RISE: Final = 20.0
"""Rise of a tile's squared error from which on it is lost, in mean rises of all tiles."""

LEAST_RATIO: Final = 4.0
"""The same, as a multiple of its error before."""

AXES: Final = ([0, 1], [0], [1])
"""Inverse scales of a Gaussian that are tried to bring it back: a wide one that lies along its tile need not reach
farther to the sides."""

FACTORS: Final = (0.93, 0.87, 0.81, 0.76, 0.7)
"""Factors on them."""

MOST_GAUSSIANS: Final = 4
"""Maximum number of Gaussians that are tried for a tile, the nearest of those that it has lost."""

MOST_TILES: Final = 8
"""Maximum number of tiles looked at, those of the greatest rise."""


def without_lost_tiles(
    task: QatTask, before: GaussianSet, after: GaussianSet, snap: Callable[[GaussianSet, Indices], GaussianSet]
) -> GaussianSet:
    """The Gaussians of `after`, of which those are wider that lost tiles need; the same object if none is lost.

    The Gaussian that comes back is the nearest of those that the tile lists no longer that lowers the error of the
    picture, made wider along one axis or both. Where none does, the tile stays lost: a Gaussian may show other tiles,
    too.

    Args:
        before: the set whose tiles are right, as the fit left it.
        after: the same set with rounded shapes.
        snap: rounds the shapes of some Gaussians, and keeps their features; their indices tell the rest about them.
    """
    errors_at = _tile_errors(task)
    errors = errors_at(after)
    rises = errors - errors_at(before)
    lost = (rises > LEAST_RISE * max(float(rises.mean()), 1e-12)) & (errors > LEAST_RATIO * (errors - rises))
    if not lost.any():
        return after
    order = np.argsort(-rises, axis=None, kind="stable")
    tiles = order[lost.ravel()[order]][:MOST_TILES]
    lists, best, least = _lists(task, before), after, float(errors.sum())
    n_columns = -(-task.grid.width // _side(task))  # one more than of errors where the stride passes over the last
    for row, column in zip(*(axis.tolist() for axis in np.unravel_index(tiles, rises.shape)), strict=True):
        tile = row * n_columns + column
        gone = np.setdiff1d(lists(tile), _lists(task, best)(tile)).astype(np.int64)
        centre = _side(task) * (np.array([column, row]) + 0.5)
        nearest = gone[np.argsort(squared_distances(before[gone], centre), kind="stable")][:MOST_GAUSSIANS]
        present = best
        for needed in nearest.tolist():
            for axes in AXES:
                wider = _wide_enough(task, present, needed, axes, tile, snap)
                if wider is not None and (error := float(errors_at(wider).sum())) < least:
                    best, least = wider, error
            if best is not present:
                break
    return best


def _wide_enough(
    task: QatTask,
    gaussians: GaussianSet,
    index: int,
    axes: list[int],
    tile: int,
    snap: Callable[[GaussianSet, Indices], GaussianSet],
) -> GaussianSet | None:
    """The set with one Gaussian that is as much wider along some axes as it takes for a tile to list it, or None."""
    which = np.array([index])
    for factor in FACTORS:
        inv_scales = gaussians.inv_scales[which]
        inv_scales[:, axes] *= factor
        wider = snap(replace(gaussians[which], inv_scales=inv_scales), which)
        if len(_lists(task, wider)(tile)):
            return joined([gaussians[:index], wider, gaussians[index + 1 :]])
    return None


def _lists(task: QatTask, gaussians: GaussianSet) -> Callable[[int], npt.NDArray[np.int32]]:
    """The Gaussians that a tile of the file lists, by its number."""
    shown, grid = on_shown_tiles(gaussians, task.grid, TILE_SIZE.bit_length() - 1)
    index = CpuRasterizer(task.rasterizer.threads or None).bin(shown, grid)
    return lambda tile: index.indices[index.offsets[tile] : index.offsets[tile + 1]]


def _tile_errors(task: QatTask) -> Callable[[GaussianSet], Float64Array]:
    """Function that returns the (rows, columns) sums of squared errors of the tiles of the file.

    They are those of every stride-th pixel, as in `error_of`. The last row and column of tiles are missing if they are
    so narrow that none of these pixels is in them.
    """
    side, stride = _side(task), task.plan.stride(task.lods.counts[-1])
    stride = stride if side % stride == 0 else 1
    engine, grid = CpuRasterizer(task.rasterizer.threads or None), replace(task.grid, scale_log2=0)
    squares_at = squares_of(task, engine, grid, stride)

    def errors(gaussians: GaussianSet) -> Float64Array:
        sums = square_sums(squares_at(gaussians), side // stride)
        return np.asarray(sums.sum(axis=2, dtype=np.float64), np.float64)

    return errors


def _side(task: QatTask) -> int:
    """Side of a tile of the file, in px of the target."""
    return max(1, TILE_SIZE >> task.grid.scale_log2)
