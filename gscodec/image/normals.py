"""Meaning of the channels of a normal map: whether the third follows from the first two, adds to them, or is unused.

Samples 0..1 stand for components -1..1, as image files have them; floats may be the components themselves.
"""

from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.model.channels import ChannelGroup, Role, SampleType

Samples = npt.NDArray[np.float32]

UNIT_TOLERANCE: Final = 0.02
"""Maximum root mean square distance, as a sample, of Z from the unit sphere for which Z is dropped: rounding to 8 bits
and lossy sources stay below it; above it, Z has information of its own."""

SIGNED_BELOW: Final = -0.02
"""Float samples below this value mark components of vectors in -1..1, not codes in 0..1."""

_FILL_SPREAD: Final = 0.012
"""Maximum difference between the first and last percentile of a constant third channel: 3 of 255 codes."""

_LENGTHS: Final = (0.85, 1.15)
"""Lengths of vectors that had length 1 before they were rounded, filtered or coded."""

_MOST_LENGTHS: Final = 0.75
"""Fraction of the texels with length 1 from which on all vectors are treated as unit vectors."""

_FLAT_LENGTH: Final = 1e-6


class Meaning(StrEnum):
    """Meaning of the third channel of a normal map."""

    UNIT = "unit"  # the Z of a vector of length 1 that points away from the surface: it follows from X and Y
    VECTOR = "vector"  # a Z of its own: object space, or lengths other than 1
    XY = "xy"  # missing, or constant: only X and Y are used


def is_signed(group: ChannelGroup) -> bool:
    """Whether a normal map has components in -1..1 instead of codes in 0..1."""
    return group.sample_type is SampleType.FLOAT and group.value_min < SIGNED_BELOW


def unit_z_of(samples: npt.NDArray[Any]) -> Samples:
    """(H, W) Z, as a sample 0..1, of unit vectors whose X and Y are the samples (H, W, 2); never below 0.5."""
    vectors = 2.0 * samples.astype(np.float32) - 1.0
    squared = 1.0 - np.square(vectors).sum(axis=2)
    return np.asarray(0.5 + 0.5 * np.sqrt(np.maximum(squared, 0.0)), np.float32)


def meaning_of(samples: Samples) -> Meaning:
    """Meaning of the third channel.

    Args:
        samples: (H, W, C) codes 0..1 of components, C at least 2; a fourth channel is not looked at.
    """
    if samples.shape[2] == 2:
        return Meaning.XY
    if follows_from_xy(samples):
        return Meaning.UNIT
    if is_filling(samples[:, :, 2]):
        return Meaning.XY
    lengths = lengths_of(samples)
    z = 2 * samples[:, :, 2] - 1
    if has_length_one(lengths) or (np.mean(z >= -0.05) >= 0.99 and np.mean(lengths <= _LENGTHS[1]) >= 0.99):
        return Meaning.VECTOR
    return Meaning.XY


def follows_from_xy(samples: Samples) -> bool:
    """Whether the third channel of codes (H, W, 3) is the Z of unit vectors, up to rounding."""
    error = samples[:, :, 2] - unit_z_of(samples[:, :, :2])
    return float(np.mean(error * error, dtype=np.float64)) <= UNIT_TOLERANCE**2


def is_filling(channel: Samples) -> bool:
    """Whether a channel (H, W) of codes is constant, up to coding errors."""
    return float(np.ptp(np.percentile(channel, (1, 99)))) <= _FILL_SPREAD


def lengths_of(samples: Samples) -> Samples:
    """(H, W) lengths of the vectors that codes 0..1 of X, Y and Z stand for."""
    return np.asarray(np.linalg.norm(2 * samples[:, :, :3] - 1, axis=2), np.float32)


def has_length_one(lengths: Samples) -> bool:
    """Whether nearly all of the vectors have about length 1."""
    within = (lengths >= _LENGTHS[0]) & (lengths <= _LENGTHS[1])
    return bool(np.mean(within) >= _MOST_LENGTHS)


def points_away(samples: Samples, meaning: Meaning | None) -> bool:
    """Whether X and Y determine the directions of codes in 0..1: Z is positive everywhere, as in tangent space."""
    return meaning is not Meaning.VECTOR or bool(np.mean(samples[:, :, 2] >= 0.48) >= 0.99)


def meaning_in(samples: Samples, group: ChannelGroup) -> Meaning | None:
    """`meaning_of` for samples of a group in its own units; None if the group is not a normal map."""
    if group.role is not Role.NORMAL or samples.shape[2] < 2:
        return None
    return meaning_of(codes_of(samples, group))


def codes_of(samples: Samples, group: ChannelGroup) -> Samples:
    """Codes in 0..1 of the components of a group's normals, whatever the units of its samples."""
    if not is_signed(group):
        return samples
    return np.concatenate([0.5 + 0.5 * samples[:, :, :3], samples[:, :, 3:]], axis=2)


def samples_of(codes: Samples, group: ChannelGroup) -> Samples:
    """The inverse of `codes_of`."""
    if not is_signed(group):
        return codes
    return np.concatenate([2 * codes[:, :, :3] - 1, codes[:, :, 3:]], axis=2)


def shown_normals(samples: Samples, group: ChannelGroup) -> Samples:
    """(H, W, 3) codes in 0..1 of a group's normals, as in integer files; a missing Z is computed from X and Y."""
    codes = codes_of(samples, group)
    return codes[:, :, :3] if codes.shape[2] > 2 else np.concatenate([codes, unit_z_of(codes)[:, :, None]], axis=2)


def unit_normals(codes: Samples) -> Samples:
    """(H, W, 3) codes of normalised vectors; a zero vector becomes that of the flat surface."""
    vectors = 2 * codes[:, :, :3] - 1
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    flat = np.asarray((0.0, 0.0, 1.0), np.float32)
    units = np.where(length > _FLAT_LENGTH, vectors / np.maximum(length, _FLAT_LENGTH), flat)
    return np.asarray(0.5 + 0.5 * units, np.float32)
