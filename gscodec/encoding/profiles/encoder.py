"""What the encoder asks of a profile: how large files become, and how a finished fit becomes the Gaussians of one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.container.writer import file_size, pack
from gscodec.encoding.job import Job
from gscodec.encoding.provenance import META_SLACK, TYPICAL_DB, provenance, provenance_fits
from gscodec.encoding.psnr_search import LossRange
from gscodec.fit.loop import Fit
from gscodec.fit.schedule import lod_counts
from gscodec.format.layout import PAGE_ENTRY
from gscodec.model.constants import DEFAULT_PAGE_SIZE, MAX_GAUSSIANS
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.model.json_value import Json
from gscodec.profiles.base import FixedSizeProfile, Profile
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.registry import F16

QAT_SHARE: Final = 0.15
"""Steps of quantisation-aware fine-tuning, as a share of a number of steps that the settings ask for."""

SHAPE_BITS: Final = 28.0
"""Bits an entropy-coded Gaussian takes without its features, where there is no better guess; how finely they are stored
is what makes a file as large as it was asked to be."""

FEATURE_BITS: Final = 4.3
"""Bits of each entropy-coded feature, likewise."""


class ProfileEncoder(ABC):
    """One file on its way.

    Args:
        job: picture and settings.
        budget: most bytes of the file; None is any number.
    """

    profile: ClassVar[Profile]
    losses: ClassVar[LossRange]  # dB that the file may have less than the fit, where a PSNR is the target
    absorbs_loss: ClassVar[bool] = False  # whether such a loss is spent on coarser steps; else on fewer Gaussians
    size_is_known: ClassVar[bool] = False  # whether the size of a file follows from the number of its Gaussians
    can_recount: ClassVar[bool] = False
    page_size: ClassVar[int] = DEFAULT_PAGE_SIZE  # records of a page
    max_gaussians: ClassVar[int] = MAX_GAUSSIANS
    restarts: ClassVar[Sequence[tuple[float, int]]] = ()
    """Factors on the likely count, and what is added to the seed, of fits of which the best is kept; empty is one."""

    def __init__(self, job: Job, budget: int | None) -> None:
        self.job, self.budget = job, budget
        self.count: int | None = None  # as recounted

    @classmethod
    def suited(cls, job: Job) -> Job:
        """The job with those settings that the profile allows."""
        return job

    @property
    def qat_steps(self) -> int:
        """Steps of quantisation-aware fine-tuning after the fit."""
        steps = self.job.settings.steps
        return int(self.job.preset.qat_steps if steps is None else math.ceil(QAT_SHARE * steps))

    @abstractmethod
    def likely_size(self, n_gaussians: int) -> int:
        """Bytes of a file without provenance; exact where `size_is_known`."""

    @abstractmethod
    def count_for(self, most: int) -> int:
        """The most Gaussians whose file, provenance included where it fits, is within the budget; 1 to `most`.

        As many as are likely to fit, where sizes are not known ahead.
        """

    @abstractmethod
    def gaussians_in(self, n_bytes: int) -> int:
        """Gaussians that are likely to take so many bytes; negative for a negative number of them."""

    def recount(self, gaussians: GaussianSet, lods: LodTable) -> int:
        """How many Gaussians the budget will hold, judged by those there are. For a profile that `can_recount`."""
        raise NotImplementedError

    @abstractmethod
    def fine_tuned(
        self, fit: Fit, n_steps: int, on_step: Callable[[int, float], None], share: float | None
    ) -> Contents:
        """The contents of a finished fit, after quantisation-aware fine-tuning.

        Args:
            n_steps: `qat_steps`.
            on_step: called with the number of steps done and the mean squared error.
            share: as in `fit.qat.fine_tune`, where the profile `absorbs_loss` and there is no budget.
        """

    @abstractmethod
    def flat(self, gaussians: GaussianSet, lods: LodTable, colour: npt.NDArray[np.float32]) -> Contents:
        """The contents of one Gaussian of a colour (C,), as near to it as the profile holds it."""

    # Pictures that are encoded block by block.

    @property
    def block_budget(self) -> int | None:
        """Byte budget of all blocks together; None if the number of Gaussians is known before the fit."""
        return None

    @property
    @abstractmethod
    def overhead(self) -> int:
        """Likely bytes of a file without Gaussians, provenance included where it fits."""

    def size_of_blocks(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> int:
        """Bytes of a file of Gaussians of blocks."""
        return len(pack(self.of_blocks(gaussians, lods, lattice)))

    def of_blocks(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> Contents:
        """The contents of Gaussians of all blocks, on the lattice they were fitted on, if they were on one.

        For a profile whose files are not in one piece.
        """
        raise NotImplementedError

    # Provenance.

    @property
    def planned_meta(self) -> dict[str, Json] | None:
        """Provenance as long as it will be, for sizes that are planned; None where it does not fit the budget."""
        return provenance(self.job, TYPICAL_DB) if provenance_fits(self.job, self.budget) else None

    def metas(self, psnr: float) -> list[dict[str, Json]]:
        """What the file may say of its making, the best first; empty where it says nothing."""
        return [provenance(self.job, psnr)] if provenance_fits(self.job, self.budget) else []


def size_of(
    job: Job,
    n_gaussians: int,
    meta: dict[str, Json] | None,
    page_size: int = DEFAULT_PAGE_SIZE,
    profile: FixedSizeProfile = F16,
    record_bytes: int | None = None,
) -> int:
    """Bytes of a file of n_gaussians Gaussians in a profile where they follow from their number."""
    counts, stack = lod_counts(n_gaussians, job.lods), job.stack
    return file_size(
        job.grid,
        job.groups,
        counts,
        stack.icc,
        meta,
        page_size,
        stack.files,
        profile=profile,
        record_bytes=record_bytes,
        metadata=job.metadata,
    )


class FixedSizeEncoder(ProfileEncoder):
    """Of a profile in which the size of a file follows from the number of its Gaussians."""

    size_is_known = True

    @abstractmethod
    def size_of(self, n_gaussians: int, meta: dict[str, Json] | None) -> int:
        """Bytes of a file; exact unless it is of blocks."""

    @property
    def page_bytes(self) -> int:
        """Bytes that another page takes beside its records."""
        return PAGE_ENTRY.size

    def likely_size(self, n_gaussians: int) -> int:
        """See `ProfileEncoder.likely_size`."""
        return self.size_of(n_gaussians, None)

    @property
    def overhead(self) -> int:
        """See `ProfileEncoder.overhead`."""
        return self.size_of(1, self.planned_meta)

    def count_for(self, most: int) -> int:
        """See `ProfileEncoder.count_for`."""
        assert self.budget is not None
        meta = self.planned_meta
        spare = META_SLACK if meta else 0
        if self.job.regions is not None:  # blocks spread generations in ways of their own
            spare += self.job.lods * self.page_bytes
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.size_of(middle, meta) + spare <= self.budget:
                low = middle
            else:
                high = middle - 1
        return low

    def gaussians_in(self, n_bytes: int) -> int:
        """See `ProfileEncoder.gaussians_in`."""
        return n_bytes // (self.size_of(2, None) - self.size_of(1, None))


class EntropyCodedEncoder(ProfileEncoder):
    """Of a profile whose files are as large as their contents need: steps of features make up for a wrong guess."""

    absorbs_loss = True
    losses = LossRange((0.12, 1.1), (0.03, 4.0))
    """What fine-tuning may cost. On three pictures the bytes at equal PSNR are within 4 % of the least from 0.15 to
    1.0 dB."""

    @property
    def gaussian_bits(self) -> float:
        """Likely bits of a Gaussian."""
        return SHAPE_BITS + FEATURE_BITS * len(self.job.grid.background)

    @property
    @abstractmethod
    def plain_overhead(self) -> int:
        """Likely bytes of a file without Gaussians and provenance."""

    @property
    def block_budget(self) -> int | None:
        """See `ProfileEncoder.block_budget`."""
        return self.budget

    def count_for(self, most: int) -> int:
        """See `ProfileEncoder.count_for`."""
        assert self.block_budget is not None
        return min(most, max(1, self.gaussians_in(self.block_budget - self.overhead)))

    def gaussians_in(self, n_bytes: int) -> int:
        """See `ProfileEncoder.gaussians_in`."""
        return int(8 * n_bytes / self.gaussian_bits)

    def likely_size(self, n_gaussians: int) -> int:
        """See `ProfileEncoder.likely_size`."""
        return self.plain_overhead + int(n_gaussians * self.gaussian_bits / 8)
