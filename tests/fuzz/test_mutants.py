"""The mutator, the comparison and the campaign find what they look for, and nothing in a few hundred mutants."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import campaign
import comparison
import numpy as np
import pytest
from c_reader import CReader
from comparison import ReaderComparison
from compilers import reader_library
from mutations import mutant, png_texts
from parts import put_together, take_apart
from seeds import seed, seed_names

from gscodec.container.reader import IgsReader


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReaderComparison]:
    reader = CReader(reader_library(tmp_path_factory.mktemp("reader")))
    yield ReaderComparison(reader)
    reader.open(b"")


def test_every_seed_is_taken_by_all_readers(readers: ReaderComparison) -> None:
    for name in seed_names():
        report = readers.check(seed(name), random.Random(0), deep=True)
        assert not report.findings, (name, report.findings)
        assert report.outcome == ("valid for readers" if name.endswith("_cut") else "valid"), name


@pytest.mark.parametrize(
    "name", ["rgb", "coded_stack", "packed_rgb", "source_files", "tree_coded", "made_deflated_tables"]
)
def test_parts_make_the_file_that_they_were_taken_from(name: str) -> None:
    assert put_together(take_apart(seed(name))) == seed(name)


def test_a_mutant_is_known_by_its_seed_and_number() -> None:
    assert mutant("coded_rgb", 7) == mutant("coded_rgb", 7)
    assert len({mutant("coded_rgb", number) for number in range(50)}) > 40


@pytest.mark.parametrize("name", ["texts_f16", "texts_coded"])
def test_mutants_of_texts_are_taken_alike(readers: ReaderComparison, name: str) -> None:
    outcomes = Counter[str]()
    for number in range(300):
        parts = take_apart(seed(name))
        png_texts(random.Random(number), parts)
        data = put_together(parts)
        report = readers.check(data, random.Random(number), deep=number % 16 == 0)
        assert not report.findings, (name, number, report.findings)
        outcomes[report.outcome] += data != seed(name)
    assert outcomes.keys() == {"valid", "CorruptField", "LimitExceeded"}
    assert outcomes["valid"] > 20


@pytest.mark.parametrize("name", ["small_rgb", "small_stack"])
def test_mutants_of_small_files_are_taken_alike(readers: ReaderComparison, name: str) -> None:
    outcomes = set()
    for number in range(250):
        data = mutant(name, number)
        report = readers.check(data, random.Random(number), deep=number % 8 == 0)
        assert not report.findings, (name, number, report.findings)
        outcomes.add(report.outcome)
    assert len(outcomes) >= 2


def test_mutants_get_past_checksums_and_far_into_the_file() -> None:
    """Most mutants open or are refused for a field; few for a checksum."""
    outcomes = []
    for number in range(300):
        try:
            IgsReader(mutant(seed_names()[number % len(seed_names())], number)).close()
            outcomes.append("")
        except Exception as fault:
            outcomes.append(type(fault).__name__)
    assert outcomes.count("") > 60
    assert outcomes.count("CorruptField") > 60
    assert outcomes.count("ChecksumMismatch") < 60


def test_mutants_of_all_kinds_are_taken_alike(readers: ReaderComparison) -> None:
    names = seed_names()
    for number in range(400):
        data = mutant(names[number % len(names)], number)
        report = readers.check(data, random.Random(number), deep=number % 8 == 0)
        assert not report.findings, (names[number % len(names)], number, report.findings)


def test_the_comparison_sees_an_exception_that_is_not_ours(
    readers: ReaderComparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("unexpected")

    monkeypatch.setattr(comparison, "validate", fail)
    assert "foreign exception: KeyError" in readers.check(seed("rgb"), random.Random(0)).findings[0]


def test_the_comparison_sees_a_warning(readers: ReaderComparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "validate", lambda _: np.float32(3e38) * np.float32(10))
    assert "RuntimeWarning" in readers.check(seed("rgb"), random.Random(0)).findings[0]


def test_the_comparison_sees_readers_that_disagree(readers: ReaderComparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "validate", lambda _: [])
    damaged = bytearray(seed("rgb"))
    damaged[-300] ^= 1  # in the Gaussians
    assert any("validate finds nothing" in line for line in readers.check(bytes(damaged), random.Random(0)).findings)


def test_the_comparison_sees_other_values(readers: ReaderComparison, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = CReader.blend
    monkeypatch.setattr(CReader, "blend", lambda self, points, q_scale=1.0: plain(self, points, q_scale) + 0.01)
    lines = [line for number in range(6) for line in readers.check(seed("rgb"), random.Random(number)).findings]
    assert any("blended to other values" in line for line in lines)


def test_a_worker_that_dies_or_hangs_is_a_finding_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not {seed_names()[4], seed_names()[5]} & set(campaign.WARMED)
    plain = ReaderComparison.check

    def check(self: ReaderComparison, data: bytes, draw: random.Random, *, deep: bool = False) -> comparison.Report:
        if data == mutant(seed_names()[4], 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if data == mutant(seed_names()[5], 0):
            while True:
                time.process_time()
        return plain(self, data, draw, deep=deep)

    monkeypatch.setattr(ReaderComparison, "check", check)
    monkeypatch.setattr(campaign, "MAX_SECONDS", 1.5)
    result = campaign.run(12, 60, 1, 0, tmp_path)
    assert result["mutants"] == 12
    assert result["findings"] == {"crash": 1, "hang": 1, "memory": 0, "foreign exception": 0, "disagreement": 0}
    assert (tmp_path / "4.igs").read_bytes() == mutant(seed_names()[4], 0)
    assert (tmp_path / "5.igs").exists()
    assert "SIGKILL" in (tmp_path / "findings.txt").read_text()
