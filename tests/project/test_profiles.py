"""No module compares profiles: what differs between them stands in their rows, their classes and their registries."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from gscodec.encoding.profile_choice import default_profile
from gscodec.encoding.profiles.registry import ENCODERS
from gscodec.format.profile_table import LAYOUTS, PROFILE_NAMES
from gscodec.model.choices import PRESET_NAMES
from gscodec.profiles.registry import BY_CODE, BY_NAME

ROOT: Final = Path(__file__).parents[2] / "gscodec"

PROFILE_ATTRIBUTES: Final = {"profile", "chosen_profile", "tiny_profile"}
OBJECTS: Final = {name.upper() for name in PROFILE_NAMES}
CLASSES: Final = tuple(name.capitalize() for name in PROFILE_NAMES)


def _is_profile(node: ast.expr) -> bool:
    """Whether an operand is one certain profile: its name, its row, its object, or something of these."""
    if isinstance(node, ast.Constant):
        return node.value in PROFILE_NAMES
    if isinstance(node, ast.Set | ast.Tuple | ast.List):
        return any(map(_is_profile, node.elts))
    if isinstance(node, ast.Attribute):
        return node.attr in OBJECTS or _is_profile(node.value)
    return isinstance(node, ast.Name) and node.id in OBJECTS


def _is_code(node: ast.expr) -> bool:
    """Whether an operand is the profile of a file or of settings."""
    return isinstance(node, ast.Attribute) and node.attr in PROFILE_ATTRIBUTES


def comparisons(text: str) -> Iterator[int]:
    """Lines on which a module asks which profile it has."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            by_value = any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
            if any(map(_is_profile, operands)) or (by_value and any(map(_is_code, operands))):
                yield node.lineno
        elif isinstance(node, ast.MatchValue) and _is_profile(node.value):
            yield node.value.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            kinds = [part for part in ast.walk(node.args[1]) if isinstance(part, ast.Name | ast.Attribute)]
            names = [part.id if isinstance(part, ast.Name) else part.attr for part in kinds]
            if any(name.startswith(CLASSES) for name in names):
                yield node.lineno


@pytest.mark.parametrize(
    "line",
    [
        "job.profile == 'coded'",
        "'small' != wanted",
        "profile in {'f16', 'packed'}",
        "header.profile == F16.code",
        "profile is registry.PACKED",
        "a.profile == b.profile",
        "isinstance(decoder, CodedPageDecoder)",
        "isinstance(decoder, packed.PackedPageDecoder | Other)",
        "match profile:\n    case 'f16':\n        pass",
    ],
)
def test_a_comparison_is_found(line: str) -> None:
    assert list(comparisons(line))


@pytest.mark.parametrize(
    "line",
    [
        "settings.profile is None",
        "header.profile not in LAYOUTS",
        "layout.is_one_piece",
        "preset == 'paper'",
        "F16.code",
    ],
)
def test_other_questions_are_not_found(line: str) -> None:
    assert not list(comparisons(line))


def test_no_module_compares_profiles() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.rglob("*.py"))
        for line in comparisons(path.read_text("utf-8"))
    ]
    assert not found


def test_every_profile_has_its_row_its_class_and_its_encoder() -> None:
    assert [layout.name for layout in LAYOUTS.values()] == list(PROFILE_NAMES) == list(BY_NAME) == list(ENCODERS)
    assert set(BY_CODE) == set(LAYOUTS)
    for name, profile in BY_NAME.items():
        assert (profile.layout.name, ENCODERS[name].profile) == (name, profile)
        assert LAYOUTS[profile.layout.code] is profile.layout


def test_every_preset_has_a_default_profile() -> None:
    assert {default_profile(preset) for preset in PRESET_NAMES} <= set(PROFILE_NAMES)
