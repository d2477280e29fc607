"""Number of Gaussians of each block, so that the file of the whole picture has the requested size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gscodec.fit.lattices import (
    Steps,
    balance,
    bits_of,
    choose_transform,
    make_lattice,
    snap,
    typical_step,
)
from gscodec.fit.qat import fitting_features, typical_share
from gscodec.fit.qat_task import QatTask, error_of
from gscodec.format.limits import generations_of
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.profiles.lattice import Lattice

LAST_BLOCK_SPREAD: Final = 0.06
"""Relative uncertainty of the bytes of one block for a given count. This fraction of the last block's budget is left
free, because no later block can compensate."""

WITHIN: Final = 0.955
"""Fraction of the budget from which on a file is accepted without another adjustment."""


@dataclass(frozen=True)
class Start:
    """Values shared by all blocks of a picture."""

    lods: LodTable  # with the estimated counts of the whole picture
    lattice: Lattice | None  # None if the profile has none
    bits: float  # estimated bits per Gaussian on the lattice


def common_start(
    samples: Sequence[tuple[QatTask, GaussianSet]],
    groups: tuple[ChannelGroup, ...],
    grid: Grid,
    counts: tuple[int, ...],
    page_size: int,
) -> tuple[Lattice, float]:
    """The lattice chosen for fits of some parts of a picture, and the bits per Gaussian on it.

    Args:
        grid, counts: of the whole picture.
    """
    features = np.concatenate([gaussians.features for _, gaussians in samples]).astype(np.float64)
    transform = choose_transform(features, groups, Steps().feature)
    each = [
        balance(gaussians, transform, task.grid, task.lods.counts, error_of(task))(typical_share(task, gaussians))
        for task, gaussians in samples
    ]
    fields = ("scale", "rotation", "position", "feature")
    mean = Steps(*(float(np.exp(np.mean([np.log(getattr(steps, field)) for steps in each]))) for field in fields))
    lattice = make_lattice(mean, transform, grid, counts)
    bits = sum(
        bits_of(gaussians, _cells_within(lattice, task.grid), task.grid, task.lods.counts, page_size)
        for task, gaussians in samples
    )
    return lattice, bits / sum(len(gaussians) for _, gaussians in samples)


def _cells_within(lattice: Lattice, grid: Grid) -> Lattice:
    """The lattice with no cell larger than twice the shorter side of a part of the picture."""
    largest = (2 * min(grid.width, grid.height)).bit_length() - 1
    return replace(lattice, cell_log2=tuple(min(cell, largest) for cell in lattice.cell_log2))


class Counts:
    """Allocates Gaussians block by block from what a byte budget, or a total count, has left.

    Args:
        shares: fraction of the picture's Gaussians for each block.
        least: minimum number of Gaussians per block.
        total: Gaussians of the picture, if a count is the target.
        budget: bytes of the file otherwise.
        overhead: bytes of a file without Gaussians.
        bits: estimated bits per Gaussian.
    """

    def __init__(
        self, shares: Sequence[float], least: int, total: int | None, budget: int | None, overhead: int, bits: float
    ) -> None:
        self._shares = np.maximum(np.asarray(shares, np.float64), 1e-12)
        self._least = least
        self._total = total
        self._overhead = overhead
        self._bits = bits
        spread = LAST_BLOCK_SPREAD * float(self._shares[-1] / self._shares.sum())
        self._aim = None if budget is None else budget * (1 - min(0.03, 0.003 + spread))
        self._measured = (0, overhead)  # Gaussians so far, and bytes of their file

    def wants_size(self, block: int) -> bool:
        """Whether to measure the file size before this block: each time the remaining share has halved."""
        n_left, n = len(self._shares) - block, len(self._shares)
        return self._total is None and block > 0 and any(n_left == n >> k for k in range(1, n.bit_length()))

    def measured(self, n_gaussians: int, n_bytes: int) -> None:
        """Record the measured file size of the Gaussians so far."""
        self._measured = n_gaussians, n_bytes
        self._bits = max(1.0, 8 * (n_bytes - self._overhead) / n_gaussians)

    def likely_total(self, done: int) -> int:
        """Estimated total number of Gaussians of the picture, after `done` of them."""
        if self._total is not None:
            return self._total
        assert self._aim is not None
        count, n_bytes = self._measured
        return count + max(int(8 * (self._aim - n_bytes) / self._bits), done - count)

    def of(self, block: int, done: int) -> int:
        """Number of Gaussians to allocate to a block, given that `done` exist already."""
        part = float(self._shares[block] / self._shares[block:].sum())
        kept = self._least * (len(self._shares) - block)  # minimum for this block and all later ones
        return self._least + round(max(0, self.likely_total(done) - done - kept) * part)


def within_budget(
    gaussians: GaussianSet,
    lods: LodTable,
    lattice: Lattice,
    grid: Grid,
    size_of: Callable[[GaussianSet, Lattice], int],
    budget: int,
) -> tuple[GaussianSet, Lattice]:
    """Quantised Gaussians and their lattice, with other feature steps if the file misses its budget."""
    if WITHIN * budget <= size_of(gaussians, lattice) <= budget:
        return gaussians, lattice
    generations = generations_of(lods.counts)
    lattice = fitting_features(
        lattice,
        typical_step(gaussians, lattice, grid, generations),
        lambda steps: size_of(snap(gaussians, steps, grid, generations), steps),
        budget,
    )
    return snap(gaussians, lattice, grid, generations), lattice
