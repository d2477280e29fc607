"""Description of a source picture: role, transfer, stored channels, and how its file is restored on decode.

One function for all ways of encoding: a single picture, a list, a folder, a manifest, a batch. The role follows from
the file name; if the pixels contradict it, the picture is taken as colour.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.format.files import FileEntry
from gscodec.image.alpha import in_mode
from gscodec.image.floats import float_group, model_samples
from gscodec.image.levels import to_values
from gscodec.image.normals import SIGNED_BELOW, follows_from_xy
from gscodec.image.source_errors import warn_of_source
from gscodec.image.stack import ImageStack, is_cmyk
from gscodec.material.evidence import contradiction
from gscodec.material.roles import MapName, map_name
from gscodec.model.channels import (
    COLOURS,
    AlphaMode,
    ChannelGroup,
    NormalConvention,
    Role,
    SampleType,
    Transfer,
    channel_spans,
    count_channels,
)
from gscodec.model.file_names import legal_name

Samples = npt.NDArray[np.float32]

_LAYOUTS: Final = (("R", "G", "B"), ("X", "Y", "Z"), ("R", "G"), ("X", "Y"))
"""Channel names of an OpenEXR file that form one map, in the order of their components; so does a single channel."""


@dataclass(frozen=True)
class MapFile:
    """One file of a stack; fields that are None are derived from its name and content."""

    path: Path
    name: str | None = None  # name of the channel group
    role: Role | None = None
    normal: NormalConvention | None = None
    weight: float = 1.0  # weight of its errors in the fit, relative to other maps


@dataclass(frozen=True)
class Described:
    """A picture's samples as stored in the `.igs` file, with their description."""

    samples: Samples  # (h, w, c) all groups, in the model's domain
    groups: tuple[ChannelGroup, ...]  # one, unless an OpenEXR file has several layers
    entry: FileEntry  # how the file is restored on decode
    icc: bytes | None  # ICC profile, of colour only
    kind: str | None  # kind of map by its name, if the pixels agree
    weight: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether the stored channels are exactly those of the file."""
        entry = self.entry
        return not (
            entry.exr
            or entry.unit_z
            or entry.fill is not None
            or entry.binary
            or entry.n_channels != count_channels(self.groups)
        )


@dataclass(frozen=True)
class _Meaning:
    """Role, normal convention and kind of map assigned to a picture."""

    role: Role
    normal: NormalConvention
    kind: str | None


def describe_picture(picture: ImageStack, file: MapFile, *, is_alone: bool = False) -> Described:
    """A loaded picture, converted to what is stored.

    A gray map in an RGB file is stored as one channel, an opaque alpha is dropped, and of a normal map with unit
    vectors X and Y are stored; so are the first two channels of other non-colour maps with a constant third channel.
    An alpha of a non-colour map is a data channel like the others. Only a single gray colour picture keeps its three
    channels: repeats cost nothing there (measured in profile coded), and recording them would take 115 bytes.

    Args:
        picture: result of `load_image`.
        is_alone: the picture is encoded by itself, not as a map of a stack.

    Raises:
        InvalidArgument: the role is normal, but the picture has one channel.
    """
    if picture.groups[0].sample_type is SampleType.FLOAT:
        return _described_floats(picture, file)
    group = picture.groups[0]
    height, width, n_channels = picture.samples.shape
    name = legal_name(file.path.name)
    if is_cmyk(picture.groups):
        entry = FileEntry(name, width, height, n_channels, (group.name,))
        return Described(picture.samples, picture.groups, entry, picture.icc, None, file.weight)
    samples, alpha = _without_opaque(picture.samples, group.alpha)
    meant = meaning_of_file(file, lambda: samples, samples.shape[2], int(alpha is not AlphaMode.NONE))
    if meant.role not in COLOURS:
        alpha = AlphaMode.NONE
    samples = samples if is_alone and meant.role in COLOURS else _without_repeats(samples, meant.role)
    unit_z = meant.role is Role.NORMAL and samples.shape[2] == 3 and follows_from_xy(samples)
    fill = None if unit_z else _filling(samples, meant.role)
    samples = samples[:, :, :2] if unit_z or fill is not None else samples
    described = replace(
        group,
        name=file.name or meant.kind or group.name,
        role=meant.role,
        n_channels=samples.shape[2],
        transfer=group.transfer if meant.role in COLOURS else Transfer.LINEAR,
        alpha=alpha,
        normal=meant.normal,
    )
    binary = meant.role in {Role.MASK, Role.OPACITY} and bool(((samples == 0) | (samples == 1)).all())
    entry = FileEntry(name, width, height, n_channels, (described.name,), unit_z, binary, fill=fill)
    icc = picture.icc if meant.role in COLOURS else None
    return Described(samples, (described,), entry, icc, meant.kind, file.weight)


def meaning_of_file(file: MapFile, look: Callable[[], Samples], n_channels: int, n_alpha: int) -> _Meaning:
    """Role and normal convention of a picture: as requested, else by its name, else colour.

    Args:
        look: returns samples (H, W, C), 0..1, or floats; for normals, components coded to 0..1. Called only if the
            name implies something that the pixels can contradict.
        n_channels: C.
        n_alpha: how many of the last channels are alpha.

    Raises:
        InvalidArgument: the role is normal, but the picture has one channel.

    Warns:
        SourceWarning: the pixels contradict the name.
    """
    by_name = map_name(file.path)
    if file.role is not None:
        if file.role is Role.NORMAL and n_channels < 2:
            raise InvalidArgument(f"{file.path}: has one channel, a normal map needs two or three; choose another role")
        kind = by_name.kind if by_name is not None and by_name.role is file.role else file.role.value
        return _Meaning(file.role, _convention(file, file.role, by_name), kind)
    if by_name is None:
        return _Meaning(Role.COLOR, _convention(file, Role.COLOR, None), None)
    fault = None if by_name.role in COLOURS else contradiction(by_name, look(), n_alpha)
    if fault is None:
        return _Meaning(by_name.role, _convention(file, by_name.role, by_name), by_name.kind)
    text = f"is called {by_name.word!r}, but {fault}: taken as colour; role {by_name.role} overrides that"
    warn_of_source(f"{file.path}: {text}")
    return _Meaning(Role.COLOR, _convention(file, Role.COLOR, None), None)


def _convention(file: MapFile, role: Role, by_name: MapName | None) -> NormalConvention:
    if role is not Role.NORMAL:
        if file.normal is not None:
            raise InvalidArgument(
                f"{file.path}: is not a normal map, and only normal maps have a convention; leave it out"
            )
        return NormalConvention.NONE
    convention = file.normal or (by_name.normal if by_name is not None else NormalConvention.GL)
    return convention if convention is not NormalConvention.NONE else NormalConvention.GL


def _without_opaque(samples: Samples, alpha: AlphaMode) -> tuple[Samples, AlphaMode]:
    if alpha is not AlphaMode.NONE and bool((samples[:, :, -1] == 1).all()):
        return samples[:, :, :-1], AlphaMode.NONE
    return samples, alpha


def _without_repeats(samples: Samples, role: Role) -> Samples:
    """Samples without copies of the first channel."""
    gray = samples.shape[2] == 3 and role is not Role.NORMAL and bool((samples[:, :, 1:] == samples[:, :, :1]).all())
    return samples[:, :, :1] if gray else samples


def _filling(samples: Samples, role: Role) -> float | None:
    """The value of the third of three channels of a non-colour map, if it is constant; else None."""
    if role in COLOURS or samples.shape[2] != 3 or not bool((samples[:, :, 2] == samples[0, 0, 2]).all()):
        return None
    return float(samples[0, 0, 2])


def _described_floats(picture: ImageStack, file: MapFile) -> Described:
    """A float picture, whose channels have names; several layers are kept as they were read."""
    entry = picture.files[0]
    channels: list[dict[str, Any]] = entry.exr["channels"]
    whole = Described(picture.samples, picture.groups, entry, picture.icc, None, file.weight)
    starts = [(group, channels.start) for group, channels in channel_spans(picture.groups)]
    if len(starts) == 1:
        places = list(range(picture.groups[0].n_channels))
    else:
        places = [channels[number]["place"] for number in _one_map([channel["name"] for channel in channels])]
    if any(group.n_channels > 1 and group.alpha is not AlphaMode.NONE for group in picture.groups):
        return whole
    if not 1 <= len(places) <= 3 or any(
        len({at + number in places for number in range(group.n_channels)}) > 1 for group, at in starts
    ):
        return whole

    @cache
    def values_as_stored() -> Samples:
        values: Samples = to_values(picture.samples, picture.groups)
        if entry.exr.get("premultiplied"):  # non-colour maps are stored as in their file, not divided by alpha
            values, _ = in_mode(values, picture.groups, AlphaMode.PREMULTIPLIED)
        return values

    meant = meaning_of_file(file, lambda: _codes(values_as_stored()[:, :, places]), len(places), 0)
    if meant.role in COLOURS:
        groups = [replace(g, role=meant.role) if at == places[0] and g.role in COLOURS else g for g, at in starts]
        return replace(whole, groups=tuple(groups), kind=meant.kind)
    chosen = _without_repeats(values_as_stored()[:, :, places], meant.role)
    rest = [place for place in range(picture.samples.shape[2]) if place not in places]
    groups = [_float_group(file.name or meant.kind or "data", chosen, meant, picture.groups[0])]
    parts = [model_samples(chosen, groups[0])]
    moved = {place: min(number, chosen.shape[2] - 1) for number, place in enumerate(places)}
    for number, place in enumerate(rest):
        moved[place] = chosen.shape[2] + number
    for group, at in starts:
        if at in rest:
            groups.append(replace(group, alpha=AlphaMode.NONE))
            parts.append(picture.samples[:, :, at : at + group.n_channels])
    listed = [{**channel, "place": moved[channel["place"]]} for channel in channels]
    names = tuple(group.name for group in groups)
    exr = {key: value for key, value in entry.exr.items() if key != "premultiplied"}
    entry = replace(entry, groups=names, exr={**exr, "channels": listed})
    return Described(np.concatenate(parts, axis=2), tuple(groups), entry, None, meant.kind, file.weight)


def _codes(values: Samples) -> Samples:
    """Components coded to 0..1 if some are negative; else the values unchanged."""
    return 0.5 + 0.5 * values if values.shape[2] > 1 and float(values.min()) < SIGNED_BELOW else values


def _float_group(name: str, values: Samples, meant: _Meaning, read: ChannelGroup) -> ChannelGroup:
    return replace(float_group(name, values, meant.role, read.bit_depth, read.source), normal=meant.normal)


def _one_map(names: list[str]) -> list[int]:
    """Indices of a float file's channels that are the components of its only map; empty if it has several layers."""
    colours = [number for number, name in enumerate(names) if name.rpartition(".")[2] not in {"A", "alpha"}]
    layers = {names[number].rpartition(".")[0] for number in colours}
    if len(layers) != 1 or not colours:
        return []
    last = {names[number].rpartition(".")[2].upper(): number for number in colours}
    if len(last) == 1 and len(colours) == 1:
        return colours
    layout = next((kind for kind in _LAYOUTS if set(kind) == set(last) and len(colours) == len(kind)), ())
    return [last[each] for each in layout]
