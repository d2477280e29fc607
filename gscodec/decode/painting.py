"""From a checked request to pixels: at the stored size, enlarged, area-averaged, or as a thumbnail."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.constants import TILE_SIZE
from gscodec.decode.automatic import thumbnail_lattice
from gscodec.decode.reduced import reduction
from gscodec.decode.scaled import shrink
from gscodec.decode.store import SceneStore, tiles_of
from gscodec.decode.work import TileRect, WorkBudget
from gscodec.errors import InvalidArgument
from gscodec.format import ChannelGroup
from gscodec.gaussians import Float32Array, Window
from gscodec.image.averages import SampleAverage
from gscodec.image.levels import full_range, has_floats, native_dtype, to_native, to_values
from gscodec.raster.base import OutputDtype, TooManyPairs

Array = npt.NDArray[Any]

_DTYPES: Final[dict[str, OutputDtype]] = {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}


@dataclass(frozen=True)
class Request:
    """A part of a level at a size."""

    lod: int
    region: tuple[int, int, int, int]  # x, y, width, height in stored pixels
    size: tuple[int, int]  # (height, width)
    budget: WorkBudget

    @property
    def steps(self) -> tuple[float, float]:
        """(y, x) stored pixels for each pixel of the result."""
        return self.region[3] / self.size[0], self.region[2] / self.size[1]

    @property
    def shrinks(self) -> bool:
        """Whether the result is smaller along an axis."""
        return self.size[0] < self.region[3] or self.size[1] < self.region[2]


@dataclass(frozen=True)
class Output:
    """What to ask of the engine, and what makes the result of float32."""

    engine: OutputDtype
    finish: Callable[[Array], Array]
    dtype: np.dtype[Any]
    steps: tuple[int, ...]  # of each channel: the levels above 0 that codes have


def output_for(groups: tuple[ChannelGroup, ...], dtype: npt.DTypeLike | None) -> Output:
    """How pixels of a type come about; None is the file's own.

    Raises:
        InvalidArgument: another type than uint8, uint16 or float32.
    """
    native = native_dtype(groups)
    depths = {group.bit_depth for group in groups}
    if dtype is None and native.kind == "u" and depths != {8 * native.itemsize}:
        steps = tuple((1 << group.bit_depth) - 1 for group in groups for _ in range(group.n_channels))
        return Output("float32", lambda values: to_native(values, groups), native, steps)
    try:
        wanted = native if dtype is None else np.dtype(dtype)
    except TypeError as fault:
        raise InvalidArgument(f"dtype {dtype!r} is not uint8, uint16 or float32") from fault
    if wanted.name not in _DTYPES:
        raise InvalidArgument(f"dtype {wanted} is not uint8, uint16 or float32")
    engine: OutputDtype = "float32" if has_floats(groups) else _DTYPES[wanted.name]
    top = int(np.iinfo(wanted).max) if wanted.kind == "u" else 0
    steps = (top,) * sum(group.n_channels for group in groups)
    return Output(engine, lambda values: full_range(values, wanted), wanted, steps)


def paint(store: SceneStore, request: Request, output: Output, out: Array | None = None) -> Array:
    """(height, width, C): points where the region is enlarged, area averages where it is shrunk.

    Args:
        out: an array of that shape and the output's type to write it to.

    Raises:
        LimitExceeded: more work or longer tile lists than the limits allow.
        GsCodecError: as `IgsReader.read`, and what the engine raises.
    """
    if store.runtime is not None:
        from gscodec.decode.device_painting import paint_to_host

        return paint_to_host(store, request, output, thumbnail=False, out=out)
    return _placed(_painted_whole(store, request, output), out)


def _painted_whole(store: SceneStore, request: Request, output: Output) -> Array:
    tiles = tiles_of(request.region)
    while True:
        request.budget.restart()
        try:
            return (_shrunk if request.shrinks else _painted)(store, request, tiles, output)
        except TooManyPairs:  # lists too long to load at once: in narrower bands
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
        part = part if output.engine != "float32" else output.finish(to_values(part, groups))
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
    """(height, width, C): each pixel the mean of a few points on a reduced grid (`gscodec.decode.automatic`).

    Along an axis that is not much smaller, all stored pixels count.

    Args:
        out: as in `paint`.

    Raises:
        GsCodecError: as `IgsReader.read_region`, and what the engine raises.
    """
    if store.runtime is not None:
        from gscodec.decode.device_painting import paint_to_host

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
    return _placed(_joined(means, request.size, output), out)


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
    return _joined(strips, request.size, output)


def bands_of(tiles: TileRect, band: int, height: int, y: int, step_y: float) -> list[tuple[int, int]]:
    """First and one-past-last rows of an output that are rendered at a time: those of `band` rows of tiles."""
    if band == tiles[3] - tiles[1]:
        return [(0, height)]
    side = TILE_SIZE * band
    edges = (round((edge * side - y) / step_y) for edge in range(y // side + 1, -(-tiles[3] // band)))
    return list(itertools.pairwise(sorted({0, height, *(edge for edge in edges if 0 < edge < height)})))


def _joined(strips: Iterator[tuple[int, Float32Array]], size: tuple[int, int], output: Output) -> Array:
    """Strips of a picture, finished, as one array."""
    result: Array | None = None
    for row, values in strips:
        finished = output.finish(values)
        if result is None:
            result = np.empty((*size, values.shape[2]), finished.dtype)
        result[row : row + len(finished)] = finished
    assert result is not None
    return result
