"""Encodes a small file that decodes at a target PSNR, in one fit or two.

The count follows from the forecast of the fit, corrected while it grows; where the fit ends too far from the target, a
second one starts from what the first has shown. What is left of the distance is spent on coarser steps, or on fewer
Gaussians where the steps of the profile are given.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from gscodec.container.writer import pack
from gscodec.encoding.aims import DB_PER_OCTAVE, PsnrAim, SlopeAim
from gscodec.encoding.blocks import encode_in_blocks
from gscodec.encoding.expected import forecast_of, reachable_psnr
from gscodec.encoding.job import Job
from gscodec.encoding.packing import Encoded, decoded_psnr
from gscodec.encoding.profile_choice import TINY_BYTES
from gscodec.encoding.profiles.registry import encoder_for
from gscodec.encoding.progress import report_plan
from gscodec.encoding.whole import Fitted, finish, fit
from gscodec.errors import TargetWarning
from gscodec.fit.qat import least_needed_first, share_of

WITHIN_DB: Final = 0.3
"""Distance above the target, in dB, at which a file ends the search."""

MOST_FITS: Final = 3
"""Number of fits after which any file that meets the target ends the search: more would follow the scatter of fits."""

MORE_FITS: Final = 2
"""Maximum number of fits after those, if none was good enough; each aims SURE_DB higher than the last."""

SURE_DB: Final = 1.0

MOST_RISE_DB: Final = 6.0
"""Maximum change in dB that a fit in blocks is corrected by at once."""

MOST_OCTAVES: Final = 2.0
"""Maximum number of doublings between a fit and the next one."""

LEAST_OCTAVES: Final = 0.1
"""Distance of two counts, in doublings, from which on their PSNRs tell a slope: those of fits scatter."""

MOST_FINISHES: Final = 3
"""Maximum number of files of one fit."""

FORECAST_SPREAD_DB: Final = 3.0
"""Distance of a target from what the greatest count is expected to have, within which a short fit checks it."""

SHAPES_LOSE: Final = 0.7
"""Part of the distance between fit and target that the steps of all values are chosen for; those of the features alone
take up the rest, by the PSNR of the file."""


def encode_to_psnr(job: Job, tiny: Job | None, wanted: float, most: int) -> tuple[Encoded, bool]:
    """A small file that decodes at `wanted` dB, or the best one found if none does; and whether it does.

    Args:
        tiny: the job for files of up to TINY_BYTES; None means none.
        most: maximum number of Gaussians.
    """
    encoder = encoder_for(job)
    aim = PsnrAim(forecast_of(job), most, wanted + encoder.aimed_room)
    if aim.forecast.psnr(most) < wanted + FORECAST_SPREAD_DB:
        _warn_if_out_of_reach(job, wanted, most)
    count = aim.count(encoder.gaussian_bits)
    report_plan(job.progress, count, wanted, 8 * encoder.likely_size(count) / job.n_pixels)
    if job.regions is not None:
        return _in_blocks(job, aim, wanted)
    if tiny is not None and encoder.likely_size(aim.count(encoder.gaussian_bits)) <= TINY_BYTES:
        file, met = _in_one(tiny, replace(aim, most=min(most, encoder_for(tiny).max_gaussians)), wanted)
        if met and len(file.data) <= TINY_BYTES:
            return file, met
    return _in_one(job, aim, wanted)


def _warn_if_out_of_reach(job: Job, wanted: float, most: int) -> None:
    limit = reachable_psnr(job, most)
    if limit < wanted:
        text = f"{wanted:g} dB are out of reach: about {limit:.0f} dB are expected of a Gaussian for every pixel"
        warnings.warn(f"{text}; the best file is written", TargetWarning, stacklevel=2)


def _in_one(job: Job, aim: PsnrAim, wanted: float) -> tuple[Encoded, bool]:
    """`encode_to_psnr` of a picture that is fitted as a whole."""
    encoder = encoder_for(job)
    least, most = encoder.room
    goal = aim.psnr
    fits: dict[int, Fitted] = {}
    files: list[Encoded] = []
    fitted = fit(job, aim.count(encoder.gaussian_bits), None, aim=aim)
    for number in range(1, MOST_FITS + MORE_FITS + 1):
        n, room = len(fitted.fit.gaussians), fitted.psnr - wanted
        fits[n] = fitted
        if room >= least and (room <= most or n == 1 or number >= MOST_FITS):
            files += _finished(fitted, wanted)
            if files[-1].psnr >= wanted:
                break
            goal += encoder.aimed_room  # finishing loses more than usual
        if number >= MOST_FITS:
            goal += SURE_DB
        count = next_count([(n, each.psnr, each.slope) for n, each in fits.items()], goal, aim.most)
        if count in fits and any(file.psnr >= wanted for file in files):
            break
        while count in fits and count < aim.most:  # few Gaussians scatter: one more may do
            count += 1
        if count in fits:
            break
        fitted = fit(job, count, None)
    if not files:
        files += _finished(max(fits.values(), key=lambda each: each.psnr), wanted)
    enough = [file for file in files if file.psnr >= wanted]
    if enough:
        return min(enough, key=lambda file: len(file.data)), True
    return max(files, key=lambda file: file.psnr), False


def next_count(fits: Sequence[tuple[int, float, float]], goal: float, most: int) -> int:
    """The count whose fit is expected to have `goal` dB.

    Args:
        fits: count, PSNR in dB, and gain in dB per doubling of the fits so far, at least one.
        most: maximum count.
    """
    n, psnr, slope = min(fits, key=lambda each: abs(each[1] - goal))
    others = [each for each in fits if abs(math.log2(each[0] / n)) > LEAST_OCTAVES]
    if others:
        other = min(others, key=lambda each: abs(each[1] - goal))
        measured = (other[1] - psnr) / math.log2(other[0] / n)
        slope = min(max(measured, 0.5 * slope), 2.0 * slope)
    octaves = min(max((goal - psnr) / slope, -MOST_OCTAVES), MOST_OCTAVES)
    return min(most, max(1, round(n * math.exp2(octaves))))


def _finished(fitted: Fitted, wanted: float) -> list[Encoded]:
    """Files of a fit, each nearer to `wanted` dB than the one before."""
    job, room = fitted.encoder.job, fitted.psnr - wanted
    files: list[Encoded] = []
    if not fitted.encoder.absorbs_loss:
        return _pruned(fitted, wanted)
    share = share_of(SHAPES_LOSE * max(room, 0.02), len(job.grid.background))
    for _ in range(MOST_FINISHES):
        files.append(finish(fitted, share, lambda contents: decoded_psnr(job, pack(contents)) - wanted))
        over = files[-1].psnr - wanted
        if 0 <= over <= WITHIN_DB or math.isinf(over):
            break
        share *= 0.25 if over < 0 else 2.5
    return files


def _pruned(fitted: Fitted, wanted: float) -> list[Encoded]:
    """`_finished`, of a profile whose steps are given: of fits without their least important Gaussians."""
    files: list[Encoded] = []
    goal = wanted
    for _ in range(MOST_FINISHES):
        files.append(finish(_thinned(fitted, goal)))
        over = files[-1].psnr - wanted
        if 0 <= over <= WITHIN_DB or math.isinf(over) or (over < 0 and goal >= fitted.psnr):
            break
        goal -= over - 0.5 * WITHIN_DB
    return files


def _thinned(fitted: Fitted, wanted: float) -> Fitted:
    """A fit without the least important of the finest Gaussians, as long as it keeps `wanted` dB."""
    fit, job = fitted.fit, fitted.encoder.job
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


def _in_blocks(job: Job, aim: PsnrAim, wanted: float) -> tuple[Encoded, bool]:
    """`encode_to_psnr` of a picture in blocks, which all end at the same slope of error over bytes.

    The error falls with the bytes to the power of an exponent, and the slope by one power more.
    """
    bits = encoder_for(job).gaussian_bits
    count = aim.count(bits)
    slope = SlopeAim(aim.forecast, aim.most, 0.0, job.n_pixels * len(job.grid.background)).slope_at(count, bits)
    per_octave = aim.forecast.slope(count)
    files: list[Encoded] = []
    for number in range(1, MOST_FITS + MORE_FITS + 1):
        files.append(encode_in_blocks(job, count, None, slope=slope))
        over = files[-1].psnr - wanted
        is_last = number >= MOST_FITS or over <= WITHIN_DB
        if (over >= 0 and is_last) or (over < 0 and count == aim.most):
            break
        sure = SURE_DB if number >= MOST_FITS else 0.5 * WITHIN_DB
        rise = min(max(sure - over, -MOST_RISE_DB), MOST_RISE_DB)
        slope *= 10.0 ** (-rise / 10.0 * (1.0 + DB_PER_OCTAVE / per_octave))
        count = min(aim.most, max(1, round(count * math.exp2(rise / per_octave))))
    enough = [file for file in files if file.psnr >= wanted]
    if enough:
        return min(enough, key=lambda file: len(file.data)), True
    return max(files, key=lambda file: file.psnr), False
