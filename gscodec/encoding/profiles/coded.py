"""Encoder of profile `coded`: number of Gaussians for a budget, and their lattice."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.encoding.job import Job, qat_task
from gscodec.encoding.profiles.encoder import EntropyCodedEncoder, size_of
from gscodec.encoding.provenance import META_SLACK
from gscodec.fit.lattices import plain_lattice
from gscodec.fit.loop import Fit
from gscodec.fit.qat import bits_for, count_for, fine_tune
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.model.json_value import Json
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.registry import CODED

TABLE_BYTES: Final = 200
"""Bytes of tables and page index of a small file, beyond its Gaussians and the sections that `f16` files have too: 110
in one of 2.4 KB, 200 in one of 9.8 KB. With an estimate far above, blocks get more Gaussians than their bytes hold."""


class CodedEncoder(EntropyCodedEncoder):
    """See `ProfileEncoder`."""

    profile = CODED
    can_recount = True
    page_size = 384
    """Records per page. Of two pictures of 0.7 and 1 MP at 1 bpp, pages of 512 save 0.2 % of bytes, and a tile meets
    a quarter more of them; pages of 256 cost 0.6 % more and save a fifth."""

    def __init__(self, job: Job, budget: int | None) -> None:
        super().__init__(job, budget)
        self._meta = self.planned_meta
        self._slack = META_SLACK if self._meta else 0

    @property
    def overhead(self) -> int:
        """See `ProfileEncoder.overhead`."""
        return self._overhead(self._meta)

    @cached_property
    def plain_overhead(self) -> int:
        """See `EntropyCodedEncoder.plain_overhead`."""
        return self._overhead(None)

    def _overhead(self, meta: dict[str, Json] | None) -> int:
        """Bytes without Gaussians; an `f16` file of one Gaussian stands for header, ICC profile and metadata."""
        return size_of(self.job, 1, meta) + TABLE_BYTES

    @property
    def block_budget(self) -> int | None:
        """See `ProfileEncoder.block_budget`."""
        return None if self.budget is None else self.budget - self._slack

    def recount(self, gaussians: GaussianSet, lods: LodTable) -> int:
        """See `ProfileEncoder.recount`."""
        assert self.block_budget is not None
        self.count = count_for(qat_task(self.job, lods), gaussians, self._sizes(lods), self.block_budget)
        return self.count

    def measure(self, gaussians: GaussianSet, lods: LodTable) -> None:
        """See `ProfileEncoder.measure`."""
        self.measured_bits, _ = bits_for(qat_task(self.job, lods), gaussians, self._sizes(lods))

    def _sizes(self, lods: LodTable) -> Callable[[GaussianSet, Lattice], tuple[int, int]]:
        """Function that returns the bytes of the file of a set on a lattice, and those of its pages."""

        def sizes(shown: GaussianSet, lattice: Lattice) -> tuple[int, int]:
            data = pack(self._contents(shown, lods, lattice))
            with IgsReader(data) as reader:
                return len(data), int(reader.pages.edges[-1])

        return sizes

    def fine_tuned(
        self,
        fit: Fit,
        n_steps: int,
        on_step: Callable[[int, float], None],
        share: float | None,
        excess: Callable[[Contents], float] | None = None,
    ) -> Contents:
        """See `ProfileEncoder.fine_tuned`."""

        def excess_of(shown: GaussianSet, lattice: Lattice) -> float:
            assert excess is not None
            return excess(self.of_blocks(shown, fit.lods.ending_at(len(shown)), lattice))

        tuned = fine_tune(
            qat_task(self.job, fit.lods),
            fit.gaussians,
            n_steps,
            size_of=lambda shown, lattice: self.size_of_blocks(shown, fit.lods.ending_at(len(shown)), lattice),
            budget=self.block_budget,
            share=share,
            excess=None if excess is None else excess_of,
            on_step=on_step,
        )
        return self.of_blocks(tuned.gaussians, fit.lods.ending_at(len(tuned.gaussians)), tuned.lattice)

    def flat(self, gaussians: GaussianSet, lods: LodTable, colour: npt.NDArray[np.float32]) -> Contents:
        """See `ProfileEncoder.flat`: one step of each feature is the colour itself."""
        job = self.job
        steps = np.where(colour == 0, np.float32(1), np.abs(colour))
        steps = steps if job.scales is None else steps * job.scales
        return job.contents(gaussians, lods, replace(plain_lattice(job.grid, len(colour)), feature_steps=steps))

    def size_of_blocks(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> int:
        """See `ProfileEncoder.size_of_blocks`, with provenance where that fits."""
        return len(pack(self._contents(gaussians, lods, lattice)))

    def of_blocks(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> Contents:
        """See `ProfileEncoder.of_blocks`."""
        return replace(self._contents(gaussians, lods, lattice), meta=None)

    def _contents(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> Contents:
        return self.job.contents(gaussians, lods, lattice, self.page_size, self._meta)
