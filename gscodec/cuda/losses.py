"""Photometric loss in GPU memory: launches of loss.cu and the buffers they fill.

A training step with an SSIM term uses `launch_loss` on the rendered planes, then the backward pass from
`LossBuffers.grad` alone. Without SSIM the backward pass computes L1 and L2 itself (blending.backward) and writes
partial sums in the same form.
"""

from dataclasses import asdict, dataclass, fields
from typing import Final

import numpy as np

from gscodec.cuda.runtime import Array, Define, Runtime
from gscodec.cuda.structs import packed
from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.model.constants import MAX_IMAGE_PIXELS
from gscodec.model.rendering import N_POINTWISE_TERMS, N_TERMS, LossWeights

LOSS_COLUMNS: Final = N_TERMS + 1
"""Maximum number of sums: with importance, the unweighted d^2 follows those of the loss."""

FINISH_THREADS: Final = 256
POINT_THREADS: Final = 256
POINT_EACH: Final = 8
"""Samples compared per thread without SSIM."""

SSIM_THREADS: Final = 128
SSIM_BLOCKS: Final = 4
"""Blocks per multiprocessor that the register limit allows for."""

SSIM_ROWS: Final = (256, 128, 64, 32)
"""Rows per block, best first: a block reads twenty rows more than it owns."""

SSIM_ENOUGH_BLOCKS: Final = 768
"""Number of blocks that fill a large GPU (132 multiprocessors with four each) one and a half times."""

SSIM_WEIGHTS: Final = (0.26601171, 0.21300554, 0.10936069, 0.036000773, 0.007598758, 0.0010283801)
"""Taps of a Gaussian window of 1.5 px with sum 1 over eleven taps, by distance from the centre (Wang et al. 2004)."""

SSIM_TAPS: Final = 2 * len(SSIM_WEIGHTS) - 1
SSIM_C1: Final = 1e-4
SSIM_C2: Final = 9e-4

_REACH: Final = SSIM_TAPS // 2

MEAN_SIDE: Final = 4
"""Side, px, of the blocks whose mean errors count (`LossWeights.means`)."""

TERM_DEFINES: Final[dict[str, Define]] = {
    "LOSS_TERMS": N_TERMS,
    "POINTWISE_TERMS": N_POINTWISE_TERMS,
    "MEANS_TERM": [term.name for term in fields(LossWeights)].index("means"),
    "MEAN_SIDE": MEAN_SIDE,
}
"""Numbers of terms and the place of one, for kernels that take `LossWeights`."""

DEFINES: Final[dict[str, Define]] = {
    **TERM_DEFINES,
    "LOSS_COLUMNS": LOSS_COLUMNS,
    "FINISH_THREADS": FINISH_THREADS,
    "POINT_THREADS": POINT_THREADS,
    "POINT_EACH": POINT_EACH,
    "SSIM_THREADS": SSIM_THREADS,
    "SSIM_BLOCKS": SSIM_BLOCKS,
    "SSIM_TAPS": SSIM_TAPS,
    "SSIM_WEIGHTS": ", ".join(map(repr, SSIM_WEIGHTS)),
    "SSIM_C1": repr(SSIM_C1),
    "SSIM_C2": repr(SSIM_C2),
}
"""Macros of loss.cu."""


@dataclass(frozen=True)
class LossBuffers:
    """Output buffers of the loss of planes (C, H, W). Allocated once; a step allocates nothing."""

    grad: Array  # float32 (C, H, W) gradient to the image
    partials: Array  # float32 (blocks, loss_columns) partial sums, for `finish_loss` of fitting.py
    sums: Array  # float64 (LOSS_COLUMNS,)
    rows: int  # rows per block of ssim_loss; 0 without SSIM
    has_means: bool  # whether blocks of pixels are compared

    @staticmethod
    def of(
        runtime: Runtime, shape: tuple[int, int, int], weights: LossWeights, *, has_importance: bool = False
    ) -> "LossBuffers":
        """Buffers for planes of a shape and a kind of loss: with or without SSIM and importance.

        Raises:
            InvalidArgument: the planes have no samples.
            LimitExceeded: a plane has more than MAX_IMAGE_PIXELS.
        """
        n_channels, height, width = shape
        if min(shape) < 1:
            raise InvalidArgument(f"planes of shape {shape} have no samples to compare")
        if height * width > MAX_IMAGE_PIXELS:
            raise LimitExceeded(f"planes of {width}x{height} px have more than {MAX_IMAGE_PIXELS} pixels")
        rows = ssim_rows(shape) if weights.compares_neighbours else 0
        if rows:
            n_blocks = int(np.prod(_ssim_grid(shape, rows)))
        elif weights.means:
            n_blocks = -(-n_channels * -(-height // MEAN_SIDE) * -(-width // MEAN_SIDE) // POINT_THREADS)
        else:
            n_blocks = -(-n_channels * height * width // (POINT_THREADS * POINT_EACH))
        partials = (n_blocks, loss_columns(weights, has_importance=has_importance))
        xp = runtime.xp
        return LossBuffers(
            xp.empty(shape, np.float32),
            xp.empty(partials, np.float32),
            xp.empty(LOSS_COLUMNS, np.float64),
            rows,
            bool(weights.means),
        )


def loss_columns(weights: LossWeights, *, has_importance: bool) -> int:
    """Number of columns of the partial sums."""
    return weights.n_sums + has_importance


def ssim_rows(shape: tuple[int, int, int]) -> int:
    """Rows per block of ssim_loss: the most that leave enough blocks for a large GPU. Depends only on the shape."""
    for rows in SSIM_ROWS:
        if np.prod(_ssim_grid(shape, rows)) >= SSIM_ENOUGH_BLOCKS:
            return rows
    return SSIM_ROWS[-1]


def launch_loss(
    runtime: Runtime,
    image: Array,
    target: Array,
    weights: LossWeights,
    buffers: LossBuffers,
    importance: Array | None = None,
) -> None:
    """Compute buffers.grad, the loss's gradient with respect to the image, and buffers.partials, the sums of its value.

    Args:
        image: float32 (C, H, W), contiguous, like the target.
        buffers: created for that shape, and with an SSIM term exactly if `weights` have one.
        importance: float32 (H, W) or (C, H, W), weights of samples, exactly if the buffers were created for them; None
            means 1 everywhere.

    Raises:
        InvalidArgument: an array has another shape, type or layout.
    """
    shape = buffers.grad.shape
    counts = shape if importance is not None and importance.size == image.size else (1, *shape[1:])
    importance = None if importance is None else importance.reshape(-1, *shape[1:])
    for name, array, wanted in (("image", image, shape), ("target", target, shape), ("importance", importance, counts)):
        if array is not None and (array.shape != wanted or array.dtype != np.float32 or not array.flags.c_contiguous):
            raise InvalidArgument(f"{name}: {array.dtype} {array.shape}, not contiguous float32 {wanted}")
    if weights.compares_neighbours != bool(buffers.rows):
        kind = "with" if buffers.rows else "without"
        raise InvalidArgument(f"{weights}: the buffers are for a loss {kind} SSIM")
    if bool(weights.means) != buffers.has_means:
        kind = "with" if buffers.has_means else "without"
        raise InvalidArgument(f"{weights}: the buffers are for a loss {kind} block means")
    if buffers.partials.shape[1] != loss_columns(weights, has_importance=importance is not None):
        raise InvalidArgument("importance: required exactly if the buffers are for one")
    n_channels, height, width = shape
    n_samples = n_channels * height * width
    scaled = packed(asdict(weights.per_sample(n_samples)))
    if buffers.rows:
        entry = "ssim_loss" if importance is None else "weighted_ssim_loss"
        runtime.kernel("loss", entry, **DEFINES)(
            _ssim_grid(shape, buffers.rows),
            SSIM_THREADS,
            image,
            target,
            *(() if importance is None else (importance, weight_stride(importance, shape[1:]))),
            np.int32(height),
            np.int32(width),
            np.int32(buffers.rows),
            scaled,
            buffers.grad,
            buffers.partials,
        )
    elif buffers.has_means:
        runtime.kernel("loss", "block_loss", **DEFINES)(
            len(buffers.partials),
            POINT_THREADS,
            image,
            target,
            importance,
            weight_stride(importance, shape[1:]),
            np.int32(n_channels),
            np.int32(height),
            np.int32(width),
            scaled,
            buffers.grad,
            buffers.partials,
        )
    else:
        runtime.kernel("loss", "pointwise_loss", **DEFINES)(
            len(buffers.partials),
            POINT_THREADS,
            image,
            target,
            importance,
            weight_stride(importance, shape[1:]),
            np.int64(n_samples),
            np.int64(height * width),
            scaled,
            buffers.grad,
            buffers.partials,
        )


def weight_stride(importance: Array | None, size: tuple[int, int]) -> np.int64:
    """Distance, in samples, between the weights of two channels: 0 if all channels share one plane."""
    plane = size[0] * size[1]
    return np.int64(plane if importance is not None and importance.size > plane else 0)


def loss_planes(
    runtime: Runtime, image: Array, target: Array, weights: LossWeights, importance: Array | None = None
) -> tuple[float, Array]:
    """The photometric loss of image against target, and its gradient for image (`Rasterizer.loss`). Waits for both.

    Args:
        image: float32 (C, H, W), contiguous, like the target.
        importance: float32 (H, W) or (C, H, W), contiguous, weight of each sample; None means 1 everywhere.

    Returns:
        The value, and float32 (C, H, W).

    Raises:
        InvalidArgument: shapes or types differ, or there are no samples.
        LimitExceeded: a plane has more than MAX_IMAGE_PIXELS.
    """
    if image.ndim != 3:
        raise InvalidArgument(f"image: {image.shape} is not (C, height, width)")
    buffers = LossBuffers.of(runtime, image.shape, weights, has_importance=importance is not None)
    launch_loss(runtime, image, target, weights, buffers, importance)
    means = [total / image.size for total in column_sums(runtime, buffers.partials, buffers.sums)]
    terms = zip(weights.values[: weights.n_sums], means, strict=False)
    return sum(weight * mean for weight, mean in terms), buffers.grad


def code_errors(runtime: Runtime, codes: Array, target: Array, counts: Array | None = None) -> tuple[float, float]:
    """Squared error of a picture of codes, uint8 or uint16 (H, W, C), in units of the maximum code. Waits for it.

    Args:
        target: float32 (C, H, W), contiguous.
        counts: float32 (H, W), weight of each pixel.

    Returns:
        The mean over all samples, and the weighted mean; the second is 0 without `counts`.

    Raises:
        InvalidArgument: an array has another shape, type or layout.
    """
    height, width, n_channels = codes.shape
    entry = {"uint8": "compare_bytes", "uint16": "compare_words"}.get(str(codes.dtype))
    arrays = (codes, target, *(() if counts is None else (counts,)))
    fits = target.shape == (n_channels, height, width) and target.dtype == np.float32
    if counts is not None:
        fits = fits and counts.shape == (height, width) and counts.dtype == np.float32
    if entry is None or not fits or not all(array.flags.c_contiguous for array in arrays):
        shapes = ", ".join(f"{array.dtype} {array.shape}" for array in arrays)
        raise InvalidArgument(f"codes, target and counts do not match: {shapes}")
    n_blocks = -(-height * width // (POINT_THREADS * POINT_EACH))
    partials = runtime.xp.empty((n_blocks, len(arrays) - 1), np.float32)
    runtime.kernel("loss", entry, **DEFINES)(
        n_blocks,
        POINT_THREADS,
        codes,
        target,
        counts,
        np.int32(n_channels),
        np.int64(height * width),
        np.float32(np.iinfo(codes.dtype).max),
        partials,
    )
    plain, weighted, *_ = column_sums(runtime, partials, runtime.xp.empty(LOSS_COLUMNS, np.float64))
    return plain / target.size, weighted / target.size


def column_sums(runtime: Runtime, partials: Array, sums: Array) -> list[float]:
    """Sums of the columns of partial sums, float32 (n, loss_columns); 0 for missing columns. Waits for them.

    Args:
        sums: float64 (LOSS_COLUMNS,), which receives them.
    """
    n, terms = partials.shape
    runtime.kernel("loss", "sum_partials", **DEFINES)(1, FINISH_THREADS, partials, np.int32(n), np.int32(terms), sums)
    return [float(total) for total in runtime.download(sums)]


def _ssim_grid(shape: tuple[int, int, int], rows: int) -> tuple[int, int, int]:
    """Strips of columns, blocks of rows, channels."""
    n_channels, height, width = shape
    return -(-width // (SSIM_THREADS - 2 * _REACH)), -(-height // rows), n_channels
