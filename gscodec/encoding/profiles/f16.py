"""Encoder of profile `f16`: fitted Gaussians rounded to 16 bits per value."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.encoding.profiles.encoder import FixedSizeEncoder, size_of
from gscodec.fit.loop import Fit
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.model.json_value import Json
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.registry import F16


class F16Encoder(FixedSizeEncoder):
    """See `ProfileEncoder`."""

    profile = F16
    room = (0.0, 0.6)
    """PSNR loss of pruning Gaussians."""
    aimed_room = 0.2

    @property
    def qat_steps(self) -> int:
        """See `ProfileEncoder.qat_steps`: none, 16 bits are fine enough."""
        return 0

    def size_of(self, n_gaussians: int, meta: dict[str, Json] | None) -> int:
        """See `FixedSizeEncoder.size_of`."""
        return size_of(self.job, n_gaussians, meta)

    def fine_tuned(
        self,
        fit: Fit,
        n_steps: int,  # noqa: ARG002  # no fine-tuning
        on_step: Callable[[int, float], None],  # noqa: ARG002  # no fine-tuning
        share: float | None,  # noqa: ARG002  # no fine-tuning
        excess: Callable[[Contents], float] | None = None,  # noqa: ARG002  # no steps to choose
    ) -> Contents:
        """See `ProfileEncoder.fine_tuned`."""
        return self.job.contents(fit.gaussians, fit.lods)

    def flat(self, gaussians: GaussianSet, lods: LodTable, colour: npt.NDArray[np.float32]) -> Contents:  # noqa: ARG002
        """See `ProfileEncoder.flat`."""
        return self.job.contents(gaussians, lods)

    def of_blocks(self, gaussians: GaussianSet, lods: LodTable, lattice: Lattice | None) -> Contents:  # noqa: ARG002
        """See `ProfileEncoder.of_blocks`."""
        return self.job.contents(gaussians, lods)
