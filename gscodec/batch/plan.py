"""What a batch has to do: items, out of a folder or a manifest."""

import fnmatch
import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gscodec.batch.settings import Settings
from gscodec.errors import FileAccessError, InvalidArgument, file_access_error
from gscodec.image.discover import group_maps, pictures_in

SUFFIX = ".igs"


@dataclass(frozen=True)
class Item:
    """One file to make."""

    name: str  # its path below the output folder, with `/` and without suffix
    sources: tuple[Path, ...]  # one picture, or the maps of a material
    output: Path
    settings: Settings


@dataclass(frozen=True)
class Rule:
    """Settings for the items whose names match."""

    match: str  # shell pattern, case-sensitive, over the whole name
    settings: Mapping[str, Any] = field(default_factory=dict)
    skip: bool = False


@dataclass(frozen=True)
class Listed:
    """An item that a manifest names with its files."""

    name: str
    files: tuple[Path, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What a manifest says; paths are those of the file system."""

    output: Path
    source: Path | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    items: tuple[Listed, ...] = ()
    total_size: int | str | None = None


def read_manifest(path: Path) -> Manifest:
    """A manifest: TOML with `output`, `source`, `include`, `exclude`, settings, and tables `[[rule]]` and `[[item]]`.

    Raises:
        FileAccessError: it cannot be read.
        InvalidArgument: it is not TOML, or says what no manifest says.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise file_access_error(f"{path}: cannot be read: {fault.strerror}", fault) from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise InvalidArgument(f"{path}: is not a TOML file: {fault}") from fault
    where = str(path)
    output = _text(values, "output", where)
    source = _text(values, "source", where)
    if output is None:
        raise InvalidArgument(f"{where}: names no output folder")
    rules = tuple(_rule(table, f"{where}: rule {number}") for number, table in _tables(values, "rule", where))
    items = tuple(
        _listed(table, path.parent, f"{where}: item {number}") for number, table in _tables(values, "item", where)
    )
    if source is None and not items:
        raise InvalidArgument(f"{where}: names neither a source folder nor items")
    include, exclude = (_texts(values.pop(key, []), f"{where}: {key}") for key in ("include", "exclude"))
    total = values.pop("total_size", None)
    if total is not None and (not isinstance(total, int | str) or isinstance(total, bool)):
        raise InvalidArgument(f"{where}: total_size {total!r} is not a size")
    return Manifest(
        path.parent / output,
        None if source is None else path.parent / source,
        include,
        exclude,
        values,
        rules,
        items,
        total,
    )


def make_items(manifest: Manifest, settings: Settings) -> list[Item]:
    """Every item, by name.

    Args:
        settings: those of the command line, under the manifest's own.

    Raises:
        FileAccessError: the source folder is not there, or holds nothing.
        InvalidArgument: a setting is wrong, or two items have one name.
    """
    base = settings.changed(manifest.settings, "manifest")
    found: list[tuple[str, tuple[Path, ...], Settings]] = []
    if manifest.source is not None:
        found += [(name, paths, base) for name, paths in _discovered(manifest)]
    found += [(item.name, item.files, base.changed(item.settings, f"item {item.name}")) for item in manifest.items]
    items = []
    for name, paths, own in found:
        chosen = _ruled(name, own, manifest.rules)
        if chosen is not None:
            items.append(Item(name, paths, manifest.output / f"{name}{SUFFIX}", chosen))
    names = [item.name.casefold() for item in items]
    twice = next((item.name for item in items if names.count(item.name.casefold()) > 1), None) if items else None
    if twice is not None:
        raise InvalidArgument(f"{twice}: two items have this name; rename one in the manifest")
    if not items:
        raise FileAccessError(f"{manifest.source or 'manifest'}: holds no pictures that are wanted")
    return sorted(items, key=lambda item: item.name)


def shard(items: Sequence[Item], number: int, of: int) -> list[Item]:
    """Part `number`, from 1, of `of` parts: by a hash of the name, so that an item stays in its part."""
    return [item for item in items if int(hashlib.sha256(item.name.encode()).hexdigest()[:8], 16) % of == number - 1]


def _discovered(manifest: Manifest) -> list[tuple[str, tuple[Path, ...]]]:
    root = manifest.source
    assert root is not None
    if not root.is_dir():
        raise FileAccessError(f"{root}: is no folder")
    files = [
        path
        for path in pictures_in(root)
        if (not manifest.include or _matches(path.relative_to(root).as_posix(), manifest.include))
        and not _matches(path.relative_to(root).as_posix(), manifest.exclude)
    ]
    found: list[tuple[str, tuple[Path, ...]]] = []
    for group in group_maps(files):
        folder = group.folder.relative_to(root)
        is_whole_folder = group.is_stack and group.name == group.folder.resolve().name
        name = folder.as_posix() if is_whole_folder and folder.parts else (folder / group.name).as_posix()
        found.append((name, group.paths))
    names = [name.casefold() for name, _ in found]
    # a.png beside a.jpg: both keep their suffix.
    return [(name if names.count(name.casefold()) == 1 else f"{name}{paths[0].suffix}", paths) for name, paths in found]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _ruled(name: str, settings: Settings, rules: Iterable[Rule]) -> Settings | None:
    """Settings after all rules that match, in their order; None where one leaves the item out."""
    for rule in rules:
        if fnmatch.fnmatchcase(name, rule.match):
            if rule.skip:
                return None
            settings = settings.changed(rule.settings, f"rule {rule.match!r}")
    return settings


def _tables(values: dict[str, Any], key: str, where: str) -> list[tuple[int, dict[str, Any]]]:
    tables = values.pop(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidArgument(f"{where}: {key} is not a list of tables [[{key}]]")
    return [(number, dict(table)) for number, table in enumerate(tables, start=1)]


def _text(values: dict[str, Any], key: str, where: str) -> str | None:
    found = values.pop(key, None)
    if found is not None and (not isinstance(found, str) or not found):
        raise InvalidArgument(f"{where}: {key} {found!r} is not a text")
    return found


def _texts(found: Any, where: str) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise InvalidArgument(f"{where} is not a list of texts")
    return tuple(found)


def _rule(table: dict[str, Any], where: str) -> Rule:
    match, skip = _text(table, "match", where), table.pop("skip", False)
    if match is None or not isinstance(skip, bool):
        raise InvalidArgument(f"{where}: needs match, a pattern of item names; skip is true or false")
    Settings().changed(table, where)
    return Rule(match, table, skip)


def _listed(table: dict[str, Any], folder: Path, where: str) -> Listed:
    name, files = _text(table, "name", where), _texts(table.pop("files", []), f"{where}: files")
    if name is None or not files:
        raise InvalidArgument(f"{where}: needs name and files")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise InvalidArgument(f"{where}: name {name!r} leaves the output folder")
    Settings().changed(table, where)
    return Listed(Path(name).as_posix(), tuple(folder / file for file in files), table)
