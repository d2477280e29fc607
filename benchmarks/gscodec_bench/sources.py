"""What a benchmark measures: pictures, and folders whose maps belong together as one stack.

A file is a map if its name, or the last part of it after `_` or `-`, is one that texture libraries use. Two or more
maps with the same beginning in one folder are one stack: `rock/albedo.png` and `rock/normal.png`, or `rock_albedo.png`
and `rock_normal.png`. Everything else is a picture of its own.
"""

import fnmatch
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadFile, FileAccessError, InvalidArgument, Unsupported
from gscodec.image.load import load_image
from gscodec.image.stack import ImageStack
from gscodec.io.text import csv_cell, shown
from gscodec.model.channels import ChannelGroup, NormalConvention, Role, Transfer

PICTURE_SUFFIXES: Final = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".qoi"}
UNREAD_SUFFIXES: Final = dict.fromkeys((".exr", ".hdr"), "the rivals have no pictures of floats")

_MARKUP: Final = re.compile(r"[|<>`*!\[\]]")

MAP_ROLES: Final = {
    "albedo": Role.ALBEDO,
    "basecolor": Role.ALBEDO,
    "diffuse": Role.ALBEDO,
    "color": Role.ALBEDO,
    "normal": Role.NORMAL,
    "normalgl": Role.NORMAL,
    "nor": Role.NORMAL,
    "ao": Role.AO,
    "roughness": Role.ROUGHNESS,
    "rough": Role.ROUGHNESS,
    "metalness": Role.METALNESS,
    "metallic": Role.METALNESS,
    "metal": Role.METALNESS,
    "height": Role.HEIGHT,
    "displacement": Role.HEIGHT,
    "opacity": Role.OPACITY,
    "mask": Role.MASK,
    "emissive": Role.EMISSIVE,
}
_COLOUR_ROLES: Final = {Role.ALBEDO, Role.EMISSIVE}


@dataclass(frozen=True)
class Source:
    """A picture or a stack on disk."""

    name: str  # unique in a run: its path below the folder that was given, without suffix
    category: str
    paths: tuple[Path, ...]  # one, or the maps of a stack in the order of MAP_ROLES
    is_stack: bool = False

    def sha256(self) -> str:
        """First 16 digits of the SHA-256 over all files, which says whether a row still belongs to them."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]

    def load(self) -> ImageStack:
        """The samples, without an ICC profile: bytes that say nothing about a codec.

        Raises:
            GsCodecError: as `load_image`; also where the maps of a stack differ in size.
        """
        if self.is_stack:
            return _load_stack(self)
        return replace(load_image(self.paths[0], self.name), icc=None)


@dataclass(frozen=True)
class Skipped:
    """Something that is not measured, and why."""

    name: str
    reason: str


def discover(paths: Iterable[Path], skip: Sequence[str] = ()) -> tuple[list[Source], list[Skipped]]:
    """Every picture and stack at or below `paths`, in order of name, and what was left out.

    The category is the name of the folder that holds a picture; right below the folder that was given it is the part
    of the file's name before the first `_`. Stacks are the category `stack`.

    Args:
        skip: patterns such as `odd/*`, matched with names below the folder that was given.

    Raises:
        FileAccessError: a path is not there.
    """
    sources: list[Source] = []
    left_out: list[Skipped] = []
    for root in paths:
        if not root.exists():
            raise FileAccessError(f"{root}: no such file or folder")
        files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
        base = root if root.is_dir() else root.parent
        wanted = []
        for path in files:
            name = path.relative_to(base).as_posix()
            if any(fnmatch.fnmatch(name, pattern) for pattern in skip):
                continue
            if path.suffix.lower() in UNREAD_SUFFIXES:
                left_out.append(Skipped(name, UNREAD_SUFFIXES[path.suffix.lower()]))
            elif path.suffix.lower() in PICTURE_SUFFIXES:
                wanted.append(path)
        sources += _group(wanted, base)
    return _with_unique_names(sources), left_out


def try_load(source: Source) -> ImageStack | str:
    """The samples of a source, or why it cannot be read."""
    try:
        return source.load()
    except (BadFile, Unsupported, FileAccessError, InvalidArgument) as error:
        return str(error)


def map_of(path: Path) -> tuple[str, str] | None:
    """What a map's name begins with, and which map it is; None for other pictures."""
    stem = path.stem.lower()
    beginning, _, last = stem.replace("-", "_").rpartition("_")
    return (beginning, last) if last in MAP_ROLES else None


def _group(files: Sequence[Path], base: Path) -> list[Source]:
    stacks: dict[tuple[Path, str], dict[Role, Path]] = defaultdict(dict)
    for path in files:
        found = map_of(path)
        if found:
            stacks[path.parent, found[0]].setdefault(MAP_ROLES[found[1]], path)
    stacks = defaultdict(dict, {key: maps for key, maps in stacks.items() if len(maps) > 1})
    taken = {path for maps in stacks.values() for path in maps.values()}
    roles = list(dict.fromkeys(MAP_ROLES.values()))
    sources = [Source(_name(path, base), _category(path, base), (path,)) for path in files if path not in taken]
    for (folder, beginning), maps in stacks.items():
        name = _name(folder / beginning, base) if beginning else _name(folder, base.parent if folder == base else base)
        ordered = tuple(maps[role] for role in roles if role in maps)
        sources.append(Source(name, "stack", ordered, is_stack=True))
    return sorted(sources, key=lambda source: source.name)


def _name(path: Path, base: Path) -> str:
    below = path.relative_to(base)
    name = below.with_suffix("").as_posix() if path.suffix.lower() in PICTURE_SUFFIXES else below.as_posix()
    return _plain(name)


def _plain(name: str) -> str:
    """A name that means nothing in the tables it ends up in: CSV, Markdown and HTML."""
    name = _MARKUP.sub("_", shown(name))
    return name if csv_cell(name) == name else f"_{name}"


def _category(path: Path, base: Path) -> str:
    return _plain(path.parent.name if path.parent != base else path.stem.partition("_")[0])


def _with_unique_names(sources: Sequence[Source]) -> list[Source]:
    """A name that two folders share gets a number, so that rows stay apart."""
    seen: dict[str, int] = defaultdict(int)
    result = []
    for source in sources:
        seen[source.name] += 1
        number = seen[source.name]
        result.append(source if number == 1 else replace(source, name=f"{source.name}#{number}"))
    return result


def _load_stack(source: Source) -> ImageStack:
    samples: list[npt.NDArray[np.float32]] = []
    groups: list[ChannelGroup] = []
    for path in source.paths:
        found = map_of(path)
        assert found is not None
        role = MAP_ROLES[found[1]]
        picture = load_image(path, f"{source.name}/{path.name}")
        if samples and picture.samples.shape[:2] != samples[0].shape[:2]:
            height, width = samples[0].shape[:2]
            raise InvalidArgument(f"{source.name}: {path.name} is not {width}x{height} px as the first map")
        values, group = _as_map(picture, role, path.name)
        samples.append(values)
        groups.append(group)
    return ImageStack(np.concatenate(samples, axis=2), tuple(groups), None, source.name)


def _as_map(picture: ImageStack, role: Role, file_name: str) -> tuple[npt.NDArray[np.float32], ChannelGroup]:
    """Samples and group of one map: colour and normals as they are, scalar maps as their first channel."""
    group = picture.groups[0]
    values = picture.samples
    if role not in _COLOUR_ROLES | {Role.NORMAL}:
        values = values[:, :, :1]
    return values, ChannelGroup(
        name=role.value,
        role=role,
        n_channels=values.shape[2],
        bit_depth=group.bit_depth,
        transfer=Transfer.SRGB if role in _COLOUR_ROLES else Transfer.LINEAR,
        alpha=group.alpha if values.shape[2] in {2, 4} else type(group.alpha).NONE,
        normal=NormalConvention.GL if role is Role.NORMAL else NormalConvention.NONE,
        source=file_name,
    )
