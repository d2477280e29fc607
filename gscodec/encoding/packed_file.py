"""A file of profile `packed` on its way: its Gaussians settle on the lattice of their records."""

from collections.abc import Callable

from gscodec.container.contents import Contents
from gscodec.encoding.job import PACKED_PAGE_SIZE, Job, settle_task
from gscodec.fit.loop import Fit
from gscodec.fit.packed import settle_packed, typical_lattice
from gscodec.model.gaussians import GaussianSet, LodTable


class PackedFile:
    """What the steps on the lattice ask of the file they lead to."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def settle(self, fit: Fit, n_steps: int, on_step: Callable[[int, float], None]) -> Contents:
        """The contents of a finished fit, without provenance."""
        job = self._job
        settled = settle_packed(
            settle_task(job, fit.lods),
            fit.gaussians,
            n_steps,
            page_size=PACKED_PAGE_SIZE,
            record_bytes=job.record_bytes,
            on_step=on_step,
        )
        return job.contents(settled.gaussians, fit.lods, settled.lattice, PACKED_PAGE_SIZE)

    def rounded(self, gaussians: GaussianSet, lods: LodTable) -> Contents:
        """The contents of fitted Gaussians that do not settle."""
        job = self._job
        ordered, lattice = typical_lattice(
            gaussians, lods, job.grid, job.stack.groups, PACKED_PAGE_SIZE, job.record_bytes
        )
        return job.contents(ordered, lods, lattice, PACKED_PAGE_SIZE)
