"""The photometric loss on the device: launches of loss.cu and the buffers they fill.

A training step whose loss has an SSIM term takes everything from here: `launch_loss` on the rendered planes, then the
backward pass from `LossBuffers.grad` alone. Without SSIM the backward pass computes L1 and L2 itself
(blending.backward) and leaves rows of partial sums in the same form.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gscodec.constants import MAX_IMAGE_PIXELS
from gscodec.cuda.runtime import Array, Define, Runtime
from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.raster.base import LossWeights
from gscodec.raster.reference_loss import SSIM_C1, SSIM_C2, SSIM_TAPS, ssim_window

LOSS_TERMS: Final = 3
"""Sums that a loss is made of: |d|, d^2 and 1 - SSIM."""

FINISH_THREADS: Final = 256
POINT_THREADS: Final = 256
POINT_EACH: Final = 8
"""Samples a thread compares without SSIM."""

SSIM_THREADS: Final = 128
SSIM_BLOCKS: Final = 4
"""Blocks a processor should hold at once; what registers are rationed for."""

SSIM_ROWS: Final = (256, 128, 64, 32)
"""Rows a block may own, best first: it reads twenty more than it owns."""

SSIM_ENOUGH_BLOCKS: Final = 768
"""Blocks that fill a large card (132 processors with four each) one and a half times."""

_REACH: Final = SSIM_TAPS // 2

DEFINES: Final[dict[str, Define]] = {
    "LOSS_TERMS": LOSS_TERMS,
    "FINISH_THREADS": FINISH_THREADS,
    "POINT_THREADS": POINT_THREADS,
    "POINT_EACH": POINT_EACH,
    "SSIM_THREADS": SSIM_THREADS,
    "SSIM_BLOCKS": SSIM_BLOCKS,
    "SSIM_TAPS": SSIM_TAPS,
    "SSIM_WEIGHTS": ", ".join(repr(float(weight)) for weight in ssim_window()[_REACH:]),
    "SSIM_C1": repr(SSIM_C1),
    "SSIM_C2": repr(SSIM_C2),
}
"""What loss.cu is compiled with."""


@dataclass(frozen=True)
class LossBuffers:
    """What the loss of planes (C, H, W) writes. Made once; a step allocates nothing."""

    grad: Array  # float32 (C, H, W) gradient to the image
    partials: Array  # float32 (blocks, 2 or LOSS_TERMS) partial sums, for `finish_loss` of fitting.py
    sums: Array  # float64 (LOSS_TERMS,)
    rows: int  # of a block of ssim_loss; 0 without SSIM

    @staticmethod
    def of(runtime: Runtime, shape: tuple[int, int, int], weights: LossWeights) -> "LossBuffers":
        """Buffers for planes of a shape and a kind of loss: with or without an SSIM term.

        Raises:
            InvalidArgument: there are no samples.
            LimitExceeded: a plane has more than MAX_IMAGE_PIXELS.
        """
        n_channels, height, width = shape
        if min(shape) < 1:
            raise InvalidArgument(f"planes of shape {shape} have no samples to compare")
        if height * width > MAX_IMAGE_PIXELS:
            raise LimitExceeded(f"planes of {width}x{height} px have more than {MAX_IMAGE_PIXELS} pixels")
        rows = ssim_rows(shape) if weights.ssim else 0
        if rows:
            partials = (int(np.prod(_ssim_grid(shape, rows))), LOSS_TERMS)
        else:
            partials = (-(-n_channels * height * width // (POINT_THREADS * POINT_EACH)), 2)
        xp = runtime.xp
        return LossBuffers(
            xp.empty(shape, np.float32), xp.empty(partials, np.float32), xp.empty(LOSS_TERMS, np.float64), rows
        )


def ssim_rows(shape: tuple[int, int, int]) -> int:
    """Rows a block of ssim_loss owns: as many as leave enough blocks for a large card. The shape alone decides."""
    for rows in SSIM_ROWS:
        if np.prod(_ssim_grid(shape, rows)) >= SSIM_ENOUGH_BLOCKS:
            return rows
    return SSIM_ROWS[-1]


def launch_loss(runtime: Runtime, image: Array, target: Array, weights: LossWeights, buffers: LossBuffers) -> None:
    """Fills buffers.grad with the loss's gradient to the image, and buffers.partials with what its value is made of.

    Args:
        image: float32 (C, H, W), contiguous, like the target.
        buffers: made for that shape, and for weights with an SSIM term exactly when these have one.

    Raises:
        InvalidArgument: an array is not so.
    """
    shape = buffers.grad.shape
    for name, array in (("image", image), ("target", target)):
        if array.shape != shape or array.dtype != np.float32 or not array.flags.c_contiguous:
            raise InvalidArgument(f"{name}: {array.dtype} {array.shape}, not contiguous float32 {shape}")
    if bool(weights.ssim) != bool(buffers.rows):
        kind = "with" if buffers.rows else "without"
        raise InvalidArgument(f"{weights}: the buffers were made for a loss {kind} SSIM")
    n_channels, height, width = shape
    n_samples = n_channels * height * width
    l1, l2, ssim = (np.float32(weight / n_samples) for weight in (weights.l1, weights.l2, weights.ssim))
    if buffers.rows:
        runtime.kernel("loss", "ssim_loss", **DEFINES)(
            _ssim_grid(shape, buffers.rows),
            SSIM_THREADS,
            image,
            target,
            np.int32(height),
            np.int32(width),
            np.int32(buffers.rows),
            l1,
            l2,
            ssim,
            buffers.grad,
            buffers.partials,
        )
    else:
        runtime.kernel("loss", "pointwise_loss", **DEFINES)(
            len(buffers.partials),
            POINT_THREADS,
            image,
            target,
            np.int64(n_samples),
            l1,
            l2,
            buffers.grad,
            buffers.partials,
        )


def loss_planes(runtime: Runtime, image: Array, target: Array, weights: LossWeights) -> tuple[float, Array]:
    """The photometric loss of image against target, and its gradient to image (`Rasterizer.loss`). Waits for both.

    Args:
        image: float32 (C, H, W), contiguous, like the target.

    Returns:
        The value, and float32 (C, H, W).

    Raises:
        InvalidArgument: shapes or types differ from that, or there are no samples.
        LimitExceeded: a plane has more than MAX_IMAGE_PIXELS.
    """
    if image.ndim != 3:
        raise InvalidArgument(f"image: {image.shape} is not (C, height, width)")
    buffers = LossBuffers.of(runtime, image.shape, weights)
    launch_loss(runtime, image, target, weights, buffers)
    n, terms = buffers.partials.shape
    runtime.kernel("loss", "sum_partials", **DEFINES)(
        1, FINISH_THREADS, buffers.partials, np.int32(n), np.int32(terms), buffers.sums
    )
    absolute, square, dissimilarity = (float(total) / image.size for total in runtime.download(buffers.sums))
    return weights.l1 * absolute + weights.l2 * square + weights.ssim * dissimilarity, buffers.grad


def _ssim_grid(shape: tuple[int, int, int], rows: int) -> tuple[int, int, int]:
    """Strips of columns, blocks of rows, channels."""
    n_channels, height, width = shape
    return -(-width // (SSIM_THREADS - 2 * _REACH)), -(-height // rows), n_channels
