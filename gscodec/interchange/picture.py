"""Description of the picture that Gaussians show, as JSON: NumPy archives and PLY files have it beside the arrays."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from gscodec.container.contents import Contents
from gscodec.errors import BadImage, CorruptField, InvalidArgument
from gscodec.format.files import FileEntry, pack_files, unpack_files
from gscodec.format.groups import check_groups
from gscodec.format.layout import HEADER
from gscodec.format.meta import unpack_meta
from gscodec.model.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer
from gscodec.model.constants import MAX_CHANNELS, MAX_DIMENSION, MAX_TOP_K, SUPPORT_Q, TOP_K
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.json_value import Json

MAX_TEXT_BYTES: Final = 2 << 20
"""Maximum length of a description."""

_ENUMS: Final = {
    "role": Role,
    "sample_type": SampleType,
    "transfer": Transfer,
    "alpha": AlphaMode,
    "normal": NormalConvention,
}
_KINDS: Final = {
    "name": str,
    "source": str,
    "n_channels": int,
    "bit_depth": int,
    "knee_log2": int,
    "value_min": float,
    "value_max": float,
}


@dataclass(frozen=True)
class Picture:
    """What a file of Gaussians says about the picture besides its Gaussians."""

    grid: Grid
    groups: tuple[ChannelGroup, ...]
    files: tuple[FileEntry, ...] = ()

    def contents(self, gaussians: GaussianSet, icc: bytes | None = None) -> Contents:
        """Contents with one level of detail."""
        lods = LodTable.single(len(gaussians))
        return Contents(self.grid, self.groups, lods, gaussians, icc=icc, files=self.files)


Describe = Callable[[int], Picture]
"""Describes the picture of Gaussians with that many channels."""


def described(picture: Picture | Contents) -> str:
    """Size, blending constants, channels and source files of a picture as one line of ASCII JSON."""
    grid = picture.grid
    values: dict[str, Any] = {
        "width": grid.width,
        "height": grid.height,
        "top_k": grid.top_k,
        "support_q": grid.support_q,
        "background": [float(value) for value in grid.background],
        "groups": [asdict(group) for group in picture.groups],
    }
    if picture.files:
        values |= json.loads(pack_files(picture.files, "cannot describe", InvalidArgument))
    return json.dumps(values, separators=(",", ":"))


def parsed(text: str, n_channels: int, name: str) -> Picture:
    """The picture of a description that may be anything.

    Args:
        n_channels: of the Gaussians. name: of the file, in messages.

    Raises:
        BadImage: the description is not one of a picture with these channels.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise BadImage(f"{name}: the description of the picture has {len(text)} characters, at most {MAX_TEXT_BYTES}")
    try:
        values = unpack_meta(text.encode("utf-8"), name, "picture")
        files = json.dumps({"files": values.pop("files")}).encode() if "files" in values else None
        width, height = (_whole(values.pop(key), key, MAX_DIMENSION) for key in ("width", "height"))
        groups = groups_of(values.pop("groups"), n_channels, name)
        background = _background(values.pop("background", [0.0] * n_channels), n_channels)
        top_k = _whole(values.pop("top_k", TOP_K), "top_k", MAX_TOP_K)
        support_q = _number(values.pop("support_q", SUPPORT_Q), "support_q")
        HEADER.check({"support_q": support_q}, name)
        listed: tuple[FileEntry, ...] = () if files is None else unpack_files(files, groups, name)
    except BadImage:
        raise
    except KeyError as fault:
        raise BadImage(f"{name}: the description of the picture has no {fault}") from fault
    except CorruptField as fault:
        raise BadImage(str(fault)) from fault
    except (ValueError, RecursionError) as fault:
        raise BadImage(f"{name}: the description of the picture is not valid: {fault}") from fault
    if values:
        raise BadImage(f"{name}: the description of the picture has {next(iter(values))!r:.40}, which is not known")
    return Picture(Grid(height, width, background, top_k, support_q), groups, listed)


def groups_of(values: Json, n_channels: int, name: str) -> tuple[ChannelGroup, ...]:
    """Channel groups of a description; members that are left out have the defaults of `ChannelGroup`.

    Raises:
        BadImage: they are not groups that the format can hold, or not of n_channels together.
    """
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_CHANNELS:
        raise BadImage(f"{name}: groups must be a list of 1 to {MAX_CHANNELS} channel groups")
    groups = tuple(_group(value, name) for value in values)
    try:
        check_groups(groups, n_channels, name, CorruptField)
    except CorruptField as fault:
        raise BadImage(str(fault)) from fault
    return groups


def _group(value: Json, name: str) -> ChannelGroup:
    if not isinstance(value, Mapping):
        raise BadImage(f"{name}: a channel group must be an object, not {value!r:.40}")
    fields: dict[str, Any] = {}
    for key, item in value.items():
        kind = _KINDS.get(key)
        if key in _ENUMS:
            if item not in list(_ENUMS[key]):
                raise BadImage(f"{name}: {key} {item!r:.40} of a channel group is not {', '.join(_ENUMS[key])}")
            fields[key] = _ENUMS[key](item)
        elif kind is None or isinstance(item, bool) or not isinstance(item, (int, float) if kind is float else kind):
            raise BadImage(f"{name}: {key!r:.40} of a channel group is not valid")
        else:
            fields[key] = kind(item)
    if "name" not in fields:
        raise BadImage(f"{name}: a channel group has no name")
    return ChannelGroup(**fields)


def _whole(value: Json, key: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{key} must be a whole number from 1 to {most}")
    return value


def _number(value: Json, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number")
    return float(value)


def _background(value: Json, n_channels: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    if not isinstance(value, list) or len(value) != n_channels:
        raise ValueError(f"background must be a list of {n_channels} numbers")
    with np.errstate(over="ignore"):
        numbers = np.array([_number(item, "background") for item in value], np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError("background has numbers that float32 cannot hold")
    return numbers
