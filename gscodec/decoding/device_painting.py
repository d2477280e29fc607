"""`gscodec.decoding.painting` on a GPU: scenes and results stay in GPU memory until they are requested.

A result is rendered in strips that fit into the available memory, bit-identical to rendering it as a whole: points have
the same positions, and an average sums its cells in the same order.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from gscodec.cuda.averages import DeviceAverage, to_codes
from gscodec.cuda.estimates import check_room
from gscodec.cuda.grain import add_grain
from gscodec.cuda.runtime import Array, Runtime
from gscodec.cuda.transfer import row_strips, to_host, travelling
from gscodec.decoding.automatic import thumbnail_lattice
from gscodec.decoding.device import DeviceScene, values_in_place
from gscodec.decoding.paint_request import Output, Request, bands_of
from gscodec.decoding.reduced import reduction
from gscodec.decoding.store import SceneStore, tiles_of
from gscodec.image.averages import SampleAverage
from gscodec.image.levels import has_floats
from gscodec.model.gaussians import Window
from gscodec.model.rendering import TooManyPairs

_Result = TypeVar("_Result")

WORK_BYTES: Final = 1 << 28
"""Maximum memory for the intermediate results of a strip: 22 megapixels of RGB, far more than keeps a GPU busy."""

LEAST_WORK_BYTES: Final = 1 << 22

WORK_SHARE: Final = 8
"""Divisor of the free memory for a strip: up to three exist at a time, beside the result."""


def work_bytes(free: int) -> int:
    """Bytes available to the intermediate results of a strip, given the free bytes of the GPU."""
    return min(WORK_BYTES, max(LEAST_WORK_BYTES, free // WORK_SHARE))


class DevicePainting:
    """A request on a GPU, of which any rows can be rendered.

    Args:
        store: of a file that is open on a GPU.
        thumbnail: whether to sample as `painting.paint_thumbnail`.
    """

    def __init__(self, store: SceneStore, request: Request, output: Output, *, thumbnail: bool) -> None:
        assert store.runtime is not None
        self.runtime: Runtime = store.runtime
        self._store, self._request, self._output, self._thumbnail = store, request, output, thumbnail
        self._groups = store.reader.groups
        self.n_channels = len(store.reader.grid.background)
        x, y, width, height = request.region
        if thumbnail:
            self._lattice = thumbnail_lattice(request.region, request.size)
        else:
            self._lattice = max(height, request.size[0]), max(width, request.size[1])
        self._window = Window(x, y, *self._lattice, step_x=width / self._lattice[1], step_y=height / self._lattice[0])
        self._tiles = tiles_of(request.region)
        self._average: DeviceAverage | None = None
        if self._lattice != request.size:
            self._average = DeviceAverage(self.runtime, self._lattice, request.size, SampleAverage(self._groups))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, C) of the result."""
        return (*self._request.size, self.n_channels)

    def fill(self, first: int, last: int, out: Array) -> None:
        """Write rows first to last - 1 into a contiguous GPU array (last - first, width, C).

        Args:
            out: has the output's type.

        Raises:
            TooManyPairs: the tile lists to load are too long; the store's `narrow` loads fewer tiles.
            GsCodecError: as `painting.paint`.
        """
        with self.runtime:
            if self._average is not None:
                self._means(self._average, first, last, out)
            elif self._output.engine == str(out.dtype) and not has_floats(self._groups) and not self._request.grain:
                self._points(first, last, out)
            else:
                row_bytes = 4 * self.shape[1] * self.n_channels
                for top, bottom in _strips_of(first, last, row_bytes, self.runtime):
                    part = out[top - first : bottom - first]
                    with self._as_floats(part) as values:
                        self._values(top, bottom, values)
                        self._add_grain(values, top)

    def _means(self, average: DeviceAverage, first: int, last: int, out: Array) -> None:
        sum_bytes, cell_bytes = 8 * average.row_values, 4 * self._lattice[1] * self.n_channels
        for top, bottom in _strips_of(first, last, sum_bytes, self.runtime):
            sums = average.begin(top, bottom)
            for begin, end in _strips_of(*average.cells_of(top, bottom), cell_bytes, self.runtime):
                cells = self.runtime.xp.empty((end - begin, self._lattice[1], self.n_channels), np.float32)
                self._values(begin, end, cells)
                average.add(sums, top, cells, begin)
            with self._as_floats(out[top - first : bottom - first]) as means:
                average.finish(sums, means)
                self._add_grain(means, top)

    def _values(self, first: int, last: int, out: Array) -> None:
        """Rows of the lattice as float32, with float groups in the source's units."""
        self._points(first, last, out)
        if has_floats(self._groups):
            values_in_place(self.runtime, out, self._groups)

    def _points(self, first: int, last: int, out: Array) -> None:
        """Rows of the lattice as rendered by the engine."""
        for begin, end in self._bands():
            top, bottom = max(first, begin), min(last, end)
            if top < bottom:
                self._scene(top, bottom).render_rows(
                    self._window, (top, bottom), out[top - first : bottom - first], self._request.budget
                )

    def _bands(self) -> list[tuple[int, int]]:
        if self._thumbnail:
            return [(0, self._lattice[0])]
        band = self._store.band_tiles(self._request.lod, self._tiles)
        return bands_of(self._tiles, band, self._lattice[0], self._request.region[1], self._window.step_y)

    def _scene(self, first: int, last: int) -> DeviceScene:
        window, lod = self._window, self._request.lod
        if self._thumbnail:
            factor = reduction(window.step_x, window.step_y)
            return self._store.reduced_on_device(lod, self._request.region, factor)
        part = Window(
            window.x, window.y + first * window.step_y, last - first, window.width, window.step_x, window.step_y
        )
        scene = self._store.scene_of(lod, self._tiles, part)
        assert isinstance(scene, DeviceScene)
        return scene

    def _add_grain(self, values: Array, first_row: int) -> None:
        if self._request.grain:
            add_grain(self.runtime, values, self._request.grain, self._groups, self._request.grain_grid, first_row)

    def _as_floats(self, out: Array) -> "_Floats":
        return _Floats(self.runtime, out, self._output)


class _Floats:
    """Context with a float32 array that is converted to `out` at the end; it is `out` itself if that is float32."""

    def __init__(self, runtime: Runtime, out: Array, output: Output) -> None:
        self._runtime, self._out, self._output = runtime, out, output
        self._values = out if out.dtype == np.float32 else runtime.xp.empty(out.shape, np.float32)

    def __enter__(self) -> Array:
        return self._values

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._values is not self._out:
            to_codes(self._runtime, self._values, self._output.steps, self._out)


def paint_to_host(
    store: SceneStore, request: Request, output: Output, *, thumbnail: bool, out: npt.NDArray[Any] | None
) -> npt.NDArray[Any]:
    """`painting.paint`, or `paint_thumbnail`, on the GPU: only the result is downloaded, in strips if it is large.

    Args:
        out: array to write to; None allocates one.
    """

    def work(painting: DevicePainting) -> npt.NDArray[Any]:
        result = np.empty(painting.shape, output.dtype) if out is None else out
        to_host(painting.runtime, result, painting.fill)
        return result

    return _narrowing(store, request, output, work, thumbnail=thumbnail)


def paint_to_device(
    store: SceneStore, request: Request, output: Output, *, thumbnail: bool, out: Array | None
) -> Array:
    """The same into GPU memory."""

    def work(painting: DevicePainting) -> Array:
        result = out
        if result is None:
            height, width, n_channels = painting.shape
            n_bytes = height * width * n_channels * output.dtype.itemsize
            remedy = "request a region, a smaller size, or strips"
            check_room(painting.runtime, n_bytes, f"a picture of {width}x{height} px", remedy)
            with painting.runtime as runtime:
                result = runtime.xp.empty(painting.shape, output.dtype)
        painting.fill(0, len(result), result)
        return result

    return _narrowing(store, request, output, work, thumbnail=thumbnail)


def paint_strips_to_host(store: SceneStore, request: Request, output: Output) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """`strips.paint_strips` on the GPU, which renders the next strip while the caller uses the current one."""
    height, begin = request.size[0], 0
    while begin < height:
        painting = DevicePainting(store, request, output, thumbnail=False)
        row_shape = painting.shape[1:]
        row_bytes = int(np.prod(row_shape)) * output.dtype.itemsize
        strips = ((begin + first, begin + last) for first, last in row_strips(height - begin, row_bytes, align=16))
        try:
            for first, rows in travelling(painting.runtime, strips, row_shape, output.dtype, painting.fill):
                yield first, rows.copy()
                begin = first + len(rows)
        except TooManyPairs:
            if not store.narrow(request.lod, tiles_of(request.region)):
                raise


def _narrowing(
    store: SceneStore,
    request: Request,
    output: Output,
    work: Callable[[DevicePainting], _Result],
    *,
    thumbnail: bool,
) -> _Result:
    """Result of `work`, restarted with fewer tiles at a time while their lists are too long to load at once."""
    while True:
        request.budget.restart()
        try:
            return work(DevicePainting(store, request, output, thumbnail=thumbnail))
        except TooManyPairs:
            if thumbnail or not store.narrow(request.lod, tiles_of(request.region)):
                raise


def _strips_of(first: int, last: int, row_bytes: int, runtime: Runtime) -> Iterator[tuple[int, int]]:
    n_bytes = work_bytes(runtime.free_bytes())
    strips = row_strips(last - first, row_bytes, n_bytes, align=16 if 16 * row_bytes <= n_bytes else 1)
    return ((first + top, first + bottom) for top, bottom in strips)
