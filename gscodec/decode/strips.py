"""A picture from the top down, for outputs that memory would not hold."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy.typing as npt

from gscodec.constants import TILE_SIZE
from gscodec.decode.scaled import shrink, strips
from gscodec.decode.scene import Scene, TileRect
from gscodec.gaussians import Float32Array, Window
from gscodec.raster.base import OutputDtype

BAND_TILES: Final = 32
"""Rows of tiles whose Gaussians are read at a time: a page that reaches into two bands is read twice."""


def picture_strips(
    load: Callable[[TileRect], Scene],
    region: tuple[int, int, int, int],
    size: tuple[int, int],
    n_channels: int,
    dtype: OutputDtype,
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Strips of a region at some size: blended values, or integers where nothing is shrunk and `dtype` says so.

    Args:
        load: what is needed to render some tiles.
        region: (x, y, width, height) in stored px.
        size: (height, width) of the output.

    Yields:
        Index of the first row, and rows (h, width, C).
    """
    x, y, region_width, region_height = region
    (height, width), shrinks = size, size[0] < region_height or size[1] < region_width
    lattice = max(region_height, height), max(region_width, width)
    step_y, step_x = region_height / lattice[0], region_width / lattice[1]
    columns = x // TILE_SIZE, -(-(x + region_width) // TILE_SIZE)
    end = -(-(y + region_height) // TILE_SIZE)
    held: list[Scene] = []

    def scene(top: float, bottom: float) -> Scene:
        first, last = math.floor(top / TILE_SIZE), min(end, math.ceil(bottom / TILE_SIZE))
        if not (held and held[0].tiles[1] <= first and held[0].tiles[3] >= last):
            held.clear()  # before the next is read, which takes as much again
            held.append(load((columns[0], first, columns[1], max(last, min(end, first + BAND_TILES)))))
        return held[0]

    def render(first: int, last: int, kind: OutputDtype = "float32") -> npt.NDArray[Any]:
        top, bottom = y + first * step_y, y + last * step_y
        window = Window(x, top, last - first, lattice[1], step_x, step_y)
        return scene(top, bottom).forward(window, kind)

    offset = y if step_y == 1 else 0
    if shrinks:

        def blended(first: int, last: int) -> Float32Array:
            return render(first, last)

        yield from shrink(blended, lattice, size, n_channels, offset)
        return
    for first, last in strips(height, width * n_channels, offset):
        yield first, render(first, last, dtype)
