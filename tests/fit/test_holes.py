"""Tiles that no Gaussian reaches get the nearest one, and sets without such tiles stay as they are."""

from dataclasses import replace

import numpy as np

from gscodec.fit.holes import empty_tiles, without_holes
from gscodec.fit.lattices import Steps, make_lattice
from gscodec.fit.presets import FAST
from gscodec.fit.qat import fine_tune_on
from gscodec.fit.qat_task import QatTask
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.render.cpu import CpuRasterizer

GRID = Grid(44, 70, np.zeros(1, np.float32))


def grid_of_gaussians(sigma_px: float) -> GaussianSet:
    """One Gaussian in the middle of every tile, but for the last of the second row."""
    y, x = (axis.ravel() for axis in np.mgrid[0:3, 0:5])
    keep = ~((x == 4) & (y == 1))
    means = np.stack([16.0 * x + 8, 16.0 * y + 8], axis=1)[keep]
    n = len(means)
    return GaussianSet(
        means, np.full((n, 2), 1 / sigma_px), np.linspace(0, 1, n), np.linspace(0, 1, n, dtype=np.float32)[:, None]
    )


def test_the_nearest_gaussian_is_widened_to_reach_an_empty_tile() -> None:
    engine, gaussians = CpuRasterizer(1), grid_of_gaussians(1.0)
    assert empty_tiles(engine, gaussians, GRID).tolist() == [[67.0, 24.0]], "the rest of a tile at the border"
    filled = without_holes(engine, gaussians, GRID)
    assert not len(empty_tiles(engine, filled, GRID))
    assert np.count_nonzero((filled.inv_scales != gaussians.inv_scales).any(axis=1)) == 1
    assert (filled.inv_scales <= gaussians.inv_scales).all()


def test_an_empty_tile_gets_the_least_needed_gaussian_and_others_stay() -> None:
    """A wide Gaussian that reached a far tile by being wider would cover all between them."""
    engine = CpuRasterizer(1)
    some = grid_of_gaussians(1.0)
    gaussians = GaussianSet(
        *(np.concatenate([part, part[:4]]) for part in (some.means, some.inv_scales, some.rotations, some.features))
    )
    filled = without_holes(engine, gaussians, GRID, lambda: np.array([16, 3, 17]))
    assert not len(empty_tiles(engine, filled, GRID))
    changed = np.flatnonzero((filled.means != gaussians.means).any(axis=1))
    assert changed.tolist() == [16], "one of two at one place"
    assert filled.means[16].tolist() == [67.0, 24.0]
    assert np.delete(filled.inv_scales, 16, axis=0).tolist() == np.delete(gaussians.inv_scales, 16, axis=0).tolist()


def test_what_a_moved_gaussian_leaves_empty_is_filled_too() -> None:
    engine, some = CpuRasterizer(1), grid_of_gaussians(1.0)
    gaussians = GaussianSet(
        *(np.concatenate([part, part[1:9]]) for part in (some.means, some.inv_scales, some.rotations, some.features))
    )
    filled = without_holes(engine, gaussians, GRID, lambda: np.array([0, 14, 15]))  # the first is alone in its tile
    assert not len(empty_tiles(engine, filled, GRID))
    assert np.count_nonzero((filled.means != gaussians.means).any(axis=1)) == 2
    assert (filled.inv_scales[1:14] == gaussians.inv_scales[1:14]).all()


def test_a_set_without_holes_is_the_same_object() -> None:
    gaussians = grid_of_gaussians(4.0)
    assert without_holes(CpuRasterizer(1), gaussians, GRID) is gaussians


def test_coarser_sets_have_no_holes_in_the_tiles_of_the_file() -> None:
    engine, gaussians = CpuRasterizer(1), grid_of_gaussians(1.0)[:1]
    own = Grid(10, 12, np.zeros(1, np.float32))
    assert not len(empty_tiles(engine, gaussians, own)), "its own only tile"
    for scale_log2, side in ((3, 2), (4, 1), (6, 1)):
        grid = replace(own, scale_log2=scale_log2)
        centres = empty_tiles(engine, gaussians, grid)
        assert len(centres)
        assert np.abs(centres - gaussians.means).max(axis=1).min() > 5 - side
        assert (np.mod(centres, side) == side / 2).all()
        filled = without_holes(engine, gaussians, grid)
        assert not len(empty_tiles(engine, filled, grid))


def test_fine_tuned_sets_have_no_holes() -> None:
    engine, gaussians = CpuRasterizer(1), grid_of_gaussians(1.0)
    target = np.full((GRID.height, GRID.width, 1), 0.5, np.float32)
    table = LodTable.single(len(gaussians))
    task = QatTask(target, GRID, (ChannelGroup("color", n_channels=1),), FAST, table, engine, 0)
    lattice = make_lattice(replace(Steps(), scale=16.0), np.eye(1), GRID, table.counts)
    tuned = fine_tune_on(task, gaussians, 1, lattice)
    assert not len(empty_tiles(engine, tuned, GRID))
