"""The renderer interface that every engine implements, and the choice among engines.

Binning is apart from blending so that each can be tested and timed alone. An engine computes the same function of the
same arguments as `reference`; it may only be faster.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from gscodec.constants import MAX_TILE_PAIRS
from gscodec.device_name import DeviceName
from gscodec.errors import BackendUnavailable, DeviceFallback, LimitExceeded, MissingExtra
from gscodec.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window

OutputDtype = Literal["float32", "uint8", "uint16"]


@dataclass(frozen=True)
class TileIndex:
    """For each tile, in row-major order, the Gaussians whose support meets it, by ascending index.

    Tile t holds indices[offsets[t] : offsets[t + 1]]. `tiles` is the half-open rectangle (tx0, ty0, tx1, ty1) of tiles
    that the index covers; None is the whole grid.
    """

    offsets: npt.NDArray[np.int64]  # (n_tiles + 1,)
    indices: npt.NDArray[np.int32]  # (n_pairs,)
    tiles: tuple[int, int, int, int] | None = None


class TooManyPairs(LimitExceeded):
    """The tile lists of a rectangle of tiles are longer than allowed; those of a smaller one may not be."""

    def __init__(
        self, n_gaussians: int, grid: Grid, max_pairs: int, remedy: str = "raise --max-memory (Limits.max_memory)"
    ) -> None:
        super().__init__(
            f"{n_gaussians} Gaussians on {grid.width}x{grid.height} px make tile lists of more than {max_pairs} "
            f"entries; decode a smaller region or a coarser LOD, or {remedy}"
        )


@dataclass(frozen=True)
class GaussianGrads:
    """Gradient of a scalar loss to the fields of a GaussianSet, in their shapes."""

    means: Float64Array  # (N, 2) per px
    inv_scales: Float64Array  # (N, 2) per 1/px
    rotations: Float64Array  # (N,) per rad
    features: Float32Array  # (N, C)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the photometric loss l1 * mean|d| + l2 * mean d^2 + ssim * (1 - mean SSIM), d = image - target.

    SSIM is taken per channel with an 11-tap Gaussian window of sigma 1.5 px, zero padding, dynamic range 1,
    C1 = 0.01^2 and C2 = 0.03^2 (Wang et al. 2004), and averaged over pixels and channels.

    Where a loss takes an `importance`, each pixel's |d|, d^2 and 1 - SSIM are multiplied by its value there before they
    are averaged; a map whose mean is 1 leaves the loss its scale. It may have a plane for each channel.
    """

    l1: float = 0.0
    l2: float = 0.0
    ssim: float = 0.0


@dataclass(frozen=True)
class Subset:
    """The pixels (x + i step, y + j step) of a picture. A training step may look at these alone."""

    step: int
    x: int = 0
    y: int = 0


SUBSET_STEPS = (1, 2, 4)
"""Steps that engines take; each divides the side of a tile."""

WHOLE = Subset(1)


class Rasterizer(Protocol):
    """One engine."""

    name: str

    def bin(
        self,
        gaussians: GaussianSet,
        grid: Grid,
        tiles: tuple[int, int, int, int] | None = None,
        max_pairs: int = MAX_TILE_PAIRS,
    ) -> TileIndex:
        """Tile lists: the exact ellipse-tile test of spec/igs.md, "Tiles". `tiles` limits them to a rectangle.

        Raises:
            TooManyPairs: more than max_pairs entries; the oracle takes any number.
        """
        ...

    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> npt.NDArray[Any]:
        """(height, width, C) values at the window's points.

        float32 is the blend itself, not clamped. uint8 and uint16 are floor(clamp(v, 0, 1) * max + 0.5) of it.
        """
        ...

    def backward(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, grad_image: Float32Array) -> GaussianGrads:
        """Gradients for grad_image (height, width, C), the gradient to `forward` over `Window.whole(grid)`."""
        ...

    def sample(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, points: Float64Array) -> Float32Array:
        """(M, C) values at points (M, 2) px. Equals `forward` wherever a point is one of its window's points."""
        ...

    def loss(
        self,
        image: Float32Array,
        target: Float32Array,
        weights: LossWeights,
        importance: Float32Array | None = None,
    ) -> tuple[float, Float32Array]:
        """The photometric loss of image (height, width, C) against target, and its gradient to image.

        Args:
            importance: float32 (height, width) or (C, height, width), what each pixel, or each of its channels, counts;
                None is 1 for all.
        """
        ...


def get_backend(device: str = "auto", threads: int | None = None) -> Rasterizer:
    """The engine for a device name.

    Args:
        device: `cpu`; `cuda` (the first GPU) or `cuda:N`; `auto` or `auto:N`, the same GPU where it can be used, else
            the CPU; or `reference`, the slow oracle.
        threads: worker threads of the CPU engine; None is one per processor.

    Raises:
        BackendUnavailable: the device is known but cannot run here.
        MissingExtra: cupy, which the GPU needs, is not installed.
        InvalidArgument: no such device.

    Warns:
        DeviceFallback: `auto` found a GPU that cannot be used, and takes the CPU.
    """
    name = DeviceName.parse(device)
    if name.kind == "reference":
        from gscodec.raster.reference import ReferenceRasterizer

        return ReferenceRasterizer()
    if name.kind == "cuda":
        return _cuda(device)
    if name.kind == "auto":
        from gscodec.cuda.device import cuda_devices

        if cuda_devices():
            try:
                return _cuda(name.gpu)
            except (BackendUnavailable, MissingExtra) as fault:
                fall_back(fault)
    return cpu_backend(threads)


def cpu_backend(threads: int | None = None) -> Rasterizer:
    """The engine that runs everywhere."""
    from gscodec.raster.cpu import CpuRasterizer

    return CpuRasterizer(threads)


def fall_back(fault: Exception) -> None:
    """Tell why device `auto` goes on with the CPU."""
    warnings.warn(f"{fault}; going on with the CPU", DeviceFallback, stacklevel=3)


def _cuda(device: str) -> Rasterizer:
    from gscodec.cuda.device import open_runtime
    from gscodec.raster.cuda import CudaRasterizer

    return CudaRasterizer(open_runtime(device))
