import math
from dataclasses import replace

import numpy as np
import pytest

from gscodec.fit.loop import fit
from gscodec.fit.plan import WIDEN_EVERY, FitPlan
from gscodec.fit.presets import PRESETS
from gscodec.fit.upkeep import missing_reach, removal_cost
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, Window
from gscodec.render.cpu import CpuRasterizer

ENGINE = CpuRasterizer(1)


def mse_of(gaussians: GaussianSet, grid: Grid, picture: Float32Array) -> float:
    image = ENGINE.forward(gaussians, grid, ENGINE.bin(gaussians, grid), Window.whole(grid))
    return float(np.square(image - picture).mean(dtype=np.float64))


def without(gaussians: GaussianSet, i: int) -> GaussianSet:
    keep = np.arange(len(gaussians)) != i
    return GaussianSet(*(getattr(gaussians, name)[keep] for name in ("means", "inv_scales", "rotations", "features")))


def test_those_of_least_cost_are_those_whose_absence_is_seen_least(picture: Float32Array, grid: Grid) -> None:
    gaussians = fit(picture, 80, PRESETS["fast"], rasterizer=ENGINE, grid=grid, steps=150).gaussians
    cost = removal_cost(ENGINE, gaussians, grid)
    added = np.array([mse_of(without(gaussians, i), grid, picture) for i in range(80)])
    order = np.argsort(cost)
    assert added[order[:8]].mean() < 0.2 * added[order[40:]].mean() + 0.8 * added.min()
    assert np.corrcoef(np.argsort(order), np.argsort(np.argsort(added)))[0, 1] > 0.6


def one(sigma_px: tuple[float, float], rotation: float = 0.0) -> GaussianSet:
    return GaussianSet(
        np.array([[8.0, 8.0]]), 1 / np.array([sigma_px]), np.array([rotation]), np.full((1, 1), 0.5, np.float32)
    )


def widened(gaussians: GaussianSet, grid: Grid, limit: float) -> GaussianSet:
    moves = missing_reach(ENGINE, gaussians, grid, limit).astype(np.float64)
    return replace(gaussians, inv_scales=gaussians.inv_scales * np.exp(-moves))


def test_who_just_reaches_a_tile_widens_until_it_does_so_well() -> None:
    grid = Grid(16, 64, np.zeros(1, np.float32))  # the last tile begins 40.5 px from the mean
    gaussians = one((40.5 / math.sqrt(24.9), 12.0))
    for _ in range(20):
        gaussians = widened(gaussians, grid, 0.8)
    sigma_x, sigma_y = 1 / gaussians.inv_scales[0]
    assert (40.5 / sigma_x) ** 2 == pytest.approx(0.8 * 25, abs=0.05)
    assert sigma_y == pytest.approx(12.0, rel=1e-3), "the other axis has nothing to do with it"


def test_who_is_lost_to_its_tiles_comes_back() -> None:
    grid = Grid(16, 64, np.zeros(1, np.float32))
    gaussians = one((6.0, 6.0), rotation=0.3)  # reaches 30 px
    assert ENGINE.bin(gaussians, grid).offsets[-1] < 4
    for _ in range(20):
        gaussians = widened(gaussians, grid, 0.95)
    assert ENGINE.bin(gaussians, grid).offsets[-1] == 4


def test_who_reaches_well_stays_as_it_is() -> None:
    grid = Grid(16, 64, np.zeros(1, np.float32))
    assert (missing_reach(ENGINE, one((20.0, 3.0)), grid, 0.95) == 0).all()


def test_only_the_nearest_of_a_point_has_to_reach_it() -> None:
    grid = Grid(16, 64, np.zeros(1, np.float32))
    small = one((3.0, 3.0))
    large = GaussianSet(np.array([[40.0, 8.0]]), np.full((1, 2), 1 / 30), np.zeros(1), np.full((1, 1), 0.2, np.float32))
    both = GaussianSet(
        *(np.concatenate([getattr(s, name) for s in (small, large)]) for name in small.__dataclass_fields__)
    )
    assert (missing_reach(ENGINE, both, grid, 0.95) == 0).all()


def test_any_number_of_threads_finds_the_same(picture: Float32Array, grid: Grid) -> None:
    gaussians = fit(picture, 40, PRESETS["fast"], rasterizer=ENGINE, grid=grid, steps=30).gaussians
    narrow = replace(gaussians, inv_scales=6 * gaussians.inv_scales)
    first = missing_reach(ENGINE, narrow, grid, 0.5)
    assert first.any()
    assert np.array_equal(first, missing_reach(CpuRasterizer(3), narrow, grid, 0.5))


def test_a_plan_says_when_gaussians_move_and_widen() -> None:
    plan = FitPlan(PRESETS["balanced"], (64, 64, 3), (50, 100), 1000)
    moves = {segment.first: segment.n_moved for segment in plan.segments if segment.n_moved}
    assert moves == {466: 6, 533: 6, 600: 6}
    assert [s.first for s in plan.segments if s.widens] == list(range(WIDEN_EVERY, 1000, WIDEN_EVERY))
    assert [s.first for s in plan.segments[1:]] == [s.last for s in plan.segments[:-1]]
    published = FitPlan(PRESETS["paper"], (64, 64, 3), (100,), 1000)
    assert not any(segment.widens or segment.n_moved for segment in published.segments)


def test_gaussians_that_coarser_levels_show_do_not_move(picture: Float32Array, grid: Grid) -> None:
    still = replace(PRESETS["balanced"], rate_mean=0.0, relocated_share=0.2)
    result = fit(picture, 64, still, rasterizer=ENGINE, grid=grid, lods=2, steps=100)
    without_moves = fit(picture, 64, replace(still, relocations=0), rasterizer=ENGINE, grid=grid, lods=2, steps=100)
    same = (result.gaussians.means == without_moves.gaussians.means).all(axis=1)
    assert same[:32].all()
    assert 0 < np.count_nonzero(~same[32:]) <= 32
