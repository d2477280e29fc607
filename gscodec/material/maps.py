"""Input of an encode: one picture, or the maps of a material as one stack of channel groups."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import FileAccessError, InvalidArgument, LimitExceeded, file_access_error
from gscodec.image.file_types.registry import read_suffixes
from gscodec.image.load import load_image
from gscodec.image.metadata import colour_words, report_left_out
from gscodec.image.source_errors import warn_of_source
from gscodec.image.stack import ImageStack, is_cmyk
from gscodec.material.described import Described, MapFile, describe_picture
from gscodec.material.discover import group_maps, in_order, set_fault
from gscodec.material.manifest import parse_normal, parse_role, read_manifest
from gscodec.material.masks import hide
from gscodec.material.roles import map_name
from gscodec.model.channels import COLOURS, NormalConvention, Role, count_channels
from gscodec.model.constants import MAX_CHANNELS
from gscodec.model.file_names import legal_name, numbered
from gscodec.model.limits import DEFAULT_LIMITS, Limits

Samples = npt.NDArray[np.float32]

_REMEDY: Final = "gscodec batch makes a file of each, --stack one of all"


@dataclass(frozen=True)
class Overrides:
    """Interpretation of sources that overrides their names and pixels."""

    role: Role | None = None  # of a single picture
    normal: NormalConvention | None = None  # of a single normal map
    stack: bool = False  # stack several pictures whatever their names

    @classmethod
    def parsed(cls, role: str | None, normal: str | None, stack: bool, where: str) -> "Overrides":
        """Overrides from the names of a role and a convention.

        Raises:
            InvalidArgument: no such role or convention.
        """
        return cls(parse_role(role, where), parse_normal(normal, where), stack)

    def file(self, path: Path) -> MapFile:
        """A `MapFile` for a single picture with these overrides."""
        return MapFile(path, role=self.role, normal=self.normal)

    def check_several(self, name: str) -> None:
        """Refuse overrides that apply to a single picture only.

        Raises:
            InvalidArgument: a role or a convention is set.
        """
        if self.role is not None or self.normal is not None:
            raise InvalidArgument(
                f"{name}: a role applies to a single picture; for several, set the role of each in a manifest"
            )


def load_source(
    paths: Sequence[str | os.PathLike[str]],
    *,
    part: str | None = None,
    nan: str = "error",
    limits: Limits = DEFAULT_LIMITS,
    overrides: Overrides | None = None,
) -> ImageStack:
    """The stack to encode: one picture, or the maps of a material as files, a folder, or a manifest (*.toml).

    How a picture is interpreted (`describe_picture`) does not depend on which of these ways it is loaded.

    Raises:
        InvalidArgument: several pictures whose names do not make them the maps of one material.
        GsCodecError: as `load_image`, `find_maps`, `read_manifest` and `load_maps`.
    """
    overrides = overrides or Overrides()
    if not paths:
        raise InvalidArgument("nothing to encode: name a picture")
    name = os.fspath(paths[0])
    if len(paths) == 1:
        path = Path(paths[0])
        if name != "-" and path.is_dir():
            files = find_maps(path, stack=overrides.stack)
            if len(files) > 1:
                overrides.check_several(name)
                return load_maps(files, name, part=part, nan=nan, limits=limits)
            path = files[0].path
        elif path.suffix.lower() == ".toml":
            overrides.check_several(name)
            manifest = read_manifest(path)
            stack = load_maps(manifest.maps, name, part=part, nan=nan, limits=limits)
            return stack if manifest.mask is None else hide(stack, manifest.mask)
        return load_one(overrides.file(path), part=part, nan=nan, limits=limits)
    overrides.check_several(name)
    files = [MapFile(Path(path)) for path in paths]
    fault = None if overrides.stack else set_fault([file.path for file in files])
    if fault:
        raise InvalidArgument(f"{len(files)} pictures are not the maps of one material: {fault}; {_REMEDY}")
    return load_maps(files, name, part=part, nan=nan, limits=limits)


def find_maps(folder: Path, *, stack: bool = False) -> list[MapFile]:
    """The pictures directly inside a folder: the maps of one stack, or a single picture.

    Args:
        stack: take all of them, whatever their names.

    Raises:
        FileAccessError: no such folder, or no picture in it.
        InvalidArgument: they are not the maps of one material.
    """
    try:
        suffixes = read_suffixes()
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    except OSError as fault:
        raise file_access_error(f"{folder}: cannot be read: {fault.strerror}", fault) from fault
    files = [path for path in files if not path.name.startswith(".")]
    if not files:
        raise FileAccessError(f"{folder}: contains no pictures")
    if not stack and len(files) > 1:
        stacks = [item for item in group_maps(files) if item.is_stack]
        if len(stacks) > 1:
            names = ", ".join(item.name for item in stacks[:3]) + (" ..." if len(stacks) > 3 else "")
            raise InvalidArgument(f"{folder}: contains the maps of several materials ({names}); use gscodec batch")
        reason = set_fault(files)
        if reason:
            fact = f"its {len(files)} pictures are not the maps of one material"
            raise InvalidArgument(f"{folder}: {fact}: {reason}; {_REMEDY}")
    return [MapFile(path) for path in in_order(files)]


def load_one(
    file: MapFile, *, part: str | None = None, nan: str = "error", limits: Limits = DEFAULT_LIMITS
) -> ImageStack:
    """One picture; has an entry in `ImageStack.files` only if its channels alone do not describe the file.

    Raises:
        GsCodecError: as `load_image` and `describe_picture`.
    """
    return one_picture(load_image(file.path, part=part, nan=nan, limits=limits), file)


def one_picture(picture: ImageStack, file: MapFile) -> ImageStack:
    """A loaded picture, as returned by `load_one`."""
    loaded = describe_picture(picture, file, is_alone=True)
    files = () if loaded.is_plain else (loaded.entry,)
    samples = np.ascontiguousarray(loaded.samples)
    return ImageStack(samples, loaded.groups, loaded.icc, picture.source_name, files, metadata=picture.metadata)


def load_maps(
    files: Sequence[MapFile],
    name: str,
    *,
    part: str | None = None,
    nan: str = "error",
    limits: Limits = DEFAULT_LIMITS,
) -> ImageStack:
    """One stack of several pictures, at the size of the largest; smaller ones are enlarged.

    Each is stored as `describe_picture` returns it, except that a constant map takes no channel.
    `ImageStack.files` describes how the files are restored.

    Args:
        name: for messages.
        part, nan: as in `load_image`; the part applies to the OpenEXR files among them.

    Raises:
        InvalidArgument: no file, or names that collide.
        LimitExceeded: more than MAX_CHANNELS channels.
        GsCodecError: as `load_image`.
    """
    if not files:
        raise InvalidArgument(f"{name}: a stack needs at least one picture")
    sources = _source_names(files, name)
    maps = _named_apart([_load(file, source, part, nan, limits) for file, source in zip(files, sources, strict=True)])
    maps, icc = _one_profile(maps)
    height, width = (max(loaded.samples.shape[axis] for loaded in maps) for axis in (0, 1))
    described = list(maps)
    if len(maps) > 1:
        maps = [_constant(loaded) for loaded in maps]
    kept = [loaded for loaded in maps if not loaded.entry.constant]
    if not kept:
        kept = [described[0]]
        maps[0] = described[0]
    groups = tuple(group for loaded in kept for group in loaded.groups)
    n_channels = count_channels(groups)
    if n_channels > MAX_CHANNELS:
        raise LimitExceeded(f"{name}: {n_channels} channels are above the limit of {MAX_CHANNELS}; split the stack")
    limits.check_memory(8 * height * width * n_channels, f"{name}: a stack of {width}x{height} px")
    samples = np.empty((height, width, n_channels), np.float32)
    at = 0
    for loaded in kept:
        last = at + loaded.samples.shape[2]
        samples[:, :, at:last] = _enlarged(loaded, height, width)
        at = last
    weights = tuple(loaded.weight for loaded in kept for _ in loaded.groups)
    return ImageStack(
        samples,
        groups,
        icc,
        name,
        tuple(loaded.entry for loaded in maps),
        weights=weights if any(weight != 1 for weight in weights) else (),
    )


def _load(file: MapFile, source: str, part: str | None, nan: str, limits: Limits) -> Described:
    """A loaded picture whose groups carry the names of its file and map."""
    is_exr = file.path.suffix.lower() == ".exr"
    picture = load_image(file.path, part=part if is_exr else None, nan=nan, limits=limits)
    if is_cmyk(picture.groups):
        raise InvalidArgument(f"{file.path}: has four inks and cannot be a map of a stack; convert it to RGB")
    lost = [words for words, data in (("Exif", picture.metadata.exif), ("XMP", picture.metadata.xmp)) if data]
    report_left_out([*lost, *filter(None, [colour_words(picture.metadata)])], os.fspath(file.path))
    loaded = describe_picture(picture, file)
    known = map_name(file.path)
    own = file.name or loaded.kind or (known.kind if known is not None else legal_name(file.path.stem))
    first = loaded.groups[0].name
    names = {group.name: own if group.name == first else f"{own}.{group.name}" for group in loaded.groups}
    return _renamed(loaded, names, source)


def _renamed(loaded: Described, names: dict[str, str], source: str | None = None) -> Described:
    groups = tuple(
        replace(group, name=names[group.name], source=group.source if source is None else source)
        for group in loaded.groups
    )
    entry = replace(loaded.entry, groups=tuple(group.name for group in groups))
    return replace(loaded, groups=groups, entry=entry if source is None else replace(entry, name=source))


def _source_names(files: Sequence[MapFile], name: str) -> list[str]:
    """Names of the files in the `.igs` file; refuses names that would collide on decode."""
    seen: set[str] = set()
    for file in files:
        if file.path.name.casefold() in seen:
            raise InvalidArgument(f"{name}: two maps are called {file.path.name}; rename one")
        seen.add(file.path.name.casefold())
    return numbered([legal_name(file.path.name) for file in files], str.casefold)


def _named_apart(maps: Sequence[Described]) -> list[Described]:
    """The maps with unique group names."""
    names = iter(numbered([group.name for loaded in maps for group in loaded.groups]))
    return [_renamed(loaded, {group.name: next(names) for group in loaded.groups}) for loaded in maps]


def _one_profile(maps: Sequence[Described]) -> tuple[list[Described], bytes | None]:
    """The maps, each marked whether the file's only ICC profile is its own, and that profile.

    Warns:
        SourceWarning: a map has another profile.
    """
    owner = next((loaded for loaded in maps if loaded.icc), None)
    if owner is None:
        return list(maps), None
    marked = []
    for loaded in maps:
        if loaded.icc and loaded.icc != owner.icc:
            fact = f"its ICC profile differs from that of {owner.entry.name} and is not kept; convert one"
            warn_of_source(f"{loaded.entry.name}: {fact}")
        is_without = loaded.icc != owner.icc and loaded.groups[0].role in COLOURS
        marked.append(replace(loaded, entry=replace(loaded.entry, icc=False)) if is_without else loaded)
    return marked, owner.icc


def _constant(loaded: Described) -> Described:
    """The map without its samples if all have one value."""
    values = loaded.samples.reshape(-1, loaded.samples.shape[2])
    first = values[0]
    if len(loaded.groups) > 1 or loaded.entry.exr or not bool((values == first).all()):
        return loaded
    constant = tuple(float(value) for value in first)
    return replace(loaded, entry=replace(loaded.entry, groups=(), constant=constant, constant_group=loaded.groups[0]))


def _enlarged(loaded: Described, height: int, width: int) -> Samples:
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
