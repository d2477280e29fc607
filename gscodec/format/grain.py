"""Pack and unpack of the chunk GRAN: parameters of film grain for channel groups."""

from collections.abc import Sequence

from gscodec.errors import CorruptField
from gscodec.format.layout import GRAIN, ErrorClass
from gscodec.model.channels import ChannelGroup
from gscodec.model.grain import N_STRENGTHS, Grain, may_have_grain


def grain_bytes(n_groups: int) -> int:
    """Raw bytes of the chunk with grain for n_groups channel groups."""
    return 1 + GRAIN.size * n_groups


def pack_grain(grains: Sequence[Grain], groups: Sequence[ChannelGroup], where: str, error: ErrorClass) -> bytes:
    """The chunk of at least one entry.

    Raises:
        GsCodecError: `error`, if a value is outside its range or a group cannot have grain.
    """
    rows = []
    for grain in grains:
        if len(grain.strengths) != N_STRENGTHS or not all(0 <= strength <= 0xFF for strength in grain.strengths):
            raise error(f"{where}: strengths {grain.strengths} of grain are not {N_STRENGTHS} numbers of 0..255")
        row = {"group": grain.group, "correlation": grain.correlation, "independence": grain.independence}
        GRAIN.check(row, where, error)
        rows.append(GRAIN.pack(row | {"strength": bytes(grain.strengths)}))
    data = bytes([len(rows)]) + b"".join(rows)
    try:
        unpack_grain(data, groups, where)
    except CorruptField as fault:
        raise error(str(fault)) from fault
    return data


def unpack_grain(data: bytes, groups: Sequence[ChannelGroup], name: str) -> tuple[Grain, ...]:
    """The grain of each group that has some, in the order of the groups.

    Raises:
        CorruptField: the chunk violates spec/igs.md, section 5.6.
    """
    if not data or not data[0] or len(data) != grain_bytes(data[0]):
        raise CorruptField(f"{name}: chunk GRAN of {len(data)} bytes does not hold as many entries as it says")
    grains: list[Grain] = []
    for at in range(1, len(data), GRAIN.size):
        row = GRAIN.unpack(data, at)
        GRAIN.check(row, name)
        number = row["group"]
        if grains and number <= grains[-1].group:
            raise CorruptField(f"{name}: the groups of chunk GRAN do not ascend")
        if number >= len(groups) or not may_have_grain(groups[number]):
            raise CorruptField(f"{name}: chunk GRAN is for group {number}, which is no gray or RGB of integers")
        grains.append(Grain(number, row["correlation"], row["independence"], tuple(row["strength"])))
    return tuple(grains)
