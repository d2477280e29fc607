"""What is to be encoded and how, and what is told while that goes on."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import MissingExtra
from gscodec.format import file_size
from gscodec.gaussians import GaussianSet, Grid
from gscodec.image import ImageStack
from gscodec.image.regions import Regions, RegionSource
from gscodec.image.weights import channel_scales
from gscodec.raster.base import Rasterizer

SHAPE_BITS = 28.0
"""Bits a coded Gaussian takes without its features, where there is no better guess; how finely they are stored is what
makes a file as large as it was asked to be."""

FEATURE_BITS = 4.3
"""Bits of each coded feature, likewise."""

SETTLE_SHARE = 0.15
"""Of a number of steps that was asked for, as many come on top for profile `coded`."""

CODED_OVERHEAD = 300
"""Bytes of a small coded file beside those of its Gaussians and those an `f16` file has: tables and page index."""


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
    preset_name: str
    lods: int
    seed: int
    steps: int | None
    profile: str
    rasterizer: Rasterizer
    progress: Callable[[Progress], None] | None
    started: float  # of time.perf_counter
    notes: Mapping[str, Any]
    regions: Regions | None = None  # of a picture that is encoded block by block
    block: int | None = None  # side of the blocks, px
    checkpoint: Path | None = None
    deadline: float | None = None  # of time.perf_counter

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
        return self.samples if self.scales is None else self.samples * self.scales

    @cached_property
    def target_grid(self) -> Grid:
        """The grid with the background of the target."""
        return self.grid if self.scales is None else replace(self.grid, background=self.grid.background * self.scales)

    @property
    def visible(self) -> npt.NDArray[np.bool_] | None:
        """(H, W), the pixels that count; None is all."""
        return self.stack.visible if isinstance(self.stack, ImageStack) else None

    def unscaled(self, gaussians: GaussianSet) -> GaussianSet:
        """Fitted Gaussians with the features of the samples."""
        return gaussians if self.scales is None else replace(gaussians, features=gaussians.features / self.scales)

    @property
    def n_pixels(self) -> int:
        """Of the picture."""
        return self.grid.height * self.grid.width

    @property
    def preset(self) -> Any:
        """The preset of that name."""
        return training_room().get_preset(self.preset_name)

    @property
    def settle_steps(self) -> int:
        """Steps on the lattice, after the fit; none in profile `f16`."""
        if self.profile == "f16":
            return 0
        return int(self.preset.settle_steps if self.steps is None else math.ceil(SETTLE_SHARE * self.steps))

    def likely_size(self, n_gaussians: int) -> int:
        """Bytes of a file without provenance: exact in profile `f16`, a guess in `coded`."""
        if self.profile == "f16":
            return self.size_of(n_gaussians, None)
        return self.size_of(1, None) + CODED_OVERHEAD + int(n_gaussians * self.coded_bits / 8)

    @property
    def coded_bits(self) -> float:
        """Likely bits of a coded Gaussian."""
        return SHAPE_BITS + FEATURE_BITS * len(self.grid.background)

    def size_of(self, n_gaussians: int, meta: dict[str, Any] | None) -> int:
        """Bytes of a file of profile `f16`."""
        from gscodec.train.schedule import lod_counts

        counts = lod_counts(n_gaussians, self.lods)
        return file_size(self.grid, self.stack.groups, counts, self.stack.icc, meta, files=self.stack.files)


def training_room() -> Any:
    """The `train` room, which needs torch.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        import gscodec.train as training
    except ModuleNotFoundError as error:
        if error.name == "torch":
            raise MissingExtra("encoding needs torch: pip install 'gscodec[encode]'") from error
        raise
    return training
