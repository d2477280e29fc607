"""The Gaussians of a level of detail in a rectangle of tiles, ready to render, as an open file caches them."""

from typing import Any, Protocol

import numpy.typing as npt

from gscodec.container.reader import IgsReader
from gscodec.decoding.statistics import WorkTally
from gscodec.decoding.work import TileLengths, TileRect, WorkBudget
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import OutputDtype
from gscodec.render.base import Rasterizer


class Scene(Protocol):
    """Part of a picture, in host or GPU memory."""

    tiles: TileRect

    def forward(self, window: Window, dtype: OutputDtype, budget: WorkBudget) -> npt.NDArray[Any]:
        """As `Rasterizer.forward`, for points in `tiles`; the work is charged to the budget.

        Raises:
            LimitExceeded: the rest of the budget is too small.
        """
        ...

    def sample(self, points: Float64Array, budget: WorkBudget) -> Float32Array:
        """As `Rasterizer.sample`, for points in `tiles`; the budget as in `forward`."""
        ...


class HostScene:
    """`Scene` in host memory, rendered by any engine.

    Args:
        only_arrived: whether pages that a truncated file does not have are left out.

    Raises:
        GsCodecError: as `IgsReader.read`.
        TooManyPairs: as `Rasterizer.bin`.
    """

    def __init__(
        self,
        reader: IgsReader,
        backend: Rasterizer,
        lod: int,
        tiles: TileRect,
        tally: WorkTally | None,
        max_pairs: int,
        *,
        only_arrived: bool = False,
    ) -> None:
        self.tiles = tiles
        self._tally = tally
        self._backend = backend
        self._grid = reader.grid
        self._gaussians = reader.read_arrived(lod, tiles) if only_arrived else read_tiles(reader, lod, tiles)
        self._index = backend.bin(self._gaussians, self._grid, tiles, max_pairs)
        self._lengths = TileLengths(self._index, tiles)

    def forward(self, window: Window, dtype: OutputDtype, budget: WorkBudget) -> npt.NDArray[Any]:
        """See `Scene.forward`."""
        n_points = window.height * window.width
        budget.spend(self._lengths.longest, n_points, lambda: self._lengths.of_window(window))
        if self._tally is not None:
            self._tally.add_window(self._index, self.tiles, window)
        return self._backend.forward(self._gaussians, self._grid, self._index, window, dtype)

    def sample(self, points: Float64Array, budget: WorkBudget) -> Float32Array:
        """See `Scene.sample`."""
        budget.spend(self._lengths.longest, len(points), lambda: self._lengths.of_points(points))
        if self._tally is not None:
            self._tally.add_points(self._index, self.tiles, points)
        return self._backend.sample(self._gaussians, self._grid, self._index, points)


def is_whole(grid: Grid, tiles: TileRect) -> bool:
    """Whether the rectangle covers all of the grid's tiles."""
    return tiles == (0, 0, *grid.tiles_shape[::-1])


def holds(outer: TileRect, inner: TileRect) -> bool:
    """Whether one rectangle contains another."""
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


def read_tiles(reader: IgsReader, lod: int, tiles: TileRect) -> GaussianSet:
    """The Gaussians of a level of detail that are visible in some tiles, and possibly others."""
    return reader.read(lod) if is_whole(reader.grid, tiles) else reader.read_region(lod, tiles)
