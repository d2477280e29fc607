"""Gaussians and tile lists as the shader reads them, and parts of scenes that exceed what a buffer may hold."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet
from gscodec.model.rendering import TileIndex

TileRect = tuple[int, int, int, int]
Places = npt.NDArray[np.void]

GAUSSIAN: Final = np.dtype([("whole", "<i4", 2), ("part", "<f4", 2), ("axes", "<f4", (2, 2))])
"""`Gaussian` of blend.wgsl, 32 bytes."""

PLACE: Final = np.dtype([("tile", "<i4"), ("at", "<f4")])
"""`Place` of blend.wgsl, 8 bytes."""

_MOST_AXIS: Final = 1e12
"""Inverse scales, 1/px, above which q is beyond binary32 at all points but the mean itself."""


@dataclass(frozen=True)
class SceneArrays:
    """Contents of the buffers of a scene."""

    gaussians: npt.NDArray[np.void]  # (N,) GAUSSIAN
    features: Float32Array  # (N, C)
    lists: npt.NDArray[np.uint32]  # n_tiles + 1 starts, then the entries
    tiles: TileRect

    @property
    def entries(self) -> int:
        """Offset of the entries of the lists."""
        x0, y0, x1, y1 = self.tiles
        return (x1 - x0) * (y1 - y0) + 1


@dataclass(frozen=True)
class ScenePart:
    """Gaussians, and the lists of some tiles."""

    gaussians: GaussianSet
    index: TileIndex
    tiles: TileRect  # that the lists cover

    @property
    def buffer_bytes(self) -> int:
        """Size of its largest buffer."""
        n_gaussians, n_channels = len(self.gaussians), self.gaussians.n_channels
        n_words = len(self.index.offsets) + len(self.index.indices)
        return max(n_gaussians * GAUSSIAN.itemsize, 4 * n_gaussians * n_channels, 4 * n_words)

    @cached_property
    def longest(self) -> int:
        """Length of the longest list."""
        return int(np.diff(self.index.offsets).max())

    def around(self, columns: Places, rows: Places) -> "ScenePart":
        """The lists of the tiles that hold places along x and y, and the Gaussians in them."""
        x0, y0, x1, _ = self.tiles
        left, top = int(columns["tile"].min()), int(rows["tile"].min())
        right, bottom = int(columns["tile"].max()) + 1, int(rows["tile"].max()) + 1
        which = np.add.outer(np.arange(top - y0, bottom - y0) * (x1 - x0), np.arange(left - x0, right - x0)).ravel()
        sizes = np.diff(self.index.offsets)[which]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        entries = np.arange(offsets[-1]) + (self.index.offsets[which] - offsets[:-1]).repeat(sizes)
        named, indices = np.unique(self.index.indices[entries], return_inverse=True)
        tiles = left, top, right, bottom
        return ScenePart(self.gaussians[named], TileIndex(offsets, indices.astype(np.int32), tiles), tiles)

    def arrays(self) -> SceneArrays:
        """Contents of its buffers."""
        gaussians = self.gaussians
        packed = np.zeros(len(gaussians), GAUSSIAN)
        whole = np.floor(gaussians.means)
        packed["whole"] = whole
        packed["part"] = gaussians.means - whole
        c, s = np.cos(gaussians.rotations), np.sin(gaussians.rotations)
        s0, s1 = np.minimum(gaussians.inv_scales, _MOST_AXIS).T
        packed["axes"] = np.stack([s0 * c, -s1 * s, s0 * s, s1 * c], axis=1).reshape(-1, 2, 2)
        lists = np.concatenate([self.index.offsets, self.index.indices]).astype(np.uint32)
        return SceneArrays(packed, np.ascontiguousarray(gaussians.features, np.float32), lists, self.tiles)


def places(positions: Float64Array, first: int, last: int) -> Places:
    """PLACE of positions along an axis, px, in the nearest of the tiles first to last - 1 where they lie in none."""
    tiles = np.clip(np.floor(positions / TILE_SIZE), first, last - 1)
    result = np.zeros(positions.shape, PLACE)
    result["tile"] = tiles
    result["at"] = positions - TILE_SIZE * tiles
    return result
