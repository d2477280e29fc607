"""The renderer interface that every engine implements, with flags for what else an engine can do.

Binning is apart from blending so that each can be tested and timed alone. An engine computes the same function of the
same arguments as `reference`; it may only be faster. Callers ask for capabilities and never which engine they have:
`render/engines.py` opens engines by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.model.constants import MAX_TILE_PAIRS
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import WHOLE, GaussianGrads, LossWeights, OutputDtype, Subset, TileIndex

if TYPE_CHECKING:
    from gscodec.cuda.blending import Real
    from gscodec.cuda.pictures import DevicePictures
    from gscodec.cuda.runtime import Runtime
    from gscodec.render.kernel_report import Variant


@dataclass(frozen=True)
class FitStep:
    """Results of one training step."""

    loss: float
    mse: float  # mean squared error of the blend, per sample, whatever pixels count
    grads: GaussianGrads


class DeviceEngine(Protocol):
    """An engine in whose memory pictures and Gaussians stay from one step of a fit or a decode to the next."""

    runtime: "Runtime"
    real: "Real"
    """Arithmetic type of blending."""
    pictures: "DevicePictures"
    """Pictures that fits have uploaded."""

    def compile_ahead(self, variants: "Iterable[Variant]") -> None:
        """Begins to compile kernels that will be asked for, side by side, and does not wait."""
        ...


class Rasterizer(ABC):
    """One engine."""

    name: str
    """As registered in `engines.ENGINES`."""

    trains: ClassVar[bool] = False
    """Whether `fit` may use the engine."""

    fits_blocks: ClassVar[bool] = False
    """Whether it can fit a block of a larger picture, beside Gaussians of neighbours that stay as they are."""

    takes_subsets: ClassVar[bool] = False
    """Whether `fit_step` takes subsets of the pixels other than `WHOLE`."""

    finds_owners: ClassVar[bool] = False
    """Whether it has `farthest_owned`."""

    @classmethod
    @abstractmethod
    def open(cls, index: int | None = None, threads: int | None = None) -> Self:
        """The engine of a device name.

        Args:
            index: of the GPU, 0 if the name has none; engines of the host ignore it.
            threads: worker threads of engines of the host; None is one per processor.

        Raises:
            BackendUnavailable: it cannot run here.
            MissingExtra: an optional package that it needs is not installed.
        """

    @property
    def threads(self) -> int:
        """Worker threads on the host; 0 is one per processor."""
        return 0

    @property
    def on_device(self) -> DeviceEngine | None:
        """The engine's device side, if arrays may stay in its memory; None for engines of the host."""
        return None

    @abstractmethod
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

    @abstractmethod
    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> npt.NDArray[Any]:
        """(height, width, C) values at the window's points.

        float32 is the blend itself, not clamped. uint8 and uint16 are floor(clamp(v, 0, 1) * max + 0.5) of it.
        """

    @abstractmethod
    def backward(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, grad_image: Float32Array) -> GaussianGrads:
        """Gradients for grad_image (height, width, C), the gradient to `forward` over `Window.whole(grid)`."""

    @abstractmethod
    def sample(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, points: Float64Array) -> Float32Array:
        """(M, C) values at points (M, 2) px. Equals `forward` wherever a point is one of its window's points."""

    @abstractmethod
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

    def fit_step(
        self,
        gaussians: GaussianSet,
        grid: Grid,
        index: TileIndex,
        target_planes: Float32Array,
        weights: LossWeights,
        subset: Subset = WHOLE,
        importance: Float32Array | None = None,
    ) -> FitStep:
        """Loss of `forward` against target_planes (C, height, width), its mean squared error, and its gradients.

        With a subset, all of it is of those pixels alone; `importance` as in `loss`. Here, by the methods that every
        engine has; engines that `takes_subsets` override it.

        Raises:
            InvalidArgument: shapes do not match, or the engine does not take such a subset.
        """
        if subset != WHOLE:
            raise InvalidArgument(f"the {self.name} engine does not step on subsets of the pixels")
        target = np.ascontiguousarray(np.moveaxis(target_planes, 0, 2))
        image = self.forward(gaussians, grid, index, Window.whole(grid))
        loss, grad_image = self.loss(image, target, weights, importance)
        grads = self.backward(gaussians, grid, index, grad_image)
        return FitStep(loss, float(np.mean((image - target) ** 2, dtype=np.float64)), grads)

    def farthest_owned(self, gaussians: GaussianSet, grid: Grid, index: TileIndex) -> Float32Array:
        """(n, 2) U^2 and V^2, in each Gaussian's own frame, of the farthest point that it is the nearest Gaussian of.

        q is their sum; 0 where it is nearest to none of the points, which are 16 pixel centres of each tile. `index`
        covers the whole grid and may list Gaussians beyond their support.

        Raises:
            NotImplementedError: the engine does not declare `finds_owners`.
        """
        raise NotImplementedError(f"the {self.name} engine has no farthest_owned")
