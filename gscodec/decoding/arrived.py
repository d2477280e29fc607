"""What a truncated file shows: each tile at the finest level all of whose pages that meet it have arrived.

Such a picture is made of the same values as those of whole levels, tile by tile (spec/igs.md, section 11.2).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.container.reader import IgsReader
from gscodec.decoding.scene import HostScene, Scene
from gscodec.decoding.statistics import WorkTally
from gscodec.decoding.store import SceneStore
from gscodec.decoding.work import TileRect, WorkBudget
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float32Array, Float64Array, Window
from gscodec.model.rendering import OutputDtype
from gscodec.render.base import Rasterizer


class ArrivedScene:
    """`Scene` of some tiles, each at the finest level that has arrived there; the background where none has.

    Raises:
        GsCodecError: as `IgsReader.read`.
        TooManyPairs: as `Rasterizer.bin`.
    """

    def __init__(
        self, reader: IgsReader, backend: Rasterizer, tiles: TileRect, tally: WorkTally | None, max_pairs: int
    ) -> None:
        self.tiles = tiles
        self._background = np.asarray(reader.grid.background, np.float32)
        self._lods = reader.arrived_lods(tiles)
        shown = np.unique(self._lods[self._lods < reader.n_lods]).tolist()
        self._scenes = {
            lod: HostScene(reader, backend, lod, tiles, tally, max_pairs, only_arrived=True) for lod in shown
        }

    def forward(self, window: Window, dtype: OutputDtype, budget: WorkBudget) -> npt.NDArray[Any]:
        """See `Scene.forward`."""
        rows = self._tiles(window.y + (np.arange(window.height) + 0.5) * window.step_y, 1)
        columns = self._tiles(window.x + (np.arange(window.width) + 0.5) * window.step_x, 0)
        lods = self._lods[rows[:, None], columns]
        if len(self._scenes) == 1 and (lods == lods[0, 0]).all():
            return next(iter(self._scenes.values())).forward(window, dtype, budget)
        result: npt.NDArray[Any] = np.empty((*lods.shape, len(self._background)), np.float32)
        result[:] = self._background
        for lod, scene in self._scenes.items():
            which = lods == lod
            if which.any():
                result[which] = scene.forward(window, "float32", budget)[which]
        if dtype == "float32":
            return result
        top = float(np.iinfo(dtype).max)
        return np.asarray(np.floor(np.clip(result, 0, 1) * top + 0.5), dtype)

    def sample(self, points: Float64Array, budget: WorkBudget) -> Float32Array:
        """See `Scene.sample`."""
        lods = self._lods[self._tiles(points[:, 1], 1), self._tiles(points[:, 0], 0)]
        result = np.empty((len(points), len(self._background)), np.float32)
        result[:] = self._background
        for lod, scene in self._scenes.items():
            which = lods == lod
            if which.any():
                result[which] = scene.sample(points[which], budget)
        return result

    def _tiles(self, places: npt.NDArray[np.floating], axis: int) -> npt.NDArray[np.intp]:
        """Columns (axis 0) or rows of the scene's tiles of places in px."""
        first, last = self.tiles[axis], self.tiles[axis + 2]
        return np.clip(np.floor(places / TILE_SIZE).astype(np.intp), first, last - 1) - first


class ArrivedStore(SceneStore):
    """`SceneStore` whose scenes show what has arrived, whatever the level."""

    def _load(self, lod: int, tiles: TileRect) -> Scene:
        scene = ArrivedScene(self.reader, self.backend, tiles, self.tally, self.max_pairs)
        self._scenes[lod] = scene
        return scene
