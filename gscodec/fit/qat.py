"""Quantisation-aware fine-tuning (QAT), the last phase of a fit: values are fixed on a lattice in turns.

Rounding all values after a fit costs up to 2 dB. Here values are fixed in turns, scales first, then rotations and
means, while the free ones continue to train and compensate for the rounding of the fixed ones. Features come last: with
all shapes fixed they are a problem of least squares (`fit.features`). A straight-through estimator, which rounds all
values in every step, does worse: it does not converge.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.fit.features import Features, features_of
from gscodec.fit.holes import without_holes
from gscodec.fit.lattices import (
    TYPICAL_SHARE,
    Steps,
    balance,
    choose_colours,
    choose_transform,
    make_lattice,
    small_lattice,
    snap,
    typical_step,
    with_features,
)
from gscodec.fit.lost_tiles import without_lost_tiles
from gscodec.fit.plan import Step
from gscodec.fit.qat_rows import qat_rows
from gscodec.fit.qat_task import QatTask, error_of
from gscodec.fit.schedule import subset_of
from gscodec.fit.upkeep import removal_cost
from gscodec.format.limits import generations_of
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.small_codec import transform_of
from gscodec.render.base import Rasterizer

WINDOWS: Final = ((0.0, 0.4), (0.27, 0.67), (0.53, 1.0))
"""Fractions of the steps between which scales, rotations and means are fixed."""

BUDGET_SHARE: Final = 0.997
"""Fraction of the byte budget to aim for: the values fixed last change the size of the tables slightly."""

MOST_PRUNED: Final = 0.05
"""Maximum fraction of Gaussians pruned when the final quantised file exceeds its predicted size and coarser feature
steps can save the bytes instead."""

COARSEST_FEATURES: Final = 0.5
"""Maximum feature step, as a fraction of the samples' range: coarser steps round features to 0 and save no more than
pruning would."""

LATER_BITS: Final = 2.0
"""Additional bits per Gaussian of the whole set compared to half of it, whose greater error allows coarser steps."""

RECOUNT_SHARE: Final = 0.018
"""Error that each value may add, as a fraction of the picture's error at the time of the recount. Most of that error is
still to be removed: at the end the fractions are 0.03 to 0.06, where a bit gains the same in finer values and in more
Gaussians."""

BITS_PER_GAUSSIAN: Final = 40.0
"""What a Gaussian of three channels takes, roughly, where no budget says it."""

BIT_HALVES: Final = 2.0 * math.log(2.0)
"""Relative fall of a value's squared error with each further bit: a bit halves the step."""

MADE_UP_FOR: Final = 0.5
"""Share of the error that rounding adds that the free values compensate. Measured on three pictures, shares
from 0.006 to 0.1: 0.4 to 0.7."""

WITHIN_SHARE: Final = 0.001
"""Fraction of a byte budget that may be left over when steps are searched by the size of the resulting file."""

FIRST_REACH: Final = 1.25
"""Factor from the likely value of steps to the first try beyond it."""

EXTRA_REACH: Final = 1.1
"""Factor on the way to where sizes known on one side of the budget say that it is met."""

VALUE_SHARE: Final = 0.01
"""Relative difference below which two step factors count as equal."""

FEATURE_OCTAVES: Final = (-4.0, 2.0)
"""Range of the logarithm of factors on feature steps that are tried for a target PSNR."""

EXCESS_DB: Final = 0.1
"""Distance above a target PSNR, in dB, that is near enough."""

MOST_EXCESS_DB: Final = 60.0
"""Excess in dB that stands for an exact result, so that differences stay finite."""

MOST_EXCESSES: Final = 8
"""Maximum number of factors tried for a target PSNR."""

TURNS: Final = 50
"""Minimum number of turns in which values are fixed; between two turns, steps run without the host."""

_COLUMNS: Final = (slice(2, 4), slice(4, 5), slice(0, 2))


@dataclass(frozen=True)
class FineTuned:
    """Quantised Gaussians, exactly representable on `lattice`; some of the finest generation may have been pruned."""

    gaussians: GaussianSet
    lattice: Lattice


def fine_tune_on(
    task: QatTask,
    gaussians: GaussianSet,
    n_steps: int,
    lattice: Lattice,
    on_step: Callable[[int, float], None] | None = None,
) -> GaussianSet:
    """A fit quantised on a fixed lattice.

    Args:
        gaussians: result of the fit, float.
        on_step: called whenever results are known, with the number of the step, from 1, and the mean squared error.
    """
    features = _shaped(task, gaussians, n_steps, lattice, on_step)
    return features.rounded(features.solved(), lattice, BITS_PER_GAUSSIAN * len(gaussians))


def fine_tune(
    task: QatTask,
    gaussians: GaussianSet,
    n_steps: int,
    *,
    size_of: Callable[[GaussianSet, Lattice], int],
    budget: int | None,
    share: float | None = None,
    excess: Callable[[GaussianSet, Lattice], float] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> FineTuned:
    """A fit quantised on a lattice chosen for it.

    Args:
        gaussians: result of the fit, float.
        size_of: returns the bytes of the file of a set on a lattice; the set may lack part of its finest generation.
        budget: maximum bytes of the file; None uses `share`.
        share: error that quantisation adds per value before fine-tuning, as a fraction of the picture's own; None means
            `typical_share`.
        excess: returns by how many dB a quantised set is above its target; without a budget the feature steps are then
            the coarsest at which it is not below, as far as possible.
        on_step: called whenever results are known, with the number of the step, from 1, and the mean squared error.
    """
    lattice_at = lattices_for(task, gaussians)
    share = typical_share(task, gaussians) if share is None else share
    if budget is not None:
        aim = int(BUDGET_SHARE * budget)
        share = _least(lambda v: size_of(gaussians, lattice_at(v)), aim, 1e-4, 3.0, share)
    lattice = lattice_at(share)
    features = _shaped(task, gaussians, n_steps, lattice, on_step)
    solved, generations = features.solved(), generations_of(task.lods.counts)
    n_bits = 8 * (size_of(solved, lattice) if budget is None else budget)
    typical = typical_step(solved, lattice, task.grid, generations)
    lattice = features.best_slope(solved, lattice, n_bits)
    if budget is not None:
        lattice = fitting_features(
            lattice,
            typical,
            lambda steps: size_of(features.rounded(solved, steps, n_bits), steps),
            budget,
        )
    elif excess is not None:
        lattice = just_enough(lattice, lambda steps: excess(features.rounded(solved, steps, n_bits), steps))
    tuned = features.rounded(solved, lattice, n_bits)
    if budget is not None:
        kept = _affordable(task, tuned, budget, lambda part: size_of(part, lattice), MOST_PRUNED)
        if kept is None:
            lattice = fitting_features(lattice, typical, lambda steps: size_of(tuned, steps), budget)
            tuned = snap(tuned, lattice, task.grid, generations_of(task.lods.counts))
            # The features of a nearly constant picture have no bits to save.
            kept = _affordable(task, tuned, budget, lambda part: size_of(part, lattice), 1.0)
        tuned = tuned if kept is None else tuned[kept]
    return FineTuned(tuned, lattice)


def _shaped(
    task: QatTask,
    gaussians: GaussianSet,
    n_steps: int,
    lattice: Lattice,
    on_step: Callable[[int, float], None] | None,
) -> Features:
    """The features of a fit whose shapes are on a lattice."""
    training = _Training(task, gaussians, n_steps)
    for first, last in _turns(n_steps):
        training.fix(first, last, lattice)
        training.run(first, last, on_step)
    trained = training.gaussians()
    generations = generations_of(task.lods.counts)
    shapes = task.snap(trained, lattice, generations)
    if task.around is not None:  # the tiles of a block may be its neighbours'
        return features_of(task, replace(shapes, features=trained.features))

    def snapped(changed: GaussianSet, which: npt.NDArray[np.int64]) -> GaussianSet:
        return replace(task.snap(changed, _apart(lattice, which), generations[which]), features=changed.features)

    def least_needed() -> npt.NDArray[np.int64]:
        return least_needed_first(task.rasterizer, kept, task.grid, task.lods.counts, task.importance)

    kept = without_lost_tiles(task, gaussians, replace(shapes, features=trained.features), snapped)
    filled = without_holes(task.rasterizer, kept, task.grid, least_needed)
    return features_of(task, kept if filled is kept else snapped(filled, np.arange(len(filled))))


def _apart(lattice: Lattice, which: npt.NDArray[np.int64]) -> Lattice:
    """The lattice of some Gaussians of a set alone."""
    return lattice if lattice.pages is None else replace(lattice, pages=lattice.pages.apart(which))


def _affordable(
    task: QatTask, gaussians: GaussianSet, budget: int, size_of: Callable[[GaussianSet], int], most: float
) -> npt.NDArray[np.int64] | None:
    """Indices of the Gaussians that fit into `budget` bytes: all but the least important of the finest generation.

    None if more than the fraction `most` of all, or the whole finest generation, would have to be pruned.
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
    """Indices of the finest generation's Gaussians, least important first; importance as in `removal_cost`."""
    first = counts[-2] if len(counts) > 1 else 0
    return first + np.argsort(removal_cost(rasterizer, gaussians, grid, importance)[first:], kind="stable")


def share_of(loss_db: float, n_channels: int) -> float:
    """The `share` of `fine_tune` that lowers a fit's PSNR by about `loss_db`; see MADE_UP_FOR."""
    return float(10.0 ** (loss_db / 10.0) - 1.0) / ((1.0 - MADE_UP_FOR) * (5 + n_channels))


def typical_share(task: QatTask, gaussians: GaussianSet) -> float:
    """The `share` of `fine_tune` at which a byte spent on finer values lowers the squared error by the task's slope.

    Another bit of a value that adds the error e saves BIT_HALVES * e, of which the free values would have made up for a
    part, and costs an eighth of a byte. Without a slope it is TYPICAL_SHARE, where more Gaussians would gain as much.
    """
    if task.slope is None:
        return TYPICAL_SHARE
    own = error_of(task)(gaussians) * task.target.size
    return task.slope / 8.0 / (BIT_HALVES * (1.0 - MADE_UP_FOR)) * len(gaussians) / max(own, 1e-9)


def lattices_for(task: QatTask, gaussians: GaussianSet) -> Callable[[float], Lattice]:
    """Lattice as a function of the error that each value may add, as a fraction of the picture's own."""
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
    task: QatTask, gaussians: GaussianSet, size_of: Callable[[GaussianSet, Lattice], tuple[int, int]], budget: int
) -> int:
    """Estimated number of Gaussians that fit into `budget` bytes, extrapolated from the present ones.

    Args:
        gaussians, size_of: as in `bits_for`.
    """
    bits, rest = bits_for(task, gaussians, size_of)
    return max(1, int(8 * (BUDGET_SHARE * budget - rest) / bits))


def bits_for(
    task: QatTask, gaussians: GaussianSet, size_of: Callable[[GaussianSet, Lattice], tuple[int, int]]
) -> tuple[float, int]:
    """Estimated bits per Gaussian of the finished set, extrapolated from the present ones; and bytes of all else.

    Args:
        gaussians: present Gaussians, shown by the levels of task.lods.
        size_of: returns the bytes of the file of a set on a lattice, and those of its pages.
    """
    whole, payload = size_of(gaussians, lattices_for(task, gaussians)(RECOUNT_SHARE))
    return 8 * payload / len(gaussians) + LATER_BITS, whole - payload


def fitting_features(lattice: Lattice, typical_step: float, size_on: Callable[[Lattice], int], budget: int) -> Lattice:
    """The lattice with the finest feature steps, up to COARSEST_FEATURES, that keeps a file within `budget` bytes.

    Args:
        typical_step: of the features of the set, as a fraction of the samples' range.
        size_on: bytes of the file on a lattice that differs from `lattice` in its feature steps alone.
    """
    coarsest = max(1.0, COARSEST_FEATURES / typical_step)
    best = _least(lambda factor: size_on(with_features(lattice, factor)), budget, 1 / 64, min(16.0, coarsest), 1.0)
    return with_features(lattice, best)


def just_enough(lattice: Lattice, excess_on: Callable[[Lattice], float]) -> Lattice:
    """The lattice with the coarsest feature steps at which the excess is 0 to EXCESS_DB, or nearly so.

    Found by false position in the logarithm of a factor on the steps; if no steps between FEATURE_OCTAVES give an
    excess, the finest.

    Args:
        excess_on: dB above the target on a lattice that differs from `lattice` in its feature steps alone.
    """
    low, high = FEATURE_OCTAVES
    known: dict[float, float] = {}
    octaves = 0.0
    while octaves not in known and len(known) < MOST_EXCESSES:
        known[octaves] = min(excess_on(with_features(lattice, 2.0**octaves)), MOST_EXCESS_DB)
        if 0.0 <= known[octaves] <= EXCESS_DB:
            break
        enough = max((at for at, db in known.items() if db >= 0), default=None)
        short = min((at for at, db in known.items() if db < 0), default=None)
        if short is None:
            octaves = min(high, octaves + 1.0)
        elif enough is None:
            octaves = max(low, octaves - 1.0)
        else:
            part = (known[enough] - 0.5 * EXCESS_DB) / (known[enough] - known[short])
            octaves = enough + (short - enough) * min(max(part, 0.1), 0.9)
    best = max((at for at, db in known.items() if db >= 0), default=min(known))
    return with_features(lattice, 2.0**best)


def _least(size_at: Callable[[float], int], budget: int, low: float, high: float, guess: float) -> float:
    """The least value between low and high at which a size that falls with it is within a budget; near `guess`, likely.

    Found to within WITHIN_SHARE of the bytes or VALUE_SHARE of the value, by false position: sizes fall about linearly
    with the logarithm of the value. `high` if no size is within the budget.
    """
    sizes: dict[float, int] = {}
    creeps = 0  # tries that reduced the interval by less than half: where sizes jump, bisection is faster
    while high > low * (1 + VALUE_SHARE):
        is_between = low in sizes and high in sizes
        part = _likely_part(sizes, budget, low, high, guess) if creeps < 3 else 0.5
        value = low * (high / low) ** part
        sizes[value] = size_at(value)
        fits = sizes[value] <= budget
        if fits:
            high = value
        else:
            low = value
        if fits and sizes[value] >= (1 - WITHIN_SHARE) * budget:
            break
        creeps += is_between and (part if fits else 1 - part) > 0.5
    return high


def _likely_part(sizes: dict[float, int], budget: int, low: float, high: float, guess: float) -> float:
    """Place of the next try, a part of the logarithm from low to high: where a line meets the budget.

    Args:
        sizes: those known, by value, the last ones last; an end that has not been tried is not there.
    """
    span = math.log(high / low)
    if not sizes:
        return math.log(guess / low) / span if low < guess < high else 0.5
    if low in sizes and high in sizes:
        part = (sizes[low] - budget) / (sizes[low] - sizes[high])
    else:
        last, *before = list(sizes)[:-3:-1]
        fall = (sizes[before[0]] - sizes[last]) / math.log(last / before[0]) if before else 0.0
        reach = math.log(FIRST_REACH)
        if fall > 0:  # somewhat beyond, so that the next is between
            reach = EXTRA_REACH * abs(sizes[last] - budget) / fall
        part = reach / span if low in sizes else 1.0 - reach / span
    return min(max(part, 0.02), 0.98)


def _turns(n_steps: int) -> Iterator[tuple[int, int]]:
    """Ranges of steps (`first`, `last`), last excluded, before each of which values are fixed."""
    length = max(1, n_steps // TURNS)
    edges = sorted({*range(0, n_steps, length), n_steps})
    return pairwise(edges)


class _Training:
    """Gaussians of which more and more values are fixed on a lattice, while the rest train."""

    def __init__(self, task: QatTask, gaussians: GaussianSet, n_steps: int) -> None:
        self._task = task
        self._exact = _rows(gaussians)  # float64 (n, 5 + C); exact lattice values where fixed
        self._fixed = np.zeros(self._exact.shape, np.bool_)
        self._rng = np.random.default_rng(task.seed)
        self._when = self._schedule(n_steps)
        self._generations = generations_of(task.lods.counts)
        self._stride = task.plan.stride(len(gaussians))
        self._rows = qat_rows(task, self._exact, gaussians.inv_scales, n_steps)

    def _schedule(self, n_steps: int) -> Float64Array:
        """(n, 5 + C) step at which each value is fixed, at random within the window of its kind."""
        when = np.full(self._exact.shape, np.inf)  # features are never fixed
        latest = np.zeros(len(when))
        for columns, (first, last) in zip(_COLUMNS, WINDOWS, strict=True):
            # The quantiser step of a value depends on the kinds before it, which must be fixed by then.
            latest = np.maximum(latest, (first + (last - first) * self._rng.random(len(when))) * n_steps)
            when[:, columns] = latest[:, None]
        return when

    def fix(self, first: int, last: int, lattice: Lattice) -> None:
        """Fix the values that are due by the middle of the steps `first` to `last` - 1 on the lattice."""
        due = (self._when <= 0.5 * (first + last - 1)) & ~self._fixed
        which = np.flatnonzero(due.any(axis=1))
        if not len(which):
            return
        rows = self._present(which)
        near = _rows(self._task.snap(_gaussians(rows), _apart(lattice, which), self._generations[which]))
        rows = np.where(due[which], near, rows)
        self._fixed[which] |= due[which]
        self._exact[which] = rows
        self._rows.hold(which, rows.astype(np.float32), due[which])

    def run(self, first: int, last: int, on_step: Callable[[int, float], None] | None) -> None:
        """Train the free values for steps `first` to `last` - 1."""
        steps = [step for number in range(first, last) for step in self._passes(number)]
        number = first
        for done, mse in self._rows.run(steps):
            reported, number = number, first + sum(step.shows_all for step in steps[:done])
            if on_step is not None and number > reported:
                on_step(number, mse)

    def gaussians(self) -> GaussianSet:
        """All Gaussians; fixed values have their exact lattice value."""
        return _gaussians(self._present(np.arange(len(self._exact))))

    def _present(self, which: npt.NDArray[np.int64]) -> Float64Array:
        return np.where(self._fixed[which], self._exact[which], self._rows.rows(which).astype(np.float64))

    def _passes(self, number: int) -> list[Step]:
        counts, finest = self._task.lods.counts, len(self._task.lods) - 1
        subset = subset_of(number, self._stride)
        whole = Step(counts[finest], finest, 1.0, shows_all=True, may_be_best=False, subset=subset)
        return [*self._task.plan.coarse_pass(number, finest, 1.0), whole]


def _rows(gaussians: GaussianSet) -> Float64Array:
    """float64 (n, 5 + C) x, y (px), two log inverse scales, rotation, features."""
    columns = gaussians.means, np.log(gaussians.inv_scales), gaussians.rotations[:, None], gaussians.features
    return np.concatenate(columns, axis=1, dtype=np.float64)


def _gaussians(rows: Float64Array) -> GaussianSet:
    return GaussianSet(
        np.ascontiguousarray(rows[:, :2]),
        np.exp(rows[:, 2:4]),
        np.ascontiguousarray(rows[:, 4]),
        np.ascontiguousarray(rows[:, 5:], np.float32),
    )
