"""The CUDA engine behind the renderer interface: checks arguments, uploads, launches, downloads.

Training does not use this class, whose methods copy arrays: it keeps its arrays in GPU memory and uses `gscodec.cuda`
directly, with the same results.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

import numpy as np
import numpy.typing as npt

from gscodec.cuda import blending
from gscodec.cuda.binning import DeviceGaussians, Geometry, TileLists, TileRect, find_axes
from gscodec.cuda.blending import MOMENTS, Real, Scene, Strides
from gscodec.cuda.losses import loss_planes
from gscodec.cuda.pictures import DevicePictures
from gscodec.cuda.runtime import Array, Runtime
from gscodec.cuda.scenes import bin_scene, device_gaussians, render_window
from gscodec.errors import InvalidArgument
from gscodec.model.constants import MAX_TILE_PAIRS
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import GaussianGrads, LossWeights, OutputDtype, TileIndex
from gscodec.render.arguments import (
    check_grid,
    check_index,
    check_parameters,
    check_points,
    check_window,
    importance_planes,
    rectangle,
)
from gscodec.render.base import Rasterizer

if TYPE_CHECKING:
    from gscodec.render.kernel_report import Variant


class CudaRasterizer(Rasterizer):
    """`Rasterizer` on the kernels of gscodec/cuda.

    The same arguments on the same device give the same bytes. Samples, regions and enlargements equal the whole picture
    bit for bit.

    Args:
        runtime: the GPU.
        real: arithmetic type; float64 is used for gradient checks.
    """

    name = "cuda"
    trains: ClassVar[bool] = True

    def __init__(self, runtime: Runtime, real: Real = np.float32) -> None:
        self.runtime = runtime
        self.real = real
        self.pictures = DevicePictures(runtime)
        """Pictures uploaded by fits on this engine."""

    @classmethod
    def open(cls, index: int | None = None, threads: int | None = None) -> Self:
        """See `Rasterizer.open`."""
        from gscodec.cuda.device import open_runtime

        del threads
        return cls(open_runtime("cuda" if index is None else f"cuda:{index}"))

    @property
    def on_device(self) -> Self:
        """See `Rasterizer.on_device`."""
        return self

    def compile_ahead(self, variants: "Iterable[Variant]") -> None:
        """See `DeviceEngine.compile_ahead`."""
        self.runtime.compile_ahead((variant.family, dict(variant.defines)) for variant in variants)

    def bin(
        self, gaussians: GaussianSet, grid: Grid, tiles: TileRect | None = None, max_pairs: int = MAX_TILE_PAIRS
    ) -> TileIndex:
        """Tile lists of spec/igs.md, section 3.4, for all tiles or the half-open rectangle (tx0, ty0, tx1, ty1).

        Raises:
            InvalidArgument: a parameter is not finite, an inverse scale is not positive, or grid or tiles are invalid.
            TooManyPairs: more than max_pairs entries.
        """
        check_parameters(gaussians)
        check_grid(gaussians, grid)
        rect = rectangle(grid, tiles)
        with self.runtime:
            lists = bin_scene(self.runtime, self._upload(gaussians), grid, rect, max_pairs=max_pairs).lists
            offsets = self.runtime.download(lists.offsets).astype(np.int64)
            return TileIndex(offsets, self.runtime.download(lists.indices)[: offsets[-1]], rect)

    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> npt.NDArray[Any]:
        """See `Rasterizer.forward`."""
        check_window(window)
        if dtype not in get_args(OutputDtype):
            raise InvalidArgument(f"dtype {dtype!r} is not one of {', '.join(get_args(OutputDtype))}")
        with self.runtime:
            scene = self._scene(gaussians, grid, index)
            n_channels = gaussians.n_channels
            kind = self.real if dtype == "float32" else np.dtype(dtype)
            out = self.runtime.xp.empty((window.height, window.width, n_channels), kind)
            render_window(self.runtime, scene, window, out)
            return self.runtime.download(out)

    def sample(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, points: Float64Array) -> Float32Array:
        """See `Rasterizer.sample`."""
        place = check_points(points)
        with self.runtime:
            scene = self._scene(gaussians, grid, index)
            out = self.runtime.xp.empty((len(place), gaussians.n_channels), np.float32)
            blending.sample(self.runtime, scene, self.runtime.upload(place), out)
            return self.runtime.download(out)

    def backward(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, grad_image: Float32Array) -> GaussianGrads:
        """See `Rasterizer.backward`."""
        n, c = gaussians.features.shape
        if grad_image.shape != (grid.height, grid.width, c):
            raise InvalidArgument(f"grad_image has shape {grad_image.shape}, not {(grid.height, grid.width, c)}")
        with self.runtime:
            xp = self.runtime.xp
            on_device = self._upload(gaussians)
            scene = self._scene(gaussians, grid, index, on_device)
            moments = xp.empty((max(scene.lists.capacity, 1), MOMENTS + c), self.real)
            grads = xp.empty((n, MOMENTS + c), self.real)
            blending.backward(
                self.runtime,
                scene,
                (grid.height, grid.width),
                Strides.interleaved(grid.width, c),
                grad_image=self.runtime.upload(np.asarray(grad_image, np.float32)),
                moments=moments,
            )
            blending.gather(self.runtime, scene, moments, grads)
            rows = self.runtime.download(grads)
        geometry = rows[:, :MOMENTS].astype(np.float64)
        features = rows[:, MOMENTS:].astype(np.float32)
        return GaussianGrads(geometry[:, :2], geometry[:, 2:4], geometry[:, 4], features)

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
        counts = importance_planes(importance, image.shape)
        with self.runtime:
            shown, wanted = (
                self.runtime.upload(np.moveaxis(part, 2, 0).astype(np.float32)) for part in (image, target)
            )
            each = None if counts is None else self.runtime.upload(counts)
            value, grad = loss_planes(self.runtime, shown, wanted, weights, each)
            return value, np.moveaxis(self.runtime.download(grad), 0, 2)

    def _upload(self, gaussians: GaussianSet) -> DeviceGaussians:
        up = self.runtime.upload
        return device_gaussians(
            self.runtime,
            up(np.asarray(gaussians.means, np.float64)),
            up(np.asarray(gaussians.inv_scales, np.float64)),
            up(np.asarray(gaussians.rotations, np.float64)),
            up(np.asarray(gaussians.features, np.float32)),
        )

    def _scene(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, on_device: DeviceGaussians | None = None
    ) -> Scene:
        """The scene with the caller's lists, which may differ from those of the Gaussians' geometry."""
        check_grid(gaussians, grid)
        check_index(gaussians, grid, index)
        rect = rectangle(grid, index.tiles)
        runtime = self.runtime
        shown = on_device or self._upload(gaussians)
        geometry = Geometry(runtime, len(gaussians))
        find_axes(runtime, shown, geometry, rect, grid.support_q)
        lists = TileLists(runtime, rect, len(index.indices))
        lists.offsets = runtime.upload(index.offsets.astype(np.int32))
        if len(index.indices):
            lists.indices = runtime.upload(index.indices.astype(np.int32))
        geometry.starts, lists.slots = self._pairs_by_gaussian(index, len(gaussians))
        background = runtime.upload(np.ascontiguousarray(grid.background, np.float32))
        return Scene(shown, geometry, lists, background, grid.top_k, self.real)

    def _pairs_by_gaussian(self, index: TileIndex, n_gaussians: int) -> tuple[Array, Array]:
        """First pairs (N + 1,) and slots of the caller's lists, as tile_bin.cu computes them for its own."""
        counts = np.bincount(index.indices, minlength=n_gaussians)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        slots = np.argsort(index.indices, kind="stable").astype(np.int32)
        up = self.runtime.upload
        return up(starts), up(slots if len(slots) else np.zeros(1, np.int32))
