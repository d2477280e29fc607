"""Tile lists of every engine, from the extent of an ellipse inside a row of tiles, against the oracle's minima."""

from collections.abc import Callable

import numpy as np
import pytest

from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import TileIndex
from gscodec.render.base import Rasterizer

Scene = tuple[GaussianSet, Grid]


def circles(means: list[tuple[float, float]], inv_scale: float) -> GaussianSet:
    n = len(means)
    return GaussianSet(np.array(means), np.full((n, 2), inv_scale), np.zeros(n), np.zeros((n, 1), np.float32))


def members(index: TileIndex) -> list[list[int]]:
    return [index.indices[a:b].tolist() for a, b in zip(index.offsets, index.offsets[1:], strict=False)]


@pytest.mark.parametrize("seed", range(8))
def test_ordinary_lists(
    engine: Rasterizer,
    oracle: Rasterizer,
    scene_of: Callable[..., Scene],
    lists_equal: Callable[..., None],
    seed: int,
) -> None:
    scene = scene_of(
        seed, 150, 90 + 7 * seed, 120 - 5 * seed, elongation=30.0, support_q=(1.0, 6.25, 9.0, 64.0)[seed % 4]
    )
    lists_equal(engine.bin(*scene), oracle.bin(*scene), scene, label=f"seed {seed}")


@pytest.mark.parametrize("seed", range(8))
def test_extreme_lists(
    engine: Rasterizer,
    oracle: Rasterizer,
    extreme_scene_of: Callable[..., Scene],
    lists_equal: Callable[..., None],
    seed: int,
) -> None:
    scene = extreme_scene_of(seed, 150)
    lists_equal(engine.bin(*scene), oracle.bin(*scene), scene, label=f"seed {seed}")


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (16, 16), (17, 33), (15, 48)])
def test_sizes_that_are_no_multiple_of_a_tile(
    engine: Rasterizer,
    oracle: Rasterizer,
    scene_of: Callable[..., Scene],
    lists_equal: Callable[..., None],
    size: tuple[int, int],
) -> None:
    scene = scene_of(sum(size), 40, *size, margin_px=20.0)
    lists_equal(engine.bin(*scene), oracle.bin(*scene), scene, label=f"size {size}")


def test_an_ellipse_that_touches_a_border_belongs_to_both_sides(engine: Rasterizer, oracle: Rasterizer) -> None:
    """Radius 3 / 0.5 = 6 px and every number here is exact in binary, so the closed test has no tolerance."""
    grid = Grid(48, 48, np.zeros(1, np.float32), support_q=9.0)
    gaussians = circles([(10, 8), (22, 8), (8, 10), (8, 22), (10, 10), (24, 24), (9.75, 8)], 0.5)
    expected = [[0, 1, 2, 3, 4, 6], [0, 1, 4], [], [2, 3, 4], [5], [], [], [], []]
    assert members(oracle.bin(gaussians, grid)) == expected
    assert members(engine.bin(gaussians, grid)) == expected


def test_a_circle_that_touches_a_corner_belongs_to_it(engine: Rasterizer, oracle: Rasterizer) -> None:
    """Radius 5 px, and the corner (16, 16) is 3 and 4 px away: q is exactly Q there."""
    grid = Grid(32, 32, np.zeros(1, np.float32), support_q=25.0)
    gaussians = circles([(13, 12), (19, 12), (13, 20), (19, 20), (12.9375, 12)], 1.0)
    # Each of the first four meets the tile across the corner in that one point; the last, 1/16 px left of the first,
    # only meets the tiles above, left and below.
    expected = [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3]]
    assert members(oracle.bin(gaussians, grid)) == expected
    assert members(engine.bin(gaussians, grid)) == expected


def test_means_on_image_borders_and_far_outside(engine: Rasterizer, oracle: Rasterizer) -> None:
    grid = Grid(32, 48, np.zeros(1, np.float32), support_q=9.0)
    gaussians = circles([(0, 0), (48, 32), (48, 0), (0, 32), (-6, 8), (54, 8), (-6.25, 8), (1e6, 1e6), (-1e6, 8)], 0.5)
    expected = [[0, 4], [], [2, 5], [3], [], [1]]
    assert members(oracle.bin(gaussians, grid)) == expected
    assert members(engine.bin(gaussians, grid)) == expected


def test_no_gaussians_give_empty_lists(engine: Rasterizer) -> None:
    empty = circles([(0, 0)], 1.0)[:0]
    index = engine.bin(empty, Grid(20, 40, np.zeros(1, np.float32)))
    assert index.offsets.tolist() == [0] * 7
    assert index.indices.shape == (0,)


@pytest.mark.parametrize("tiles", [(0, 0, 4, 3), (1, 0, 2, 1), (2, 1, 4, 3), (0, 2, 4, 3)])
def test_a_rectangle_of_tiles_is_that_part_of_the_whole(
    engine: Rasterizer,
    oracle: Rasterizer,
    scene_of: Callable[..., Scene],
    tiles: tuple[int, int, int, int],
) -> None:
    scene = scene_of(17, 90, 48, 64, elongation=20.0)
    x0, y0, x1, y1 = tiles
    whole, part = members(engine.bin(*scene)), engine.bin(*scene, tiles)
    assert part.tiles == tiles
    assert members(part) == [whole[4 * y + x] for y in range(y0, y1) for x in range(x0, x1)]
    assert members(oracle.bin(*scene, tiles)) == members(part)
    window = Window(16 * x0, 16 * y0, 16 * (y1 - y0), 16 * (x1 - x0))
    assert np.array_equal(engine.forward(*scene, part, window), engine.forward(*scene, engine.bin(*scene), window)), (
        "the pixels of a partial index"
    )
    np.testing.assert_allclose(
        np.asarray(oracle.forward(*scene, oracle.bin(*scene, tiles), window), np.float64),
        np.asarray(oracle.forward(*scene, oracle.bin(*scene), window), np.float64),
        rtol=0,
        atol=0,
    )
