"""`ProfileEncoder`: file sizes of a profile, and the conversion of a finished fit to the contents of its file."""

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
"""Steps of quantisation-aware fine-tuning, as a fraction of the number of steps in the settings."""

SHAPE_BITS: Final = 28.0
"""Default estimate of the bits of an entropy-coded Gaussian without its features, whose steps are adjusted to meet the
target size."""

FEATURE_BITS: Final = 4.3
"""Default estimate of the bits of each entropy-coded feature."""


class ProfileEncoder(ABC):
    """Encoder of one file.

    Args:
        job: picture and settings.
        budget: maximum bytes of the file; None means no limit.
    """

    profile: ClassVar[Profile]
    room: ClassVar[tuple[float, float]]
    """Least and greatest distance in dB between a fit and a target PSNR at which the fit is made into a file."""
    aimed_room: ClassVar[float]  # dB, of fits for a target PSNR
    absorbs_loss: ClassVar[bool] = False  # whether that distance is spent on coarser steps; else on fewer Gaussians
    size_is_known: ClassVar[bool] = False  # whether the file size follows from the number of Gaussians
    can_recount: ClassVar[bool] = False
    page_size: ClassVar[int] = DEFAULT_PAGE_SIZE  # records per page
    max_gaussians: ClassVar[int] = MAX_GAUSSIANS
    restarts: ClassVar[Sequence[tuple[float, int]]] = ()
    """Factor on the estimated count and offset of the seed of each fit, of which the best is kept; empty means one
    fit."""

    def __init__(self, job: Job, budget: int | None) -> None:
        self.job, self.budget = job, budget
        self.count: int | None = None  # result of `recount`

    @classmethod
    def suited(cls, job: Job) -> Job:
        """The job with its settings restricted to what the profile supports."""
        return job

    @property
    def qat_steps(self) -> int:
        """Steps of quantisation-aware fine-tuning after the fit."""
        steps = self.job.settings.steps
        return int(self.job.preset.qat_steps if steps is None else math.ceil(QAT_SHARE * steps))

    @abstractmethod
    def likely_size(self, n_gaussians: int) -> int:
        """Bytes of a file without provenance; exact if `size_is_known`, else an estimate."""

    @abstractmethod
    def count_for(self, most: int) -> int:
        """The maximum number of Gaussians, 1 to `most`, whose file, with provenance if it fits, is within the budget.

        An estimate if sizes are not known ahead.
        """

    @abstractmethod
    def gaussians_in(self, n_bytes: int) -> int:
        """Estimated number of Gaussians in n_bytes bytes; negative for negative n_bytes."""

    @property
    @abstractmethod
    def gaussian_bits(self) -> float:
        """Bits of another Gaussian; an estimate if sizes are not known ahead."""

    def measure(self, gaussians: GaussianSet, lods: LodTable) -> None:  # noqa: B027  # most profiles know their sizes
        """Correct `gaussian_bits` by present Gaussians of a fit, shown by levels `lods`."""

    def recount(self, gaussians: GaussianSet, lods: LodTable) -> int:
        """Number of Gaussians that fit into the budget, estimated from present ones, if the profile `can_recount`."""
        raise NotImplementedError

    @abstractmethod
    def fine_tuned(
        self,
        fit: Fit,
        n_steps: int,
        on_step: Callable[[int, float], None],
        share: float | None,
        excess: Callable[[Contents], float] | None = None,
    ) -> Contents:
        """The contents of a finished fit, after quantisation-aware fine-tuning.

        Args:
            n_steps: `qat_steps`.
            on_step: called with the number of steps done and the mean squared error.
            share, excess: as in `fit.qat.fine_tune`, if the profile `absorbs_loss` and there is no budget.
        """

    @abstractmethod
    def flat(self, gaussians: GaussianSet, lods: LodTable, colour: npt.NDArray[np.float32]) -> Contents:
        """The contents of one Gaussian of colour (C,), rounded to the profile's precision."""

    # Pictures that are encoded block by block.

    @property
    def block_budget(self) -> int | None:
        """Byte budget of all blocks together; None if the number of Gaussians is known before the fit."""
        return None

    @property
    @abstractmethod
    def overhead(self) -> int:
        """Estimated bytes of a file without Gaussians, with provenance if it fits."""

    def size_of_blocks(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> int:
        """Bytes of a file of the Gaussians of all blocks."""
        return len(pack(self.of_blocks(gaussians, lods, lattice)))

    def of_blocks(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> Contents:
        """The contents of the Gaussians of all blocks, on the lattice of their fit, if any.

        For profiles that can encode in blocks.
        """
        raise NotImplementedError

    # Provenance.

    @property
    def planned_meta(self) -> dict[str, Json] | None:
        """Provenance at its expected length, for planned sizes; None if it does not fit into the budget."""
        return provenance(self.job, TYPICAL_DB) if provenance_fits(self.job, self.budget) else None

    def metas(self, psnr: float) -> list[dict[str, Json]]:
        """Candidates for the file's provenance, most detailed first; empty means none."""
        return [provenance(self.job, psnr)] if provenance_fits(self.job, self.budget) else []


def size_of(
    job: Job,
    n_gaussians: int,
    meta: dict[str, Json] | None,
    page_size: int = DEFAULT_PAGE_SIZE,
    profile: FixedSizeProfile = F16,
    record_bytes: int | None = None,
) -> int:
    """Bytes of a file of n_gaussians Gaussians in a fixed-size profile."""
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
        grain=job.stored_grain,
    )


class FixedSizeEncoder(ProfileEncoder):
    """Encoder of a profile whose file size follows from the number of Gaussians."""

    size_is_known = True

    @abstractmethod
    def size_of(self, n_gaussians: int, meta: dict[str, Json] | None) -> int:
        """Bytes of a file; exact unless it is encoded in blocks."""

    @property
    def page_bytes(self) -> int:
        """Bytes of a page beyond its records."""
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
        if self.job.regions is not None:  # each block rounds its generations
            spare += self.job.lods * self.page_bytes
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.size_of(middle, meta) + spare <= self.budget:
                low = middle
            else:
                high = middle - 1
        return low

    @property
    def gaussian_bits(self) -> float:
        """See `ProfileEncoder.gaussian_bits`, of full pages."""
        n = self.page_size
        return 8 * (self.size_of(3 * n, None) - self.size_of(2 * n, None)) / n

    def gaussians_in(self, n_bytes: int) -> int:
        """See `ProfileEncoder.gaussians_in`."""
        return n_bytes // (self.size_of(2, None) - self.size_of(1, None))


class EntropyCodedEncoder(ProfileEncoder):
    """Encoder of a profile with variable-size records: feature steps are adjusted to correct a wrong estimate."""

    absorbs_loss = True
    room = (0.12, 1.6)
    """PSNR loss of fine-tuning. On three pictures the bytes at equal PSNR are within 4 % of the minimum from 0.15 to
    1.0 dB."""
    aimed_room = 0.6

    measured_bits: float | None = None  # per Gaussian of the finished set, measured during its fit

    @property
    def gaussian_bits(self) -> float:
        """See `ProfileEncoder.gaussian_bits`."""
        return self.measured_bits or SHAPE_BITS + FEATURE_BITS * len(self.job.grid.background)

    @property
    @abstractmethod
    def plain_overhead(self) -> int:
        """Estimated bytes of a file without Gaussians and provenance."""

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
