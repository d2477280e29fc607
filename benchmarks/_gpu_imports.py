"""Packages that a test module imports at its top level, from its text: nothing is imported.

Imports at the top of a module count, and those of the modules of this project that it imports there.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = (ROOT, *(ROOT / name for name in ("tests/cuda", "tests/fuzz", "benchmarks", "tests/support")))
"""Folders with modules of the project: `pythonpath` of pytest's settings, and the package."""


def lost(paths: Iterable[Path]) -> dict[Path, tuple[str, ...]]:
    """Modules that cannot be imported here, with the packages that are missing."""
    found = {path: tuple(sorted(name for name in packages(path) if not _is_installed(name))) for path in paths}
    return {path: missing for path, missing in found.items() if missing}


def packages(path: Path) -> frozenset[str]:
    """Names of all packages of others that a module needs at import."""
    seen: set[Path] = set()
    return frozenset(_packages(path, seen))


def _packages(path: Path, seen: set[Path]) -> Iterator[str]:
    if path in seen:
        return
    seen.add(path)
    for name in _imported(path):
        ours = _source(name)
        if ours:
            for module in (*_parents(ours), ours):
                yield from _packages(module, seen)
        elif name.partition(".")[0] not in sys.stdlib_module_names and not _source(name.partition(".")[0]):
            yield name.partition(".")[0]


@cache
def _imported(path: Path) -> tuple[str, ...]:
    """Dotted names in statements that run when the module is imported; what follows `from x import` as well."""
    names: list[str] = []
    for node in _at_the_top(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _at_the_top(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements outside of functions and classes, and outside of what may fail or is for type checkers alone."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _at_the_top(node.orelse)
        elif isinstance(node, ast.If):
            yield from _at_the_top([*node.body, *node.orelse])
        else:
            yield node


@cache
def _source(name: str) -> Path | None:
    """The file of a module of the project."""
    for folder in SOURCES:
        base = folder.joinpath(*name.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _parents(path: Path) -> Iterator[Path]:
    """Packages that are imported before a module of theirs."""
    folder = path.parent if path.name != "__init__.py" else path.parent.parent
    while folder not in SOURCES and (folder / "__init__.py").is_file():
        yield folder / "__init__.py"
        folder = folder.parent


@cache
def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
