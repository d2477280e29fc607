"""A part of a picture in the memory of a card."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.cuda import blending
from gscodec.cuda.runtime import Array, Runtime
from gscodec.cuda.scenes import bin_scene, render_window, upload_gaussians
from gscodec.cuda.unpacking import unpack_pages
from gscodec.decode.scene import is_whole
from gscodec.decode.work import TileLengths, TileRect, WorkBudget
from gscodec.format import ChannelGroup, IgsReader, SampleType
from gscodec.gaussians import Float32Array, Float64Array, Window
from gscodec.image.transfer import from_model
from gscodec.raster.base import OutputDtype, TileIndex


class DeviceScene:
    """`Scene` on a card, where it stays. Pages go there as they lie in the file, and the card unpacks them.

    Raises:
        GsCodecError: as `IgsReader.read`.
        LimitExceeded, OutOfDeviceMemory: too much for an engine, or for this card.
    """

    def __init__(self, reader: IgsReader, runtime: Runtime, lod: int, tiles: TileRect, max_pairs: int) -> None:
        self.tiles = tiles
        self._runtime = runtime
        with runtime:
            pages = reader.stored_pages(lod, None if is_whole(reader.grid, tiles) else tiles)
            gaussians = unpack_pages(runtime, pages)
            if gaussians is None:
                gaussians = upload_gaussians(runtime, pages.unpack())
            self._scene = bin_scene(runtime, gaussians, reader.grid, tiles, max_pairs=max_pairs)
            offsets = runtime.download(self._scene.lists.offsets).astype(np.int64)
            self._lengths = TileLengths(TileIndex(offsets, np.zeros(0, np.int32)), tiles)

    def render(self, window: Window, dtype: OutputDtype) -> Array:
        """(height, width, C) as `Scene.forward`, in the card's memory."""
        with self._runtime:
            shape = (window.height, window.width, self._scene.gaussians.n_channels)
            image = self._runtime.xp.empty(shape, np.dtype(dtype))
            render_window(self._runtime, self._scene, window, image)
            return image

    def render_values(self, window: Window, groups: Sequence[ChannelGroup]) -> Array:
        """float32 (height, width, C) in the card's memory, float groups in the source's units."""
        image = self.render(window, "float32")
        with self._runtime:
            at = 0
            for group in groups:
                if group.sample_type is SampleType.FLOAT:
                    part = image[:, :, at : at + group.n_channels]
                    part[...] = from_model(part, group, self._runtime.xp)
                at += group.n_channels
        return image

    def forward(self, window: Window, dtype: OutputDtype, budget: WorkBudget) -> npt.NDArray[Any]:
        """See `Scene.forward`."""
        self.spend(window, budget)
        return self._runtime.download(self.render(window, dtype))

    def spend(self, window: Window, budget: WorkBudget) -> None:
        """Account for the points of a window."""
        n_points = window.height * window.width
        budget.spend(self._lengths.longest, n_points, lambda: self._lengths.of_window(window))

    def sample(self, points: Float64Array, budget: WorkBudget) -> Float32Array:
        """See `Scene.sample`."""
        budget.spend(self._lengths.longest, len(points), lambda: self._lengths.of_points(points))
        with self._runtime:
            values = self._runtime.xp.empty((len(points), self._scene.gaussians.n_channels), np.float32)
            blending.sample(self._runtime, self._scene, self._runtime.upload(points), values)
            return self._runtime.download(values)
