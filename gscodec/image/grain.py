"""Film grain added to decoded samples (spec/igs.md, section 3.10).

The noise is a hash of the pixel's place in the output picture, so that a region, a tile or a point has the same noise
as that part of the whole picture, whatever the order and number of threads.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec import _engine
from gscodec.model.channels import ChannelGroup, channel_spans
from gscodec.model.grain import MAX_CORRELATION, STRENGTH_UNIT, Grain, n_colours

Floats = npt.NDArray[np.float32]

_DEVIATION: Final = 147.8
"""Standard deviation of the sum of four uniform bytes: the square root of 4 (256^2 - 1) / 12."""

FIELDS_PER_GROUP: Final = 128
"""Noise fields reserved for each group: one that its channels share, then one for each channel."""

_MASK: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class GrainGrid:
    """Place of an output picture: number of its first column and row, and its pixels' size in stored pixels.

    Columns are those of the whole picture at that size: floor(x w / rw + 1/2) is that of a region's first one.
    """

    column: int = 0
    row: int = 0
    step_x: float = 1.0
    step_y: float = 1.0

    @staticmethod
    def of(region: tuple[int, int, int, int], size: tuple[int, int]) -> "GrainGrid":
        """The grid of a region (x, y, width, height) of stored pixels shown at a size (height, width)."""
        x, y, width, height = region
        column = (2 * x * size[1] + width) // (2 * width)
        row = (2 * y * size[0] + height) // (2 * height)
        return GrainGrid(column, row, width / size[1], height / size[0])


@dataclass(frozen=True)
class GrainTerms:
    """What engines need to add the grain of one channel group."""

    first: int  # channel of the first colour
    n_colours: int
    field: int  # number of the noise field that the colours share
    side: int  # weight of the neighbouring pixels along each axis, of MAX_CORRELATION
    factors: Floats  # (10,) of the shared field's and of a channel's own weighted sums, and 8 strengths


def grain_terms(grains: Sequence[Grain], groups: Sequence[ChannelGroup], grid: GrainGrid) -> Iterator[GrainTerms]:
    """The terms of each grain in an output picture."""
    spans = channel_spans(groups)
    is_reduced = grid.step_x > 1 or grid.step_y > 1
    for grain in grains:
        group, channels = spans[grain.group]
        side = 0 if is_reduced else grain.correlation
        unit = STRENGTH_UNIT * strength_factor(grain, grid) / (_DEVIATION * (MAX_CORRELATION**2 + 2 * side**2))
        shares = [math.sqrt(1 - grain.independence / 255), math.sqrt(grain.independence / 255)]
        factors = np.array([*shares, *(strength * unit for strength in grain.strengths)], np.float32)
        yield GrainTerms(channels.start, n_colours(group), FIELDS_PER_GROUP * grain.group, side, factors)


def strength_factor(grain: Grain, grid: GrainGrid) -> float:
    """Factor on the strength where a picture is reduced: the noise that area averages would leave."""
    side, centre = grain.correlation, MAX_CORRELATION
    gain = (centre + 2 * side) ** 2 / (centre**2 + 2 * side**2)  # of the variance of a long sum, along one axis
    rest = [1 + (max(1.0, step) - 1) / gain for step in (grid.step_x, grid.step_y)]
    return 1 / math.sqrt(rest[0] * rest[1])


def add_grain(
    values: Floats,
    grains: Sequence[Grain],
    groups: Sequence[ChannelGroup],
    grid: GrainGrid,
    first_row: int,
    threads: int = 0,
) -> None:
    """Add grain to rows of an output picture, in place.

    Args:
        values: float32 (h, w, C) features of the groups' C channels, as blended or averaged.
        first_row: number of the first row within the output picture.
        threads: CPU threads; 0 means one per processor.
    """
    whole = np.ascontiguousarray(values)
    column, row = grid.column & _MASK, (grid.row + first_row) & _MASK
    for terms in grain_terms(grains, groups, grid):
        _engine.add_grain(whole, _settings(terms), terms.factors, column, row, threads)
    if whole is not values:
        values[...] = whole


def add_grain_at(
    values: Floats,
    points: npt.NDArray[np.float64],
    grains: Sequence[Grain],
    groups: Sequence[ChannelGroup],
    threads: int = 0,
) -> None:
    """Add the grain of the stored size to values at points, in place: that of the pixels that hold them.

    Args:
        values: contiguous float32 (M, C).
        points: float64 (M, 2) px of the stored picture, at least 0.
        threads: CPU threads; 0 means one per processor.
    """
    columns, rows = np.ascontiguousarray(points.T.astype(np.uint32))
    for terms in grain_terms(grains, groups, GrainGrid()):
        _engine.add_grain_at(values, _settings(terms), terms.factors, columns, rows, threads)


def _settings(terms: GrainTerms) -> tuple[int, int, int, int]:
    return terms.first, terms.n_colours, terms.field, terms.side
