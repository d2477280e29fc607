"""Quantised Gaussians: GaussianSet <-> integers on lattices that fit each Gaussian's own shape.

All that decides how many bits a value has is integer arithmetic on values that come before it, the same on every
machine (spec/igs.md, "Quantised Gaussians"). Lengths of one Gaussian are powers of two of 1/32 octave.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.format.morton import deinterleave, interleave
from gscodec.gaussians import Float32Array, Float64Array, GaussianSet, Grid

Int64Array = npt.NDArray[np.int64]

OCTAVE: Final = 32
"""Units that double a length."""

LEAST_EXPONENT: Final = 14 * OCTAVE
"""Inverse scales are 2^-14 to 2^6 per px; this is the lower end, downwards, in units."""
TOP_EXPONENT: Final = 6 * OCTAVE

ROTATION_CLASSES: Final = 12
"""Most bits of a rotation."""
MAX_POSITION_BITS: Final = 16
MAX_CELLS_LOG2: Final = 15
"""A side has at most 2^15 cells, so that the number of a cell has 30 bits."""

_MANTISSA: Final = np.array([round(2.0 ** (30 - i / OCTAVE)) for i in range(OCTAVE)], np.int64)


@dataclass(frozen=True)
class Lattice:
    """The steps of a file: everything the integers need to become Gaussians again (spec/igs.md, "Quantiser")."""

    scale_step: int  # units between neighbouring scales, 1..64
    position_offset: int  # units; an octave more halves the steps of positions
    rotation_from: tuple[int, ...]  # (12,) least elongation, in scale steps, that has 1, 2 ... 12 bits of rotation
    cell_log2: tuple[int, ...]  # per generation, binary logarithm of a cell's side in px
    feature_steps: npt.NDArray[np.float32]  # (C,) of the transformed features
    transform: Float64Array  # (C, C) features = transformed @ transform


@dataclass(frozen=True)
class Codes:
    """The integers of n Gaussians, in file order."""

    cells: Int64Array  # (n,) Morton number of the cell that holds the mean
    offsets: Int64Array  # (n, 2) place in the cell, x_bits and y_bits long
    narrow: Int64Array  # (n,) the greater inverse scale, in scale steps
    elongation: Int64Array  # (n,) >= 0, by how many steps the other is smaller
    rotations: Int64Array  # (n,) rotation_bits long
    features: Int64Array  # (n, C) in feature steps

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, where: "slice | npt.NDArray[np.intp]") -> "Codes":
        return Codes(*(getattr(self, name)[where] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Shapes:
    """How many bits scales and rotation leave to the other values."""

    rotation_bits: Int64Array  # (n,)
    position_bits: Int64Array  # (n, 2)


def power(units: Int64Array) -> Float64Array:
    """2^(units / 32) with mantissas of 30 bits, the same on every machine."""
    octaves = -(-units // OCTAVE)
    mantissas = _MANTISSA[octaves * OCTAVE - units].astype(np.float64)
    result: Float64Array = np.ldexp(mantissas, (octaves - 30).astype(np.int32))
    return result


def rotation_bits(lattice: Lattice, elongation: Int64Array) -> Int64Array:
    """(n,) bits of the rotations of Gaussians with such elongations."""
    return np.searchsorted(np.asarray(lattice.rotation_from), elongation, side="right").astype(np.int64)


def shapes(
    lattice: Lattice, narrow: Int64Array, elongation: Int64Array, rotations: Int64Array, cell_log2: Int64Array
) -> Shapes:
    """What the integers of scale and rotation say about the widths of the others.

    Positions lie on a lattice along x and y whose steps go with the standard deviation of x and with that of y where x
    is known. Its cells have the area of cells along the axes of the ellipse, without being turned.
    """
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
    base = lattice.position_offset + OCTAVE * cell_log2
    x_bits = (base + low + leading) >> 5
    y_bits = (base + high - leading) >> 5
    return Shapes(bits, np.clip(np.stack([x_bits, y_bits], axis=1), 0, MAX_POSITION_BITS))


def _sine(fifteenths: Int64Array) -> Int64Array:
    """sin(pi / 2 * v / 2^15) * 2^15 by a polynomial, for v of 0 to 2^15; off by at most 1e-4 of the whole."""
    square = (fifteenths * fifteenths) >> 15
    inner = 21077 - ((square * 2382) >> 15)
    result: Int64Array = np.minimum((fifteenths * (51465 - ((square * inner) >> 15))) >> 15, 1 << 15)
    return result


def _floor_log2(values: Int64Array) -> Int64Array:
    """Of positive integers below 2^53."""
    exponents: npt.NDArray[np.int32] = np.frexp(values.astype(np.float64))[1]
    return exponents.astype(np.int64) - 1


def quantize(gaussians: GaussianSet, lattice: Lattice, grid: Grid, generations: Int64Array) -> Codes:
    """The integers nearest to Gaussians, each value under those that were rounded before it.

    Args:
        generations: (n,) generation of each Gaussian, whose cells it lies in.
    """
    step = lattice.scale_step
    wide_first = gaussians.inv_scales[:, 0] < gaussians.inv_scales[:, 1]
    ordered = np.where(wide_first[:, None], gaussians.inv_scales[:, ::-1], gaussians.inv_scales)
    turned = np.where(wide_first, gaussians.rotations + np.pi / 2, gaussians.rotations)
    floor, top = -(LEAST_EXPONENT // step), TOP_EXPONENT // step
    levels = np.floor(np.log2(ordered) * (OCTAVE / step) + 0.5).astype(np.int64).clip(floor, top)
    narrow, elongation = levels[:, 0], np.minimum(levels[:, 0] - levels[:, 1], 255)
    bits = rotation_bits(lattice, elongation)
    turns = np.exp2(bits)
    rotations = np.floor(turned / np.pi * turns + 0.5).astype(np.int64) & ((1 << bits) - 1)

    cell_log2 = np.asarray(lattice.cell_log2, np.int64)[generations]
    shape = shapes(lattice, narrow, elongation, rotations, cell_log2)
    steps_px = np.exp2(cell_log2[:, None] - shape.position_bits)
    # The last place whose middle lies inside; a cell is at most twice a side, so that there is one.
    last = np.floor(np.array([grid.width, grid.height]) / steps_px - 0.5)
    column = np.clip(np.floor(gaussians.means[:, 0] / steps_px[:, 0]), 0, last[:, 0])
    x = (column + 0.5) * steps_px[:, 0]
    # What x was off by is made good where the ellipse leans: the nearest y in the Gaussian's own metric.
    lean = _lean(lattice, narrow, elongation, rotations, bits)
    y = gaussians.means[:, 1] + lean * (x - gaussians.means[:, 0])
    row = np.clip(np.floor(y / steps_px[:, 1]), 0, last[:, 1])
    places = np.stack([column, row], axis=1).astype(np.int64)
    cells = places >> shape.position_bits
    transformed = gaussians.features.astype(np.float64) @ np.linalg.inv(lattice.transform)
    features = np.floor(transformed / lattice.feature_steps + 0.5).astype(np.int64)
    return Codes(
        interleave(cells[:, 0], cells[:, 1]),
        places & ((1 << shape.position_bits) - 1),
        narrow,
        elongation,
        rotations,
        features,
    )


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
    cell_log2 = np.asarray(lattice.cell_log2, np.int64)[generations]
    shape = shapes(lattice, codes.narrow, codes.elongation, codes.rotations, cell_log2)
    cells = np.stack(deinterleave(codes.cells), axis=1)
    places = (cells << shape.position_bits) + codes.offsets
    means = np.ldexp(places + 0.5, (cell_log2[:, None] - shape.position_bits).astype(np.int32))
    high = codes.narrow * lattice.scale_step
    low = (codes.narrow - codes.elongation) * lattice.scale_step
    rotations = (codes.rotations << (16 - shape.rotation_bits)).astype(np.float64) * (np.pi / 65536)
    features = feature_values(codes.features, lattice)
    return GaussianSet(means, np.stack([power(high), power(low)], axis=1), rotations, features)


def feature_values(codes: npt.NDArray[np.integer], lattice: Lattice) -> Float32Array:
    """float32 (n, C) features of such integers."""
    transformed = codes * lattice.feature_steps.astype(np.float64)
    features: Float32Array = (transformed @ lattice.transform).astype(np.float32)
    return features
