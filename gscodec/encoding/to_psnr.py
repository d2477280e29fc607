"""The smallest file that decodes at a PSNR asked for."""

import math
from dataclasses import replace

import numpy as np

from gscodec.encoding.blocks import encode_in_blocks
from gscodec.encoding.job import Job, training_room
from gscodec.encoding.packing import Encoded, decoded_psnr, finished
from gscodec.encoding.psnr_search import SLACK_DB, LossRange, smallest_at
from gscodec.encoding.whole import Fitted, finish, fit
from gscodec.format import Contents, pack

PROBE_STEPS = 0.2
"""Share of the steps that the short fits take which tell where the search for a PSNR begins."""

PROBE_PIXELS = (1600, 400)
"""Pixels a Gaussian of those fits."""

CODED_LOSSES = LossRange((0.12, 1.1), (0.03, 4.0))
"""What settling may cost. On three pictures the bytes at equal PSNR are within 4 % of the least from 0.15 to 1.0 dB."""

PRUNED_LOSSES = LossRange((0.0, 0.4), (0.0, 20.0))
"""What taking Gaussians out may cost a file of profile `f16`."""

FINISHED_LOSSES = LossRange((0.0, SLACK_DB), (0.0, 0.0))
"""A picture in blocks is measured as the finished file that each of its fits is."""


def encode_to_psnr(job: Job, wanted: float, most: int) -> tuple[Encoded, bool]:
    """The smallest file found that decodes at `wanted` dB, or the best one when none does; whether it does.

    Args:
        most: Gaussians there may be.
    """
    counts = [max(1, job.n_pixels // pixels) for pixels in PROBE_PIXELS]
    short = replace(job, steps=math.ceil(PROBE_STEPS * (job.preset.steps if job.steps is None else job.steps)))
    if job.regions is not None:
        return smallest_at(
            wanted,
            counts=counts,
            most=most,
            losses=FINISHED_LOSSES,
            probe=lambda count: encode_in_blocks(short, count, None).psnr,
            fit=lambda count: encode_in_blocks(job, count, None),
            finish=lambda made, _: made,
        )

    def finish_at(fitted: Fitted, loss: float) -> Encoded:
        if fitted.coded is None:
            return _pruned(job, fitted, fitted.psnr - loss)
        return finish(job, fitted, None, training_room().share_of(loss, len(job.grid.background)))

    return smallest_at(
        wanted,
        counts=counts,
        most=most,
        losses=PRUNED_LOSSES if job.profile == "f16" else CODED_LOSSES,
        probe=lambda count: fit(short, count, None).psnr,
        fit=lambda count: fit(job, count, None),
        finish=finish_at,
    )


def _pruned(job: Job, fitted: Fitted, wanted: float) -> Encoded:
    """The file of a fit in profile `f16` without those of the finest Gaussians that `wanted` dB do not need."""
    fit, stack = fitted.fit, job.stack
    order = training_room().least_needed_first(job.rasterizer, fit.gaussians, job.grid, fit.lods.counts)

    def without(n_pruned: int) -> Contents:
        kept = np.setdiff1d(np.arange(len(fit.gaussians)), order[:n_pruned])
        lods = fit.lods.ending_at(len(kept))
        return Contents(job.grid, stack.groups, lods, job.unscaled(fit.gaussians[kept]), stack.icc, files=stack.files)

    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        if decoded_psnr(job, pack(without(middle))) >= wanted:
            low = middle
        else:
            high = middle
    return finished(job, without(low), None, fit.steps)
