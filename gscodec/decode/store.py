"""What an open file keeps between requests: an engine, and the tiles of each level that it has loaded."""

from collections.abc import Callable
from typing import Final, TypeVar

from gscodec.constants import TILE_SIZE
from gscodec.decode.reduced import ReducedScene
from gscodec.decode.scene import Scene, TileRect, holds, load_scene
from gscodec.decode.statistics import WorkTally
from gscodec.errors import BackendUnavailable, OutOfDeviceMemory
from gscodec.format import IgsReader
from gscodec.gaussians import Window
from gscodec.raster.base import Rasterizer, fall_back

WHOLE_TILES: Final = 1 << 19
"""Up to this many tiles, 128 megapixels, are loaded at once and kept."""

BAND_TILES: Final = 32
"""Rows of tiles that are loaded at a time of more."""

_Result = TypeVar("_Result")


class SceneStore:
    """Scenes by level, the last of each. Threads that load at once load twice, and the last one is kept.

    Args:
        spare: makes the engine that goes on where the first one cannot; None where there is none.
        tally: counts what is computed.
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
        self._reduced: ReducedScene | None = None

    def clear(self) -> None:
        """Let go of all of them."""
        self._scenes.clear()
        self._reduced = None

    def with_spare(self, work: Callable[[], _Result]) -> _Result:
        """Do the work, on the CPU where a card that nobody named cannot."""
        try:
            return work()
        except (BackendUnavailable, OutOfDeviceMemory) as fault:
            if self._spare is None:
                raise
            fall_back(fault)
            self.backend, self._spare = self._spare(), None
            self.clear()
            return work()

    def held(self, lod: int) -> TileRect | None:
        """The tiles of a level that are loaded."""
        scene = self._scenes.get(lod)
        return None if scene is None else scene.tiles

    def scene(self, lod: int, tiles: TileRect) -> Scene:
        """Tiles of a level, and perhaps more."""
        scene = self._scenes.get(lod)
        if scene is None or not holds(scene.tiles, tiles):
            scene = self._scenes[lod] = load_scene(self.reader, self.backend, lod, tiles, self.tally)
        return scene

    def scene_of(self, lod: int, tiles: TileRect, window: Window) -> Scene:
        """What a window needs of the tiles that a request spans: all of them, or a band where that is too much."""
        if fits(tiles):
            return self.scene(lod, tiles)
        x0, y0, x1, y1 = tiles
        first = int(window.y / TILE_SIZE)
        last = int(-(-(window.y + window.height * window.step_y) // TILE_SIZE))
        top, bottom = first - first % BAND_TILES, last + -last % BAND_TILES
        return self.scene(lod, (x0, max(y0, top), x1, min(y1, bottom)))

    def reduced(self, lod: int, region: tuple[int, int, int, int], factor: int) -> ReducedScene:
        """A region of a level on a reduced grid."""
        scene = self._reduced
        if scene is None or scene.key != (lod, region, factor):
            scene = self._reduced = ReducedScene(self.reader, self.backend, lod, region, factor)
        return scene


def fits(tiles: TileRect) -> bool:
    """Whether some tiles are few enough to be loaded at once."""
    return (tiles[2] - tiles[0]) * (tiles[3] - tiles[1]) <= WHOLE_TILES


def tiles_of(region: tuple[int, int, int, int]) -> TileRect:
    """The tiles that a region (x, y, width, height) meets."""
    x, y, width, height = region
    return x // TILE_SIZE, y // TILE_SIZE, -(-(x + width) // TILE_SIZE), -(-(y + height) // TILE_SIZE)
