"""Quantised Gaussians: GaussianSet <-> integers on lattices that fit each Gaussian's own shape.

All that decides how many bits a value has is integer arithmetic on values that come before it, the same on every
machine (spec/igs.md, section 6.7). Lengths of one Gaussian are powers of two of 1/32 octave.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.format.records import PageHeads, RecordLayout
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid
from gscodec.profiles.morton import deinterleave, interleave
from gscodec.profiles.small_steps import SmallSteps

Int64Array = npt.NDArray[np.int64]

OCTAVE: Final = 32
"""Units that double a length."""

LEAST_EXPONENT: Final = 14 * OCTAVE
"""Inverse scales are 2^-14 to 2^6 per px; this is the lower end, downwards, in units."""
TOP_EXPONENT: Final = 6 * OCTAVE

ROTATION_CLASSES: Final = 12
"""Most bits of a rotation."""
MAX_POSITION_BITS: Final = 16
MAX_ELONGATION: Final = 255
"""Maximum quantised elongation: beyond it, `rotation_from` does not distinguish elongations."""
MAX_CELLS_LOG2: Final = 15
"""A side has at most 2^15 cells, so that the number of a cell has 30 bits."""

_MANTISSA: Final = np.array([round(2.0 ** (30 - i / OCTAVE)) for i in range(OCTAVE)], np.int64)


def cell_sizes(height: int, width: int) -> tuple[int, int]:
    """Binary logarithms of the smallest and largest cells of a picture, px; of a very long stripe, no cell is both."""
    smallest = max(0, (max(width, height) - 1).bit_length() - MAX_CELLS_LOG2)
    largest = (2 * min(width, height)).bit_length() - 1  # else no middle of a cell need lie inside
    return smallest, largest


@dataclass(frozen=True)
class Lattice:
    """The steps of a file: everything the integers need to become Gaussians again (spec/igs.md, section 6.6).

    Without `records` it is that of profile `coded`: means lie in cells of a grid, in steps of their own widths. With
    them it is that of `packed`: means lie in the boxes of their pages, in as many steps as a record has bits for.
    With `small` it is that of a file of profile `small`, which has cells too.
    """

    scale_step: int  # units between neighbouring scales, 1..64
    position_offset: int  # units; an octave more halves the steps of positions; 0 in `packed`
    rotation_from: tuple[int, ...]  # (12,) least elongation, in scale steps, that has 1, 2 ... 12 bits of rotation
    cell_log2: tuple[int, ...]  # per generation, binary logarithm of a cell's side in px; 0 in `packed`
    feature_steps: npt.NDArray[np.float32]  # (C,) of the transformed features of a Gaussian of inverse scales 1 / px
    transform: Float64Array  # (C, C) features = transformed @ transform
    feature_slope: int = 0  # 0..64: steps of features go with the area of a Gaussian to the power of -slope / 64
    records: RecordLayout | None = None
    pages: PageHeads | None = None  # of the Gaussians that are to be quantised
    small: SmallSteps | None = None  # the same as profile `small` says it


@dataclass(frozen=True)
class Codes:
    """The integers of n Gaussians, in file order."""

    cells: Int64Array  # (n,) Morton number of the cell that holds the mean; 0 where it lies in a box
    offsets: Int64Array  # (n, 2) place in the cell or box, x_bits and y_bits long
    narrow: Int64Array  # (n,) the greater inverse scale, in scale steps
    elongation: Int64Array  # (n,) >= 0, by how many steps the other is smaller
    rotations: Int64Array  # (n,) rotation_bits long
    features: Int64Array  # (n, C) in feature steps

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, where: "slice | npt.NDArray[np.intp]") -> "Codes":
        return Codes(*(getattr(self, name)[where] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Ellipses:
    """Bit widths and steps that follow from the integers of scale and rotation.

    Positions lie on a lattice along x and y whose steps go with the standard deviation of x and with that of y where x
    is known. Its cells have the area of cells along the axes of the ellipse, without being turned.
    """

    rotation_bits: Int64Array  # (n,)
    x_units: Int64Array  # (n,) what steps along x go with, downwards, in units
    y_units: Int64Array  # (n,) likewise


@dataclass(frozen=True)
class Places:
    """Positions that means can have: position i of an axis is at origin + (i + 1/2) steps."""

    rotation_bits: Int64Array  # (n,)
    bits: Int64Array  # (n, 2) of the place in a cell or box
    origin: Float64Array  # (n, 2) px
    steps: Float64Array  # (n, 2) px


def power(units: Int64Array) -> Float64Array:
    """2^(units / 32) with mantissas of 30 bits, the same on every machine."""
    octaves = -(-units // OCTAVE)
    mantissas = _MANTISSA[octaves * OCTAVE - units].astype(np.float64)
    result: Float64Array = np.ldexp(mantissas, (octaves - 30).astype(np.int32))
    return result


def rotation_bits(lattice: Lattice, elongation: Int64Array) -> Int64Array:
    """(n,) bits of the rotations of Gaussians with such elongations."""
    return np.searchsorted(np.asarray(lattice.rotation_from), elongation, side="right").astype(np.int64)


def ellipses(lattice: Lattice, narrow: Int64Array, elongation: Int64Array, rotations: Int64Array) -> Ellipses:
    """See `Ellipses`."""
    bits = rotation_bits(lattice, elongation)
    high = narrow * lattice.scale_step
    low = (narrow - elongation) * lattice.scale_step
    angle = rotations << (16 - bits)
    from_vertical = np.abs(angle - (1 << 15))
    cos2 = _sine(from_vertical) ** 2
    sin2 = _sine((1 << 15) - from_vertical) ** 2
    octaves, part = np.divmod(2 * (high - low), OCTAVE)
    ratio2 = _MANTISSA[part] >> np.minimum(octaves, 62)
    variance = ((ratio2 * cos2) >> 30) + sin2 + 1
    # Half an octave of the standard deviation for each octave of the variance below 1.
    leading = 16 * (30 - _floor_log2(variance)) - 8
    return Ellipses(bits, low + leading, high - leading)


def cell_places(
    lattice: Lattice, narrow: Int64Array, elongation: Int64Array, rotations: Int64Array, generations: Int64Array
) -> Places:
    """Places in cells, in steps of each Gaussian's own widths; `generations` (n,) says in which cells."""
    shape = ellipses(lattice, narrow, elongation, rotations)
    cell_log2 = np.asarray(lattice.cell_log2, np.int64)[generations][:, None]
    base = lattice.position_offset + OCTAVE * cell_log2
    bits = np.clip((base + np.stack([shape.x_units, shape.y_units], axis=1)) >> 5, 0, MAX_POSITION_BITS)
    return Places(shape.rotation_bits, bits, np.zeros(bits.shape), np.exp2(cell_log2 - bits))


def box_places(lattice: Lattice, narrow: Int64Array, elongation: Int64Array, rotations: Int64Array) -> Places:
    """Places in boxes: x and y share the bits that the rotation leaves so that their steps go with the widths."""
    assert lattice.records is not None
    assert lattice.pages is not None
    shape = ellipses(lattice, narrow, elongation, rotations)
    boxes = lattice.pages.record_boxes()
    sides = boxes[:, 2:]
    left = lattice.records.place_bits - shape.rotation_bits
    wider = 16 * (_floor_log2(sides[:, 0] ** 2) - _floor_log2(sides[:, 1] ** 2))
    x_bits = np.clip((OCTAVE * left + shape.x_units - shape.y_units + wider + OCTAVE) >> 6, 0, left)
    bits = np.stack([x_bits, left - x_bits], axis=1)
    origin = boxes[:, :2].astype(np.float64)
    return Places(shape.rotation_bits, bits, origin, np.ldexp(sides.astype(np.float64), -bits.astype(np.int32)))


def _sine(fifteenths: Int64Array) -> Int64Array:
    """sin(pi / 2 * v / 2^15) * 2^15 by a polynomial, for v of 0 to 2^15; off by at most 1e-4 of the whole."""
    square = (fifteenths * fifteenths) >> 15
    inner = 21077 - ((square * 2382) >> 15)
    result: Int64Array = np.minimum((fifteenths * (51465 - ((square * inner) >> 15))) >> 15, 1 << 15)
    return result


def _floor_log2(values: Int64Array) -> Int64Array:
    """Floor of the binary logarithm of positive integers below 2^53."""
    exponents: npt.NDArray[np.int32] = np.frexp(values.astype(np.float64))[1]
    return exponents.astype(np.int64) - 1


def _places(
    lattice: Lattice, narrow: Int64Array, elongation: Int64Array, rotations: Int64Array, generations: Int64Array
) -> Places:
    if lattice.records is None:
        return cell_places(lattice, narrow, elongation, rotations, generations)
    return box_places(lattice, narrow, elongation, rotations)


def quantize(gaussians: GaussianSet, lattice: Lattice, grid: Grid, generations: Int64Array) -> Codes:
    """The integers nearest to Gaussians, each value under those that were rounded before it.

    Args:
        generations: (n,) generation of each Gaussian.
    """
    wide_first = gaussians.inv_scales[:, 0] < gaussians.inv_scales[:, 1]
    ordered = np.where(wide_first[:, None], gaussians.inv_scales[:, ::-1], gaussians.inv_scales)
    narrow, elongation = _scales(ordered, lattice)
    turned = np.where(wide_first, gaussians.rotations + np.pi / 2, gaussians.rotations)
    bits = rotation_bits(lattice, elongation)
    turns = np.exp2(bits)
    rotations = np.floor(turned / np.pi * turns + 0.5).astype(np.int64) & ((1 << bits) - 1)

    size = np.array([grid.width, grid.height])
    places = _places(lattice, narrow, elongation, rotations, generations)
    # The last place whose middle lies inside; a cell is at most twice a side, and boxes lie inside: there is one.
    last = np.floor((size - places.origin) / places.steps - 0.5)
    if lattice.records is not None:
        last = np.minimum(last, (1 << places.bits) - 1)
    means = (gaussians.means - places.origin) / places.steps
    column = np.clip(np.floor(means[:, 0]), 0, last[:, 0])
    # What x was off by is made good where the ellipse leans: the nearest y in the Gaussian's own metric.
    lean = _lean(lattice, narrow, elongation, rotations, bits) * places.steps[:, 0] / places.steps[:, 1]
    row = np.clip(np.floor(means[:, 1] + lean * (column + 0.5 - means[:, 0])), 0, last[:, 1])
    where = np.stack([column, row], axis=1).astype(np.int64)
    cells = where >> places.bits
    return Codes(
        interleave(cells[:, 0], cells[:, 1]),
        where & ((1 << places.bits) - 1),
        narrow,
        elongation,
        rotations,
        _features(gaussians.features, lattice, narrow, elongation),
    )


def _scales(inv_scales: Float64Array, lattice: Lattice) -> tuple[Int64Array, Int64Array]:
    """Narrow scales and elongations of (n, 2) inverse scales, the greater first."""
    floor, top = -(LEAST_EXPONENT // lattice.scale_step), TOP_EXPONENT // lattice.scale_step
    levels = scale_levels(inv_scales, lattice.scale_step).clip(floor, top)
    if lattice.records is None:
        whole = np.floor(levels + 0.5).astype(np.int64)
        return whole[:, 0], np.minimum(whole[:, 0] - whole[:, 1], MAX_ELONGATION)
    narrow = _fields(lattice, 0, levels[:, :1], np.full(len(levels), top))
    return narrow, _fields(lattice, 1, narrow[:, None] - levels[:, 1:], np.minimum(narrow - floor, MAX_ELONGATION))


def scale_levels(inv_scales: Float64Array, step: int) -> Float64Array:
    """Logarithms of inverse scales in steps of `step` units, not rounded."""
    levels: Float64Array = np.log2(inv_scales) * (OCTAVE / step)
    return levels


def feature_steps_of(lattice: Lattice, narrow: Int64Array, elongation: Int64Array) -> Float64Array:
    """(n, C) steps of the transformed features of Gaussians with such scales.

    An error of a feature is seen over the whole area of its Gaussian: for equal gain per bit, steps fall as the square
    root of the area rises. The area is known from the scales, so that it takes no bits.
    """
    with np.errstate(over="ignore"):  # hostile scales: readers refuse them
        area = power((lattice.feature_slope * lattice.scale_step * (2 * narrow - elongation)) >> 6)
        return area[:, None] * lattice.feature_steps.astype(np.float64)


def _features(features: Float32Array, lattice: Lattice, narrow: Int64Array, elongation: Int64Array) -> Int64Array:
    transformed = features.astype(np.float64) @ np.linalg.inv(lattice.transform)
    steps = transformed / feature_steps_of(lattice, narrow, elongation)
    if lattice.records is None:
        return np.floor(steps + 0.5).astype(np.int64)
    return _fields(lattice, slice(2, None), steps)


def _fields(lattice: Lattice, which: int | slice, wanted: Float64Array, most: Int64Array | None = None) -> Int64Array:
    """The integers nearest to what is wanted, at most `most`, that records of some fields can hold."""
    assert lattice.records is not None
    assert lattice.pages is not None
    columns = slice(which, which + 1) if isinstance(which, int) else which
    lows, scales = (lattice.pages.of_records(name)[:, columns] for name in ("lows", "scales"))
    last = np.broadcast_to((1 << np.asarray(lattice.records.bits, np.int64)[columns]) - 1, wanted.shape)
    if most is not None:
        last = np.minimum(last, np.maximum(most[:, None] - lows, 0) // scales)
    values = np.floor((wanted - lows) / scales + 0.5).astype(np.int64)
    codes: Int64Array = lows + scales * values.clip(0, last)
    return codes[:, 0] if isinstance(which, int) else codes


def _lean(
    lattice: Lattice, narrow: Int64Array, elongation: Int64Array, rotations: Int64Array, bits: Int64Array
) -> Float64Array:
    """(n,) dy / dx along which the Mahalanobis distance of an ellipse is least for a given x."""
    theta = rotations * np.pi / np.exp2(bits)
    first = np.ones(len(narrow))
    second = np.exp2(-2 * elongation * lattice.scale_step / OCTAVE)
    cos, sin = np.cos(theta), np.sin(theta)
    slope: Float64Array = -(first - second) * cos * sin / (first * sin**2 + second * cos**2)
    return slope


def dequantize(codes: Codes, lattice: Lattice, generations: Int64Array) -> GaussianSet:
    """The Gaussians that integers stand for; means in px."""
    places = _places(lattice, codes.narrow, codes.elongation, codes.rotations, generations)
    cells = np.stack(deinterleave(codes.cells), axis=1)
    means = places.origin + ((cells << places.bits) + codes.offsets + 0.5) * places.steps
    high = codes.narrow * lattice.scale_step
    low = (codes.narrow - codes.elongation) * lattice.scale_step
    rotations = (codes.rotations << (16 - places.rotation_bits)).astype(np.float64) * (np.pi / 65536)
    steps = feature_steps_of(lattice, codes.narrow, codes.elongation)
    features = feature_values(codes.features, steps, lattice.transform)
    return GaussianSet(means, np.stack([power(high), power(low)], axis=1), rotations, features)


def feature_values(
    codes: npt.NDArray[np.integer], steps: npt.NDArray[np.floating], transform: Float64Array
) -> Float32Array:
    """float32 (n, C) features of integers (n, C) in steps (n, C), or (C,) that all share."""
    with np.errstate(over="ignore", invalid="ignore"):  # hostile steps: readers refuse what is not finite
        transformed = codes * steps.astype(np.float64)
        features: Float32Array = (transformed @ transform).astype(np.float32)
    return features
