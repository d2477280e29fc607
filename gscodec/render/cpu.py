"""The CPU engine: checks arguments, then calls the compiled kernels.

The same arguments on the same instruction set give the same bytes, for any number of threads. Between instruction sets
results differ by float32 rounding; tests compare each with the oracle, `reference`.
"""

import threading
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_args

import numpy as np
import numpy.typing as npt

from gscodec import _engine
from gscodec.errors import BackendUnavailable, InvalidArgument
from gscodec.model.constants import MAX_TILE_PAIRS
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import WHOLE, GaussianGrads, LossWeights, OutputDtype, Subset, TileIndex, TooManyPairs
from gscodec.render.arguments import (
    check_grid,
    check_index,
    check_parameters,
    check_points,
    check_subset,
    check_window,
    importance_planes,
    rectangle,
)
from gscodec.render.base import FitStep, FitTarget, Rasterizer, RowGradients


def available_isas() -> list[str]:
    """Instruction sets that this machine supports, slowest first; the last is the default."""
    return list(_engine.available_isas())


@dataclass(frozen=True)
class _TargetByTiles(FitTarget):
    """A target with the engine's copies."""

    by_tiles: _engine.FitTarget


class CpuRasterizer(Rasterizer):
    """`Rasterizer` on gscodec._engine.

    Args:
        threads: worker threads; None means one per processor.
        isa: an entry of available_isas(); None means the fastest.

    Raises:
        BackendUnavailable: the machine does not support that instruction set.
    """

    name = "cpu"
    trains: ClassVar[bool] = True
    fits_blocks: ClassVar[bool] = True
    takes_subsets: ClassVar[bool] = True
    finds_owners: ClassVar[bool] = True

    def __init__(self, threads: int | None = None, isa: str | None = None) -> None:
        if threads is not None and threads < 1:
            raise InvalidArgument(f"threads {threads} is below 1")
        if isa is not None and isa not in available_isas():
            raise BackendUnavailable(f"instruction set {isa!r} is not one of {', '.join(available_isas())}")
        self._threads = threads or 0
        self._local = threading.local()
        self._isa = isa or ""

    @classmethod
    def open(cls, index: int | None = None, threads: int | None = None) -> Self:
        """See `Rasterizer.open`."""
        del index
        return cls(threads)

    @property
    def threads(self) -> int:
        """See `Rasterizer.threads`."""
        return self._threads

    def bin(
        self,
        gaussians: GaussianSet,
        grid: Grid,
        tiles: tuple[int, int, int, int] | None = None,
        max_pairs: int = MAX_TILE_PAIRS,
    ) -> TileIndex:
        """Tile lists of spec/igs.md, section 3.4, for all tiles or the half-open rectangle (tx0, ty0, tx1, ty1).

        Raises:
            InvalidArgument: a parameter is not finite, an inverse scale is not positive, or grid or tiles are invalid.
            TooManyPairs: more than max_pairs entries.
        """
        check_parameters(gaussians)
        check_grid(gaussians, grid)
        rect = rectangle(grid, tiles)
        try:
            offsets, indices = _engine.bin(
                np.ascontiguousarray(gaussians.means, np.float64),
                np.ascontiguousarray(gaussians.inv_scales, np.float64),
                np.ascontiguousarray(gaussians.rotations, np.float64),
                rect,
                grid.support_q,
                max_pairs,
                self._threads,
            )
        except ValueError as error:  # std::length_error
            raise TooManyPairs(len(gaussians), grid, max_pairs) from error
        return TileIndex(offsets, indices, rect)

    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> npt.NDArray[Any]:
        """See `Rasterizer.forward`."""
        check_window(window)
        if dtype not in get_args(OutputDtype):
            raise InvalidArgument(f"dtype {dtype!r} is not one of {', '.join(get_args(OutputDtype))}")
        result: npt.NDArray[Any] = _engine.render(
            *scene_arguments(gaussians, grid, index),
            window.x,
            window.y,
            window.step_x,
            window.step_y,
            window.height,
            window.width,
            dtype,
            self._isa,
            self._threads,
        )
        return result

    def sample(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, points: Float64Array) -> Float32Array:
        """See `Rasterizer.sample`."""
        place = check_points(points)
        result: Float32Array = _engine.sample(*scene_arguments(gaussians, grid, index), place, self._isa, self._threads)
        return result

    def backward(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, grad_image: Float32Array) -> GaussianGrads:
        """See `Rasterizer.backward`."""
        expected = (grid.height, grid.width, gaussians.n_channels)
        if grad_image.shape != expected:
            raise InvalidArgument(f"grad_image has shape {grad_image.shape}, the render has {expected}")
        return GaussianGrads(
            *_engine.backward(*scene_arguments(gaussians, grid, index), _planes(grad_image), self._isa, self._threads)
        )

    def loss(
        self,
        image: Float32Array,
        target: Float32Array,
        weights: LossWeights,
        importance: Float32Array | None = None,
    ) -> tuple[float, Float32Array]:
        """See `Rasterizer.loss`."""
        if image.shape != target.shape or image.ndim != 3 or not image.size:
            raise InvalidArgument(f"image {image.shape} and target {target.shape} must be the same (height, width, C)")
        each = importance_planes(importance, image.shape)
        value, _, grad = _engine.loss(_planes(image), _planes(target), each, _terms(weights), self._isa, self._threads)
        return value, np.moveaxis(grad, 0, 2)

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
        """See `Rasterizer.fit_step`; in one pass where the loss allows.

        Raises:
            InvalidArgument: shapes do not match, or a subset of pixels with an SSIM weight, which needs neighbours.
        """
        expected = (gaussians.n_channels, grid.height, grid.width)
        if target_planes.shape != expected:
            raise InvalidArgument(f"target_planes has shape {target_planes.shape}, the render has {expected}")
        check_subset(subset, (grid.height, grid.width), weights)
        each = importance_planes(importance, (grid.height, grid.width, gaussians.n_channels))
        value, mse, grads = _engine.fit_step(
            *scene_arguments(gaussians, grid, index),
            target_planes,
            each,
            _terms(weights),
            (subset.step, subset.x, subset.y),
            self._scratch(),
            self._isa,
            self._threads,
        )
        return FitStep(value, mse, GaussianGrads(*grads))

    def fit_target(self, samples: Float32Array, importance: Float32Array | None = None) -> "_TargetByTiles":
        """See `Rasterizer.fit_target`; steps keep copies of it in the order of their tiles."""
        height, width, channels = samples.shape
        each = importance_planes(importance, (height, width, channels))
        by_tiles = _engine.FitTarget(np.ascontiguousarray(samples, np.float32), each)
        return _TargetByTiles(samples, importance, by_tiles)

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
        """See `Rasterizer.fit_rows`; in one call of the engine, without lists or gradients for Python."""
        expected = (grid.height, grid.width, values.shape[1] - 5)
        if target.samples.shape != expected or inverse.shape != (len(values), 2):
            raise InvalidArgument(
                f"target {target.samples.shape} and inverse {inverse.shape} do not match rows {values.shape} "
                f"of a picture {expected}"
            )
        if not (np.isfinite(values).all() and np.isfinite(inverse).all() and (inverse > 0).all()):
            check_parameters(GaussianSet.of_float32(values[:, :2], inverse, values[:, 4], values[:, 5:]))
        check_subset(subset, (grid.height, grid.width), weights)
        fixed = None if beside is None else (beside.means, beside.inv_scales, beside.rotations, beside.features)
        try:
            loss, mse, rows = _engine.fit_rows(
                np.ascontiguousarray(values),
                np.ascontiguousarray(inverse),
                fixed,
                np.ascontiguousarray(grid.background, np.float32),
                (grid.height, grid.width),
                grid.top_k,
                grid.support_q,
                MAX_TILE_PAIRS,
                self._prepared(target).by_tiles,
                _terms(weights),
                (subset.step, subset.x, subset.y),
                self._scratch(),
                self._isa,
                self._threads,
            )
        except ValueError as error:  # std::length_error
            raise TooManyPairs(len(values), grid, MAX_TILE_PAIRS) from error
        return RowGradients(loss, mse, rows)

    def _prepared(self, target: FitTarget) -> "_TargetByTiles":
        """A target as `fit_target` returns it."""
        return target if isinstance(target, _TargetByTiles) else self.fit_target(target.samples, target.importance)

    def _scratch(self) -> _engine.StepScratch:
        """Buffers of this thread's steps; freed with the rasterizer."""
        if not hasattr(self._local, "scratch"):
            self._local.scratch = _engine.StepScratch()
        scratch: _engine.StepScratch = self._local.scratch
        return scratch

    def removal_costs(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, importance: Float32Array | None = None
    ) -> Float64Array:
        """See `Rasterizer.removal_costs`; in one pass."""
        each = importance_planes(importance, (grid.height, grid.width, gaussians.n_channels))
        arguments = scene_arguments(gaussians, grid, index)
        costs: Float64Array = _engine.removal_costs(*arguments, each, self._isa, self._threads)
        return costs

    def farthest_owned(self, gaussians: GaussianSet, grid: Grid, index: TileIndex) -> Float32Array:
        """See `Rasterizer.farthest_owned`."""
        result: Float32Array = _engine.farthest_owned(*scene_arguments(gaussians, grid, index), self._threads)
        return result


def _terms(weights: LossWeights) -> Float32Array:
    """LossWeights of native/shared/loss_terms.h."""
    return np.array(weights.values, np.float32)


def _planes(image: Float32Array) -> Float32Array:
    return np.ascontiguousarray(np.moveaxis(image, 2, 0), np.float32)


def scene_arguments(
    gaussians: GaussianSet, grid: Grid, index: TileIndex
) -> tuple[_engine.Scene, tuple[int, int], tuple[int, int, int, int], int]:
    """Arguments of the kernels, which do not check them; parameters have been checked by `bin`."""
    check_grid(gaussians, grid)
    check_index(gaussians, grid, index)
    scene = _engine.Scene(
        np.ascontiguousarray(gaussians.means, np.float64),
        np.ascontiguousarray(gaussians.inv_scales, np.float64),
        np.ascontiguousarray(gaussians.rotations, np.float64),
        np.ascontiguousarray(gaussians.features, np.float32),
        np.ascontiguousarray(grid.background, np.float32),
        np.ascontiguousarray(index.offsets, np.int64),
        np.ascontiguousarray(index.indices, np.int32),
    )
    return scene, (grid.height, grid.width), rectangle(grid, index.tiles), grid.top_k
