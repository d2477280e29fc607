"""Positions and borders of blocks."""

import numpy as np
import pytest

from gscodec.fit.blocks import CELL_PX, block_side, halo_width, split, survey, variance_missed
from gscodec.fit.surroundings import Surroundings, half_extents
from gscodec.image.arrays import from_array
from gscodec.image.regions import Rect, StackRegions
from gscodec.model.gaussians import GaussianSet, Grid, LodTable


@pytest.mark.parametrize("size", [(300, 500), (64, 64), (1, 700), (1000, 129), (513, 1025)])
@pytest.mark.parametrize("side", [64, 128, 256])
def test_cores_cover_the_picture_once(size: tuple[int, int], side: int) -> None:
    seen = np.zeros(size, np.int64)
    for block in split(*size, side, 64):
        seen[block.core.slices()] += 1
        assert block.window.overlap(block.core) == block.core
        assert block.window.x0 % CELL_PX == 0
        assert block.window.y0 % CELL_PX == 0
    assert (seen == 1).all()


def test_sparse_pictures_have_larger_blocks_and_wider_halos() -> None:
    assert block_side(8192, 8192, 100_000) < block_side(8192, 8192, 10_000)
    assert halo_width(8192, 8192, 100_000, 1024) < halo_width(8192, 8192, 10_000, 2048)
    assert halo_width(8192, 8192, 1, 1024) <= 512


def test_flat_parts_are_worth_little_but_something() -> None:
    picture = np.full((256, 256, 3), 0.5, np.float32)
    picture[:128, :128] = np.random.default_rng(1).random((128, 128, 3))
    source = StackRegions(from_array(picture))
    seen = survey(source, split(256, 256, 128, 64), 1000)
    busy, flat = seen.share(Rect(0, 0, 128, 128)), seen.share(Rect(128, 128, 256, 256))
    assert busy > 0.8
    assert 0 < flat < 0.1
    assert seen.share(Rect(0, 0, 256, 256)) == pytest.approx(1)
    assert seen.mean == pytest.approx(picture.mean(axis=(0, 1)), abs=1e-5)


def test_variance_is_that_inside_squares() -> None:
    steps = np.repeat(np.arange(8) % 2, 8).astype(np.float32)[None, :, None] * np.ones((64, 1, 1), np.float32)
    assert variance_missed(steps, 8) == pytest.approx(np.zeros((1, 1)))
    assert variance_missed(steps, 16) == pytest.approx(np.full((1, 1), 0.25))


def _around(core: Rect, window: Rect, neighbours: GaussianSet, generations: list[int]) -> Surroundings:
    lods = LodTable((1, 2), ((0.5,), (1.0, 1.0)))
    grid = Grid(512, 512, np.zeros(3, np.float32))
    return Surroundings(core, window, grid, lods, neighbours, np.array(generations, np.int64))


def _gaussians(means: list[list[float]], sigma: float) -> GaussianSet:
    n = len(means)
    return GaussianSet(np.array(means), np.full((n, 2), 1 / sigma), np.zeros(n), np.zeros((n, 3), np.float32))


def test_gaussians_stay_out_of_finished_blocks_and_inside_the_window() -> None:
    around = _around(Rect(128, 128, 256, 256), Rect(64, 64, 320, 320), _gaussians([[0.0, 0.0]], 1), [0])
    means = np.array([[10, 10], [70, 70], [10, 100], [10, 200], [300, -5]], np.float32)
    around.confine(means)
    assert means.tolist() == [[64, 64], [70, 70], [64, 100], [10, 200], [256, 64]]
    allowed = around.allowed
    assert not allowed[:64].any()
    assert not allowed[:192, :64].any()
    assert allowed[192:, :64].all()
    assert around.in_core(means.astype(np.float64)).tolist() == [True, True, True, False, False]


def test_gaussians_on_the_lower_edge_of_the_picture_stay_in_their_core() -> None:
    around = _around(Rect(128, 384, 512, 512), Rect(64, 320, 512, 512), _gaussians([[0.0, 0.0]], 1), [0])
    means = np.array([[10, 300], [500, 192]], np.float32)
    around.confine(means)
    assert means.tolist() == [[64, 192], [448, 192]]
    assert around.in_core(means.astype(np.float64)).all()


def test_neighbours_show_where_their_support_at_a_level_reaches() -> None:
    neighbours = _gaussians([[-20.0, 10.0], [-20.0, 10.0], [-60.0, 10.0]], 3.0)
    around = _around(Rect(0, 0, 128, 128), Rect(0, 0, 192, 192), neighbours, [0, 1, 0])
    coarse, fine = around.shown
    assert half_extents(neighbours, 25.0) == pytest.approx(15.0)
    assert len(coarse) == 1, "twice as wide at the coarse level, and its own generation alone"
    assert coarse.inv_scales == pytest.approx(0.5 / 3)
    assert len(fine) == 0
