"""`IgsImage`: an open `.igs` file, rendered whole, in part, at any size, or at single points."""

import contextlib
import functools
import itertools
import math
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.decoding.array_access import Key, indexed, notebook_png
from gscodec.decoding.arrived import ArrivedStore
from gscodec.decoding.automatic import Bounds, Region, lod_for_size
from gscodec.decoding.mips import meanings_of, mip_levels
from gscodec.decoding.one_off import stays_on_cpu
from gscodec.decoding.paint_request import Output, Request, output_for
from gscodec.decoding.painting import paint, paint_thumbnail
from gscodec.decoding.planning import Planner
from gscodec.decoding.points import sample_points, sample_points_to_device
from gscodec.decoding.requests import checked_points, checked_region, checked_size
from gscodec.decoding.source_files import SourceFiles
from gscodec.decoding.statistics import AccessStats, WorkTally
from gscodec.decoding.store import SceneStore, tiles_of
from gscodec.decoding.strips import paint_strips
from gscodec.decoding.targets import device_target
from gscodec.decoding.work import WorkBudget
from gscodec.errors import BackendUnavailable, GsCodecError, InvalidArgument, LimitExceeded, OutOfMemory
from gscodec.format.files import FileEntry
from gscodec.format.metadata import Metadata
from gscodec.image.levels import full_range, has_floats, native_dtype
from gscodec.image.normals import Meaning
from gscodec.io.source import SourceLike
from gscodec.material.restore import Restored, plain_files
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array
from gscodec.model.grain import Grain
from gscodec.model.json_value import Json
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.model.rendering import TooManyPairs
from gscodec.render.base import Rasterizer
from gscodec.render.engines import cpu_backend, get_backend, parse_device

_BLOCK_PX: Final = 8192
"""Width in px that `tiles` loads at a time."""


_Out = TypeVar("_Out")


def open_igs(
    source: SourceLike,
    device: str | Rasterizer = "auto",
    threads: int | None = None,
    *,
    count_work: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    grain: bool = True,
) -> "IgsImage":
    """The picture in an `.igs` file. Header and tables are read now, Gaussians on demand.

    Args:
        source: a path, bytes, a mapping, an open binary file, or a URL (http(s)://, s3:// and others that fsspec
            supports), of which only the required parts are fetched.
        device: as in `get_backend`, or an engine. `auto` falls back to the CPU, with a warning, if a GPU fails or lacks
            memory; it uses the CPU from the start for a small file while no GPU is open in this process
            (`decode.one_off`).
        threads: CPU threads; None means one per processor.
        count_work: whether `stats` also counts the Gaussians evaluated per point.
        limits: caps on the cost of a request, and timeouts for servers.
        grain: whether to add the film grain that the file describes, if it does. Turn it off to measure the fidelity of
            a file.

    Raises:
        GsCodecError: as `IgsReader` for the file, as `get_backend` for the device.
    """
    return IgsImage(source, device=device, threads=threads, count_work=count_work, limits=limits, grain=grain)


class IgsImage:
    """An open `.igs` file. Data read for a level of detail is kept for later calls.

    Any region, size or point is consistent with the whole picture: at the stored size a region equals that part of
    `render()`, and a sample at a pixel's centre equals that pixel, bit for bit.

    Threads may share an open file, and forked processes one that was opened by path or URL. One that was opened by
    path, URL or bytes can be pickled: unpickling opens it again.

    It behaves as an array (height, width, channels) that is computed when it is read: `numpy.asarray(image)`,
    `image[y0:y1, x0:x1]`, `for row in image`.
    """

    def __init__(
        self,
        source: SourceLike,
        *,
        device: str | Rasterizer = "auto",
        threads: int | None = None,
        count_work: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        grain: bool = True,
        name: str | None = None,
    ) -> None:
        self._opening = (source, device, threads, count_work, limits, grain, name)
        self._wants_grain = grain
        self._limits = limits
        own = None if isinstance(device, str) else device.threads  # an engine has its own thread count
        self._reader = IgsReader(source, name, limits, threads=threads or own)
        try:
            backend, spare = self._engine(device, threads)
        except BaseException:
            self._reader.close()
            raise
        self._tally = WorkTally(self._reader.grid.top_k) if count_work else None
        self._store = SceneStore(self._reader, backend, spare, self._tally)
        self._planner = Planner(self._reader, limits)
        self._closed = False

    def _engine(
        self, device: str | Rasterizer, threads: int | None
    ) -> tuple[Rasterizer, Callable[[], Rasterizer] | None]:
        """The engine, and a factory of the engine to fall back to, or None."""
        if not isinstance(device, str):
            return device, None
        name = parse_device(device)
        if stays_on_cpu(name, math.prod(self.shape)):
            return cpu_backend(threads), None
        spare = functools.partial(cpu_backend, threads) if name.may_fall_back else None
        backend = get_backend(device, threads)
        if backend.on_device is not None:
            from gscodec.decoding.device import compile_ahead

            compile_ahead(backend, self._reader)
        return backend, spare

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        source, device, threads, count_work, limits, grain, name = self._opening
        if not isinstance(source, str | bytes | os.PathLike) or not isinstance(device, str):
            raise TypeError(f"{self.name}: cannot be pickled; open it by path, URL or bytes, and its device by name")
        again = functools.partial(
            IgsImage, device=device, threads=threads, count_work=count_work, limits=limits, grain=grain, name=name
        )
        return again, (source,)

    def __repr__(self) -> str:
        height, width, n_channels = self.shape
        return f"<IgsImage {self.name}: {width}x{height} px, {n_channels} channels, {self.lods} LODs>"

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """The whole picture, for `numpy.asarray`: `render()`, converted with `astype` if `dtype` is another type.

        Raises:
            ValueError: `copy` is False; the picture has to be computed.
        """
        if copy is False:
            raise ValueError(f"{self.name}: an array of the picture is always a new one; leave out copy=False")
        samples = self.render()
        return samples if dtype is None else samples.astype(dtype, copy=False)

    def __getitem__(self, key: Key) -> Any:
        """`render()[key]`, of which only the region that the key needs is computed.

        Args:
            key: integers, slices and an ellipsis for rows, columns and channels, with NumPy's meaning:
                `image[y0:y1, x0:x1]`, `image[y, x]`, `image[..., 0]`, `image[::2, ::2]`.

        Raises:
            IndexError: out of range, or a key of another kind.
            GsCodecError: as `render`.
        """
        self._check_open()
        return indexed(self, key)

    def __len__(self) -> int:
        return self.height

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for _, rows in self.strips():
            yield from rows

    def _repr_png_(self) -> bytes | None:
        return notebook_png(self)

    def close(self) -> None:
        """Close the file and free everything read; a file object that was passed in stays open."""
        self._closed = True
        self._store.clear()
        self._reader.close()

    @property
    def name(self) -> str:
        """Name of the file in messages."""
        return self._reader.name

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the stored picture."""
        grid = self._reader.grid
        return grid.height, grid.width, len(grid.background)

    @property
    def height(self) -> int:
        """Rows of the stored picture, px."""
        return self._reader.grid.height

    @property
    def width(self) -> int:
        """Columns of the stored picture, px."""
        return self._reader.grid.width

    @property
    def ndim(self) -> int:
        """3: rows, columns, channels."""
        return 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples that `render()` returns: uint8, uint16 or float32."""
        return native_dtype(self.groups)

    @property
    def lods(self) -> int:
        """Number of levels of detail; LOD 0 is the finest."""
        return self._reader.n_lods

    @property
    def available_lods(self) -> tuple[int, ...]:
        """Levels of detail that can be decoded, finest first: all, unless the file is truncated."""
        return self._reader.available_lods

    def prefix_size(self, lod: int) -> int:
        """Bytes from the start of the file that suffice for a level of detail.

        Of a file that is still arriving, without the tables of that level, it is the number for all levels of its set.

        Raises:
            InvalidArgument: there is no such LOD.
        """
        self._check_open()
        return self._reader.prefix_size(lod)

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Channel groups: role, depth and type of the channels."""
        return self._reader.groups

    @property
    def grain(self) -> tuple[Grain, ...]:
        """Film grain that is added to results; empty if the file has none, or if it was opened without."""
        return self._reader.grain if self._wants_grain else ()

    @property
    def icc(self) -> bytes | None:
        """ICC profile of the source, or None."""
        self._check_open()
        return self._reader.icc

    @property
    def metadata(self) -> Metadata:
        """Metadata of the source: pixel density, colour tags, Exif, XMP."""
        self._check_open()
        return self._reader.metadata

    @cached_property
    def info(self) -> dict[str, Json]:
        """Contents of the file, apart from its pixels, as JSON values."""
        self._check_open()
        return describe(self._reader)

    @property
    def stats(self) -> AccessStats:
        """Bytes read, pages decoded and points computed since the file was opened."""
        reader, tally = self._reader, self._tally or WorkTally(1)
        return AccessStats(
            reader.file_size,
            reader.traffic.n_bytes,
            reader.traffic.n_reads,
            reader.pages_read,
            reader.n_pages,
            reader.gaussians_read,
            tally.points,
            tally.candidates,
            tally.blended,
            self.shape[2],
        )

    @overload
    def render(
        self,
        lod: int | None = None,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        max_bytes: int | None = None,
        max_gaussians: int | None = None,
        available: bool = False,
        out: None = None,
    ) -> npt.NDArray[Any]: ...

    @overload
    def render(
        self,
        lod: int | None = None,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        max_bytes: int | None = None,
        max_gaussians: int | None = None,
        available: bool = False,
        out: _Out,
    ) -> _Out: ...

    def render(
        self,
        lod: int | None = None,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        max_bytes: int | None = None,
        max_gaussians: int | None = None,
        available: bool = False,
        out: Any = None,
    ) -> Any:
        """The picture, or a region of it, at the stored or another size.

        Along an enlarged axis, the model is evaluated at the centres of the new pixels; along a reduced one, stored
        pixels are averaged over the area of each new pixel.

        Args:
            lod: level of detail, 0 the finest. None means the finest in the file; but a result of at most half the size
                along both axes, of more than a megapixel, uses the coarsest level that has a Gaussian per two pixels of
                the result, and from a quarter of the size on each pixel is the mean of 4 x 4 points instead of all
                pixels it covers, so that the cost of a thumbnail does not depend on the size of the picture.
            region: (x, y, width, height) in stored pixels; None means the whole picture.
            size: (height, width) of the result in px; None means the region's own size.
            max_bytes: if lod is None, maximum number of bytes from the start of the file that the level may need.
            max_gaussians: if lod is None, maximum number of Gaussians of the level.
            available: of a truncated file, such as one that is still arriving, show each tile of 16 x 16 px at the
                finest level that has arrived there, and the background where none has. A result so small that a
                complete level suffices is made of it. Not with `lod` or bounds, and computed on the CPU.
            dtype: uint8 or uint16, over their full range, or float32: the unclamped blend, with float groups in the
                source's units. None means the source's type: uint8 up to 8 bits, else uint16 or float32; depths other
                than 8 and 16 then use only the values of that depth (`gscodec.image.to_native`).
            out: contiguous (height, width, C) array of that type to write to: a NumPy array, or, if the file is open on
                a GPU, an array of any library in that GPU's memory (DLPack or `__cuda_array_interface__`), without a
                copy to the host. It is written on the current stream: torch's if torch uses the GPU, else CuPy's.

        Returns:
            numpy.ndarray (height, width, C), or `out`.

        Raises:
            InvalidArgument: invalid LOD, region, size or type, or no LOD within the bounds.
            LimitExceeded: more pixels, memory or work than the limits allow, for the whole picture or its files' own
                sizes; for an explicit region or size, InvalidArgument.
            OutOfDeviceMemory: the explicitly selected GPU has too little memory.
            TruncatedStream, ChecksumMismatch, CorruptField, FileAccessError: the data is missing from the file or
                damaged.
        """
        self._check_open()
        bounds = _bounds(lod, max_bytes, max_gaussians)
        part = checked_region(region, self._reader.grid, self.name)
        shown = (part[3], part[2]) if size is None else checked_size(size)
        if available and not (lod is None and not bounds.any and isinstance(out, np.ndarray | None)):
            raise InvalidArgument(f"{self.name}: `available` chooses the level of each tile itself, on the CPU")
        if available and 0 not in self._reader.available_lods and not self._suffices(part, shown):
            by_caller = region is not None or size is not None
            self._planner.check_cost([(part, shown, False)], by_caller=by_caller)
            return self._render(0, part, shown, dtype, thumbnail=False, out=out, store=self._arrived_store)
        there = None
        if out is not None:
            shape, kind = (*shown, self.shape[2]), output_for(self.groups, dtype).dtype
            there = device_target(out, self._store.runtime, shape, kind, self.name)
        by_caller = region is not None or size is not None
        level, thumbnail = self._planner.plan(lod, part, shown, bounds, by_caller=by_caller, in_memory=there is None)
        if there is None:
            return self._render(level, part, shown, dtype, thumbnail=thumbnail, out=out)
        self._render_device(level, part, shown, dtype, thumbnail=thumbnail, out=there)
        return out

    def _asked(
        self, level: int, part: Region, shown: tuple[int, int], dtype: npt.DTypeLike | None
    ) -> tuple[Request, Output]:
        request = Request(level, part, shown, self._budget(), self.grain, self._store.backend.threads)
        return request, output_for(self.groups, dtype, has_grain=bool(request.grain))

    @cached_property
    def _arrived_store(self) -> SceneStore:
        """Scenes of what a truncated file shows, in host memory."""
        engine = self._store.backend
        engine = cpu_backend(None) if engine.on_device is not None else engine
        return ArrivedStore(self._reader, engine, None, self._tally)

    def arrived(self, region: Sequence[int] | None = None) -> npt.NDArray[np.int64]:
        """(rows, columns) finest level that has arrived of each tile of 16 x 16 px: what `render` shows if `available`.

        Args:
            region: (x, y, width, height) in stored pixels; None means the whole picture. Tiles that it meets count.

        Returns:
            Levels of detail, 0 the finest; `lods` where none has arrived.

        Raises:
            GsCodecError: invalid region, or damaged data.
        """
        self._check_open()
        return self._reader.arrived_lods(tiles_of(checked_region(region, self._reader.grid, self.name)))

    def _suffices(self, part: Region, shown: tuple[int, int]) -> bool:
        """Whether a level that is complete has as much detail as a result of that size would get of the whole file."""
        reader = self._reader
        known = [lod for number in range(reader.n_sets) if reader.has_tables(number) for lod in reader.lods_of(number)]
        return bool(known) and lod_for_size(reader, known, part, shown) in reader.available_lods

    def _budget(self) -> WorkBudget:
        return WorkBudget(self._limits, self.name)

    def _render(
        self,
        level: int,
        part: Region,
        shown: tuple[int, int],
        dtype: npt.DTypeLike | None,
        *,
        thumbnail: bool,
        out: npt.NDArray[Any] | None = None,
        store: SceneStore | None = None,
    ) -> npt.NDArray[Any]:
        used = store or self._store
        request, output = self._asked(level, part, shown, dtype)
        work = paint_thumbnail if thumbnail else paint
        try:
            with self._naming():
                return used.with_spare(lambda: work(used, request, output, out))
        except GsCodecError:
            raise
        except MemoryError as fault:
            height, width = request.size
            raise OutOfMemory(
                f"{self.name}: {width}x{height} px do not fit into memory; decode a region or a smaller size"
            ) from fault

    def strips(
        self,
        lod: int | None = None,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yields the result of `render` from top to bottom, in memory that does not grow with its height.

        Args:
            lod: level of detail, 0 the finest; None means the finest in the file, whatever the size.
            region, size, dtype: as in `render`; up to `Limits.max_pixels` pixels.

        Yields:
            Index of the first row, and rows (h, width, C).

        Raises:
            GsCodecError: as `render`.
        """
        self._check_open()
        part = checked_region(region, self._reader.grid, self.name)
        shown = (part[3], part[2]) if size is None else checked_size(size)
        by_caller = region is not None or size is not None
        self._planner.check_cost([(part, shown, False)], by_caller=by_caller, in_memory=False)
        request, output = self._asked(self._planner.level(lod), part, shown, dtype)
        with self._naming():
            yield from paint_strips(self._store, request, output)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Source files, one picture each: the maps of a stack, or a single picture."""
        self._check_open()
        height, width, _ = self.shape
        return self._reader.files or plain_files(self.groups, height, width)

    @property
    def source_names(self) -> frozenset[str]:
        """Bare names of the source files, as far as the `.igs` file records them."""
        self._check_open()
        return frozenset({group.source for group in self.groups} | {entry.name for entry in self._reader.files}) - {""}

    @property
    def has_file_chunk(self) -> bool:
        """Whether the file describes its sources in more detail than one picture, or groups without a file."""
        return bool(self._reader.files)

    def select(self, names: Sequence[str] | None) -> list[FileEntry]:
        """Members of `files` that match one of the names: a file name, with or without suffix, a group, or a role.

        Raises:
            InvalidArgument: a name matches nothing.
        """
        return self._source_files().select(names)

    def render_files(
        self,
        only: Sequence[str] | None = None,
        lod: int | None = None,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        *,
        max_bytes: int | None = None,
        max_gaussians: int | None = None,
        dtype: npt.DTypeLike | None = None,
        available: bool = False,
    ) -> dict[str, Restored]:
        """Pictures of the source files by file name, each at its own size, depth and number of channels.

        Args:
            only: names of files, with or without suffix, of groups, or roles; None means all.
            lod, region, size: as in `render`; an explicit region or size applies to all pictures. At their own sizes,
                lod None means the finest in the file, and pictures with at most a sixteenth of the stored sides are
                computed from the means of 4 x 4 points per pixel.
            max_bytes, max_gaussians, available: as in `render`.
            dtype: uint8 or uint16, replacing the own type of integer pictures.

        Raises:
            InvalidArgument: a name matches nothing.
            GsCodecError: as `render`.
        """
        bounds = _bounds(lod, max_bytes, max_gaussians)
        if available and not (lod is None and not bounds.any):
            raise InvalidArgument(f"{self.name}: `available` chooses the level of each tile itself")
        partly = available and 0 not in self._reader.available_lods
        lod, store = (0, self._arrived_store) if partly else (lod, None)
        sources = self._source_files(store)
        sources.select(only)
        part = checked_region(region, self._reader.grid, self.name)
        shown = None if size is None else checked_size(size)
        own_sizes = region is None and size is None
        return sources.render(only, lod, part, shown, bounds, dtype, own_sizes=own_sizes)

    def _source_files(self, store: SceneStore | None = None) -> SourceFiles:
        def render(level: int, part: Region, shown: tuple[int, int], thumbnail: bool) -> Float32Array:
            return self._render(level, part, shown, np.float32, thumbnail=thumbnail, store=store)

        return SourceFiles(self.name, self.files, self.groups, self.icc, self._planner, render)

    def tiles(
        self,
        size: int = 256,
        lod: int | None = None,
        region: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        """Yields a picture, or a region, in square tiles; the memory needed does not depend on its size.

        Args:
            size: side of a tile, px. Tiles at the right and bottom edges are smaller.
            lod: level of detail, 0 the finest; None means the finest in the file.
            region, dtype: as in `render`.

        Yields:
            x and y of a tile's corner in stored pixels, and the tile as `render` returns it, row by row.

        Raises:
            GsCodecError: as `render`.
        """
        self._check_open()
        if operator.index(size) < 1:
            raise InvalidArgument(f"tiles of {size} px: the side of a tile must be at least 1")
        left, top, width, height = checked_region(region, self._reader.grid, self.name)
        level = self._planner.level(lod)
        block = max(1, _BLOCK_PX // size) * size  # adjacent tiles share pages, so several are loaded at once
        for y, x0 in itertools.product(range(top, top + height, size), range(left, left + width, block)):
            part = (min(block, left + width - x0), min(size, top + height - y))
            tiles = tiles_of((x0, y, *part))
            if self._store.band_tiles(level, tiles) == tiles[3] - tiles[1]:
                with contextlib.suppress(TooManyPairs):  # then tile by tile
                    self._store.with_spare(functools.partial(self._store.scene, level, tiles))
            for x in range(x0, x0 + part[0], size):
                piece = (x, y, min(size, x0 + part[0] - x), part[1])
                yield x, y, self.render(level, piece, None, dtype)

    def mips(self, lod: int | None = None, dtype: npt.DTypeLike | None = None) -> Iterator[npt.NDArray[Any]]:
        """Yields the mip chain, finest first: level m has sides of max(1, side >> m) and is an average of the whole.

        Colour is averaged in linear light and weighted by its straight alpha, normals are averaged as vectors and
        normalised, and everything else is averaged as stored (`gscodec.decoding.mips`).

        Args:
            lod: level of detail, 0 the finest; None means the finest in the file.
            dtype: as in `render`.

        Yields:
            (height, width, C) for each level; the first equals the result of `render`, the others are averages of it.

        Raises:
            GsCodecError: as `render`.
        """
        self._check_open()
        level = self._planner.level(lod)
        height, width, _ = self.shape
        self._planner.check_cost([((0, 0, width, height), (height, width), False)])
        finish = output_for(self.groups, dtype).finish
        values = self.render(level, None, None, np.float32)
        finest = finish(values)
        if finest.dtype.kind == "u" and not has_floats(self.groups):
            values = full_range(finest, np.float32)
        yield finest
        del finest
        levels = mip_levels(values, self.groups, self._meanings(values))
        del values
        next(levels)
        for coarser in levels:
            yield finish(coarser)

    def _meanings(self, values: Float32Array) -> list[Meaning | None]:
        """Meaning of each normal map's channels: two are vectors if a source file has a Z that follows from them."""
        unit = {name for entry in self.files if entry.unit_z for name in entry.groups}
        meanings = meanings_of(values, self.groups)
        return [Meaning.UNIT if group.name in unit else own for group, own in zip(self.groups, meanings, strict=True)]

    def mip_files(
        self, only: Sequence[str] | None = None, lod: int | None = None, dtype: npt.DTypeLike | None = None
    ) -> Iterator[dict[str, Restored]]:
        """Yields the mip chains of the source files level by level, finest first; the first equals `render_files`.

        A file with a shorter chain is missing from the later levels.

        Raises:
            GsCodecError: as `render_files`.
        """
        whole = checked_region(None, self._reader.grid, self.name)
        yield from self._source_files().mips(only, lod, whole, dtype)

    @overload
    def sample(self, points: npt.ArrayLike, lod: int | None = None, *, out: None = None) -> Float32Array: ...

    @overload
    def sample(self, points: npt.ArrayLike, lod: int | None = None, *, out: _Out) -> _Out: ...

    def sample(self, points: npt.ArrayLike, lod: int | None = None, *, out: Any = None) -> Any:
        """Values at single points. Reads only the pages that the points' tiles need.

        Args:
            points: (M, 2) x, y in px of the stored picture, 0 <= x <= width and 0 <= y <= height; (0.5, 0.5) is the
                centre of the first pixel.
            lod: level of detail, 0 the finest; None means the finest in the file.
            out: contiguous float32 (M, C) array to write to, NumPy or on a GPU as in `render`.

        Returns:
            float32 (M, C), or `out`: the unclamped blend, so an alpha of 0 or 1 may lie slightly outside 0..1; float
                groups are in the source's units.

        Raises:
            InvalidArgument: no such LOD, or a point outside the picture.
            GsCodecError: as `render` for the file.
        """
        self._check_open()
        level = self._planner.level(lod)
        place = checked_points(points, self._reader.grid, self.name)
        budget = self._budget()
        if out is not None:
            shape = len(place), self.shape[2]
            there = device_target(out, self._store.runtime, shape, np.dtype(np.float32), self.name)
            if there is not None:
                with self._naming():
                    sample_points_to_device(self._store, level, place, budget, there, self.grain)
                return out
        with self._naming():
            values = sample_points(self._store, level, place, budget, self.grain)
        if out is None:
            return values
        out[...] = values
        return out

    def render_device(
        self,
        lod: int | None = None,
        dtype: npt.DTypeLike | None = None,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
    ) -> Any:
        """The result of `render`, in the memory of the GPU that this file was opened on.

        Pages are uploaded in their stored form and unpacked by the GPU; no pixel is copied to the host. Pass the result
        to any library that supports DLPack: `torch.from_dlpack(image.render_device())`.

        Args:
            lod, dtype, region, size: as in `render`.

        Returns:
            cupy.ndarray (height, width, C), computed on the current stream: torch's if torch uses the GPU.

        Raises:
            BackendUnavailable: the file is not open on a GPU.
            OutOfDeviceMemory: the GPU has too little memory.
            GsCodecError: as `render`.
        """
        self._check_open()
        part = checked_region(region, self._reader.grid, self.name)
        shown = (part[3], part[2]) if size is None else checked_size(size)
        by_caller = region is not None or size is not None
        # The cost is GPU memory, which is checked there.
        level, thumbnail = self._planner.plan(lod, part, shown, by_caller=by_caller, in_memory=False)
        return self._render_device(level, part, shown, dtype, thumbnail=thumbnail, out=None)

    def _render_device(
        self,
        level: int,
        part: Region,
        shown: tuple[int, int],
        dtype: npt.DTypeLike | None,
        *,
        thumbnail: bool,
        out: Any | None,
    ) -> Any:
        request, output = self._asked(level, part, shown, dtype)
        if self._store.runtime is None:
            raise BackendUnavailable(f"{self.name}: is open on {self._store.backend.name}; open it with device='cuda'")
        from gscodec.decoding.device_painting import paint_to_device

        with self._naming():
            return paint_to_device(self._store, request, output, thumbnail=thumbnail, out=out)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Context that converts too long tile lists to an error that names the file."""
        try:
            yield
        except TooManyPairs as fault:
            raise LimitExceeded(f"{self.name}: {fault}") from fault

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidArgument(f"{self.name}: is closed")
        self._reader.restart_clock()


def _bounds(lod: int | None, max_bytes: int | None, max_gaussians: int | None) -> Bounds:
    bounds = Bounds(max_bytes, max_gaussians)
    if lod is not None and bounds.any:
        raise InvalidArgument("lod and max_bytes or max_gaussians exclude each other: give one")
    return bounds
