"""The plan of a fit: what happens at which step, independent of the engine that runs it.

A fit is a sequence of segments. Each begins with growth and continues with steps that are fully decided by then, so
that an engine can run many of them before it reads a result.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.fit.presets import Preset
from gscodec.fit.schedule import growth_schedule, rate_factor, relocation_schedule, step_shown, subset_of
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float32Array
from gscodec.model.rendering import SUBSET_STEPS, WHOLE, Subset

MIN_SIGMA_PX: Final = 0.3
"""Minimum standard deviation, px: narrower Gaussians fall between pixel centres and get no gradient."""

FEATURE_RANGE: Final = (-0.5, 1.5)
"""Features may overshoot the samples' range, which sharpens edges, within these bounds."""

LOG_GAIN_RANGE: Final = (-3.0, 0.0)
"""Range of log gains: a coarse level shows Gaussians as wide as stored or wider. Without the upper bound, gains follow
the loss towards sharpness until tiles are empty, which no gradient shows: an anime frame lost 7 dB at LOD 1 to
holes."""

WIDEN_EVERY: Final = 20
"""Steps between two searches for Gaussians that barely reach the tiles they contribute to."""

MOST_PASSES: Final = 2
"""Maximum number of passes of one step: of a coarser level, and of all Gaussians."""

PAIR_WORK: Final = 20.0
"""Cost of a Gaussian in a step of the CPU engine, in sampled pixels: its lists, and its part in short ones."""

BEST_FROM: Final = 0.7
"""Fraction of the steps after which the best state is kept."""


@dataclass(frozen=True)
class Step:
    """One pass over the picture.

    A pass of all Gaussians updates them. A pass of a coarser level renews the gradient that this level adds to the
    updates after it (`fit.coarse`).
    """

    n_shown: int  # the first n_shown Gaussians are rendered
    level: int  # level step whose gains are applied
    factor: float  # on all learning rates
    shows_all: bool  # whether all Gaussians are rendered, and then updated
    may_be_best: bool  # whether the set is complete and the step late enough for this state to be kept
    subset: Subset = WHOLE  # pixels in the loss


@dataclass(frozen=True)
class Segment:
    """Steps `first` to `last` - 1, with `n_gaussians` present from the start, and the changes made before them."""

    n_gaussians: int
    first: int
    last: int
    n_moved: int = 0  # Gaussians that are relocated and reset
    widens: bool = False  # whether Gaussians that barely reach their tiles are widened
    level_from: int = 0  # first step at which the finest level shown is that of this segment


@dataclass(frozen=True)
class FitPlan:
    """All decisions of a fit of (height, width, channels) samples by counts[-1] Gaussians in `n_steps` steps."""

    preset: Preset
    shape: tuple[int, int, int]
    counts: tuple[int, ...]  # cumulative, as in LodTable
    n_steps: int
    takes_subsets: bool = False  # whether the engine can step on a subset of the pixels

    @property
    def n_gaussians(self) -> int:
        """Number of Gaussians of the finished set."""
        return self.counts[-1]

    @property
    def n_before_finest(self) -> int:
        """Number of Gaussians without the finest generation, or half of a set with a single generation."""
        return self.counts[-2] if len(self.counts) > 1 else self.counts[-1] // 2

    def resized(self, n_gaussians: int) -> "FitPlan":
        """The plan with another finest generation: n_gaussians in total, but at most four times those before it."""
        most = max(4 * self.n_before_finest, 1)
        return replace(self, counts=(*self.counts[:-1], max(min(n_gaussians, most), self.n_before_finest, 1)))

    def step_work(self, n_gaussians: int) -> float:
        """Cost of a step of n_gaussians, in sampled pixels: for estimates of the time that is left."""
        return self.shape[0] * self.shape[1] / self.stride(n_gaussians) ** 2 + PAIR_WORK * n_gaussians

    def work(self, step: int) -> float:
        """Cost of the first `step` steps."""
        return sum(
            max(0, min(step, part.last) - part.first) * self.step_work(part.n_gaussians) for part in self.segments
        )

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Segments in order, from step 0 to the last."""
        return tuple(self._segments())

    def _segments(self) -> Iterator[Segment]:
        growth = growth_schedule(self.preset, self.n_steps, self.n_gaussians)
        moves = relocation_schedule(self.preset, self.n_steps)
        widens = set(range(WIDEN_EVERY, self.n_steps, WIDEN_EVERY)) if self.preset.reach else set()
        events = sorted({*growth, *moves, *widens})
        present = level = level_from = 0
        for first, last in zip(events, [*events[1:], self.n_steps], strict=True):
            present = max(present, growth.get(first, 0))
            n_moved = round(self.preset.relocated_share * present) if first in moves else 0
            if step_shown(self.counts, present) > level:
                level, level_from = step_shown(self.counts, present), first
            yield Segment(present, first, last, n_moved, first in widens, level_from)

    def steps(self, segment: Segment) -> list[Step]:
        """The passes of a segment: one of all Gaussians for each of its steps, and those of coarser levels between."""
        p = self.preset
        n, finest = segment.n_gaussians, step_shown(self.counts, segment.n_gaussians)
        stride = self.stride(n)
        steps = []
        for step in range(segment.first, segment.last):
            factor = rate_factor(p, step / self.n_steps)
            steps += self.coarse_pass(step - segment.level_from, finest, factor)
            late = n == self.n_gaussians and step >= BEST_FROM * self.n_steps
            # Errors of different pixels do not tell which state is better.
            may_be_best = late and stride == 1
            steps.append(Step(n, finest, factor, True, may_be_best, subset_of(step, stride)))
        return steps

    def coarse_pass(self, age: int, finest: int, factor: float) -> list[Step]:
        """The pass of a coarser level before a step, or none.

        At first one a step, until every level has been seen; then one in `coarse_every` steps, half of these of the
        next coarser level, a quarter of the one below it, and so on.

        Args:
            age: steps since `finest` is the finest level shown.
            factor: as in `Step`.
        """
        p = self.preset
        if not p.joint_lods or not finest:
            return []
        turn, n_coarser = 0, age + 1
        if age >= finest:
            turn, rest = divmod(age - finest + 1, p.coarse_every)
            if rest or not turn:
                return []
            n_coarser = min(_trailing_zeros(turn) + 1, finest)
        n, level = self.counts[finest - n_coarser], finest - n_coarser
        return [Step(n, level, factor, False, False, subset_of(turn >> n_coarser, self.coarse_stride(n)))]

    def stride(self, n_gaussians: int) -> int:
        """Distance, in both directions, between the pixels that n_gaussians are trained on; 1 means all pixels."""
        height, width, _ = self.shape
        samples = self.preset.samples_per_gaussian
        return max((s for s in self._strides if s * s * samples * n_gaussians <= height * width), default=1)

    def coarse_stride(self, n_gaussians: int) -> int:
        """`stride` of a coarser level: 2 at least where it may be, since its gradients add up over several passes."""
        return max([self.stride(n_gaussians), *self._strides[:1]])

    @cached_property
    def _strides(self) -> list[int]:
        """Strides greater than 1 that the engine, the picture and the loss permit, in order."""
        height, width, _ = self.shape
        p = self.preset
        if not self.takes_subsets or not p.samples_per_gaussian or p.loss.compares_neighbours:
            return []
        return [s for s in SUBSET_STEPS if s > 1 and s * TILE_SIZE <= min(height, width)]

    def learns_gains(self, step: Step) -> bool:
        """Whether the step also updates its level's gains; those of the finest level are 1."""
        return self.preset.joint_lods and step.level < len(self.counts) - 1

    def generations(self, n: int) -> npt.NDArray[np.int64]:
        """(n,) generation of each of the first n Gaussians."""
        return np.searchsorted(np.asarray(self.counts[:-1], np.int64), np.arange(n), side="right")

    @property
    def rates(self) -> list[float]:
        """(5 + C) learning rate of each parameter column."""
        p = self.preset
        return [p.rate_mean, p.rate_mean, p.rate_scale, p.rate_scale, p.rate_rotation] + [p.rate_feature] * self.shape[
            2
        ]

    @cached_property
    def max_sigma_px(self) -> float:
        """Maximum standard deviation, px, so that Gaussians do not grow over all of a smooth picture."""
        height, width, _ = self.shape
        # Few Gaussians must be wider to overlap.
        return max(self.preset.max_sigma_px, 2.0 * math.sqrt(height * width / self.n_gaussians))

    @property
    def scale_range(self) -> tuple[float, float]:
        """Minimum and maximum of a scale parameter."""
        if self.preset.scale_parameter == "log":
            return self.log_scale_range
        return 1.0 / self.max_sigma_px, 1.0 / MIN_SIGMA_PX

    @property
    def log_scale_range(self) -> tuple[float, float]:
        """Minimum and maximum of the logarithm of an inverse scale."""
        return math.log(1.0 / self.max_sigma_px), math.log(1.0 / MIN_SIGMA_PX)

    @cached_property
    def trained_limits(self) -> Float32Array:
        """`limits` of the parameters that the preset trains."""
        return self.limits(self.scale_range)

    def limits(self, scale_range: tuple[float, float]) -> Float32Array:
        """float32 (2, 5 + C) minimum and maximum of each parameter column (paper, Section 3.1)."""
        height, width, n_channels = self.shape
        unbounded = (-math.inf, math.inf)
        columns = [(0.0, width), (0.0, height), scale_range, scale_range, unbounded] + [FEATURE_RANGE] * n_channels
        return np.array(columns, np.float32).T.copy()

    @property
    def grad_scale(self) -> float:
        """Factor that keeps gradients above Adam's epsilon at any picture size; Adam is otherwise invariant to it."""
        return float(self.shape[0] * self.shape[1]) if self.preset.scale_parameter == "log" else 1.0


def _trailing_zeros(number: int) -> int:
    """Number of zero bits below the lowest set bit of a positive number."""
    return (number & -number).bit_length() - 1
