import dataclasses

import numpy as np
import pytest

from gscodec.errors import InvalidArgument
from gscodec.fit.loop import Fit, StepReport, fit
from gscodec.fit.presets import PRESETS
from gscodec.model.constants import MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.model.gaussians import Float32Array, Grid, Window
from gscodec.render.cpu import CpuRasterizer


def psnr_of(result: Fit, grid: Grid, picture: Float32Array, lod: int = 0) -> float:
    engine = CpuRasterizer()
    shown = result.lods.select(result.gaussians, lod)
    image = engine.forward(shown, grid, engine.bin(shown, grid), Window.whole(grid))
    return float(-10 * np.log10(max(np.square(image - picture).mean(), 1e-12)))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_learns(picture: Float32Array, grid: Grid, name: str) -> None:
    result = fit(picture, 60, PRESETS[name], rasterizer=CpuRasterizer(), grid=grid, lods=3, steps=150)
    assert len(result.gaussians) == 60
    assert psnr_of(result, grid, picture) > 27
    assert psnr_of(result, grid, picture) == pytest.approx(result.psnr, abs=0.01)


def test_every_level_of_detail_is_a_picture_of_its_own(picture: Float32Array, grid: Grid) -> None:
    result = fit(picture, 128, PRESETS["balanced"], rasterizer=CpuRasterizer(), grid=grid, lods=4, steps=300)
    assert result.lods.counts == (16, 32, 64, 128)
    figures = [psnr_of(result, grid, picture, lod) for lod in range(4)]
    assert figures == sorted(figures, reverse=True)
    assert figures[3] > 19
    assert all(gain <= 1 for row in result.lods.gains for gain in row), "coarse levels must not open holes"
    assert result.lods.gains[-1] == (1.0,) * 4


def test_the_same_seed_gives_the_same_gaussians_on_any_number_of_threads(picture: Float32Array, grid: Grid) -> None:
    def run(threads: int, seed: int) -> Fit:
        rasterizer = CpuRasterizer(threads)
        return fit(picture, 40, PRESETS["fast"], rasterizer=rasterizer, grid=grid, lods=2, steps=40, seed=seed)

    first, second, other = run(1, 5), run(3, 5), run(1, 6)
    for field in dataclasses.fields(first.gaussians):
        assert np.array_equal(getattr(first.gaussians, field.name), getattr(second.gaussians, field.name)), field.name
    assert first.lods == second.lods
    assert not np.array_equal(first.gaussians.means, other.gaussians.means)


def test_parameters_stay_in_their_ranges(picture: Float32Array, grid: Grid) -> None:
    wild = dataclasses.replace(PRESETS["fast"], rate_mean=5.0, rate_scale=3.0, rate_feature=1.0)
    gaussians = fit(picture, 50, wild, rasterizer=CpuRasterizer(), grid=grid, lods=3, steps=30).gaussians
    assert ((gaussians.means >= 0) & (gaussians.means <= (grid.width, grid.height))).all()
    assert ((gaussians.inv_scales >= MIN_INV_SCALE) & (gaussians.inv_scales <= MAX_INV_SCALE)).all()
    assert np.isfinite(gaussians.rotations).all()
    assert np.abs(gaussians.features).max() <= 1.5


def test_reports_count_up_and_show_growth(picture: Float32Array, grid: Grid) -> None:
    reports: list[StepReport] = []
    fit(picture, 64, PRESETS["fast"], rasterizer=CpuRasterizer(), grid=grid, lods=1, steps=50, on_step=reports.append)
    assert [r.step for r in reports] == list(range(1, 51))
    counts = [r.n_gaussians for r in reports]
    assert counts == sorted(counts)
    assert counts[-1] == 64
    assert {r.total_steps for r in reports} == {50}


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 33, 3), (33, 1, 4), (17, 16, 9)])
def test_pictures_of_any_shape_fit(shape: tuple[int, int, int]) -> None:
    picture = np.full(shape, 0.25, np.float32)
    grid = Grid(shape[0], shape[1], np.zeros(shape[2], np.float32))
    result = fit(picture, 5, PRESETS["fast"], rasterizer=CpuRasterizer(), grid=grid, lods=5, steps=20)
    assert psnr_of(result, grid, picture) > 40


def test_the_best_state_is_kept_not_the_last(picture: Float32Array, grid: Grid) -> None:
    restless = dataclasses.replace(PRESETS["fast"], decay_from=1.0, rate_mean=1.0, rate_scale=0.5)
    reports: list[StepReport] = []
    result = fit(
        picture, 40, restless, rasterizer=CpuRasterizer(), grid=grid, lods=1, steps=100, on_step=reports.append
    )
    assert result.psnr >= max(r.psnr for r in reports[70:]) - 1e-6


def test_few_gaussians_leave_no_tile_of_a_large_picture_empty() -> None:
    picture = np.full((700, 900, 1), 0.5, np.float32)
    grid = Grid(700, 900, np.zeros(1, np.float32))
    engine = CpuRasterizer()
    result = fit(picture, 12, PRESETS["fast"], rasterizer=engine, grid=grid, lods=2, steps=12)
    for lod in range(len(result.lods)):
        index = engine.bin(result.lods.select(result.gaussians, lod), grid)
        assert (np.diff(index.offsets) > 0).all()


@pytest.mark.parametrize("counts", [(0, 1, 10), (1, 0, 10), (1, 1, 0)])
def test_nothing_to_do_is_refused(picture: Float32Array, grid: Grid, counts: tuple[int, int, int]) -> None:
    n, lods, steps = counts
    with pytest.raises(InvalidArgument, match="at least 1"):
        fit(picture, n, PRESETS["fast"], rasterizer=CpuRasterizer(), grid=grid, lods=lods, steps=steps)
