"""Groups points into rectangles of tiles to read, so that scattered points do not read the tiles between them."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.decoding.scene import holds
from gscodec.decoding.work import TileRect
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float64Array, Grid

_ONE_READ_TILES: Final = 1 << 16
"""Maximum number of tiles, 4096 x 4096 px, of a rectangle that is always read as a whole."""

_BLOCK_LOG2: Final = 6
"""Logarithm of the side, in tiles, of the blocks into which points of larger rectangles are grouped."""

_SCATTERED_TILES: Final = 16
"""Maximum number of distinct tiles that are read one by one; more share one read of their bounding rectangle."""

_FEW_POINTS: Final = 4096
"""Maximum number of points for which distinct tiles are counted."""

Which = npt.NDArray[np.intp] | slice


def clusters(points: Float64Array, grid: Grid, known: TileRect | None) -> Iterator[tuple[TileRect, Which]]:
    """Rectangles of tiles, and the indices of the points (M, 2) px in each.

    Args:
        known: a rectangle that is loaded already.
    """
    if not len(points):
        return
    rows, columns = grid.tiles_shape
    last = np.array([columns - 1, rows - 1])
    corners = np.array([points.min(axis=0), points.max(axis=0)])
    (x0, y0), (x1, y1) = np.minimum((corners / TILE_SIZE).astype(np.int64), last).tolist()
    around = x0, y0, x1 + 1, y1 + 1
    small = (x1 + 1 - x0) * (y1 + 1 - y0) <= _ONE_READ_TILES
    if (known is not None and holds(known, around)) or (small and len(points) > _FEW_POINTS):
        yield around, slice(None)
        return
    tiles = np.minimum((points * (1 / TILE_SIZE)).astype(np.int64), last)
    if small:
        yield from _few(tiles, np.arange(len(points)), around)
        return
    blocks = (tiles[:, 1] >> _BLOCK_LOG2) * (-(-columns >> _BLOCK_LOG2) + 1) + (tiles[:, 0] >> _BLOCK_LOG2)
    order = np.argsort(blocks, kind="stable")
    for which in np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1):
        own = tiles[which]
        (x0, y0), (x1, y1) = own.min(axis=0).tolist(), own.max(axis=0).tolist()
        yield from _few(own, which, (x0, y0, x1 + 1, y1 + 1))


def _few(
    tiles: npt.NDArray[np.int64], which: npt.NDArray[np.intp], around: TileRect
) -> Iterator[tuple[TileRect, npt.NDArray[np.intp]]]:
    """Tiles one by one if they are few: the rectangle around two opposite corners would be the whole picture."""
    keys = (tiles[:, 1] << 32) + tiles[:, 0]
    distinct, owner = np.unique(keys, return_inverse=True)
    if len(distinct) > _SCATTERED_TILES:
        yield around, which
        return
    for number, key in enumerate(distinct.tolist()):
        y, x = divmod(key, 1 << 32)
        yield (x, y, x + 1, y + 1), which[owner == number]
