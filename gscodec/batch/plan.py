"""Plan of a batch: its items, from a folder or a manifest."""

import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from gscodec.batch.keys import changed
from gscodec.batch.names import SUFFIX, NameCandidates, distinct_names, marked
from gscodec.batch.prints import files_of, real_paths
from gscodec.batch.walk import pictures_below
from gscodec.encoding.settings import TARGETS, EncodeSettings
from gscodec.errors import FileAccessError, InvalidArgument, file_access_error
from gscodec.io.toml_file import read_toml
from gscodec.material.discover import group_maps
from gscodec.material.roles import map_name
from gscodec.model.channels import Role
from gscodec.model.file_names import is_portable


@dataclass(frozen=True)
class Item:
    """One `.igs` file to encode."""

    name: str  # its path below the output folder, with `/` and without suffix
    sources: tuple[Path, ...]  # one picture, or the maps of a material
    output: Path
    settings: EncodeSettings
    root: Path  # the output folder
    fault: str = ""  # why it cannot be encoded; empty if nothing is known against it


@dataclass(frozen=True)
class Plan:
    """All items of a batch, and what a user should know about files and patterns that were not used."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...] = ()  # files that are not encoded and why, one line each
    unused: tuple[str, ...] = ()  # patterns and rules that match nothing: perhaps misspelt


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
    """Parsed batch manifest; paths are resolved against its folder."""

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
        InvalidArgument: it is not TOML, or has unknown keys or invalid values.
    """
    values = read_toml(path)
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
    changed(EncodeSettings(), values, where)
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


def refuse_targets(manifest: Manifest, chosen: Mapping[str, Any]) -> None:
    """Refuse per-file targets together with a total size, which would silently override them.

    Args:
        chosen: settings of the command line.

    Raises:
        InvalidArgument: the command line, the manifest, a rule or an item sets a target.
    """
    places = [("command line", chosen), ("manifest", manifest.settings)]
    places += [(f"rule {rule.match!r}", rule.settings) for rule in manifest.rules]
    places += [(f"item {item.name}", item.settings) for item in manifest.items]
    for where, values in places:
        for name in TARGETS:
            if name in values:
                raise InvalidArgument(f"{where}: {name} and a total size of all files exclude each other: set only one")


def make_items(manifest: Manifest, settings: EncodeSettings) -> list[Item]:
    """The items of `make_plan`."""
    return list(make_plan(manifest, settings).items)


def make_plan(manifest: Manifest, settings: EncodeSettings, chosen: Mapping[str, Any] | None = None) -> Plan:
    """All items, sorted by name.

    Precedence, lowest first: `settings`, the manifest's top-level settings, the command line, the rules, the item
    itself; a later target replaces an earlier one.

    Args:
        settings: default settings.
        chosen: settings of the command line.

    Raises:
        FileAccessError: the source folder does not exist or contains no picture, or the output is not a folder.
        InvalidArgument: a setting is wrong, or two items have one name.
    """
    check_target(manifest.output)
    base = changed(changed(settings, manifest.settings, "manifest"), chosen or {}, "command line")
    listed: list[tuple[str, tuple[Path, ...], Mapping[str, Any]]] = []
    left_out: tuple[str, ...] = ()
    unused: list[str] = []
    if manifest.source is not None:
        discovered, left_out, unused = _discovered(manifest)
        listed += [(name, paths, {}) for name, paths in discovered]
    elif manifest.include or manifest.exclude:
        unused.append("include and exclude apply to a source folder, and the manifest names none")
    listed += [(item.name, item.files, item.settings) for item in manifest.items]
    names = [name for name, _, _ in listed]
    distinct_names([NameCandidates((name,)) for name in names])  # raises if two are equal
    for rule in manifest.rules:
        if not any(fnmatch.fnmatchcase(name, rule.match) for name in names):
            unused.append(f"rule {rule.match!r} matches no item")
    items = []
    for name, paths, own in listed:
        ruled = _ruled(name, base, manifest.rules)
        if ruled is not None:
            output = manifest.output / f"{name}{SUFFIX}"
            items.append(Item(name, paths, output, changed(ruled, own, f"item {name}"), manifest.output))
    unused += _useless_weights(items)
    if not items:
        raise FileAccessError(f"{manifest.source or 'manifest'}: contains no pictures that the patterns select")
    known = real_paths(path for item in items for path in files_of(item.sources))
    items = [replace(item, fault=_fault(item, known)) for item in items]
    return Plan(tuple(sorted(items, key=lambda item: item.name)), left_out, tuple(unused))


def check_target(folder: Path) -> None:
    """Refuse an unusable output folder before any item is encoded.

    Raises:
        FileAccessError: it, or its nearest existing parent, is not a writable folder.
    """
    for place in (folder, *folder.parents):
        try:
            mode = place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as fault:
            raise file_access_error(f"{folder}: cannot be written to: {fault.strerror}", fault, folder) from fault
        if not stat.S_ISDIR(mode):
            raise file_access_error(f"{place}: is not a folder; name another one for the results", errno.ENOTDIR, place)
        return


def shard(items: Sequence[Item], number: int, of: int) -> list[Item]:
    """Items of shard `number` (1..`of`), assigned by a hash of the name, so that an item stays in its shard."""
    return [item for item in items if in_shard(item.name, number, of)]


def in_shard(name: str, number: int, of: int) -> bool:
    """Whether the item of this name belongs to shard `number` (1..`of`)."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape"))
    return int(digest.hexdigest()[:8], 16) % of == number - 1


def is_wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether the patterns select a path below the source folder."""
    return (not include or _matches(name, include)) and not _matches(name, exclude)


def unmatched(names: Sequence[str], include: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """The patterns that match none of the names, a line each."""
    return [
        f"{word} {pattern!r} matches no file"
        for word, patterns in (("include", include), ("exclude", exclude))
        for pattern in patterns
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names)
    ]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _discovered(manifest: Manifest) -> tuple[list[tuple[str, tuple[Path, ...]]], tuple[str, ...], list[str]]:
    """Names and files below the source folder; lines about files left out; lines about patterns that match nothing."""
    root = manifest.source
    assert root is not None
    if not root.is_dir():
        raise FileAccessError(f"{root}: is not a folder", filename=root)
    walk = pictures_below(root)
    paths = {path.relative_to(root).as_posix(): path for path in walk.files}
    unused = unmatched(list(paths), manifest.include, manifest.exclude)
    files = [path for name, path in paths.items() if is_wanted(name, manifest.include, manifest.exclude)]
    groups = group_maps(files)
    candidates = []
    for group in groups:
        folder = group.folder.relative_to(root)
        origin = group.paths[0].relative_to(root).as_posix()
        name = (folder / group.name).as_posix()
        if group.is_stack:
            is_whole_folder = bool(folder.parts) and group.name == group.folder.resolve().name
            first = (folder.as_posix(),) if is_whole_folder else ()
            candidates.append(NameCandidates((*first, name, marked(name, origin)), yields=True))
        else:
            # a.png beside a.jpg: both keep their suffix; a.png beside A.png: both get a mark.
            candidates.append(NameCandidates((name, f"{name}{group.paths[0].suffix}", marked(name, origin))))
    names = distinct_names(candidates)
    return [(name, group.paths) for name, group in zip(names, groups, strict=True)], walk.left_out, unused


def _useless_weights(items: Iterable[Item]) -> list[str]:
    """Weights whose name matches no map of their item, one line each."""
    lines = []
    for item in items:
        if not item.settings.weights:
            continue
        if any(path.is_dir() or path.suffix.lower() == ".toml" for path in item.sources):
            continue  # a material manifest names its maps itself
        maps = [map_name(path) for path in item.sources]
        known = {name for path in item.sources for name in (path.name, path.stem)} | set(Role)
        known |= {named.kind for named in maps if named is not None}
        odd = [name for name in item.settings.map_weights if name not in known]
        lines += [f"{item.name}: weights names {name!r}, which is not one of its maps" for name in odd]
    return lines


def _fault(item: Item, sources: set[str]) -> str:
    """Why an item cannot be encoded, as far as known without reading its files; empty if no reason is known."""
    for path in item.sources:
        if not path.exists():
            return f"{path}: source of item {item.name} does not exist"
    if os.path.realpath(item.output) in sources:
        return f"{item.output}: is a source of the batch; remove it or name another folder"
    return ""


def _ruled(name: str, settings: EncodeSettings, rules: Iterable[Rule]) -> EncodeSettings | None:
    """Settings after all matching rules, applied in order; None if a rule skips the item."""
    for rule in rules:
        if fnmatch.fnmatchcase(name, rule.match):
            if rule.skip:
                return None
            settings = changed(settings, rule.settings, f"rule {rule.match!r}")
    return settings


def _tables(values: dict[str, Any], key: str, where: str) -> list[tuple[int, dict[str, Any]]]:
    tables = values.pop(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidArgument(f"{where}: {key} is not a list of tables [[{key}]]")
    return [(number, dict(table)) for number, table in enumerate(tables, start=1)]


def _text(values: dict[str, Any], key: str, where: str) -> str | None:
    text = values.pop(key, None)
    if text is not None and (not isinstance(text, str) or not text):
        raise InvalidArgument(f"{where}: {key} {text!r} is not a string")
    return None if text is None else _without_nul(str(text), f"{where}: {key}")


def _without_nul(text: str, where: str) -> str:
    if "\0" in text:
        raise InvalidArgument(f"{where} {text!r} contains a NUL character, which no path can have")
    return text


def _texts(values: Any, where: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise InvalidArgument(f"{where} is not a list of strings")
    return tuple(_without_nul(text, where) for text in values)


def _rule(table: dict[str, Any], where: str) -> Rule:
    match, skip = _text(table, "match", where), table.pop("skip", False)
    if match is None or not isinstance(skip, bool):
        raise InvalidArgument(f"{where}: needs match, a pattern of item names; skip is true or false")
    changed(EncodeSettings(), table, where)
    return Rule(match, table, skip)


def _listed(table: dict[str, Any], folder: Path, where: str) -> Listed:
    name, files = _text(table, "name", where), _texts(table.pop("files", []), f"{where}: files")
    if name is None or not files:
        raise InvalidArgument(f"{where}: needs name and files")
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise InvalidArgument(f"{where}: name {name!r} leaves the output folder")
    if not all(is_portable(part) for part in name.split("/")):
        raise InvalidArgument(f"{where}: name {name!r} is not valid on every file system; use plain words, . - _ and /")
    changed(EncodeSettings(), table, where)
    return Listed(name, tuple(folder / file for file in files), table)
