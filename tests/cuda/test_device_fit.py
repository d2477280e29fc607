"""A fit by the kernels takes the steps of the fit on the CPU."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from counter_draws import CounterDraws
from host_runtime import SCHEDULES, HostKernel, HostRuntime, Schedule
from launches import launches_of

from gscodec.cuda.fitting import FitSnapshot
from gscodec.cuda.runtime import Define, Runtime
from gscodec.errors import InvalidArgument
from gscodec.fit import device_steps
from gscodec.fit.device_trainee import DeviceTrainee
from gscodec.fit.loop import Fit, StepReport, fit
from gscodec.fit.plan import FitPlan
from gscodec.fit.presets import PRESETS, Preset
from gscodec.fit.schedule import lod_counts
from gscodec.fit.trainee import CpuTrainee, Trainee
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, LodTable, Window
from gscodec.model.rendering import LossWeights
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.gpu import CudaRasterizer

HEIGHT, WIDTH, N_GAUSSIANS = 40, 48, 60
SEED = 9

ODD = dataclasses.replace(
    PRESETS["paper"],
    name="odd",
    loss=LossWeights(l1=0.3, l2=0.7),
    joint_lods=True,
    coarse_worth=0.4,
    coarse_every=2,
    gain_exponent=0.35,
    rate_gain=0.02,
    widening=0.06,
    decay_from=0.2,
    decay_to=0.1,
)
"""What no preset of its own has together: plain scales and image units, with levels that learn."""

WITH_MEANS = dataclasses.replace(PRESETS["fast"], name="means", loss=LossWeights(l2=1.0, means=2.0), best_by="loss")

EVERY = [*PRESETS.values(), ODD, WITH_MEANS]

WITH_SSIM = dataclasses.replace(PRESETS["fast"], name="ssim", loss=LossWeights(l2=1.0, ssim=0.1), best_by="loss")


@pytest.fixture(scope="module")
def picture() -> Float32Array:
    """An orange disc on a blue ramp: smooth areas and one edge."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    inside = 1 / (1 + np.exp((np.hypot(x - 26, y - 16) / HEIGHT - 0.3) * 60))
    ramp = np.stack([0.1 + 0 * x, 0.2 + 0.3 * y / HEIGHT, 0.5 + 0.4 * x / WIDTH], axis=2)
    return np.asarray(ramp + inside[..., None] * (np.array([0.9, 0.55, 0.1]) - ramp), np.float32)


def grid_of(picture: Float32Array, preset: Preset) -> Grid:
    return Grid(picture.shape[0], picture.shape[1], picture.mean(axis=(0, 1)), preset.top_k, preset.support_q)


Outcome = tuple[GaussianSet, LodTable, float]


def train(trainee: Trainee, plan: FitPlan, stop: int | None = None) -> Outcome:
    """What `fit` does, or its first `stop` steps."""
    for segment in plan.segments:
        last = segment.last if stop is None else min(segment.last, stop)
        if segment.first < last:
            trainee.grow(segment.n_gaussians)
            if segment.n_moved:
                trainee.relocate(segment.n_moved)
            if segment.widens:
                trainee.widen()
            steps = plan.steps(dataclasses.replace(segment, last=last))
            assert list(trainee.run(steps))[-1] == len(steps)
    mse, score = trainee.measure()
    if score > trainee.best_score:
        mse = trainee.best_mse
        trainee.restore_best()
    return trainee.gaussians(), trainee.lod_table(), mse


def plan_of(preset: Preset, steps: int) -> FitPlan:
    return FitPlan(preset, (HEIGHT, WIDTH, 3), lod_counts(N_GAUSSIANS, 3), steps)


def on_device(
    runtime: Runtime,
    picture: Float32Array,
    preset: Preset,
    steps: int,
    stop: int | None = None,
    importance: Float32Array | None = None,
) -> Outcome:
    plan = plan_of(preset, steps)
    trainee = DeviceTrainee(plan, picture, grid_of(picture, preset), runtime, SEED, importance=importance)
    return train(trainee, plan, stop)


def on_cpu(
    picture: Float32Array,
    preset: Preset,
    steps: int,
    stop: int | None = None,
    importance: Float32Array | None = None,
) -> Outcome:
    plan = plan_of(preset, steps)
    draws: Any = CounterDraws(SEED)
    trainee = CpuTrainee(plan, picture, grid_of(picture, preset), CpuRasterizer(1), draws, importance=importance)
    return train(trainee, plan, stop)


def fields(gaussians: GaussianSet) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    return ((field.name, getattr(gaussians, field.name)) for field in dataclasses.fields(gaussians))


def assert_same(first: GaussianSet, second: GaussianSet) -> None:
    for name, values in fields(first):
        assert np.array_equal(values, getattr(second, name)), name


FLIPPED = {"means": 0.1, "inv_scales": 1e-3, "rotations": 5e-3, "features": 0.03}
"""How far a few steps may part where L1's sign of a difference is that of its rounding: Adam then steps another way.

A new Gaussian has the colour of the pixel it is placed on, so there are always some. Measured with exponentials that
are off by up to two units in the last place: 0.04, 0.0003, 0.002, 0.01 at the most, a quarter of the values at all.
"""


CANCELLED = 0.03
"""Part of the values that may part where exponentials agree: engines sum gradients in different orders, and where one
is nothing but the rounding of its sum, Adam makes steps of that. Seen: 1 of 104 values, and 2 of 84."""


def is_exact(runtime: Runtime, preset: Preset) -> bool:
    """Whether exponentials are the CPU's, or no sign depends on them."""
    return not preset.loss.l1 or (isinstance(runtime, HostRuntime) and not runtime.approximate)


def assert_close(runtime: Runtime, preset: Preset, ours: Outcome, theirs: Outcome) -> None:
    """Up to rounding and what comes of it."""
    exact = is_exact(runtime, preset)
    for name, values in fields(ours[0]):
        off = np.abs(values - getattr(theirs[0], name))
        assert off.max() < FLIPPED[name], name
        assert (off > 2e-6 * np.abs(getattr(theirs[0], name)) + 1e-5).mean() < (CANCELLED if exact else 0.35), name
    assert ours[1].counts == theirs[1].counts
    for row, gains in zip(ours[1].gains, theirs[1].gains, strict=True):
        assert row == pytest.approx(gains, rel=1e-5 if exact else 1e-3)
    assert ours[2] == pytest.approx(theirs[2], rel=1e-5 if exact else 2e-3)


def calls_of(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[tuple[Any, ...]]:
    """Arguments of every call of a method from now on."""
    calls: list[tuple[Any, ...]] = []
    method = getattr(owner, name)

    def listed(*args: Any) -> Any:
        calls.append(args)
        return method(*args)

    monkeypatch.setattr(owner, name, listed)
    return calls


@pytest.mark.parametrize("preset", EVERY, ids=lambda preset: preset.name)
def test_the_first_steps_give_the_cpu_s_parameters(
    device_runtime: Runtime, picture: Float32Array, preset: Preset
) -> None:
    """Up to rounding, and no longer: Adam divides by the gradient's own size, so one that is nothing but rounding, as a
    circle's to its rotation, soon makes a whole step of either sign."""
    steps = 80 // preset.growth_events  # one of growth after a few
    ours = on_device(device_runtime, picture, preset, steps=steps, stop=4)
    theirs = on_cpu(picture, preset, steps=steps, stop=4)
    assert len(ours[0]) == len(theirs[0]) > 20
    assert_close(device_runtime, preset, ours, theirs)


def weights_of(picture: Float32Array, *, each: bool = False) -> Float32Array:
    """What pixels count: (H, W), or with each (C, H, W), what their channels do."""
    weights = np.ones((picture.shape[2], *picture.shape[:2]) if each else picture.shape[:2], np.float32)
    weights[..., : picture.shape[1] // 2] = 5.0
    if each:
        weights[0] = weights[0, ::-1, ::-1]
    return np.asarray(weights / weights.mean(), np.float32)


@pytest.mark.parametrize("preset", [PRESETS["paper"], PRESETS["balanced"]], ids=lambda preset: preset.name)
@pytest.mark.parametrize("each", [False, True])
def test_pixels_count_on_a_device_as_on_the_cpu(
    device_runtime: Runtime, picture: Float32Array, preset: Preset, *, each: bool
) -> None:
    preset = dataclasses.replace(preset, best_by="loss")
    weights = weights_of(picture, each=each)
    ours = on_device(device_runtime, picture, preset, 10, 4, weights)
    assert_close(device_runtime, preset, ours, on_cpu(picture, preset, 10, 4, weights))
    plain, *_ = on_device(device_runtime, picture, preset, 10, 4)
    assert not np.array_equal(plain.means, ours[0].means)


def test_a_loss_with_ssim_falls_on_a_device_too(device_runtime: Runtime, picture: Float32Array) -> None:
    preset, weights = WITH_SSIM, weights_of(picture)
    engine, grid = CpuRasterizer(1), grid_of(picture, preset)

    def loss(gaussians: GaussianSet) -> float:
        image = engine.forward(gaussians, grid, engine.bin(gaussians, grid), Window.whole(grid))
        return engine.loss(np.asarray(image, np.float32), picture, preset.loss, weights)[0]

    ours = loss(on_device(device_runtime, picture, preset, 40, importance=weights)[0])
    theirs = loss(on_cpu(picture, preset, 40, importance=weights)[0])
    without = loss(on_device(device_runtime, picture, PRESETS["fast"], 40, importance=weights)[0])
    assert ours == pytest.approx(theirs, rel=0.15)
    assert ours < without


@pytest.mark.parametrize("preset", [PRESETS["paper"], PRESETS["balanced"], ODD], ids=lambda preset: preset.name)
def test_a_fit_reaches_the_cpu_s_quality_at_every_level(
    device_runtime: Runtime, picture: Float32Array, preset: Preset
) -> None:
    engine, grid = CpuRasterizer(1), grid_of(picture, preset)

    def psnrs(gaussians: GaussianSet, lods: LodTable) -> list[float]:
        shown = [lods.select(gaussians, lod) for lod in range(len(lods))]
        images = [engine.forward(s, grid, engine.bin(s, grid), Window.whole(grid)) for s in shown]
        return [float(-10 * np.log10(np.square(image - picture).mean())) for image in images]

    ours, our_lods, mse = on_device(device_runtime, picture, preset, 40)
    theirs, their_lods, _ = on_cpu(picture, preset, 40)
    figures = psnrs(ours, our_lods)
    assert figures == pytest.approx(psnrs(theirs, their_lods), abs=0.1)
    assert figures[0] == pytest.approx(-10 * np.log10(mse), abs=1e-3)


def test_new_gaussians_are_placed_where_they_may_be(device_runtime: Runtime, picture: Float32Array) -> None:
    preset, plan = PRESETS["balanced"], plan_of(PRESETS["balanced"], 40)
    allowed = np.zeros((HEIGHT, WIDTH), np.bool_)
    allowed[8:24, 10:30] = True
    grid = grid_of(picture, preset)
    trainee = DeviceTrainee(plan, picture, grid, device_runtime, SEED, allowed)
    trainee.grow(N_GAUSSIANS // 2)
    trainee.grow(N_GAUSSIANS)
    trainee.relocate(6)
    x, y = trainee.gaussians().means.T
    assert len(x) == N_GAUSSIANS
    assert ((x >= 9) & (x <= 31) & (y >= 7) & (y <= 25)).all(), "half a pixel of jitter, and rounding"


def test_the_public_fit_runs_on_a_device(device_runtime: Runtime, picture: Float32Array) -> None:
    preset, reports = PRESETS["fast"], list[StepReport]()

    def run(seed: int) -> Fit:
        engine = CudaRasterizer(device_runtime)
        return fit(
            picture,
            30,
            preset,
            rasterizer=engine,
            grid=grid_of(picture, preset),
            lods=2,
            steps=30,
            seed=seed,
            on_step=reports.append,
        )

    first, second, other = run(1), run(1), run(2)
    assert_same(first.gaussians, second.gaussians)
    assert first.lods == second.lods
    assert first.psnr > 20
    assert not np.array_equal(first.gaussians.means, other.gaussians.means)
    seen = reports[: len(reports) // 3]
    assert [r.step for r in seen] == sorted({r.step for r in seen})
    assert seen[-1].step == 30
    assert seen[-1].psnr == pytest.approx(first.psnr, abs=3)


@pytest.mark.parametrize("count", [45, 90])
def test_a_recount_may_ask_for_more_gaussians(device_runtime: Runtime, picture: Float32Array, count: int) -> None:
    preset, plan = PRESETS["balanced"], plan_of(PRESETS["balanced"], 30)

    def run(engine: CpuRasterizer | CudaRasterizer) -> Fit:
        grid = grid_of(picture, preset)
        return fit(
            picture, N_GAUSSIANS, preset, rasterizer=engine, grid=grid, lods=3, steps=30, recount=lambda *_: count
        )

    found, expected = run(CudaRasterizer(device_runtime)), run(CpuRasterizer(1))
    assert len(found.gaussians) == len(expected.gaussians) == count
    assert found.lods.counts == expected.lods.counts == (*plan.counts[:-1], count)


def test_more_room_changes_no_step(device_runtime: Runtime, picture: Float32Array) -> None:
    """Moments, plan, gains and the best state go with the rows."""
    outcomes = []
    for makes_room in (False, True):
        preset = dataclasses.replace(ODD, relocations=0)
        plan = plan_of(preset, 40)
        trainee = DeviceTrainee(plan, picture, grid_of(picture, preset), device_runtime, SEED)
        trainee.grow(N_GAUSSIANS)
        last = plan.segments[-1]
        steps = plan.steps(dataclasses.replace(last, first=30, last=40))
        list(trainee.run(steps[:6]))
        if makes_room:
            trainee.replan(plan.resized(2 * N_GAUSSIANS))
            assert trainee._steps.state.room > N_GAUSSIANS
        list(trainee.run(steps[6:]))
        last_set, gains = trainee.gaussians(), trainee.lod_table().gains
        trainee.restore_best()
        outcomes.append((last_set, gains, trainee.best_score, trainee.gaussians()))
    assert_same(outcomes[0][0], outcomes[1][0])
    assert outcomes[0][1:3] == outcomes[1][1:3]
    assert_same(outcomes[0][3], outcomes[1][3])
    with device_runtime, pytest.raises(InvalidArgument, match="room for 20 Gaussians"):
        trainee._steps.state.with_room(device_runtime, 20)


def test_running_out_of_room_for_pairs_changes_nothing(
    runtime: HostRuntime, picture: Float32Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone = calls_of(monkeypatch, FitSnapshot, "restore")
    monkeypatch.setattr(device_steps, "ROOM", 5.0)
    roomy = on_device(runtime, picture, PRESETS["fast"], 24)
    assert not undone
    monkeypatch.setattr(device_steps, "ROOM", 1.0)
    monkeypatch.setattr(device_steps, "ROOM_LEFT", 0.0)
    monkeypatch.setattr(device_steps, "BATCH", 5)
    tight = on_device(runtime, picture, PRESETS["fast"], 24)
    assert undone
    assert_same(tight[0], roomy[0])
    assert tight[1:] == roomy[1:]


@pytest.mark.parametrize("schedule", SCHEDULES[1:3], ids=str)
def test_no_result_depends_on_the_order_of_threads(
    runtime: HostRuntime, picture: Float32Array, schedule: Schedule
) -> None:
    expected = on_device(runtime, picture, PRESETS["fast"], 8)
    with runtime.scheduled(schedule):
        found = on_device(runtime, picture, PRESETS["fast"], 8)
    assert_same(found[0], expected[0])
    assert found[1:] == expected[1:]


@pytest.mark.parametrize(
    ("preset", "middle", "last"),
    [
        (
            dataclasses.replace(PRESETS["paper"], loss=LossWeights(l1=1.0, ssim=0.1), joint_lods=False),
            ["blend_tiles", "ssim_loss", "chosen_backward_tiles"],
            [],
        ),
        (
            dataclasses.replace(PRESETS["balanced"], loss=LossWeights(l2=1.0), joint_lods=True),
            ["backward_tiles"],
            ["step_gains"],
        ),
    ],
    ids=["ssim", "l2, levels"],
)
def test_a_step_is_few_launches(
    runtime: HostRuntime, picture: Float32Array, preset: Preset, middle: list[str], last: list[str]
) -> None:
    """Seven, two more with SSIM, one more where levels learn: each costs its start, whatever it does."""
    plan = plan_of(preset, 4)
    trainee = DeviceTrainee(plan, picture, grid_of(picture, preset), runtime, SEED)
    trainee.grow(N_GAUSSIANS)
    launches = launches_of(runtime, trainee._steps._step)
    lists = ["show", "scan_lists", "emit_pairs", "sort_lists"]
    assert launches == [*lists, *middle, "finish_step", "adam_rows", *last]


@pytest.mark.parametrize("name", ["paper", "balanced"])
def test_a_step_is_one_graph(device_runtime: Runtime, picture: Float32Array, name: str) -> None:
    plan = plan_of(PRESETS[name], 30)
    trainee = DeviceTrainee(plan, picture, grid_of(picture, plan.preset), device_runtime, SEED)
    segment = plan.segments[-1]
    trainee.grow(segment.n_gaussians)
    list(trainee.run(plan.steps(segment)))
    assert trainee._steps.graph is not None
    assert trainee._steps.graph.is_graph


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_a_fit_s_kernels_are_compiled_ahead(picture: Float32Array, preset: str) -> None:
    """All of those that it asks for, and few others: of a first fit, compiling is most of the time."""
    ahead: set[tuple[Any, ...]] = set()
    asked: set[tuple[Any, ...]] = set()

    class Noting(HostRuntime):
        def compile_ahead(self, wanted: Iterable[tuple[str, Mapping[str, Define]]]) -> None:
            ahead.update((family, tuple(sorted(defines.items()))) for family, defines in wanted)

        def kernel(self, family: str, entry: str, **defines: Define) -> HostKernel:
            asked.add((family, tuple(sorted(defines.items()))))
            return super().kernel(family, entry, **defines)

    grid = grid_of(picture, PRESETS[preset])
    engine = CudaRasterizer(Noting())
    made = fit(picture, 40, PRESETS[preset], rasterizer=engine, grid=grid, lods=3, steps=20)
    index = engine.bin(made.gaussians, grid)
    engine.forward(made.gaussians, grid, index, Window.whole(grid), "uint8")
    assert asked <= ahead
    assert {family for family, _ in ahead - asked} <= {"loss", "upkeep"}  # of fits with SSIM, and longer ones


def test_steps_are_recorded_once_a_growth_and_looked_at_once_a_batch(
    picture: Float32Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = HostRuntime()
    recorded, read = calls_of(monkeypatch, HostRuntime, "record"), calls_of(monkeypatch, HostRuntime, "download")
    monkeypatch.setattr(device_steps, "BATCH", 10)
    monkeypatch.setattr(device_steps, "ROOM", 5.0)
    plan = FitPlan(PRESETS["fast"], (HEIGHT, WIDTH, 3), (30,), 60)
    trainee = DeviceTrainee(plan, picture, grid_of(picture, plan.preset), runtime, SEED)
    for segment in plan.segments:
        grows = segment.n_gaussians > len(trainee)
        trainee.grow(segment.n_gaussians)
        if segment.widens:
            trainee.widen()
        recorded.clear()
        read.clear()
        steps = plan.steps(segment)
        batches = len(list(trainee.run(steps)))
        assert batches == -(-len(steps) // 10)
        assert len(read) == batches
        assert len(recorded) == grows, "what moves between steps leaves the recorded step valid"


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 33, 3), (33, 1, 4), (17, 16, 9)])
def test_pictures_of_any_shape_fit(device_runtime: Runtime, shape: tuple[int, int, int]) -> None:
    flat = np.full(shape, 0.25, np.float32)
    grid = Grid(shape[0], shape[1], np.zeros(shape[2], np.float32))
    result = fit(flat, 5, PRESETS["fast"], rasterizer=CudaRasterizer(device_runtime), grid=grid, lods=5, steps=16)
    assert len(result.gaussians) == 5
    assert result.psnr > 40


def test_a_picture_with_a_nan_is_told(runtime: HostRuntime, picture: Float32Array) -> None:
    broken = picture.copy()
    broken[3, 4, 1] = np.nan
    grid = grid_of(picture, PRESETS["fast"])
    with pytest.raises(InvalidArgument, match="not finite"):
        fit(broken, 20, PRESETS["fast"], rasterizer=CudaRasterizer(runtime), grid=grid, steps=8)
