"""The renderer interface that every engine implements, with flags for what else an engine can do.

Binning is separate from blending so that each can be tested and timed alone. An engine computes the same function of
the same arguments as `reference`; it may only be faster. Callers check capabilities, not names, of engines;
`render/engines.py` opens engines by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.model.constants import MAX_TILE_PAIRS
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window, joined
from gscodec.model.rendering import WHOLE, GaussianGrads, LossWeights, OutputDtype, Subset, TileIndex
from gscodec.render.arguments import importance_of_samples

if TYPE_CHECKING:
    from gscodec.cuda.blending import Real
    from gscodec.cuda.pictures import DevicePictures
    from gscodec.cuda.runtime import Runtime
    from gscodec.render.kernel_report import Variant


@dataclass(frozen=True)
class FitStep:
    """Results of one training step."""

    loss: float
    mse: float  # mean squared error of the blend, per sample, not weighted by importance
    grads: GaussianGrads


@dataclass(frozen=True)
class RowGradients:
    """Results of one training step whose parameters are rows of one array."""

    loss: float
    mse: float  # as in FitStep
    rows: Float32Array
    """(n, 5 + C) gradient to the rows, with that to the inverse scales in place of the scale parameters."""


@dataclass(frozen=True)
class FitTarget:
    """What the steps of a fit compare with; engines may add their own form of it."""

    samples: Float32Array  # (height, width, C)
    importance: Float32Array | None  # as in `Rasterizer.loss`


class DeviceEngine(Protocol):
    """An engine that keeps pictures and Gaussians in its memory from one step of a fit or a decode to the next."""

    runtime: "Runtime"
    real: "Real"
    """Arithmetic type of blending."""
    pictures: "DevicePictures"
    """Pictures uploaded by fits."""

    def compile_ahead(self, variants: "Iterable[Variant]") -> None:
        """Start compiling kernels in parallel, and return without waiting."""
        ...


class Rasterizer(ABC):
    """A rendering engine."""

    name: str
    """Name in `engines.ENGINES`."""

    trains: ClassVar[bool] = False
    """Whether `fit` can use the engine."""

    fits_blocks: ClassVar[bool] = False
    """Whether it can fit a block of a larger picture beside the frozen Gaussians of its neighbours."""

    takes_subsets: ClassVar[bool] = False
    """Whether `fit_step` supports subsets of the pixels other than `WHOLE`."""

    finds_owners: ClassVar[bool] = False
    """Whether `farthest_owned` is implemented."""

    @classmethod
    @abstractmethod
    def open(cls, index: int | None = None, threads: int | None = None) -> Self:
        """The engine for a device name.

        Args:
            index: index of the GPU, None if the name has none (GPU 0); CPU engines ignore it.
            threads: worker threads of CPU engines; None means one per processor.

        Raises:
            BackendUnavailable: the engine is not available on this machine.
            MissingExtra: an optional package that it needs is not installed.
        """

    @property
    def threads(self) -> int:
        """Worker threads on the host; 0 means one per processor."""
        return 0

    @property
    def on_device(self) -> DeviceEngine | None:
        """The engine, if arrays can stay in its memory; None for CPU engines."""
        return None

    @abstractmethod
    def bin(
        self,
        gaussians: GaussianSet,
        grid: Grid,
        tiles: tuple[int, int, int, int] | None = None,
        max_pairs: int = MAX_TILE_PAIRS,
    ) -> TileIndex:
        """Tile lists by the exact ellipse-tile test of spec/igs.md, section 3.4, for all tiles or a rectangle of them.

        Raises:
            TooManyPairs: the lists have more than max_pairs entries; `reference` accepts any number.
        """

    @abstractmethod
    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> npt.NDArray[Any]:
        """(height, width, C) values at the window's points.

        float32 is the unclamped blend v; uint8 and uint16 are floor(clamp(v, 0, 1) * max + 0.5).
        """

    @abstractmethod
    def backward(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, grad_image: Float32Array) -> GaussianGrads:
        """Gradients of the parameters, from grad_image (height, width, C) for `forward` over `Window.whole(grid)`."""

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
        """The photometric loss of image (height, width, C) against target, and its gradient with respect to image.

        Args:
            importance: float32 (height, width) or (C, height, width), weight of each pixel, or of each of its channels;
                None means 1 everywhere.
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

        With a subset, all three are those of its pixels alone; `importance` as in `loss`. This implementation uses the
        methods that every engine has; engines with `takes_subsets` override it.

        Raises:
            InvalidArgument: shapes do not match, or the engine does not support the subset.
        """
        if subset != WHOLE:
            raise InvalidArgument(f"the {self.name} engine does not support subsets of the pixels")
        target = np.ascontiguousarray(np.moveaxis(target_planes, 0, 2))
        image = self.forward(gaussians, grid, index, Window.whole(grid))
        loss, grad_image = self.loss(image, target, weights, importance)
        grads = self.backward(gaussians, grid, index, grad_image)
        return FitStep(loss, float(np.mean((image - target) ** 2, dtype=np.float64)), grads)

    def fit_target(self, samples: Float32Array, importance: Float32Array | None = None) -> FitTarget:
        """The target of a fit, for `fit_rows`: samples (height, width, C) and the `importance` of `loss`."""
        return FitTarget(samples, importance)

    def fit_rows(
        self,
        values: Float32Array,
        inverse: Float32Array,
        beside: GaussianSet | None,
        grid: Grid,
        target: FitTarget,
        weights: LossWeights,
        subset: Subset = WHOLE,
    ) -> RowGradients:
        """`bin` and `fit_step` of Gaussians that are rows of x, y (px), two values not used, rotation and C features.

        Args:
            values: float32 (n, 5 + C) rows.
            inverse: float32 (n, 2) inverse scales, 1/px.
            beside: Gaussians that show as well, after the rows; no gradient of theirs is returned.
            target: as this engine's `fit_target` returns it.

        Raises:
            InvalidArgument: as `bin` and `fit_step` do. TooManyPairs: as `bin` does.
        """
        n = len(values)
        own = GaussianSet.of_float32(values[:, :2], inverse, values[:, 4], values[:, 5:])
        shown = own if beside is None else joined([own, beside])
        planes = np.ascontiguousarray(np.moveaxis(target.samples, 2, 0))
        step = self.fit_step(shown, grid, self.bin(shown, grid), planes, weights, subset, target.importance)
        rows = np.empty_like(values)
        rows[:, :2] = step.grads.means[:n]
        rows[:, 2:4] = step.grads.inv_scales[:n]
        rows[:, 4] = step.grads.rotations[:n]
        rows[:, 5:] = step.grads.features[:n]
        return RowGradients(step.loss, step.mse, rows)

    def removal_costs(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, importance: Float32Array | None = None
    ) -> Float64Array:
        """(n,) sum over the pixels and channels of u (c - f)^2: u is a Gaussian's share of the blend c, f its feature.

        By the gradient of the features with a picture of 1, c and c^2, which every engine has.

        Args:
            importance: as in `loss`; multiplies each term.
        """
        image = np.asarray(self.forward(gaussians, grid, index, Window.whole(grid)))
        each = (
            np.ones_like(image)
            if importance is None
            else np.broadcast_to(importance_of_samples(importance), image.shape)
        )
        costs = np.zeros(len(gaussians))
        for c in range(gaussians.n_channels):
            shown = image[:, :, c]
            own = each[:, :, c : c + 1] * np.stack([np.ones_like(shown), shown, shown**2], axis=2)
            blank = replace(gaussians, features=np.zeros((len(gaussians), 3), np.float32))
            plain = replace(grid, background=np.zeros(3, np.float32))
            sums = self.backward(blank, plain, index, own).features.astype(np.float64)
            feature = gaussians.features[:, c].astype(np.float64)
            costs += sums[:, 2] - 2 * sums[:, 1] * feature + sums[:, 0] * feature**2
        return costs

    def farthest_owned(self, gaussians: GaussianSet, grid: Grid, index: TileIndex) -> Float32Array:
        """(n, 2) U^2 and V^2, in each Gaussian's own frame, of the farthest point whose nearest Gaussian it is.

        q is their sum; 0 if there is no such point among 16 pixel centres of each tile. `index` covers the whole grid
        and may list Gaussians beyond their support.

        Raises:
            NotImplementedError: the engine does not have `finds_owners`.
        """
        raise NotImplementedError(f"the {self.name} engine has no farthest_owned")
