"""Grouping of a folder's pictures into the maps of one material each."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gscodec.material.roles import map_name
from gscodec.model.channels import Role

_ORDER: Final = {role: place for place, role in enumerate(list(Role))}


@dataclass(frozen=True)
class Found:
    """A single picture, or the maps of one material in a folder."""

    name: str  # of the material: common part of its file names, or the folder's name if there is none
    folder: Path
    paths: tuple[Path, ...]  # one, or the maps: albedo, normal, ao ... in the order of Role
    is_stack: bool


def group_maps(files: Iterable[Path]) -> list[Found]:
    """Materials and single pictures: two or more maps of one folder with the same material name form a stack.

    If a material has several files of the same map, files of one size, or else of one file type, form a stack each;
    files that stay ambiguous are single pictures. Sorted by folder and name.
    """
    materials: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    items: list[Found] = []
    for path in files:
        name = map_name(path)
        if name is None:
            items.append(_single(path))
        else:
            materials[path.parent, name.stem].append(path)
    for (folder, stem), maps in materials.items():
        items += _stacks(folder, stem or folder.resolve().name, maps, (_variant, _file_type))
    return sorted(items, key=lambda item: (item.folder, item.name))


def set_fault(files: Sequence[Path]) -> str | None:
    """Why files are not the maps of one material, judged by their names, as part of an error message; None if they are.

    They are if all names share the material, or none has one and all lie in one folder, and each names a different map.
    """
    names = [(path, map_name(path)) for path in files]
    first, material = names[0]
    tags: dict[str, Path] = {}
    for path, name in names:
        if name is None:
            return f"{path.name} does not name a map, such as albedo or normal, at its end"
        assert material is not None
        if name.stem != material.stem or (not name.stem and path.parent != first.parent):
            return f"{first} and {path} name different materials"
        if name.tag in tags:
            return f"{tags[name.tag].name} and {path.name} are both {name.kind}"
        tags[name.tag] = path
    return None


def in_order(files: Iterable[Path]) -> list[Path]:
    """Maps in the order of Role (albedo, normal, ao ...), followed by files whose names name no map."""
    return sorted(files, key=_place)


def _single(path: Path) -> Found:
    return Found(path.stem, path.parent, (path,), False)


def _stacks(folder: Path, name: str, maps: list[Path], split_by: Sequence[Callable[[Path], str]]) -> list[Found]:
    """Divides the maps of one material in a folder into stacks and single pictures.

    Args:
        split_by: properties by which files of the same map may differ, in the order of trial.
    """
    if len(maps) == 1:
        return [_single(maps[0])]
    if set_fault(maps) is None:
        return [Found(name, folder, tuple(in_order(maps)), True)]
    if not split_by:
        return [_single(path) for path in maps]
    parts: dict[str, list[Path]] = defaultdict(list)
    for path in maps:
        parts[split_by[0](path)].append(path)
    return [
        item
        for mark, part in parts.items()
        for item in _stacks(folder, "_".join(filter(None, (name, mark))), part, split_by[1:])
    ]


def _variant(path: Path) -> str:
    name = map_name(path)
    return name.variant if name is not None else ""


def _file_type(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def _place(path: Path) -> tuple[int, str]:
    name = map_name(path)
    return (_ORDER[name.role] if name is not None else len(_ORDER), path.name)
