"""Description of a picture's channels: groups with a role, a sample type, a transfer and their conventions.

The numeric code of an enum member is its position; spec/igs.md, section 5.1 lists them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import numpy as np


class Role(StrEnum):
    """Meaning of a group of channels to a renderer."""

    COLOR = "color"
    ALBEDO = "albedo"
    NORMAL = "normal"
    AO = "ao"
    ROUGHNESS = "roughness"
    METALNESS = "metalness"
    HEIGHT = "height"
    OPACITY = "opacity"
    MASK = "mask"
    EMISSIVE = "emissive"
    DATA = "data"


COLOURS: Final = frozenset({Role.COLOR, Role.ALBEDO, Role.EMISSIVE})
"""Roles whose samples are light or reflectance."""


class SampleType(StrEnum):
    """Type of the source's samples."""

    UINT = "uint"
    FLOAT = "float"


class Transfer(StrEnum):
    """Transfer function from light to samples."""

    SRGB = "srgb"
    LINEAR = "linear"
    LOG = "log"
    ASINH = "asinh"


class AlphaMode(StrEnum):
    """Whether the group's last channel is an alpha, and how the others relate to it.

    For an opacity group with one channel: whether it is the alpha of the preceding group, and how that relates to it.
    """

    NONE = "none"
    STRAIGHT = "straight"
    PREMULTIPLIED = "premultiplied"


class NormalConvention(StrEnum):
    """Direction of green in a normal map."""

    NONE = "none"
    GL = "gl"
    DX = "dx"


@dataclass(frozen=True)
class ChannelGroup:
    """Consecutive channels that form one image or one map of a stack."""

    name: str  # unique within the file
    role: Role = Role.COLOR
    n_channels: int = 3
    bit_depth: int = 8  # of the source: 1..16 for uint, 16 or 32 for float
    sample_type: SampleType = SampleType.UINT
    transfer: Transfer = Transfer.SRGB
    alpha: AlphaMode = AlphaMode.NONE
    normal: NormalConvention = NormalConvention.NONE
    value_min: float = 0.0  # sample value of a feature of 0
    value_max: float = 1.0  # sample value of a feature of 1
    source: str = ""  # bare name of the source file
    knee_log2: int = 0  # transfer asinh: log2 of the value below which the curve is nearly linear, -64..63


def count_channels(groups: Sequence[ChannelGroup]) -> int:
    """Number of channels of all groups together."""
    return sum(group.n_channels for group in groups)


def channel_spans(groups: Sequence[ChannelGroup]) -> list[tuple[ChannelGroup, slice]]:
    """Each group with its channels among those of all groups."""
    spans, start = [], 0
    for group in groups:
        spans.append((group, slice(start, start + group.n_channels)))
        start += group.n_channels
    return spans


def channels_of(group: ChannelGroup, groups: Sequence[ChannelGroup]) -> slice:
    """A group's channels among those of all groups, of which it is one."""
    return next(channels for other, channels in channel_spans(groups) if other == group)


def has_srgb_codes(group: ChannelGroup) -> bool:
    """Whether the samples of a group's colours are sRGB codes (IEC 61966-2-1) and not proportional to light."""
    return group.transfer is Transfer.SRGB and group.role in COLOURS and group.sample_type is SampleType.UINT


KNEE_BIAS: Final = 64
"""Bias added to knee_log2 in the file."""

Member = TypeVar("Member", bound=StrEnum)


def code_of(member: StrEnum) -> int:
    """Numeric code of an enum member."""
    return list(type(member)).index(member)


def member_of(kind: type[Member], code: int) -> Member:
    """Enum member with this code; the code must be valid."""
    return list(kind)[code]


def is_coverable(group: ChannelGroup) -> bool:
    """Whether an opacity group that follows this group may be its alpha."""
    return group.role in COLOURS and group.alpha is AlphaMode.NONE and group.n_channels in {1, 3}


def round_f32(value: float) -> float:
    """The value rounded to float32."""
    return float(np.float32(value))
