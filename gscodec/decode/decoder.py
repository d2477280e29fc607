"""An open `.igs` file as a picture: whole, in part, at any size, or at single points."""

import functools
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from gscodec.constants import MAX_IMAGE_PIXELS, TILE_SIZE
from gscodec.decode.requests import check_pixels, checked_lod, checked_points, checked_region, checked_size
from gscodec.decode.scaled import shrink
from gscodec.decode.scene import Scene, TileRect, holds, load_scene
from gscodec.decode.strips import picture_strips
from gscodec.errors import BackendUnavailable, InvalidArgument, LimitExceeded, OutOfDeviceMemory
from gscodec.format import ChannelGroup, IgsReader, Json, SourceLike, describe
from gscodec.format.files import FileEntry
from gscodec.gaussians import Float32Array, Window
from gscodec.image.levels import full_range, has_floats, native_dtype, to_native, to_values
from gscodec.image.restore import Restored, plain_files, restore
from gscodec.raster.base import OutputDtype, Rasterizer, cpu_backend, fall_back, get_backend

_Result = TypeVar("_Result")

_DTYPES: Final[dict[str, OutputDtype]] = {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}
_SCATTERED_TILES: Final = 16
"""Up to this many tiles are read one by one; more points share one read of the rectangle around them."""


def open_igs(source: SourceLike, device: str | Rasterizer = "auto", threads: int | None = None) -> "IgsImage":
    """The picture in an `.igs` file. Its header and tables are read now, Gaussians when they are needed.

    Args:
        source: a path, bytes, a mapping or an open binary file.
        device: as `get_backend`, or an engine. `auto` goes on with the CPU when a card fails or has too little memory,
            and warns.
        threads: CPU threads; None is one per processor.

    Raises:
        GsCodecError: as `IgsReader` for the file, as `get_backend` for the device.
    """
    return IgsImage(source, device=device, threads=threads)


class IgsImage:
    """An open `.igs` file. What it has read of a LOD it keeps for the next call.

    Any region, size or point agrees with the whole picture: at the stored size a region equals that part of
    `render()` and a sample at a pixel's centre equals that pixel, bit for bit.
    """

    def __init__(self, source: SourceLike, *, device: str | Rasterizer = "auto", threads: int | None = None) -> None:
        self._backend = get_backend(device, threads) if isinstance(device, str) else device
        self._spare = functools.partial(cpu_backend, threads) if device == "auto" else None
        self._reader = IgsReader(source)
        self._scenes: dict[int, Scene] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width, n_channels = self.shape
        return f"<IgsImage {self.name}: {width}x{height} px, {n_channels} channels, {self.lods} LODs>"

    def close(self) -> None:
        """Let go of the file and of everything read; a file that was passed in open stays open."""
        self._closed = True
        self._scenes.clear()
        self._reader.close()

    @property
    def name(self) -> str:
        """What messages call the file."""
        return self._reader.name

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the stored picture."""
        grid = self._reader.grid
        return grid.height, grid.width, len(grid.background)

    @property
    def lods(self) -> int:
        """Number of levels of detail; LOD 0 is the finest."""
        return len(self._reader.lods)

    @property
    def available_lods(self) -> tuple[int, ...]:
        """LODs that can be decoded, finest first: all, unless the file was cut."""
        return self._reader.available_lods

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """What the channels are."""
        return self._reader.groups

    @property
    def icc(self) -> bytes | None:
        """The source's ICC profile."""
        self._check_open()
        return self._reader.icc

    @cached_property
    def info(self) -> dict[str, Json]:
        """Everything in the file but its pixels, as JSON can say it."""
        self._check_open()
        return describe(self._reader)

    def render(
        self,
        lod: int | None = 0,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> npt.NDArray[Any]:
        """The picture, or a part of it, at the stored or another size.

        Along an axis that is enlarged, the model is evaluated at the centres of the new pixels; along one that is
        shrunk, stored pixels are averaged over the area of each new one.

        Args:
            lod: level of detail, 0 the finest; None is the finest that a cut file holds.
            region: (x, y, width, height) in stored pixels; None is all.
            size: (height, width) of the result; None is the region's own.
            dtype: uint8 or uint16, over their full range, or float32, the blend itself, not clamped, of float groups
                in the source's units. None is the source's type: uint8 up to 8 bits, else uint16 or float32, and at
                other depths than 8 and 16 only the values that the depth has (`gscodec.image.to_native`).

        Returns:
            (height, width, C).

        Raises:
            InvalidArgument: no such LOD, region, size or type.
            LimitExceeded: more than MAX_IMAGE_PIXELS, or more than memory holds.
            OutOfDeviceMemory: more than the card that was named holds.
            TruncatedStream, ChecksumMismatch, CorruptField, FileAccessError: the file has no such data, or it is
                damaged.
        """
        self._check_open()
        return self._with_spare(lambda: self._render(lod, region, size, dtype))

    def _render(
        self,
        lod: int | None,
        region: Sequence[int] | None,
        size: Sequence[int] | None,
        dtype: npt.DTypeLike | None,
    ) -> npt.NDArray[Any]:
        x, y, region_width, region_height = checked_region(region, self._reader.grid, self.name)
        height, width = (region_height, region_width) if size is None else checked_size(size)
        check_pixels(height, width, self.name, whole=region is None and size is None)
        shrinks = height < region_height or width < region_width
        if shrinks and region_height * region_width > MAX_IMAGE_PIXELS:
            raise LimitExceeded(
                f"{self.name}: shrinking {region_width}x{region_height} px takes more than the limit of "
                f"{MAX_IMAGE_PIXELS} pixels; decode a smaller region"
            )
        engine_dtype, finish = self._output(dtype)
        right, bottom = -(-(x + region_width) // TILE_SIZE), -(-(y + region_height) // TILE_SIZE)
        tiles = (x // TILE_SIZE, y // TILE_SIZE, right, bottom)
        try:
            scene = self._scene(self._lod(lod), tiles)
            if shrinks:
                return self._shrunk(scene, (x, y, region_width, region_height), (height, width), finish)
            window = Window(x, y, height, width, region_width / width, region_height / height)
            if engine_dtype != "float32":
                return scene.forward(window, engine_dtype)
            return finish(to_values(scene.forward(window, engine_dtype), self.groups))
        except MemoryError as fault:
            raise LimitExceeded(
                f"{self.name}: {width}x{height} px do not fit into memory; decode a region or a smaller size"
            ) from fault

    def strips(
        self,
        lod: int | None = 0,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """What `render` gives, from the top down, in memory that does not grow with its height.

        Args:
            lod, region, size, dtype: as in `render`; any number of pixels will do.

        Yields:
            Index of the first row, and rows (h, width, C).

        Raises:
            GsCodecError: as `render`.
        """
        self._check_open()
        place = checked_region(region, self._reader.grid, self.name)
        shape = (place[3], place[2]) if size is None else checked_size(size)
        level = self._lod(lod)
        engine_dtype, finish = self._output(dtype)

        def load(tiles: TileRect) -> Scene:
            return self._with_spare(lambda: load_scene(self._reader, self._backend, level, tiles))

        def convert(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return values if values.dtype != np.float32 else finish(to_values(values, self.groups))

        for row, values in picture_strips(load, place, shape, self.shape[2], engine_dtype):
            yield row, convert(values)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """The source files, one picture each: maps of a stack, or the one picture there was."""
        self._check_open()
        height, width, _ = self.shape
        return self._reader.files or plain_files(self.groups, height, width)

    @property
    def has_file_chunk(self) -> bool:
        """Whether the file says more of its sources than that they were one picture, or groups without a file."""
        return bool(self._reader.files)

    def select(self, names: Sequence[str] | None) -> list[FileEntry]:
        """Those of `files` that have one of the names: of a file, with or without suffix, of a group, or a role.

        Raises:
            InvalidArgument: nothing has such a name.
        """
        if names is None:
            return list(self.files)
        for wanted in names:
            if not any(self._matches(entry, [wanted]) for entry in self.files):
                known = ", ".join(entry.name for entry in self.files)
                raise InvalidArgument(f"{self.name}: holds no {wanted!r}; there are {known}")
        return [entry for entry in self.files if self._matches(entry, names)]

    def render_files(
        self,
        only: Sequence[str] | None = None,
        lod: int | None = 0,
        region: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
    ) -> dict[str, Restored]:
        """The source files' pictures by file name, each at its own size, depth and number of channels.

        Args:
            only: names of files, with or without suffix, of groups, or roles; None is all.
            lod, region, size: as in `render`; with a region or a size, all pictures have that.

        Raises:
            InvalidArgument: nothing has such a name.
            GsCodecError: as `render`.
        """
        chosen = self.select(only)
        level = self._lod(lod)
        rendered: dict[tuple[int, int], Float32Array] = {}
        result = {}
        for entry in chosen:
            own = (entry.height, entry.width) if region is None and size is None else size
            if own is None:
                own = checked_region(region, self._reader.grid, self.name)[:1:-1]
            key = (int(own[0]), int(own[1]))
            if key not in rendered and entry.groups:
                rendered[key] = self.render(level, region, key, np.float32)
            result[entry.name] = restore(entry, self.groups, rendered.get(key), key)
        return result

    def _matches(self, entry: FileEntry, names: Sequence[str]) -> bool:
        groups = [group for group in self.groups if group.name in entry.groups]
        if entry.constant_group is not None:
            groups.append(entry.constant_group)
        known = {entry.name, entry.name.rpartition(".")[0], *(text for g in groups for text in (g.name, g.role.value))}
        return any(name in known for name in names)

    def sample(self, points: npt.ArrayLike, lod: int | None = 0) -> Float32Array:
        """Values at single points. Only the pages that the points' tiles need are read.

        Args:
            points: (M, 2) x, y in px of the stored picture, 0 <= x <= width and 0 <= y <= height; (0.5, 0.5) is the
                centre of the first pixel.
            lod: as in `render`.

        Returns:
            float32 (M, C): the blend itself, not clamped; float groups in the source's units.

        Raises:
            InvalidArgument: no such LOD, or a point outside the picture.
            GsCodecError: as `render` for the file.
        """
        self._check_open()
        level = self._lod(lod)
        place = checked_points(points, self._reader.grid, self.name)
        rows, columns = self._reader.grid.tiles_shape
        tiles = np.minimum((place // TILE_SIZE).astype(np.int64), [columns - 1, rows - 1])
        result = np.empty((len(place), self.shape[2]), np.float32)

        def fill() -> None:
            for rect, which in _clusters(tiles, self._scenes.get(level)):
                result[which] = self._scene(level, rect).sample(place[which])

        self._with_spare(fill)
        return to_values(result, self.groups)

    def render_device(self, lod: int | None = 0, dtype: npt.DTypeLike | None = None) -> Any:
        """The whole picture at its stored size, in the memory of the card that this file was opened on.

        Records go to the card as they lie in the file and are unpacked there; no pixel comes to the host. Pass the
        result to any library that takes DLPack: `torch.from_dlpack(image.render_device())`.

        Args:
            lod: as in `render`.
            dtype: uint8, uint16 or float32 as in `render`; None is the file's own, which must be one of them.

        Returns:
            cupy.ndarray (height, width, C), computed on the stream that was current: torch's where torch uses the card.

        Raises:
            BackendUnavailable: the file is not open on a card.
            GsCodecError: as `render`.
        """
        self._check_open()
        engine_dtype, _ = self._output(dtype)
        if dtype is None and engine_dtype != native_dtype(self.groups).name:
            raise InvalidArgument(f"{self.name}: has samples of mixed or odd depth; name uint8, uint16 or float32")
        if has_floats(self.groups) and dtype is not None and np.dtype(dtype) != np.float32:
            raise InvalidArgument(f"{self.name}: has float samples, which a card gives as float32 only")
        check_pixels(*self.shape[:2], self.name, whole=True)
        if not self._backend.name.startswith("cuda"):
            raise BackendUnavailable(f"{self.name}: is open on {self._backend.name}; open it with device='cuda'")
        from gscodec.decode.device import DeviceScene

        grid = self._reader.grid
        scene = self._scene(self._lod(lod), (0, 0, *grid.tiles_shape[::-1]))
        assert isinstance(scene, DeviceScene)
        if has_floats(self.groups):
            return scene.render_values(Window.whole(grid), self.groups)
        return scene.render(Window.whole(grid), engine_dtype)

    def _with_spare(self, work: Callable[[], _Result]) -> _Result:
        """Do the work, on the CPU where a card that nobody named cannot."""
        try:
            return work()
        except (BackendUnavailable, OutOfDeviceMemory) as fault:
            if self._spare is None:
                raise
            fall_back(fault)
            self._backend, self._spare = self._spare(), None
            self._scenes.clear()
            return work()

    def _scene(self, lod: int, tiles: TileRect) -> Scene:
        scene = self._scenes.get(lod)
        if scene is None or not holds(scene.tiles, tiles):
            scene = self._scenes[lod] = load_scene(self._reader, self._backend, lod, tiles)
        return scene

    def _shrunk(
        self,
        scene: Scene,
        region: tuple[int, int, int, int],
        size: tuple[int, int],
        finish: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
    ) -> npt.NDArray[Any]:
        x, y, region_width, region_height = region
        lattice = max(region_height, size[0]), max(region_width, size[1])
        step_y, step_x = region_height / lattice[0], region_width / lattice[1]

        def render(first: int, last: int) -> Float32Array:
            window = Window(x, y + first * step_y, last - first, lattice[1], step_x, step_y)
            return to_values(scene.forward(window, "float32"), self.groups)

        parts = shrink(render, lattice, size, self.shape[2], y if step_y == 1 else 0)
        result: npt.NDArray[Any] | None = None
        for row, values in parts:
            finished = finish(values)
            if result is None:
                result = np.empty((*size, self.shape[2]), finished.dtype)
            result[row : row + len(finished)] = finished
        assert result is not None
        return result

    def _output(
        self, dtype: npt.DTypeLike | None
    ) -> tuple[OutputDtype, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]]:
        """What to ask of the engine, and what makes the result of float32."""
        groups = self.groups
        native = native_dtype(groups)
        depths = {group.bit_depth for group in groups}
        if dtype is None and native.kind == "u" and depths != {8 * native.itemsize}:
            return "float32", lambda values: to_native(values, groups)
        try:
            wanted = native if dtype is None else np.dtype(dtype)
        except TypeError as fault:
            raise InvalidArgument(f"dtype {dtype!r} is not uint8, uint16 or float32") from fault
        if wanted.name not in _DTYPES:
            raise InvalidArgument(f"dtype {wanted} is not uint8, uint16 or float32")
        return "float32" if has_floats(groups) else _DTYPES[wanted.name], lambda values: full_range(values, wanted)

    def _lod(self, lod: int | None) -> int:
        if lod is None:
            return next(iter(self.available_lods), 0)
        return checked_lod(lod, self.lods, self.name)

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidArgument(f"{self.name}: was closed")


def _clusters(
    tiles: npt.NDArray[np.int64], known: Scene | None
) -> Iterator[tuple[TileRect, npt.NDArray[np.intp] | slice]]:
    """Rectangles of tiles to read, and which points lie in each.

    Few tiles are read one by one, since the rectangle around two far corners is the whole picture.
    """
    if not len(tiles):
        return
    (x0, y0), (x1, y1) = tiles.min(axis=0).tolist(), tiles.max(axis=0).tolist()
    around = x0, y0, x1 + 1, y1 + 1
    if known is not None and holds(known.tiles, around):
        yield around, slice(None)
        return
    distinct, owner = np.unique(tiles, axis=0, return_inverse=True)
    if len(distinct) > _SCATTERED_TILES:
        yield around, slice(None)
        return
    for number, (x, y) in enumerate(distinct.tolist()):
        yield (x, y, x + 1, y + 1), np.flatnonzero(owner.reshape(-1) == number)
