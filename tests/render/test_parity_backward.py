"""Gradients of every engine against the oracle's, and against finite differences of the oracle's blend."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from gscodec.model.gaussians import Float64Array, GaussianSet, Grid, Window
from gscodec.render.base import Rasterizer
from gscodec.render.reference import blend_points, window_points

Scene = tuple[GaussianSet, Grid]
Thinned = Callable[[Iterable[int]], Iterable[int]]
KINDS = ("means", "inv_scales", "rotations", "features")


def check(engine: Rasterizer, oracle: Rasterizer, scene: Scene, seed: int, label: str) -> None:
    gaussians, grid = scene
    rng = np.random.default_rng(seed)
    index = oracle.bin(gaussians, grid)
    grad_image = rng.standard_normal((grid.height, grid.width, gaussians.n_channels), dtype=np.float32)
    expected = oracle.backward(gaussians, grid, index, grad_image)
    actual = engine.backward(gaussians, grid, index, grad_image)
    for kind in KINDS:
        got, wanted = getattr(actual, kind), getattr(expected, kind)
        where = f"{engine.name} {label}: {kind}"
        assert got.shape == wanted.shape, where
        assert got.dtype == wanted.dtype, where
        if not wanted.size:
            continue
        error, norm = np.linalg.norm(got - wanted), np.linalg.norm(wanted)
        assert error <= 1e-3 * norm + 1e-9, f"{where}: norm of the error {error:.3g} of {norm:.3g}"
        # Sums of terms of both signs: what cancels leaves float32 noise in proportion to the size of the terms.
        rms = norm / np.sqrt(wanted.size)
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=2e-3 * rms + 1e-9, err_msg=where)


@pytest.mark.parametrize("seed", range(5))
def test_ordinary_scenes(engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], seed: int) -> None:
    check(engine, oracle, scene_of(seed, 120, 45, 62, elongation=6.0), seed, f"seed {seed}")


def test_every_channel_count(engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    for c in range(1, 65):
        check(engine, oracle, scene_of(c, 12, 9, 18, c), c, f"C {c}, seed {c}")


def test_every_k(engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], thinned: Thinned) -> None:
    for k in thinned(range(2, 33)):  # with K = 1 every gradient but that of the features is zero
        check(engine, oracle, scene_of(k, 36, 16, 18, top_k=k, sigma_px=(4.0, 9.0)), k, f"K {k}, seed {k}")


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (16, 32), (19, 5)])
def test_every_kind_of_size(
    engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], size: tuple[int, int]
) -> None:
    check(engine, oracle, scene_of(3, 9, *size, sigma_px=(3.0, 9.0)), 3, f"size {size}, seed 3")


def test_long_lists(engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(8, 1200, 20, 24, sigma_px=(0.5, 2.0), elongation=2.0)
    check(engine, oracle, (gaussians, grid), 8, "seed 8")


def test_one_gaussian_per_pixel_has_only_a_feature_gradient(engine: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(4, 40, 24, 24, top_k=1)
    grads = engine.backward(gaussians, grid, engine.bin(gaussians, grid), np.ones((24, 24, 3), np.float32))
    assert grads.features.sum() == pytest.approx(24 * 24 * 3, rel=1e-6)
    for kind in KINDS[:3]:
        assert np.abs(getattr(grads, kind)).max() < 1e-4


def test_no_gaussians_have_no_gradients(engine: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(4, 10, 24, 24)
    gaussians = gaussians[:0]
    grads = engine.backward(gaussians, grid, engine.bin(gaussians, grid), np.ones((24, 24, 3), np.float32))
    assert (grads.means.shape, grads.rotations.shape, grads.features.shape) == ((0, 2), (0,), (0, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_against_finite_differences(
    engine: Rasterizer,
    oracle: Rasterizer,
    scene_of: Callable[..., Scene],
    differences: Callable[..., Float64Array],
    kind: str,
) -> None:
    gaussians, grid = scene_of(11, 9, 20, 26, 3, elongation=3.0)  # N <= K: no choice that a step could change
    index = oracle.bin(gaussians, grid)
    grad_image = np.random.default_rng(11).standard_normal((20, 26, 3)).astype(np.float32)
    flat = grad_image.reshape(-1, 3).astype(np.float64)
    points = window_points(Window.whole(grid))
    grads = getattr(engine.backward(gaussians, grid, index, grad_image), kind)
    numeric = differences(
        lambda moved: float((blend_points(moved, grid, index, points) * flat).sum()),
        gaussians,
        kind,
        1e-5,
        np.arange(grads.size),
    )
    np.testing.assert_allclose(grads.ravel(), numeric, rtol=1e-3, atol=1e-4 * np.abs(numeric).max())
