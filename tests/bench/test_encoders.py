"""Figures in the documents are of today's encoder, or say that they are not."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import encoders
import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
OLDER = "earlier encoder"
"""What a section says whose rows another encoder made."""


def sections(document: Path) -> Iterator[tuple[str, str]]:
    """The heading and the text of each section."""
    parts = re.split(r"^(#+ .*)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    yield "", parts[0]
    yield from zip(parts[1::2], parts[2::2], strict=True)


def tables_behind(text: str) -> set[Path]:
    """Committed tables whose rows, curves or reports a section shows or links to."""
    paths = (ROOT / name for name in re.findall(r"benchmarks/results/[\w./-]+\.(?:csv|md|png|svg)\b", text))
    tables = (path.with_name(f"{path.stem.partition('-')[0]}.csv") for path in paths)
    return {path for path in tables if path.is_file() and versions(path)}


def versions(path: Path) -> set[str]:
    """Fingerprints of the encoders that made a table's rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return encoders.fingerprints(row.get("codec_version") or "" for row in csv.DictReader(file))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_figures_of_another_encoder_are_called_so(document: Path) -> None:
    for heading, text in sections(document):
        for table in sorted(tables_behind(text)):
            if not all(map(encoders.is_current, versions(table))):
                assert OLDER in text, f"{document.name}, {heading}: {table.relative_to(ROOT)} is of another encoder"


def test_figures_are_watched() -> None:
    shown = {table.name for document in DOCUMENTS for _, text in sections(document) for table in tables_behind(text)}
    assert {"visual.csv", "rd.csv"} <= shown


def test_an_encoder_with_other_guarded_fits_is_another_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = next(name for name, row in encoders.known().items() if row["guard"] == encoders.guard())
    assert encoders.is_current(name)
    assert not encoders.is_current("0123456789abcdef")
    changed = tmp_path / "quality.csv"
    changed.write_text("fit,psnr_db\nphoto fast,10.0\n")
    monkeypatch.setattr(encoders, "GUARD", changed)
    assert not encoders.is_current(name)
