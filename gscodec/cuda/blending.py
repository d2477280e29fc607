"""Rendering, gradients and samples in GPU memory: launches of raster_forward.cu, raster_backward.cu, sample.cu."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from gscodec.cuda.binning import AXIS_SCALE, WARP, DeviceGaussians, Geometry, TileLists, TileRect, place_points
from gscodec.cuda.losses import TERM_DEFINES, weight_stride
from gscodec.cuda.runtime import Array, Kernel, Runtime
from gscodec.cuda.structs import packed
from gscodec.errors import InvalidArgument
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Window
from gscodec.model.rendering import N_POINTWISE_TERMS, LossWeights

MOMENTS: Final = 5
"""Sums per pair from which the gradients of a Gaussian's geometry follow: h U, h V, h U^2, h U V, h V^2."""

MAX_PASS: Final = 8
"""Maximum number of channels blended together; more take several passes over the list."""

THREADS: Final = 128
SAMPLE_THREADS: Final = 128
GATHER_THREADS: Final = 256
FORWARD_BATCH: Final = 128
BACKWARD_BATCH: Final = 64
DOUBLE_BATCH: Final = 16
"""Replaces BACKWARD_BATCH in double precision, so that eight channels fit into shared memory."""

GATHER_DEFINES: Final[dict[str, int | str]] = {
    "MOMENTS": MOMENTS,
    "AXIS_SCALE": repr(AXIS_SCALE),
    "GATHER_THREADS": GATHER_THREADS,
}

CHOICES: Final = 3
"""Values per pixel that blending stores for the gradient."""

_NO_LOSS: Final = LossWeights()

_BACKGROUND: Final = 6
"""Position of the background in `Scene.arguments`."""

Real = type[np.float32] | type[np.float64]

_CODES: Final[dict[str, tuple[str, int]]] = {
    "float32": ("float", 0),
    "uint8": ("unsigned char", 255),
    "uint16": ("unsigned short", 65535),
}


@dataclass(frozen=True)
class Strides:
    """Strides of an image buffer, in elements."""

    row: int
    pixel: int
    channel: int

    @staticmethod
    def interleaved(width: int, n_channels: int) -> "Strides":
        """(H, W, C)."""
        return Strides(width * n_channels, n_channels, 1)

    @staticmethod
    def planes(height: int, width: int) -> "Strides":
        """(C, H, W)."""
        return Strides(width, 1, height * width)

    def arguments(self) -> tuple[np.int64, np.int64, np.int64]:
        """The strides as kernel arguments."""
        return np.int64(self.row), np.int64(self.pixel), np.int64(self.channel)


@dataclass(frozen=True)
class Lattice:
    """A window's points by tile: the columns and rows in each tile, and their positions relative to its corner."""

    height: int
    width: int
    column_starts: Array  # int32 (tile columns + 1,)
    columns: Array  # real (width,) px
    row_starts: Array  # int32 (tile rows + 1,)
    rows: Array  # real (height,) px

    @staticmethod
    def of(
        runtime: Runtime,
        window: Window,
        tiles: TileRect,
        real: Real = np.float32,
        rows: tuple[int, int] | None = None,
    ) -> "Lattice":
        """The lattice of a window, or of its rows first to last - 1, on a rectangle of tiles.

        A point outside the rectangle belongs to the nearest tile.
        """
        x0, y0, x1, y1 = tiles
        first, last = rows or (0, window.height)
        xp, size = runtime.xp, (last - first, window.width)
        starts = xp.empty(x1 - x0 + 1, np.int32), xp.empty(y1 - y0 + 1, np.int32)
        places = xp.empty(max(size[1], 1), real), xp.empty(max(size[0], 1), real)
        place_points(runtime, window, (first, last), tiles, starts[0], places[0], starts[1], places[1])
        return Lattice(*size, starts[0], places[0], starts[1], places[1])


@dataclass(frozen=True)
class Scene:
    """Inputs of blending: Gaussians, geometry, tile lists and background."""

    gaussians: DeviceGaussians
    geometry: Geometry
    lists: TileLists
    background: Array  # float32 (C,)
    top_k: int
    real: Real = np.float32
    _lattices: dict[Any, Lattice] = field(default_factory=dict, compare=False)

    def lattice(self, runtime: Runtime, window: Window, rows: tuple[int, int] | None = None) -> Lattice:
        """Points of a window, or of some of its rows, on the scene's tiles; the last result is cached."""
        key = window, rows, self.lists.tiles
        known = self._lattices.get(key)
        if known is None:
            known = Lattice.of(runtime, window, self.lists.tiles, self.real, rows)
            self._lattices.clear()
            self._lattices[key] = known
        return known

    def around(self, window: Window, rows: tuple[int, int]) -> "Scene":
        """The scene reduced to the rows of tiles that contain some rows of a window: every tile costs a block."""
        _, y0, _, y1 = self.lists.tiles
        first, last = (
            math.floor((window.y + (row + 0.5) * window.step_y) / TILE_SIZE) for row in (rows[0], rows[1] - 1)
        )
        top, bottom = (min(max(tile, y0), y1 - 1) - y0 for tile in (first, last))
        if bottom - top + 1 == y1 - y0:
            return self
        return replace(self, lists=self.lists.rows_of_tiles(top, bottom + 1))

    def arguments(self) -> tuple[Any, ...]:
        """The first arguments of all blending kernels."""
        g, x0, y0 = self.gaussians, self.lists.tiles[0], self.lists.tiles[1]
        return (
            self.lists.offsets,
            self.lists.indices,
            g.means,
            self.geometry.axes,
            g.features,
            np.int32(g.feature_stride),
            self.background,
            np.int32(g.n_channels),
            np.int32(x0),
            np.int32(y0),
            np.int32(self.lists.tiles[2] - x0),
        )

    def kernel(self, runtime: Runtime, family: str, entry: str, batch: int, **more: int | str) -> Kernel:
        """A kernel compiled for this scene's K, channels per pass and precision."""
        return runtime.kernel(
            family,
            entry,
            REAL=_real_name(self.real),
            TILE_SIZE=TILE_SIZE,
            TOP_K=self.top_k,
            PASS=min(self.gaussians.n_channels, MAX_PASS),
            THREADS=THREADS,
            BATCH=batch,
            **more,
        )


def choices_of(runtime: Runtime, n_tiles: int, real: Real = np.float32) -> Array:
    """Uninitialised buffer for the choices that `render` stores at pixels of tiles, 12 bytes each; see blend.cuh."""
    return runtime.xp.empty((n_tiles, CHOICES, TILE_SIZE**2), real)


def render(
    runtime: Runtime, scene: Scene, lattice: Lattice, out: Array, strides: Strides, choices: Array | None = None
) -> None:
    """Write the scene at a lattice's points to `out`, in its type, or as uint8 or uint16 codes of the clamped values.

    Args:
        choices: buffer for the inputs of `backward_again`; the lattice must then cover all pixels of the tiles.
    """
    name = str(out.dtype)
    if name == np.dtype(scene.real).name:
        name = "float32"
    if name not in _CODES:
        raise InvalidArgument(f"dtype {out.dtype} is not one of {', '.join(_CODES)}")
    sample, peak = _CODES[name]
    if peak == 0:
        if out.dtype != scene.real:
            raise InvalidArgument(f"out: {out.dtype} is not {np.dtype(scene.real)}, what the scene is blended in")
        sample = _real_name(scene.real)
    if not lattice.height or not lattice.width:
        return
    _need(out, lattice.height * lattice.width * scene.gaussians.n_channels, "out")
    if choices is not None:
        _need_choices(choices, scene, (lattice.height, lattice.width))
    scene.kernel(runtime, "raster_forward", "blend_tiles", FORWARD_BATCH, SAMPLE=sample, PEAK=peak)(
        scene.lists.n_tiles,
        THREADS,
        *scene.arguments(),
        lattice.column_starts,
        lattice.columns,
        lattice.row_starts,
        lattice.rows,
        *strides.arguments(),
        out,
        choices,
    )


def sample(runtime: Runtime, scene: Scene, points: Array, out: Array) -> None:
    """Write float32 (M, C) values at points, float64 (M, 2) px, to `out`."""
    if not len(points):
        return
    _need(points, 2 * len(points), "points", np.float64)
    _need(out, len(points) * scene.gaussians.n_channels, "out", np.float32)
    scene.kernel(runtime, "sample", "sample_points", FORWARD_BATCH, SAMPLE_THREADS=SAMPLE_THREADS)(
        -(-len(points) // SAMPLE_THREADS),
        SAMPLE_THREADS,
        *scene.arguments(),
        np.int32(scene.lists.tiles[3] - scene.lists.tiles[1]),
        points,
        np.int32(len(points)),
        out,
    )


def backward(
    runtime: Runtime,
    scene: Scene,
    size: tuple[int, int],
    strides: Strides,
    *,
    grad_image: Array | None,
    target: Array | None = None,
    weights: LossWeights = _NO_LOSS,
    loss_partials: Array | None = None,
    moments: Array,
    importance: Array | None = None,
) -> None:
    """Compute `moments`, real (pairs, MOMENTS + C), from the gradient of the image of `size` (height, width).

    That gradient is grad_image plus, if there is a target, that of the loss's terms of single samples; both are float32
    with the layout `strides`. loss_partials, float32 (tiles, N_POINTWISE_TERMS), receives the terms' sums. An
    importance, float32 (height, width) or (C, height, width), weights each sample; loss_partials then has the
    unweighted d^2 in one more column.
    """
    height, width = size
    n_values = height * width * scene.gaussians.n_channels
    for name, array in (("grad_image", grad_image), ("target", target)):
        if array is not None:
            _need(array, n_values, name, np.float32)
    if loss_partials is not None:
        n_sums = N_POINTWISE_TERMS + (importance is not None)
        _need(loss_partials, n_sums * scene.lists.n_tiles, "loss_partials", np.float32)
    if importance is not None:
        _need(importance, height * width, "importance", np.float32)
        if importance.size not in {height * width, n_values}:
            raise InvalidArgument(f"importance: {importance.shape} is not one plane, or one for each channel")
    _need(moments, scene.lists.capacity * (MOMENTS + scene.gaussians.n_channels), "moments", scene.real)
    entry = "backward_tiles" if importance is None else "weighted_backward_tiles"
    takes_weight = importance is not None
    if weights.means:
        if target is None:
            raise InvalidArgument(f"{weights}: the means of blocks need a target")
        entry, takes_weight = "means_backward_tiles", True
    _backward_kernel(runtime, scene, entry)(
        scene.lists.n_tiles,
        THREADS,
        *scene.arguments(),
        np.int32(height),
        np.int32(width),
        grad_image,
        target,
        *strides.arguments(),
        packed(asdict(weights.per_sample(n_values))),
        *((importance, weight_stride(importance, size)) if takes_weight else ()),
        loss_partials,
        moments,
    )


def backward_again(
    runtime: Runtime,
    scene: Scene,
    size: tuple[int, int],
    strides: Strides,
    *,
    grad_image: Array,
    picture: Array,
    choices: Array,
    moments: Array,
) -> None:
    """`backward` of grad_image alone, bit-identical, reusing the choices of `render` instead of blending again.

    Args:
        picture: result of `render` in the scene's arithmetic type, with the layout `strides`, as grad_image.
        choices: stored by the same call of `render`.
    """
    n_values = size[0] * size[1] * scene.gaussians.n_channels
    _need(grad_image, n_values, "grad_image", np.float32)
    _need(picture, n_values, "picture", scene.real)
    _need_choices(choices, scene, size)
    _need(moments, scene.lists.capacity * (MOMENTS + scene.gaussians.n_channels), "moments", scene.real)
    reads = scene.arguments()
    _backward_kernel(runtime, scene, "chosen_backward_tiles")(
        scene.lists.n_tiles,
        THREADS,
        *reads[:_BACKGROUND],
        *reads[_BACKGROUND + 1 :],
        np.int32(size[0]),
        np.int32(size[1]),
        grad_image,
        picture,
        *strides.arguments(),
        choices,
        moments,
    )


def gather(runtime: Runtime, scene: Scene, moments: Array, grads: Array) -> None:
    """Sum moments to gradients, real (N, MOMENTS + C): mean x, y (per px), inverse scales, rotation, features.

    Rows of Gaussians that are not shown are not written.
    """
    n = len(scene.gaussians)
    if not n:
        return
    _need(grads, n * (MOMENTS + scene.gaussians.n_channels), "grads", scene.real)
    _backward_kernel(runtime, scene, "gather_gradients")(
        -(-n * WARP // GATHER_THREADS),
        GATHER_THREADS,
        scene.gaussians.n_shown,
        np.int32(n),
        scene.geometry.starts,
        scene.lists.slots,
        moments,
        np.int32(scene.gaussians.n_channels),
        scene.gaussians.inv_scales,
        scene.geometry.axes,
        grads,
    )


def _backward_kernel(runtime: Runtime, scene: Scene, entry: str) -> Kernel:
    batch = BACKWARD_BATCH if scene.real is np.float32 else DOUBLE_BATCH
    return scene.kernel(runtime, "raster_backward", entry, batch, **GATHER_DEFINES, **TERM_DEFINES)


def _real_name(real: Real) -> str:
    return "double" if real is np.float64 else "float"


def _need_choices(choices: Array, scene: Scene, size: tuple[int, int]) -> None:
    x0, y0, x1, y1 = scene.lists.tiles
    if (y1 - y0, x1 - x0) != tuple(-(-length // TILE_SIZE) for length in size):
        raise InvalidArgument(f"choices: {size} px are not what tiles {scene.lists.tiles} have")
    _need(choices, scene.lists.n_tiles * CHOICES * TILE_SIZE**2, "choices", scene.real)


def _need(array: Array, size: int, name: str, dtype: Real | None = None) -> None:
    if array.size < size or not array.flags.c_contiguous or (dtype is not None and array.dtype != dtype):
        raise InvalidArgument(f"{name}: {array.dtype} of {array.size} values, {size} contiguous ones are needed")
