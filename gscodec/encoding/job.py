"""What is to be encoded and how, and what is told while that goes on."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.encoding.opacity import aimed, fit_weights
from gscodec.encoding.settings import EncodeOptions, EncodeSettings
from gscodec.fit.presets import Preset
from gscodec.format.metadata import NO_METADATA, Metadata
from gscodec.image.regions import Regions, RegionSource
from gscodec.image.stack import ImageStack
from gscodec.material.weights import channel_scales
from gscodec.model.channels import ChannelGroup
from gscodec.model.constants import DEFAULT_PAGE_SIZE
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.json_value import Json
from gscodec.profiles.lattice import Lattice
from gscodec.render.base import Rasterizer

if TYPE_CHECKING:
    from gscodec.fit.qat_task import QatTask


@dataclass(frozen=True)
class Progress:
    """State of an encode, for a progress display."""

    step: int
    total_steps: int
    n_gaussians: int
    psnr: float  # dB, of the fit so far, before quantisation
    bpp: float  # of a file with the present Gaussians
    seconds: float
    seconds_left: float
    block: int = 1  # of a large picture: the one at hand
    n_blocks: int = 1


@dataclass(frozen=True)
class Job:
    """A picture and the settings of its encode."""

    stack: ImageStack | RegionSource
    grid: Grid
    settings: EncodeSettings
    rasterizer: Rasterizer
    progress: Callable[[Progress], None] | None = None
    started: float = field(default_factory=time.perf_counter)
    notes: Mapping[str, Json] = field(default_factory=dict)  # what the file's metadata says besides provenance
    regions: Regions | None = None  # of a picture that is encoded block by block
    checkpoint: Path | None = None
    importance: npt.NDArray[np.float32] | None = None  # (H, W) what each pixel counts, 1 on average; None is 1 for all
    source_name: str = ""  # bare file name that the file records; empty is none
    metadata: Metadata = NO_METADATA  # of the source, as far as the file keeps it
    importance_origin: str = ""  # where it came from, for the file's provenance

    def changed(self, **settings: Unpack[EncodeOptions]) -> "Job":
        """The job with other settings."""
        return replace(self, settings=self.settings.changed(settings))

    @property
    def profile(self) -> str:
        """Profile of the file."""
        return self.settings.chosen_profile

    @property
    def lods(self) -> int:
        """Number of levels of detail."""
        return self.settings.chosen_lods

    @property
    def deadline(self) -> float | None:
        """End of the time budget, of time.perf_counter; None is never."""
        budget = self.settings.time_budget
        return None if budget is None else self.started + budget

    @property
    def samples(self) -> npt.NDArray[np.float32]:
        """(H, W, C) of a picture that is in memory."""
        assert isinstance(self.stack, ImageStack)
        return self.stack.samples

    @cached_property
    def scales(self) -> npt.NDArray[np.float32] | None:
        """(C,) factors on the channels while they are fitted, by the weights of their groups; None is 1 for all."""
        return channel_scales(self.stack.groups, self.stack.weights) if isinstance(self.stack, ImageStack) else None

    @cached_property
    def target(self) -> npt.NDArray[np.float32]:
        """(H, W, C) that is fitted, of a picture that is in memory."""
        target = aimed(self.samples, self.stack.groups)
        return target if self.scales is None else target * self.scales

    @cached_property
    def counts(self) -> npt.NDArray[np.float32] | None:
        """What samples count in the fit, as in `Rasterizer.loss`: by importance, and colour by its alpha."""
        weights = fit_weights(self.samples, self.stack.groups)
        if weights is None or self.importance is None:
            return self.importance if weights is None else weights
        weights *= self.importance
        return np.ascontiguousarray(weights / weights.mean(dtype=np.float64), np.float32)

    @cached_property
    def target_grid(self) -> Grid:
        """The grid with the background of the target."""
        return self.grid if self.scales is None else replace(self.grid, background=self.grid.background * self.scales)

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Channel groups of the file: those of the picture, and which file that came from."""
        groups = self.stack.groups
        return (replace(groups[0], source=self.source_name),) if self.source_name else groups

    @property
    def visible(self) -> npt.NDArray[np.bool_] | None:
        """(H, W), the pixels that count; None is all."""
        return self.stack.visible if isinstance(self.stack, ImageStack) else None

    def unscaled(self, gaussians: GaussianSet) -> GaussianSet:
        """Fitted Gaussians with the features of the samples."""
        return gaussians if self.scales is None else replace(gaussians, features=gaussians.features / self.scales)

    def contents(
        self,
        gaussians: GaussianSet,
        lods: LodTable,
        lattice: Lattice | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        meta: dict[str, Json] | None = None,
    ) -> Contents:
        """A file of fitted Gaussians, and the lattice they lie on, or may."""
        if lattice is not None and self.scales is not None:
            # Within a group all scales are one, so that its transform stays what it is.
            lattice = replace(lattice, feature_steps=lattice.feature_steps / self.scales)
        stack = self.stack
        gaussians = self.unscaled(gaussians)
        return Contents(
            self.grid, self.groups, lods, gaussians, stack.icc, meta, page_size, lattice, stack.files, self.metadata
        )

    @property
    def n_pixels(self) -> int:
        """Of the picture."""
        return self.grid.height * self.grid.width

    @property
    def preset(self) -> Preset:
        """Every constant of the fit."""
        return self.settings.recipe


def qat_task(job: Job, lods: LodTable) -> "QatTask":
    """What quantisation-aware fine-tuning works on after a fit with such levels, of a picture that is in memory."""
    from gscodec.fit.qat_task import QatTask  # needs torch

    return QatTask(
        job.target,
        job.target_grid,
        job.stack.groups,
        job.preset,
        lods,
        job.rasterizer,
        job.settings.seed,
        importance=job.counts,
    )
