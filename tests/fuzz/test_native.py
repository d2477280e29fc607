"""The native fuzz targets for a few seconds each, and the thread pool under stress."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from compilers import fuzz_compiler, link_target, pool_stress, race_flags, unguided_compiler
from fuzz import SHARES, fuzz, run_native

SECONDS = 12.0
"""For all native targets, a part of the half minute that `make test` gives to fuzzing."""


@pytest.mark.parametrize("name", SHARES)
def test_native_target_finds_nothing(name: str, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    seconds = SECONDS * SHARES[name] / sum(SHARES.values())
    assert run_native(name, seconds, tmp_path, programs, fuzz_compiler()) == ""


def test_targets_run_where_there_is_no_libfuzzer(tmp_path: Path) -> None:
    assert run_native("fuzz_packed", 1, tmp_path, tmp_path / "programs", unguided_compiler()) == ""


FAULTY = """
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 2 && data[0] == 'b') abort();
    return 0;
}
"""


def test_the_driver_mutates_files_and_keeps_the_one_that_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "faulty.c").write_text(FAULTY)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "good").write_bytes(b"acd")
    compiler = unguided_compiler()
    made = subprocess.run([compiler.c, *compiler.flags, "-c", "faulty.c"], cwd=tmp_path, check=False)
    assert not made.returncode
    program = link_target("faulty", [tmp_path / "faulty.o"], tmp_path, compiler)
    done = subprocess.run([program, "-runs=1000000", "files"], cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode
    kept = (tmp_path / "crash-input").read_bytes()
    assert kept[:1] == b"b"
    assert kept != b"acd"


def test_thread_pool_bears_callers_calls_exceptions_and_forks(tmp_path: Path) -> None:
    subprocess.run([pool_stress(tmp_path, ())], check=True, timeout=120)


def test_thread_pool_has_no_data_race(tmp_path: Path) -> None:
    """Under ThreadSanitizer where the compiler has it; else the same once more."""
    program = pool_stress(tmp_path, race_flags())
    options = {**os.environ, "TSAN_OPTIONS": "die_after_fork=0 exitcode=66"}
    subprocess.run([program, "100"], check=True, timeout=120, env=options)


def test_the_rest_of_the_time_goes_to_mutants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shares: dict[str, float] = {}
    monkeypatch.setattr("fuzz.run_native", lambda name, seconds, *_: shares.setdefault(name, seconds) and "")
    assert fuzz(16.0, tmp_path, first=10**13, jobs=1) == []
    printed = capsys.readouterr().out
    result = json.loads(printed[printed.index("{") :])
    assert result["mutants"] > 20
    assert not any(result["findings"].values())
    assert sum(shares.values()) == pytest.approx(8.0)
