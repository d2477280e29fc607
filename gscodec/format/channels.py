"""What the channels of a picture are: groups with a role, a sample type, a transfer and their conventions.

The numeric code of an enum member is its position; spec/igs.md, "Channel groups" lists them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import numpy as np

from gscodec.constants import MAX_CHANNELS
from gscodec.errors import CorruptField
from gscodec.format.file_names import name_fault
from gscodec.format.layout import GROUP, ErrorClass


class Role(StrEnum):
    """What a group of channels means to a renderer."""

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
"""Roles whose samples are light, or what reflects it."""


class SampleType(StrEnum):
    """What the source's samples were."""

    UINT = "uint"
    FLOAT = "float"


class Transfer(StrEnum):
    """How samples relate to light."""

    SRGB = "srgb"
    LINEAR = "linear"
    LOG = "log"
    ASINH = "asinh"


class AlphaMode(StrEnum):
    """Whether the group's last channel is an alpha, and how the others relate to it.

    Of an opacity with one channel: whether it is the alpha of the group before it, and how that relates to it.
    """

    NONE = "none"
    STRAIGHT = "straight"
    PREMULTIPLIED = "premultiplied"


class NormalConvention(StrEnum):
    """Which way green points in a normal map."""

    NONE = "none"
    GL = "gl"
    DX = "dx"


@dataclass(frozen=True)
class ChannelGroup:
    """Consecutive channels that belong together: one image, or one map of a stack."""

    name: str  # unique within the file
    role: Role = Role.COLOR
    n_channels: int = 3
    bit_depth: int = 8  # of the source: 1..16 for uint, 16 or 32 for float
    sample_type: SampleType = SampleType.UINT
    transfer: Transfer = Transfer.SRGB
    alpha: AlphaMode = AlphaMode.NONE
    normal: NormalConvention = NormalConvention.NONE
    value_min: float = 0.0  # what a feature of 0 stands for
    value_max: float = 1.0  # what a feature of 1 stands for
    source: str = ""  # bare file name that a stack's map came from
    knee_log2: int = 0  # of transfer asinh: log2 of the value up to which it is about linear, -64..63


KNEE_BIAS: Final = 64
"""What a file adds to knee_log2."""

Member = TypeVar("Member", bound=StrEnum)


def code_of(member: StrEnum) -> int:
    """Numeric code of an enum member."""
    return list(type(member)).index(member)


def member_of(kind: type[Member], code: int) -> Member:
    """Enum member with a code that has been checked."""
    return list(kind)[code]


def check_groups(groups: Sequence[ChannelGroup], n_channels: int, where: str, error: ErrorClass = CorruptField) -> None:
    """Refuse channel groups that no file may hold: the rules between the fields of the GROUP table.

    Raises:
        GsCodecError: `error`.
    """
    if not 1 <= len(groups) <= MAX_CHANNELS:
        raise error(f"{where}: {len(groups)} channel groups, must be 1..{MAX_CHANNELS}")
    override = None if error is CorruptField else error
    names = set()
    for number, group in enumerate(groups):
        label = f"{where}: channel group {group.name!r}"
        GROUP.check({"n_channels": group.n_channels, "bit_depth": group.bit_depth}, where, override)
        if not group.name:
            raise error(f"{where}: a channel group has no name")
        if group.name in names:
            raise error(f"{label} appears twice, names must be unique")
        names.add(group.name)
        for field, text in (("name", group.name), ("source", group.source)):
            fault = name_fault(text)
            if fault:
                raise error(f"{where}: channel group {field} {text!r} {fault}")
        if group.sample_type is SampleType.UINT and group.bit_depth > 16:
            raise error(f"{label} has {group.bit_depth}-bit integer samples, must be 1..16")
        if group.sample_type is SampleType.FLOAT and group.bit_depth not in {16, 32}:
            raise error(f"{label} has {group.bit_depth}-bit float samples, must be 16 or 32")
        if group.alpha is not AlphaMode.NONE and group.n_channels < 2 and not _may_cover(groups, number):
            raise error(f"{label} has an alpha but only one channel, and no colour before it")
        if not (math.isfinite(group.value_min) and math.isfinite(group.value_max)):
            raise error(f"{label} has a value range that is not finite")
        if not -KNEE_BIAS <= group.knee_log2 < KNEE_BIAS:
            raise error(f"{label} has knee_log2 {group.knee_log2}, must be {-KNEE_BIAS}..{KNEE_BIAS - 1}")
        if group.knee_log2 and group.transfer is not Transfer.ASINH:
            raise error(f"{label} has a knee, which transfer {group.transfer} has not")
        if group.transfer is Transfer.ASINH and group.sample_type is not SampleType.FLOAT:
            raise error(f"{label} has transfer asinh, which only float samples have")
        if not group.value_min < group.value_max:
            raise error(f"{label} has value range {group.value_min}..{group.value_max}, must increase")
    total = sum(group.n_channels for group in groups)
    if total != n_channels:
        raise error(f"{where}: the channel groups hold {total} channels, the image has {n_channels}")


def _may_cover(groups: Sequence[ChannelGroup], number: int) -> bool:
    """Whether a group of one channel may be the alpha of the one before it."""
    return number > 0 and groups[number].role is Role.OPACITY and is_coverable(groups[number - 1])


def is_coverable(group: ChannelGroup) -> bool:
    """Whether an opacity behind a group may be its alpha."""
    return group.role in COLOURS and group.alpha is AlphaMode.NONE and group.n_channels in {1, 3}


def round_f32(value: float) -> float:
    """The value that a stored f32 gives back."""
    return float(np.float32(value))
