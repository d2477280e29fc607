"""fit.cu beside the CPU: both are given the same gradients, and must hold the same parameters after every step."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from host_runtime import SCHEDULES, HostRuntime

from gscodec.cuda import fitting
from gscodec.cuda.fitting import FitSettings, FitSnapshot, FitState, NowInt
from gscodec.cuda.runtime import Array, Runtime
from gscodec.errors import InvalidArgument
from gscodec.fit.coarse import RENEWED, worth_of
from gscodec.fit.plan import FEATURE_RANGE, LOG_GAIN_RANGE, MOST_PASSES, FitPlan, Step
from gscodec.fit.presets import BALANCED, PAPER, Preset
from gscodec.fit.schedule import step_shown
from gscodec.fit.trainee import CpuTrainee, start_log_gains
from gscodec.model.gaussians import Float32Array, Grid
from gscodec.model.rendering import LossWeights
from gscodec.render.base import RowGradients
from gscodec.render.cpu import CpuRasterizer

HEIGHT, WIDTH = 40, 56

PRESETS = {
    "paper": PAPER,
    "balanced": BALANCED,
    "inverse scales that widen, in units of sigma, with levels": replace(
        PAPER, position_unit="sigma", widening=0.3, joint_lods=True, coarse_worth=0.4, gain_exponent=0.3, rate_gain=0.1
    ),
    "logarithms in units of the image, without levels": replace(
        BALANCED, position_unit="image", rate_mean=1e-3, widening=0.0, joint_lods=False
    ),
    "high rates": replace(BALANCED, rate_mean=3.0, rate_scale=2.0, rate_feature=1.0, rate_gain=1.0, coarse_worth=0.5),
}


def settings_of(plan: FitPlan) -> FitSettings:
    p = plan.preset
    return FitSettings(
        shape=plan.shape,
        counts=plan.counts,
        weights=p.loss,
        has_importance=False,
        best_by_loss=p.best_by == "loss",
        log_scales=p.scale_parameter == "log",
        rate_mean=p.rate_mean,
        rate_scale=p.rate_scale,
        rate_rotation=p.rate_rotation,
        rate_feature=p.rate_feature,
        rate_gain=p.rate_gain,
        adam=p.adam,
        coarse_worths=tuple(worth_of(p, n + 1) for n in range(len(plan.counts))),
        coarse_renewed=RENEWED,
        widening=p.widening,
        grad_scale=plan.grad_scale,
        scale_range=plan.scale_range,
        feature_range=FEATURE_RANGE,
        log_gain_range=LOG_GAIN_RANGE,
        learns_gains=p.joint_lods,
    )


def plan_of(preset: Preset, counts: tuple[int, ...], n_channels: int = 3, n_steps: int = 60) -> FitPlan:
    return FitPlan(preset, (HEIGHT, WIDTH, n_channels), counts, n_steps)


def state_of(
    runtime: Runtime, plan: FitPlan, n_present: int = 0, seed: int = 0, n_passes: int | None = None
) -> FitState:
    """A state with some random Gaussians, and room for as many passes as the plan has steps unless said."""
    state = FitState.of(runtime, settings_of(plan), start_log_gains(plan), n_passes or plan.n_steps)
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0.1, 1.0, (n_present, state.settings.n_columns)).astype(np.float32)
    rows[:, :2] *= 20
    rows[:, 2:4] -= 1.5 if state.settings.log_scales else 0.0
    state.append(runtime.upload(rows), runtime.upload(np.ones_like(rows)))
    return state


def decide(runtime: Runtime, state: FitState, steps: list[Step]) -> None:
    ints = np.array([(s.n_shown, s.level, s.shows_all, s.may_be_best) for s in steps], np.int32)
    state.plan(runtime, ints, np.array([s.factor for s in steps], np.float32))


def partials_of(runtime: Runtime, state: FitState, mse: float, n: int = 300) -> Array:
    """Partial sums that come to a mean squared error."""
    share = np.random.default_rng(n).random((n, state.settings.weights.n_sums))
    share *= mse * math.prod(state.settings.shape) / share[:, 1].sum()
    return runtime.upload(share.astype(np.float32))


def do_step(runtime: Runtime, state: FitState, grads: Array, partials: Array) -> None:
    """A step without the rendering."""
    fitting.begin_step(runtime, state)
    fitting.activate(runtime, state)
    fitting.finish_loss(runtime, state, partials)
    fitting.adam_rows(runtime, state, grads)
    fitting.step_gains(runtime, state)


@dataclass
class Twins:
    """The CPU's trainee and a state on the device under one plan."""

    runtime: Runtime
    plan: FitPlan
    cpu: CpuTrainee
    state: FitState
    rng: np.random.Generator
    grads: Float32Array  # of the step at hand
    mse: float

    def grow(self, n_gaussians: int) -> None:
        before = len(self.cpu)
        self.cpu.grow(n_gaussians)
        up = self.runtime.upload
        if before and step_shown(self.plan.counts, before) < step_shown(self.plan.counts, n_gaussians):
            self.state.forget_coarse(self.runtime)
        self.state.append(up(self.cpu._adam.values[before:]), up(self.cpu._units[before:]))

    def step(self, step: Step) -> None:
        """One step of both with the same random gradients and error, and the same Gaussians shown."""
        n, d = step.n_shown, self.state.settings.n_columns
        size = 10.0 ** self.rng.uniform(-8, -4, (n, d))  # of which Adam sees little
        self.grads = (size * self.rng.standard_normal((n, d))).astype(np.float32)
        self.mse = float(self.rng.uniform(0.01, 0.1))
        padded = np.full((len(self.cpu), d), np.nan, np.float32)  # rows that are not shown have no gradient
        padded[:n] = self.grads
        decide(self.runtime, self.state, [step])
        do_step(self.runtime, self.state, self.runtime.upload(padded), partials_of(self.runtime, self.state, self.mse))
        assert list(self.cpu.run([step])) == [1]

    def row_gradients(self, _: Any, values: Float32Array, inverse: Float32Array, *__: Any) -> RowGradients:
        """Gradients of the step at hand. Also holds what the device shows to the CPU's."""
        n = len(self.grads)
        shown = (self.state.means, self.state.inv_scales, self.state.rotations)  # features have moved on already
        for ours, theirs in zip(shown, (values[:, :2], inverse, values[:, 4]), strict=True):
            np.testing.assert_allclose(self.runtime.download(ours[:n]), theirs, rtol=1e-4, atol=1e-5)
        loss = fitting.read_status(self.runtime, self.state).loss  # of partial sums at random
        return RowGradients(loss, self.mse, self.grads.copy())

    def assert_alike(self) -> None:
        state, adam = self.state, self.cpu._adam

        def down(array: Array) -> npt.NDArray[Any]:
            return self.runtime.download(array[: len(self.cpu)])

        # Where gradients of up to 1e-2 cancel, their own rounding is what is left.
        np.testing.assert_allclose(down(state.mean), adam._mean, rtol=2e-5, atol=1e-8)
        square = adam._square
        left = 1e-20 + 2e-11 * np.sqrt(square)  # of the square, where the gradient is off by 1e-10
        assert (np.abs(down(state.square) - square) <= 2e-5 * square + left).all()
        np.testing.assert_array_equal(down(state.row_steps), adam._steps)
        # What float32 leaves of 1 - 0.999^t is off by 6e-5 at first on the CPU; the device has it exactly.
        np.testing.assert_allclose(down(state.rows), adam.values, rtol=2e-4, atol=2e-5)
        for level, (grad, loss) in self.cpu._coarse._kept.items():
            start = sum(self.plan.counts[:level])
            kept = self.runtime.download(state.coarse_grads)[start : start + len(grad)]
            np.testing.assert_allclose(kept, grad, rtol=2e-4, atol=1e-9)
            assert self.runtime.download(state.coarse_losses)[level] == pytest.approx(loss, rel=1e-5)
        assert np.isfinite(self.runtime.download(state.coarse_losses)).sum() == len(self.cpu._coarse._kept)
        gains = self.runtime.download(state.log_gains)
        np.testing.assert_allclose(gains, self.cpu._log_gains, rtol=2e-4, atol=2e-5)
        best_rows, best_gains = fitting.download_fit(self.runtime, state, best=True)
        if math.isfinite(self.cpu.best_mse):
            np.testing.assert_allclose(best_rows, self.cpu._best[0], rtol=2e-4, atol=2e-5)
            np.testing.assert_allclose(best_gains, self.cpu._best[1], rtol=2e-4, atol=2e-5)
        status = fitting.read_status(self.runtime, state)
        assert status.mse == pytest.approx(self.cpu.mse, rel=1e-5)
        assert status.best_mse == pytest.approx(self.cpu.best_mse, rel=1e-5)


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch, device_runtime: Runtime) -> Callable[[FitPlan], Twins]:
    def make(plan: FitPlan) -> Twins:
        rng = np.random.default_rng(7)
        target = rng.random(plan.shape, dtype=np.float32)
        grid = Grid(HEIGHT, WIDTH, np.zeros(plan.shape[2], np.float32))
        cpu = CpuTrainee(plan, target, grid, CpuRasterizer(1), np.random.default_rng(8))
        state = state_of(device_runtime, plan, n_passes=MOST_PASSES * plan.n_steps)
        made = Twins(device_runtime, plan, cpu, state, rng, np.zeros((0, 0), np.float32), 0.0)
        monkeypatch.setattr("gscodec.fit.trainee.row_gradients", made.row_gradients)
        return made

    return make


@pytest.mark.parametrize("name", PRESETS)
def test_a_fit_takes_the_steps_of_the_cpu(twins: Callable[[FitPlan], Twins], name: str) -> None:
    """Growth, prefixes, gains, best state and clamping, over a whole plan."""
    pair = twins(plan_of(PRESETS[name], (5, 9, 18, 37)))
    for segment in pair.plan.segments:
        pair.grow(segment.n_gaussians)
        for step in pair.plan.steps(segment):
            pair.step(step)
        pair.assert_alike()
    assert math.isfinite(pair.cpu.best_mse)


@pytest.mark.parametrize("n_channels", [1, 2, 9, 64])
@pytest.mark.parametrize("preset", [PAPER, BALANCED])
def test_any_number_of_channels(twins: Callable[[FitPlan], Twins], preset: Preset, n_channels: int) -> None:
    pair = twins(plan_of(preset, (33, 66), n_channels))
    pair.grow(66)
    for _ in range(4):
        pair.step(Step(66, 1, 0.7, shows_all=True, may_be_best=True))
        pair.step(Step(33, 0, 1.0, shows_all=False, may_be_best=False))
    pair.assert_alike()


def test_generations_of_many_gaussians(twins: Callable[[FitPlan], Twins]) -> None:
    """More than a block of threads has in each; a level that is not complete yet among those shown."""
    pair = twins(plan_of(replace(BALANCED, rate_gain=0.5), (300, 301, 900, 1400)))
    pair.grow(700)
    for step in (Step(700, 2, 1.0, True, False), Step(301, 1, 1.0, False, False), Step(300, 0, 0.5, False, False)):
        pair.step(step)
    pair.grow(1400)
    pair.step(Step(900, 2, 1.0, False, False))
    pair.step(Step(1400, 3, 1.0, True, True))
    pair.assert_alike()


@pytest.mark.parametrize("preset", [PAPER, replace(BALANCED, coarse_worth=0.5)])
def test_order_of_threads_and_blocks_does_not_show(runtime: HostRuntime, preset: Preset) -> None:
    results = set()
    for schedule in SCHEDULES:
        state = state_of(runtime, plan_of(preset, (40, 77)), 77)
        grads = runtime.upload(np.random.default_rng(1).standard_normal((77, 8)).astype(np.float32))
        with runtime.scheduled(schedule):
            for step in (Step(77, 1, 1.0, True, True), Step(40, 0, 1.0, False, False)):
                decide(runtime, state, [step])
                do_step(runtime, state, grads, partials_of(runtime, state, 0.1, 3000))
        kept = (state.rows, state.mean, state.square, state.log_gains, state.best_rows, state.means, state.now)
        results.add(b"".join(runtime.download(array).tobytes() for array in kept))
    assert len(results) == 1


def test_a_step_is_a_list_of_launches(runtime: HostRuntime) -> None:
    """Nothing is allocated, uploaded or read in it, and the plan alone makes one step differ from the next."""
    steps = [Step(20, 1, 1.0, True, True), Step(10, 0, 0.5, False, False), Step(20, 1, 0.25, True, True)]
    grads = runtime.upload(np.full((20, 8), 1e-5, np.float32))
    states = [state_of(runtime, plan_of(BALANCED, (10, 20)), 20) for _ in range(2)]
    partials = partials_of(runtime, states[0], 0.5)
    for state in states:
        decide(runtime, state, steps)
    for _ in steps:
        do_step(runtime, states[0], grads, partials)
    replay = runtime.record(lambda: do_step(runtime, states[1], grads, partials))
    for _ in steps:
        replay()
    for name in ("rows", "log_gains", "best_rows", "now"):
        ours, theirs = (runtime.download(getattr(state, name)) for state in states)
        np.testing.assert_array_equal(ours, theirs)


def test_beyond_the_plan_nothing_moves(device_runtime: Runtime) -> None:
    plan = plan_of(BALANCED, (10, 20), n_steps=2)
    state = state_of(device_runtime, plan, 20)
    decide(device_runtime, state, [Step(20, 1, 1.0, True, True)])
    grads = device_runtime.upload(np.ones((20, 8), np.float32))
    partials = partials_of(device_runtime, state, 0.1)
    do_step(device_runtime, state, grads, partials)
    rows, gains = fitting.download_fit(device_runtime, state)
    for _ in range(4):  # the plan has room for one more, and none for the others
        do_step(device_runtime, state, grads, partials_of(device_runtime, state, 0.01))
    assert fitting.read_status(device_runtime, state).steps == 5
    assert fitting.read_status(device_runtime, state).best_mse == pytest.approx(0.1)
    np.testing.assert_array_equal(fitting.download_fit(device_runtime, state)[0], rows)
    np.testing.assert_array_equal(fitting.download_fit(device_runtime, state)[1], gains)


def test_a_snapshot_brings_back_every_bit(device_runtime: Runtime) -> None:
    state = state_of(device_runtime, plan_of(BALANCED, (10, 20)), 20)
    decide(device_runtime, state, [Step(20, 1, 1.0, True, True), Step(10, 0, 1.0, False, False)] * 4)
    grads = device_runtime.upload(np.random.default_rng(2).standard_normal((20, 8)).astype(np.float32))
    partials = partials_of(device_runtime, state, 0.1)
    snapshot = FitSnapshot(state)
    do_step(device_runtime, state, grads, partials)
    snapshot.take(state)

    def run() -> list[bytes]:
        for _ in range(6):
            do_step(device_runtime, state, grads, partials)
        kept = (state.rows, state.mean, state.square, state.row_steps, state.log_gains, state.gain_mean)
        more = (state.gain_square, state.best_rows, state.best_gains, state.now, state.means, state.inv_scales)
        return [device_runtime.download(array).tobytes() for array in kept + more]

    first = run()
    snapshot.restore(state)
    assert fitting.read_status(device_runtime, state).steps == 1
    assert run() == first


@pytest.mark.parametrize("column", range(8))
@pytest.mark.parametrize("preset", [PAPER, BALANCED])
def test_what_is_not_finite_comes_to_light(device_runtime: Runtime, preset: Preset, column: int) -> None:
    """A NaN is not clamped away, and the next step names the first Gaussian that has one."""
    state = state_of(device_runtime, plan_of(preset, (200,)), 200)
    decide(device_runtime, state, [Step(200, 0, 1.0, True, True)] * 2)
    grads = np.full((200, 8), 1e-5, np.float32)
    grads[[33, 150], column] = np.nan
    for _ in range(2):
        do_step(device_runtime, state, device_runtime.upload(grads), partials_of(device_runtime, state, 0.1))
    with pytest.raises(InvalidArgument, match="Gaussian 33 is not finite"):
        fitting.read_status(device_runtime, state)


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_inverse_scales_that_are_none_come_to_light(device_runtime: Runtime, value: float) -> None:
    state = state_of(device_runtime, plan_of(PAPER, (20,)), 20)
    rows = device_runtime.download(state.rows)
    rows[7, 3] = value
    state.rows[:] = device_runtime.upload(rows)
    decide(device_runtime, state, [Step(7, 0, 1.0, False, False), Step(8, 0, 1.0, False, False)])
    fitting.begin_step(device_runtime, state)
    fitting.activate(device_runtime, state)
    fitting.read_status(device_runtime, state)  # the first seven alone are shown
    fitting.begin_step(device_runtime, state)
    fitting.activate(device_runtime, state)
    with pytest.raises(InvalidArgument, match="Gaussian 7"):
        fitting.read_status(device_runtime, state)


@pytest.mark.parametrize("weights", [LossWeights(l1=0.25, l2=2.0), LossWeights(l1=1.0, l2=0.5, ssim=0.1)])
@pytest.mark.parametrize("n", [1, 255, 5000])
def test_the_loss_is_the_sum_of_its_parts(device_runtime: Runtime, weights: LossWeights, n: int) -> None:
    plan = plan_of(replace(PAPER, loss=weights), (4,))
    state = state_of(device_runtime, plan, 4)
    decide(device_runtime, state, [Step(4, 0, 1.0, True, False)])
    partials = np.random.default_rng(n).random((n, weights.n_sums), dtype=np.float32)
    fitting.begin_step(device_runtime, state)
    fitting.finish_loss(device_runtime, state, device_runtime.upload(partials))
    status = fitting.read_status(device_runtime, state)
    means = partials.sum(axis=0, dtype=np.float64) / math.prod(plan.shape)
    assert status.mse == pytest.approx(means[1], rel=1e-6)
    assert status.loss == pytest.approx(np.dot(means, weights.values[: len(means)]), rel=1e-6)
    assert status.best_mse == math.inf, "it may not be the best"


def test_an_error_that_is_nan_is_never_the_best(device_runtime: Runtime) -> None:
    state = state_of(device_runtime, plan_of(BALANCED, (4,)), 4)
    decide(device_runtime, state, [Step(4, 0, 1.0, True, True)] * 2)
    poisoned = device_runtime.upload(np.full((3, state.settings.weights.n_sums), np.nan, np.float32))
    for partials, best in ((poisoned, math.inf), (partials_of(device_runtime, state, 0.25), 0.25)):
        fitting.begin_step(device_runtime, state)
        fitting.finish_loss(device_runtime, state, partials)
        status = fitting.read_status(device_runtime, state)
        assert status.best_mse == pytest.approx(best)
        assert math.isnan(status.mse) == math.isinf(best)


def test_what_binning_is_given(device_runtime: Runtime) -> None:
    plan = plan_of(BALANCED, (10, 20))
    state = state_of(device_runtime, plan, 12)
    decide(device_runtime, state, [Step(10, 0, 1.0, False, False)])
    fitting.begin_step(device_runtime, state)
    fitting.activate(device_runtime, state)
    shown = state.gaussians
    assert len(shown) == 12
    assert device_runtime.download(shown.n_shown).tolist() == [10]
    rows = device_runtime.download(state.rows)
    np.testing.assert_array_equal(device_runtime.download(shown.features), rows[:12, 5:])
    assert shown.features.strides[0] == 4 * shown.feature_stride
    gain = np.exp(start_log_gains(plan)[0, 0].item())
    expected = np.exp(rows[:10, 2:4].astype(np.float64)) * gain
    np.testing.assert_allclose(device_runtime.download(shown.inv_scales)[:10], expected, rtol=1e-6)
    state.pairs_needed[:] = 123
    assert fitting.read_status(device_runtime, state).pairs_needed == 123
    assert device_runtime.download(state.now_ints)[NowInt.PAIRS_NEEDED] == 123


def test_what_does_not_fit_is_refused(device_runtime: Runtime) -> None:
    up = device_runtime.upload
    plan = plan_of(BALANCED, (10, 20), n_steps=2)
    with pytest.raises(InvalidArgument, match="log_gains"):
        FitState.of(device_runtime, settings_of(plan), np.zeros((3, 3), np.float32), 2)
    state = state_of(device_runtime, plan, 12)

    def rows(n: int, d: int = 8, dtype: npt.DTypeLike = np.float32) -> Array:
        return up(np.zeros((n, d), dtype))

    for new, units in (
        (rows(9), rows(9)),
        (rows(2, 7), rows(2, 7)),
        (rows(2, dtype=float), rows(2)),
        (rows(2), rows(3)),
    ):
        with pytest.raises(InvalidArgument):
            state.append(new, units)
    for step in (Step(13, 1, 1.0, True, False), Step(-1, 1, 1.0, True, False), Step(5, 2, 1.0, True, False)):
        with pytest.raises(InvalidArgument, match="plan"):
            decide(device_runtime, state, [step])
    with pytest.raises(InvalidArgument, match="room for 2"):
        decide(device_runtime, state, [Step(5, 0, 1.0, True, False)] * 3)
    width = state.settings.weights.n_sums
    for partials in (rows(4, width + 1), rows(4, width, float), rows(4, 2 * width)[:, ::2]):
        with pytest.raises(InvalidArgument, match="partials"):
            fitting.finish_loss(device_runtime, state, partials)
    for grads in (rows(11), rows(12, 7), rows(12, dtype=float)):
        with pytest.raises(InvalidArgument, match="grads"):
            fitting.adam_rows(device_runtime, state, grads)
    assert state.n_present == 12
