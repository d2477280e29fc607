"""What is committed under benchmarks/results belongs to the pictures and the code beside it."""

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import readme_table
from gscodec_bench.plan import Notes, Plan
from gscodec_bench.sources import discover
from gscodec_bench.suites import SUITES
from gscodec_bench.windows import MADE

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "benchmarks" / "results" / "samples"
CHECK = ROOT / "benchmarks" / "results" / "check" / "check.csv"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def committed() -> list[Path]:
    return sorted(path for path in (*SAMPLES.glob("*.csv"), CHECK) if not path.stem.endswith("-bd"))


@pytest.mark.parametrize("path", committed(), ids=lambda path: path.stem)
def test_a_table_has_its_suites_columns_and_todays_pictures(path: Path) -> None:
    rows = rows_of(path)
    assert rows
    assert tuple(rows[0]) == SUITES[path.stem].columns
    hashes = {source.name: source.sha256() for source in discover([ROOT / "samples"])[0]}
    for row in rows:
        if "image" in row and row["category"] != MADE:  # whose bytes depend on Pillow's version
            assert row["source_sha256"] == hashes[row["image"]], row["image"]


def test_every_suite_has_its_table() -> None:
    assert {path.stem for path in committed()} == set(SUITES)


def test_the_guard_measures_exactly_what_is_committed() -> None:
    sources, _ = discover([ROOT / "samples"], skip=["readme_*"])
    tasks = SUITES["check"].tasks(Plan(tuple(sources), device="cpu"), Notes())
    key = SUITES["check"].key
    measured = {tuple(task.keys[0][name] for name in key) for task in tasks}
    assert measured == {tuple(row[name] for name in key) for row in rows_of(CHECK)}


@pytest.mark.parametrize(("results", "document", "table_of"), readme_table.TABLES, ids=lambda value: str(value)[:20])
def test_the_documents_show_the_committed_tables(
    results: str, document: str, table_of: Callable[[Sequence[dict[str, str]]], list[str]]
) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    expected = table_of(rows_of(SAMPLES.parent / results))
    assert expected
    assert "\n".join(expected) + "\n" in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)


def test_the_documents_show_committed_curves() -> None:
    assert "benchmarks/results/visual/visual-ssimulacra2.png)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "benchmarks/results/pictures/rd-psnr.png)" in (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
