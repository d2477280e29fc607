"""Scenes of Gaussians that are already in GPU memory: decoded there, or tensors of a caller."""

from typing import Final

import numpy as np

from gscodec.cuda import blending
from gscodec.cuda.binning import DeviceGaussians, Geometry, TileLists, TileRect, count_pairs, list_tiles
from gscodec.cuda.blending import Real, Scene, Strides
from gscodec.cuda.runtime import Array, Runtime
from gscodec.model.constants import MAX_TILE_PAIRS
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import TooManyPairs

ROOM: Final = 1.25
"""Capacity of a `Renderer` for pairs, relative to the number needed when it is allocated."""


def device_gaussians(
    runtime: Runtime, means: Array, inv_scales: Array, rotations: Array, features: Array, feature_stride: int = 0
) -> DeviceGaussians:
    """The Gaussians in these arrays, whose types are those of `DeviceGaussians`.

    Args:
        feature_stride: distance between rows of features, in floats; 0 for rows without gaps.
    """
    n, n_channels = features.shape
    n_shown = runtime.upload(np.array([n], np.int32))
    return DeviceGaussians(n_shown, means, inv_scales, rotations, features, n_channels, feature_stride or n_channels)


def upload_gaussians(runtime: Runtime, gaussians: GaussianSet) -> DeviceGaussians:
    """A copy of a set in device memory."""
    return device_gaussians(
        runtime,
        runtime.upload(np.asarray(gaussians.means, np.float64)),
        runtime.upload(np.asarray(gaussians.inv_scales, np.float64)),
        runtime.upload(np.asarray(gaussians.rotations, np.float64)),
        runtime.upload(np.asarray(gaussians.features, np.float32)),
    )


def bin_scene(
    runtime: Runtime,
    gaussians: DeviceGaussians,
    grid: Grid,
    tiles: TileRect | None = None,
    real: Real = np.float32,
    max_pairs: int = MAX_TILE_PAIRS,
    room: float = 1.0,
) -> Scene:
    """The scene of Gaussians on a grid or a rectangle of its tiles, with `room` times the capacity for pairs needed.

    Reads one number from the device.

    Raises:
        TooManyPairs: there are more than max_pairs pairs of a tile and a Gaussian.
    """
    rows, columns = grid.tiles_shape
    geometry = Geometry(runtime, len(gaussians))
    lists = TileLists(runtime, tiles or (0, 0, columns, rows), None)
    needed = runtime.xp.zeros(1, np.int32)
    count_pairs(runtime, gaussians, geometry, lists, grid.support_q, max_pairs, needed)
    pairs = int(runtime.download(needed)[0])
    if pairs > max_pairs:
        raise TooManyPairs(len(gaussians), grid, max_pairs, f"free memory on device {runtime.name}")
    lists.make_room(runtime, min(round(room * pairs), max_pairs))
    list_tiles(runtime, gaussians, geometry, lists, grid.support_q)
    background = runtime.upload(np.ascontiguousarray(grid.background, np.float32))
    return Scene(gaussians, geometry, lists, background, grid.top_k, real)


def render_window(runtime: Runtime, scene: Scene, window: Window, out: Array, *, planes: bool = False) -> None:
    """Write a window of a scene to `out`: (height, width, C), or (C, height, width) for `planes`."""
    lattice = scene.lattice(runtime, window)
    blending.render(runtime, scene, lattice, out, _strides(scene, window, planes=planes))


def render_rows(runtime: Runtime, scene: Scene, window: Window, rows: tuple[int, int], out: Array) -> None:
    """Write rows first to last - 1 of a window to `out`, (last - first, width, C), identical to those of the whole."""
    if rows[0] >= rows[1]:
        return
    part = scene.around(window, rows)
    strides = Strides.interleaved(window.width, scene.gaussians.n_channels)
    blending.render(runtime, part, part.lattice(runtime, window, rows), out, strides)


class Renderer:
    """Renders a window of Gaussians repeatedly while their values change in place.

    All memory is allocated before the first render. Each render is then a fixed list of launches (tile lists, then
    blending), one CUDA graph if possible: it allocates nothing and transfers nothing.

    Args:
        gaussians: arrays that keep their addresses; a render shows their values at that time.
        out: as in `render_window`; written by every render.

    Raises:
        TooManyPairs: there are more than max_pairs pairs of a tile and a Gaussian, now or in `complete`.
    """

    def __init__(
        self,
        runtime: Runtime,
        gaussians: DeviceGaussians,
        grid: Grid,
        window: Window,
        out: Array,
        *,
        planes: bool = False,
        real: Real = np.float32,
        max_pairs: int = MAX_TILE_PAIRS,
    ) -> None:
        self._runtime = runtime
        self._grid = grid
        self._out = out
        self._max_pairs = max_pairs
        with runtime:
            self._scene = bin_scene(runtime, gaussians, grid, real=real, max_pairs=max_pairs, room=ROOM)
            self._lattice = self._scene.lattice(runtime, window)
            self._needed = runtime.xp.zeros(1, np.int32)
        self._strides = _strides(self._scene, window, planes=planes)
        self._replay = runtime.record(self._launch)

    def render(self) -> None:
        """Write `out`, and return without waiting. If the pairs exceed the capacity, `out` is all background."""
        self._replay()

    def complete(self) -> None:
        """Wait; if a render since the last call exceeded the capacity, enlarge it and render again."""
        with self._runtime:
            needed = int(self._runtime.download(self._needed)[0])
            if needed <= self._scene.lists.capacity:
                return
            if needed > self._max_pairs:
                raise TooManyPairs(len(self._scene.gaussians), self._grid, self._max_pairs)
            self._scene.lists.make_room(self._runtime, min(round(ROOM * needed), self._max_pairs))
            self._needed.fill(0)
        self._replay = self._runtime.record(self._launch)  # the old recording has the addresses of the old lists
        self._replay()

    def _launch(self) -> None:
        runtime, scene = self._runtime, self._scene
        lists, support_q = scene.lists, self._grid.support_q
        count_pairs(runtime, scene.gaussians, scene.geometry, lists, support_q, lists.capacity, self._needed)
        list_tiles(runtime, scene.gaussians, scene.geometry, lists, support_q)
        blending.render(runtime, scene, self._lattice, self._out, self._strides)


def _strides(scene: Scene, window: Window, *, planes: bool) -> Strides:
    if planes:
        return Strides.planes(window.height, window.width)
    return Strides.interleaved(window.width, scene.gaussians.n_channels)
