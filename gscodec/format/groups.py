"""The rules between the fields of the GROUP table (spec/igs.md, section 5.1)."""

import math
from collections.abc import Sequence

from gscodec.errors import CorruptField
from gscodec.format.layout import GROUP, ErrorClass
from gscodec.model.channels import (
    KNEE_BIAS,
    AlphaMode,
    ChannelGroup,
    Role,
    SampleType,
    Transfer,
    count_channels,
    is_coverable,
)
from gscodec.model.constants import MAX_CHANNELS
from gscodec.model.file_names import name_fault


def check_groups(groups: Sequence[ChannelGroup], n_channels: int, where: str, error: ErrorClass = CorruptField) -> None:
    """Refuse channel groups that violate the rules between the fields of the GROUP table.

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
    total = count_channels(groups)
    if total != n_channels:
        raise error(f"{where}: the channel groups hold {total} channels, the image has {n_channels}")


def _may_cover(groups: Sequence[ChannelGroup], number: int) -> bool:
    """Whether a single-channel group may be the alpha of the preceding group."""
    return number > 0 and groups[number].role is Role.OPACITY and is_coverable(groups[number - 1])
