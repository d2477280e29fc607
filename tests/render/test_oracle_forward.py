"""The oracle's tile lists and blends against loops written straight from the formulas."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import TileIndex
from gscodec.render.base import Rasterizer
from gscodec.render.engines import get_backend
from gscodec.render.reference import smallest_q_per_tile

Scene = tuple[GaussianSet, Grid]


def q_of(gaussians: GaussianSet, i: int, x: float, y: float) -> float:
    dx, dy = x - gaussians.means[i, 0], y - gaussians.means[i, 1]
    cos, sin = math.cos(gaussians.rotations[i]), math.sin(gaussians.rotations[i])
    u = gaussians.inv_scales[i, 0] * (cos * dx + sin * dy)
    v = gaussians.inv_scales[i, 1] * (-sin * dx + cos * dy)
    return float(u * u + v * v)


def blend_at(gaussians: GaussianSet, grid: Grid, index: TileIndex, x: float, y: float) -> list[float]:
    rows, columns = grid.tiles_shape
    tx = min(max(math.floor(x / 16), 0), columns - 1)
    ty = min(max(math.floor(y / 16), 0), rows - 1)
    tile = ty * columns + tx
    members = [int(i) for i in index.indices[index.offsets[tile] : index.offsets[tile + 1]]]
    if not members:
        return [float(b) for b in grid.background]
    nearest = sorted((q_of(gaussians, i, x, y), i) for i in members)[: grid.top_k]
    weights = [math.exp(-(q - nearest[0][0]) / 2) for q, _ in nearest]
    return [
        sum(w * float(gaussians.features[i, c]) for w, (_, i) in zip(weights, nearest, strict=True)) / sum(weights)
        for c in range(gaussians.n_channels)
    ]


@pytest.mark.parametrize(("seed", "top_k", "n"), [(0, 10, 60), (1, 3, 60), (2, 1, 30), (3, 32, 12)])
def test_forward_equals_a_loop_over_pixels(
    oracle: Rasterizer, scene_of: Callable[..., Scene], seed: int, top_k: int, n: int
) -> None:
    gaussians, grid = scene_of(seed, n, 21, 35, 2, top_k=top_k)
    index = oracle.bin(gaussians, grid)
    image = oracle.forward(gaussians, grid, index, Window.whole(grid))
    assert image.dtype == np.float32
    expected = [
        [blend_at(gaussians, grid, index, c + 0.5, r + 0.5) for c in range(grid.width)] for r in range(grid.height)
    ]
    np.testing.assert_allclose(np.asarray(image, np.float64), np.array(expected), rtol=0, atol=1e-7)


def test_a_window_and_samples_follow_the_same_loop(oracle: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(5, 40, 30, 40)
    index = oracle.bin(gaussians, grid)
    window = Window(-3.25, 7.5, 9, 11, 4.3, 3.1)  # runs over the left, right and lower borders
    points = np.array([[-3.25 + (c + 0.5) * 4.3, 7.5 + (r + 0.5) * 3.1] for r in range(9) for c in range(11)])
    expected = np.array([blend_at(gaussians, grid, index, x, y) for x, y in points])
    image = np.asarray(oracle.forward(gaussians, grid, index, window), np.float64)
    np.testing.assert_allclose(image, expected.reshape(9, 11, 3), rtol=0, atol=1e-7)
    np.testing.assert_allclose(oracle.sample(gaussians, grid, index, points), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_tile_lists_hold_exactly_the_ellipses_that_meet_the_tile(
    oracle: Rasterizer, scene_of: Callable[..., Scene], seed: int
) -> None:
    """The ellipse's own outline says which tiles it visits; corners and the mean catch a tile within the ellipse."""
    gaussians, grid = scene_of(seed, 25, 70, 90, support_q=6.25, elongation=20.0)
    index = oracle.bin(gaussians, grid)
    rows, columns = grid.tiles_shape
    angle = np.linspace(0.0, 2 * np.pi, 40001)
    radius = math.sqrt(grid.support_q)
    for i in range(len(gaussians)):
        cos, sin = math.cos(gaussians.rotations[i]), math.sin(gaussians.rotations[i])
        u, v = radius * np.cos(angle) / gaussians.inv_scales[i, 0], radius * np.sin(angle) / gaussians.inv_scales[i, 1]
        x = np.append(gaussians.means[i, 0] + cos * u - sin * v, gaussians.means[i, 0])
        y = np.append(gaussians.means[i, 1] + sin * u + cos * v, gaussians.means[i, 1])
        smallest = smallest_q_per_tile(gaussians, i, grid)
        for tile in range(rows * columns):
            x0, y0 = 16 * (tile % columns), 16 * (tile // columns)
            visited = bool(((x0 <= x) & (x <= x0 + 16) & (y0 <= y) & (y <= y0 + 16)).any())
            visited |= any(q_of(gaussians, i, x0 + a, y0 + b) <= grid.support_q for a in (0, 16) for b in (0, 16))
            if abs(smallest[tile] - grid.support_q) > 1e-3:  # a sampled outline cannot tell a graze
                listed = i in index.indices[index.offsets[tile] : index.offsets[tile + 1]]
                assert listed == visited, f"seed {seed}, Gaussian {i}, tile {tile}"


def test_smallest_q_is_reached_and_not_undercut(scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(8, 12, 40, 50, elongation=10.0)
    inside = np.linspace(0.0, 16.0, 65)
    for i in range(len(gaussians)):
        for tile, smallest in enumerate(smallest_q_per_tile(gaussians, i, grid)):
            x0, y0 = 16 * (tile % grid.tiles_shape[1]), 16 * (tile // grid.tiles_shape[1])
            found = min(q_of(gaussians, i, x0 + a, y0 + b) for a in inside for b in inside[:: 1 if i < 2 else 8])
            assert found >= smallest - 1e-9
            if i < 2:
                assert math.sqrt(found) <= math.sqrt(smallest) + gaussians.inv_scales[i].max() * 0.18


def test_integer_output_rounds_half_up_and_clamps(oracle: Rasterizer) -> None:
    features = np.array([[-0.5, 0.5 / 255, 1.5 / 255, 0.25, 1.7]], dtype=np.float32)
    gaussians = GaussianSet(np.array([[1.0, 1.0]]), np.array([[0.5, 0.5]]), np.zeros(1), features)
    grid = Grid(2, 2, np.zeros(5, np.float32))
    index = oracle.bin(gaussians, grid)
    float_codes = features[0].astype(np.float64)
    for dtype, top in (("uint8", 255), ("uint16", 65535)):
        codes = oracle.forward(gaussians, grid, index, Window.whole(grid), dtype)  # type: ignore[arg-type]
        assert codes.dtype == dtype
        wanted = [0, *(math.floor(v * top + 0.5) for v in float_codes[1:4]), top]
        assert codes[1, 1].tolist() == wanted


def test_background_shows_where_a_tile_is_empty(oracle: Rasterizer) -> None:
    gaussians = GaussianSet(np.array([[8.0, 8.0]]), np.full((1, 2), 0.5), np.zeros(1), np.ones((1, 1), np.float32))
    grid = Grid(16, 48, np.array([0.25], np.float32), support_q=9.0)
    index = oracle.bin(gaussians, grid)
    assert index.offsets.tolist() == [0, 1, 1, 1]
    image = oracle.forward(gaussians, grid, index, Window.whole(grid))
    assert (image[:, :16] == 1.0).all()
    assert (image[:, 16:] == 0.25).all()
    empty = gaussians[:0]
    image = oracle.forward(empty, grid, oracle.bin(empty, grid), Window.whole(grid))
    assert (image == 0.25).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_the_oracle_refuses_numbers_without_an_image(oracle: Rasterizer, value: float) -> None:
    grid = Grid(8, 8, np.zeros(1, np.float32))
    poisoned = GaussianSet(np.ones((1, 2)), np.array([[1.0, value]]), np.zeros(1), np.zeros((1, 1), np.float32))
    with pytest.raises(InvalidArgument):
        oracle.bin(poisoned, grid)


def test_the_oracle_is_a_backend_by_name() -> None:
    assert get_backend("reference").name == "reference"
