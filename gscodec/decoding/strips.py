"""Renders a picture from top to bottom, for outputs that do not fit into memory."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.decoding.load_scene import load_scene
from gscodec.decoding.paint_request import Output, Request
from gscodec.decoding.scaled import shrink, strips
from gscodec.decoding.scene import Scene
from gscodec.decoding.store import BAND_TILES, SceneStore, tiles_of
from gscodec.decoding.work import TileRect
from gscodec.errors import BackendUnavailable, OutOfDeviceMemory
from gscodec.image.averages import SampleAverage
from gscodec.image.levels import to_values
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Window
from gscodec.model.rendering import OutputDtype, TooManyPairs


def paint_strips(store: SceneStore, request: Request, output: Output) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yields the result of `painting.paint` in strips. A band of tiles is in memory at a time; on a GPU as many as fit.

    A page that intersects two bands is read twice.

    Yields:
        Index of the first row, and rows (h, width, C).
    """
    done = 0
    if store.runtime is not None:
        from gscodec.decoding.device_painting import paint_strips_to_host

        try:
            for first, rows in paint_strips_to_host(store, request, output):
                yield first, rows
                done = first + len(rows)
            return
        except (BackendUnavailable, OutOfDeviceMemory) as fault:
            store.take_spare(fault)
    for first, rows in _host_strips(store, request, output):
        if first + len(rows) > done:  # rows that the GPU has yielded already are skipped
            yield max(first, done), rows[max(0, done - first) :]


def _host_strips(store: SceneStore, request: Request, output: Output) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    x, y, region_width, region_height = request.region
    height, width = request.size
    lattice = max(region_height, height), max(region_width, width)
    step_y, step_x = region_height / lattice[0], region_width / lattice[1]
    first_column, _, last_column, end = tiles_of(request.region)
    groups, n_channels = store.reader.groups, len(store.reader.grid.background)
    held: list[Scene] = []

    def scene(top: float, bottom: float) -> Scene:
        first, last = math.floor(top / TILE_SIZE), min(end, math.ceil(bottom / TILE_SIZE))
        if not (held and held[0].tiles[1] <= first and held[0].tiles[3] >= last):
            held.clear()  # frees the memory of the previous scene first
            wide, narrow = ((first_column, first, last_column, row) for row in (min(end, first + BAND_TILES), last))
            try:
                held.append(load(max(wide, narrow)))
            except TooManyPairs:  # then load only what the strip needs
                held.append(load(narrow))
        return held[0]

    def load(band: TileRect) -> Scene:
        return store.with_spare(
            lambda: load_scene(store.reader, store.backend, request.lod, band, store.tally, store.max_pairs)
        )

    def render(first: int, last: int, kind: OutputDtype) -> npt.NDArray[Any]:
        top, bottom = y + first * step_y, y + last * step_y
        window = Window(x, top, last - first, lattice[1], step_x, step_y)
        try:
            values = scene(top, bottom).forward(window, kind, request.budget)
        except TooManyPairs:
            if last - first < 2:
                raise
            middle = (first + last) // 2
            return np.concatenate([render(first, middle, kind), render(middle, last, kind)])
        return values if kind != "float32" else to_values(values, groups)

    offset = y if step_y == 1 else 0
    if request.shrinks:
        blend = functools.partial(render, kind="float32")
        for row, values in shrink(blend, lattice, request.size, SampleAverage(groups), offset):
            request.add_grain(values, row, groups)
            yield row, output.finish(values)
        return
    for first, last in strips(height, width * n_channels, offset):
        values = render(first, last, output.engine)
        if output.engine == "float32":
            request.add_grain(values, first, groups)
            values = output.finish(values)
        yield first, values
