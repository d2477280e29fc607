"""Cache of an open file: an engine, and the tiles of each level that have been loaded."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import numpy.typing as npt

from gscodec.container.reader import IgsReader
from gscodec.decoding.load_scene import load_scene
from gscodec.decoding.reduced import ReducedScene, tiles_of_region
from gscodec.decoding.scene import Scene, holds
from gscodec.decoding.statistics import WorkTally
from gscodec.decoding.work import TileRect, WorkBudget
from gscodec.errors import BackendUnavailable, OutOfDeviceMemory
from gscodec.model.constants import MAX_TILE_PAIRS, TILE_SIZE
from gscodec.model.gaussians import Float32Array, Float64Array, Window
from gscodec.model.rendering import TooManyPairs
from gscodec.render.base import Rasterizer
from gscodec.render.engines import fall_back

if TYPE_CHECKING:  # GPU modules are imported only if there is a GPU
    from gscodec.cuda.runtime import Array, Runtime
    from gscodec.decoding.device import DeviceScene

WHOLE_TILES: Final = 1 << 19
"""Maximum number of tiles, 128 megapixels, that are loaded at once and kept."""

PAIR_SHARE: Final = 512
"""Bytes of a request's memory limit per entry of the tile lists that are loaded at once. An entry takes 4 bytes, and up
to 16 while lists are built: 8 GiB allow 2^24 entries, which take 64 to 256 MiB."""


DEVICE_TILES: Final = 1 << 23
"""The same on a GPU, 2^31 pixels: offsets and counts of the lists take 64 MiB."""

STAYING_BYTES: Final = 1 << 24
"""Maximum bytes of the file up to and including a level for which the whole level is loaded on a GPU at the second
request: 3 million Gaussians of `coded`, which take half a GiB there."""

DEVICE_PAIR_SHARE: Final = 64
"""Bytes of a GPU's free memory per entry of the tile lists that are loaded at once; an entry takes 16 bytes there."""

BAND_TILES: Final = 32
"""Rows of tiles that are loaded at a time if not all are."""

_Result = TypeVar("_Result")


class SceneStore:
    """The last scene of each level. Threads that load at the same time load twice, and the last scene is kept.

    Args:
        spare: creates the engine to fall back to; None if there is none.
        tally: counts the work done.
    """

    def __init__(
        self,
        reader: IgsReader,
        backend: Rasterizer,
        spare: Callable[[], Rasterizer] | None,
        tally: WorkTally | None,
    ) -> None:
        self.reader, self.backend, self.tally = reader, backend, tally
        self._spare = spare
        self._scenes: dict[int, Scene] = {}
        self._at_once: dict[int, int] = {}  # tiles of a level to load at a time if its lists are too long
        self._reduced: ReducedScene | None = None
        self._reduced_there: tuple[object, DeviceScene] | None = None

    @property
    def runtime(self) -> "Runtime | None":
        """The GPU runtime, if the engine keeps scenes in GPU memory."""
        there = self.backend.on_device
        return None if there is None else there.runtime

    def clear(self) -> None:
        """Free all scenes."""
        self._scenes.clear()
        self._reduced = self._reduced_there = None

    def with_spare(self, work: Callable[[], _Result]) -> _Result:
        """Result of `work`; if the device was chosen automatically and fails, it is retried on the CPU."""
        try:
            return work()
        except (BackendUnavailable, OutOfDeviceMemory) as fault:
            self.take_spare(fault)
            return work()

    def take_spare(self, fault: BackendUnavailable | OutOfDeviceMemory) -> None:
        """Use the CPU from now on; without a spare engine, raise `fault`."""
        if self._spare is None:
            raise fault
        fall_back(fault)
        self.backend, self._spare = self._spare(), None
        self.clear()

    def held(self, lod: int) -> TileRect | None:
        """The tiles of a level that are loaded, or None."""
        scene = self._scenes.get(lod)
        return None if scene is None else scene.tiles

    @property
    def max_pairs(self) -> int:
        """Maximum number of entries of tile lists that are loaded at once."""
        if self.runtime is not None:
            return max(1, min(MAX_TILE_PAIRS, self.runtime.free_bytes() // DEVICE_PAIR_SHARE))
        return min(MAX_TILE_PAIRS, self.reader.limits.memory // PAIR_SHARE)

    def scene(self, lod: int, tiles: TileRect) -> Scene:
        """A scene with at least these tiles of a level.

        Raises:
            TooManyPairs: their lists have more than `max_pairs` entries.
        """
        scene = self._scenes.get(lod)
        if scene is None or not holds(scene.tiles, tiles):
            if scene is not None and self._may_stay(lod):
                try:
                    return self._load(lod, self._all_tiles)
                except TooManyPairs:
                    self._at_once[lod] = self._n_tiles - 1
            scene = self._load(lod, tiles)
        return scene

    def _load(self, lod: int, tiles: TileRect) -> Scene:
        scene = load_scene(self.reader, self.backend, lod, tiles, self.tally, self.max_pairs)
        self._scenes[lod] = scene
        return scene

    def _may_stay(self, lod: int) -> bool:
        """Whether the whole level is loaded at the second request, so that later ones find it."""
        fits = self._n_tiles <= self._at_once.get(lod, DEVICE_TILES)
        return self.runtime is not None and fits and self.reader.prefix_size(lod) <= STAYING_BYTES

    @property
    def _n_tiles(self) -> int:
        rows, columns = self.reader.grid.tiles_shape
        return rows * columns

    @property
    def _all_tiles(self) -> TileRect:
        rows, columns = self.reader.grid.tiles_shape
        return 0, 0, columns, rows

    def band_tiles(self, lod: int, tiles: TileRect) -> int:
        """Rows of tiles to load at a time; all of them if the level allows it."""
        rows, columns = tiles[3] - tiles[1], tiles[2] - tiles[0]
        at_once = self._at_once.get(lod, WHOLE_TILES if self.runtime is None else DEVICE_TILES)
        if rows * columns <= at_once:
            return rows
        return max(1, min(BAND_TILES, at_once // columns))

    def narrow(self, lod: int, tiles: TileRect) -> bool:
        """Load fewer tiles of a level at a time from now on; whether these tiles can be divided further."""
        rows = self.band_tiles(lod, tiles)
        self._at_once[lod] = max(1, rows // 4) * (tiles[2] - tiles[0])
        self._scenes.pop(lod, None)
        return rows > 1

    def scene_of(self, lod: int, tiles: TileRect, window: Window) -> Scene:
        """Scene for a window of a request's tiles: all of them, or a band if they are too many.

        Raises:
            TooManyPairs: the lists are too long; `narrow` makes them shorter.
        """
        x0, y0, x1, y1 = tiles
        band = self.band_tiles(lod, tiles)
        if band == y1 - y0:
            return self.scene(lod, tiles)
        first = int(window.y / TILE_SIZE)
        last = int(-(-(window.y + window.height * window.step_y) // TILE_SIZE))
        top, bottom = first - first % band, last + -last % band
        return self.scene(lod, (x0, max(y0, top), x1, min(y1, bottom)))

    def sample(self, lod: int, tiles: TileRect, points: Float64Array, budget: WorkBudget) -> Float32Array:
        """(M, C) values of a level at points (M, 2) px in some tiles, which are halved while their lists are too long.

        Raises:
            TooManyPairs: the list of a single tile is too long.
            GsCodecError: as `scene`, and `Scene.sample`.
        """
        try:
            return self.scene(lod, tiles).sample(points, budget)
        except TooManyPairs:
            halves = _halves(tiles, points)
            if not halves:
                raise
        result = np.empty((len(points), len(self.reader.grid.background)), np.float32)
        for half, which in halves:
            result[which] = self.sample(lod, half, points[which], budget)
        return result

    def sample_to_device(
        self, lod: int, tiles: TileRect, points: Float64Array, budget: WorkBudget, out: "Array"
    ) -> None:
        """The same, written to a contiguous float32 GPU array (M, C)."""
        from gscodec.decoding.device import DeviceScene

        try:
            scene = self.scene(lod, tiles)
            assert isinstance(scene, DeviceScene)
            scene.sample_to(points, out, budget)
        except TooManyPairs:
            halves = _halves(tiles, points)
            if not halves:
                raise
        else:
            return
        assert self.runtime is not None
        for half, which in halves:
            part = self.runtime.xp.empty((int(which.sum()), out.shape[1]), np.float32)
            self.sample_to_device(lod, half, points[which], budget, part)
            out[self.runtime.upload(np.flatnonzero(which))] = part

    def reduced_on_device(self, lod: int, region: tuple[int, int, int, int], factor: int) -> "DeviceScene":
        """`reduced` in GPU memory."""
        from gscodec.decoding.device import DeviceScene

        assert self.runtime is not None
        key = lod, region, factor
        if self._reduced_there is None or self._reduced_there[0] != key:
            tiles = tiles_of_region(region, factor)
            scene = DeviceScene(self.reader, self.runtime, lod, tiles, self.max_pairs, factor)
            self._reduced_there = key, scene
        return self._reduced_there[1]

    def reduced(self, lod: int, region: tuple[int, int, int, int], factor: int) -> ReducedScene:
        """Scene of a region of a level on a reduced grid."""
        scene = self._reduced
        if scene is None or scene.key != (lod, region, factor):
            scene = self._reduced = ReducedScene(self.reader, self.backend, lod, region, factor, self.max_pairs)
        return scene


def _halves(tiles: TileRect, points: Float64Array) -> list[tuple[TileRect, npt.NDArray[np.bool_]]]:
    """Two halves of some tiles, each with a mask of the points (M, 2) px inside; empty for a single tile."""
    axis = int(tiles[3] - tiles[1] > tiles[2] - tiles[0])
    if tiles[axis + 2] - tiles[axis] < 2:
        return []
    cut = (tiles[axis] + tiles[axis + 2]) // 2
    before = points[:, axis] < cut * TILE_SIZE
    halves = []
    for which, edge in ((before, axis + 2), (~before, axis)):
        if which.any():
            half: TileRect = (*tiles[:edge], cut, *tiles[edge + 1 :])  # type: ignore[assignment]  # four numbers
            halves.append((half, which))
    return halves


def tiles_of(region: tuple[int, int, int, int]) -> TileRect:
    """Tiles that intersect a region (x, y, width, height)."""
    x, y, width, height = region
    return x // TILE_SIZE, y // TILE_SIZE, -(-(x + width) // TILE_SIZE), -(-(y + height) // TILE_SIZE)
