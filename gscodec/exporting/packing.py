"""Textures made of single channels of several maps: occlusion, roughness and metalness in one, and the like."""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.decoding.image import IgsImage
from gscodec.errors import InvalidArgument
from gscodec.format.files import FileEntry
from gscodec.image.levels import full_range, to_native
from gscodec.material.restore import Restored
from gscodec.material.roles import map_name
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer

_LETTERS: Final = "rgba"
_MOST_CHANNELS: Final = 4


@dataclass(frozen=True)
class ChannelSource:
    """Source of one channel of a packed texture."""

    map_name: str  # file, name or role of a map; empty for a constant
    letter: str = "r"
    is_inverted: bool = False
    constant: float = 0.0


@dataclass(frozen=True)
class Packing:
    """A texture made of channels of maps."""

    name: str
    channels: tuple[ChannelSource, ...]


def parse_packing(text: str) -> Packing:
    """Packing from `name=source,source,...`.

    A source is a map with or without `.r`, `.g`, `.b` or `.a`, and with `1-` before it to invert it, or a number.

    Raises:
        InvalidArgument: it is not that.
    """
    name, equals, listed = text.partition("=")
    parts = [part.strip() for part in listed.split(",")]
    if not equals or not name.strip() or "" in parts or not 1 <= len(parts) <= _MOST_CHANNELS:
        raise InvalidArgument(
            f"{text!r:.80} is not a packing: write name=map.channel,... with up to {_MOST_CHANNELS} channels, for "
            "example orm=ao.r,roughness.r,metalness.r"
        )
    return Packing(name.strip(), tuple(_source(part) for part in parts))


def _source(text: str) -> ChannelSource:
    if re.fullmatch(r"[01](\.\d{1,9})?", text, re.ASCII):
        value = float(text)
        if value > 1:
            raise InvalidArgument(f"{text!r}: a constant channel is from 0 to 1")
        return ChannelSource("", constant=value)
    is_inverted = text.startswith("1-")
    text = text.removeprefix("1-")
    base, dot, letter = text.rpartition(".")
    if dot and len(letter) == 1 and letter in _LETTERS:
        return ChannelSource(base, letter, is_inverted)
    return ChannelSource(text, "r", is_inverted)


def entry_of(source: ChannelSource, image: IgsImage) -> FileEntry:
    """The map of a channel that is not constant; a usual word for a role finds the map with that role.

    Raises:
        InvalidArgument: there is no such map, or there are several.
    """
    try:
        matching = image.select([source.map_name])
    except InvalidArgument:
        known = map_name(source.map_name)
        if known is None or known.stem:
            raise
        matching = _with_role(known.role, image)
        if not matching:
            raise
    if len(matching) > 1:
        names = ", ".join(entry.name for entry in matching)
        raise InvalidArgument(f"{source.map_name!r} may be {names}: name one")
    return matching[0]


def _with_role(role: Role, image: IgsImage) -> list[FileEntry]:
    try:
        return image.select([role.value])
    except InvalidArgument:
        return []


def packed(packing: Packing, image: IgsImage, maps: dict[str, Restored]) -> Restored:
    """The picture of a packing.

    Args:
        maps: the decoded maps by file name, those of the packing among them.

    Raises:
        InvalidArgument: a map has no such channel, or floats, or maps differ in size, or all channels are constant.
    """
    used = [None if not one.map_name else maps[entry_of(one, image).name] for one in packing.channels]
    sizes = {restored.samples.shape[:2] for restored in used if restored is not None}
    if len(sizes) != 1:
        what = "maps of different sizes: give one with --size" if sizes else "no map"
        raise InvalidArgument(f"{packing.name}: is made of {what}")
    (size,) = sizes
    planes = [_plane(one, restored, size) for one, restored in zip(packing.channels, used, strict=True)]
    depth = max(group.bit_depth for restored in used if restored is not None for group in restored.groups)
    group = ChannelGroup(
        packing.name, Role.DATA, len(planes), 16 if depth > 8 else 8, transfer=Transfer.LINEAR, alpha=AlphaMode.NONE
    )
    entry = FileEntry(f"{packing.name}.png", size[1], size[0], len(planes), (packing.name,))
    return Restored(entry, to_native(np.stack(planes, axis=2), (group,)), (group,))


def _plane(source: ChannelSource, restored: Restored | None, size: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if restored is None:
        return np.full(size, source.constant, np.float32)
    if any(group.sample_type is SampleType.FLOAT for group in restored.groups):
        raise InvalidArgument(f"{restored.entry.name}: has float samples, which a packed texture does not hold")
    n_channels = restored.samples.shape[2]
    has_alpha = restored.groups[-1].alpha is not AlphaMode.NONE
    n_colours = n_channels - has_alpha
    place = _LETTERS.index(source.letter)
    if source.letter == "a":
        place = n_channels - 1 if has_alpha else n_channels
    elif n_colours == 1:
        place = 0
    elif place >= n_colours:
        place = n_channels
    if place >= n_channels:
        raise InvalidArgument(f"{restored.entry.name}: has no channel {source.letter}")
    plane = np.asarray(full_range(restored.samples[:, :, place], np.float32))
    return 1 - plane if source.is_inverted else plane
