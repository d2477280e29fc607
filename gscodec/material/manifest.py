"""Manifests: TOML that lists the maps of a material."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gscodec.errors import InvalidArgument
from gscodec.io.toml_file import read_toml
from gscodec.material.described import MapFile
from gscodec.material.weights import checked_weight
from gscodec.model.channels import NormalConvention, Role
from gscodec.model.file_names import name_fault

_KEYS: Final = ("file", "name", "role", "normal", "weight")
"""Keys of a `[[map]]` table."""


@dataclass(frozen=True)
class Manifest:
    """The maps of a material, and its mask of visible texels."""

    maps: tuple[MapFile, ...]
    mask: Path | None = None  # see `masks.hide`


def read_manifest(path: Path) -> Manifest:
    """Parsed manifest of a material.

    Tables `[[map]]` with `file`, and optionally `name`, `role`, `normal` (derived from the file name by default) and
    `weight`; before them `mask`, a picture that is 0 at hidden texels. Paths are relative to the manifest.

    Raises:
        FileAccessError: the manifest cannot be read. LimitExceeded: it is too large.
        InvalidArgument: it is not TOML, or has unknown keys or invalid values.
    """
    values = read_toml(path)
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
        raise InvalidArgument(f"{where}: is not a table of strings and a weight")
    unknown = set(table) - set(_KEYS)
    if unknown or not table.get("file"):
        fact = f"has the key {min(unknown)!r}" if unknown else "names no file"
        raise InvalidArgument(f"{where}: {fact}; use {', '.join(_KEYS)}")
    role, normal = parse_role(table.get("role"), where), parse_normal(table.get("normal"), where)
    name = table.get("name")
    fault = None if name is None else "is empty" if not name else name_fault(name)
    if fault:
        raise InvalidArgument(f"{where}: name {name!r} {fault}")
    return MapFile(path.parent / table["file"], name, role, normal, weight)


def parse_role(text: str | None, where: str) -> Role | None:
    """The role with this name.

    Raises:
        InvalidArgument: there is no such role.
    """
    if text is None or text in list(Role):
        return None if text is None else Role(text)
    raise InvalidArgument(f"{where}: role {text!r} is not known; role is one of {', '.join(Role)}")


def parse_normal(text: str | None, where: str) -> NormalConvention | None:
    """The normal convention (direction of green) with this name.

    Raises:
        InvalidArgument: neither gl nor dx.
    """
    if text in {None, "gl", "dx"}:
        return None if text is None else NormalConvention(text)
    raise InvalidArgument(f"{where}: normal {text!r} is not known; normal is gl or dx")
