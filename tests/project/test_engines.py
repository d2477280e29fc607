"""No module compares engines: what differs between them is in the registry and in their capability flags."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from gscodec.render.engines import ENGINES

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "gscodec"

NAMES: Final = set(ENGINES)
CLASSES: Final = {engine.load().__name__ for engine in ENGINES.values()}

TYPE_CHECKS: Final = {"isinstance", "issubclass", "type"}

ALLOWED: Final = {
    "gscodec/render/autograd.py": "`cpu` there is torch's name of where a tensor lies",
}


def _is_name(node: ast.expr) -> bool:
    """Whether an operand is the name of an engine, or holds one."""
    if isinstance(node, ast.Constant):
        return node.value in NAMES
    return isinstance(node, ast.Set | ast.Tuple | ast.List) and any(map(_is_name, node.elts))


def comparisons(text: str) -> Iterator[int]:
    """Lines on which a module asks which engine it has."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            if any(map(_is_name, (node.left, *node.comparators))):
                yield node.lineno
        elif isinstance(node, ast.MatchValue):
            if _is_name(node.value):
                yield node.value.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in {"startswith", "endswith"} and any(map(_is_name, node.args)):
                yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TYPE_CHECKS:
            parts = [part for arg in node.args for part in ast.walk(arg)]
            names = {part.id for part in parts if isinstance(part, ast.Name)}
            if CLASSES & (names | {part.attr for part in parts if isinstance(part, ast.Attribute)}):
                yield node.lineno


@pytest.mark.parametrize(
    "line",
    [
        "engine.name == 'cuda'",
        "'cpu' != engine.name",
        "name.kind in {'cpu', 'cuda'}",
        "engine.name.startswith('cuda')",
        "match name.kind:\n    case 'reference':\n        pass",
        "isinstance(engine, CpuRasterizer)",
        "issubclass(kind, gpu.CudaRasterizer | Other)",
    ],
)
def test_a_comparison_is_found(line: str) -> None:
    assert list(comparisons(line))


@pytest.mark.parametrize(
    "line",
    ["engine.takes_subsets", "engine.on_device is None", "open_igs(path, device='cpu')", "isinstance(stack, Regions)"],
)
def test_other_questions_are_not_found(line: str) -> None:
    assert not list(comparisons(line))


def test_no_module_compares_engines() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in comparisons(path.read_text("utf-8"))
    }
    assert not {place for place in found if place.partition(":")[0] not in ALLOWED}


def test_every_engine_has_the_name_of_its_entry() -> None:
    for name, engine in ENGINES.items():
        assert engine.load().name == name
