"""The levels of detail of a file: nested generations of its finest set, and coarser sets made of smaller pictures.

A coarser set is encoded as a file of its own of the picture averaged over squares, of a share of the bytes. So each is
as good as a file of its size, and the finest set pays for the bytes alone (benchmarks/notes/levels.md).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gscodec.container.rewrite import CoarserSet, coarser_set, is_one_piece
from gscodec.encoding.job import Job
from gscodec.encoding.packing import Encoded
from gscodec.format.profile_table import MAX_SMALL_BYTES
from gscodec.format.tables import pack_channels
from gscodec.image.reduced import ReducedRegions, reduced_size, reduced_stack, square_means
from gscodec.image.regions import Rect, Regions, RegionSource, StackRegions
from gscodec.image.stack import ImageStack
from gscodec.model.constants import LARGE_PIXELS
from gscodec.model.gaussians import Grid

SET_RATIO: Final = 16
"""Bytes of a set, or of the file, for each byte of the next coarser set."""

SIDE_LOG2: Final = 2
"""Binary logarithm of the ratio of the sides of the pixels of neighbouring sets: as many bytes per pixel in each."""

GENERATIONS: Final = 3
"""Most levels of the finest set: the whole, a half and a quarter of its Gaussians."""

PLACEHOLDER_BYTES: Final = 1024
"""Bytes of the coarsest set, at most, where the number of levels is open."""

MOST_SETS: Final = 5
"""Most coarser sets: the pixels of the last are 1024 px wide."""

LEAST_BYTES: Final = 160
"""Bytes of a coarser set, at least, but no more than an eighth of the file: some twenty Gaussians beside its header."""

TIME_SHARE: Final = 0.08
"""Share of a time budget for each coarser set."""


@dataclass(frozen=True)
class Ladder:
    """Levels of detail: those of the finest set, and the number of coarser sets of one level."""

    generations: int
    n_coarser: int

    @staticmethod
    def of(n_lods: int) -> "Ladder":
        """The default ladder of n_lods levels: one coarser set from two levels on, several from five on."""
        n_coarser = min(MOST_SETS, n_lods - 1, max(1, n_lods - GENERATIONS))
        return Ladder(n_lods - n_coarser, n_coarser)

    @staticmethod
    def for_bytes(n_bytes: int) -> "Ladder":
        """The default ladder of a file of that size: the coarsest set is a placeholder."""
        n_coarser = 1
        while n_bytes // SET_RATIO**n_coarser > PLACEHOLDER_BYTES and n_coarser < MOST_SETS:
            n_coarser += 1
        return Ladder(GENERATIONS, n_coarser)


def share_of(n_bytes: int, number: int) -> int:
    """Bytes of the chunk of coarser set `number`, from 1, and of its entry in the table of contents."""
    share: int = n_bytes // SET_RATIO**number
    return max(min(LEAST_BYTES, n_bytes // 8), share)


def encode_coarser(
    job: Job, n_bytes: int, n_coarser: int, encode: Callable[[Job, int], Encoded]
) -> tuple[CoarserSet, ...]:
    """Coarser sets for a file of n_bytes, coarsest first.

    Args:
        job: of the file.
        encode: makes the file of a job that has at most a number of bytes.
    """
    sets: list[CoarserSet] = []
    for number in range(1, n_coarser + 1):
        side_log2 = SIDE_LOG2 * number
        share = share_of(n_bytes, number)
        reduced = _reduced(job, 1 << side_log2, is_timed=share > MAX_SMALL_BYTES)
        channels = len(pack_channels(reduced.groups, reduced.grid.background))
        file = encode(reduced, share + channels)  # which the file has, and its set has not
        sets.insert(0, coarser_set(file.data, side_log2))
    return tuple(sets)


def may_have_sets(data: bytes) -> bool:
    """Whether a file can have coarser sets."""
    return not is_one_piece(data)


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
        grid=Grid(height, width, background, job.grid.top_k, job.grid.support_q),
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
