import csv
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from gscodec_bench import stages
from gscodec_bench.command import main
from gscodec_bench.machine import machine, peak_mb
from gscodec_bench.stages import STAGES, Case, take_turns
from gscodec_bench.suites import speed
from gscodec_bench.synthetic import synthetic_file, synthetic_gaussians, synthetic_target

from gscodec.cli.exit import ExitCode
from gscodec.decoding.image import open_igs

TINY = Case(side=48, n_gaussians=20, channels=3, threads=1, runs=2)


def test_synthetic_files_decode_and_follow_their_seed() -> None:
    data = synthetic_file(40, 30, 25, channels=5)
    assert data == synthetic_file(40, 30, 25, channels=5)
    assert data != synthetic_file(40, 30, 25, seed=1, channels=5)
    with open_igs(data) as image:
        assert image.shape == (40, 30, 5)
        assert np.ptp(image.render()) > 50
    assert len(synthetic_gaussians(40, 30, 25)) == 25
    target = synthetic_target(20, 30, 2)
    assert target.shape == (20, 30, 2)
    assert target.dtype == np.float32
    assert 0 <= target.min() < target.max() <= 1


def test_contenders_take_turns_and_the_first_does_not_count() -> None:
    calls: list[str] = []
    times = take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, runs=3)
    assert calls == ["a", "b"] * 4
    assert {name: len(some) for name, some in times.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize("name", [name for name in STAGES if name not in {"sample", "start-up", "memory"}])
def test_a_stage_is_timed(name: str) -> None:
    for timing in STAGES[name](TINY).values():
        assert 0 < timing.fastest_ms <= timing.median_ms


def test_peers_decode_files_of_about_the_same_size() -> None:
    timed = STAGES["decode"](Case(96, 250, 3, 1, 1))
    assert list(timed) == ["gscodec", "avif", "jxl", "jpeg"]
    sizes = [timing.n_bytes for timing in timed.values() if timing.n_bytes]
    assert max(sizes) < 1.3 * min(sizes)
    assert list(STAGES["decode"](Case(48, 20, 2, 1, 1))) == ["gscodec"]


def test_samples_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "N_SAMPLES", 1000)
    (timing,) = STAGES["sample"](TINY).values()
    assert timing.per_second == pytest.approx(1e-3 / (timing.median_ms / 1e3))


def test_memory_is_that_of_processes_of_their_own() -> None:
    peak = {name: timing.peak_mb for name, timing in STAGES["memory"](TINY).items()}
    if peak_mb() is None:
        assert set(peak.values()) == {None}
    else:
        ballast = np.ones(30_000_000)  # 240 MB here, none of it theirs
        assert peak["import"] == pytest.approx(STAGES["memory"](TINY)["import"].peak_mb, rel=0.3)
        assert ballast.sum() > 0
        assert (peak["import"] or 0) < (peak["encode"] or 0)  # the fit


def test_the_suite_writes_tables_and_growth(
    gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = (32, 10, 3)
    monkeypatch.setattr(speed, "QUICK_BASE", tiny)
    monkeypatch.setattr(speed, "QUICK_SINGLE", dict.fromkeys(("bin", "forward", "decode", "one pixel"), tiny))
    monkeypatch.setattr(speed, "QUICK_AXES", {"side": (16, 32), "gaussians": (5, 10), "channels": (1, 2)})
    monkeypatch.setattr(speed, "CURVED", ("bin", "forward", "step"))
    words = [str(gallery), "--suite", "speed", "--quick", "--output", str(tmp_path), "-j", "1", "--jobs", "2"]
    assert main(words) == ExitCode.OK
    with (tmp_path / "speed.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    contenders = {row["contender"] for row in rows if row["stage"] == "decode" and not row["axis"]}
    assert contenders == {"gscodec", "avif", "jxl", "jpeg"}
    along = [row for row in rows if row["axis"] == "side" and row["stage"] == "bin"]
    assert [(row["side"], row["gaussians"]) for row in along] == [("16", "2"), ("32", "10")]
    text = (tmp_path / "speed.md").read_text()
    assert "| channels | step | 1 .. 2 |" in text
    assert machine() in text
    ET.fromstring((tmp_path / "speed-growth.svg").read_text())
    capsys.readouterr()
    assert main(words) == ExitCode.OK
    assert "0 measured" in capsys.readouterr().err


def test_the_exponent_of_a_power_law_is_found() -> None:
    rows = [{"gaussians": str(n), "side": str(n), "median_ms": str(0.3 * n**1.7)} for n in (10, 100, 1000)]
    assert speed.slope(rows, "gaussians") == pytest.approx(1.7)
    assert speed.slope(rows, "side") == pytest.approx(0.85)  # over pixels
    assert np.isnan(speed.slope(rows[:1], "side"))
