"""A file of profile `coded` on its way: how many Gaussians it holds, and which lattice they lie on."""

from collections.abc import Callable
from dataclasses import replace

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.encoding.job import CODED_OVERHEAD, Job, settle_task
from gscodec.encoding.packing import META_SLACK, planned_provenance
from gscodec.fit.loop import Fit
from gscodec.fit.settling import count_for, settle
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.profiles.lattice import Lattice

CODED_PAGE_SIZE = 512
"""Records of a coded page: about as many bytes as 160 records of RGB in `f16`."""


class CodedFile:
    """What the steps on the lattice ask of the file they lead to.

    Args:
        budget: its most bytes; None is any number.
    """

    def __init__(self, job: Job, budget: int | None) -> None:
        self._job = job
        self.count: int | None = None  # as recounted
        self._meta = planned_provenance(job, budget)
        self.budget = None if budget is None else budget - (META_SLACK if self._meta else 0)

    @property
    def overhead(self) -> int:
        """Bytes of a file without Gaussians."""
        return self._job.size_of(1, self._meta) + CODED_OVERHEAD

    def contents(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> Contents:
        """A file of fitted Gaussians and the lattice they lie on, or may."""
        return self._job.contents(gaussians, lods, lattice, CODED_PAGE_SIZE, self._meta)

    def recount(self, gaussians: GaussianSet, lods: LodTable) -> int:
        """How many Gaussians the budget will hold, judged by those there are."""

        def size_of(shown: GaussianSet, lattice: Lattice) -> tuple[int, int]:
            data = pack(self.contents(shown, lods, lattice))
            with IgsReader(data) as reader:
                return len(data), int(reader.pages.edges[-1])

        assert self.budget is not None
        self.count = count_for(settle_task(self._job, lods), gaussians, size_of, self.budget)
        return self.count

    def settle(
        self, fit: Fit, n_steps: int, on_step: Callable[[int, float], None], share: float | None = None
    ) -> Contents:
        """The contents of a finished fit, without provenance; `share` as in `settle`."""
        settled = settle(
            settle_task(self._job, fit.lods),
            fit.gaussians,
            n_steps,
            size_of=lambda shown, lattice: len(pack(self.contents(shown, fit.lods.ending_at(len(shown)), lattice))),
            budget=self.budget,
            share=share,
            on_step=on_step,
        )
        lods = fit.lods.ending_at(len(settled.gaussians))
        return replace(self.contents(settled.gaussians, lods, settled.lattice), meta=None)
