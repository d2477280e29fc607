"""The levels of detail of a file: nested generations of its finest set, and coarser sets made of smaller pictures.

A coarser set is encoded as a file of its own of the picture averaged over squares, or of a mip that came with it, of a
share of the bytes. So each is
as good as a file of its size, and the finest set pays for the bytes alone. Nested generations cost it more, and are
there on request (benchmarks/notes/levels.md).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gscodec.container.rewrite import CoarserSet, coarser_set, is_one_piece
from gscodec.container.small import layout_of
from gscodec.encoding.job import Job
from gscodec.encoding.packing import Encoded
from gscodec.encoding.progress import part_of
from gscodec.encoding.source_mips import mip_samples
from gscodec.format.profile_table import MAX_SMALL_BYTES
from gscodec.format.tables import pack_channels
from gscodec.image.reduced import ReducedRegions, reduced_size, reduced_stack, square_means
from gscodec.image.regions import Rect, Regions, RegionSource, StackRegions
from gscodec.image.stack import ImageStack
from gscodec.model.constants import LARGE_PIXELS
from gscodec.model.gaussians import Grid

SMALLER: Final = 64
"""Bytes of a file for each byte of its first coarser set; as many pixels for each of this set's."""

SET_RATIO: Final = 4
"""Bytes, and pixels, of a coarser set for each of the next one: as many bytes per pixel in each."""

SIDE_LOG2: Final = 3
"""Binary logarithm of the side of the pixels of the first coarser set, px; of the next ones one more each."""

LEVELS_SHARE: Final = SET_RATIO / (SET_RATIO - 1) / SMALLER
"""Share of the bytes of a large file that its coarser sets take."""

ALONE_RATIO: Final = 48
ALONE_BYTES: Final = 256
"""A coarser set that is the only one of a file has one of ALONE_RATIO bytes, but ALONE_BYTES at most, or its share."""

N_SETS: Final = 3
"""Coarser sets, at least, of files of FOUR_LEVELS bytes and more, where the number of levels is open."""

FOUR_LEVELS: Final = 8192
"""Bytes of a file from which LOD 3 is there. Three coarser sets take 4 % of them, of smaller files more."""

PLACEHOLDER_BYTES: Final = 1024
"""Bytes of the coarsest set, at most, where the number of levels is open."""

COARSEST_RATIO: Final = 160
COARSEST_BYTES: Final = 112
"""The coarsest of several sets has one of COARSEST_RATIO bytes, but COARSEST_BYTES at most, or its share."""

MOST_SETS: Final = 8
"""Most coarser sets: the pixels of the last are 1024 px wide."""

LEAST_GAUSSIANS: Final = 5
HEAD_BYTES: Final = 33
"""Gaussians of a coarser set, at least, and the bytes of its file besides those and its quantiser steps."""

LEAST_WORK: Final = 0.02
"""Share of the work of an encode that a set takes at least, however small."""

TIME_SHARE: Final = 0.03
"""Share of a time budget for each coarser set that takes long."""


@dataclass(frozen=True)
class Ladder:
    """Levels of detail: those of the finest set, and the number of coarser sets of one level."""

    generations: int
    n_coarser: int

    @staticmethod
    def of(n_lods: int, halves: int = 0) -> "Ladder":
        """The ladder of n_lods levels, of which `halves` are nested in the finest set, or more where sets run out."""
        n_coarser = min(MOST_SETS, n_lods - 1 - min(halves, n_lods - 1))
        return Ladder(n_lods - n_coarser, n_coarser)

    @staticmethod
    def for_bytes(n_bytes: int, halves: int = 0) -> "Ladder":
        """The default ladder of a file of that size: the coarsest set is a placeholder."""
        n_coarser = N_SETS if n_bytes >= FOUR_LEVELS else 1
        while n_bytes // (SMALLER * SET_RATIO ** (n_coarser - 1)) > PLACEHOLDER_BYTES and n_coarser < MOST_SETS:
            n_coarser += 1
        return Ladder(1 + halves, n_coarser)


def shares_of(n_bytes: int, n_coarser: int, n_channels: int = 3) -> list[int]:
    """Bytes of coarser sets of a file of n_bytes as files of their own, the finest first; their chunks take fewer."""
    least = HEAD_BYTES + n_channels + LEAST_GAUSSIANS * (28 + 4 * n_channels) // 8
    first = max(least, n_bytes // SMALLER)
    if n_coarser == 1:
        return [max(first, min(n_bytes // ALONE_RATIO, ALONE_BYTES))]
    share: int = n_bytes // (SMALLER * SET_RATIO ** (n_coarser - 1))
    last = min(first, max(least, share, min(n_bytes // COARSEST_RATIO, COARSEST_BYTES)))
    return [round(first * (last / first) ** (number / (n_coarser - 1))) for number in range(n_coarser)]


def encode_coarser(
    job: Job, n_bytes: int, n_coarser: int, encode: Callable[[Job, int], Encoded]
) -> tuple[CoarserSet, ...]:
    """Coarser sets for a file of n_bytes, coarsest first.

    Args:
        job: of the file.
        encode: makes the file of a job that has at most a number of bytes.
    """
    sets: list[CoarserSet] = []
    if not n_coarser:
        return ()
    works, done = work_shares(n_coarser), 0.0
    for number, share in enumerate(shares_of(n_bytes, n_coarser, len(job.grid.background))):
        part = works[number] / sum(works)
        progress = part_of(job.progress, done, part, f"level {number + 1} of {n_coarser}")
        done += part
        side_log2 = SIDE_LOG2 + number
        reduced = replace(_reduced(job, 1 << side_log2, is_timed=share > MAX_SMALL_BYTES), progress=progress)
        file = encode(reduced, share + _channel_bytes(reduced, share))
        sets.insert(0, coarser_set(file.data, side_log2))
    return tuple(sets)


def work_shares(n_coarser: int) -> list[float]:
    """Share of the work of an encode that each coarser set takes, the finest of them first."""
    return [max(4.0 ** -(SIDE_LOG2 + number), LEAST_WORK) for number in range(n_coarser)]


def may_have_sets(data: bytes) -> bool:
    """Whether a file can have coarser sets."""
    return not is_one_piece(data)


def _channel_bytes(job: Job, share: int) -> int:
    """Bytes of the channel groups in the file of a set, which the set leaves out; few files of `small` have any."""
    if share <= MAX_SMALL_BYTES and layout_of(job.groups):
        return 0
    return len(pack_channels(job.groups, job.grid.background))


def _reduced(job: Job, side: int, *, is_timed: bool) -> Job:
    """The job of a set whose pixels are side px wide, on its own.

    Args:
        is_timed: whether it gets a share of the time budget; sets of a few hundred Gaussians take little of it.
    """
    stack, regions = _reduced_source(job, side)
    height, width = reduced_size(job.grid.height, job.grid.width, side)
    background = job.grid.background
    if isinstance(stack, ImageStack) and regions is None:
        background = stack.samples.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    importance = None
    if job.importance is not None:
        importance = square_means(job.importance[:, :, None], side)[:, :, 0]
        importance = np.ascontiguousarray(importance / importance.mean(dtype=np.float64), np.float32)
    now = time.perf_counter()
    settings = job.settings.changed({"lods": 1})
    if job.deadline is None or not is_timed:
        settings = settings.changed({"time_budget": None})
    else:
        settings = settings.changed({"time_budget": max(0.01, TIME_SHARE * (job.deadline - now))})
    return Job(
        stack=stack,
        grid=Grid(height, width, background, job.grid.top_k, job.grid.support_q, side.bit_length() - 1),
        settings=settings,
        rasterizer=job.rasterizer,
        started=now,
        regions=regions,
        importance=importance,
        has_provenance=False,
    )


def _reduced_source(job: Job, side: int) -> tuple[ImageStack | RegionSource, Regions | None]:
    """The smaller picture, and its regions if it is too large for one fit."""
    if isinstance(job.stack, ImageStack):
        stack = reduced_stack(job.stack, side)
        samples = mip_samples(job.mips, stack.groups, (job.grid.height, job.grid.width), side)
        stack = stack if samples is None else replace(stack, samples=samples)
        return stack, StackRegions(stack) if _in_blocks(job, stack.samples.shape[:2]) else None
    parts = ReducedRegions(job.stack, side)
    height, width, _ = parts.shape
    if _in_blocks(job, (height, width)):
        return parts, parts
    return ImageStack(parts.read(Rect(0, 0, width, height)), parts.groups, source_name=job.stack.source_name), None


def _in_blocks(job: Job, size: Sequence[int]) -> bool:
    """Whether a smaller picture is encoded in blocks: as the picture is, where it is larger than one."""
    height, width = size
    if job.regions is None:
        return False
    block = job.settings.block
    return height * width > LARGE_PIXELS if block is None else max(height, width) > block
