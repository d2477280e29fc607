"""The native fuzz targets for a few seconds each, and the thread pool under stress."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from compilers import pool_stress, race_flags
from fuzz import SHARES, fuzz, run_native

SECONDS = 12.0
"""For all native targets, a part of the half minute that `make test` gives to fuzzing."""


@pytest.mark.parametrize("name", SHARES)
def test_native_target_finds_nothing(name: str, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    assert run_native(name, SECONDS * SHARES[name] / sum(SHARES.values()), tmp_path, programs) == ""


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
