"""Gaussians in training: the interface of the engines of a fit, and the CPU engine."""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from gscodec.fit.coarse import CoarseGradients
from gscodec.fit.elongation import limited
from gscodec.fit.growth import new_rows
from gscodec.fit.optimizer import RowAdam
from gscodec.fit.plan import LOG_GAIN_RANGE, FitPlan, Step
from gscodec.fit.row_gradients import rounded_exp, row_gradients, with_neighbours
from gscodec.fit.schedule import step_shown
from gscodec.fit.shown_tiles import on_shown_tiles
from gscodec.fit.surroundings import Surroundings
from gscodec.fit.upkeep import missing_reach, removal_cost
from gscodec.model.constants import MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, LodTable, Window
from gscodec.model.rendering import WHOLE, Subset
from gscodec.render.base import Rasterizer

COARSER_REACH: Final = 0.5
"""`reach` in coarser sets, whose tiles are small: where the nearest Gaussian is farther away, it is seen that some
tiles list the one behind it and some do not."""

WIDENED_LOG2: Final = 2
"""Most binary logarithm of the px per pixel of a coarser set at which its tiles are looked at during a fit."""


class Trainee(Protocol):
    """Parameters of a fit in training: one row per Gaussian with x, y (px), two scales, rotation, C features."""

    mse: float
    """Mean squared error of the last step that showed all present Gaussians; infinite before the first."""
    best_mse: float
    """Mean squared error of the best state kept; infinite while there is none."""
    best_score: float
    """Value by which the best state was chosen: its error or its loss, as the preset's best_by says."""

    def __len__(self) -> int: ...

    def replan(self, plan: FitPlan) -> None:
        """Continue with a plan that differs only in its finest generation, of which no Gaussian is present yet."""
        ...

    def grow(self, n_gaussians: int) -> None:
        """Add Gaussians up to n_gaussians in total."""
        ...

    def relocate(self, n_moved: int) -> None:
        """Move the n_moved least important Gaussians to where the error is large, and reset them."""
        ...

    def widen(self) -> None:
        """Widen Gaussians that barely reach the tiles they contribute to."""
        ...

    def run(self, steps: Sequence[Step]) -> Iterator[int]:
        """Run steps. Whenever results are known, yields the number of steps done; `mse` is then that of the last."""
        ...

    def measure(self) -> tuple[float, float]:
        """Mean squared error per sample of the present state, and its value of what `best_score` measures."""
        ...

    def restore_best(self) -> None:
        """Restore the state of `best_mse`."""
        ...

    def gaussians(self) -> GaussianSet:
        """All Gaussians, gains not applied, clamped to the container's limits."""
        ...

    def lod_table(self) -> LodTable:
        """Counts and gains of every level of detail."""
        ...


class CpuTrainee:
    """`Trainee` on an engine of the host. Results are known after every step.

    Args:
        target: float32 (H, W, C).
        rng: for the positions of new Gaussians.
        around: finished neighbours of a block of a larger picture; the gains are then constant.
        allowed: bool (H, W), pixels in which Gaussians may be placed; None means all, or those that the neighbours
            leave.
        importance: float32 (H, W) or (C, H, W), weight of each sample, 1 on average; None means 1 everywhere.
        limits: of the elongation, as `fit.elongation.limits_of` returns them; None means none.
    """

    def __init__(
        self,
        plan: FitPlan,
        target: Float32Array,
        grid: Grid,
        rasterizer: Rasterizer,
        rng: np.random.Generator,
        around: Surroundings | None = None,
        allowed: npt.NDArray[np.bool_] | None = None,
        importance: Float32Array | None = None,
        limits: Float32Array | None = None,
    ) -> None:
        p, n_columns = plan.preset, 5 + target.shape[2]
        self.mse = self.best_mse = self.best_score = np.inf
        self._plan = plan
        self._target = target
        self._fit_target = rasterizer.fit_target(target, importance)
        self._grid = grid
        self._rasterizer = rasterizer
        self._rng = rng
        self._around = around
        self._allowed = around.allowed if around is not None and allowed is None else allowed
        self._importance = importance
        self._limits = limits
        self._adam = RowAdam(np.zeros((0, n_columns), np.float32), plan.rates, p.adam, threads=rasterizer.threads)
        self._units = np.zeros((0, n_columns), np.float32)
        self._generation = np.zeros(0, np.int64)
        self._log_gains = start_log_gains(plan) if around is None else around.log_gains.copy()
        self._gain_mean = np.zeros_like(self._log_gains)
        self._gain_square = np.zeros_like(self._log_gains)
        self._best = self._adam.values, self._log_gains
        self._coarse = CoarseGradients(p)

    def __len__(self) -> int:
        return len(self._adam.values)

    def replan(self, plan: FitPlan) -> None:
        """See `Trainee.replan`."""
        self._plan = plan

    def grow(self, n_gaussians: int) -> None:
        """See `Trainee.grow`."""
        present = len(self)
        if n_gaussians <= present:
            return
        stride = self._plan.stride(n_gaussians)
        image = self._image(stride) if present else None
        rows, units = new_rows(
            self._plan,
            self._target,
            image,
            present,
            n_gaussians,
            self._rng,
            stride=stride,
            allowed=self._allowed,
            importance=self._importance,
            threads=self._rasterizer.threads,
        )
        if present and step_shown(self._plan.counts, present) < step_shown(self._plan.counts, n_gaussians):
            self._coarse.clear()
        self._adam.append(rows)
        self._units = np.concatenate([self._units, units])
        self._generation = self._plan.generations(n_gaussians)

    def relocate(self, n_moved: int) -> None:
        """See `Trainee.relocate`."""
        n, stride = len(self), self._plan.stride(len(self))
        cost = removal_cost(self._rasterizer, self._shown(), self._grid, self._importance)[:n]
        where = least_needed(self._plan, cost, n_moved)
        image = self._image(stride)
        rows, units = new_rows(
            self._plan,
            self._target,
            image,
            n - len(where),
            n,
            self._rng,
            stride=stride,
            allowed=self._allowed,
            importance=self._importance,
            threads=self._rasterizer.threads,
        )
        self._adam.replace(where, rows)
        self._units[where] = units

    def widen(self) -> None:
        """See `Trainee.widen`; an engine that does not find owners leaves all as they are."""
        if not self._rasterizer.finds_owners:
            return
        shown, grid = on_shown_tiles(self._shown(), self._grid, WIDENED_LOG2)
        limit = COARSER_REACH if self._grid.scale_log2 else self._plan.preset.reach
        moves = missing_reach(self._rasterizer, shown, grid, limit)
        self._adam.values[:, 2:4] -= moves[: len(self)]
        self._adam.values = within_limits(self._adam.values, self._limits)

    def run(self, steps: Sequence[Step]) -> Iterator[int]:
        """See `Trainee.run`."""
        for done, step in enumerate(steps, start=1):
            grad, mse, loss = self._gradients(step.n_shown, step.level, step.subset)
            if self._plan.learns_gains(step) and self._around is None:
                self._step_gains(step, self._gain_gradients(grad) * self._plan.grad_scale)
            if step.shows_all:
                self._take(step, grad, mse, loss)
            else:
                self._coarse.renew(step.level, grad, loss)
            yield done

    def _take(self, step: Step, grad: Float32Array, mse: float, loss: float) -> None:
        """Update all Gaussians, by the gradient of all and those kept of coarser levels."""
        self.mse, score = mse, self._score(mse, loss)
        if step.may_be_best and score < self.best_score:
            self.best_mse, self.best_score = mse, score
            self._best = self._adam.values.copy(), self._log_gains.copy()
        self._coarse.add_to(grad, step.level, loss)
        self._update(step, grad)

    def measure(self) -> tuple[float, float]:
        """See `Trainee.measure`."""
        _, mse, loss = self._gradients(len(self), step_shown(self._plan.counts, len(self)))
        return mse, self._score(mse, loss)

    def restore_best(self) -> None:
        """See `Trainee.restore_best`."""
        self._adam.values, self._log_gains = self._best

    def gaussians(self) -> GaussianSet:
        """See `Trainee.gaussians`."""
        return stored_gaussians(self._plan, within_limits(self._adam.values, self._limits))

    def lod_table(self) -> LodTable:
        """See `Trainee.lod_table`."""
        return lod_table(self._plan.counts, self._log_gains)

    def _shown(self) -> GaussianSet:
        """All Gaussians with the gains of the level they complete, followed by the neighbours visible at that level."""
        own = shown_gaussians(self._plan, self._adam.values, self._log_gains)
        return with_neighbours(own, self._around, step_shown(self._plan.counts, len(self)))

    def _image(self, stride: int) -> Float32Array:
        """float32 (h, w, C) every stride-th pixel of all Gaussians with the gains of the level they complete."""
        shown = self._shown()
        index = self._rasterizer.bin(shown, self._grid)
        image: Float32Array = self._rasterizer.forward(shown, self._grid, index, Window.every(stride, self._grid))
        return image

    def _score(self, mse: float, loss: float) -> float:
        return loss if self._plan.preset.best_by == "loss" else mse

    def _gradients(self, n: int, level: int, subset: Subset = WHOLE) -> tuple[Float32Array, float, float]:
        """Gradients of the loss for the first n rows; MSE and loss."""
        values = self._adam.values[:n]
        inverse, gains = inverse_scales(self._plan, values), rounded_exp(self._log_gains[level])
        each = None if (gains == 1).all() else gains[self._generation[:n], None]
        if each is not None:
            inverse = inverse * each
        step = row_gradients(
            self._rasterizer,
            values,
            inverse,
            self._around,
            level,
            self._grid,
            self._fit_target,
            self._plan.preset.loss,
            subset,
        )
        if self._plan.preset.scale_parameter == "log":
            step.rows[:, 2:4] *= inverse
        elif each is not None:
            step.rows[:, 2:4] *= each
        return step.rows, step.mse, step.loss

    def _gain_gradients(self, grad: Float32Array) -> Float32Array:
        """(L,) gradients to the log gains of the generations, from those of their first rows (n, 5 + C).

        The logarithm of an inverse scale shown is that of the scale and that of the gain, summed.
        """
        to_logs = grad[:, 2:4]
        if self._plan.preset.scale_parameter != "log":
            to_logs = to_logs * self._adam.values[: len(grad), 2:4]
        generation = self._generation[: len(grad)]
        return np.bincount(generation, to_logs.sum(axis=1), len(self._log_gains)).astype(np.float32)

    def _update(self, step: Step, grad: Float32Array) -> None:
        """Run one optimiser step, then clamp every parameter to its valid range (paper, Section 3.1)."""
        plan, p = self._plan, self._plan.preset
        drift = np.zeros(self._adam.values.shape[1], np.float32)
        drift[2:4] = step.factor * p.rate_scale * p.widening
        limits = plan.trained_limits
        self._adam.step(grad, step.factor, self._units, grad_scale=plan.grad_scale, drift=drift, limits=limits)
        if self._around is not None:
            self._around.confine(self._adam.values[:, :2])

    def _step_gains(self, step: Step, grad: Float32Array) -> None:
        """Run a sign-like step of one level's log gains: they are few, and the gradient's scale says little."""
        mean, square, gains = (kept[step.level] for kept in (self._gain_mean, self._gain_square, self._log_gains))
        mean += 0.1 * (grad - mean)
        square += 0.01 * (grad * grad - square)
        gains -= step.factor * self._plan.preset.rate_gain * mean / (np.sqrt(square) + 1e-12)
        np.clip(gains, *LOG_GAIN_RANGE, out=gains)


def inverse_scales(plan: FitPlan, values: Float32Array) -> Float32Array:
    """(n, 2) inverse scales in 1/px, gains not applied, of parameter rows (n, 5 + C)."""
    return rounded_exp(values[:, 2:4]) if plan.preset.scale_parameter == "log" else values[:, 2:4]


def within_limits(values: Float32Array, limits: Float32Array | None) -> Float32Array:
    """Rows (n, 5 + C) of logarithms with an elongation within limits, or the rows themselves if there are none."""
    if limits is None:
        return values
    result = values.copy()
    result[:, 2:4] = limited(values[:, :2], values[:, 2:4], limits)
    return result


def stored_gaussians(plan: FitPlan, values: Float32Array) -> GaussianSet:
    """The Gaussians of parameter rows (n, 5 + C), clamped to the container's limits."""
    inverse = np.clip(inverse_scales(plan, values), MIN_INV_SCALE, MAX_INV_SCALE)
    return GaussianSet.of_float32(values[:, :2], inverse, values[:, 4], values[:, 5:])


def shown_gaussians(plan: FitPlan, values: Float32Array, log_gains: Float32Array) -> GaussianSet:
    """The Gaussians of rows (n, 5 + C) with the gains of the level they complete."""
    gains = rounded_exp(log_gains[step_shown(plan.counts, len(values))])[plan.generations(len(values)), None]
    return GaussianSet.of_float32(values[:, :2], inverse_scales(plan, values) * gains, values[:, 4], values[:, 5:])


def least_needed(plan: FitPlan, cost: Float64Array, n_moved: int) -> npt.NDArray[np.int64]:
    """Indices of the n_moved Gaussians with the lowest cost that no coarser level shows."""
    first = plan.n_before_finest if len(plan.counts) > 1 else 0
    return first + np.argsort(cost[first:], kind="stable")[:n_moved]


def start_log_gains(plan: FitPlan) -> Float32Array:
    """float32 (L, L) initial logarithms of the gains of level m (row) on generation g (column)."""
    shares = np.asarray(plan.counts, np.float32) / np.float32(plan.n_gaussians)
    logs = np.float32(plan.preset.gain_exponent) * np.log(shares)
    return np.repeat(logs[:, None], len(plan.counts), axis=1)


def lod_table(counts: tuple[int, ...], log_gains: Float32Array) -> LodTable:
    """The file's table for cumulative counts and (L, L) logarithms of gains."""
    rows = rounded_exp(log_gains).tolist()
    return LodTable(counts, tuple(tuple(row[: m + 1]) for m, row in enumerate(rows)))
