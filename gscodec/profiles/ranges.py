"""Ranges of decoded values that hold for every profile."""

import numpy as np

from gscodec.errors import CorruptField
from gscodec.format.pages import PageRefs
from gscodec.model.constants import MAX_FEATURE, MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.model.gaussians import GaussianSet, Grid


def checked_gaussians(gaussians: GaussianSet, pages: PageRefs, grid: Grid, name: str) -> GaussianSet:
    """The Gaussians of some pages, if all are in range.

    Raises:
        CorruptField: one is not.
    """
    fault = None if _are_within(gaussians, grid) else _fault(gaussians, grid)
    if fault:
        page = int(pages.numbers[np.searchsorted(np.cumsum(pages.sizes), fault[0], side="right")])
        raise CorruptField(f"{name}: page {page} has a Gaussian with {fault[1]}")
    return gaussians


def _are_within(gaussians: GaussianSet, grid: Grid) -> bool:
    """Whether all Gaussians are in range, by the extremes alone."""
    if not len(gaussians):
        return True
    scales, features = gaussians.inv_scales, gaussians.features
    largest = gaussians.means.max(axis=0)
    return bool(
        largest[0] <= grid.width
        and largest[1] <= grid.height
        and MIN_INV_SCALE <= scales.min() <= scales.max() <= MAX_INV_SCALE
        and -MAX_FEATURE <= features.min() <= features.max() <= MAX_FEATURE
    )


def _fault(gaussians: GaussianSet, grid: Grid) -> tuple[int, str] | None:
    """The first Gaussian outside its ranges, and what is wrong with it."""
    size = np.array([grid.width, grid.height], np.float64)
    scales = gaussians.inv_scales
    faults = (
        ((gaussians.means > size).any(axis=1), "a mean outside the picture"),
        (((scales < MIN_INV_SCALE) | (scales > MAX_INV_SCALE)).any(axis=1), "an inverse scale outside 2^-14..64"),
        (~(np.abs(gaussians.features) <= MAX_FEATURE).all(axis=1), "a feature outside -65504..65504"),
    )
    first_bad = [(int(np.argmax(bad)), fact) for bad, fact in faults if bad.any()]
    return min(first_bad) if first_bad else None
