"""From a target to a file, and whether the file meets it: a missed target is always reported."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gscodec.container.rewrite import CoarserSet, with_coarser
from gscodec.container.writer import icc_bytes
from gscodec.encoding.blocks import encode_in_blocks
from gscodec.encoding.flat import constant_colour, flat_file
from gscodec.encoding.job import Job
from gscodec.encoding.ladder import LEVELS_SHARE, Ladder, encode_coarser, may_have_sets, work_shares
from gscodec.encoding.packing import Encoded
from gscodec.encoding.profile_choice import TINY_BYTES
from gscodec.encoding.profiles.registry import encoder_for, suited
from gscodec.encoding.progress import Show, part_of
from gscodec.encoding.to_psnr import encode_to_psnr
from gscodec.encoding.to_quality import encode_to_quality
from gscodec.encoding.whole import encode_whole
from gscodec.format.profile_table import MAX_SMALL_BYTES
from gscodec.model.constants import LARGE_PIXELS, LEAST_SHARE
from gscodec.profiles.registry import SMALL

MORE_TRIES: Final = 4
"""Number of counts tried beyond the estimate if a file misses its bounds."""

FREE_COUNT: Final = 1 << 16
"""Maximum number of Gaussians of a picture with fewer pixels than that, if a count is the target."""


@dataclass(frozen=True)
class Target:
    """Target of an encode; exactly one field is not None."""

    budget: int | None = None  # maximum bytes of the file
    count: int | None = None  # number of Gaussians
    psnr: float | None = None  # dB of the decoded file
    quality: float | None = None  # 0..100, see `encoding.quality`


@dataclass(frozen=True)
class Outcome:
    """A file, and whether it meets the target."""

    encoded: Encoded
    met: bool
    note: str = ""  # why it is missed, or why the file is smaller than the requested size


def encode_target(job: Job, target: Target, *, tiny_profile: str | None, any_lods: bool) -> Outcome:
    """The file nearest to a target.

    Args:
        tiny_profile: profile to use for files of up to TINY_BYTES; None means none.
        any_lods: whether the settings leave the number of levels of detail open.
    """
    tiny = None if tiny_profile is None else suited(job.changed(profile=tiny_profile))
    job = suited(job)
    colour = constant_colour(job) if target.count is None else None
    is_tiny = tiny is not None and target.budget is not None and target.budget <= TINY_BYTES
    if colour is not None or is_tiny or encoder_for(job).profile.layout.is_one_piece:
        return _encode_finest(job.changed(lods=1), tiny, target, target.budget)
    if target.budget is None:
        return _with_sets_after(job, tiny, target, any_lods=any_lods)
    ladder = _ladder(job, target.budget, any_lods=any_lods)
    share = 1.0 - sum(work_shares(ladder.n_coarser))
    first = replace(job, progress=part_of(job.progress, 0.0, 1.0 - share))
    sets = encode_coarser(first, target.budget, ladder.n_coarser, _encode_set)
    own = target.budget - sum(part.n_bytes for part in sets)
    finest = replace(job.changed(lods=ladder.generations), progress=part_of(job.progress, 1.0 - share, share))
    outcome = _encode_finest(finest, None, target, own)
    return _with_sets(outcome, sets)


def _ladder(job: Job, n_bytes: int | None, *, any_lods: bool) -> Ladder:
    """The levels of a file of n_bytes; None stands for one whose size is not known before its finest set is there."""
    halves = job.settings.halves
    if any_lods and job.lods == 1:  # of a preset without levels
        return Ladder(1 + halves, 0)
    is_tiny = n_bytes is not None and n_bytes <= TINY_BYTES
    if not any_lods:
        return Ladder(job.lods, 0) if is_tiny else Ladder.of(job.lods, halves)
    return Ladder(1 + halves, 0) if is_tiny else Ladder.for_bytes(n_bytes or TINY_BYTES + 1, halves)


def _with_sets_after(job: Job, tiny: Job | None, target: Target, *, any_lods: bool) -> Outcome:
    """A file whose size is known when its finest set is finished, and which then gets its coarser sets."""
    ladder = _ladder(job, None, any_lods=any_lods)
    share = 1.0 - sum(work_shares(ladder.n_coarser))
    finest = replace(job.changed(lods=ladder.generations), progress=part_of(job.progress, 0.0, share))
    outcome = _encode_finest(finest, tiny, target, None)
    data = outcome.encoded.data
    if not may_have_sets(data) or ladder.n_coarser == 0:
        return outcome
    n_bytes = round(len(data) / (1 - LEVELS_SHARE))
    n_coarser = _ladder(job, n_bytes, any_lods=True).n_coarser if any_lods else ladder.n_coarser
    last = replace(job, progress=part_of(job.progress, share, 1.0 - share))
    return _with_sets(outcome, encode_coarser(last, n_bytes, n_coarser, _encode_set))


def _with_sets(outcome: Outcome, sets: Sequence[CoarserSet]) -> Outcome:
    encoded = outcome.encoded
    if not sets or not may_have_sets(encoded.data):
        return outcome
    data = with_coarser(encoded.data, sets)
    return replace(outcome, encoded=replace(encoded, data=data, lods=encoded.lods + sum(part.n_lods for part in sets)))


def _encode_set(job: Job, n_bytes: int) -> Encoded:
    """The file of a coarser set of at most n_bytes."""
    if n_bytes <= MAX_SMALL_BYTES and job.regions is None and not SMALL.size_fault(job.grid.height, job.grid.width):
        job = job.changed(profile=SMALL.layout.name)
    job = job.changed(size=n_bytes, tune=job.settings.chosen_tune)  # whatever the target of the file
    return _encode_finest(suited(job), None, Target(budget=n_bytes), n_bytes, n_tries=1).encoded


def _encode_finest(
    job: Job, tiny: Job | None, target: Target, budget: int | None, n_tries: int | None = None
) -> Outcome:
    """The file of one set nearest to a target.

    Args:
        tiny: the job in the profile for files of up to TINY_BYTES, or None.
        budget: maximum bytes of the set, of a target size.
        n_tries: maximum number of fits of a profile that `restarts`, of a target size; None means all.
    """
    encoder = encoder_for(job)
    if target.count is not None:
        most = min(encoder.max_gaussians, max(job.n_pixels, FREE_COUNT))
        return _with_count(_encode(job)(job, min(target.count, most), None), target.count)
    most = min(encoder.max_gaussians, job.n_pixels)
    colour = constant_colour(job)
    if target.quality is not None:
        if colour is not None:
            return Outcome(flat_file(tiny or job, colour, None), True)
        return Outcome(encode_to_quality(job, tiny, most), True)
    if target.psnr is not None:
        if colour is not None:
            encoded = flat_file(tiny or job, colour, None)
            return _with_psnr(encoded, target.psnr, encoded.psnr >= target.psnr)
        encoded, met = encode_to_psnr(job, tiny, target.psnr, most)
        return _with_psnr(encoded, target.psnr, met)
    assert target.budget is not None
    assert budget is not None
    if tiny is not None and budget <= TINY_BYTES:
        job = tiny
    encoder = encoder_for(job)
    whole, budget = budget, min(budget, encoder.profile.layout.max_file_bytes or budget)
    if colour is not None:
        encoded = flat_file(job, colour, budget)
    elif encoder.restarts:
        encoded = _best_of(job, budget, most, n_tries)
    else:
        encoded = _within(job, budget, most)
    if len(encoded.data) > budget:
        least = flat_file(job, job.grid.background if colour is None else colour, budget)
        encoded = least if len(least.data) < len(encoded.data) else encoded
    return _with_size(job, encoded, whole, most)


def _with_count(encoded: Encoded, count: int) -> Outcome:
    n = encoded.n_gaussians
    if n == count:
        return Outcome(encoded, True)
    if n < count:
        return Outcome(encoded, False, f"the file has {n} Gaussians, the maximum for it")
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
        return Outcome(encoded, True, f"{spent}: the file decodes exactly, more bytes would not change it")
    if n >= most:
        return Outcome(encoded, True, f"{spent}: there is a Gaussian for every pixel")
    encoder = encoder_for(job)
    limit = encoder.profile.layout.max_file_bytes
    if limit is not None and budget > limit:
        return Outcome(encoded, False, f"{spent}: a file of profile {job.profile} has at most {limit}")
    if encoder.size_is_known and job.regions is None:
        step = encoder.likely_size(n + 1) - encoder.likely_size(n)
        return Outcome(encoded, False, f"{spent}: another Gaussian of profile {job.profile} takes {step} more")
    return Outcome(encoded, False, f"{spent}: no other number of Gaussians came nearer")


def _encode(job: Job) -> Callable[[Job, int, int | None], Encoded]:
    return encode_whole if job.regions is None else encode_in_blocks


def _best_of(job: Job, budget: int, most: int, n_tries: int | None) -> Encoded:
    """The best of several files of at most `budget` bytes, if there is one; else the smallest."""
    encoder = encoder_for(job, budget)
    likely = encoder.count_for(most)
    tries = dict.fromkeys((max(1, min(most, round(factor * likely))), seed) for factor, seed in encoder.restarts)
    files: list[Encoded] = []
    taken = list(tries)[: n_tries if job.deadline is None else 1]
    for number, (count, seed) in enumerate(taken):
        shown = _one_of(job.progress, number, len(taken))
        files.append(encode_whole(replace(job.changed(seed=job.settings.seed + seed), progress=shown), count, budget))
        if math.isinf(files[-1].psnr) and len(files[-1].data) <= budget:
            break
    return min(files, key=lambda file: _rank(file, budget))


def _one_of(progress: Show | None, number: int, n_tries: int) -> Show | None:
    """Progress of one of several fits as part of the total."""
    part = part_of(progress, number / n_tries, 1.0 / n_tries)
    if part is None:
        return None
    return lambda state: part(
        replace(state, step=state.step + number * state.total_steps, total_steps=n_tries * state.total_steps)
    )


def _rank(file: Encoded, budget: int) -> tuple[bool, bool, float]:
    """Sort key, lowest is best: within the budget, uses it, higher PSNR; or smaller size if all exceed it."""
    used = len(file.data)
    if used > budget:
        return True, True, float(used)
    return False, used < LEAST_SHARE * budget and not math.isinf(file.psnr), -file.psnr


def _within(job: Job, budget: int, most: int) -> Encoded:
    """A file of at most `budget` bytes that uses at least LEAST_SHARE of it, if a count near the estimate gives one."""
    encoder = encoder_for(job, budget)
    likely = encoder.count_for(most)
    best = _encode(job)(job, likely, budget)
    if encoder.size_is_known:
        return best
    if job.regions is not None:
        is_missed = not (LEAST_SHARE * budget <= len(best.data) <= budget or math.isinf(best.psnr))
        once = job.checkpoint is not None or job.deadline is not None or job.n_pixels > LARGE_PIXELS
        if once or not is_missed:
            return best
        best = encode_in_blocks(job, likely, budget, recounts=False)  # a small file, of which headers take much
    encode = encode_whole if job.regions is None else encode_in_blocks
    low, high = 1, most + 1  # range of counts that may fit
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
        likely = n + encoder.gaussians_in(budget - used)
        count = likely if low <= likely < high else (low + high) // 2
        if used <= budget and likely < low:  # counts above the estimate turned out to fit: search a little further
            count = min(count, 2 * low - n)
        other = encode(job, count, budget, recounts=False)
        if len(other.data) > budget:
            high = min(high, count)
        if len(best.data) > budget or len(best.data) < len(other.data) <= budget:
            best = other
        elif len(other.data) <= budget:
            low = max(low, count + 1)
    return best
