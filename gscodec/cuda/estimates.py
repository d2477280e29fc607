"""Estimates of GPU memory use, and the error for what does not fit."""

from typing import Final

from gscodec.cuda.blending import CHOICES, MOMENTS
from gscodec.cuda.runtime import Runtime
from gscodec.errors import OutOfDeviceMemory
from gscodec.model.constants import MAX_TILE_PAIRS, TILE_SIZE

PAIR_BYTES: Final = 16
"""Bytes per pair of a tile and a Gaussian in the tile lists: index, slot, entry."""

PAIRS_PER_TILE: Final = 64
"""Pairs per tile, including the spare capacity of a fit: finished fits have 35 at 10,000 Gaussians of 2048 x 2048 px,
83 at 200,000."""

ROW_COPIES: Final = 12
"""Copies of a fit's parameters: moments, gradients, those kept of coarser levels, units, the best state, and the
snapshot for undoing a batch of steps."""

GEOMETRY_BYTES: Final = 200
"""Bytes per Gaussian shown: float64 geometry, axes, ellipse, counts."""


def fit_bytes(shape: tuple[int, int, int], n_gaussians: int, *, compares_neighbours: bool) -> int:
    """Estimated peak memory, in bytes, of a fit of (height, width, C) samples with relocations.

    Args:
        compares_neighbours: whether the loss has a term that does, as SSIM.
    """
    height, width, n_channels = shape
    pixels = height * width
    planes = 4 * n_channels * (3 if compares_neighbours else 2)  # target, picture, gradient
    # A picture, and the planes of removal_sums, in parts of C; growth's density, blur and keys take less.
    placing = 4 * n_channels * (1 - -(n_channels + 2) // n_channels)
    tiles = -(-height // TILE_SIZE) * -(-width // TILE_SIZE)
    choices = 4 * CHOICES * TILE_SIZE**2 * tiles if compares_neighbours else 0
    pairs = min(MAX_TILE_PAIRS, PAIRS_PER_TILE * tiles)
    lists = pairs * (PAIR_BYTES + 4 * (MOMENTS + n_channels))
    rows = n_gaussians * (4 * ROW_COPIES * (MOMENTS + n_channels) + GEOMETRY_BYTES)
    return pixels * (planes + placing) + choices + lists + rows


def check_room(runtime: Runtime, n_bytes: int, what: str, remedy: str) -> None:
    """Raise if the device lacks memory, before anything is allocated.

    Raises:
        OutOfDeviceMemory: the bytes needed exceed the bytes free; the text has both.
    """
    free = runtime.free_bytes()
    if n_bytes > free:
        raise OutOfDeviceMemory(
            f"device {runtime.name}: {what} takes about {n_bytes:,} bytes, {free:,} are free; {remedy}"
        )
