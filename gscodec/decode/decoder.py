"""An open `.igs` file as pictures and values: whole, a region, another size, single points."""

import math
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from gscodec.constants import MAX_IMAGE_PIXELS, TILE_SIZE
from gscodec.decode.area import footprint, shrink_axis
from gscodec.errors import InvalidArgument, LimitExceeded, TruncatedStream
from gscodec.format import ChannelGroup, IgsReader, SampleType, describe
from gscodec.gaussians import GaussianSet, Window
from gscodec.image.levels import full_range, native_dtype, to_native
from gscodec.raster.base import OutputDtype, Rasterizer, TileIndex, get_backend

STRIP_ROWS = 256
"""Rows of full-resolution float32 that shrinking holds at a time, at most a few more."""

Scene = tuple[GaussianSet, TileIndex]


class IgsImage:
    """An open `.igs` file. Pages are read when a request meets them; `open_igs` makes one.

    Values are the model's domain: 0..1 stands for the whole range of an integer sample, and float32 results are not
    clamped. Points and regions are in px of the stored image, pixel (0, 0) being the square from (0, 0) to (1, 1).
    """

    def __init__(self, reader: IgsReader, rasterizer: Rasterizer) -> None:
        self._reader = reader
        self._rasterizer = rasterizer
        self._whole: dict[int, Scene] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._whole.clear()
        self._reader.close()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height and width in px, channels."""
        grid = self._reader.grid
        return grid.height, grid.width, self._reader.header.n_channels

    @property
    def info(self) -> dict[str, Any]:
        """Everything in the file but its Gaussians, as JSON can hold it."""
        return describe(self._reader)

    @property
    def lods(self) -> int:
        """Levels of detail that the file has, whether or not it was cut."""
        return len(self._reader.lods)

    @property
    def available_lods(self) -> tuple[int, ...]:
        """Levels of detail that are wholly there, finest first."""
        return self._reader.available_lods

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """What the channels are."""
        return self._reader.groups

    @property
    def icc(self) -> bytes | None:
        """The ICC profile, or None."""
        return self._reader.icc

    def render(
        self,
        lod: int | None = None,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> npt.NDArray[Any]:
        """(h, w, C) picture, or part of it.

        A region equals that part of the whole to the bit. A larger size samples the model at the mapped pixel centres;
        along an axis that shrinks, the result is the area average of the full-resolution picture (spec/igs.md, "Other
        sizes").

        Args:
            lod: level of detail, 0 the finest; None is the finest that is wholly there.
            region: x, y, width, height in px, inside the image; None is all of it.
            size: height, width of the result; None is the region's own.
            dtype: uint8, uint16 or float32; None is the file's own type, at the levels of its bit depth.

        Raises:
            InvalidArgument: an argument is out of range.
            LimitExceeded: the result would have more than MAX_IMAGE_PIXELS pixels.
            GsCodecError: the file is cut or damaged where it had to be read.
        """
        height, width, _ = self.shape
        x, y, w, h = (0, 0, width, height) if region is None else _four(region)
        if w < 1 or h < 1 or x < 0 or y < 0 or x + w > width or y + h > height:
            raise InvalidArgument(f"region {x},{y},{w},{h} does not lie in the image, 0,0,{width},{height}")
        out_h, out_w = (h, w) if size is None else _two(size)
        if out_h < 1 or out_w < 1:
            raise InvalidArgument(f"size {out_w}x{out_h} has no pixels")
        for rows, columns in ((out_h, out_w), (min(h, STRIP_ROWS), w)):
            if rows * columns > MAX_IMAGE_PIXELS:
                raise LimitExceeded(
                    f"{columns}x{rows} px are more than {MAX_IMAGE_PIXELS} can be held at once; ask for a region"
                )
        kind, native = self._output_kind(dtype)
        scene = self._scene(self._resolved(lod), (x, y, w, h))
        if out_h >= h and out_w >= w:
            window = Window(x, y, out_h, out_w, w / out_w, h / out_h)
            values = self._forward(scene, window, kind)
            return to_native(values, self.groups) if native else values
        values = self._shrunk(scene, (x, y, w, h), out_h, out_w)
        return to_native(values, self.groups) if native or dtype is None else full_range(values, np.dtype(kind))

    def sample(self, points: npt.ArrayLike, lod: int | None = None) -> npt.NDArray[np.float32]:
        """(M, C) float32 values at points (M, 2), x then y in px; at a pixel centre, `render`'s float32 to the bit.

        Raises:
            InvalidArgument: a point is not in [0, width] x [0, height], or the shape is another.
            GsCodecError: the file is cut or damaged where it had to be read.
        """
        place = np.asarray(points, dtype=np.float64)
        if place.size == 0:
            place = place.reshape(0, 2)
        if place.ndim != 2 or place.shape[1] != 2:
            raise InvalidArgument(f"points have shape {place.shape}, must be (M, 2)")
        height, width, channels = self.shape
        bad = ~((place >= 0) & (place <= (width, height))).all(axis=1)
        if bad.any():
            at = place[np.argmax(bad)]
            raise InvalidArgument(f"point {at[0]:g},{at[1]:g} does not lie in the image, {width}x{height} px")
        if len(place) == 0:
            return np.empty((0, channels), np.float32)
        low = np.minimum(place.min(axis=0), (width - 1, height - 1)).astype(np.int64)
        high = np.minimum(place.max(axis=0).astype(np.int64) + 1, (width, height))
        gaussians, index = self._scene(self._resolved(lod), (*low, *(high - low)))
        return self._rasterizer.sample(gaussians, self._reader.grid, index, place)

    def _resolved(self, lod: int | None) -> int:
        if lod is not None:
            return lod
        if not self.available_lods:
            raise TruncatedStream(f"{self._reader.name}: cut before the end of its coarsest LOD")
        return self.available_lods[0]

    def _output_kind(self, dtype: npt.DTypeLike | None) -> tuple[OutputDtype, bool]:
        """What the engine shall give, and whether it still has to be brought to the file's bit depths."""
        if dtype is not None:
            kind: Any = np.dtype(dtype).name
            if kind not in {"uint8", "uint16", "float32"}:
                raise InvalidArgument(f"dtype {kind} is not uint8, uint16 or float32")
            return kind, False
        native: Any = native_dtype(self.groups).name
        full = all(
            g.sample_type is SampleType.UINT and g.bit_depth == np.dtype(native).itemsize * 8 for g in self.groups
        )
        return (native, False) if full or native == "float32" else ("float32", True)

    def _scene(self, lod: int, region: tuple[int, int, int, int]) -> Scene:
        """Gaussians and tile lists for a region; those of the whole image are kept."""
        if lod in self._whole:
            return self._whole[lod]
        x, y, w, h = (int(v) for v in region)
        rows, columns = self._reader.grid.tiles_shape
        tiles = (x // TILE_SIZE, y // TILE_SIZE, -(-(x + w) // TILE_SIZE), -(-(y + h) // TILE_SIZE))
        if tiles == (0, 0, columns, rows):
            gaussians = self._reader.read(lod)
            self._whole[lod] = (gaussians, self._rasterizer.bin(gaussians, self._reader.grid))
            return self._whole[lod]
        gaussians = self._reader.read_region(lod, tiles)
        return gaussians, self._rasterizer.bin(gaussians, self._reader.grid, tiles)

    def _forward(self, scene: Scene, window: Window, kind: OutputDtype) -> npt.NDArray[Any]:
        gaussians, index = scene
        return self._rasterizer.forward(gaussians, self._reader.grid, index, window, kind)

    def _shrunk(
        self, scene: Scene, region: tuple[int, int, int, int], out_h: int, out_w: int
    ) -> npt.NDArray[np.float32]:
        """float32 (out_h, out_w, C): averaged along axes that shrink, sampled along one that grows; strip by strip."""
        x, y, w, h = region
        full_w, full_h = max(w, out_w), max(h, out_h)
        result = np.empty((out_h, out_w, self.shape[2]), np.float32)
        step = max(1, math.ceil(STRIP_ROWS * out_h / full_h))
        for first in range(0, out_h, step):
            last = min(out_h, first + step)
            top, bottom = footprint(first, last, out_h, full_h)
            window = Window(x, y + top * (h / full_h), bottom - top, full_w, w / full_w, h / full_h)
            strip = self._forward(scene, window, "float32")
            if out_w < w:
                strip = shrink_axis(strip, 1, 0, out_w, out_w, w)
            if out_h < h:
                strip = shrink_axis(strip, 0, first, last, out_h, h)
            result[first:last] = strip
        return result


def open_igs(
    source: str | os.PathLike[str] | bytes | BinaryIO, device: str = "auto", threads: int | None = None
) -> IgsImage:
    """An `.igs` file, opened for rendering and sampling.

    Args:
        source: a path, the file's bytes, or a binary file object.
        device: engine: `auto`, `cpu`, or `reference` for the slow oracle.
        threads: CPU threads; None is one per processor.

    Raises:
        FileAccessError, BadFile, Unsupported: as `IgsReader`.
        BackendUnavailable: the device cannot run here.
    """
    rasterizer = get_backend(device, threads)
    return IgsImage(IgsReader(source), rasterizer)


def _four(values: Sequence[int]) -> tuple[int, int, int, int]:
    if len(values) != 4 or any(int(v) != v for v in values):
        raise InvalidArgument(f"region {tuple(values)} is not four whole numbers: x, y, width, height")
    x, y, w, h = (int(v) for v in values)
    return x, y, w, h


def _two(values: Sequence[int]) -> tuple[int, int]:
    if len(values) != 2 or any(int(v) != v for v in values):
        raise InvalidArgument(f"size {tuple(values)} is not two whole numbers: height, width")
    height, width = (int(v) for v in values)
    return height, width
