"""A file of profile `small` on its way: its Gaussians settle on the lattice that its few bytes allow."""

from collections.abc import Callable
from dataclasses import replace

from gscodec.container.contents import Contents
from gscodec.container.writer import packed_size
from gscodec.encoding.job import Job, settle_task
from gscodec.encoding.packing import small_provenance
from gscodec.fit.loop import Fit
from gscodec.fit.settling import settle
from gscodec.format.profile_table import MAX_SMALL_BYTES
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.profiles.lattice import Lattice


class SmallFile:
    """What the steps on the lattice ask of the file they lead to.

    Args:
        budget: its most bytes; None is any number.
    """

    def __init__(self, job: Job, budget: int | None) -> None:
        self._job, self._budget = job, budget

    def contents(self, gaussians: GaussianSet, lattice: Lattice) -> Contents:
        """A file of fitted Gaussians on a lattice."""
        return self._job.contents(
            gaussians, LodTable.single(len(gaussians)), lattice, meta=small_provenance(self._job, 29.97)
        )

    def settle(
        self, fit: Fit, n_steps: int, on_step: Callable[[int, float], None], share: float | None = None
    ) -> Contents:
        """The contents of a finished fit; `share` as in `settle`, as long as such a file can have the bytes."""
        contents = self._settled(fit, n_steps, on_step, self._budget, share)
        if packed_size(contents) > MAX_SMALL_BYTES and self._budget is None:
            contents = self._settled(fit, n_steps, on_step, MAX_SMALL_BYTES, None)
        return contents

    def _settled(
        self, fit: Fit, n_steps: int, on_step: Callable[[int, float], None], budget: int | None, share: float | None
    ) -> Contents:
        settled = settle(
            replace(settle_task(self._job, fit.lods), small=True, scales=self._job.scales),
            fit.gaussians,
            n_steps,
            size_of=lambda shown, lattice: packed_size(self.contents(shown, lattice)),
            budget=budget,
            share=share,
            on_step=on_step,
        )
        return self.contents(settled.gaussians, settled.lattice)
