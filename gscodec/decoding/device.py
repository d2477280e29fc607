"""Renders a part of a picture in the memory of a GPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.container.reader import IgsReader
from gscodec.cuda import blending
from gscodec.cuda.runtime import Array, Runtime
from gscodec.cuda.scenes import bin_scene, render_rows, upload_gaussians
from gscodec.cuda.transfer import to_host
from gscodec.cuda.unpacking import unpack_pages
from gscodec.decoding.reduced import reduced_grid, reduced_window, tiles_of_reduced
from gscodec.decoding.scene import is_whole
from gscodec.decoding.work import TileLengths, TileRect, WorkBudget
from gscodec.format.profile_table import LAYOUTS
from gscodec.image.levels import native_dtype
from gscodec.image.transfer import from_model
from gscodec.model.channels import ChannelGroup, SampleType, channel_spans
from gscodec.model.gaussians import Float32Array, Float64Array, Window
from gscodec.model.rendering import OutputDtype, TileIndex
from gscodec.render.base import Rasterizer
from gscodec.render.kernel_report import decode_variants


def compile_ahead(backend: Rasterizer, reader: IgsReader) -> None:
    """Start compiling the kernels that decode a file in its own type, while its pages are read."""
    engine, grid = backend.on_device, reader.grid
    if engine is not None:
        dtype, profile = native_dtype(reader.groups).name, LAYOUTS[reader.header.profile].name
        engine.compile_ahead(decode_variants(len(grid.background), grid.top_k, dtype, profile))


class DeviceScene:
    """`Scene` in GPU memory. Pages are uploaded in their stored form and unpacked by the GPU.

    Args:
        factor: if above 1, pixels of the grid are this many stored pixels wide (`gscodec.decoding.reduced`), and the
            scene holds all Gaussians visible in its tiles.

    Raises:
        GsCodecError: as `IgsReader.read`.
        TooManyPairs: as `Rasterizer.bin`.
        OutOfDeviceMemory: the scene does not fit into the GPU's memory.
    """

    def __init__(
        self, reader: IgsReader, runtime: Runtime, lod: int, tiles: TileRect, max_pairs: int, factor: int = 1
    ) -> None:
        self.tiles = tiles
        self._runtime, self._factor = runtime, factor
        stored = tiles if factor == 1 else tiles_of_reduced(reader.grid, tiles, factor)
        whole = factor == 1 and is_whole(reader.grid, stored)
        with runtime:
            pages = reader.stored_pages(lod, None if whole else stored)
            gaussians = unpack_pages(runtime, pages)
            if gaussians is None:
                gaussians = upload_gaussians(runtime, pages.unpack())
            if factor > 1:
                means, inv_scales = gaussians.means, gaussians.inv_scales
                means *= 1.0 / factor
                inv_scales *= float(factor)
            grid = reduced_grid(reader.grid, factor)
            self._scene = bin_scene(runtime, gaussians, grid, tiles, max_pairs=max_pairs)
            offsets = runtime.download(self._scene.lists.offsets).astype(np.int64)
            self._lengths = TileLengths(TileIndex(offsets, np.zeros(0, np.int32)), tiles)

    @property
    def n_channels(self) -> int:
        """Number of channels C of a point."""
        return self._scene.gaussians.n_channels

    def render_rows(self, window: Window, rows: tuple[int, int], out: Array, budget: WorkBudget) -> None:
        """Write rows first to last - 1 of a window into a GPU array (last - first, width, C).

        Args:
            window: in stored pixels, with points inside `tiles`.
            out: float32, or codes of uint8 or uint16, as for `Rasterizer.forward`.

        Raises:
            LimitExceeded: the rest of the budget is too small.
        """
        part = Window(
            window.x,
            window.y + rows[0] * window.step_y,
            rows[1] - rows[0],
            window.width,
            window.step_x,
            window.step_y,
        )
        self.spend(part, budget)
        with self._runtime:
            render_rows(self._runtime, self._scene, reduced_window(window, self._factor), rows, out)

    def forward(self, window: Window, dtype: OutputDtype, budget: WorkBudget) -> npt.NDArray[Any]:
        """See `Scene.forward`."""
        result = np.empty((window.height, window.width, self.n_channels), dtype)
        to_host(self._runtime, result, lambda first, last, out: self.render_rows(window, (first, last), out, budget))
        return result

    def spend(self, window: Window, budget: WorkBudget) -> None:
        """Charge the points of a window to the budget."""
        n_points = window.height * window.width
        of_grid = reduced_window(window, self._factor)
        budget.spend(self._lengths.longest, n_points, lambda: self._lengths.of_window(of_grid))

    def sample(self, points: Float64Array, budget: WorkBudget) -> Float32Array:
        """See `Scene.sample`."""
        result = np.empty((len(points), self.n_channels), np.float32)
        self._spend_points(points, budget)
        to_host(self._runtime, result, lambda first, last, out: self._sample(points[first:last], out))
        return result

    def sample_to(self, points: Float64Array, out: Array, budget: WorkBudget) -> None:
        """Write the values at points (M, 2) px into a contiguous GPU array (M, C)."""
        self._spend_points(points, budget)
        for first in range(0, len(points), _POINTS):
            self._sample(points[first : first + _POINTS], out[first : first + _POINTS])

    def _spend_points(self, points: Float64Array, budget: WorkBudget) -> None:
        budget.spend(self._lengths.longest, len(points), lambda: self._lengths.of_points(points))

    def _sample(self, points: Float64Array, out: Array) -> None:
        with self._runtime:
            blending.sample(self._runtime, self._scene, self._runtime.upload(points), out)


_POINTS = 1 << 24
"""Maximum number of points uploaded at a time."""


def values_in_place(runtime: Runtime, samples: Array, groups: Sequence[ChannelGroup]) -> None:
    """Convert float groups among the model's samples (..., C) to the source's units, in place: `levels.to_values`."""
    with runtime:
        for group, channels in channel_spans(groups):
            if group.sample_type is SampleType.FLOAT:
                part = samples[..., channels]
                part[...] = from_model(part, group, runtime.xp)
