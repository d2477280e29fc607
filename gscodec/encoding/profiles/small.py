"""Encoder of profile `small`: Gaussians are fine-tuned on one of the few lattices that its header can store."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.container.writer import packed_size
from gscodec.encoding.job import Job, qat_task
from gscodec.encoding.profiles.encoder import EntropyCodedEncoder
from gscodec.encoding.provenance import TYPICAL_DB, rounded_psnr
from gscodec.fit.loop import Fit
from gscodec.fit.qat import fine_tune
from gscodec.format.profile_table import MAX_SMALL_BYTES
from gscodec.model.channels import SampleType
from gscodec.model.constants import EXACT_DB
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.model.json_value import Json
from gscodec.profiles.lattice import Lattice, power
from gscodec.profiles.registry import SMALL
from gscodec.profiles.small_codec import lattice_of
from gscodec.profiles.small_steps import FEATURE_UNITS, MAX_SCALE_STEP, MAX_STEP, SmallSteps

FINEST: Final = 24
"""Minimum feature step as a negative power of two: the precision of binary32."""


class SmallEncoder(EntropyCodedEncoder):
    """See `ProfileEncoder`. Without notes in the settings files say nothing of their making."""

    profile = SMALL
    max_gaussians = MAX_SMALL_BYTES // 3  # a record takes at least 3 bytes
    restarts = ((1.0, 0), (0.8, 1), (1.0, 2), (1.25, 3))
    """Fits of few Gaussians vary by about a decibel and take little time."""

    @classmethod
    def suited(cls, job: Job) -> Job:
        """See `ProfileEncoder.suited`: one level of detail, one block, no name of the source."""
        return replace(job.changed(lods=1, record_bytes=None, block=None), source_name="")

    @cached_property
    def overhead(self) -> int:
        """See `ProfileEncoder.overhead`."""
        job = self.job
        n_channels = len(job.grid.background)
        flat = GaussianSet(np.zeros((1, 2)), np.ones((1, 2)), np.zeros(1), np.zeros((1, n_channels), np.float32))
        steps = SmallSteps(MAX_SCALE_STEP, 0, 0, 0, (0,) * n_channels)
        lods, lattice = LodTable.single(1), lattice_of(steps, job.grid, 1, job.stack.groups)
        return packed_size(job.contents(flat, lods, lattice, meta=dict(job.notes) or None))

    @property
    def plain_overhead(self) -> int:
        """See `EntropyCodedEncoder.plain_overhead`."""
        return self.overhead

    def fine_tuned(
        self,
        fit: Fit,
        n_steps: int,
        on_step: Callable[[int, float], None],
        share: float | None,
        excess: Callable[[Contents], float] | None = None,
    ) -> Contents:
        """See `ProfileEncoder.fine_tuned`; `share` counts as long as such a file can have the bytes."""
        contents = self._fine_tuned(fit, n_steps, on_step, self.budget, share, excess)
        if packed_size(contents) > MAX_SMALL_BYTES and self.budget is None:
            contents = self._fine_tuned(fit, n_steps, on_step, MAX_SMALL_BYTES, None, None)
        return contents

    def _fine_tuned(
        self,
        fit: Fit,
        n_steps: int,
        on_step: Callable[[int, float], None],
        budget: int | None,
        share: float | None,
        excess: Callable[[Contents], float] | None,
    ) -> Contents:
        def excess_of(shown: GaussianSet, lattice: Lattice) -> float:
            assert excess is not None
            return excess(self._contents(shown, lattice, TYPICAL_DB))

        tuned = fine_tune(
            replace(qat_task(self.job, fit.lods), small=True, scales=self.job.scales),
            fit.gaussians,
            n_steps,
            size_of=lambda shown, lattice: packed_size(self._contents(shown, lattice, TYPICAL_DB)),
            budget=budget,
            share=share,
            excess=None if excess is None else excess_of,
            on_step=on_step,
        )
        return self._contents(tuned.gaussians, tuned.lattice, TYPICAL_DB)

    def _contents(self, gaussians: GaussianSet, lattice: Lattice, psnr: float) -> Contents:
        return self.job.contents(gaussians, LodTable.single(len(gaussians)), lattice, meta=self._meta(psnr))

    def flat(self, gaussians: GaussianSet, lods: LodTable, colour: npt.NDArray[np.float32]) -> Contents:  # noqa: ARG002
        """See `ProfileEncoder.flat`: the coarsest steps at which samples come back, or the finest where none do."""
        job = self.job
        steps: list[int] = []
        for group in job.stack.groups:
            off = 0.25 / ((1 << group.bit_depth) - 1) if group.sample_type is SampleType.UINT else 0.0
            for value in colour[len(steps) : len(steps) + group.n_channels].astype(np.float64):
                sizes = power(-FEATURE_UNITS * np.arange(MAX_STEP + 1))
                errors = np.abs(np.round(value / sizes) * sizes - value)
                enough = np.flatnonzero(errors <= max(off, 2.0**-FINEST * abs(value)))
                steps.append(int(enough[0]))
        lattice = lattice_of(SmallSteps(MAX_SCALE_STEP, 0, 0, 0, tuple(steps)), job.grid, 1, job.stack.groups)
        if job.scales is not None:
            lattice = replace(lattice, feature_steps=lattice.feature_steps * job.scales)
        return self._contents(gaussians, lattice, EXACT_DB)

    def _meta(self, psnr: float) -> dict[str, Json] | None:
        return {"psnr": rounded_psnr(psnr)} | dict(self.job.notes) if self.job.notes else None

    def metas(self, psnr: float) -> list[dict[str, Json]]:
        """See `ProfileEncoder.metas`."""
        meta = self._meta(psnr)
        return [] if meta is None else [meta, dict(self.job.notes)]
