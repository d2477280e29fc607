"""Texts and names use the terms of the field: ambiguous, archaic and metaphorical words are refused."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[2]

PHRASES: Final = {
    r"cards?": "GPU",
    r"settl(?:e|es|ed|ing)": "quantisation-aware fine-tuning (QAT)",
    r"told": "reported, printed, passed",
    r"wish(?:es)?": "target, setting",
    r"dear(?:er)?": "expensive",
    r"nobody": "name what does not happen",
    r"so many": "the count: n_gaussians, n_bytes",
    r"as near as": "state the error",
    r"of one length": "fixed-size",
    r"even ratios": "constant relative error",
    r"by share of itself": "relative error",
    r"near and far": "local and remote",
    r"hangs? on|hanging on": "depends on",
    r"verbs?": "commands",
    r"honestly": "leave it out",
}
"""Regular expressions of words and phrases, whatever their case, with the words to use instead."""

NAMES: Final = {"told", "said", "wish", "wishes"}
"""Identifiers that do not name their value."""

NAMES_IN_PACKAGE: Final = NAMES | {"given", "made", "found"}
"""The same within the package; in tests, `found` and `made` stand for the result beside `expected`."""

FRAGMENTS: Final = re.compile(r"(?:Of|Those|That|Where|Which)\b")
"""Beginnings of docstrings without the noun: "Of the Gaussians, each time." does not say what the value is."""

_GAP: Final = r"\s+(?:(?:#|//)\s+)?"
_PATTERNS: Final = {words: re.compile(rf"\b(?:{words.replace(' ', _GAP)})\b", re.IGNORECASE) for words in PHRASES}

SUFFIXES: Final = {".py", ".md", ".toml", ".cu", ".cuh", ".cpp", ".h", ".inl", ".txt"}
FOLDERS: Final = ("gscodec", "tests", "benchmarks", "docs", "spec", "samples", "integrations")
LEFT_OUT: Final = ("benchmarks/results/", "tests/project/test_language.py")
"""Recorded results, whose texts are history, and the words of this test."""


def texts() -> Iterator[tuple[str, str]]:
    """Path from the root and text of every source and document."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    paths += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "CMakeLists.txt")]
    for path in sorted(paths):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(LEFT_OUT):
            yield name, path.read_text(encoding="utf-8")


def phrases_in(text: str) -> list[str]:
    """Line number, words and remedy of each refused phrase of a text, also across the lines of a comment."""
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}, say: {PHRASES[words]}"
        for words, pattern in _PATTERNS.items()
        for match in pattern.finditer(text)
    ]


def names_in(source: str, refused: set[str]) -> list[str]:
    """Line number and identifier of each refused name of a Python source."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [f"line {t.start[0]}: {t.string}" for t in tokens if t.type == tokenize.NAME and t.string in refused]


def fragments_in(source: str) -> list[str]:
    """Line number and text of each docstring, those after constants included, that begins without a noun."""
    strings = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return [f"line {s.lineno}: {str(s.value)[:60]}" for s in strings if FRAGMENTS.match(str(s.value))]


DOCUMENTS = dict(texts())
SOURCES = {name: text for name, text in DOCUMENTS.items() if name.endswith(".py")}


def test_the_words_of_the_field_are_used() -> None:
    issues = [f"{name}, {issue}" for name, text in DOCUMENTS.items() for issue in phrases_in(text)]
    assert not issues, "\n".join(issues)


def test_names_say_what_their_value_is() -> None:
    issues = [
        f"{name}, {issue}"
        for name, text in SOURCES.items()
        for issue in names_in(text, NAMES_IN_PACKAGE if name.startswith("gscodec/") else NAMES)
    ]
    assert not issues, "\n".join(issues)


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    issues = [f"{name}, {issue}" for name, text in SOURCES.items() for issue in fragments_in(text)]
    assert not issues, "\n".join(issues)


def test_all_kinds_of_texts_are_read() -> None:
    assert {Path(name).suffix for name in DOCUMENTS} >= {".py", ".md", ".cu", ".cpp", ".h"}
    assert {name.partition("/")[0] for name in DOCUMENTS} >= {*FOLDERS, "README.md", "Makefile"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a Card in the machine", "'Card'"),
        ("# takes so\n# many bytes", "line 1: 'so"),
        ("x\ny dearer", "line 2: 'dearer'"),
        ("it hangs on rounding", "'hangs on'"),
    ],
)
def test_a_refused_phrase_is_found_with_its_line(text: str, word: str) -> None:
    (issue,) = phrases_in(text)
    assert word in issue


def test_parts_of_other_words_are_no_phrases() -> None:
    assert not phrases_in("discard cardinal adverb settlement; they hang only now")


def test_a_refused_name_or_fragment_is_found() -> None:
    assert names_in("found = 1\nx.told = found  # told", {"told"}) == ["line 2: told"]
    assert fragments_in('X = 1\n"""Of the bytes."""\nY = 2\n"""Number of bytes."""\n') == ["line 2: Of the bytes."]
