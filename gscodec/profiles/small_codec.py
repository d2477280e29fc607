"""The Gaussians of a file of profile `small`: integers <-> a string of bits (spec/igs.md, section 10.4)."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import CorruptField
from gscodec.format import profile_table
from gscodec.format.layout import MAX_SMALL_SIDE
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float64Array, Grid
from gscodec.profiles.adaptive import BitDecoder, BitEncoder, Context, cost_of
from gscodec.profiles.base import Profile
from gscodec.profiles.lattice import (
    LEAST_EXPONENT,
    MAX_CELLS_LOG2,
    ROTATION_CLASSES,
    TOP_EXPONENT,
    Codes,
    Lattice,
    Places,
    cell_places,
    power,
    rotation_bits,
)
from gscodec.profiles.small_steps import FEATURE_UNITS, SmallSteps

Int64Array = npt.NDArray[np.int64]

LUMA_CHROMA: Final = (np.array([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]]) / np.sqrt(np.array([[3.0], [2], [6]]))).astype(
    np.float16
)
"""YCoCg with rows of length 1, so that a step is the same error in every row."""

MOST_CELL_LOG2: Final = 16
"""Above that of one Gaussian in the widest picture."""

MAX_ORDER: Final = 30
"""Octaves of a magnitude: values of integers have 31 bits."""


ROUNDING: Final = 0.0004
"""Bits by which a coded bit may be longer than its chance says: the coder's interval is divided by 2^12 first."""


def transform_of(colours: int, groups: Sequence[ChannelGroup]) -> Float64Array:
    """(C, C) matrix of the features: luma and chroma of the first three channels of groups of 3 or 4, or nothing."""
    transform = np.eye(sum(group.n_channels for group in groups))
    at = 0
    for group in groups:
        if colours and group.n_channels in {3, 4}:
            transform[at : at + 3, at : at + 3] = LUMA_CHROMA
        at += group.n_channels
    return transform


def lattice_of(steps: SmallSteps, grid: Grid, n_gaussians: int, groups: Sequence[ChannelGroup]) -> Lattice:
    """The lattice that a header stands for."""
    features = power(-FEATURE_UNITS * np.array(steps.feature_step, np.int64))
    return Lattice(
        steps.scale_step,
        steps.position_offset,
        rotation_from(steps.scale_step, steps.turn),
        (cell_log2(grid, n_gaussians),),
        features.astype(np.float32),
        transform_of(steps.colours, groups),
        small=steps,
    )


def rotation_from(scale_step: int, turn: int) -> tuple[int, ...]:
    """Least elongation at which a rotation has 1, 2 ... 12 bits: where a turn by so little shows."""
    ratio = power(-scale_step * np.arange(1, 256))
    shows = 1.0 - ratio * ratio
    least = float(power(np.array([-turn]))[0])
    starts = []
    for bits in range(1, ROTATION_CLASSES + 1):
        enough = np.flatnonzero(shows >= (least * 2.0**bits) * ratio)
        starts.append(int(enough[0]) + 1 if len(enough) else 255)
    return tuple(starts)


def cell_log2(grid: Grid, n_gaussians: int) -> int:
    """Side of a cell: about half as many cells as Gaussians, but none much larger than the picture."""
    cell = 0
    while cell < MOST_CELL_LOG2 and 2 * n_gaussians << 2 * (cell + 1) <= grid.width * grid.height:
        cell += 1
    least = int(max(grid.width, grid.height) > 1 << MAX_CELLS_LOG2)
    return max(least, min(cell, (2 * min(grid.width, grid.height)).bit_length() - 1))


class SmallProfile(Profile):
    """Pictures of some hundred bytes in one piece, without pages and levels of detail (see `container.small`)."""

    layout = profile_table.SMALL

    def stores(self, lattice: Lattice | None) -> bool:
        """See `Profile.stores`."""
        return lattice is not None and lattice.small is not None

    def size_fault(self, height: int, width: int) -> str:
        """See `Profile.size_fault`."""
        if max(height, width) <= MAX_SMALL_SIDE:
            return ""
        return f"{width}x{height} px: a side in profile small has at most {MAX_SMALL_SIDE} px, use coded"


class _Magnitudes:
    """Contexts of one stream of numbers from 0 on: of each octave, and of the bit after the leading one."""

    def __init__(self) -> None:
        self.more = [Context() for _ in range(MAX_ORDER + 1)]
        self.upper = [Context() for _ in range(MAX_ORDER + 1)]

    def put(self, bits: BitEncoder, value: int) -> None:
        order = (value + 1).bit_length() - 1
        for octave in range(order):
            bits.bit(self.more[octave], 1)
        bits.bit(self.more[order], 0)
        if order:
            bits.bit(self.upper[order], (value + 1) >> (order - 1) & 1)
            bits.raw((value + 1) & ((1 << (order - 1)) - 1), order - 1)

    def put_signed(self, bits: BitEncoder, value: int) -> None:
        self.put(bits, abs(value))
        if value:
            bits.raw(int(value < 0), 1)

    def take(self, bits: BitDecoder) -> int:
        order = 0
        while bits.bit(self.more[order]):
            order += 1
            if order > MAX_ORDER:
                raise CorruptField(f"have a value of 2^{order}")
        if not order:
            return 0
        upper = 2 | bits.bit(self.upper[order])
        return (upper << (order - 1) | bits.raw(order - 1)) - 1

    def take_signed(self, bits: BitDecoder) -> int:
        value = self.take(bits)
        return -value if value and bits.raw(1) else value


def encode_codes(codes: Codes, lattice: Lattice, centres: Int64Array) -> bytes:
    """The bytes of some integers in the order of their cells.

    Args:
        centres: (1 + C,) what narrow scales and features lie around.
    """
    places = _places(codes.narrow, codes.elongation, codes.rotations, lattice)
    bits = BitEncoder()
    of_centres, gaps, narrow, elongation, *features = _streams(lattice)
    for centre in centres.tolist():
        of_centres.put_signed(bits, centre)
    values = (codes.features - centres[1:]).tolist()
    columns = (np.diff(codes.cells, prepend=0), codes.narrow - centres[0], codes.elongation)
    for gap, n, e, of_channels in zip(*(column.tolist() for column in columns), values, strict=True):
        gaps.put(bits, gap)
        narrow.put_signed(bits, n)
        elongation.put(bits, e)
        for stream, value in zip(features, of_channels, strict=True):
            stream.put_signed(bits, value)
    for rotation, n_bits in zip(codes.rotations.tolist(), places.rotation_bits.tolist(), strict=True):
        bits.raw(rotation, n_bits)
    for offset, n_bits in zip(codes.offsets.ravel().tolist(), places.bits.ravel().tolist(), strict=True):
        bits.raw(offset, n_bits)
    return bits.bytes()


def most_bytes(codes: Codes, lattice: Lattice, centres: Int64Array) -> int:
    """Length of `encode_codes`, or a byte more, found without coding."""
    places = _places(codes.narrow, codes.elongation, codes.rotations, lattice)
    gaps, narrow = np.diff(codes.cells, prepend=0), codes.narrow - centres[0]
    streams = [(centres, True), (gaps, False), (narrow, True), (codes.elongation, False)]
    streams += [(column, True) for column in (codes.features - centres[1:]).T]
    bits = sum(_cost(values, is_signed=is_signed) for values, is_signed in streams)
    bits += float(places.rotation_bits.sum() + places.bits.sum())
    return math.ceil(bits / 8)


def _cost(values: Int64Array, *, is_signed: bool) -> float:
    """Bits of the numbers of one stream, rounded up."""
    numbers = np.abs(values) + 1
    orders = np.frexp(numbers)[1] - 1
    bits = 0.0
    for octave in range(int(orders.max(initial=-1)) + 1):
        here = orders >= octave
        bits += cost_of(orders[here] > octave)
        if octave:
            bits += cost_of((numbers[orders == octave] >> (octave - 1) & 1).astype(np.bool_))
    n_coded = float((orders + 1).sum() + np.count_nonzero(orders))
    bits += ROUNDING * n_coded + float(np.maximum(orders - 1, 0).sum())
    return bits + (np.count_nonzero(values) if is_signed else 0)


def decode_codes(data: bytes, lattice: Lattice, n_gaussians: int) -> tuple[Codes, Int64Array]:
    """Integers of n_gaussians Gaussians and the centres (1 + C,), the inverse of `encode_codes`.

    Raises:
        CorruptField: a value is out of range, or the data go on after the last one.
    """
    bits = BitDecoder(data)
    of_centres, gaps, narrow, elongation, *features = _streams(lattice)
    centres = [of_centres.take_signed(bits) for _ in range(1 + len(features))]
    rows = np.zeros((n_gaussians, 3 + len(features)), np.int64)
    for row in rows:
        row[0] = gaps.take(bits)
        row[1] = centres[0] + narrow.take_signed(bits)
        row[2] = elongation.take(bits)
        row[3:] = [centre + stream.take_signed(bits) for centre, stream in zip(centres[1:], features, strict=True)]
    cells, high = np.cumsum(rows[:, 0]), rows[:, 1] * lattice.scale_step
    low = high - rows[:, 2] * lattice.scale_step
    if (cells >= 1 << 2 * MAX_CELLS_LOG2).any():
        raise CorruptField("have a cell outside the grid")
    if (low < -LEAST_EXPONENT).any() or (high > TOP_EXPONENT).any():
        raise CorruptField("have an inverse scale outside 2^-14..64")
    rotations = np.array([bits.raw(n) for n in rotation_bits(lattice, rows[:, 2]).tolist()], np.int64)
    places = _places(rows[:, 1], rows[:, 2], rotations, lattice)
    offsets = np.array([bits.raw(n) for n in places.bits.ravel().tolist()], np.int64).reshape(-1, 2)
    if not bits.at_end:
        raise CorruptField("go on after the last Gaussian")
    return Codes(cells, offsets, rows[:, 1], rows[:, 2], rotations, rows[:, 3:]), np.array(centres, np.int64)


def _streams(lattice: Lattice) -> list[_Magnitudes]:
    """Adaptive models of centres, gaps between cells, narrow scales, elongations, and each feature."""
    return [_Magnitudes() for _ in range(4 + len(lattice.feature_steps))]


def _places(narrow: Int64Array, elongation: Int64Array, rotations: Int64Array, lattice: Lattice) -> Places:
    return cell_places(lattice, narrow, elongation, rotations, np.zeros(len(narrow), np.int64))
