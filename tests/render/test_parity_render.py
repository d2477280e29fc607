"""Forward and point sampling of every engine against the oracle, for every instruction set."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.render.base import Rasterizer
from gscodec.render.reference import window_points

Scene = tuple[GaussianSet, Grid]
Thinned = Callable[[Iterable[int]], Iterable[int]]
Judge = Callable[..., None]


def check(
    engine: Rasterizer, oracle: Rasterizer, render_close: Judge, scene: Scene, label: str, *, extreme: bool = False
) -> None:
    gaussians, grid = scene
    index = oracle.bin(gaussians, grid)
    image = engine.forward(gaussians, grid, index, Window.whole(grid))
    assert image.dtype == np.float32, label
    assert image.shape == (grid.height, grid.width, gaussians.n_channels), label
    points = window_points(Window.whole(grid))
    render_close(image.reshape(len(points), -1), scene, index, points, label=f"{engine.name} {label}", extreme=extreme)


@pytest.mark.parametrize("seed", range(6))
def test_ordinary_scenes(
    engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], render_close: Judge, seed: int
) -> None:
    scene = scene_of(seed, 200, 61, 83, elongation=8.0)
    check(engine, oracle, render_close, scene, f"seed {seed}")


@pytest.mark.parametrize("seed", range(6))
def test_extreme_scenes(
    engine: Rasterizer, oracle: Rasterizer, extreme_scene_of: Callable[..., Scene], render_close: Judge, seed: int
) -> None:
    check(engine, oracle, render_close, extreme_scene_of(seed, 120), f"seed {seed}", extreme=True)


def test_every_channel_count(
    engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], render_close: Judge
) -> None:
    for c in range(1, 65):
        check(engine, oracle, render_close, scene_of(c, 14, 9, 19, c), f"C {c}, seed {c}")


def test_every_k(
    engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], render_close: Judge, thinned: Thinned
) -> None:
    """40 Gaussians a tile, so that K is below, near and above half of the list; then lists about as long as K."""
    for k in thinned(range(1, 33)):
        check(engine, oracle, render_close, scene_of(k, 40, 16, 18, top_k=k, sigma_px=(4.0, 9.0)), f"K {k}, seed {k}")
        check(
            engine, oracle, render_close, scene_of(k, k + 2, 16, 16, top_k=k, sigma_px=(9.0, 20.0)), f"K {k}, N {k + 2}"
        )


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (16, 16), (17, 31), (3, 65)])
def test_every_kind_of_size(
    engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], render_close: Judge, size: tuple[int, int]
) -> None:
    check(engine, oracle, render_close, scene_of(9, 45, *size), f"size {size}, seed 9")


def test_thousands_of_gaussians_in_one_tile_and_none_in_another(
    engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], render_close: Judge
) -> None:
    gaussians, grid = scene_of(12, 2500, 16, 48, sigma_px=(0.5, 2.0), elongation=2.0)
    gaussians.means[:, 0] = gaussians.means[:, 0] * 4.0 / 48.0 + 6.0
    index = oracle.bin(gaussians, grid)
    sizes = np.diff(index.offsets)
    assert sizes[0] > 2000
    assert sizes[2] == 0
    check(engine, oracle, render_close, (gaussians, grid), "seed 12")


def test_identical_gaussians_count_by_lowest_index(engine: Rasterizer) -> None:
    """Twenty in one place with K = 5: the first five are blended with equal weights, at every pixel."""
    n = 20
    rng = np.random.default_rng(6)
    shape = (rng.uniform(3, 12, 2), 1 / rng.uniform(2, 9, 2), rng.uniform(0, 3))
    features = np.zeros((n, n), np.float32)
    np.fill_diagonal(features, 1.0)
    gaussians = GaussianSet(np.tile(shape[0], (n, 1)), np.tile(shape[1], (n, 1)), np.full(n, shape[2]), features)
    for k in (1, 2, 5, 19, 20):
        grid = Grid(16, 16, np.zeros(n, np.float32), top_k=k, support_q=64.0)
        image = np.asarray(engine.forward(gaussians, grid, engine.bin(gaussians, grid), Window.whole(grid)), np.float32)
        np.testing.assert_allclose(image[..., :k], 1.0 / k, rtol=1e-6, err_msg=f"K {k}")
        assert not image[..., k:].any(), f"K {k}"


def test_ties_behind_nearer_gaussians(engine: Rasterizer) -> None:
    """Three nearer Gaussians, stored last, take their places; of the seven equal ones the first two take the rest."""
    means = np.array([[60.0, 8.0]] * 7 + [[4.0, 4.0], [8.0, 8.0], [12.0, 12.0]])
    gaussians = GaussianSet(means, np.full((10, 2), 1 / 64), np.zeros(10), np.eye(10, dtype=np.float32))
    grid = Grid(16, 16, np.zeros(10, np.float32), top_k=5)
    used = np.asarray(engine.forward(gaussians, grid, engine.bin(gaussians, grid), Window.whole(grid)), np.float32) > 0
    assert used[..., [0, 1, 7, 8, 9]].all()
    assert not used[..., 2:7].any()


@pytest.mark.parametrize("seed", range(3))
def test_integer_codes(engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], seed: int) -> None:
    gaussians, grid = scene_of(seed + 40, 150, 50, 66, 3)
    gaussians = GaussianSet(gaussians.means, gaussians.inv_scales, gaussians.rotations, 3 * gaussians.features - 1)
    index = oracle.bin(gaussians, grid)
    codes = np.asarray(engine.forward(gaussians, grid, index, Window.whole(grid), "uint8"))
    expected = np.asarray(oracle.forward(gaussians, grid, index, Window.whole(grid), "uint8"))
    assert codes.dtype == np.uint8
    difference = codes.astype(int) - expected.astype(int)
    assert np.abs(difference).max() <= 1, f"seed {seed}"
    assert 10 * np.log10(255**2 / max((difference**2).mean(), 1e-12)) >= 60, f"seed {seed}"
    assert {0, 255} <= set(codes.ravel().tolist()), "the clamp is part of what is tested"
    wide = np.asarray(engine.forward(gaussians, grid, index, Window.whole(grid), "uint16"))
    image = np.asarray(engine.forward(gaussians, grid, index, Window.whole(grid)), np.float64)
    assert wide.dtype == np.uint16
    exact = np.floor(np.clip(image, 0, 1) * 65535 + 0.5)
    assert np.abs(wide - exact).max() <= 1, "float32 products may round to the neighbour at 16 bits"
    assert (wide != exact).mean() < 0.02
    assert (codes == np.floor(np.clip(image, 0, 1) * 255 + 0.5)).mean() > 0.9995


def test_empty_sets_show_the_background(engine: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(2, 10, 20, 37, 5)
    gaussians = gaussians[:0]
    index = engine.bin(gaussians, grid)
    image = engine.forward(gaussians, grid, index, Window.whole(grid))
    assert (image == grid.background).all()
    assert (engine.sample(gaussians, grid, index, np.array([[3.0, 4.0], [-9.0, 99.0]])) == grid.background).all()
    codes = engine.forward(gaussians, grid, index, Window.whole(grid), "uint8")
    assert (codes == np.floor(grid.background.astype(np.float64) * 255 + 0.5)).all()
    assert engine.sample(gaussians, grid, index, np.zeros((0, 2))).shape == (0, 5)


@pytest.mark.parametrize(
    "window",
    [
        Window(0.0, 0.0, 40, 55, 0.73, 0.61),
        Window(-20.5, -3.25, 30, 20, 5.0, 4.0),
        Window(13.125, 15.875, 3, 70, 0.03125, 0.5),
        Window(5.0, 40.0, 7, 1),
        Window(30.0, 3.0, 0, 4),
    ],
)
def test_any_lattice_of_points(
    engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], render_close: Judge, window: Window
) -> None:
    scene = scene_of(21, 120, 47, 52)
    gaussians, grid = scene
    index = oracle.bin(gaussians, grid)
    points = window_points(window)
    image = engine.forward(gaussians, grid, index, window)
    assert image.shape == (window.height, window.width, 3)
    assert np.array_equal(image.reshape(-1, 3), engine.sample(gaussians, grid, index, points))
    render_close(image.reshape(-1, 3), scene, index, points, label=f"{engine.name} {window}")
