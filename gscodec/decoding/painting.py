"""Renders a validated request: at the stored size, enlarged, area-averaged, or as a thumbnail."""

from collections.abc import Iterator

import numpy as np

from gscodec.decoding.automatic import thumbnail_lattice
from gscodec.decoding.paint_request import Array, Output, Request, bands_of
from gscodec.decoding.reduced import reduction
from gscodec.decoding.scaled import shrink
from gscodec.decoding.store import SceneStore, tiles_of
from gscodec.decoding.work import TileRect
from gscodec.image.averages import SampleAverage
from gscodec.image.levels import to_values
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array, Window
from gscodec.model.rendering import TooManyPairs


def paint(store: SceneStore, request: Request, output: Output, out: Array | None = None) -> Array:
    """(height, width, C) result: point samples along enlarged axes, area averages along reduced ones.

    Args:
        out: array of that shape and the output's type to write to; None allocates one.

    Raises:
        LimitExceeded: more work or longer tile lists than the limits allow.
        GsCodecError: as `IgsReader.read`, or raised by the engine.
    """
    if store.runtime is not None:
        from gscodec.decoding.device_painting import paint_to_host

        return paint_to_host(store, request, output, thumbnail=False, out=out)
    return _placed(_painted_whole(store, request, output), out)


def _painted_whole(store: SceneStore, request: Request, output: Output) -> Array:
    tiles = tiles_of(request.region)
    while True:
        request.budget.restart()
        try:
            return (_shrunk if request.shrinks else _painted)(store, request, tiles, output)
        except TooManyPairs:  # lists too long to load at once: load narrower bands
            if not store.narrow(request.lod, tiles):
                raise


def _painted(store: SceneStore, request: Request, tiles: TileRect, output: Output) -> Array:
    groups = store.reader.groups
    x, y, _, _ = request.region
    step_y, step_x = request.steps
    bands = bands_of(tiles, store.band_tiles(request.lod, tiles), request.size[0], y, step_y)
    result: Array | None = None
    for first, last in bands:
        window = Window(x, y + first * step_y, last - first, request.size[1], step_x, step_y)
        part = store.scene_of(request.lod, tiles, window).forward(window, output.engine, request.budget)
        if output.engine == "float32":
            part = to_values(part, groups)
            request.add_grain(part, first, groups)
            part = output.finish(part)
        if len(bands) == 1:
            return part
        if result is None:
            result = np.empty((*request.size, part.shape[2]), part.dtype)
        result[first:last] = part
    assert result is not None
    return result


def _placed(result: Array, out: Array | None) -> Array:
    if out is None:
        return result
    out[...] = result
    return out


def paint_thumbnail(store: SceneStore, request: Request, output: Output, out: Array | None = None) -> Array:
    """(height, width, C) result: each pixel is the mean of a few points of a reduced grid (`decoding.automatic`).

    Along an axis that is only slightly reduced, all stored pixels are averaged.

    Args:
        out: as in `paint`.

    Raises:
        GsCodecError: as `IgsReader.read_region`, or raised by the engine.
    """
    if store.runtime is not None:
        from gscodec.decoding.device_painting import paint_to_host

        return paint_to_host(store, request, output, thumbnail=True, out=out)
    x, y, width, height = request.region
    lattice = thumbnail_lattice(request.region, request.size)
    step_y, step_x = height / lattice[0], width / lattice[1]
    request.budget.restart()
    scene = store.reduced(request.lod, request.region, reduction(step_x, step_y))
    groups = store.reader.groups

    def render(first: int, last: int) -> Float32Array:
        window = Window(x, y + first * step_y, last - first, lattice[1], step_x, step_y)
        return to_values(scene.forward(window, request.budget), groups)

    means = shrink(render, lattice, request.size, SampleAverage(groups), 0)
    return _placed(_joined(means, request, groups, output), out)


def _shrunk(store: SceneStore, request: Request, tiles: TileRect, output: Output) -> Array:
    x, y, region_width, region_height = request.region
    groups = store.reader.groups
    lattice = max(region_height, request.size[0]), max(region_width, request.size[1])
    step_y, step_x = region_height / lattice[0], region_width / lattice[1]

    bands = bands_of(tiles, store.band_tiles(request.lod, tiles), lattice[0], y, step_y)

    def render(first: int, last: int) -> Float32Array:
        parts = []
        for begin, end in bands:
            top, bottom = max(first, begin), min(last, end)
            if top < bottom:
                window = Window(x, y + top * step_y, bottom - top, lattice[1], step_x, step_y)
                parts.append(store.scene_of(request.lod, tiles, window).forward(window, "float32", request.budget))
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return to_values(values, groups)

    strips = shrink(render, lattice, request.size, SampleAverage(groups), y if step_y == 1 else 0)
    return _joined(strips, request, groups, output)


def _joined(
    strips: Iterator[tuple[int, Float32Array]], request: Request, groups: tuple[ChannelGroup, ...], output: Output
) -> Array:
    """Strips of a picture with their grain, converted to the output's type, as one array."""
    result: Array | None = None
    for row, values in strips:
        request.add_grain(values, row, groups)
        finished = output.finish(values)
        if result is None:
            result = np.empty((*request.size, values.shape[2]), finished.dtype)
        result[row : row + len(finished)] = finished
    assert result is not None
    return result
