"""The oracle's gradients against central finite differences of its own float64 blend, for every kind of parameter."""

from collections.abc import Callable

import numpy as np
import pytest

from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import TileIndex
from gscodec.render.base import Rasterizer
from gscodec.render.reference import blend_points, mahalanobis_q, tile_of_points, window_points

Scene = tuple[GaussianSet, Grid]
KINDS = ("means", "inv_scales", "rotations", "features")
STEP = 1e-5


def gap_at_cutoff(gaussians: GaussianSet, grid: Grid, index: TileIndex) -> Float64Array:
    """(H, W) relative distance between the K-th and the next q of each pixel, infinite without a next one."""
    points = window_points(Window.whole(grid))
    tiles = tile_of_points(grid, index, points)
    gap = np.full(len(points), np.inf)
    for tile in np.unique(tiles):
        members = index.indices[index.offsets[tile] : index.offsets[tile + 1]]
        if len(members) > grid.top_k:
            here = points[tiles == tile]
            q = np.sort(mahalanobis_q(gaussians, members[None, :], here[:, :1], here[:, 1:]), axis=1)
            gap[tiles == tile] = (q[:, grid.top_k] - q[:, grid.top_k - 1]) / q[:, grid.top_k]
    return gap.reshape(grid.height, grid.width)


def check(
    oracle: Rasterizer, differences: Callable[..., Float64Array], scene: Scene, kind: str, *, label: str, entries: int
) -> None:
    """Differences keep the tile lists fixed and skip pixels whose K nearest might change within a step."""
    gaussians, grid = scene
    rng = np.random.default_rng(99)
    index = oracle.bin(gaussians, grid)
    gap = gap_at_cutoff(gaussians, grid, index)
    grad_image = rng.standard_normal((grid.height, grid.width, gaussians.n_channels)).astype(np.float32)
    grad_image[gap < 1e-3] = 0.0
    assert (gap < 1e-3).mean() < 0.1, f"{label}: the mask hides too much"
    grads = oracle.backward(gaussians, grid, index, grad_image)
    analytic = np.asarray(getattr(grads, kind), np.float64)
    points = window_points(Window.whole(grid))
    flat_grad = grad_image.reshape(len(points), -1).astype(np.float64)

    def value(moved: GaussianSet) -> float:
        return float((blend_points(moved, grid, index, points) * flat_grad).sum())

    which = rng.permutation(analytic.size)[:entries]
    numeric = differences(value, gaussians, kind, STEP, which)
    scale = np.abs(analytic).max()
    assert scale > 0, label
    np.testing.assert_allclose(analytic.flat[which], numeric, rtol=1e-5, atol=1e-6 * scale, err_msg=f"{label} {kind}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_when_every_gaussian_counts(
    oracle: Rasterizer,
    scene_of: Callable[..., Scene],
    differences: Callable[..., Float64Array],
    kind: str,
    seed: int,
) -> None:
    scene = scene_of(seed, 8, 20, 27, 4, top_k=10, elongation=3.0)
    check(oracle, differences, scene, kind, label=f"seed {seed}", entries=32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top_k", [1, 4, 10])
def test_gradients_when_the_nearest_are_chosen(
    oracle: Rasterizer,
    scene_of: Callable[..., Scene],
    differences: Callable[..., Float64Array],
    kind: str,
    top_k: int,
) -> None:
    if kind != "features" and top_k == 1:
        gaussians, grid = scene_of(7, 50, 32, 32, 3, top_k=1)
        index = oracle.bin(gaussians, grid)
        grads = oracle.backward(gaussians, grid, index, np.ones((32, 32, 3), np.float32))
        assert not np.abs(getattr(grads, kind)).max() > 1e-15, "one Gaussian alone has weight 1 wherever it lies"
        return
    scene = scene_of(7, 90, 33, 40, 3, top_k=top_k, elongation=6.0)
    check(oracle, differences, scene, kind, label=f"K {top_k}", entries=16)


def test_a_gaussian_outside_every_tile_has_no_gradient(oracle: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(3, 20, 20, 20)
    gaussians.means[5] = (500.0, 500.0)
    index = oracle.bin(gaussians, grid)
    grads = oracle.backward(gaussians, grid, index, np.ones((20, 20, 3), np.float32))
    for kind in KINDS:
        assert not getattr(grads, kind)[5].any()
        assert getattr(grads, kind).any()


def test_gradient_image_must_match_the_render(oracle: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(3, 20, 20, 20)
    with pytest.raises(InvalidArgument):
        oracle.backward(gaussians, grid, oracle.bin(gaussians, grid), np.ones((20, 21, 3), np.float32))
