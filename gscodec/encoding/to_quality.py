"""Encodes at a constant slope of error over bytes: one pass, whatever the picture."""

import math
from dataclasses import replace

from gscodec.encoding.aims import SlopeAim
from gscodec.encoding.blocks import encode_in_blocks
from gscodec.encoding.expected import forecast_of
from gscodec.encoding.job import Job
from gscodec.encoding.packing import Encoded
from gscodec.encoding.profile_choice import TINY_BYTES
from gscodec.encoding.profiles.registry import encoder_for
from gscodec.encoding.progress import report_plan
from gscodec.encoding.whole import encode_whole


def encode_to_quality(job: Job, tiny: Job | None, most: int) -> Encoded:
    """The file of a picture at the slope of the job's quality.

    Args:
        tiny: the job for files of up to TINY_BYTES; None means none.
        most: maximum number of Gaussians.
    """
    assert job.slope is not None
    n_samples = job.n_pixels * len(job.grid.background)
    aim = SlopeAim(forecast_of(job), most, job.slope, n_samples)
    encoder = encoder_for(job)
    count = aim.count(encoder.gaussian_bits)
    if tiny is not None and encoder.likely_size(count) <= TINY_BYTES:
        return _best_tiny(tiny, replace(aim, most=min(most, encoder_for(tiny).max_gaussians)))
    report_plan(job.progress, count, aim.forecast.psnr(count), 8 * encoder.likely_size(count) / job.n_pixels)
    if job.regions is not None:
        return encode_in_blocks(job, count, None, slope=job.slope)
    return encode_whole(job, count, None, aim=aim)


def _best_tiny(job: Job, aim: SlopeAim) -> Encoded:
    """The least of squared error plus slope times bytes among several fits of few Gaussians, which take little time."""
    encoder = encoder_for(job)
    likely = aim.count(encoder.gaussian_bits)
    tries = dict.fromkeys((max(1, min(aim.most, round(factor * likely))), seed) for factor, seed in encoder.restarts)
    files = [
        encode_whole(job.changed(seed=job.settings.seed + seed), count, None)
        for count, seed in list(tries)[: None if job.deadline is None else 1]
    ]
    return min(files, key=lambda file: _cost(file, aim))


def _cost(file: Encoded, aim: SlopeAim) -> float:
    error = 0.0 if math.isinf(file.psnr) else aim.n_samples * 10.0 ** (-file.psnr / 10.0)
    return error + aim.slope * len(file.data)
