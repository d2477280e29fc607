"""Every file that was once taken wrongly: all readers agree on it now, and on what is right."""

import random
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from c_reader import CReader
from comparison import ReaderComparison
from compilers import reader_library

CORPUS = Path(__file__).parent / "corpus"
ROWS = re.findall(
    r"^\| (\S+\.igs) \| (.+) \| (\w+) \|$", (CORPUS / "INDEX.md").read_text(encoding="utf-8"), re.MULTILINE
)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReaderComparison]:
    reader = CReader(reader_library(tmp_path_factory.mktemp("reader")))
    yield ReaderComparison(reader)
    reader.open(b"")


def test_the_index_has_every_file() -> None:
    assert {name for name, _, _ in ROWS} == {path.name for path in CORPUS.glob("*.igs")}


@pytest.mark.parametrize(("name", "right"), [(name, right) for name, _, right in ROWS])
def test_readers_agree_on_what_is_right(readers: ReaderComparison, name: str, right: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(4):  # other points and requests each time
        report = readers.check((CORPUS / name).read_bytes(), random.Random(number), deep=True)
        assert (report.outcome, report.findings) == (right, [])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10  # KiB
