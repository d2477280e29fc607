"""Maintenance of a set between steps: finds Gaussians of low importance and Gaussians that barely reach their tiles."""

from dataclasses import replace
from typing import Final

import numpy as np

from gscodec.cuda.scenes import bin_scene, upload_gaussians
from gscodec.cuda.upkeep import removal_sums
from gscodec.model.constants import MAX_CHANNELS
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
from gscodec.render.arguments import importance_of_samples
from gscodec.render.base import DeviceEngine, Rasterizer

SEARCH: Final = 3.0
"""Radius, in q relative to the support, of the search for a point's nearest Gaussian; beyond it, none is worth
widening."""

MOST_AT_ONCE: Final = 0.2
"""Maximum change of the logarithm of an inverse scale per call."""


def removal_cost(
    rasterizer: Rasterizer, gaussians: GaussianSet, grid: Grid, importance: Float32Array | None = None
) -> Float64Array:
    """(n,) approximate increase of the squared error if each Gaussian alone were removed.

    Without Gaussian i of weight u, a pixel changes by u / (1 - u) (c - c_i). This sums u |c - c_i|^2, which follows
    from the gradient of the features with a picture of 1, c and |c|^2 in place of the error's.

    Args:
        importance: as in `Rasterizer.loss`; None means 1 everywhere.
    """
    device = rasterizer.on_device
    sums = (
        _host_sums(rasterizer, gaussians, grid, importance)
        if device is None
        else _device_sums(device, gaussians, grid, importance)
    )
    return cost_of_sums(sums, gaussians.features)


def cost_of_sums(sums: Float64Array, features: Float32Array) -> Float64Array:
    """(n,) result of `removal_cost` from sums (n, W + C + 1) as returned by `cuda.upkeep.removal_sums`."""
    own = features.astype(np.float64)
    n_weights = sums.shape[1] - own.shape[1] - 1
    weights, products = sums[:, :n_weights], sums[:, n_weights:-1]
    cost: Float64Array = sums[:, -1] - 2 * (products * own).sum(axis=1) + (weights * own**2).sum(axis=1)
    return cost


def _device_sums(
    engine: DeviceEngine, gaussians: GaussianSet, grid: Grid, importance: Float32Array | None
) -> Float64Array:
    runtime = engine.runtime
    with runtime:
        scene = bin_scene(runtime, upload_gaussians(runtime, gaussians), grid)
        each = None if importance is None else engine.pictures.as_it_is(importance)
        return removal_sums(runtime, scene, scene.lattice(runtime, Window.whole(grid)), each)


def _host_sums(
    rasterizer: Rasterizer, gaussians: GaussianSet, grid: Grid, importance: Float32Array | None
) -> Float64Array:
    image = rasterizer.forward(gaussians, grid, rasterizer.bin(gaussians, grid), Window.whole(grid))
    ones = np.ones((*image.shape[:2], 1), np.float32)
    each = ones if importance is None else importance_of_samples(importance)
    probe = np.concatenate([each, each * image, (each * image**2).sum(axis=2, keepdims=True)], axis=2)
    return _weighted_sums(rasterizer, gaussians, grid, probe)


def _weighted_sums(rasterizer: Rasterizer, gaussians: GaussianSet, grid: Grid, picture: Float32Array) -> Float64Array:
    """(n, P) each Gaussian's weight times a (H, W, P) picture, summed over the pixels."""
    if picture.shape[2] > MAX_CHANNELS:  # the maximum that engines take at once
        parts = (picture[:, :, :MAX_CHANNELS], picture[:, :, MAX_CHANNELS:])
        sums = [_weighted_sums(rasterizer, gaussians, grid, np.ascontiguousarray(part)) for part in parts]
        return np.concatenate(sums, axis=1)
    shape = len(gaussians), picture.shape[2]
    blank = replace(gaussians, features=np.zeros(shape, np.float32))
    plain = replace(grid, background=np.zeros(shape[1], np.float32))
    return rasterizer.backward(blank, plain, rasterizer.bin(blank, plain), picture).features.astype(np.float64)


def missing_reach(engine: Rasterizer, gaussians: GaussianSet, grid: Grid, limit: float) -> Float32Array:
    """(n, 2) amounts by which log inverse scales must fall so that Gaussians keep the tiles they contribute to.

    A tile lists the Gaussians that reach it. If the nearest Gaussian of one of its points barely reaches it, the next
    small step loses it: the tile takes the colour of other Gaussians, and no gradient restores the right one. Such
    Gaussians are widened, most along the axis that points to the tile, until q at the tile's closest point is `limit`
    of the support.
    """
    wide = replace(grid, support_q=SEARCH * grid.support_q)
    squares = engine.farthest_owned(gaussians, wide, engine.bin(gaussians, wide)).astype(np.float64)
    q = squares.sum(axis=1)
    excess = np.maximum(q - limit * grid.support_q, 0.0)
    # Along the gradient of q with respect to both logarithms, 2 U^2 and 2 V^2, as far as first order requires.
    moves = (excess / np.maximum(2 * (squares**2).sum(axis=1), 1e-12))[:, None] * squares
    bounded: Float32Array = np.minimum(moves, MOST_AT_ONCE).astype(np.float32)
    return bounded
