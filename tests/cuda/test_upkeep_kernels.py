"""upkeep.cu beside the CPU: who carries little, and who reaches too short."""

from dataclasses import replace

import numpy as np
import pytest
from host_runtime import SCHEDULES, HostRuntime, Schedule

from gscodec.cuda import upkeep
from gscodec.cuda.fitting import FitState
from gscodec.cuda.runtime import Runtime
from gscodec.cuda.scenes import bin_scene, upload_gaussians
from gscodec.cuda.upkeep import Reach
from gscodec.errors import InvalidArgument
from gscodec.fit.device_trainee import fit_settings
from gscodec.fit.elongation import limited
from gscodec.fit.plan import FitPlan
from gscodec.fit.presets import PRESETS
from gscodec.fit.qat_task import QatTask, error_of
from gscodec.fit.upkeep import MOST_AT_ONCE, SEARCH, missing_reach, removal_cost
from gscodec.material.noise import CELL
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, LodTable, Window
from gscodec.model.rendering import TooManyPairs
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.gpu import CudaRasterizer

HEIGHT, WIDTH = 45, 70


def some(n: int, n_channels: int, sigma_px: tuple[float, float] = (3.0, 9.0)) -> tuple[GaussianSet, Grid]:
    rng = np.random.default_rng(n + n_channels)
    gaussians = GaussianSet(
        rng.random((n, 2)) * [WIDTH, HEIGHT],
        1 / rng.uniform(*sigma_px, (n, 2)),
        rng.uniform(0, np.pi, n),
        rng.random((n, n_channels), np.float32),
    )
    return gaussians, Grid(HEIGHT, WIDTH, np.full(n_channels, 0.3, np.float32))


def weights(shape: tuple[int, ...] | None) -> Float32Array | None:
    return None if shape is None else np.random.default_rng(5).random(shape, np.float32)


@pytest.mark.parametrize(
    ("n_channels", "importance"),
    [(1, None), (3, None), (3, (HEIGHT, WIDTH)), (3, (3, HEIGHT, WIDTH)), (11, None), (4, (4, HEIGHT, WIDTH))],
)
def test_what_a_removal_costs(device_runtime: Runtime, n_channels: int, importance: tuple[int, ...] | None) -> None:
    gaussians, grid = some(50, n_channels)
    each = weights(importance)
    expected = removal_cost(CpuRasterizer(1), gaussians, grid, each)
    found = removal_cost(CudaRasterizer(device_runtime), gaussians, grid, each)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_importance_of_another_size_is_refused(device_runtime: Runtime) -> None:
    gaussians, grid = some(5, 3)
    with pytest.raises(InvalidArgument, match="importance"):
        removal_cost(CudaRasterizer(device_runtime), gaussians, grid, np.ones((HEIGHT, WIDTH + 1), np.float32))


@pytest.mark.parametrize("importance", [None, (HEIGHT, WIDTH), (3, HEIGHT, WIDTH)])
def test_the_error_of_a_set(device_runtime: Runtime, importance: tuple[int, ...] | None) -> None:
    gaussians, grid = some(50, 3)
    target = np.random.default_rng(1).random((HEIGHT, WIDTH, 3), np.float32)
    group = ChannelGroup("picture")
    task = QatTask(
        target,
        grid,
        (group,),
        PRESETS["fast"],
        LodTable.single(50),
        CpuRasterizer(1),
        0,
        importance=weights(importance),
    )
    engine = CudaRasterizer(device_runtime)
    error = error_of(replace(task, rasterizer=engine))
    for part in (gaussians, gaussians[np.arange(20)], replace(gaussians, features=gaussians.features * 2)):
        assert error(part) == pytest.approx(error_of(task)(part), rel=1e-5)


def moves(runtime: Runtime, gaussians: GaussianSet, limit: float, reach: Reach) -> Float32Array:
    """(n, 2) by which `Reach` lowers logarithms."""
    with runtime:
        rows = runtime.xp.zeros((len(gaussians), 5 + gaussians.n_channels), np.float32)
        reach.widen(upload_gaussians(runtime, gaussians), rows, limit)
        found: Float32Array = runtime.download(rows)
    assert not found[:, [0, 1, *range(4, found.shape[1])]].any()
    return -found[:, 2:4]


@pytest.mark.parametrize("sigma_px", [(0.5, 1.2), (1.0, 4.0), (2.0, 20.0)])
@pytest.mark.parametrize("n", [1, 2, 60, 400])
def test_who_reaches_too_short(device_runtime: Runtime, n: int, sigma_px: tuple[float, float]) -> None:
    gaussians, grid = some(n, 3, sigma_px)
    reach = Reach(device_runtime, grid, SEARCH, MOST_AT_ONCE)
    for limit in (0.5, 0.95):
        expected = missing_reach(CpuRasterizer(1), gaussians, grid, limit)
        found = moves(device_runtime, gaussians, limit, reach)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert expected.any() or (n, sigma_px[0]) != (60, 0.5), "few and narrow: there is something to find"


def test_nobody_widens_where_nobody_is(device_runtime: Runtime) -> None:
    gaussians, grid = some(3, 3)
    none = gaussians[np.zeros(0, np.int64)]
    reach = Reach(device_runtime, grid, SEARCH, MOST_AT_ONCE)
    assert moves(device_runtime, none, 0.5, reach).shape == (0, 2)


@pytest.mark.parametrize("schedule", SCHEDULES[1:], ids=str)
def test_no_order_of_threads_changes_it(runtime: HostRuntime, schedule: Schedule) -> None:
    gaussians, grid = some(300, 3, (1.0, 4.0))
    reach = Reach(runtime, grid, SEARCH, MOST_AT_ONCE)
    expected = moves(runtime, gaussians, 0.5, reach)
    cost = removal_cost(CudaRasterizer(runtime), gaussians, grid)
    with runtime.scheduled(schedule):
        assert np.array_equal(moves(runtime, gaussians, 0.5, reach), expected)
        assert np.array_equal(removal_cost(CudaRasterizer(runtime), gaussians, grid), cost)


def test_lists_longer_than_allowed_are_refused(runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "MAX_TILE_PAIRS", 10)
    gaussians, grid = some(60, 3)
    with pytest.raises(TooManyPairs):
        moves(runtime, gaussians, 0.5, Reach(runtime, grid, SEARCH, MOST_AT_ONCE))


def test_what_is_measured_leaves_the_scene_as_it_was(device_runtime: Runtime) -> None:
    gaussians, grid = some(40, 3)
    with device_runtime as device:
        scene = bin_scene(device, upload_gaussians(device, gaussians), grid)
        before = device.download(scene.gaussians.features)
        upkeep.removal_sums(device, scene, scene.lattice(device, Window.whole(grid)), None)
        assert np.array_equal(device.download(scene.gaussians.features), before)


@pytest.mark.parametrize("has_fresh_moments", [True, False])
def test_rows_are_put_and_taken(device_runtime: Runtime, has_fresh_moments: bool) -> None:
    rng = np.random.default_rng(3)
    plan = FitPlan(PRESETS["fast"], (HEIGHT, WIDTH, 3), (500,), 10)
    where = rng.permutation(480)[:171]
    rows, units, new_rows, new_units = (rng.random((n, 8), np.float32) for n in (480, 480, 171, 171))
    with device_runtime as runtime:
        up, down = runtime.upload, runtime.download
        state = FitState.of(runtime, fit_settings(plan), np.zeros((1, 1), np.float32), 10)
        state.append(up(rows), up(units))
        for part in (state.mean, state.square, state.row_steps):
            part[...] = up(np.ones(part.shape, part.dtype))
        upkeep.put_rows(runtime, state, up(where), up(new_rows), up(new_units), has_fresh_moments=has_fresh_moments)
        rows[where], units[where] = new_rows, new_units
        np.testing.assert_array_equal(down(state.rows)[:480], rows)
        np.testing.assert_array_equal(down(state.units)[:480], units)
        for part in (state.mean, state.square, state.row_steps):
            expected = np.ones(part.shape, part.dtype)
            expected[where] = not has_fresh_moments
            np.testing.assert_array_equal(down(part), expected)
        np.testing.assert_array_equal(down(upkeep.take_rows(runtime, state, up(where))), new_rows)
        assert upkeep.take_rows(runtime, state, up(where[:0])).shape == (0, 8)
        upkeep.put_rows(runtime, state, up(where[:0]), up(new_rows[:0]), up(new_units[:0]), has_fresh_moments=True)
        np.testing.assert_array_equal(down(state.rows)[:480], rows)
        for wrong in (new_rows[:170], new_rows[:, :7], new_rows.astype(float)):
            with pytest.raises(InvalidArgument, match="rows: "):
                upkeep.put_rows(runtime, state, up(where), up(wrong), up(new_units), has_fresh_moments=False)


def test_elongation_is_limited_as_on_the_host(device_runtime: Runtime) -> None:
    rng = np.random.default_rng(8)
    plan = FitPlan(PRESETS["fast"], (HEIGHT, WIDTH, 3), (500,), 10)
    rows, units = (rng.normal(0, 2, (480, 8)).astype(np.float32) for _ in range(2))
    rows[:, :2] = rng.uniform((-3, -3), (WIDTH + 3, HEIGHT + 3), (480, 2))
    limits = rng.uniform(0.5, 4, (-(-HEIGHT // CELL), -(-WIDTH // CELL))).astype(np.float32)
    with device_runtime as runtime:
        state = FitState.of(runtime, fit_settings(plan), np.zeros((1, 1), np.float32), 10)
        upkeep.limit_elongation(runtime, state, runtime.upload(limits), CELL)  # no Gaussians yet
        state.append(runtime.upload(rows), runtime.upload(units))
        upkeep.limit_elongation(runtime, state, runtime.upload(limits), CELL)
        found = runtime.download(state.rows)[:480]
    expected = rows.copy()
    expected[:, 2:4] = limited(rows[:, :2], rows[:, 2:4], limits)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert 50 < np.count_nonzero((found != rows).any(axis=1)) < 430
