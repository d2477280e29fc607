"""State of a fit in GPU memory, and the launches of fit.cu that update it.

A step consists of `list_shown`, blending with the loss and its gradient, `finish_step`, `adam_rows`, `step_gains`: the
same launches with the same arguments every time. Its decisions come from a plan in device memory, so the host only
reads results when it needs them: `read_status`.
"""

import math
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda import binning
from gscodec.cuda.binning import (
    BIN_GAUSSIANS,
    ROW_LANES,
    WARP,
    DeviceGaussians,
    Geometry,
    TileLists,
    count_pairs,
    list_tiles,
    sum_counts,
)
from gscodec.cuda.blending import GATHER_DEFINES, Scene
from gscodec.cuda.losses import FINISH_THREADS, LOSS_COLUMNS, TERM_DEFINES, loss_columns
from gscodec.cuda.runtime import Array, Define, Kernel, Runtime
from gscodec.cuda.structs import packed
from gscodec.errors import InvalidArgument
from gscodec.model.adam import AdamConstants
from gscodec.model.gaussians import Float32Array
from gscodec.model.rendering import LossWeights

GEOMETRY: Final = 5
"""Number of parameter columns before the features: x, y (px), two scale parameters, rotation."""

PLAN_INTS: Final = 4
"""Integers per planned step: Gaussians shown, level step, whether these are all, whether the state may be the best."""

ADAM_THREADS: Final = 256
ADAM_ROWS: Final = 32
"""Rows updated per block, which counts their steps first."""
GAIN_THREADS: Final = 256

_NONE: Final = 2**31 - 1


class NowInt(IntEnum):
    """Indices into FitState.now_ints."""

    CURSOR = 0  # number of steps begun; if begun by `list_shown`, updated when the step is finished
    SHOWN = 1
    LEVEL = 2
    SHOWS_ALL = 3
    MAY_BE_BEST = 4
    IMPROVED = 5  # whether this step's state is the best so far
    PAIRS_NEEDED = 6  # maximum number of tile pairs that a step needed
    INVALID = 7  # lowest index of a Gaussian that is not finite


class NowFloat(IntEnum):
    """Indices into FitState.now_floats."""

    FACTOR = 0
    LOSS = 1
    MSE = 2
    WHOLE_MSE = 3  # of the last step that showed all Gaussians
    BEST_MSE = 4
    RENEWED = 5  # part of the pass's gradients in those kept of its level, if it is a coarser one
    BEST_SCORE = 6  # value by which the best state is chosen


_NOW_SIZE: Final = 8

DEFINES: Final[dict[str, Define]] = {
    **binning.DEFINES,
    **GATHER_DEFINES,
    **TERM_DEFINES,
    "LOSS_COLUMNS": LOSS_COLUMNS,
    "FINISH_THREADS": FINISH_THREADS,
    "PLAN_INTS": PLAN_INTS,
    "ADAM_THREADS": ADAM_THREADS,
    "ADAM_ROWS": ADAM_ROWS,
    "GAIN_THREADS": GAIN_THREADS,
    **{f"NOW_{place.name}": int(place) for enum in (NowInt, NowFloat) for place in enum},
}
"""Macros of fit.cu, besides LOG_SCALES from `FitSettings`."""


@dataclass(frozen=True)
class FitSettings:
    """Constants of a fit."""

    shape: tuple[int, int, int]  # (height, width, channels)
    counts: tuple[int, ...]  # cumulative, as in LodTable
    weights: LossWeights
    has_importance: bool  # whether pixels have different weights
    best_by_loss: bool  # whether the best state is that with the lowest loss, instead of the lowest error
    log_scales: bool  # whether scale parameters are logarithms of inverse scales, or these themselves
    rate_mean: float
    rate_scale: float
    rate_rotation: float
    rate_feature: float
    rate_gain: float
    adam: AdamConstants
    coarse_worths: tuple[float, ...]  # worth of one dB of the next coarser level, of the one after it, and so on
    coarse_renewed: float  # part of a coarser level's new gradient in the one that is kept
    widening: float  # fraction of rate_scale by which Gaussians widen each step
    grad_scale: float  # factor on all gradients
    scale_range: tuple[float, float]  # minimum and maximum of a scale parameter
    feature_range: tuple[float, float]
    log_gain_range: tuple[float, float]
    learns_gains: bool  # whether the gains of coarse levels are trained

    @property
    def n_columns(self) -> int:
        """Number of parameters per Gaussian."""
        return GEOMETRY + self.shape[2]


@dataclass(frozen=True)
class FitStatus:
    """Status of a fit."""

    steps: int  # number of steps begun
    loss: float  # of the last step
    mse: float  # per sample, of the last step that showed all present Gaussians
    best_mse: float  # of the best state kept; infinite before the first
    best_score: float  # value by which it was chosen: its error or its loss
    pairs_needed: int  # maximum number of tile pairs that any step needed


@dataclass
class FitState:
    """All arrays that a fit's steps read and write, allocated for all Gaussians from the start."""

    settings: FitSettings
    rows: Array  # float32 (N, D) parameters
    mean: Array  # float32 (N, D)
    square: Array  # float32 (N, D)
    row_steps: Array  # int32 (N,)
    units: Array  # float32 (N, D)
    generation: Array  # int32 (N,)
    counts: Array  # int32 (L,)
    log_gains: Array  # float32 (L, L)
    gain_mean: Array  # float32 (L, L)
    gain_square: Array  # float32 (L, L)
    gain_terms: Array  # float32 (N,)
    coarse_grads: Array  # float32 (sum of counts[:-1], D) gradients kept of coarser levels
    coarse_losses: Array  # float32 (L,) their losses; infinite where none is kept
    coarse_weights: Array  # float32 (L,) factors on coarse_grads
    coarse_worths: Array  # float32 (L,) settings.coarse_worths
    best_rows: Array  # float32 (N, D)
    best_gains: Array  # float32 (L, L)
    plan_ints: Array  # int32 (S, PLAN_INTS)
    plan_factors: Array  # float32 (S,)
    now: Array  # int32 (2 * 8,): now_ints, then the bits of now_floats, so that one copy reads both
    means: Array  # float64 (N, 2) px
    inv_scales: Array  # float64 (N, 2) 1/px
    rotations: Array  # float64 (N,) rad
    n_present: int = 0  # rows in use; a change invalidates recorded steps
    n_planned: int = 0

    @staticmethod
    def of(runtime: Runtime, settings: FitSettings, log_gains: Float32Array, n_steps: int) -> "FitState":
        """A state without Gaussians, with capacity for a plan of n_steps.

        Args:
            log_gains: (L, L), row m for level step m.

        Raises:
            InvalidArgument: log_gains has another shape.
        """
        n, d, levels = settings.counts[-1], settings.n_columns, len(settings.counts)
        if log_gains.shape != (levels, levels):
            raise InvalidArgument(f"log_gains: {log_gains.shape} for {levels} levels")
        xp, up = runtime.xp, runtime.upload
        gains = np.ascontiguousarray(log_gains, np.float32)
        generation = np.searchsorted(np.asarray(settings.counts[:-1], np.int64), np.arange(n), side="right")
        ints, floats = np.zeros(_NOW_SIZE, np.int32), np.full(_NOW_SIZE, np.inf, np.float32)
        ints[NowInt.INVALID] = _NONE
        return FitState(
            settings,
            rows=xp.zeros((n, d), np.float32),
            mean=xp.zeros((n, d), np.float32),
            square=xp.zeros((n, d), np.float32),
            row_steps=xp.zeros(n, np.int32),
            units=xp.zeros((n, d), np.float32),
            generation=up(generation.astype(np.int32)),
            counts=up(np.asarray(settings.counts, np.int32)),
            log_gains=up(gains),
            gain_mean=xp.zeros(gains.shape, np.float32),
            gain_square=xp.zeros(gains.shape, np.float32),
            gain_terms=xp.zeros(n, np.float32),
            coarse_grads=xp.zeros((max(sum(settings.counts[:-1]), 1), d), np.float32),
            coarse_losses=up(np.full(levels, np.inf, np.float32)),
            coarse_weights=xp.zeros(levels, np.float32),
            coarse_worths=up(np.asarray(settings.coarse_worths, np.float32)),
            best_rows=xp.zeros((n, d), np.float32),
            best_gains=up(gains),
            plan_ints=xp.zeros((n_steps, PLAN_INTS), np.int32),
            plan_factors=xp.zeros(n_steps, np.float32),
            now=up(np.concatenate([ints, floats.view(np.int32)])),
            means=xp.zeros((n, 2), np.float64),
            inv_scales=xp.zeros((n, 2), np.float64),
            rotations=xp.zeros(n, np.float64),
        )

    @property
    def room(self) -> int:
        """Number of Gaussians that memory is allocated for."""
        return int(self.rows.shape[0])

    def with_room(self, runtime: Runtime, n_gaussians: int) -> "FitState":
        """The state with memory for a finest generation of another size. Steps recorded before are invalid.

        Raises:
            InvalidArgument: n_gaussians is below the present number, or below the size of the coarser generations.
        """
        counts = self.settings.counts
        if n_gaussians < max(self.n_present, *counts[:-1], 1):
            raise InvalidArgument(f"room for {n_gaussians} Gaussians: there are {self.n_present}, of {counts}")
        settings = replace(self.settings, counts=(*counts[:-1], n_gaussians))
        larger = FitState.of(runtime, settings, runtime.download(self.log_gains), len(self.plan_factors))
        n = self.n_present
        for name in ("rows", "mean", "square", "row_steps", "units", "best_rows"):
            getattr(larger, name)[:n] = getattr(self, name)[:n]
        for name in ("gain_mean", "gain_square", "coarse_grads", "coarse_losses", "best_gains", "now"):
            getattr(larger, name)[...] = getattr(self, name)
        for name in ("plan_ints", "plan_factors"):
            getattr(larger, name)[...] = getattr(self, name)
        larger.n_present, larger.n_planned = n, self.n_planned
        return larger

    @property
    def now_ints(self) -> Array:
        """int32 (8,), see NowInt."""
        return self.now[:_NOW_SIZE]

    @property
    def now_floats(self) -> Array:
        """float32 (8,), see NowFloat."""
        return self.now[_NOW_SIZE:].view(np.float32)

    @property
    def pairs_needed(self) -> Array:
        """int32 (1,) that `count_pairs` raises."""
        return self.now_ints[NowInt.PAIRS_NEEDED : NowInt.PAIRS_NEEDED + 1]

    @property
    def gaussians(self) -> DeviceGaussians:
        """Present Gaussians as last computed by `activate`; a step shows the first of them."""
        n, c = self.n_present, self.settings.shape[2]
        return DeviceGaussians(
            self.now_ints[NowInt.SHOWN : NowInt.SHOWN + 1],
            self.means[:n],
            self.inv_scales[:n],
            self.rotations[:n],
            self.rows[:n, GEOMETRY:],
            n_channels=c,
            feature_stride=self.settings.n_columns,
        )

    def append(self, rows: Array, units: Array) -> None:
        """Append Gaussians with fresh moments; the state of present ones is kept.

        Args:
            rows: float32 (n, D) in device memory; units: likewise, factor on each value's learning rate, 0 for fixed
                values.

        Raises:
            InvalidArgument: the capacity is exceeded, or a shape or type is wrong.
        """
        room, d = self.rows.shape[0] - self.n_present, self.settings.n_columns
        for name, array in (("rows", rows), ("units", units)):
            if array.ndim != 2 or array.shape[1] != d or len(array) > room or array.dtype != np.float32:
                raise InvalidArgument(f"{name}: {array.dtype} {array.shape}, not float32 of up to {room} rows of {d}")
        if len(rows) != len(units):
            raise InvalidArgument(f"{len(rows)} rows and {len(units)} units: one of each is needed")
        end = self.n_present + len(rows)
        self.rows[self.n_present : end] = rows
        self.units[self.n_present : end] = units
        self.n_present = end

    def forget_coarse(self, runtime: Runtime) -> None:
        """Forget the gradients kept of coarser levels, because another level has become the finest."""
        self.coarse_losses[...] = runtime.upload(np.full(len(self.settings.counts), np.inf, np.float32))

    def plan(self, runtime: Runtime, ints: npt.NDArray[np.int32], factors: Float32Array) -> None:
        """Append steps to the plan, which are run in order.

        Args:
            ints: (n, PLAN_INTS) Gaussians shown, level step, whether these are all, whether the state may be the best.
            factors: (n,) factors on all learning rates.

        Raises:
            InvalidArgument: the plan exceeds its capacity, or shows more Gaussians than are present.
        """
        n, room = len(factors), len(self.plan_factors) - self.n_planned
        if ints.shape != (n, PLAN_INTS) or n > room:
            raise InvalidArgument(f"plan: {ints.shape} and {factors.shape}, with room for {room} steps of {PLAN_INTS}")
        if n == 0:
            return
        levels = len(self.settings.counts)
        if ints[:, 0].min() < 0 or ints[:, 0].max() > self.n_present:
            raise InvalidArgument(f"plan: a step shows {ints[:, 0].max()} of {self.n_present} Gaussians")
        if ints[:, 1].min() < 0 or ints[:, 1].max() >= levels:
            raise InvalidArgument(f"plan: level step {ints[:, 1].max()} is not one of {levels}")
        end = self.n_planned + n
        self.plan_ints[self.n_planned : end] = runtime.upload(np.ascontiguousarray(ints, np.int32))
        self.plan_factors[self.n_planned : end] = runtime.upload(np.ascontiguousarray(factors, np.float32))
        self.n_planned = end


_MOVED: Final = (
    "rows",
    "mean",
    "square",
    "row_steps",
    "log_gains",
    "gain_mean",
    "gain_square",
    "coarse_grads",
    "coarse_losses",
    "best_rows",
    "best_gains",
    "now",
)
"""Fields of FitState that steps change and later steps read."""


class FitSnapshot:
    """A copy of what steps change, restored if a batch of steps exceeds the capacity for pairs."""

    def __init__(self, state: FitState) -> None:
        self._copies = {name: getattr(state, name).copy() for name in _MOVED}

    def take(self, state: FitState) -> None:
        """Copy the current state, into memory allocated once."""
        for name, copy in self._copies.items():
            copy[...] = getattr(state, name)

    def restore(self, state: FitState) -> None:
        """Restore the state of the last `take`. Gaussians appended and steps planned since then are kept."""
        for name, copy in self._copies.items():
            getattr(state, name)[...] = copy


def begin_step(runtime: Runtime, state: FitState) -> None:
    """Make the plan's next step the current one."""
    _kernel(runtime, state, "begin_step")(
        1, 1, state.plan_ints, state.plan_factors, np.int32(len(state.plan_factors)), state.now_ints, state.now_floats
    )


def activate(runtime: Runtime, state: FitState) -> None:
    """Compute state.means, inv_scales and rotations of the Gaussians that the step shows, with its level's gains."""
    if state.n_present:
        _show(runtime, state, None, None, 0.0, begins=False)


def list_shown(
    runtime: Runtime,
    state: FitState,
    geometry: Geometry,
    lists: TileLists,
    support_q: float,
    *,
    begins: bool = False,
) -> DeviceGaussians:
    """`activate` and the tile lists of its result, within the capacity of `lists`: four launches.

    Args:
        geometry: for exactly n_present Gaussians.
        begins: whether to make the plan's next step the current one, which `finish_step` must then end.
    """
    shown = state.gaussians
    if not state.n_present:
        if begins:
            begin_step(runtime, state)
        count_pairs(runtime, shown, geometry, lists, support_q, lists.capacity, state.pairs_needed)
        return shown
    _show(runtime, state, geometry, lists, support_q, begins=begins)
    sum_counts(runtime, geometry, lists, lists.capacity, state.pairs_needed)
    list_tiles(runtime, shown, geometry, lists, support_q)
    return shown


def _show(
    runtime: Runtime,
    state: FitState,
    geometry: Geometry | None,
    lists: TileLists | None,
    support_q: float,
    *,
    begins: bool,
) -> None:
    g = geometry
    _kernel(runtime, state, "show")(
        -(-state.n_present // BIN_GAUSSIANS),
        BIN_GAUSSIANS * ROW_LANES,
        *_sizes(state),
        np.int32(begins),
        state.plan_ints,
        state.plan_factors,
        np.int32(len(state.plan_factors)),
        state.now_ints,
        state.now_floats,
        state.rows,
        state.log_gains,
        state.generation,
        state.means,
        state.inv_scales,
        state.rotations,
        np.float64(support_q),
        *(np.int32(edge) for edge in (lists.tiles if lists else (0, 0, 0, 0))),
        *((g.axes, g.ellipses, g.rows, g.counts) if g else (None,) * 4),
        lists.counts if lists else None,
    )


def finish_loss(runtime: Runtime, state: FitState, partials: Array) -> None:
    """Sum up the step's loss, and record whether its state is the best so far.

    Args:
        partials: float32 (n, loss_columns), from `blending.backward` or `losses.launch_loss`.

    Raises:
        InvalidArgument: partials have another shape or type.
    """
    _kernel(runtime, state, "finish_loss")(1, FINISH_THREADS, *_finish_arguments(state, partials))


def finish_step(runtime: Runtime, state: FitState, partials: Array, scene: Scene, moments: Array, grads: Array) -> None:
    """`finish_loss` and `blending.gather` in one launch, for a step begun by `list_shown`.

    Args:
        scene: of state.gaussians, in float32.
        moments: from `blending.backward`.
        grads: float32 (at least n_present, D), for `adam_rows`.
    """
    n = state.n_present
    if not n:  # `begin_step` moved the cursor
        finish_loss(runtime, state, partials)
        return
    _check_grads(state, grads)
    _kernel(runtime, state, "finish_step")(
        1 + -(-n * WARP // FINISH_THREADS),
        FINISH_THREADS,
        *_finish_arguments(state, partials),
        np.int32(n),
        scene.geometry.starts,
        scene.lists.slots,
        moments,
        np.int32(state.settings.shape[2]),
        state.inv_scales,
        scene.geometry.axes,
        grads,
    )


def _finish_arguments(state: FitState, partials: Array) -> tuple[Any, ...]:
    weights, n_samples = state.settings.weights, math.prod(state.settings.shape)
    terms = loss_columns(weights, has_importance=state.settings.has_importance)
    if partials.ndim != 2 or partials.shape[1] != terms or not _is_plain(partials, np.float32):
        raise InvalidArgument(f"partials: {partials.dtype} {partials.shape}, not contiguous float32 (n, {terms})")
    return (
        partials,
        np.int32(len(partials)),
        np.int32(terms),
        np.int32(terms - 1 if state.settings.has_importance else 1),
        packed(asdict(weights.per_sample(n_samples)), np.float64),
        np.float64(1.0 / n_samples),
        np.int32(state.settings.best_by_loss),
        np.float32(state.settings.coarse_renewed),
        np.int32(len(state.settings.counts)),
        state.log_gains,
        state.best_gains,
        state.coarse_worths,
        state.coarse_losses,
        state.coarse_weights,
        state.now_ints,
        state.now_floats,
    )


def adam_rows(runtime: Runtime, state: FitState, grads: Array) -> None:
    """Update all Gaussians, after copying the present state if it is the best; or keep gradients of a coarser level.

    Args:
        grads: float32 (at least n_present, D), from `blending.gather`: gradients for means, inverse scales as shown,
            rotations and features.

    Raises:
        InvalidArgument: grads have another shape or type.
    """
    n = state.n_present
    if n == 0:
        return
    _check_grads(state, grads)
    _kernel(runtime, state, "adam_rows")(
        -(-n // ADAM_ROWS),
        ADAM_THREADS,
        *_sizes(state),
        state.now_ints,
        state.now_floats,
        grads,
        state.units,
        state.generation,
        state.counts,
        state.log_gains,
        state.coarse_weights,
        packed(row_constants(state.settings)),
        state.rows,
        state.mean,
        state.square,
        state.row_steps,
        state.gain_terms,
        state.coarse_grads,
        state.best_rows,
    )


def row_constants(settings: FitSettings) -> dict[str, float]:
    """Fields of RowConstants in fit.cu, in its order."""
    s, adam = settings, settings.adam
    height, width, _ = s.shape
    return {
        "grad_scale": s.grad_scale,
        "rate_mean": s.rate_mean,
        "rate_scale": s.rate_scale,
        "rate_rotation": s.rate_rotation,
        "rate_feature": s.rate_feature,
        "mean_weight": 1.0 - adam.beta1,
        "square_weight": 1.0 - adam.beta2,
        "beta2": adam.beta2,
        # Powers of the float32 betas, as on the CPU: powers of the exact values would differ by 1e-5.
        "log_beta1": math.log(np.float32(adam.beta1)),
        "log_beta2": math.log(np.float32(adam.beta2)),
        "epsilon": adam.epsilon,
        "widening": s.rate_scale * s.widening,
        "width": width,
        "height": height,
        "scale_low": s.scale_range[0],
        "scale_high": s.scale_range[1],
        "feature_low": s.feature_range[0],
        "feature_high": s.feature_range[1],
    }


def step_gains(runtime: Runtime, state: FitState) -> None:
    """Update the gains of the level shown, if it is a coarse one and gains are trained. Called after `adam_rows`."""
    s = state.settings
    if not s.learns_gains:
        return
    levels = len(s.counts)
    _kernel(runtime, state, "step_gains")(
        levels,
        GAIN_THREADS,
        np.int32(levels),
        state.now_ints,
        state.now_floats,
        state.counts,
        state.gain_terms,
        np.float32(s.grad_scale),
        np.float32(s.rate_gain),
        np.float32(s.log_gain_range[0]),
        np.float32(s.log_gain_range[1]),
        state.log_gains,
        state.gain_mean,
        state.gain_square,
    )


def read_status(runtime: Runtime, state: FitState) -> FitStatus:
    """Status of the fit after all launches so far; the only read from the device.

    Raises:
        InvalidArgument: a Gaussian is not finite, from which later steps cannot recover.
    """
    now = runtime.download(state.now)
    ints, floats = now[:_NOW_SIZE], now[_NOW_SIZE:].view(np.float32)
    if ints[NowInt.INVALID] != _NONE:
        raise InvalidArgument(
            f"Gaussian {ints[NowInt.INVALID]} is not finite after {ints[NowInt.CURSOR]} steps; "
            "look for samples of the picture that are not, or lower the learning rates"
        )
    return FitStatus(
        steps=int(ints[NowInt.CURSOR]),
        loss=float(floats[NowFloat.LOSS]),
        mse=float(floats[NowFloat.WHOLE_MSE]),
        best_mse=float(floats[NowFloat.BEST_MSE]),
        best_score=float(floats[NowFloat.BEST_SCORE]),
        pairs_needed=int(ints[NowInt.PAIRS_NEEDED]),
    )


def download_fit(runtime: Runtime, state: FitState, *, best: bool = False) -> tuple[Float32Array, Float32Array]:
    """Parameters (n_present, D) and log gains (L, L) of the present state, or of the best one."""
    rows, gains = (state.best_rows, state.best_gains) if best else (state.rows, state.log_gains)
    return runtime.download(rows[: state.n_present]), runtime.download(gains)


def _kernel(runtime: Runtime, state: FitState, entry: str) -> Kernel:
    return runtime.kernel("fit", entry, LOG_SCALES=int(state.settings.log_scales), **DEFINES)


def _sizes(state: FitState) -> tuple[np.int32, np.int32, np.int32]:
    s = state.settings
    return np.int32(state.n_present), np.int32(s.n_columns), np.int32(len(s.counts))


def _check_grads(state: FitState, grads: Array) -> None:
    n, d = state.n_present, state.settings.n_columns
    if grads.shape[0] < n or grads.shape[1:] != (d,) or not _is_plain(grads, np.float32):
        raise InvalidArgument(f"grads: {grads.dtype} {grads.shape}, not contiguous float32 {(n, d)}")


def _is_plain(array: Array, dtype: type[np.generic]) -> bool:
    return bool(array.dtype == dtype and array.flags.c_contiguous)
