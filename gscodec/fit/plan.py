"""The plan of a fit: what happens at which step, decided apart from the engine that carries it out.

A fit is a row of segments. Each begins with growth and goes on with steps whose every decision is known by then, so
that an engine may carry out many of them before it looks at a result.
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
from gscodec.model.rendering import SUBSET_STEPS, WHOLE, LossWeights, Subset

MIN_SIGMA_PX: Final = 0.3
"""Narrower Gaussians fall between pixel centres and get no gradient."""

FEATURE_RANGE: Final = (-0.5, 1.5)
"""Features may overshoot the samples' range, which sharpens edges, but not run away."""

LOG_GAIN_RANGE: Final = (-3.0, 0.0)
"""A coarse level shows Gaussians as wide as stored or wider. Left free, gains follow the loss towards sharpness until
tiles are empty, which no gradient shows: an anime frame lost 7 dB at LOD 1 to holes."""

WIDEN_EVERY: Final = 20
"""Steps between two looks at who reaches too short."""

BEST_FROM: Final = 0.7
"""Share of the steps after which the best state seen is kept."""


@dataclass(frozen=True)
class Step:
    """One optimisation step."""

    n_shown: int  # the first so many Gaussians are shown, and move
    level: int  # level step whose gains they are shown with
    factor: float  # on all learning rates
    shows_all: bool  # none is left out: the error is that of the fit
    may_be_best: bool  # the set is complete and late enough for this state to be kept
    subset: Subset = WHOLE  # the pixels that the loss is taken of
    late: bool = False  # the loss is the preset's late one


@dataclass(frozen=True)
class Segment:
    """Steps `first` to `last` - 1, with `n_gaussians` there from the start, and what is done before them."""

    n_gaussians: int
    first: int
    last: int
    n_moved: int = 0  # Gaussians that begin anew elsewhere
    widens: bool = False  # whether Gaussians that reach too short are widened


@dataclass(frozen=True)
class FitPlan:
    """What a fit of (height, width, channels) samples by counts[-1] Gaussians does in `n_steps` steps."""

    preset: Preset
    shape: tuple[int, int, int]
    counts: tuple[int, ...]  # cumulative, as in LodTable
    n_steps: int
    takes_subsets: bool = False  # whether the engine can step on a subset of the pixels

    @property
    def n_gaussians(self) -> int:
        """Gaussians of the finished set."""
        return self.counts[-1]

    @property
    def n_before_finest(self) -> int:
        """Gaussians of the set without its finest generation, or half of a set that has one."""
        return self.counts[-2] if len(self.counts) > 1 else self.counts[-1] // 2

    def resized(self, n_gaussians: int) -> "FitPlan":
        """The same with another finest generation: n_gaussians in all, but at most four times those before it."""
        most = max(4 * self.n_before_finest, 1)
        return replace(self, counts=(*self.counts[:-1], max(min(n_gaussians, most), self.n_before_finest, 1)))

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """In order, from step 0 to the last."""
        return tuple(self._segments())

    def _segments(self) -> Iterator[Segment]:
        growth = growth_schedule(self.preset, self.n_steps, self.n_gaussians)
        moves = relocation_schedule(self.preset, self.n_steps)
        widens = set(range(WIDEN_EVERY, self.n_steps, WIDEN_EVERY)) if self.preset.reach else set()
        # Steps of one segment share a loss.
        turn = {math.ceil(self.preset.late_from * self.n_steps)} if self.preset.late_loss else set()
        events = sorted({*growth, *moves, *widens, *(step for step in turn if step < self.n_steps)})
        present = 0
        for first, last in zip(events, [*events[1:], self.n_steps], strict=True):
            present = max(present, growth.get(first, 0))
            n_moved = round(self.preset.relocated_share * present) if first in moves else 0
            yield Segment(present, first, last, n_moved, first in widens)

    def steps(self, segment: Segment, rng: np.random.Generator) -> list[Step]:
        """The steps of a segment. Which of them train a coarser level is drawn from `rng`, after the growth's draws."""
        p = self.preset
        finest = step_shown(self.counts, segment.n_gaussians)
        is_late = p.late_loss is not None and segment.first >= p.late_from * self.n_steps
        stride = self.stride(segment.n_gaussians, late=is_late)
        steps = []
        for step in range(segment.first, segment.last):
            n, level = segment.n_gaussians, finest
            if p.joint_lods and level > 0 and rng.random() < p.prefix_share:
                # Half of these steps go to the next coarser level, a quarter to the one below it, and so on.
                level = max(0, level - int(rng.geometric(0.5)))
                n = self.counts[level]
            shows_all = n == segment.n_gaussians
            late = n == self.n_gaussians and step >= BEST_FROM * self.n_steps
            # Errors of different pixels, or by different losses, do not tell which state is better.
            may_be_best = shows_all and late and stride == 1 and is_late == (p.late_loss is not None)
            factor = rate_factor(p, step / self.n_steps)
            steps.append(Step(n, level, factor, shows_all, may_be_best, subset_of(step, stride), is_late))
        return steps

    def loss(self, *, late: bool) -> LossWeights:
        """The loss of a step."""
        return self.preset.last_loss if late else self.preset.loss

    def stride(self, n_gaussians: int, *, late: bool = False) -> int:
        """Every how many pixels, in both directions, n_gaussians are trained on."""
        height, width, _ = self.shape
        samples = self.preset.samples_per_gaussian
        if not self.takes_subsets or not samples or self.loss(late=late).ssim:
            return 1
        enough = [s for s in SUBSET_STEPS if s * s * samples * n_gaussians <= height * width]
        return max([1, *(s for s in enough if s * TILE_SIZE <= min(height, width))])

    def learns_gains(self, step: Step) -> bool:
        """Whether the step also moves its level's gains; the finest level shows its Gaussians as they are."""
        return self.preset.joint_lods and step.level < len(self.counts) - 1

    def generations(self, n: int) -> npt.NDArray[np.int64]:
        """(n,) generation of each of the first n Gaussians."""
        return np.searchsorted(np.asarray(self.counts[:-1], np.int64), np.arange(n), side="right")

    @property
    def rates(self) -> list[float]:
        """(5 + C) learning rate of each column of the parameters."""
        p = self.preset
        return [p.rate_mean, p.rate_mean, p.rate_scale, p.rate_scale, p.rate_rotation] + [p.rate_feature] * self.shape[
            2
        ]

    @cached_property
    def max_sigma_px(self) -> float:
        """Widest standard deviation: a cap in px, so that Gaussians do not grow over all of a smooth picture."""
        height, width, _ = self.shape
        # Few Gaussians need more to meet.
        return max(self.preset.max_sigma_px, 2.0 * math.sqrt(height * width / self.n_gaussians))

    @property
    def scale_range(self) -> tuple[float, float]:
        """Least and greatest value of a scale parameter."""
        if self.preset.scale_parameter == "log":
            return self.log_scale_range
        return 1.0 / self.max_sigma_px, 1.0 / MIN_SIGMA_PX

    @property
    def log_scale_range(self) -> tuple[float, float]:
        """Least and greatest logarithm of an inverse scale."""
        return math.log(1.0 / self.max_sigma_px), math.log(1.0 / MIN_SIGMA_PX)

    def limits(self, scale_range: tuple[float, float]) -> Float32Array:
        """float32 (2, 5 + C) least and greatest value of each column of the parameters (paper, Section 3.1)."""
        height, width, n_channels = self.shape
        unbounded = (-math.inf, math.inf)
        columns = [(0.0, width), (0.0, height), scale_range, scale_range, unbounded] + [FEATURE_RANGE] * n_channels
        return np.array(columns, np.float32).T.copy()

    @property
    def grad_scale(self) -> float:
        """Factor on gradients. Adam does not see a common one; this keeps them clear of its epsilon at any size."""
        return float(self.shape[0] * self.shape[1]) if self.preset.scale_parameter == "log" else 1.0
