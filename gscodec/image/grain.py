"""Film grain added to decoded samples (spec/igs.md, "Grain"), on the host or in the arrays of a GPU.

The noise is a hash of the pixel's place in the output picture, so that a region, a tile or a point has the same noise
as that part of the whole picture, whatever the order and number of threads.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gscodec.model.channels import ChannelGroup, channel_spans
from gscodec.model.grain import MAX_CORRELATION, N_STRENGTHS, STRENGTH_UNIT, Grain, n_colours

_X, _Y, _FIRST, _SECOND = (np.uint32(n) for n in (0x9E3779B1, 0x85EBCA77, 0x7FEB352D, 0x846CA68B))
_FIELD: Final = 0xC2B2AE3D
_START: Final = 0x165667B1

_MEAN: Final = 510
"""Mean of the sum of four uniform bytes."""

_DEVIATION: Final = 147.8
"""Standard deviation of that sum: the square root of 4 (256^2 - 1) / 12."""

FIELDS_PER_GROUP: Final = 128
"""Noise fields reserved for each group: one that its channels share, then one for each channel."""

_BLOCK_SAMPLES: Final = 1 << 17
"""Pixels computed at a time; their intermediate results fit into a second-level cache."""


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


def hash_noise(columns: Any, rows: Any, field: int, xp: Any = np) -> Any:
    """int32 noise of pixels, -510 to 510: the sum of the four bytes of a hash, less its mean.

    Args:
        columns, rows: int64 numbers of pixels, of shapes that broadcast.
        field: number of the noise field; different fields are independent.
    """
    columns, rows = ((numbers & 0xFFFFFFFF).astype(xp.uint32) for numbers in (columns, rows))
    h = columns * _X + (rows * _Y + np.uint32((field * _FIELD + _START) & 0xFFFFFFFF))
    h ^= h >> np.uint32(16)
    h *= _FIRST
    h ^= h >> np.uint32(15)
    h *= _SECOND
    h ^= h >> np.uint32(16)
    pairs = (h & np.uint32(0x00FF00FF)) + ((h >> np.uint32(8)) & np.uint32(0x00FF00FF))
    return ((pairs & np.uint32(0xFFFF)) + (pairs >> np.uint32(16))).astype(xp.int32) - _MEAN


def add_grain(
    values: Any, grains: Sequence[Grain], groups: Sequence[ChannelGroup], grid: GrainGrid, first_row: int, xp: Any = np
) -> None:
    """Add grain to rows of an output picture, in place.

    Args:
        values: float32 (h, w, C) features of the groups' C channels, as blended or averaged.
        first_row: number of the first row within the output picture.
        xp: the module of the array, NumPy or CuPy.
    """
    height, width = values.shape[:2]
    columns = grid.column + xp.arange(-1, width + 1, dtype=xp.int64)[None, :]
    step = max(1, _BLOCK_SAMPLES // width)
    for top in range(0, height, step):
        rows = values[top : top + step]
        numbers = grid.row + first_row + top + xp.arange(-1, len(rows) + 1, dtype=xp.int64)[:, None]

        def field(number: int, weight: int, numbers: Any = numbers) -> Any:
            noise = hash_noise(columns, numbers, number, xp)
            if not weight:
                return noise[1:-1, 1:-1] * (MAX_CORRELATION * MAX_CORRELATION)
            across = MAX_CORRELATION * noise[:, 1:-1] + weight * (noise[:, :-2] + noise[:, 2:])
            return MAX_CORRELATION * across[1:-1] + weight * (across[:-2] + across[2:])

        _add(rows, grains, groups, grid, field, xp)


def add_grain_at(
    values: Any, points: Any, grains: Sequence[Grain], groups: Sequence[ChannelGroup], xp: Any = np
) -> None:
    """Add the grain of the stored size to values at points, in place: that of the pixels that hold them.

    Args:
        values: float32 (M, C).
        points: float64 (M, 2) px of the stored picture.
    """
    columns, rows = (xp.floor(points[:, axis]).astype(xp.int64) for axis in (0, 1))

    def field(number: int, weight: int) -> Any:
        total = xp.zeros(len(values), xp.int32)
        for dy in (-1, 0, 1) if weight else (0,):
            for dx in (-1, 0, 1) if weight else (0,):
                factor = (weight if dx else MAX_CORRELATION) * (weight if dy else MAX_CORRELATION)
                total += factor * hash_noise(columns + dx, rows + dy, number, xp)
        return total

    _add(values, grains, groups, GrainGrid(), field, xp)


def strength_factor(grain: Grain, grid: GrainGrid) -> float:
    """Factor on the strength where a picture is reduced: the noise that area averages would leave."""
    side, centre = grain.correlation, MAX_CORRELATION
    gain = (centre + 2 * side) ** 2 / (centre**2 + 2 * side**2)  # of the variance of a long sum, along one axis
    rest = [1 + (max(1.0, step) - 1) / gain for step in (grid.step_x, grid.step_y)]
    return 1 / math.sqrt(rest[0] * rest[1])


def _add(
    values: Any, grains: Sequence[Grain], groups: Sequence[ChannelGroup], grid: GrainGrid, field: Any, xp: Any
) -> None:
    """Add grain; `field` returns the weighted sums of a noise field for all pixels, given its number and weight."""
    spans = channel_spans(groups)
    is_reduced = grid.step_x > 1 or grid.step_y > 1
    for grain in grains:
        group, channels = spans[grain.group]
        colours = values[..., channels.start : channels.start + n_colours(group)]
        weight = 0 if is_reduced else grain.correlation
        unit = STRENGTH_UNIT * strength_factor(grain, grid) / (_DEVIATION * (MAX_CORRELATION**2 + 2 * weight**2))
        strength = _strength(colours, grain, xp) * np.float32(unit)
        own = math.sqrt(grain.independence / 255)
        first = FIELDS_PER_GROUP * grain.group
        shared = field(first, weight).astype(xp.float32) * np.float32(math.sqrt(1 - grain.independence / 255))
        for channel in range(colours.shape[-1]):
            noise = shared
            if grain.independence:
                noise = shared + field(first + 1 + channel, weight).astype(xp.float32) * np.float32(own)
            plane = colours[..., channel]
            room = xp.maximum(xp.minimum(plane, 1 - plane), np.float32(0))
            plane += xp.minimum(xp.maximum(strength * noise, -room), room)


def _strength(colours: Any, grain: Grain, xp: Any) -> Any:
    """float32 strength in STRENGTH_UNIT at each pixel, interpolated at its luma."""
    luma = colours[..., 0]
    if colours.shape[-1] == 3:
        luma = (luma + colours[..., 2] + 2 * colours[..., 1]) * np.float32(0.25)
    place = xp.clip(luma, 0, 1) * np.float32(N_STRENGTHS - 1)
    at = xp.minimum(place.astype(xp.int32), N_STRENGTHS - 2)
    table = xp.asarray(np.array(grain.strengths, np.float32))
    low = table[at]
    return low + (place - at.astype(xp.float32)) * (table[at + 1] - low)
