"""Ranges of the pages of profile `packed`: as narrow as the Gaussians of each allow, so that bits go far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.format.pages import page_starts
from gscodec.format.records import PageHeads, RecordLayout
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid
from gscodec.profiles.lattice import LEAST_EXPONENT, MAX_ELONGATION, TOP_EXPONENT, Lattice, scale_levels
from gscodec.profiles.morton import morton_codes
from gscodec.profiles.paging import file_order

Int64Array = npt.NDArray[np.int64]

SLOPES: Final = tuple(k / 16 for k in range(19))
"""Shares of the slope from the first mean to the last that are tried."""

TRIMMED: Final = (0, 1, 2, 4)
"""Records at either end of a page's range that may be moved to where it ends."""

OUTSIDE: Final = 0.3
"""Weight of a square beyond a range, beside one of rounding: what is off by much, others make up for most."""

MAX_LOW: Final = 65535
MAX_FILE_LOW: Final = 1 << 30
MAX_SCALE: Final = 255
MAX_SLOPE: Final = 65535

_CELLS: Final = 1 << 16


@dataclass(frozen=True)
class Ranges:
    """Real ranges of some value by page."""

    lows: Float64Array  # (P,)
    steps: Float64Array  # (P,) between neighbouring values
    error: float  # mean square off

    @property
    def least(self) -> float:
        """The low of all pages."""
        return float(self.lows.min()) if len(self.lows) else 0.0

    @property
    def unit(self) -> float:
        """The finest step that heads have room for multiples of, up to any step and low of these."""
        span = float(np.ptp(self.lows)) if len(self.lows) else 0.0
        far = float(np.abs(self.lows).max(initial=0.0))
        return max(float(self.steps.max(initial=0.0)) / MAX_SCALE, span / MAX_LOW, far / MAX_FILE_LOW, 1e-6)


def box_unit(grid: Grid) -> int:
    """The unit of boxes, px, in which the sides of a picture have 16 bits."""
    return 1 << max(0, max(grid.width, grid.height).bit_length() - 16)


def page_order(gaussians: GaussianSet, grid: Grid, counts: Sequence[int], page_size: int) -> npt.NDArray[np.int64]:
    """Indices that put Gaussians into compact pages, and in the order of x within each."""
    cells = (gaussians.means * (_CELLS / max(grid.width, grid.height))).astype(np.int64).clip(0, _CELLS - 1)
    order = file_order(morton_codes(cells[:, 0], cells[:, 1]), counts, page_size)
    starts = page_starts(tuple(counts), page_size)
    pages = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    return order[np.lexsort((gaussians.means[order, 0], pages))]


def fitting_lattice(
    gaussians: GaussianSet,
    transform: Float64Array,
    rotation_from: tuple[int, ...],
    place_bits: int,
    bits: tuple[int, ...],
    grid: Grid,
    counts: Sequence[int],
    page_size: int,
) -> Lattice:
    """The lattice on which records of such widths come nearest to some Gaussians, with the heads of their pages.

    Args:
        gaussians: in file order. transform, rotation_from: as in `Lattice`. place_bits, bits: as in `RecordLayout`.
    """
    starts = page_starts(tuple(counts), page_size)
    values = field_values(gaussians, transform)
    ranges = [field_ranges(column, starts, n) for column, n in zip(values.T, bits, strict=True)]
    steps = np.array([value_range.unit for value_range in ranges[2:]], np.float32)
    units = (1.0, 1.0, *steps.tolist())
    lows = tuple(int(np.floor(value_range.least / unit + 0.5)) for value_range, unit in zip(ranges, units, strict=True))
    layout = RecordLayout(place_bits, lows, bits)
    lattice = Lattice(1, 0, rotation_from, (0,) * len(counts), steps, transform, records=layout)
    return replace(lattice, pages=page_heads(gaussians, lattice, starts, grid))


def page_heads(gaussians: GaussianSet, lattice: Lattice, starts: Int64Array, grid: Grid) -> PageHeads:
    """The heads that suit the Gaussians of each page.

    Args:
        gaussians: in file order. lattice: with records. starts: (P + 1,) of the pages.
    """
    layout = lattice.records
    assert layout is not None
    boxes, slopes = mean_boxes(gaussians.means, starts, grid)
    values = field_values(gaussians, lattice.transform)
    lows = np.zeros((len(starts) - 1, len(layout.bits)), np.int64)
    scales = np.ones_like(lows)
    units = [lattice.scale_step, lattice.scale_step, *lattice.feature_steps.astype(np.float64)]
    for field, (low, bits, unit) in enumerate(zip(layout.lows, layout.bits, units, strict=True)):
        fields = field_ranges(values[:, field], starts, bits)
        scales[:, field] = np.clip(np.ceil(fields.steps / unit - 1e-6), 1, MAX_SCALE)
        lows[:, field] = np.clip(np.floor(fields.lows / unit + 0.5), low, low + MAX_LOW)
    return PageHeads(grid.width, np.diff(starts), boxes, slopes, lows, scales)


def field_values(gaussians: GaussianSet, transform: Float64Array) -> Float64Array:
    """(n, 2 + C) narrow scales and elongations, in units of 1/32 octave, and transformed features."""
    levels = scale_levels(np.sort(gaussians.inv_scales, axis=1), 1).clip(-LEAST_EXPONENT, TOP_EXPONENT)
    elongation = np.minimum(levels[:, 1] - levels[:, 0], MAX_ELONGATION)
    features = gaussians.features.astype(np.float64) @ np.linalg.inv(transform)
    return np.column_stack([levels[:, 1], elongation, features])


def mean_boxes(means: Float64Array, starts: Int64Array, grid: Grid) -> tuple[Int64Array, Int64Array]:
    """(P, 4) boxes and (P,) slopes as in `PageHeads`, as narrow as their units allow, of means in file order."""
    sizes, firsts = np.diff(starts), starts[:-1]
    boxes, slopes = np.zeros((len(firsts), 4), np.int64), np.zeros(len(firsts), np.int64)
    if not len(firsts):
        return boxes, slopes
    unit, size = box_unit(grid), np.array([grid.width, grid.height])
    number = np.arange(len(means)) - np.repeat(firsts, sizes)
    steepest = (means[starts[1:] - 1, 0] - means[firsts, 0]) / np.maximum(sizes - 1, 1)
    narrowest = np.full(len(firsts), np.iinfo(np.int64).max)
    for share in SLOPES:
        slope = np.clip(np.floor(share * steepest * 256 / unit), 0, MAX_SLOPE).astype(np.int64) * unit
        moved = np.stack([means[:, 0] - ((number * np.repeat(slope, sizes)) >> 8), means[:, 1]], axis=1)
        low = np.floor(np.minimum.reduceat(moved, firsts, axis=0)).astype(np.int64)
        high = np.ceil(np.maximum.reduceat(moved, firsts, axis=0)).astype(np.int64)
        first = low.clip(0, size - 1) // unit
        sides = np.maximum(-(-high // unit) - first, 1)
        better = (low[:, 0] >= 0) & (sides[:, 0] < narrowest)
        boxes[better] = (np.concatenate([first, sides], axis=1) * unit)[better]
        slopes[better], narrowest[better] = slope[better], sides[better, 0]
    boxes[:, 2:] = np.minimum(boxes[:, 2:], size - boxes[:, :2])
    return boxes, slopes


def field_ranges(values: Float64Array, starts: Int64Array, bits: int) -> Ranges:
    """Ranges by page of (n,) values that are stored in `bits` bits."""
    firsts, sizes = starts[:-1], np.diff(starts)
    pages = np.repeat(np.arange(len(sizes)), sizes)
    ordered = values[np.lexsort((values, pages))]
    lows, steps, errors = np.zeros(len(sizes)), np.ones(len(sizes)), np.full(len(sizes), np.inf)
    for trimmed in TRIMMED if len(sizes) else ():
        inwards = np.minimum(trimmed, (sizes - 1) // 2)
        low, high = ordered[firsts + inwards], ordered[starts[1:] - 1 - inwards]
        step = np.maximum((high - low) / max((1 << bits) - 1, 1), 1e-6)
        beyond = np.maximum(np.maximum(low[pages] - ordered, ordered - high[pages]), 0.0)
        error = sizes * step**2 / 12 + OUTSIDE * np.add.reduceat(beyond**2, firsts)
        better = error < errors
        lows[better], steps[better], errors[better] = low[better], step[better], error[better]
    return Ranges(lows, steps, float(errors.sum()) / max(len(values), 1))
