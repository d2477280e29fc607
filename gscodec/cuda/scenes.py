"""Scenes of Gaussians that lie in device memory already: decoded there, or tensors of a caller."""

import numpy as np

from gscodec.constants import MAX_TILE_PAIRS
from gscodec.cuda import blending
from gscodec.cuda.binning import DeviceGaussians, Geometry, TileLists, TileRect, count_pairs, list_tiles
from gscodec.cuda.blending import Lattice, Real, Scene, Strides
from gscodec.cuda.runtime import Array, Runtime
from gscodec.gaussians import GaussianSet, Grid, Window
from gscodec.raster.base import TooManyPairs


def device_gaussians(
    runtime: Runtime, means: Array, inv_scales: Array, rotations: Array, features: Array, feature_stride: int = 0
) -> DeviceGaussians:
    """All of the Gaussians in such arrays; the types are those of `DeviceGaussians`.

    Args:
        feature_stride: floats from one row of features to the next; 0 for rows without gaps.
    """
    n, n_channels = features.shape
    n_shown = runtime.upload(np.array([n], np.int32))
    return DeviceGaussians(n_shown, means, inv_scales, rotations, features, n_channels, feature_stride or n_channels)


def upload_gaussians(runtime: Runtime, gaussians: GaussianSet) -> DeviceGaussians:
    """A set's copy in device memory."""
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
) -> Scene:
    """The scene of Gaussians on a grid, or on a rectangle of its tiles, with lists of exactly the room they need.

    One number is read from the device for that.

    Raises:
        TooManyPairs: more than max_pairs pairs of a tile and a Gaussian.
    """
    rows, columns = grid.tiles_shape
    rect = tiles or (0, 0, columns, rows)
    geometry = Geometry(runtime, len(gaussians))
    needed = runtime.xp.zeros(1, np.int32)
    count_pairs(runtime, gaussians, geometry, rect, grid.support_q, max_pairs, needed)
    pairs = int(runtime.download(needed)[0])
    if pairs > max_pairs:
        raise TooManyPairs(len(gaussians), grid, max_pairs)
    lists = TileLists(runtime, rect, pairs)
    list_tiles(runtime, gaussians, geometry, lists, grid.support_q)
    background = runtime.upload(np.ascontiguousarray(grid.background, np.float32))
    return Scene(gaussians, geometry, lists, background, grid.top_k, real)


def render_window(runtime: Runtime, scene: Scene, window: Window, out: Array, *, planes: bool = False) -> None:
    """Writes a window of a scene into `out`: (height, width, C), or (C, height, width) for `planes`."""
    lattice = Lattice.of(runtime, window, scene.lists.tiles, scene.real)
    n_channels = scene.gaussians.n_channels
    strides = Strides.planes(window.height, window.width) if planes else Strides.interleaved(window.width, n_channels)
    blending.render(runtime, scene, lattice, out, strides)
