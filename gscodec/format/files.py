"""The FILE chunk: how the source files are restored from the channel groups. It never changes samples."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gscodec.errors import CorruptField, GsCodecError
from gscodec.format.groups import check_groups
from gscodec.format.layout import ErrorClass
from gscodec.format.meta import pack_meta, unpack_meta
from gscodec.model.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer
from gscodec.model.constants import MAX_CHANNELS, MAX_DIMENSION
from gscodec.model.file_names import name_fault, text_fault
from gscodec.model.json_value import Json

MAX_FILES: Final = 256

MAX_EXR_ATTRIBUTES: Final = 1024
MAX_EXR_BYTES: Final = 1 << 19
"""Maximum total base64 characters of the attributes of one OpenEXR header."""

EXR_RESERVED: Final = frozenset(
    (
        *("channels", "compression", "dataWindow", "displayWindow", "lineOrder", "pixelAspectRatio", "type", "name"),
        *("view", "tiles", "chunkCount", "version", "maxSamplesPerPixel", "chromaticities"),
    )
)
"""OpenEXR attributes that a writer generates, or that have their own members in `exr`."""

_EXR_SIZES: Final = {
    "box2i": 16,
    "box2f": 16,
    "double": 8,
    "float": 4,
    "int": 4,
    "envmap": 1,
    "keycode": 28,
    "m33f": 36,
    "m44f": 64,
    "m33d": 72,
    "m44d": 128,
    "rational": 8,
    "timecode": 8,
    "v2i": 8,
    "v2f": 8,
    "v2d": 16,
    "v3i": 12,
    "v3f": 12,
    "v3d": 24,
    "chromaticities": 32,
    "compression": 1,
    "lineOrder": 1,
    "tiledesc": 9,
}
"""Sizes in bytes of OpenEXR's fixed-size attribute types."""


@dataclass(frozen=True)
class FileEntry:
    """One source file: a picture of its own size, restored from the samples of some groups, or a constant.

    A picture with one group gets its `n_channels` channels as follows: with `unit_z`, the third completes X and Y to a
    unit vector; with `fill`, it is that value; one channel is repeated to three; a missing alpha is opaque.
    `binary` samples are 0 or 1, and so are the alphas of a file with `binary_alpha`.
    """

    name: str  # bare file name
    width: int  # px
    height: int
    n_channels: int  # of the picture in the file
    groups: tuple[str, ...]  # names of the channel groups that hold its samples; none for a constant
    unit_z: bool = False
    binary: bool = False
    constant: tuple[float, ...] = ()  # value of each of constant_group's channels, 0..1
    constant_group: ChannelGroup | None = None
    exr: dict[str, Json] = field(default_factory=dict)  # OpenEXR header data
    icc: bool | None = None  # whether the ICC profile belongs to this file; None: yes if it is colour
    fill: float | None = None  # 0..1; the third channel of all pixels
    binary_alpha: bool = False


def pack_files(files: Sequence[FileEntry], where: str, error: ErrorClass) -> bytes:
    """The FILE chunk.

    Raises:
        GsCodecError: `error`, if an entry is invalid.
    """
    data = pack_meta({"files": [_to_json(entry) for entry in files]}, where, error)
    try:
        _parse(unpack_meta(data, where), where)
    except CorruptField as fault:
        raise error(str(fault)) from fault
    return data


def unpack_files(data: bytes, groups: Sequence[ChannelGroup], name: str) -> tuple[FileEntry, ...]:
    """Entries of a FILE chunk.

    Raises:
        CorruptField: the chunk violates spec/igs.md, section 5.3, or names a group that does not exist.
    """
    files = _parse(unpack_meta(data, name, "FILE"), name)
    known = {group.name: group for group in groups}
    for entry in files:
        for group in entry.groups:
            if group not in known:
                raise CorruptField(f"{name}: file {entry.name!r} needs channel group {group!r}, which is not there")
        if entry.exr:
            n_samples = sum(known[group].n_channels for group in entry.groups)
            if any(channel["place"] >= n_samples for channel in entry.exr["channels"]):
                raise CorruptField(f"{name}: file {entry.name!r} has an OpenEXR channel outside its groups")
        elif len(entry.groups) == 1:
            check_recipe(entry, known[entry.groups[0]], name)
    return files


def check_recipe(entry: FileEntry, group: ChannelGroup, name: str) -> None:
    """Refuse an entry whose channels cannot be derived from its group.

    Raises:
        CorruptField: they cannot.
    """
    if entry.n_channels not in channels_from(group, entry.unit_z or entry.fill is not None):
        raise CorruptField(f"{name}: file {entry.name!r} has {entry.n_channels} channels, its group {group.n_channels}")


def channels_from(group: ChannelGroup, has_third: bool) -> set[int]:
    """Possible channel counts of a picture restored from one group.

    Args:
        has_third: the third channel is derived, by `unit_z` or `fill`.
    """
    if has_third:
        return {3, 4} if group.n_channels == 2 and group.alpha is AlphaMode.NONE else set()
    if group.alpha is not AlphaMode.NONE or group.n_channels > 3:
        return {group.n_channels}
    return {1: {1, 2, 3, 4}, 2: {2}, 3: {3, 4}}[group.n_channels]


def _to_json(entry: FileEntry) -> dict[str, Json]:
    values: dict[str, Json] = {
        "name": entry.name,
        "width": entry.width,
        "height": entry.height,
        "channels": entry.n_channels,
    }
    if entry.groups:
        values["groups"] = list(entry.groups)
    for key in ("unit_z", "binary", "binary_alpha"):
        if getattr(entry, key):
            values[key] = True
    group = entry.constant_group
    if group is not None:
        values["constant"] = {
            "values": list(entry.constant),
            "name": group.name,
            "role": group.role.value,
            "bit_depth": group.bit_depth,
            "sample_type": group.sample_type.value,
            "transfer": group.transfer.value,
            "alpha": group.alpha.value,
            "normal": group.normal.value,
            "value_min": group.value_min,
            "value_max": group.value_max,
            "knee_log2": group.knee_log2,
        }
    if entry.exr:
        values["exr"] = entry.exr
    if entry.icc is not None:
        values["icc"] = entry.icc
    if entry.fill is not None:
        values["fill"] = entry.fill
    return values


def _parse(value: Json, name: str) -> tuple[FileEntry, ...]:
    try:
        entries = _list(value, "files")
        if not 1 <= len(entries) <= MAX_FILES:
            raise _Wrong(f"has {len(entries)} files, must be 1..{MAX_FILES}")
        files = tuple(_entry(entry) for entry in entries)
        names = [entry.name.casefold() for entry in files]
        if len(set(names)) != len(names):
            raise _Wrong("has a file name twice")
    except _Wrong as fault:
        raise CorruptField(f"{name}: chunk FILE {fault}") from fault
    return files


class _Wrong(ValueError):
    """Validation error; its text is the predicate of the message."""


def _get(values: Json, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    if not isinstance(values, dict):
        raise _Wrong("has something else where an object belongs")
    value = values.get(key, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise _Wrong(f"has no proper {key!r}")
    return value


def _list(values: Json, key: str, default: Any = None) -> list[Json]:
    entries: list[Json] = _get(values, key, list, default)
    return entries


def _integer(values: Json, key: str, low: int, high: int) -> int:
    number: int = _get(values, key, int)
    if not low <= number <= high:
        raise _Wrong(f"has {key!r} {number}, must be {low}..{high}")
    return number


def _entry(value: Json) -> FileEntry:
    name: str = _get(value, "name", str)
    fault = "is empty" if not name else name_fault(name)
    if fault:
        raise _Wrong(f"has a file name {name!r} that {fault}")
    groups = _list(value, "groups", [])
    if not all(isinstance(group, str) for group in groups):
        raise _Wrong("has a group that is not a name")
    constant = value.get("constant")
    if (constant is None) == (not groups):
        raise _Wrong(f"must have either groups or a constant for {name!r}")
    values, group = _constant(constant) if constant is not None else ((), None)
    n_channels = _integer(value, "channels", 1, MAX_CHANNELS)
    entry = FileEntry(
        name,
        _integer(value, "width", 1, MAX_DIMENSION),
        _integer(value, "height", 1, MAX_DIMENSION),
        n_channels,
        tuple(groups),
        _get(value, "unit_z", bool, False),
        _get(value, "binary", bool, False),
        values,
        group,
        _exr(_get(value, "exr", dict, {}), n_channels),
        _get(value, "icc", bool) if "icc" in value else None,
        _fill(value),
        _get(value, "binary_alpha", bool, False),
    )
    if entry.fill is not None and (entry.unit_z or entry.exr):
        raise _Wrong(f"has two rules for the third channel of {name!r}")
    if group is not None and not entry.exr:
        if entry.n_channels not in channels_from(group, entry.unit_z or entry.fill is not None):
            raise _Wrong(f"has {entry.n_channels} channels for {name!r}, its value has {group.n_channels}")
    elif not entry.exr and len(groups) != 1:
        raise _Wrong(f"has {len(groups)} groups for {name!r}, a picture has one")
    return entry


def _fill(value: dict[str, Json]) -> float | None:
    if "fill" not in value:
        return None
    fill = _get(value, "fill", (int, float))
    if isinstance(fill, bool) or not 0 <= fill <= 1:
        raise _Wrong(f"has 'fill' {fill}, must be 0..1")
    return float(fill)


def _constant(value: Json) -> tuple[tuple[float, ...], ChannelGroup]:
    numbers = _list(value, "values")
    if not 1 <= len(numbers) <= MAX_CHANNELS or not all(
        isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e30 for number in numbers
    ):
        raise _Wrong("has a constant that is not a few numbers")
    try:
        group = ChannelGroup(
            _get(value, "name", str),
            Role(_get(value, "role", str)),
            len(numbers),
            _integer(value, "bit_depth", 1, 32),
            SampleType(_get(value, "sample_type", str)),
            Transfer(_get(value, "transfer", str)),
            AlphaMode(_get(value, "alpha", str)),
            NormalConvention(_get(value, "normal", str)),
            float(_get(value, "value_min", (int, float))),
            float(_get(value, "value_max", (int, float))),
            knee_log2=_get(value, "knee_log2", int),
        )
        check_groups((group,), len(numbers), "a constant", CorruptField)
    except (ValueError, OverflowError, GsCodecError) as fault:
        raise _Wrong(f"has a constant of an impossible kind: {fault}") from fault
    return tuple(float(number) for number in numbers), group


def _exr(value: dict[str, Json], n_channels: int) -> dict[str, Json]:
    """The known members of `exr`, checked."""
    if not value:
        return {}
    channels = _list(value, "channels")
    if len(channels) != n_channels:
        raise _Wrong(f"has {len(channels)} OpenEXR channels of {n_channels}")
    checked = []
    for channel in channels:
        entry = {
            "name": _text(channel, "name"),
            "type": _get(channel, "type", str),
            "place": _integer(channel, "place", 0, MAX_CHANNELS - 1),
        }
        if entry["type"] not in {"half", "float"}:
            raise _Wrong(f"has an OpenEXR channel of type {entry['type']!r}")
        checked.append(entry)
    if len({entry["name"] for entry in checked}) != len(checked):
        raise _Wrong("has an OpenEXR channel twice")
    result: dict[str, Json] = {"channels": checked}
    for key in ("data_window", "display_window"):
        if key in value:
            window = result[key] = _integers(value, key, 4, -(2**30), 2**30)
            if window[2] < window[0] or window[3] < window[1]:
                raise _Wrong(f"has a {key} that is empty")
    if "chromaticities" in value:
        numbers = _list(value, "chromaticities")
        if len(numbers) != 8 or not all(isinstance(n, int | float) and abs(n) < 1e6 for n in numbers):
            raise _Wrong("has chromaticities that are not eight numbers")
        result["chromaticities"] = [float(number) for number in numbers]
    if "pixel_aspect" in value:
        aspect = _get(value, "pixel_aspect", (int, float))
        if not 1e-6 <= aspect <= 1e6:
            raise _Wrong("has a pixel aspect that is not above 0")
        result["pixel_aspect"] = float(aspect)
    for key in ("part", "view"):
        if key in value:
            result[key] = _text(value, key)
    if "attributes" in value:
        result["attributes"] = _attributes(_list(value, "attributes"))
    if _get(value, "premultiplied", bool, False):
        result["premultiplied"] = True
    return result


def _attributes(values: list[Json]) -> list[Json]:
    """Attributes of an OpenEXR header, checked so that other programs can read a file with them."""
    if len(values) > MAX_EXR_ATTRIBUTES:
        raise _Wrong(f"has {len(values)} OpenEXR attributes, the limit is {MAX_EXR_ATTRIBUTES}")
    checked, n_bytes = [], 0
    for value in values:
        entry = {"name": _text(value, "name"), "type": _text(value, "type"), "data": _get(value, "data", str)}
        n_bytes += len(entry["data"])
        try:
            data = base64.b64decode(entry["data"], validate=True)
        except ValueError as fault:
            raise _Wrong(f"has an OpenEXR attribute {entry['name']!r} that is not base64") from fault
        size = _EXR_SIZES.get(entry["type"], len(data))
        if entry["name"] in EXR_RESERVED or len(data) != size:
            raise _Wrong(f"has an OpenEXR attribute {entry['name']!r} that cannot be one")
        checked.append(entry)
    if n_bytes > MAX_EXR_BYTES:
        raise _Wrong(f"has OpenEXR attributes of {n_bytes} characters, the limit is {MAX_EXR_BYTES}")
    if len({entry["name"] for entry in checked}) != len(checked):
        raise _Wrong("has an OpenEXR attribute twice")
    return checked


def _text(values: Json, key: str) -> str:
    text: str = _get(values, key, str)
    fault = "is empty" if not text else text_fault(text)
    if fault:
        raise _Wrong(f"has a {key} {text!r} that {fault}")
    return text


def _integers(values: Json, key: str, count: int, low: int, high: int) -> list[int]:
    numbers = _list(values, key)
    if len(numbers) != count or not all(
        isinstance(n, int) and not isinstance(n, bool) and low <= n <= high for n in numbers
    ):
        raise _Wrong(f"has a {key} that is not {count} integers")
    return [int(number) for number in numbers]
