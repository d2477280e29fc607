"""The engine of a fit on a card: everything stays there, and the host looks on every few steps.

A step is a fixed list of launches, recorded once after every growth as a CUDA graph. What changes from step to step
lies in device memory, the plan's decisions included. Tile lists have a capacity: a batch of steps that turns out to
need more is undone, and done again with more room.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from gscodec.constants import MAX_TILE_PAIRS
from gscodec.cuda import fitting
from gscodec.cuda.binning import Geometry, TileLists
from gscodec.cuda.blending import Scene
from gscodec.cuda.runtime import Array, Runtime
from gscodec.errors import LimitExceeded
from gscodec.gaussians import Float32Array, GaussianSet, Grid, LodTable
from gscodec.raster.base import LossWeights
from gscodec.raster.cpu import CpuRasterizer
from gscodec.train.device_pass import LossPass, moments_of
from gscodec.train.growth import new_rows
from gscodec.train.placement import Draws
from gscodec.train.plan import FEATURE_RANGE, LOG_GAIN_RANGE, FitPlan, Step
from gscodec.train.schedule import step_shown
from gscodec.train.trainee import least_needed, lod_table, shown_gaussians, start_log_gains, stored_gaussians
from gscodec.train.upkeep import missing_reach, removal_cost

BATCH: Final = 25
"""Steps between two looks: a look costs tens of microseconds, a step of a small picture a hundred."""

ROOM: Final = 1.5
"""Room for pairs that is made, in terms of those needed at the time: Gaussians grow wider as they train."""

ROOM_LEFT: Final = 1.1
"""More is made between batches once there is less than this, in the same terms."""


class DeviceTrainee:
    """`Trainee` by the kernels of gscodec/cuda. Results are known after every BATCH steps.

    Args:
        target: float32 (H, W, C); goes to the card once.
        draws: the places of new Gaussians, in the runtime's memory.
        allowed: bool (H, W), the pixels in which they may be placed; None is all.
        importance: float32 (H, W) or (C, H, W), what each sample counts, 1 on average; None is 1 for all.

    Raises:
        OutOfDeviceMemory: here or later, the card has too little memory.
    """

    def __init__(
        self,
        plan: FitPlan,
        target: Float32Array,
        grid: Grid,
        runtime: Runtime,
        draws: Draws,
        allowed: npt.NDArray[np.bool_] | None = None,
        importance: Float32Array | None = None,
    ) -> None:
        self.mse = self.best_mse = self.best_score = np.inf
        self.capacity: int | None = plan.n_gaussians
        self._plan = plan
        self._grid = grid
        self._runtime = runtime
        self._draws = draws
        self._host = CpuRasterizer()
        self._importance = importance
        self._takes_best = False
        self._graph: Callable[[], None] | None = None
        with runtime:
            self._target = runtime.upload(np.moveaxis(target, 2, 0))
            self._allowed = None if allowed is None else runtime.upload(allowed)
            self._background = runtime.upload(np.asarray(grid.background, np.float32))
            self._counts = None if importance is None else runtime.upload(importance)
            self._weights = plan.preset.loss
            self._pass = LossPass(runtime, grid, self._target, self._weights, self._counts)
            # Besides its steps, every segment is looked at up to four times, and the finished set once.
            n_steps = plan.n_steps + 4 * len(plan.segments) + 1
            settings = fit_settings(plan, has_importance=importance is not None)
            self._state = fitting.FitState.of(runtime, settings, start_log_gains(plan).numpy(), n_steps)
            self._snapshot = fitting.FitSnapshot(self._state)
            self._make_room(0)

    def __len__(self) -> int:
        return self._state.n_present

    def replan(self, plan: FitPlan) -> None:
        """See `Trainee.replan`."""
        self._plan = plan

    def grow(self, n_gaussians: int) -> None:
        """See `Trainee.grow`."""
        runtime, xp, present = self._runtime, self._runtime.xp, len(self)
        if n_gaussians <= present:
            return
        with runtime:
            image = xp.moveaxis(self._pass.render(self._show_all()), 0, 2) if present else None
            target = xp.moveaxis(self._target, 0, 2)
            made = new_rows(
                self._plan,
                target,
                image,
                present,
                n_gaussians,
                self._draws,
                xp,
                allowed=self._allowed,
                importance=self._counts,
            )
            self._state.append(*made)
            self._geometry = Geometry(runtime, n_gaussians)
            self._grads = xp.empty((n_gaussians, self._state.rows.shape[1]), np.float32)
            self._show_all()  # makes room for the new ones

    def relocate(self, n_moved: int) -> None:
        """See `Trainee.relocate`. What there is to gain is judged on the host, a few times in a fit."""
        n, xp = len(self), self._runtime.xp
        cost = removal_cost(self._host, self._shown(), self._grid, self._importance)
        where = least_needed(self._plan, cost, n_moved)
        with self._runtime:
            image = xp.moveaxis(self._pass.render(self._show_all()), 0, 2)
            target = xp.moveaxis(self._target, 0, 2)
            rows, units = new_rows(
                self._plan,
                target,
                image,
                n - len(where),
                n,
                self._draws,
                xp,
                allowed=self._allowed,
                importance=self._counts,
            )
            self._state.replace(self._runtime.upload(where), rows, units)
            self._show_all()

    def widen(self) -> None:
        """See `Trainee.widen`. Who is to widen is found on the host."""
        moves = missing_reach(self._host, self._shown(), self._grid, self._plan.preset.reach)
        with self._runtime:
            self._state.rows[: len(self), 2:4] -= self._runtime.upload(moves)

    def run(self, steps: Sequence[Step]) -> Iterator[int]:
        """See `Trainee.run`."""
        with self._runtime:
            self._decide(steps)
            if steps:
                self._use_loss(self._plan.loss(late=steps[0].late))
        self._graph = None
        for first in range(0, len(steps), BATCH):
            last = min(first + BATCH, len(steps))
            with self._runtime:
                self._snapshot.take(self._state)
                needed = self._repeat(last - first)
                while needed > self._lists.capacity:
                    self._snapshot.restore(self._state)
                    self._make_room(needed)
                    needed = self._repeat(last - first)
                if needed * ROOM_LEFT > self._lists.capacity:
                    self._make_room(needed)
            yield last

    def measure(self) -> tuple[float, float]:
        """See `Trainee.measure`."""
        with self._runtime:
            self._use_loss(self._plan.preset.last_loss)
            partials = self._pass.backward(self._show_all(), self._moments)
            fitting.finish_loss(self._runtime, self._state, partials)
            status = fitting.read_status(self._runtime, self._state)
            return status.mse, status.loss if self._plan.preset.best_by == "loss" else status.mse

    def restore_best(self) -> None:
        """See `Trainee.restore_best`."""
        self._takes_best = True

    def gaussians(self) -> GaussianSet:
        """See `Trainee.gaussians`."""
        return stored_gaussians(self._plan, self._download()[0])

    def lod_table(self) -> LodTable:
        """See `Trainee.lod_table`."""
        return lod_table(self._plan.counts, self._download()[1])

    def _shown(self) -> GaussianSet:
        with self._runtime:
            rows, log_gains = fitting.download_fit(self._runtime, self._state, best=False)
        return shown_gaussians(self._plan, torch.from_numpy(rows), torch.from_numpy(log_gains))

    def _download(self) -> tuple[torch.Tensor, torch.Tensor]:
        with self._runtime:
            rows, log_gains = fitting.download_fit(self._runtime, self._state, best=self._takes_best)
        return torch.from_numpy(rows), torch.from_numpy(log_gains)

    def _use_loss(self, weights: LossWeights) -> None:
        """Makes it that of the next steps. What was recorded with another one is void."""
        if self._weights == weights:
            return
        self._pass, self._weights = LossPass(self._runtime, self._grid, self._target, weights, self._counts), weights
        self._state.settings = replace(self._state.settings, weights=weights)

    def _decide(self, steps: Sequence[Step]) -> None:
        """Adds steps to the plan on the card."""
        ints = np.array([(s.n_shown, s.level, s.shows_all, s.may_be_best) for s in steps], np.int32)
        factors = np.array([s.factor for s in steps], np.float32)
        self._state.plan(self._runtime, ints.reshape(-1, fitting.PLAN_INTS), factors)

    def _repeat(self, n_steps: int) -> int:
        """Carries out the plan's next steps. Returns the most pairs that a step has needed so far."""
        step = self._graph = self._graph or self._runtime.record(self._step)
        for _ in range(n_steps):
            step()
        status = fitting.read_status(self._runtime, self._state)
        self.mse, self.best_mse, self.best_score = status.mse, status.best_mse, status.best_score
        return status.pairs_needed

    def _step(self) -> None:
        """The launches of one step. Allocates nothing and reads nothing back."""
        runtime, state = self._runtime, self._state
        scene = self._bin(begins=True)
        partials = self._pass.backward(scene, self._moments)
        fitting.finish_step(runtime, state, partials, scene, self._moments, self._grads)
        fitting.adam_rows(runtime, state, self._grads)
        fitting.step_gains(runtime, state)

    def _bin(self, *, begins: bool = False) -> Scene:
        """Launches what makes the scene of the step at hand."""
        grid = self._grid
        shown = fitting.list_shown(
            self._runtime, self._state, self._geometry, self._lists, grid.support_q, begins=begins
        )
        return Scene(shown, self._geometry, self._lists, self._background, grid.top_k)

    def _show_all(self) -> Scene:
        """The scene of all Gaussians at the level they complete, with room made for it."""
        level = step_shown(self._plan.counts, len(self))
        self._decide([Step(len(self), level, 0.0, shows_all=True, may_be_best=False)])
        fitting.begin_step(self._runtime, self._state)
        scene = self._bin()
        needed = fitting.read_status(self._runtime, self._state).pairs_needed
        if needed <= self._lists.capacity:
            return scene
        self._make_room(needed)
        return self._bin()

    def _make_room(self, needed: int) -> None:
        """Lists and moments for more pairs than needed. What was recorded with the old ones is void."""
        if needed > MAX_TILE_PAIRS:
            raise LimitExceeded(
                f"{len(self)} Gaussians on {self._grid.width}x{self._grid.height} px meet more than {MAX_TILE_PAIRS} "
                "tiles; take fewer"
            )
        rows, columns = self._grid.tiles_shape
        capacity = min(round(ROOM * needed), MAX_TILE_PAIRS)
        self._graph = None
        self._lists = TileLists(self._runtime, (0, 0, columns, rows), capacity)
        self._moments: Array = moments_of(self._runtime, capacity, self._plan.shape[2])


def fit_settings(plan: FitPlan, *, has_importance: bool = False) -> fitting.FitSettings:
    """A plan's constants as the kernels take them."""
    p = plan.preset
    return fitting.FitSettings(
        shape=plan.shape,
        counts=plan.counts,
        weights=p.loss,
        has_importance=has_importance,
        best_by_loss=p.best_by == "loss",
        log_scales=p.scale_parameter == "log",
        rate_mean=p.rate_mean,
        rate_scale=p.rate_scale,
        rate_rotation=p.rate_rotation,
        rate_feature=p.rate_feature,
        rate_gain=p.rate_gain,
        beta1=p.beta1,
        beta2=p.beta2,
        epsilon=p.epsilon,
        prefix_power=p.prefix_power,
        widening=p.widening,
        grad_scale=plan.grad_scale,
        scale_range=plan.scale_range,
        feature_range=FEATURE_RANGE,
        log_gain_range=LOG_GAIN_RANGE,
        learns_gains=p.joint_lods,
    )
