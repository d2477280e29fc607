"""The packages of gscodec build on each other in one direction: none imports from one above it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2] / "gscodec"

ORDER: Final = (
    "model",
    "io",
    "format",
    "profiles",
    "container",
    "image",
    "cuda",
    "webgpu",
    "render",
    "metrics",
    "material",
    "fit",
    "decoding",
    "exporting",
    "encoding",
    "interchange",
    "gltf",
    "batch",
    "viewer",
    "cli",
)
"""From the lowest to the highest; docs/architecture.md says what each is for."""

FOUNDATION: Final = {"errors", "extras", "version", "_engine"}
"""Modules beside the packages, which everything may import."""


@cache
def modules() -> dict[str, Path]:
    """Dotted names below gscodec, and their files."""
    named = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports_of(path: Path, *, runtime_only: bool = False) -> Iterator[str]:
    """Dotted names below gscodec that a file imports, wherever in it; modules, as far as names are modules."""
    known = modules()
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if runtime_only and node in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "gscodec":
            base = (node.module or "").partition(".")[2]
            for alias in node.names:
                inner_name = f"{base}.{alias.name}".lstrip(".")
                yield inner_name if inner_name in known else base
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[2] for alias in node.names if alias.name.startswith("gscodec."))


def test_every_package_has_its_place() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(ORDER)


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_none_above_it(package: str) -> None:
    allowed = {*ORDER[: ORDER.index(package) + 1], *FOUNDATION, ""}
    upward = [
        f"{path.relative_to(ROOT)} imports gscodec.{name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in imports_of(path)
        if name.partition(".")[0] not in allowed
    ]
    assert not upward


def test_no_module_imports_itself_by_way_of_others() -> None:
    known = modules()
    graph = {name: set(imports_of(path, runtime_only=True)) - {"", name} for name, path in known.items() if name}
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name in done:
            return
        for other in sorted(graph.get(name, ())):
            walk(other, (*way, name))
        done.add(name)

    for name in graph:
        walk(name, ())


def test_nothing_that_users_install_imports_the_bench() -> None:
    assert (ROOT.parent / "benchmarks" / "gscodec_bench" / "__init__.py").exists()
    found = [str(path) for path in modules().values() if "gscodec_bench" in path.read_text("utf-8")]
    assert not found


def test_an_upward_import_is_found(tmp_path: Path) -> None:
    source = tmp_path / "late.py"
    source.write_text("def f():\n    from gscodec.cli import app\n    import gscodec.batch.run\n", "utf-8")
    assert list(imports_of(source)) == ["cli.app", "batch.run"]
