"""Mip chains: each level an area average of the whole picture, as if it had been shrunk in one step."""

from collections.abc import Callable, Iterator

from gscodec.decoding.scaled import shrink_array
from gscodec.image.averages import SampleAverage
from gscodec.model.gaussians import Float32Array


def mip_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of all levels: halved, rounded down, until one pixel is left."""
    n_levels = max(height, width).bit_length()
    return [(max(1, height >> level), max(1, width >> level)) for level in range(n_levels)]


def mip_levels(
    height: int, width: int, render: Callable[[], Float32Array], averaging: SampleAverage
) -> Iterator[Float32Array]:
    """float32 (h, w, C) of all levels, finest first.

    Args:
        render: the picture of (height, width), its floats in the source's units.
        averaging: of its C channels.
    """
    values = render()
    yield values
    finest = held = averaging.forward(values)
    del values
    for size in mip_sizes(height, width)[1:]:
        # Where footprints of a level are whole pixels of the one before, the mean of means is the mean.
        is_whole = held.shape[0] % size[0] == 0 and held.shape[1] % size[1] == 0
        held = shrink_array(held if is_whole else finest, size)
        yield averaging.back(held)
