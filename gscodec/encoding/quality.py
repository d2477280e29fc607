"""What `quality` means: the slope of error over bytes at which a file ends, the same for every picture.

A file of this quality is as large as it takes until one more byte would lower the summed squared error of its samples
by less than the slope. So pictures of a set are equally well worth their last byte: flat ones come out small and exact,
busy ones larger, and no other distribution of their bytes has less error in sum.
"""

from typing import Final

DEFAULT_QUALITY: Final = 60.0
"""What `encode` and `batch` aim for if no target is given."""

MAX_QUALITY: Final = 100.0

DEFAULT_SLOPE: Final = 0.01
"""Squared error per byte at DEFAULT_QUALITY, of samples in 0..1, summed over pixels and channels. Photographs then get
about the bytes that AVIF spends at its default quality, 60 as well: 0.4 to 0.9 bits per pixel, 1.5 to 2 in gravel."""

POINTS_PER_HALF_STEP: Final = 10.0
"""Points of quality that halve the quantiser steps. Squared errors go with the square of the steps, so the slope falls
to a quarter. Files grow by a factor of 1.5 to 2 and gain 2 to 4 dB; quality 0 is a placeholder of some hundred bytes,
100 has a Gaussian for every few pixels."""


def slope_of(quality: float) -> float:
    """Squared error per byte at which a file of a quality, 0..100, ends."""
    slope: float = DEFAULT_SLOPE * 4.0 ** ((DEFAULT_QUALITY - quality) / POINTS_PER_HALF_STEP)
    return slope
