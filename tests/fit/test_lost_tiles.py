"""A tile that rounding takes from the Gaussian that showed it gets it back; other tiles stay as they are."""

from dataclasses import replace

import numpy as np

from gscodec.fit.lost_tiles import without_lost_tiles
from gscodec.fit.presets import FAST
from gscodec.fit.qat_task import QatTask
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable, Window
from gscodec.render.cpu import CpuRasterizer

WHITE, BLACK = 1.0, 0.0


def scene(grid: Grid) -> GaussianSet:
    """White tiles but for the first of all, which the black Gaussian of the tile below it barely does not show."""
    height, width = grid.height / 16, grid.width / 16
    y, x = (axis.ravel() for axis in np.mgrid[0:height, 0:width])
    own = (y > 0) & ((x > 0) | (y > 1))
    means = np.stack([16 * x + 8, 16 * y + 8], axis=1)[own]
    wide = [[16 * 3 + 8.0, 8.0]]  # shows the first row from its fourth tile, 48 px away
    black = [[8.0, 24.0]]
    n = len(means)
    inv_scales = np.concatenate([np.full((n, 2), 0.5), [[5 / 48.0, 0.5]], [[0.8, 0.8]]])
    colours = np.array([WHITE] * n + [WHITE, BLACK], np.float32)[:, None]
    return GaussianSet(np.concatenate([means, wide, black]), inv_scales, np.zeros(n + 2), colours)


def rendered(gaussians: GaussianSet, grid: Grid) -> np.ndarray:
    engine = CpuRasterizer(1)
    return np.asarray(engine.forward(gaussians, grid, engine.bin(gaussians, grid), Window.whole(grid)))[:, :, 0]


def test_the_gaussian_that_a_tile_lost_comes_back() -> None:
    grid = Grid(96, 112, np.zeros(1, np.float32))
    before = scene(grid)
    target = rendered(before, grid)[:, :, None]
    task = QatTask(
        target, grid, (ChannelGroup("color", n_channels=1),), FAST, LodTable.single(len(before)), CpuRasterizer(1), 0
    )
    wide = len(before) - 2
    narrower = before.inv_scales.copy()
    narrower[wide, 0] *= 1.25
    after = replace(before, inv_scales=narrower)
    assert (rendered(after, grid) - target[:, :, 0])[:16, :16].min() < -0.9, "the first tile is black"
    found = without_lost_tiles(task, before, after, lambda gaussians, _: gaussians)
    assert np.abs(rendered(found, grid) - target[:, :, 0])[:16, :16].max() < 0.1
    assert np.flatnonzero((found.inv_scales != after.inv_scales).any(axis=1)).tolist() == [wide]
    assert (found.features == after.features).all()


def test_it_comes_back_where_the_last_column_of_tiles_is_a_pixel_wide() -> None:
    grid = Grid(96, 113, np.zeros(1, np.float32))
    before = scene(grid)
    before = replace(before, means=np.abs([0, grid.height] - before.means))  # upside down: the tile is in the last row
    target = rendered(before, grid)[:, :, None]
    task = QatTask(
        target, grid, (ChannelGroup("color", n_channels=1),), FAST, LodTable.single(len(before)), CpuRasterizer(1), 0
    )
    assert task.plan.stride(len(before)) > 1, "the last column is not looked at"
    narrower = before.inv_scales.copy()
    narrower[-2, 0] *= 1.25
    after = replace(before, inv_scales=narrower)
    assert (rendered(after, grid) - target[:, :, 0])[-16:, :16].min() < -0.9, "the tile is black"
    found = without_lost_tiles(task, before, after, lambda gaussians, _: gaussians)
    assert np.abs(rendered(found, grid) - target[:, :, 0])[-16:, :16].max() < 0.1


def test_it_becomes_wider_only_along_the_axis_that_leads_to_its_tile() -> None:
    grid = Grid(96, 112, np.zeros(1, np.float32))
    before = scene(grid)
    wide = len(before) - 2
    features = before.features.copy()
    features[:wide][(before.means[:wide, 1] < 32) & (before.means[:wide, 1] > 16)] = 0.6  # tiles below the wide one
    inv_scales = before.inv_scales.copy()
    inv_scales[wide, 1] = 0.8
    before = replace(before, features=features, inv_scales=inv_scales)
    target = rendered(before, grid)[:, :, None]
    task = QatTask(
        target, grid, (ChannelGroup("color", n_channels=1),), FAST, LodTable.single(len(before)), CpuRasterizer(1), 0
    )
    narrower = before.inv_scales.copy()
    narrower[wide, 0] *= 1.4
    after = replace(before, inv_scales=narrower)
    restored = without_lost_tiles(task, before, after, lambda gaussians, _: gaussians)
    assert restored.inv_scales[wide, 0] < after.inv_scales[wide, 0]
    assert restored.inv_scales[wide, 1] == after.inv_scales[wide, 1]


def test_a_set_that_lost_no_tile_is_the_same_object() -> None:
    grid = Grid(96, 112, np.zeros(1, np.float32))
    before = scene(grid)
    target = rendered(before, grid)[:, :, None]
    task = QatTask(
        target, grid, (ChannelGroup("color", n_channels=1),), FAST, LodTable.single(len(before)), CpuRasterizer(1), 0
    )
    after = replace(before, features=before.features * np.float32(0.99))
    assert without_lost_tiles(task, before, after, lambda gaussians, _: gaussians) is after
