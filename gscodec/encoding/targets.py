"""From what was asked for to a file, and whether the file is that: neither bound of a target is missed in silence."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gscodec.container.writer import icc_bytes
from gscodec.encoding.blocks import encode_in_blocks
from gscodec.encoding.flat import constant_colour, flat_file
from gscodec.encoding.job import Job, Progress
from gscodec.encoding.packing import Encoded, count_for
from gscodec.encoding.to_psnr import encode_to_psnr
from gscodec.encoding.whole import encode_whole
from gscodec.format.profile_table import MAX_SMALL_BYTES
from gscodec.model.constants import LARGE_PIXELS, LEAST_SHARE, MAX_GAUSSIANS

SMALL_BUDGET: Final = 2048
"""Bytes up to which profile `small` is chosen where none is asked for: tables and levels of `coded` take 350 to 500."""

LOD_BYTES: Final = 512
"""Bytes of a file for each level of detail that it has where none were asked for: a level takes 40, without what it
costs the whole. Files of all sizes beyond SMALL_BUDGET have four, so that one level can be asked of a folder."""

SMALL_TRIES: Final = ((1.0, 0), (0.8, 1), (1.0, 2), (1.25, 3))
"""Factors on the likely count, and what is added to the seed, of the fits of a small file, of which the best is kept.
Fits of few Gaussians scatter by a decibel, and are quick."""

MOST_OF_SMALL: Final = MAX_SMALL_BYTES // 3
"""Gaussians of a small file: they take 3 bytes each at the very least."""

MORE_TRIES: Final = 4
"""Counts tried beyond the likely one where a file misses its bounds."""

FREE_COUNT: Final = 1 << 16
"""Gaussians that a picture of fewer pixels may have, too, where so many are asked for."""


@dataclass(frozen=True)
class Target:
    """What was asked for; exactly one is not None."""

    budget: int | None = None  # bytes of the file
    count: int | None = None  # Gaussians
    psnr: float | None = None  # dB of the decoded file


@dataclass(frozen=True)
class Outcome:
    """A file, and how it compares with what was asked for."""

    encoded: Encoded
    met: bool
    note: str = ""  # why it is not met, or why the file is smaller than a size that was asked for


def encode_target(job: Job, target: Target, *, any_profile: bool, any_lods: bool) -> Outcome:
    """The file that comes nearest to a target.

    Args:
        any_profile: whether the profile was not asked for, so that `small` may take its place.
        any_lods: whether the number of levels was not asked for, so that there may be fewer.
    """
    small = replace(job.changed(profile="small", lods=1, record_bytes=None, block=None), source_name="")
    if job.profile == "small":
        job = small
    if target.count is not None:
        return _with_count(job, target.count)
    most = min(MOST_OF_SMALL if job.profile == "small" else MAX_GAUSSIANS, job.n_pixels)
    colour = constant_colour(job)
    if target.psnr is not None:
        if colour is not None:
            encoded = flat_file(small if any_profile else job, colour, None)
            return _with_psnr(encoded, target.psnr, encoded.psnr >= target.psnr)
        encoded, met = encode_to_psnr(job, target.psnr, most)
        if any_profile and met and len(encoded.data) <= SMALL_BUDGET:
            other, other_met = encode_to_psnr(small, target.psnr, most)
            if other_met and len(other.data) < len(encoded.data):
                encoded = other
        return _with_psnr(encoded, target.psnr, met)
    assert target.budget is not None
    if any_profile and target.budget <= SMALL_BUDGET:
        job = small
    if any_lods:
        job = job.changed(lods=max(1, min(job.lods, target.budget // LOD_BYTES)))
    budget = min(target.budget, MAX_SMALL_BYTES) if job.profile == "small" else target.budget
    if colour is not None:
        encoded = flat_file(job, colour, budget)
    elif job.profile == "small":
        encoded = _small_within(job, budget, most)
    else:
        encoded = _within(job, budget, most)
    if len(encoded.data) > budget:
        least = flat_file(job, job.grid.background if colour is None else colour, budget)
        encoded = least if len(least.data) < len(encoded.data) else encoded
    return _with_size(job, encoded, target.budget, most)


def _with_count(job: Job, count: int) -> Outcome:
    most = MOST_OF_SMALL if job.profile == "small" else min(MAX_GAUSSIANS, max(job.n_pixels, FREE_COUNT))
    encoded = _encoder(job)(job, min(count, most), None)
    n = encoded.n_gaussians
    if n == count:
        return Outcome(encoded, True)
    if n < count:
        return Outcome(encoded, False, f"the file has {n} Gaussians, as many as it can have")
    return Outcome(encoded, False, f"the file has {n} Gaussians: each block has at least one for every level of detail")


def _with_psnr(encoded: Encoded, wanted: float, met: bool) -> Outcome:
    if met:
        return Outcome(encoded, True)
    return Outcome(encoded, False, f"the best file found has {encoded.psnr:.2f} dB, not {wanted:g}")


def _with_size(job: Job, encoded: Encoded, budget: int, most: int) -> Outcome:
    n, used = encoded.n_gaussians, len(encoded.data)
    if used > budget:
        icc = job.stack.icc
        part = f", {icc_bytes(icc)} of them for its ICC profile" if icc else ""
        return Outcome(
            encoded, False, f"the smallest file of this picture in profile {job.profile} has {used} bytes{part}"
        )
    if used >= LEAST_SHARE * budget:
        return Outcome(encoded, True)
    spent = f"{used} of {budget} bytes are used"
    if math.isinf(encoded.psnr):
        return Outcome(encoded, True, f"{spent}: the file decodes exactly, more would change nothing")
    if n >= most:
        return Outcome(encoded, True, f"{spent}: there is a Gaussian for every pixel")
    if job.profile == "small" and budget > MAX_SMALL_BYTES:
        return Outcome(encoded, False, f"{spent}: a file of profile small has at most {MAX_SMALL_BYTES}")
    if job.profile in {"f16", "packed"} and job.regions is None:
        step = job.size_of(n + 1, None) - job.size_of(n, None)
        return Outcome(encoded, False, f"{spent}: another Gaussian of profile {job.profile} takes {step} more")
    return Outcome(encoded, False, f"{spent}: no other number of Gaussians came nearer")


def _encoder(job: Job) -> Callable[[Job, int, int | None], Encoded]:
    return encode_whole if job.regions is None else encode_in_blocks


def _small_within(job: Job, budget: int, most: int) -> Encoded:
    """The best of several files of at most `budget` bytes, where there is one."""
    likely = count_for(job, budget, most)
    tries = dict.fromkeys((max(1, min(most, round(factor * likely))), seed) for factor, seed in SMALL_TRIES)
    files: list[Encoded] = []
    taken = list(tries)[: None if job.deadline is None else 1]
    for number, (count, seed) in enumerate(taken):
        shown = _one_of(job.progress, number, len(taken))
        files.append(encode_whole(replace(job.changed(seed=job.settings.seed + seed), progress=shown), count, budget))
        if math.isinf(files[-1].psnr) and len(files[-1].data) <= budget:
            break
    return min(files, key=lambda file: _rank(file, budget))


def _one_of(
    progress: Callable[[Progress], None] | None, number: int, n_tries: int
) -> Callable[[Progress], None] | None:
    """Progress of one of several fits as that of all."""
    if progress is None:
        return None

    def show(state: Progress) -> None:
        step, total = state.step + number * state.total_steps, n_tries * state.total_steps
        progress(replace(state, step=step, total_steps=total, seconds_left=state.seconds * (total - step) / step))

    return show


def _rank(file: Encoded, budget: int) -> tuple[bool, bool, float]:
    """Less is better: within the budget, uses it, has the greater PSNR; sizes where they are too large."""
    used = len(file.data)
    if used > budget:
        return True, True, float(used)
    return False, used < LEAST_SHARE * budget and not math.isinf(file.psnr), -file.psnr


def _within(job: Job, budget: int, most: int) -> Encoded:
    """A file of at most `budget` bytes that uses them, where the likely count or one near it gives it."""
    likely = count_for(job, budget, most)
    best = _encoder(job)(job, likely, budget)
    if job.profile != "coded":
        return best  # sizes of other profiles are known ahead
    if job.regions is not None:
        is_missed = not (LEAST_SHARE * budget <= len(best.data) <= budget or math.isinf(best.psnr))
        once = job.checkpoint is not None or job.deadline is not None or job.n_pixels > LARGE_PIXELS
        if once or not is_missed:
            return best
        best = encode_in_blocks(job, likely, budget, recounts=False)  # few bytes, of which headers take much
    encode = encode_whole if job.regions is None else encode_in_blocks
    low, high = 1, most + 1  # counts that may do, and the least that was too much
    for _ in range(MORE_TRIES):
        used, n = len(best.data), best.n_gaussians
        if LEAST_SHARE * budget <= used <= budget or math.isinf(best.psnr):
            break
        if used > budget:
            high = min(high, n)
        else:
            low = max(low, n + 1)
        if low >= high:
            break
        likely = n + int(8 * (budget - used) / job.coded_bits)
        count = likely if low <= likely < high else (low + high) // 2
        if used <= budget and likely < low:  # one beyond what is likely came out smaller: a little further
            count = min(count, 2 * low - n)
        other = encode(job, count, budget, recounts=False)
        if len(other.data) > budget:
            high = min(high, count)
        if len(best.data) > budget or len(best.data) < len(other.data) <= budget:
            best = other
        elif len(other.data) <= budget:
            low = max(low, count + 1)
    return best
