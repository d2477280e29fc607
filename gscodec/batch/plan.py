"""What a batch has to do: items, out of a folder or a manifest."""

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
from gscodec.batch.names import SUFFIX, Wish, distinct_names, marked
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
    """One file to make."""

    name: str  # its path below the output folder, with `/` and without suffix
    sources: tuple[Path, ...]  # one picture, or the maps of a material
    output: Path
    settings: EncodeSettings
    root: Path  # the output folder
    fault: str = ""  # why it cannot be made


@dataclass(frozen=True)
class Plan:
    """All there is to do, and what a user should know of it."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...] = ()  # what lies there and is not taken, a line each
    unused: tuple[str, ...] = ()  # patterns and rules that match nothing, and so may be misspelt


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
    """Refuse targets of single files beside a size of all files together, which would take their place unsaid.

    Args:
        chosen: settings of the command line.

    Raises:
        InvalidArgument: the command line, the manifest, a rule or an item has one.
    """
    places = [("command line", chosen), ("manifest", manifest.settings)]
    places += [(f"rule {rule.match!r}", rule.settings) for rule in manifest.rules]
    places += [(f"item {item.name}", item.settings) for item in manifest.items]
    for where, values in places:
        for name in TARGETS:
            if name in values:
                raise InvalidArgument(f"{where}: {name} and a total size of all files exclude each other: give one")


def make_items(manifest: Manifest, settings: EncodeSettings) -> list[Item]:
    """The items of `make_plan`."""
    return list(make_plan(manifest, settings).items)


def make_plan(manifest: Manifest, settings: EncodeSettings, chosen: Mapping[str, Any] | None = None) -> Plan:
    """Every item, by name.

    Settings of the manifest's beginning go on top of `settings`, then those of the command line, of the rules, and of
    the item itself; a later target takes the place of an earlier one.

    Args:
        settings: what is used where nobody says.
        chosen: settings of the command line.

    Raises:
        FileAccessError: the source folder is not there, or holds nothing; the output is no folder.
        InvalidArgument: a setting is wrong, or two items have one name.
    """
    check_target(manifest.output)
    base = changed(changed(settings, manifest.settings, "manifest"), chosen or {}, "command line")
    found: list[tuple[str, tuple[Path, ...], Mapping[str, Any]]] = []
    left_out: tuple[str, ...] = ()
    unused: list[str] = []
    if manifest.source is not None:
        discovered, left_out, unused = _discovered(manifest)
        found += [(name, paths, {}) for name, paths in discovered]
    elif manifest.include or manifest.exclude:
        unused.append("include and exclude are of a source folder, and there is none")
    found += [(item.name, item.files, item.settings) for item in manifest.items]
    names = [name for name, _, _ in found]
    distinct_names([Wish((name,)) for name in names])  # refuses twins
    for rule in manifest.rules:
        if not any(fnmatch.fnmatchcase(name, rule.match) for name in names):
            unused.append(f"rule {rule.match!r} matches no item")
    items = []
    for name, paths, own in found:
        ruled = _ruled(name, base, manifest.rules)
        if ruled is not None:
            output = manifest.output / f"{name}{SUFFIX}"
            items.append(Item(name, paths, output, changed(ruled, own, f"item {name}"), manifest.output))
    unused += _useless_weights(items)
    if not items:
        raise FileAccessError(f"{manifest.source or 'manifest'}: holds no pictures that are wanted")
    known = real_paths(path for item in items for path in files_of(item.sources))
    items = [replace(item, fault=_fault(item, known)) for item in items]
    return Plan(tuple(sorted(items, key=lambda item: item.name)), left_out, tuple(unused))


def check_target(folder: Path) -> None:
    """Refuse an output folder that cannot be one, before the work.

    Raises:
        FileAccessError: it, or what it would be made in, is no folder.
    """
    for place in (folder, *folder.parents):
        try:
            mode = place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as fault:
            raise file_access_error(f"{folder}: cannot be written to: {fault.strerror}", fault, folder) from fault
        if not stat.S_ISDIR(mode):
            raise file_access_error(f"{place}: is no folder; name another one for the results", errno.ENOTDIR, place)
        return


def shard(items: Sequence[Item], number: int, of: int) -> list[Item]:
    """Part `number`, from 1, of `of` parts: by a hash of the name, so that an item stays in its part."""
    return [item for item in items if in_shard(item.name, number, of)]


def in_shard(name: str, number: int, of: int) -> bool:
    """Whether an item of a name falls to part `number`, from 1, of `of`."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape"))
    return int(digest.hexdigest()[:8], 16) % of == number - 1


def is_wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a path below the source folder is one that the patterns leave in."""
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
    """Names and files below the source folder; what is left out; patterns that match nothing."""
    root = manifest.source
    assert root is not None
    if not root.is_dir():
        raise FileAccessError(f"{root}: is no folder", filename=root)
    walk = pictures_below(root)
    paths = {path.relative_to(root).as_posix(): path for path in walk.files}
    unused = unmatched(list(paths), manifest.include, manifest.exclude)
    files = [path for name, path in paths.items() if is_wanted(name, manifest.include, manifest.exclude)]
    groups = group_maps(files)
    wishes = []
    for group in groups:
        folder = group.folder.relative_to(root)
        origin = group.paths[0].relative_to(root).as_posix()
        name = (folder / group.name).as_posix()
        if group.is_stack:
            is_whole_folder = bool(folder.parts) and group.name == group.folder.resolve().name
            first = (folder.as_posix(),) if is_whole_folder else ()
            wishes.append(Wish((*first, name, marked(name, origin)), yields=True))
        else:
            # a.png beside a.jpg: both keep their suffix; a.png beside A.png: both get a mark.
            wishes.append(Wish((name, f"{name}{group.paths[0].suffix}", marked(name, origin))))
    names = distinct_names(wishes)
    return [(name, group.paths) for name, group in zip(names, groups, strict=True)], walk.left_out, unused


def _useless_weights(items: Iterable[Item]) -> list[str]:
    """Weights that name no map of their item, a line each."""
    lines = []
    for item in items:
        if not item.settings.weights:
            continue
        if any(path.is_dir() or path.suffix.lower() == ".toml" for path in item.sources):
            continue  # whose maps have names of their own
        maps = [map_name(path) for path in item.sources]
        known = {name for path in item.sources for name in (path.name, path.stem)} | set(Role)
        known |= {found.kind for found in maps if found is not None}
        odd = [name for name in item.settings.map_weights if name not in known]
        lines += [f"{item.name}: weights has {name!r}, which is none of its maps" for name in odd]
    return lines


def _fault(item: Item, sources: set[str]) -> str:
    """Why an item cannot be made, as far as that shows before its files are read; empty where nothing shows."""
    for path in item.sources:
        if not path.exists():
            return f"{path}: there is no such file, which item {item.name} is to be made of"
    if os.path.realpath(item.output) in sources:
        return f"{item.output}: is a source of the batch; remove it or name another folder"
    return ""


def _ruled(name: str, settings: EncodeSettings, rules: Iterable[Rule]) -> EncodeSettings | None:
    """Settings after all rules that match, in their order; None where one leaves the item out."""
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
    found = values.pop(key, None)
    if found is not None and (not isinstance(found, str) or not found):
        raise InvalidArgument(f"{where}: {key} {found!r} is not a text")
    return None if found is None else _without_nul(str(found), f"{where}: {key}")


def _without_nul(text: str, where: str) -> str:
    if "\0" in text:
        raise InvalidArgument(f"{where} {text!r} has a character NUL, which no path has")
    return text


def _texts(found: Any, where: str) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise InvalidArgument(f"{where} is not a list of texts")
    return tuple(_without_nul(text, where) for text in found)


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
        raise InvalidArgument(
            f"{where}: name {name!r} is not one that every system stores; use plain words, . - _ and /"
        )
    changed(EncodeSettings(), table, where)
    return Listed(name, tuple(folder / file for file in files), table)
