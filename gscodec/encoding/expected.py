"""What a fit of a job's picture is expected to reach, before it begins."""

import math
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Final

import numpy as np

from gscodec.encoding.job import Job
from gscodec.fit.forecast import Detail, Forecast
from gscodec.fit.loop import fit
from gscodec.image.regions import Rect, Regions
from gscodec.model.gaussians import Float32Array

SAMPLE_PX: Final = 512
"""Maximum side, in px, of the parts of a large picture that stand for it."""

SAMPLES_PER_SIDE: Final = 4
"""Rows and columns of such parts, evenly spread."""

TRIED_PX: Final = 64
"""Side, in px, of the part of a picture that is fitted to see what a great count reaches."""

TRIED_STEPS: Final = 0.5
"""Steps of that fit over those of a whole one."""

TRIED_LACKS_DB: Final = 2.0
"""What a whole fit has more, dB, at most: what is called out of reach is so."""


def forecast_of(job: Job) -> Forecast:
    """Expected PSNR of fits of the picture; of one in regions, by parts of it."""
    return Forecast(Detail.of(job.target) if job.regions is None else detail_of_parts(job.regions))


def detail_of_parts(source: Regions) -> Detail:
    """Detail of a picture that is read in parts, scaled to all its pixels."""
    height, width, _ = source.shape
    areas = [
        Rect(x, y, min(width, x + SAMPLE_PX), min(height, y + SAMPLE_PX))
        for y in _starts(height)
        for x in _starts(width)
    ]
    seen = reduce(add, (Detail.of(source.read(area)) for area in areas))
    n_pixels = height * width
    return Detail(seen.sums * (n_pixels / seen.n_pixels), n_pixels)


def reachable_psnr(job: Job, most: int) -> float:
    """Estimated PSNR in dB that `most` Gaussians can reach: that of a short fit of a part of medium detail."""
    whole = Rect(0, 0, job.grid.width, job.grid.height)
    if job.regions is None:
        picture = job.target
    else:
        x, y = ((side - min(side, SAMPLE_PX)) // 2 for side in (whole.width, whole.height))
        picture = job.regions.read(Rect(x, y, min(whole.width, x + SAMPLE_PX), min(whole.height, y + SAMPLE_PX)))
    part = np.ascontiguousarray(_medium(picture))
    height, width, _ = part.shape
    n_gaussians = max(1, round(most / job.n_pixels * height * width))
    fitted = fit(
        part,
        n_gaussians,
        job.preset,
        rasterizer=job.rasterizer,
        grid=replace(job.target_grid, height=height, width=width),
        seed=job.settings.seed,
        steps=max(1, math.ceil(TRIED_STEPS * (job.settings.steps or job.preset.steps))),
    )
    return fitted.psnr + TRIED_LACKS_DB


def _medium(picture: Float32Array) -> Float32Array:
    """The part of TRIED_PX px, or less, with the median of the detail in squares of 2 px."""
    height, width, _ = picture.shape
    parts = [
        picture[y : y + TRIED_PX, x : x + TRIED_PX]
        for y in range(0, max(1, height - TRIED_PX + 1), TRIED_PX)
        for x in range(0, max(1, width - TRIED_PX + 1), TRIED_PX)
    ]
    parts.sort(key=lambda part: float(Detail.of(part).sums[0]))
    return parts[len(parts) // 2]


def _starts(length: int) -> list[int]:
    n = min(SAMPLES_PER_SIDE, -(-length // SAMPLE_PX))
    return [round(start) for start in np.linspace(0, max(0, length - SAMPLE_PX), n)]
