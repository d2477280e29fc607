"""Which pictures of a folder belong together as the maps of one material."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gscodec.format.channels import Role
from gscodec.image.roles import map_name

_SUFFIXES: Final = "png apng jpg jpeg jpe jfif webp tif tiff btf bmp ppm pgm pbm pnm gif qoi exr hdr rgbe"
PICTURE_SUFFIXES: Final = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
"""Names under which pictures are looked for in folders; what a file is its content tells."""

_ORDER: Final = {role: place for place, role in enumerate(list(Role))}


@dataclass(frozen=True)
class Found:
    """A picture, or the maps of one material in a folder."""

    name: str  # of the material: what its files' names share, or the folder's where they share nothing
    folder: Path
    paths: tuple[Path, ...]  # one, or the maps: albedo, normal, ao ... in the order of Role
    is_stack: bool


def pictures_in(root: Path) -> list[Path]:
    """Pictures at or below a folder, by name; hidden files and folders are left out."""
    files = root.rglob("*") if root.is_dir() else [root]
    return sorted(
        path
        for path in files
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    )


def group_maps(files: Iterable[Path]) -> list[Found]:
    """Two or more maps of one folder whose names share the material are a stack; all else are pictures.

    In order of folder and name.
    """
    materials: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    single: list[Path] = []
    for path in files:
        said = map_name(path)
        if said is None:
            single.append(path)
        else:
            materials[path.parent, said.stem].append(path)
    found = [Found(path.stem, path.parent, (path,), False) for path in single]
    for (folder, stem), maps in materials.items():
        if len(maps) == 1:
            found.append(Found(maps[0].stem, folder, (maps[0],), False))
        else:
            found.append(Found(stem or folder.resolve().name, folder, tuple(sorted(maps, key=_place)), True))
    return sorted(found, key=lambda item: (item.folder, item.name))


def _place(path: Path) -> tuple[int, str]:
    said = map_name(path)
    return (_ORDER[said.role] if said else len(_ORDER), path.name)
