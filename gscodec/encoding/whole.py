"""Encodes a picture as a whole: one fit, then the file."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from gscodec.container.contents import Contents
from gscodec.encoding.aims import Aim
from gscodec.encoding.job import Job
from gscodec.encoding.pace import Pace
from gscodec.encoding.packing import Encoded, finished
from gscodec.encoding.profiles.encoder import QAT_SHARE, ProfileEncoder
from gscodec.encoding.profiles.registry import encoder_for
from gscodec.encoding.progress import Progress
from gscodec.fit.forecast import Growth
from gscodec.fit.loop import Fit, StepReport, plan_of
from gscodec.fit.loop import fit as fit_planes
from gscodec.fit.presets import PRESETS, Preset
from gscodec.metrics.seen import SquareErrors
from gscodec.model.gaussians import GaussianSet, LodTable, Window

AFTER_STEPS = 40
"""Work after the last step, in steps: choosing a lattice renders about twenty candidates, and packing takes about as
long."""

PACK_STEPS = 4
"""The same without a lattice."""

BEYOND_STEPS = 340
"""Work besides steps, in steps of the whole set: growth, AFTER_STEPS and what is not counted there, less what the steps
of the few Gaussians at first save. 110 to 380 in fits of 170 to 800 steps of three pictures."""

TRIAL_STEPS = 6
TRIAL_SIGMA = 0.3
"""Steps by which the speed is measured, and standard deviation of their Gaussians in mean spacings."""

HURRIED_STEPS = 40
"""Minimum number of steps, whatever the time: with fewer, a picture is hardly there, and large Gaussians make each
slow."""

MOST_STEPS: Final = {"draft": 250, "fast": 1100}
"""Steps up to which the constants of a preset serve a fit in a hurry: those of slower ones leave it unfinished."""


@dataclass(frozen=True)
class Fitted:
    """A finished fit, not yet quantised and packed."""

    fit: Fit
    encoder: ProfileEncoder  # that packs the file
    psnr: float  # dB, before quantisation
    slope: float  # estimated gain in dB per doubling of the count


def encode_whole(
    job: Job, n_gaussians: int, budget: int | None, *, recounts: bool = True, aim: Aim | None = None
) -> Encoded:
    """File with n_gaussians Gaussians, or as `fit` counts them."""
    return finish(fit(_hurried(job, n_gaussians), n_gaussians, budget, recounts=recounts, aim=aim))


def fit(job: Job, n_gaussians: int, budget: int | None, *, recounts: bool = True, aim: Aim | None = None) -> Fitted:
    """Fit with n_gaussians Gaussians or, if `recounts`, as many as fit into `budget` bytes or reach an aim."""
    encoder = encoder_for(job, budget)
    growth = Growth()

    def aimed(gaussians: GaussianSet, lods: LodTable) -> int:
        assert aim is not None
        encoder.measure(gaussians, lods)
        return aim.after(growth).count(encoder.gaussian_bits)

    def report(state: StepReport) -> None:
        growth.note(state.n_gaussians, state.psnr)
        if job.progress is None:
            return
        if encoder.count is not None and budget is not None:
            n_bytes = budget * state.n_gaussians // encoder.count
        else:
            n_bytes = encoder.likely_size(state.n_gaussians)
        fraction = state.work / (state.total_work + _after(encoder))
        of = state.total_steps + encoder.qat_steps
        _report(job, "fit", fraction, state.step, of, state.n_gaussians, state.psnr, n_bytes)

    recount = encoder.recount if encoder.can_recount and budget is not None and recounts else None
    recount = recount if aim is None else aimed
    fitted = _train(job, n_gaussians, job.settings.steps, report, recount)
    psnr = _psnr(job, fitted)
    return Fitted(fitted, encoder, psnr, growth.slope_after(len(fitted.gaussians), fitted.psnr))


def _psnr(job: Job, fitted: Fit) -> float:
    """PSNR (dB) of a fit before quantisation, of the visible colour if there is an alpha."""
    if job.counts is None or job.counts.ndim == 2:
        return float(fitted.psnr)
    gaussians, grid = job.unscaled(fitted.gaussians), job.grid
    engine = job.rasterizer
    image = engine.forward(gaussians, grid, engine.bin(gaussians, grid), Window.whole(grid))
    errors = SquareErrors(job.stack.groups)
    errors.add(np.clip(np.asarray(image, np.float32), 0, 1), job.samples, job.visible)
    return errors.psnr


def finish(fitted: Fitted, share: float | None = None, excess: Callable[[Contents], float] | None = None) -> Encoded:
    """The file of a fit; `share` and `excess` as in `ProfileEncoder.fine_tuned`."""
    fit, encoder = fitted.fit, fitted.encoder
    job, qat_steps, n_gaussians = encoder.job, encoder.qat_steps, len(fit.gaussians)
    n_bytes = encoder.likely_size(n_gaussians) if encoder.budget is None else encoder.budget

    steps = fit.steps + qat_steps

    def report(done: int, mse: float) -> None:
        psnr = -10 * math.log10(max(mse, 1e-12))
        fraction = (fit.work + done) / (fit.work + _after(encoder))
        _report(job, "quantise", fraction, fit.steps + done, steps, n_gaussians, psnr, n_bytes)

    contents = encoder.fine_tuned(fit, qat_steps, report, share, excess)
    encoded = finished(encoder, contents, steps)
    _report(job, "pack", 1.0, steps, steps, encoded.n_gaussians, encoded.psnr, len(encoded.data))
    return encoded


def _after(encoder: ProfileEncoder) -> float:
    """Work after a fit, in steps of the whole set."""
    return encoder.qat_steps + AFTER_STEPS if encoder.qat_steps else PACK_STEPS


def _hurried(job: Job, n_gaussians: int) -> Job:
    """The job with as many steps as its time budget allows, by the recipe that suits so few."""
    if job.deadline is None:
        return job
    seconds = _step_seconds(job, n_gaussians)
    encoder = encoder_for(job)
    beyond = BEYOND_STEPS if encoder.qat_steps else PACK_STEPS
    pace = Pace(job.deadline, reserve=beyond * seconds)
    pace.took(1, 1, seconds)
    wanted = plan_of(job.samples.shape, n_gaussians, job.preset, job.rasterizer, job.lods, job.settings.steps).n_steps
    steps = max(pace.steps(wanted, 1, 1, QAT_SHARE if encoder.qat_steps else 0.0), min(wanted, HURRIED_STEPS))
    if steps >= wanted:
        return job
    return job.changed(steps=steps, preset=job.settings.preset if job.settings.steps else recipe_for(job.preset, steps))


def recipe_for(preset: Preset, steps: int) -> str:
    """Name of the preset whose constants suit a number of steps, at most those of `preset`."""
    if preset.scale_parameter == "inverse":  # the published recipe
        return preset.name
    likely = [other for other, most in MOST_STEPS.items() if steps <= most and PRESETS[other].steps < preset.steps]
    return likely[0] if likely else preset.name


def _step_seconds(job: Job, n_gaussians: int) -> float:
    """Duration of a step of the whole set, from a few: of small Gaussians, as those of a fit are most of the time."""
    preset = replace(job.preset, start_share=1.0, start_sigma=TRIAL_SIGMA, sigma_unit="spacing", relocations=0)
    for _ in range(2):
        seen: list[StepReport] = []
        _train(job, n_gaussians, TRIAL_STEPS, seen.append, preset=preset)
        if len(seen) > 1:
            return min(
                (after.seconds - before.seconds) / (after.step - before.step) for before, after in pairwise(seen)
            )
    return seen[0].seconds / seen[0].step  # a GPU reports once per batch, and has compiled its kernels by now


def _train(
    job: Job,
    n_gaussians: int,
    steps: int | None,
    on_step: Callable[[StepReport], None],
    recount: Callable[[GaussianSet, LodTable], int] | None = None,
    preset: Preset | None = None,
) -> Fit:
    """The fit of the job's target, by its own preset unless there is another."""
    return fit_planes(
        job.target,
        n_gaussians,
        preset or job.preset,
        rasterizer=job.rasterizer,
        grid=job.target_grid,
        lods=job.lods,
        seed=job.settings.seed,
        steps=steps,
        on_step=on_step,
        allowed=job.visible,
        recount=recount,
        importance=job.counts,
        limits_elongation=job.settings.chosen_tune == "visual",
    )


def _report(job: Job, phase: str, fraction: float, step: int, of: int, present: int, psnr: float, n_bytes: int) -> None:
    if job.progress is not None:
        job.progress(Progress(step, of, present, psnr, 8 * n_bytes / job.n_pixels, phase, fraction))
