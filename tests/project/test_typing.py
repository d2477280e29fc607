"""From `gscodec.encode` to the optimiser and the engines nothing is `Any`: what mypy passes there, it has checked."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
CHECKED: Final = ("encoding", "fit", "render")

OF_DTYPES: Final = {"NDArray", "dtype"}
"""Types in which `Any` stands for an array's dtype, which is checked where the array is used."""

ALIASES: Final = {
    "Json": "a value of JSON; the file format checks it before it is written",
    "Array": "an array in a device's memory; cupy has no types, and launch code checks dtype and shape",
}
"""Names that stand for `Any` elsewhere in the package, and why."""


def _places(text: str) -> Iterator[int]:
    """Lines on which a module says `Any`, dtypes of arrays aside."""
    tree = ast.parse(text)
    dtypes = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr in OF_DTYPES
        for inner in ast.walk(node.slice)
    }
    for node in ast.walk(tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name == "Any" and node not in dtypes:
            yield node.lineno  # type: ignore[attr-defined]  # an expression, all of which have one
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "Any" in node.value:
            try:  # an annotation in quotes
                yield from (node.lineno for _ in _places(node.value))
            except SyntaxError:
                continue


@pytest.mark.parametrize(
    "line",
    [
        "def f(x: Any) -> None: ...",
        "def f() -> dict[str, Any]: ...",
        "x: typing.Any = 1",
        'def f(x: "Callable[[], Any]") -> None: ...',
        "Pair = tuple[Any, int]",
    ],
)
def test_any_is_found(line: str) -> None:
    assert list(_places(line))


@pytest.mark.parametrize(
    "line", ["from typing import Any", "x: npt.NDArray[Any]", 'x: "np.dtype[Any] | None" = None', '"""Any size."""']
)
def test_what_is_not_any_is_not_found(line: str) -> None:
    assert not list(_places(line))


@pytest.mark.parametrize("package", CHECKED)
def test_nothing_on_the_way_of_an_encode_is_any(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "gscodec" / package).rglob("*.py"))
        for line in _places(path.read_text("utf-8"))
    ]
    assert not found


def test_aliases_of_any_are_few() -> None:
    """No other name stands for `Any`, so that what the test above forbids does not come in under one."""
    found = {
        target.id
        for path in (ROOT / "gscodec").rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Name) and node.value.id == "Any"
        for target in ([node.target] if isinstance(node, ast.AnnAssign) else node.targets)
        if isinstance(target, ast.Name)
    }
    assert found == set(ALIASES)
