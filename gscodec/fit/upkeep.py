"""Maintenance of a set between steps: finds Gaussians of low importance and Gaussians that barely reach their tiles."""

from dataclasses import replace
from typing import Final

import numpy as np

from gscodec.cuda.scenes import bin_scene, upload_gaussians
from gscodec.cuda.upkeep import removal_sums
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
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

    Without Gaussian i of weight u, a pixel changes by u / (1 - u) (c - c_i). This sums u |c - c_i|^2.

    Args:
        importance: as in `Rasterizer.loss`; None means 1 everywhere.
    """
    device = rasterizer.on_device
    if device is None:
        return rasterizer.removal_costs(gaussians, grid, rasterizer.bin(gaussians, grid), importance)
    return cost_of_sums(_device_sums(device, gaussians, grid, importance), gaussians.features)


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
