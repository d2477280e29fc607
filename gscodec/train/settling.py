"""The last phase of a fit for profile `coded`: Gaussians settle on a lattice, one value after the other.

Rounding a finished fit costs up to 2 dB. Here values are fixed in turns, scales first, then rotations, means and
features, and those still free go on training and make up for what the fixed ones are off by. Gradients passed straight
through the rounding of all values at once do worse: they never come to rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from gscodec.format.channels import ChannelGroup
from gscodec.format.lattice import Lattice
from gscodec.format.limits import generations_of
from gscodec.format.small_codec import transform_of
from gscodec.gaussians import Float32Array, GaussianSet, Grid, LodTable, Window
from gscodec.raster.arguments import importance_of_samples
from gscodec.raster.autograd import HostBridge
from gscodec.raster.base import Rasterizer
from gscodec.raster.cpu import CpuRasterizer
from gscodec.train.lattices import (
    TYPICAL_SHARE,
    Steps,
    balance,
    choose_colours,
    choose_transform,
    make_lattice,
    small_lattice,
    snap,
    with_features,
)
from gscodec.train.optimizer import RowAdam
from gscodec.train.plan import FitPlan
from gscodec.train.presets import Preset
from gscodec.train.schedule import subset_of
from gscodec.train.surroundings import Surroundings
from gscodec.train.threads import one_torch_thread
from gscodec.train.trainee import prefix_weight, with_neighbours
from gscodec.train.upkeep import removal_cost

WINDOWS: Final = ((0.0, 0.3), (0.2, 0.5), (0.4, 0.75), (0.65, 1.0))
"""Shares of the steps in which scales, rotations, means and features are fixed."""

RATE_SHARE: Final = 0.1
"""Of the fit's learning rates."""

BUDGET_SHARE: Final = 0.997
"""Of the bytes that are there is aimed at: what is fixed last changes the tables a little."""

MOST_PRUNED: Final = 0.05
"""Of the Gaussians go at most where the last values settled at more bytes than was thought, and coarser steps of their
features can make up for it."""

COARSEST_FEATURES: Final = 0.5
"""Of the samples' range: steps beyond it bring features to 0 and save nothing that pruning would not."""

LATER_BITS: Final = 2.0
"""Bits that a Gaussian of the whole set takes beyond those of half of it, whose greater error allows coarser steps."""

RECOUNT_SHARE: Final = 0.018
"""Error a value may add, as a share of the error when Gaussians are counted. Most of that error is still to go: at the
end the shares are 0.03 to 0.06, from where on a bit gains the same in finer values and in more Gaussians."""

MADE_UP_FOR: Final = 0.5
"""Share of the error that rounding adds which the values still free make up for. Measured on three pictures, shares
from 0.006 to 0.1: 0.4 to 0.7."""

_COLUMNS: Final = (slice(2, 4), slice(4, 5), slice(0, 2), slice(5, None))


@dataclass(frozen=True)
class Settled:
    """Gaussians that a lattice holds exactly; some of the finest generation may be gone."""

    gaussians: GaussianSet
    lattice: Lattice


@dataclass(frozen=True)
class SettleTask:
    """What `settle` works on."""

    target: Float32Array  # (H, W, C) in the model's domain
    grid: Grid
    groups: tuple[ChannelGroup, ...]
    preset: Preset
    lods: LodTable
    rasterizer: Rasterizer
    seed: int
    around: Surroundings | None = None  # of a block of a larger picture, on whose lattice it settles
    importance: Float32Array | None = None  # as in `Rasterizer.loss`; None is 1 for all
    small: bool = False  # whether the lattice is to be one of profile `small`
    scales: Float32Array | None = None  # (C,) by which the file's features were multiplied for the fit; None is 1

    def snap(self, gaussians: GaussianSet, lattice: Lattice, generations: npt.NDArray[np.int64]) -> GaussianSet:
        """The nearest Gaussians on a lattice of the whole picture, in px of the target."""
        if self.around is None:
            return snap(gaussians, lattice, self.grid, generations)
        origin = self.around.origin
        placed = replace(gaussians, means=gaussians.means + origin)
        near = snap(placed, lattice, self.around.grid, generations)
        return replace(near, means=near.means - origin)


@one_torch_thread()
def settle_on(
    task: SettleTask,
    gaussians: GaussianSet,
    n_steps: int,
    lattice: Lattice,
    on_step: Callable[[int, float], None] | None = None,
) -> GaussianSet:
    """A finished fit on a lattice that is given.

    Args:
        gaussians: of the fit, float.
        on_step: called after every step with its number, from 1, and the mean squared error.
    """
    training = _Training(task, gaussians)
    schedule = training.schedule(n_steps)
    for step in range(n_steps):
        training.fix(schedule, step, lattice)
        mse = training.step(step)
        if on_step is not None:
            on_step(step + 1, mse)
    return task.snap(training.gaussians(), lattice, generations_of(task.lods.counts))


@one_torch_thread()
def settle(
    task: SettleTask,
    gaussians: GaussianSet,
    n_steps: int,
    *,
    size_of: Callable[[GaussianSet, Lattice], int],
    budget: int | None,
    share: float | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> Settled:
    """A finished fit on the lattice that suits it.

    Args:
        gaussians: of the fit, float.
        size_of: bytes of the file of a set, or of one that lacks some of its finest generation, on a lattice.
        budget: most bytes of the file; None takes the steps of `share`.
        share: error each value adds, as a share of the picture's own, before the others make up for it; None is where
            more Gaussians would gain as much as finer ones.
        on_step: called after every step with its number, from 1, and the mean squared error.
    """
    lattice_at = lattices_for(task, gaussians)
    share = TYPICAL_SHARE if share is None else share
    if budget is not None:
        aim = int(BUDGET_SHARE * budget)
        share = _least(lambda v: size_of(gaussians, lattice_at(v)) <= aim, 1e-4, 3.0)
    lattice = lattice_at(share)
    training = _Training(task, gaussians)
    schedule = training.schedule(n_steps)
    for step in range(n_steps):
        if budget is not None and step == round(WINDOWS[3][0] * n_steps):
            lattice = fitting_features(training.gaussians(), lattice, size_of, int(BUDGET_SHARE * budget))
        training.fix(schedule, step, lattice)
        mse = training.step(step)
        if on_step is not None:
            on_step(step + 1, mse)
    settled = snap(training.gaussians(), lattice, task.grid, generations_of(task.lods.counts))
    if budget is not None:
        kept = _affordable(task, settled, budget, lambda part: size_of(part, lattice), MOST_PRUNED)
        if kept is None:
            lattice = fitting_features(settled, lattice, size_of, budget)
            settled = snap(settled, lattice, task.grid, generations_of(task.lods.counts))
            # Where a picture is as good as flat, its features have no bits to give.
            kept = _affordable(task, settled, budget, lambda part: size_of(part, lattice), 1.0)
        settled = settled if kept is None else settled[kept]
    return Settled(settled, lattice)


def _affordable(
    task: SettleTask, gaussians: GaussianSet, budget: int, size_of: Callable[[GaussianSet], int], most: float
) -> npt.NDArray[np.int64] | None:
    """Indices of as many Gaussians as a file of `budget` bytes holds: all but some of the finest that carry least.

    None if more than the share `most` of all would have to go, or all of the finest.
    """
    n = len(gaussians)
    if size_of(gaussians) <= budget:
        return np.arange(n)
    order = least_needed_first(task.rasterizer, gaussians, task.grid, task.lods.counts, task.importance)

    def without(n_pruned: int) -> npt.NDArray[np.int64]:
        return np.setdiff1d(np.arange(n), order[:n_pruned])

    low, high = 0, min(int(most * n), len(order) - 1)
    if high < 1 or size_of(gaussians[without(high)]) > budget:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if size_of(gaussians[without(middle)]) <= budget:
            high = middle
        else:
            low = middle
    return without(high)


def least_needed_first(
    rasterizer: Rasterizer,
    gaussians: GaussianSet,
    grid: Grid,
    counts: tuple[int, ...],
    importance: Float32Array | None = None,
) -> npt.NDArray[np.int64]:
    """Indices of the finest generation's Gaussians, those first that carry least; importance as in `removal_cost`."""
    first = counts[-2] if len(counts) > 1 else 0
    return first + np.argsort(removal_cost(rasterizer, gaussians, grid, importance)[first:], kind="stable")


def share_of(loss_db: float, n_channels: int) -> float:
    """The `share` at which settling costs a fit so many dB, roughly: see MADE_UP_FOR."""
    return float(10.0 ** (loss_db / 10.0) - 1.0) / ((1.0 - MADE_UP_FOR) * (5 + n_channels))


def lattices_for(task: SettleTask, gaussians: GaussianSet) -> Callable[[float], Lattice]:
    """Lattices that suit a set, by the error that each value may add, as a share of the picture's own."""
    features = gaussians.features.astype(np.float64)
    if task.small:
        colours = choose_colours(features, task.groups, Steps().feature)
        steps_at = balance(gaussians, transform_of(colours, task.groups), task.grid, task.lods.counts, error_of(task))
        n = len(gaussians)
        return lambda share: small_lattice(steps_at(share), colours, task.grid, n, task.groups, task.scales)
    transform = choose_transform(features, task.groups, Steps().feature)
    steps_at = balance(gaussians, transform, task.grid, task.lods.counts, error_of(task))
    return lambda share: make_lattice(steps_at(share), transform, task.grid, task.lods.counts)


def count_for(
    task: SettleTask, gaussians: GaussianSet, size_of: Callable[[GaussianSet, Lattice], tuple[int, int]], budget: int
) -> int:
    """How many Gaussians a file of `budget` bytes is likely to hold, judged by a part of them.

    Args:
        gaussians: those there are, which the levels of task.lods show.
        size_of: bytes of the file of a set on a lattice, and those of its pages.
    """
    whole, payload = size_of(gaussians, lattices_for(task, gaussians)(RECOUNT_SHARE))
    bits = 8 * payload / len(gaussians) + LATER_BITS
    return max(1, int(8 * (BUDGET_SHARE * budget - (whole - payload)) / bits))


def fitting_features(
    gaussians: GaussianSet, lattice: Lattice, size_of: Callable[[GaussianSet, Lattice], int], budget: int
) -> Lattice:
    """The lattice with the finest steps of features, up to COARSEST_FEATURES, at which a set takes `budget` bytes."""
    coarsest = max(1.0, COARSEST_FEATURES / float(lattice.feature_steps.max()))

    def fits(factor: float) -> bool:
        return size_of(gaussians, with_features(lattice, factor)) <= budget

    return with_features(lattice, _least(fits, 1 / 64, min(16.0, coarsest)))


def _least(fits: Callable[[float], bool], low: float, high: float) -> float:
    """The least value, to a hundredth, from which on `fits` holds; `high` where it never does."""
    for _ in range(12):
        middle = math.sqrt(low * high)
        if fits(middle):
            high = middle
        else:
            low = middle
    return high


def error_of(task: SettleTask) -> Callable[[GaussianSet], float]:
    """Mean squared error of a set, by what pixels count, as a function of it."""

    def error(gaussians: GaussianSet) -> float:
        index = task.rasterizer.bin(gaussians, task.grid)
        image = task.rasterizer.forward(gaussians, task.grid, index, Window.whole(task.grid))
        squares = (np.asarray(image) - task.target) ** 2
        if task.importance is not None:
            squares *= importance_of_samples(task.importance)
        return float(np.mean(squares, dtype=np.float64))

    return error


class _Training:
    """Rows of x, y (px), two log inverse scales, rotation and C features, of which more and more stand still."""

    def __init__(self, task: SettleTask, gaussians: GaussianSet) -> None:
        self._task = task
        self._preset = task.preset
        height, width, channels = task.target.shape
        threads = task.rasterizer.threads if isinstance(task.rasterizer, CpuRasterizer) else 0
        takes_subsets = isinstance(task.rasterizer, CpuRasterizer)
        self._plan = FitPlan(task.preset, (height, width, channels), task.lods.counts, 1, takes_subsets)
        rows = np.concatenate(
            [
                gaussians.means,
                np.log(gaussians.inv_scales),
                gaussians.rotations[:, None],
                gaussians.features.astype(np.float64),
            ],
            axis=1,
        )
        self._generations = generations_of(task.lods.counts)
        self._planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(task.target, 2, 0)))
        sizes = 1.0 / np.sqrt(gaussians.inv_scales.prod(axis=1))
        units = np.ones_like(rows)
        units[:, :2] = sizes[:, None]
        self._units = torch.from_numpy(units.astype(np.float32))
        rates = torch.tensor(
            [SETTLE_RATES[0]] * 2 + [SETTLE_RATES[1]] * 2 + [SETTLE_RATES[2]] + [SETTLE_RATES[3]] * task.target.shape[2]
        )
        self._adam = RowAdam(
            torch.from_numpy(rows.astype(np.float32)), rates, beta1=0.9, beta2=0.99, epsilon=1e-12, threads=threads
        )
        self._exact = rows  # float64 (n, 5 + C); where fixed, what the lattice holds
        self._fixed = np.zeros(rows.shape, np.bool_)
        self._rng = np.random.default_rng(task.seed)
        self._stride = self._plan.stride(len(rows), late=True)
        self._importance = None if task.importance is None else torch.from_numpy(task.importance)
        self._mse = math.nan

    def schedule(self, n_steps: int) -> np.ndarray:
        """(n, 5 + C) the step at which each value is fixed, at random within the window of its kind."""
        when = np.empty(self._exact.shape)
        latest = np.zeros(len(when))
        for columns, (first, last) in zip(_COLUMNS, WINDOWS, strict=True):
            # A value's step depends on those before it, which must stand still by then.
            latest = np.maximum(latest, (first + (last - first) * self._rng.random(len(when))) * n_steps)
            when[:, columns] = latest[:, None]
        return when

    def fix(self, schedule: np.ndarray, step: int, lattice: Lattice) -> None:
        """Let those values rest on the lattice whose time has come."""
        due = (schedule <= step) & ~self._fixed
        if not due.any():
            return
        near = _rows(self._task.snap(self.gaussians(), lattice, self._generations))
        self._exact[due] = near[due]
        self._fixed |= due
        self._units[torch.from_numpy(due)] = 0.0
        self._adam.values[torch.from_numpy(due)] = torch.from_numpy(near[due].astype(np.float32))

    def step(self, step: int) -> float:
        """One step of the optimiser for what is free; the mean squared error of the whole set, or the last known."""
        counts = self._task.lods.counts
        level = len(counts) - 1
        if level and self._rng.random() < self._preset.prefix_share:
            level = max(0, level - int(self._rng.geometric(0.5)))
        n = counts[level]
        values = self._adam.values[:n]
        gains = torch.tensor(self._task.lods.gains[level], dtype=torch.float32)[torch.from_numpy(self._generations[:n])]
        inverse = values[:, 2:4].exp() * gains[:, None]
        _, mse, grads = HostBridge(self._task.rasterizer).fit_step(
            with_neighbours(self._task.around, level, values, inverse),
            self._task.grid,
            self._planes,
            self._preset.last_loss,
            subset_of(step, self._stride),
            self._importance,
        )
        means, inverses, rotations, features = (part[:n].float() for part in grads)
        grad = torch.cat([means, inverses * inverse, rotations[:, None], features], dim=1)
        weight = 1.0 if level == len(counts) - 1 else prefix_weight(self._preset, self._mse, float(mse))
        limits = self._plan.limits(self._plan.log_scale_range)
        grad_scale = weight * float(self._planes[0].numel())
        self._adam.step(grad, 1.0, self._units, grad_scale=grad_scale, limits=limits)
        rows = self._adam.values
        if self._task.around is not None:
            self._task.around.confine(rows[:, :2])
        fixed = torch.from_numpy(self._fixed)
        rows[fixed] = torch.from_numpy(self._exact[self._fixed].astype(np.float32))
        if level == len(counts) - 1:
            self._mse = float(mse)
        return self._mse

    def gaussians(self) -> GaussianSet:
        """All of them; what is fixed to the last bit as the lattice has it."""
        rows = np.where(self._fixed, self._exact, self._adam.values.numpy().astype(np.float64))
        return GaussianSet(
            np.ascontiguousarray(rows[:, :2]),
            np.exp(rows[:, 2:4]),
            np.ascontiguousarray(rows[:, 4]),
            np.ascontiguousarray(rows[:, 5:], np.float32),
        )


SETTLE_RATES: Final = (0.006, 0.01, 0.003, 0.0015)
"""Learning rates of means (standard deviations), log scales, rotations (rad) and features: a tenth of a fit's."""


def _rows(gaussians: GaussianSet) -> np.ndarray:
    return np.concatenate(
        [gaussians.means, np.log(gaussians.inv_scales), gaussians.rotations[:, None], gaussians.features], axis=1
    )
