"""Renders a picture much smaller than stored: the same Gaussians on a grid whose pixels are 2^k stored pixels wide.

Tile lists over all tiles of a huge picture cost far more than the pixels of a thumbnail. Here a tile is 2^k times as
wide. Its list holds all Gaussians of the tiles inside it, and possibly more: Gaussians beyond their support ellipse,
whose weight matters only where no other Gaussian is near.
"""

import math

from gscodec.container.reader import IgsReader
from gscodec.decoding.work import TileLengths, TileRect, WorkBudget
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, Window
from gscodec.render.base import Rasterizer


def reduction(step_x: float, step_y: float) -> int:
    """The largest power of two, at least 1, that does not exceed either step between points, in stored pixels."""
    return 1 << max(0, math.floor(math.log2(min(step_x, step_y))))


def tiles_of_region(region: tuple[int, int, int, int], factor: int) -> TileRect:
    """Tiles of a reduced grid that intersect a region (x, y, width, height) of stored pixels."""
    side = TILE_SIZE * factor
    x, y, width, height = region
    return x // side, y // side, -(-(x + width) // side), -(-(y + height) // side)


def tiles_of_reduced(stored: Grid, tiles: TileRect, factor: int) -> TileRect:
    """Stored tiles covered by tiles of a reduced grid."""
    rows, columns = stored.tiles_shape
    x0, y0, x1, y1 = (edge * factor for edge in tiles)
    return x0, y0, min(x1, columns), min(y1, rows)


def reduced_grid(stored: Grid, factor: int) -> Grid:
    """Grid whose pixels are `factor` stored pixels wide."""
    height, width = -(-stored.height // factor), -(-stored.width // factor)
    return Grid(height, width, stored.background, stored.top_k, stored.support_q)


def reduced_window(window: Window, f: int) -> Window:
    """A window of stored pixels in px of the grid reduced by f; exact, because f is a power of two."""
    return Window(window.x / f, window.y / f, window.height, window.width, window.step_x / f, window.step_y / f)


class ReducedScene:
    """The Gaussians of a level in a region, on a reduced grid.

    Raises:
        GsCodecError: as `IgsReader.read_region`.
        TooManyPairs: as `Rasterizer.bin`.
    """

    def __init__(
        self,
        reader: IgsReader,
        backend: Rasterizer,
        lod: int,
        region: tuple[int, int, int, int],
        factor: int,
        max_pairs: int,
    ) -> None:
        self.key = lod, region, factor
        self._backend, self._factor = backend, factor
        self._grid = reduced_grid(reader.grid, factor)
        tiles = tiles_of_region(region, factor)
        gaussians = reader.read_region(lod, tiles_of_reduced(reader.grid, tiles, factor))
        self._gaussians = GaussianSet(
            gaussians.means / factor, gaussians.inv_scales * factor, gaussians.rotations, gaussians.features
        )
        self._index = backend.bin(self._gaussians, self._grid, tiles, max_pairs)
        self._lengths = TileLengths(self._index, tiles)

    def forward(self, window: Window, budget: WorkBudget) -> Float32Array:
        """Values at a window's points; the window is in stored pixels."""
        reduced = reduced_window(window, self._factor)
        n_points = window.height * window.width
        budget.spend(self._lengths.longest, n_points, lambda: self._lengths.of_window(reduced))
        result: Float32Array = self._backend.forward(self._gaussians, self._grid, self._index, reduced, "float32")
        return result
