"""Gaussians in training: the interface of the engines of a fit, and the CPU engine, which uses torch."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from gscodec.fit.coarse import CoarseGradients
from gscodec.fit.elongation import limited
from gscodec.fit.growth import new_rows
from gscodec.fit.optimizer import RowAdam
from gscodec.fit.plan import LOG_GAIN_RANGE, FitPlan, Step
from gscodec.fit.schedule import step_shown
from gscodec.fit.surroundings import Surroundings, joined
from gscodec.fit.upkeep import missing_reach, removal_cost
from gscodec.model.constants import MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, LodTable, Window
from gscodec.model.rendering import WHOLE, Subset
from gscodec.render.autograd import HostBridge, to_gaussians
from gscodec.render.base import Rasterizer


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
    """`Trainee` on torch and an engine of the host. Results are known after every step.

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
        self._planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(target, 2, 0)))
        self._grid = grid
        self._rasterizer = rasterizer
        self._rng = rng
        self._around = around
        self._allowed = around.allowed if around is not None and allowed is None else allowed
        self._importance = importance
        self._limits = limits
        self._adam = RowAdam(
            torch.zeros(0, n_columns),
            torch.tensor(plan.rates),
            p.adam,
            threads=rasterizer.threads,
        )
        self._units = torch.zeros(0, n_columns)
        self._generation = torch.zeros(0, dtype=torch.long)
        self._log_gains = start_log_gains(plan) if around is None else around.log_gains.clone()
        self._gain_mean = torch.zeros_like(self._log_gains)
        self._gain_square = torch.zeros_like(self._log_gains)
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
        self._adam.append(torch.from_numpy(rows))
        self._units = torch.cat([self._units, torch.from_numpy(units)])
        self._generation = torch.from_numpy(self._plan.generations(n_gaussians))

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
        self._adam.replace(torch.from_numpy(where), torch.from_numpy(rows))
        self._units[torch.from_numpy(where)] = torch.from_numpy(units)

    def widen(self) -> None:
        """See `Trainee.widen`; an engine that does not find owners leaves all as they are."""
        if not self._rasterizer.finds_owners:
            return
        moves = missing_reach(self._rasterizer, self._shown(), self._grid, self._plan.preset.reach)
        self._adam.values[:, 2:4] -= torch.from_numpy(moves[: len(self)])
        self._adam.values = within_limits(self._adam.values, self._limits)

    def run(self, steps: Sequence[Step]) -> Iterator[int]:
        """See `Trainee.run`."""
        for done, step in enumerate(steps, start=1):
            grad, grad_gains, mse, loss = self._gradients(step.n_shown, step.level, step.subset)
            if step.shows_all:
                self._take(step, grad, mse, loss)
            else:
                self._coarse.renew(step.level, grad, loss)
            if self._plan.learns_gains(step) and self._around is None:
                self._step_gains(step, grad_gains * self._plan.grad_scale)
            yield done

    def _take(self, step: Step, grad: torch.Tensor, mse: float, loss: float) -> None:
        """Update all Gaussians, by the gradient of all and those kept of coarser levels."""
        self.mse, score = mse, self._score(mse, loss)
        if step.may_be_best and score < self.best_score:
            self.best_mse, self.best_score = mse, score
            self._best = self._adam.values.clone(), self._log_gains.clone()
        self._coarse.add_to(grad, step.level, loss)
        self._update(step, grad)

    def measure(self) -> tuple[float, float]:
        """See `Trainee.measure`."""
        _, _, mse, loss = self._gradients(len(self), step_shown(self._plan.counts, len(self)))
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
        if self._around is None:
            return own
        return joined([own, to_gaussians(*self._around.shown[step_shown(self._plan.counts, len(self))])])

    def _image(self, stride: int) -> Float32Array:
        """float32 (h, w, C) every stride-th pixel of all Gaussians with the gains of the level they complete."""
        shown = self._shown()
        index = self._rasterizer.bin(shown, self._grid)
        first = stride // 2  # as in new_rows
        height, width = (len(range(first, size, stride)) for size in (self._grid.height, self._grid.width))
        corner = first + 0.5 - 0.5 * stride
        window = Window(corner, corner, height, width, stride, stride)
        image: Float32Array = self._rasterizer.forward(shown, self._grid, index, window)
        return image

    def _score(self, mse: float, loss: float) -> float:
        return loss if self._plan.preset.best_by == "loss" else mse

    def _gradients(self, n: int, level: int, subset: Subset = WHOLE) -> tuple[torch.Tensor, torch.Tensor, float, float]:
        """Gradients of the loss for the first n rows and for the log gains of their level; MSE and loss."""
        values, generation = self._adam.values[:n], self._generation[:n]
        gains = self._log_gains[level].exp()[generation, None]
        inverse = inverse_scales(self._plan, values) * gains
        tensors = with_neighbours(self._around, level, values, inverse)
        # The chain rule by hand: torch's graph would double the cost outside the engine.
        each = None if self._importance is None else torch.from_numpy(self._importance)
        loss, mse, grads = HostBridge(self._rasterizer).fit_step(
            tensors, self._grid, self._planes, self._plan.preset.loss, subset, each
        )
        means, inverses, rotations, features = (part[:n].float() for part in grads)
        to_logs = inverses * inverse  # an inverse scale's logarithm is the scale's and the gain's, summed
        to_scales = to_logs if self._plan.preset.scale_parameter == "log" else inverses * gains
        grad = torch.cat([means, to_scales, rotations[:, None], features], dim=1)
        grad_gains = torch.zeros_like(self._log_gains[level]).index_add_(0, generation, to_logs.sum(dim=1))
        return grad, grad_gains, float(mse), float(loss)

    def _update(self, step: Step, grad: torch.Tensor) -> None:
        """Run one optimiser step, then clamp every parameter to its valid range (paper, Section 3.1)."""
        plan, p = self._plan, self._plan.preset
        drift = np.zeros(self._adam.values.shape[1], np.float32)
        drift[2:4] = step.factor * p.rate_scale * p.widening
        limits = plan.limits(plan.scale_range)
        self._adam.step(grad, step.factor, self._units, grad_scale=plan.grad_scale, drift=drift, limits=limits)
        if self._around is not None:
            self._around.confine(self._adam.values[:, :2])

    def _step_gains(self, step: Step, grad: torch.Tensor) -> None:
        """Run a sign-like step of one level's log gains: they are few, and the gradient's scale says little."""
        level = step.level
        self._gain_mean[level].lerp_(grad, 0.1)
        self._gain_square[level].lerp_(grad * grad, 0.01)
        move = self._gain_mean[level] / (self._gain_square[level].sqrt() + 1e-12)
        self._log_gains[level] -= step.factor * self._plan.preset.rate_gain * move
        self._log_gains[level].clamp_(*LOG_GAIN_RANGE)


def with_neighbours(
    around: Surroundings | None, level: int, values: torch.Tensor, inverse: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means, inverse scales, rotations and features of rows (n, 5 + C), followed by those of the neighbours."""
    own = values[:, :2], inverse, values[:, 4], values[:, 5:]
    if around is None:
        return own
    means, scales, rotations, features = (torch.cat(pair) for pair in zip(own, around.shown[level], strict=True))
    return means, scales, rotations, features


def inverse_scales(plan: FitPlan, values: torch.Tensor) -> torch.Tensor:
    """(n, 2) inverse scales in 1/px, gains not applied, of parameter rows (n, 5 + C)."""
    return values[:, 2:4].exp() if plan.preset.scale_parameter == "log" else values[:, 2:4]


def within_limits(values: torch.Tensor, limits: Float32Array | None) -> torch.Tensor:
    """Rows (n, 5 + C) of logarithms with an elongation within limits, or the rows themselves if there are none."""
    if limits is None:
        return values
    result = values.clone()
    result[:, 2:4] = torch.from_numpy(limited(values[:, :2].numpy(), values[:, 2:4].numpy(), limits))
    return result


def stored_gaussians(plan: FitPlan, values: torch.Tensor) -> GaussianSet:
    """The Gaussians of parameter rows (n, 5 + C), clamped to the container's limits."""
    inverse = inverse_scales(plan, values).clamp(MIN_INV_SCALE, MAX_INV_SCALE)
    return to_gaussians(values[:, :2], inverse, values[:, 4], values[:, 5:])


def shown_gaussians(plan: FitPlan, values: torch.Tensor, log_gains: torch.Tensor) -> GaussianSet:
    """The Gaussians of rows (n, 5 + C) with the gains of the level they complete."""
    gains = log_gains[step_shown(plan.counts, len(values))][torch.from_numpy(plan.generations(len(values))), None].exp()
    return to_gaussians(values[:, :2], inverse_scales(plan, values) * gains, values[:, 4], values[:, 5:])


def least_needed(plan: FitPlan, cost: Float64Array, n_moved: int) -> npt.NDArray[np.int64]:
    """Indices of the n_moved Gaussians with the lowest cost that no coarser level shows."""
    first = plan.n_before_finest if len(plan.counts) > 1 else 0
    return first + np.argsort(cost[first:], kind="stable")[:n_moved]


def start_log_gains(plan: FitPlan) -> torch.Tensor:
    """float32 (L, L) initial logarithms of the gains of level m (row) on generation g (column)."""
    shares = torch.tensor(plan.counts, dtype=torch.float32) / plan.n_gaussians
    return (plan.preset.gain_exponent * shares.log())[:, None].repeat(1, len(plan.counts))


def lod_table(counts: tuple[int, ...], log_gains: torch.Tensor) -> LodTable:
    """The file's table for cumulative counts and (L, L) logarithms of gains."""
    rows = log_gains.exp().tolist()
    return LodTable(counts, tuple(tuple(row[: m + 1]) for m, row in enumerate(rows)))
