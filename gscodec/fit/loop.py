"""The fit: optimises Gaussians against target samples."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gscodec.errors import BackendUnavailable, InvalidArgument
from gscodec.fit.device_trainee import DeviceTrainee
from gscodec.fit.elongation import limits_of
from gscodec.fit.plan import FitPlan
from gscodec.fit.presets import Preset
from gscodec.fit.schedule import lod_counts
from gscodec.fit.surroundings import Surroundings
from gscodec.fit.trainee import CpuTrainee, Trainee
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, LodTable
from gscodec.render.base import Rasterizer


@dataclass(frozen=True)
class StepReport:
    """State of a fit after a step."""

    step: int
    total_steps: int
    n_gaussians: int
    psnr: float  # dB, of the unquantised blend at the last step that showed all Gaussians
    seconds: float
    work: float  # of the steps so far, in steps of the whole set
    total_work: float


@dataclass(frozen=True)
class Fit:
    """Result of `fit`: features in the model's domain, not yet quantised."""

    gaussians: GaussianSet
    lods: LodTable
    psnr: float  # dB, of the unquantised blend
    steps: int
    work: float  # in steps of the whole set


def fit(
    target: Float32Array,
    n_gaussians: int,
    preset: Preset,
    *,
    rasterizer: Rasterizer,
    grid: Grid,
    lods: int = 1,
    seed: int = 0,
    steps: int | None = None,
    on_step: Callable[[StepReport], None] | None = None,
    recount: Callable[[GaussianSet, LodTable], int] | None = None,
    around: Surroundings | None = None,
    allowed: npt.NDArray[np.bool_] | None = None,
    importance: Float32Array | None = None,
    limits_elongation: bool = False,
) -> Fit:
    """Gaussians fitted to `target`.

    The same arguments give the same result on the same device, for any number of threads.

    Args:
        target: float32 (H, W, C) in the model's domain.
        rasterizer: an engine that can train.
        grid: size of the target, top K, support and background.
        lods: desired number of levels of detail; small sets get fewer.
        steps: optimisation steps; None means the preset's number, times `sparse_steps` if steps see subsets of the
            pixels.
        recount: called before each growth of the finest generation with the present Gaussians and the levels that show
            them; returns the total number of Gaussians to aim for.
        allowed: bool (H, W), pixels in which new Gaussians may be placed; None means all.
        on_step: called whenever results are known: on the CPU after every step, on a GPU once per batch of steps.
        around: finished neighbours of the target, if it is a block of a larger picture. CPU only.
        importance: float32 (H, W) or (C, H, W), weight of each pixel, or of each of its channels, in the loss and for
            new Gaussians; at least 0 and 1 on average; None means 1 everywhere.
        limits_elongation: keep Gaussians in noise from becoming needles (`fit.elongation`).
    Raises:
        InvalidArgument: a count is below 1.
        BackendUnavailable: the engine cannot train.
        OutOfDeviceMemory: the GPU has too little memory.
    """
    if n_gaussians < 1 or lods < 1 or (steps is not None and steps < 1):
        raise InvalidArgument(f"{n_gaussians} Gaussians, {steps} steps, {lods} LODs: each must be at least 1")
    if importance is not None:
        preset = replace(preset, best_by="loss")
    plan = plan_of(target.shape, n_gaussians, preset, rasterizer, lods, steps)
    rng = np.random.default_rng(seed)
    limits = limits_of(target) if limits_elongation and preset.scale_parameter == "log" else None
    trainee = _trainee(plan, target, grid, rasterizer, rng, seed, allowed, around, importance, limits)
    started = time.perf_counter()
    total = plan.work(plan.n_steps) / plan.step_work(plan.n_gaussians)
    done_before = 0.0  # in sampled pixels: FitPlan.step_work
    for number in range(len(plan.segments)):
        segment = plan.segments[number]
        grows = segment.n_gaussians > len(trainee)
        if recount is not None and grows and segment.n_gaussians > plan.n_before_finest and len(trainee):
            levels = trainee.lod_table()
            shown = LodTable(tuple(min(count, len(trainee)) for count in levels.counts), levels.gains)
            plan = plan.resized(max(recount(trainee.gaussians(), shown), len(trainee)))
            trainee.replan(plan)
            segment = plan.segments[number]
            total = plan.work(plan.n_steps) / plan.step_work(plan.n_gaussians)
        trainee.grow(segment.n_gaussians)
        if segment.n_moved:
            trainee.relocate(segment.n_moved)
        if segment.widens:
            trainee.widen()
        decided = plan.steps(segment)
        whole = plan.step_work(plan.n_gaussians)
        before, each = done_before / whole, plan.step_work(segment.n_gaussians) / whole
        done_before += (segment.last - segment.first) * plan.step_work(segment.n_gaussians)
        step = segment.first
        for done in trainee.run(decided):
            reported, step = step, segment.first + sum(each.shows_all for each in decided[:done])
            if on_step is not None and step > reported:
                seconds = time.perf_counter() - started
                work = before + (step - segment.first) * each
                on_step(StepReport(step, plan.n_steps, segment.n_gaussians, _psnr(trainee.mse), seconds, work, total))
    mse, score = trainee.measure()
    if score > trainee.best_score:
        mse = trainee.best_mse
        trainee.restore_best()
    return Fit(trainee.gaussians(), trainee.lod_table(), _psnr(mse), plan.n_steps, total)


def plan_of(
    shape: tuple[int, ...],
    n_gaussians: int,
    preset: Preset,
    rasterizer: Rasterizer,
    lods: int,
    steps: int | None,
) -> FitPlan:
    """The plan of a fit of (H, W, C) samples on an engine; `steps` None means the preset's default number."""
    height, width, channels = shape
    counts = lod_counts(n_gaussians, lods)
    n_steps = steps or preset.steps
    plan = FitPlan(preset, (height, width, channels), counts, n_steps, rasterizer.takes_subsets)
    if steps is None and plan.stride(n_gaussians) > 1:
        return replace(plan, n_steps=round(preset.steps * preset.sparse_steps))
    return plan


def _trainee(
    plan: FitPlan,
    target: Float32Array,
    grid: Grid,
    rasterizer: Rasterizer,
    rng: np.random.Generator,
    seed: int,
    allowed: npt.NDArray[np.bool_] | None,
    around: Surroundings | None,
    importance: Float32Array | None,
    limits: Float32Array | None,
) -> Trainee:
    if not rasterizer.trains:
        raise BackendUnavailable(f"device {rasterizer.name} cannot train; use --device cpu or cuda")
    if around is not None and not rasterizer.fits_blocks:
        raise BackendUnavailable(f"device {rasterizer.name} does not fit blocks of a picture; use --device cpu")
    device = rasterizer.on_device
    if device is None:
        return CpuTrainee(plan, target, grid, rasterizer, rng, around, allowed, importance, limits)
    from gscodec.cuda.estimates import check_room, fit_bytes
    from gscodec.render.kernel_report import fit_variants

    p = plan.preset
    need = fit_bytes(plan.shape, plan.n_gaussians, compares_neighbours=p.loss.compares_neighbours)
    check_room(device.runtime, need, f"a fit of {grid.width}x{grid.height} px", "use --device cpu")
    device.compile_ahead(fit_variants(plan.shape[2], grid.top_k, log_scales=p.scale_parameter == "log"))
    return DeviceTrainee(plan, target, grid, device.runtime, seed, allowed, importance, limits, device.pictures)


def _psnr(mse: float) -> float:
    return -10.0 * math.log10(max(mse, 1e-12))
