"""The Gaussians of a file of profile `small`: integers <-> a string of bits (spec/igs.md, section 10.4)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec import _engine
from gscodec.errors import CorruptField
from gscodec.format import profile_table
from gscodec.format.layout import MAX_SMALL_SIDE
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float64Array, Grid
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

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]

LUMA_CHROMA: Final = (np.array([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]]) / np.sqrt(np.array([[3.0], [2], [6]]))).astype(
    np.float16
)
"""YCoCg with rows of length 1, so that a step is the same error in every row."""

MOST_CELL_LOG2: Final = 16
"""Above that of one Gaussian in the widest picture."""


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


def encode_codes(codes: Codes, lattice: Lattice, centres: Int64Array) -> bytes:
    """The bytes of some integers in the order of their cells.

    Args:
        centres: (1 + C,) what narrow scales and features lie around.
    """
    places = _places(codes.narrow, codes.elongation, codes.rotations, lattice)
    n_features = len(lattice.feature_steps)
    bits = _engine.BitEncoder(n_features + 4)
    bits.rows(np.ascontiguousarray(centres, np.int64)[:, None], *_columns([0], [True]))
    gaps = np.diff(codes.cells, prepend=0)
    columns = (gaps, codes.narrow - centres[0], codes.elongation, codes.features - centres[1:])
    bits.rows(np.column_stack(columns).astype(np.int64), *_row_columns(n_features))
    bits.raw(_plain(codes.rotations), _plain(places.rotation_bits))
    bits.raw(_plain(codes.offsets), _plain(places.bits))
    return bits.bytes()


def decode_codes(data: bytes, lattice: Lattice, n_gaussians: int) -> tuple[Codes, Int64Array]:
    """Integers of n_gaussians Gaussians and the centres (1 + C,), the inverse of `encode_codes`.

    Raises:
        CorruptField: a value is out of range, or the data go on after the last one.
    """
    n_features = len(lattice.feature_steps)
    bits = _engine.BitDecoder(bytes(data), n_features + 4)
    try:
        centres = bits.rows(1 + n_features, *_columns([0], [True]))[:, 0]
        rows = bits.rows(n_gaussians, *_row_columns(n_features))
    except ValueError as error:  # std::range_error
        raise CorruptField(str(error)) from error
    rows[:, 1] += centres[0]
    rows[:, 3:] += centres[1:]
    cells, high = np.cumsum(rows[:, 0]), rows[:, 1] * lattice.scale_step
    low = high - rows[:, 2] * lattice.scale_step
    if (cells >= 1 << 2 * MAX_CELLS_LOG2).any():
        raise CorruptField("have a cell outside the grid")
    if (low < -LEAST_EXPONENT).any() or (high > TOP_EXPONENT).any():
        raise CorruptField("have an inverse scale outside 2^-14..64")
    rotations = bits.raw(_plain(rotation_bits(lattice, rows[:, 2])))
    places = _places(rows[:, 1], rows[:, 2], rotations, lattice)
    offsets = bits.raw(_plain(places.bits)).reshape(-1, 2)
    if not bits.at_end:
        raise CorruptField("go on after the last Gaussian")
    return Codes(cells, offsets, rows[:, 1], rows[:, 2], rotations, rows[:, 3:]), centres


def _row_columns(n_features: int) -> tuple[Int32Array, npt.NDArray[np.uint8]]:
    """Columns of a Gaussian: the gap to its cell, its narrow scale, its elongation, its features."""
    return _columns(range(1, 4 + n_features), [False, True, False, *[True] * n_features])


def _columns(streams: Sequence[int], signed: Sequence[bool]) -> tuple[Int32Array, npt.NDArray[np.uint8]]:
    """The number of the stream that each column's chances are learned from, and whether its values have signs."""
    return np.array(streams, np.int32), np.array(signed, np.uint8)


def _plain(values: npt.NDArray[np.integer]) -> Int64Array:
    return np.ascontiguousarray(values.ravel(), np.int64)


def _places(narrow: Int64Array, elongation: Int64Array, rotations: Int64Array, lattice: Lattice) -> Places:
    return cell_places(lattice, narrow, elongation, rotations, np.zeros(len(narrow), np.int64))
