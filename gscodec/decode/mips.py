"""Mip chains: each level an area average of the whole picture, as if it had been shrunk in one step."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.decode.scaled import shrink
from gscodec.format import ChannelGroup
from gscodec.gaussians import Float32Array
from gscodec.image.alpha import clamped

_HELD_SAMPLES: Final = 1 << 27
"""Levels of up to this many samples (512 MiB) are kept to make smaller ones of them."""


def mip_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of all levels: halved, rounded down, until one pixel is left."""
    n_levels = max(height, width).bit_length()
    return [(max(1, height >> level), max(1, width >> level)) for level in range(n_levels)]


def mip_levels(
    height: int,
    width: int,
    render: Callable[[tuple[int, int]], Float32Array],
    groups: Sequence[ChannelGroup],
) -> Iterator[Float32Array]:
    """float32 (h, w, C) of all levels, finest first.

    Args:
        render: the picture at a size, area-averaged where that is smaller than (height, width), its floats in the
            source's units.
        groups: what the C channels are.
    """
    finest: Float32Array | None = None
    held: Float32Array | None = None
    for size in mip_sizes(height, width):
        if held is not None and held.shape[0] % size[0] == 0 and held.shape[1] % size[1] == 0:
            # Footprints of this level are whole pixels of the one before: the mean of means is the mean.
            level = _boxes(held, size)
        elif finest is not None:
            level = _averaged(finest, size)
        else:
            level = render(size)
        held = clamped(level, groups) if level.size <= _HELD_SAMPLES else None
        if size == (height, width):
            finest = held
        yield level


def _averaged(values: Float32Array, size: tuple[int, int]) -> Float32Array:
    strips = shrink(lambda first, last: values[first:last], values.shape[:2], size, values.shape[2], 0)
    return np.concatenate([rows for _, rows in strips])


def _boxes(values: npt.NDArray[Any], size: tuple[int, int]) -> Float32Array:
    height, width = size
    shape = (height, values.shape[0] // height, width, values.shape[1] // width, values.shape[2])
    result: Float32Array = values.reshape(shape).mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
    return result
