"""Encoder of profile `packed`: Gaussians are fine-tuned on the lattice of their records."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.encoding.job import qat_task
from gscodec.encoding.profiles.encoder import FixedSizeEncoder, size_of
from gscodec.fit.loop import Fit
from gscodec.fit.packed import fine_tune_packed, typical_lattice
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.model.json_value import Json
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.packed import head_bytes
from gscodec.profiles.registry import PACKED


def typical_record_bytes(n_channels: int, *, is_tuned: bool) -> int:
    """Bytes per record if the settings leave them open: 6 for RGB, and one more where values are not fine-tuned."""
    return -(-(21 + 5 * n_channels) // 6) + (not is_tuned)


class PackedEncoder(FixedSizeEncoder):
    """See `ProfileEncoder`."""

    profile = PACKED
    room = (0.2, 1.4)
    """PSNR loss of fine-tuning on fixed-size records, and of pruning before it."""
    aimed_room = 0.7

    page_size = 64
    """Records per page; the head of a page stores their ranges. Pages twice as long lose 0.5 dB on kodim23 at 48-bit
    records and save 2.4 bits per Gaussian, which is about equal at the same file size."""

    @property
    def qat_steps(self) -> int:
        """See `ProfileEncoder.qat_steps`; none of blocks."""
        return 0 if self.job.regions is not None else super().qat_steps

    @property
    def record_bytes(self) -> int:
        """Bytes per record: 6 for RGB. Blocks are not fine-tuned; there one more byte costs less than it gains."""
        job = self.job
        if job.settings.record_bytes is not None:
            return job.settings.record_bytes
        return typical_record_bytes(len(job.grid.background), is_tuned=job.regions is None)

    @property
    def page_bytes(self) -> int:
        """See `FixedSizeEncoder.page_bytes`."""
        return super().page_bytes + head_bytes(len(self.job.grid.background))

    def size_of(self, n_gaussians: int, meta: dict[str, Json] | None) -> int:
        """See `FixedSizeEncoder.size_of`."""
        return size_of(self.job, n_gaussians, meta, self.page_size, PACKED, self.record_bytes)

    def fine_tuned(
        self,
        fit: Fit,
        n_steps: int,
        on_step: Callable[[int, float], None],
        share: float | None,  # noqa: ARG002  # record size is fixed
        excess: Callable[[Contents], float] | None = None,  # noqa: ARG002  # as are its steps
    ) -> Contents:
        """See `ProfileEncoder.fine_tuned`."""
        tuned = fine_tune_packed(
            qat_task(self.job, fit.lods),
            fit.gaussians,
            n_steps,
            page_size=self.page_size,
            record_bytes=self.record_bytes,
            on_step=on_step,
        )
        return self.job.contents(tuned.gaussians, fit.lods, tuned.lattice, self.page_size)

    def flat(self, gaussians: GaussianSet, lods: LodTable, colour: npt.NDArray[np.float32]) -> Contents:  # noqa: ARG002
        """See `ProfileEncoder.flat`."""
        return self._rounded(gaussians, lods)

    def of_blocks(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> Contents:  # noqa: ARG002
        """See `ProfileEncoder.of_blocks`: on a lattice of their own."""
        return self._rounded(gaussians, lods)

    def _rounded(self, gaussians: GaussianSet, lods: LodTable) -> Contents:
        """The contents of fitted Gaussians rounded to records without fine-tuning."""
        job = self.job
        ordered, lattice = typical_lattice(
            gaussians, lods, job.grid, job.stack.groups, self.page_size, self.record_bytes
        )
        return job.contents(ordered, lods, lattice, self.page_size)
