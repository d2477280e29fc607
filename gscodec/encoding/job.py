"""Picture and settings of an encode."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.encoding.error_weights import MEANS, error_weights
from gscodec.encoding.opacity import aimed
from gscodec.encoding.progress import Show
from gscodec.encoding.quality import slope_of
from gscodec.encoding.settings import EncodeOptions, EncodeSettings
from gscodec.fit.presets import Preset
from gscodec.format.metadata import NO_METADATA, Metadata
from gscodec.format.profile_table import layout_named
from gscodec.image.regions import Regions, RegionSource
from gscodec.image.stack import ImageStack
from gscodec.material.masking import all_seen
from gscodec.material.weights import channel_scales
from gscodec.model.channels import ChannelGroup
from gscodec.model.constants import DEFAULT_PAGE_SIZE
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.grain import Grain
from gscodec.model.json_value import Json
from gscodec.profiles.lattice import Lattice
from gscodec.render.base import Rasterizer

if TYPE_CHECKING:
    from gscodec.fit.qat_task import QatTask


@dataclass(frozen=True)
class Job:
    """A picture and the settings of its encode."""

    stack: ImageStack | RegionSource
    grid: Grid
    settings: EncodeSettings
    rasterizer: Rasterizer
    progress: Show | None = None
    started: float = field(default_factory=time.perf_counter)
    notes: Mapping[str, Json] = field(default_factory=dict)  # entries of the file's metadata besides provenance
    regions: Regions | None = None  # of a picture that is encoded block by block
    checkpoint: Path | None = None
    importance: npt.NDArray[np.float32] | None = None  # (H, W) pixel weights, 1 on average; None means 1 everywhere
    source_name: str = ""  # bare file name that the file records; empty means none
    metadata: Metadata = NO_METADATA  # of the source, as far as the file keeps it
    grain: tuple[Grain, ...] = ()  # noise of the source; the file gets that of it which it lacks
    mips: tuple[npt.NDArray[np.float32], ...] = ()  # of the source, for its coarser sets, as from `load_mips`
    importance_origin: str = ""  # source of the importance map, for the file's provenance
    has_provenance: bool = True  # whether the file says how it was made, where that fits

    def changed(self, **settings: Unpack[EncodeOptions]) -> "Job":
        """A copy of the job with other settings."""
        return replace(self, settings=self.settings.changed(settings))

    @property
    def profile(self) -> str:
        """Name of the file's profile."""
        return self.settings.chosen_profile

    @property
    def lods(self) -> int:
        """Number of levels of detail, of a fit those of the finest set."""
        return self.settings.chosen_lods

    @property
    def slope(self) -> float | None:
        """Squared error per byte at which growth and precision end; None if bytes, a count or a PSNR decide."""
        quality = self.settings.chosen_quality
        return None if quality is None else slope_of(quality)

    @property
    def deadline(self) -> float | None:
        """End of the time budget, in the time of time.perf_counter; None means no limit."""
        budget = self.settings.time_budget
        return None if budget is None else self.started + budget

    @property
    def samples(self) -> npt.NDArray[np.float32]:
        """float32 (H, W, C) samples of a picture in memory."""
        assert isinstance(self.stack, ImageStack)
        return self.stack.samples

    @cached_property
    def scales(self) -> npt.NDArray[np.float32] | None:
        """(C,) factors on the channels during the fit, from the weights of their groups; None means 1."""
        return channel_scales(self.stack.groups, self.stack.weights) if isinstance(self.stack, ImageStack) else None

    @cached_property
    def target(self) -> npt.NDArray[np.float32]:
        """float32 (H, W, C) target of the fit, of a picture in memory."""
        target = aimed(self.samples, self.stack.groups)
        return target if self.scales is None else target * self.scales

    @cached_property
    def counts(self) -> npt.NDArray[np.float32] | None:
        """Weights of samples in the fit, as in `Rasterizer.loss`: importance times those of `error_weights`."""
        weights = error_weights(self.samples, self.stack.groups, self.settings.chosen_tune)
        if weights is None or self.importance is None:
            return self.importance if weights is None else weights
        weights = weights * self.importance
        return np.ascontiguousarray(weights / weights.mean(dtype=np.float64), np.float32)

    @cached_property
    def target_grid(self) -> Grid:
        """The grid with the background of the target."""
        return self.grid if self.scales is None else replace(self.grid, background=self.grid.background * self.scales)

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Channel groups of the file: those of the picture, with the name of their source file."""
        groups = self.stack.groups
        return (replace(groups[0], source=self.source_name),) if self.source_name else groups

    @property
    def stored_grain(self) -> tuple[Grain, ...]:
        """The grain, unless the profile has no room for it."""
        return () if layout_named(self.profile).is_one_piece else self.grain

    @property
    def visible(self) -> npt.NDArray[np.bool_] | None:
        """(H, W) mask of the pixels that count; None means all."""
        return self.stack.visible if isinstance(self.stack, ImageStack) else None

    def unscaled(self, gaussians: GaussianSet) -> GaussianSet:
        """Fitted Gaussians with features in units of the samples."""
        return gaussians if self.scales is None else replace(gaussians, features=gaussians.features / self.scales)

    def contents(
        self,
        gaussians: GaussianSet,
        lods: LodTable,
        lattice: Lattice | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        meta: dict[str, Json] | None = None,
    ) -> Contents:
        """Contents of a file of fitted Gaussians, which lie on `lattice` if there is one."""
        if lattice is not None and self.scales is not None:
            # Scales are equal within a group, so its transform is unchanged.
            lattice = replace(lattice, feature_steps=lattice.feature_steps / self.scales)
        stack = self.stack
        gaussians = self.unscaled(gaussians)
        return Contents(
            self.grid,
            self.groups,
            lods,
            gaussians,
            stack.icc,
            meta,
            page_size,
            lattice,
            stack.files,
            self.metadata,
            grain=self.stored_grain,
        )

    @property
    def n_pixels(self) -> int:
        """Number of pixels of the picture."""
        return self.grid.height * self.grid.width

    @property
    def preset(self) -> Preset:
        """All constants of the fit."""
        recipe = self.settings.recipe
        if self.settings.chosen_tune != "visual" or not all_seen(self.stack.groups):
            return recipe
        return replace(recipe, loss=replace(recipe.loss, means=MEANS))


def qat_task(job: Job, lods: LodTable) -> "QatTask":
    """Input of quantisation-aware fine-tuning after a fit with these levels of detail, of a picture in memory."""
    from gscodec.fit.qat_task import QatTask

    return QatTask(
        job.target,
        job.target_grid,
        job.stack.groups,
        job.preset,
        lods,
        job.rasterizer,
        job.settings.seed,
        importance=job.counts,
        slope=job.slope,
    )
