"""Encodes the smallest file that decodes at a target PSNR."""

import math
from dataclasses import replace

import numpy as np

from gscodec.container.writer import pack
from gscodec.encoding.blocks import encode_in_blocks
from gscodec.encoding.job import Job
from gscodec.encoding.packing import Encoded, decoded_psnr
from gscodec.encoding.profiles.registry import encoder_for
from gscodec.encoding.psnr_search import SLACK_DB, LossRange, smallest_at
from gscodec.encoding.whole import Fitted, finish, fit
from gscodec.fit.qat import least_needed_first, share_of

PROBE_STEPS = 0.2
"""Fraction of the steps for the short fits that start the search."""

PROBE_PIXELS = (1600, 400)
"""Pixels per Gaussian in the probe fits."""

FINISHED_LOSSES = LossRange((0.0, SLACK_DB), (0.0, 0.0))
"""Loss range for a picture in blocks, whose fits end as finished files and are measured as such."""


def encode_to_psnr(job: Job, wanted: float, most: int) -> tuple[Encoded, bool]:
    """The smallest file found that decodes at `wanted` dB, or the best one if none does; and whether it does.

    Args:
        most: maximum number of Gaussians.
    """
    counts = [max(1, job.n_pixels // pixels) for pixels in PROBE_PIXELS]
    short = job.changed(steps=math.ceil(PROBE_STEPS * (job.settings.steps or job.preset.steps)))
    if job.regions is not None:
        return smallest_at(
            wanted,
            counts=counts,
            most=most,
            losses=FINISHED_LOSSES,
            probe=lambda count: encode_in_blocks(short, count, None).psnr,
            fit=lambda count: encode_in_blocks(job, count, None),
            finish=lambda encoded, _: encoded,
        )

    def finish_at(fitted: Fitted, loss: float) -> Encoded:
        if fitted.encoder.absorbs_loss:
            return finish(fitted, share_of(loss, len(job.grid.background)))
        return finish(_thinned(job, fitted, fitted.psnr - loss))

    return smallest_at(
        wanted,
        counts=counts,
        most=most,
        losses=encoder_for(job).losses,
        probe=lambda count: fit(short, count, None).psnr,
        fit=lambda count: fit(job, count, None),
        finish=finish_at,
    )


def _thinned(job: Job, fitted: Fitted, wanted: float) -> Fitted:
    """A fit without the least important of the finest Gaussians, as long as it keeps `wanted` dB."""
    fit = fitted.fit
    order = least_needed_first(job.rasterizer, fit.gaussians, job.grid, fit.lods.counts, job.counts)

    def without(n_pruned: int) -> Fitted:
        kept = np.setdiff1d(np.arange(len(fit.gaussians)), order[:n_pruned])
        return replace(fitted, fit=replace(fit, gaussians=fit.gaussians[kept], lods=fit.lods.ending_at(len(kept))))

    def psnr_of(thinned: Fitted) -> float:
        return decoded_psnr(job, pack(job.contents(thinned.fit.gaussians, thinned.fit.lods)))

    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        if psnr_of(without(middle)) >= wanted:
            low = middle
        else:
            high = middle
    return without(low)
