"""Several pictures as one stack: the maps of a material, each a group of channels."""

import math
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.constants import MAX_CHANNELS
from gscodec.errors import FileAccessError, InvalidArgument, LimitExceeded, file_access_error
from gscodec.format.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer
from gscodec.format.file_names import legal_name, name_fault, numbered
from gscodec.format.files import FileEntry
from gscodec.image.discover import PICTURE_SUFFIXES, group_maps
from gscodec.image.hidden import hide
from gscodec.image.load import load_image
from gscodec.image.restore import unit_z_of
from gscodec.image.roles import map_name
from gscodec.image.stack import ImageStack
from gscodec.image.weights import checked_weight
from gscodec.limits import DEFAULT_LIMITS, Limits

Samples = npt.NDArray[np.float32]

UNIT_TOLERANCE: Final = 0.02
"""Root mean square by which the Z of a normal map may miss the unit sphere for Z to be left out, as a sample: below it,
what rounding to 8 bits and lossy sources do; above it, Z says something of its own."""

_KEYS: Final = ("file", "name", "role", "normal", "weight")
"""Of a map in a manifest."""

_COLOUR: Final = {Role.COLOR, Role.ALBEDO, Role.EMISSIVE}


@dataclass(frozen=True)
class MapFile:
    """One file of a stack; what is None, its name or its content decides."""

    path: Path
    name: str | None = None  # of the group
    role: Role | None = None
    normal: NormalConvention | None = None
    weight: float = 1.0  # of its errors in the fit, beside those of other maps


@dataclass(frozen=True)
class Manifest:
    """The maps of a material, and which of its texels are seen."""

    maps: tuple[MapFile, ...]
    mask: Path | None = None  # see `hidden.hide`


def load_source(
    paths: Sequence[str | os.PathLike[str]],
    *,
    part: str | None = None,
    nan: str = "error",
    limits: Limits = DEFAULT_LIMITS,
) -> ImageStack:
    """What an encode is given: one picture; or the maps of a material as files, a folder, or a manifest (*.toml).

    Raises:
        GsCodecError: as `load_image`, `find_maps`, `read_manifest` and `load_maps`.
    """
    if len(paths) == 1:
        path = Path(paths[0])
        if path.is_dir():
            return load_maps(find_maps(path), os.fspath(path), limits)
        if path.suffix.lower() == ".toml":
            manifest = read_manifest(path)
            stack = load_maps(manifest.maps, os.fspath(path), limits)
            return stack if manifest.mask is None else hide(stack, manifest.mask)
        return load_image(paths[0], part=part, nan=nan, limits=limits)
    return load_maps([MapFile(Path(path)) for path in paths], os.fspath(paths[0]) if paths else "(stack)", limits)


def read_manifest(path: Path) -> Manifest:
    """What a manifest lists.

    Tables `[[map]]` with `file`, and `name`, `role` and `normal` where the file's name does not say them, and `weight`;
    before them `mask`, a picture that is 0 where nobody sees a texel. Paths are relative to the manifest.

    Raises:
        FileAccessError: the manifest cannot be read.
        InvalidArgument: it is not TOML, or has keys or values that mean nothing.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise file_access_error(f"{path}: cannot be read: {fault.strerror}", fault) from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise InvalidArgument(f"{path}: is not a TOML file: {fault}") from fault
    tables, mask = values.pop("map", None), values.pop("mask", None)
    if values or not isinstance(tables, list) or not tables:
        fact = f"has the key {next(iter(values))!r}" if values else "lists no maps"
        raise InvalidArgument(f"{path}: {fact}; a manifest has mask and tables [[map]] with {', '.join(_KEYS)}")
    if mask is not None and not isinstance(mask, str):
        raise InvalidArgument(f"{path}: mask {mask!r} is not the path of a picture")
    maps = tuple(_manifest_map(path, number, table) for number, table in enumerate(tables, start=1))
    return Manifest(maps, None if mask is None else path.parent / mask)


def _manifest_map(path: Path, number: int, table: Any) -> MapFile:
    where = f"{path}: map {number}"
    if not isinstance(table, dict):
        raise InvalidArgument(f"{where}: is not a table")
    weight = checked_weight(table.pop("weight", 1.0), where)
    if not all(isinstance(value, str) for value in table.values()):
        raise InvalidArgument(f"{where}: is not a table of texts and a weight")
    unknown = set(table) - set(_KEYS)
    if unknown or "file" not in table:
        fact = f"has the key {min(unknown)!r}" if unknown else "names no file"
        raise InvalidArgument(f"{where}: {fact}; use {', '.join(_KEYS)}")
    name = table.get("name")
    wrong = None if name is None else "is empty" if not name else name_fault(name)
    if wrong:
        raise InvalidArgument(f"{where}: name {name!r} {wrong}")
    try:
        role = Role(table["role"]) if "role" in table else None
        normal = NormalConvention(table["normal"]) if "normal" in table else None
    except ValueError as fault:
        known = f"{', '.join(Role)}; normal is gl or dx"
        raise InvalidArgument(f"{where}: {fault}; role is one of {known}") from fault
    return MapFile(path.parent / table["file"], name, role, normal, weight)


def find_maps(folder: Path) -> list[MapFile]:
    """The pictures right inside a folder, as one stack.

    Raises:
        FileAccessError: no such folder, or no picture in it.
        InvalidArgument: it holds the maps of several materials.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    except OSError as fault:
        raise file_access_error(f"{folder}: cannot be read: {fault.strerror}", fault) from fault
    files = [path for path in files if not path.name.startswith(".")]
    if not files:
        raise FileAccessError(f"{folder}: holds no pictures")
    found = group_maps(files)
    stacks = [item for item in found if item.is_stack]
    if len(stacks) > 1:
        names = ", ".join(item.name for item in stacks[:3]) + (" ..." if len(stacks) > 3 else "")
        raise InvalidArgument(f"{folder}: holds the maps of several materials ({names}); use gscodec batch")
    ordered = [path for item in sorted(found, key=lambda item: not item.is_stack) for path in item.paths]
    return [MapFile(path) for path in ordered]


def load_maps(files: Sequence[MapFile], name: str, limits: Limits = DEFAULT_LIMITS) -> ImageStack:
    """One stack of several pictures, at the size of the largest; smaller ones are enlarged.

    A map that is gray in all but its file takes one channel, an opaque alpha none, and a normal map whose vectors have
    length 1 its X and Y. A map of a single value takes no channel at all. `ImageStack.files` tells how to put the files
    together again.

    Args:
        name: for messages.
    Raises:
        InvalidArgument: no file, or names that collide.
        LimitExceeded: more than MAX_CHANNELS channels.
        GsCodecError: as `load_image`.
    """
    if not files:
        raise InvalidArgument(f"{name}: a stack needs at least one picture")
    sources = _source_names(files, name)
    maps = _named_apart([_load(file, source, limits) for file, source in zip(files, sources, strict=True)])
    height, width = (max(loaded.samples.shape[axis] for loaded in maps) for axis in (0, 1))
    kept = [loaded for loaded in maps if not loaded.entry.constant] or maps[:1]
    if not any(not loaded.entry.constant for loaded in maps):
        maps[0] = kept[0] = replace(kept[0], entry=_grouped(kept[0].entry, kept[0].group))
    groups = tuple(loaded.group for loaded in kept)
    n_channels = sum(group.n_channels for group in groups)
    if n_channels > MAX_CHANNELS:
        raise LimitExceeded(f"{name}: {n_channels} channels are above the limit of {MAX_CHANNELS}; split the stack")
    limits.check_memory(8 * height * width * n_channels, f"{name}: a stack of {width}x{height} px")
    samples = np.empty((height, width, n_channels), np.float32)
    at = 0
    for loaded in kept:
        samples[:, :, at : at + loaded.group.n_channels] = _enlarged(loaded, height, width)
        at += loaded.group.n_channels
    icc = next((loaded.icc for loaded in kept if loaded.icc and loaded.group.role in _COLOUR), None)
    weights = tuple(loaded.weight for loaded in kept) if any(loaded.weight != 1 for loaded in kept) else ()
    return ImageStack(samples, groups, icc, name, tuple(loaded.entry for loaded in maps), weights=weights)


@dataclass(frozen=True)
class _Map:
    samples: Samples  # (h, w, c) of the group
    group: ChannelGroup
    entry: FileEntry
    icc: bytes | None
    weight: float


def _load(file: MapFile, source: str, limits: Limits) -> _Map:
    picture = load_image(file.path, limits=limits)
    if picture.files:
        raise InvalidArgument(f"{file.path}: has layers of its own and cannot be a map of a stack; encode it alone")
    said = map_name(file.path)
    role = file.role or (said.role if said else Role.DATA)
    group = picture.groups[0]
    height, width, n_channels = picture.samples.shape
    samples, alpha = _without_repeats(picture.samples, group.alpha, role)
    unit_z = role is Role.NORMAL and group.sample_type is SampleType.UINT and _has_unit_z(samples)
    samples = samples[:, :, :2] if unit_z else samples
    transfer = group.transfer if group.sample_type is SampleType.FLOAT else Transfer.LINEAR
    group = replace(
        group,
        name=file.name or (said.kind if said else legal_name(file.path.stem)),
        role=role,
        n_channels=samples.shape[2],
        transfer=Transfer.SRGB if role in _COLOUR and group.sample_type is SampleType.UINT else transfer,
        alpha=alpha,
        normal=_convention(file, role),
        source=source,
    )
    values = samples.reshape(-1, samples.shape[2])
    first = values[0]
    entry = FileEntry(source, width, height, n_channels, (), unit_z, _is_binary(values, role))
    if bool((values == first).all()):
        constant = tuple(float(value) for value in first)
        entry = replace(entry, constant=constant, constant_group=group)
    else:
        entry = _grouped(entry, group)
    return _Map(samples, group, entry, picture.icc, file.weight)


def _grouped(entry: FileEntry, group: ChannelGroup) -> FileEntry:
    """The entry of a file whose samples are stored."""
    return replace(entry, groups=(group.name,), constant=(), constant_group=None)


def _without_repeats(samples: Samples, alpha: AlphaMode, role: Role) -> tuple[Samples, AlphaMode]:
    """Samples without an opaque alpha and without copies of the first channel."""
    if alpha is not AlphaMode.NONE and bool((samples[:, :, -1] == 1).all()):
        samples, alpha = samples[:, :, :-1], AlphaMode.NONE
    gray = samples.shape[2] == 3 and role is not Role.NORMAL and bool((samples[:, :, 1:] == samples[:, :, :1]).all())
    return (samples[:, :, :1] if gray else samples), alpha


def _has_unit_z(samples: Samples) -> bool:
    """Whether the third channel follows from the first two."""
    if samples.shape[2] != 3:
        return False
    error = samples[:, :, 2] - unit_z_of(samples[:, :, :2])
    return math.sqrt(float(np.mean(error * error, dtype=np.float64))) <= UNIT_TOLERANCE


def _is_binary(values: Samples, role: Role) -> bool:
    return role in {Role.MASK, Role.OPACITY} and bool(((values == 0) | (values == 1)).all())


def _convention(file: MapFile, role: Role) -> NormalConvention:
    if role is not Role.NORMAL:
        return NormalConvention.NONE
    said = map_name(file.path)
    found = file.normal or (said.normal if said else NormalConvention.GL)
    return found if found is not NormalConvention.NONE else NormalConvention.GL


def _source_names(files: Sequence[MapFile], name: str) -> list[str]:
    """What the files are called in the `.igs` file; refuses those that would be written over each other."""
    seen: set[str] = set()
    for file in files:
        if file.path.name.casefold() in seen:
            raise InvalidArgument(f"{name}: two maps are called {file.path.name}; rename one")
        seen.add(file.path.name.casefold())
    return numbered([legal_name(file.path.name) for file in files], str.casefold)


def _named_apart(maps: list[_Map]) -> list[_Map]:
    """The maps with group names that are unique."""
    names = numbered([loaded.group.name for loaded in maps])
    return [
        loaded if loaded.group.name == name else _renamed(loaded, name)
        for loaded, name in zip(maps, names, strict=True)
    ]


def _renamed(loaded: _Map, name: str) -> _Map:
    group = replace(loaded.group, name=name)
    entry = loaded.entry
    entry = replace(entry, constant_group=group) if entry.constant else _grouped(entry, group)
    return replace(loaded, group=group, entry=entry)


def _enlarged(loaded: _Map, height: int, width: int) -> Samples:
    samples = loaded.samples
    if samples.shape[:2] == (height, width):
        return samples
    from PIL import Image

    filter_ = Image.Resampling.NEAREST if loaded.entry.binary else Image.Resampling.BICUBIC
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(samples[:, :, c])).resize((width, height), filter_))
        for c in range(samples.shape[2])
    ]
    return np.asarray(np.clip(np.stack(channels, axis=2), 0.0, 1.0), np.float32)
