"""benchmarks/gpu.py, run to its end on the host shim at tiny sizes: the script is ready for a machine with a GPU."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _gpu_cold
import _gpu_files
import gpu
import pytest
from _gpu_cases import SMOKE, Row
from _gpu_machine import HOST, Machine, opened
from _gpu_report import PAPER, compare, report

from gscodec.errors import BackendUnavailable

SECTIONS = {"steps", "renders", "encodes", "kernels", "decodes", "unpacks", "transfers"}

UP: Row = {"way": "up", "bytes": 1, "ms": 1.0, "gigabytes_per_s": 1e-6}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with opened(HOST) as found:
        yield found


def test_every_part_is_measured_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made"
    assert gpu.main(["--device", "host", "--out", str(out), "--rows", ",".join(SECTIONS)]) == 0
    assert {path.name for path in out.iterdir()} == {"host_shim_no_gpu.json", "host_shim_no_gpu.md"}
    stored = json.loads((out / "host_shim_no_gpu.json").read_text())
    rows: dict[str, list[Row]] = {name: [] for name in SECTIONS}
    for row in stored["rows"]:
        rows[row["section"]].append(row)
    assert [(row["preset"], row["gaussians"]) for row in rows["steps"]] == [
        ("paper", 20),
        ("balanced", 20),
        ("paper", 40),
        ("balanced", 40),
    ]
    assert all(row["graph"] and row["step_ms"] > 0 and row["wall_ms"] > 0 for row in rows["steps"])
    assert [row["preset"] for row in rows["encodes"]] == [
        p for p in ("balanced", "paper", "fast", "best") for _ in "12"
    ]
    assert [row["same_bytes"] for row in rows["encodes"]] == [None, True] * 4
    assert len(rows["renders"]) == 4
    assert {row["to"] for row in rows["decodes"]} == {"host", "device"}
    assert {row["profile"] for row in rows["unpacks"]} == {"coded", "packed", "f16"}
    assert [row["way"] for row in rows["transfers"]] == ["up", "down", "down, pinned strips"]
    timed = {row["kernel"] for row in rows["kernels"]}
    without_floor = {row["kernel"] for row in rows["kernels"] if row["floor_ms"] is None}
    assert "raster_backward.backward_tiles" in timed - without_floor
    assert without_floor <= {"fit.begin_step", "fit.finish_loss", "fit.step_gains"}, (
        "name what a kernel must do at least"
    )
    text = (out / "host_shim_no_gpu.md").read_text()
    assert "these are no figures of a GPU" in text
    assert "18.7 ms a step" in text
    assert text.count("\n## ") == len(SECTIONS)
    # What matters most comes first.
    lines = [line.split()[2] for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert lines[:4] == ["steps:", "steps:", "renders:", "encodes:"]


def test_a_run_that_is_stopped_keeps_its_rows(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> Iterator[Row]:
        yield UP
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "jobs", lambda *_: [gpu.Job("transfers", "", 0, rows)])
    with pytest.raises(KeyboardInterrupt):
        gpu.measure(machine, gpu.Results(machine, tmp_path), SMOKE, 60, set())
    stored = json.loads((tmp_path / "host_shim_no_gpu.json").read_text())
    assert [row["way"] for row in stored["rows"]] == ["up"]
    assert "| up | 1 |" in (tmp_path / "host_shim_no_gpu.md").read_text()


def test_a_row_that_fails_is_said_and_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Iterator[Row]:
        raise ValueError("planted")

    monkeypatch.setattr(gpu, "jobs", lambda *_: [gpu.Job("cold", "encode", 0, fails)])
    assert gpu.main(["--device", "host", "--out", str(tmp_path)]) == 1
    stored = json.loads((tmp_path / "host_shim_no_gpu.json").read_text())
    assert stored["failed"] == ["cold encode: ValueError: planted"]
    assert "Failed: cold encode: ValueError: planted." in (tmp_path / "host_shim_no_gpu.md").read_text()


def test_nothing_is_begun_that_there_is_no_time_for(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"way": "up", "bytes": 1, "ms": 1.0, "gigabytes_per_s": 1e-6}
    made = [
        gpu.Job("transfers", "long", 1e6, lambda: iter([row])),
        gpu.Job("transfers", "short", 0, lambda: iter([row])),
    ]
    monkeypatch.setattr(gpu, "jobs", lambda *_: made)
    timed = Machine(machine.runtime, "cuda", "A GPU", "13.0", is_gpu=False)
    results = gpu.Results(timed, tmp_path)
    object.__setattr__(timed, "is_gpu", True)
    monkeypatch.setattr(timed.runtime.xp, "get_default_memory_pool", Pool, raising=False)
    assert gpu.measure(timed, results, SMOKE, 600, set()) == []
    assert "no time for: transfers long" in capsys.readouterr().out
    text = results.write()[1].read_text()
    assert "No time was left for: transfers long." in text
    assert "The memory pool held 3 MiB" in text
    assert results.n_rows == 1


class Pool:
    @staticmethod
    def total_bytes() -> int:
        return 3 << 20


def results_of(*rows: Row) -> dict[str, Any]:
    facts = {
        "device": "GPU",
        "is_gpu": True,
        "driver": "13.0",
        "gscodec": "1",
        "array_module": "cupy 14",
        "python": "3",
    }
    rest = {"paper": PAPER, "clocks": {"before": "1980 MHz", "after": None}, "left_out": [], "failed": []}
    return compare({**facts, **rest, "rows": list(rows)})


def test_rows_stand_beside_their_targets() -> None:
    at: Row = {"side": 2048, "gaussians": 10_000}
    steps = [
        {"section": "steps", "preset": "paper", **at, "step_ms": 1.1},
        {"section": "steps", "preset": "balanced", **at, "step_ms": 0.5},
        {"section": "steps", "preset": "balanced", "side": 2048, "gaussians": 50_000, "step_ms": 0.7},
        {"section": "steps", "preset": "paper", "side": 2048, "gaussians": 20_000, "step_ms": 0.7},
    ]
    others = [
        {"section": "renders", **at, "ms": 0.2},
        {"section": "renders", "side": 4096, "gaussians": 10_000, "ms": 0.1},
        {"section": "encodes", "preset": "paper", **at, "seconds": 5.0},
        {"section": "encodes", "preset": "balanced", **at, "seconds": 3.1},
        {"section": "encodes", "preset": "fast", **at, "seconds": 3.1},
        {"section": "kernels", "preset": "paper", "gaussians": 10_000, "ms": 3.0, "floor_ms": 1.5},
    ]
    results = results_of(*steps, *others)
    judged = [(row.get("target"), row.get("met")) for row in results["rows"]]
    assert judged[:4] == [(1.0, False), (0.5, True), (pytest.approx(0.65), False), (None, None)]
    assert judged[4:] == [(0.2, True), (None, None), (6.0, True), (3.0, False), (None, None), (None, None)]
    assert results["rows"][0]["of_paper"] == pytest.approx(17)
    assert results["rows"][4]["of_paper"] == pytest.approx(18.5)
    assert results["rows"][2]["of_fewest"] == pytest.approx(1.4)
    assert results["rows"][-1]["of_floor"] == 2
    text = "\n".join(report(results))
    assert "3 of 6 rows with a target meet it." in text
    assert "Clocks and load before: 1980 MHz." in text


def test_a_cold_start_is_that_of_a_process(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for what in ("encode", "decode"):
        _gpu_cold.main("host", what, 40, 20)
        assert set(json.loads(capsys.readouterr().out)) == {"open_s", "first_s", "again_s"}
    child = tmp_path / "child.py"
    child.write_text(
        "import json, os, pathlib, sys\n"
        "cache = pathlib.Path(os.environ['CUPY_CACHE_DIR'])\n"
        "print(json.dumps({'asked': sys.argv[1:], 'there': (cache / 'kernel').exists()}))\n"
        "(cache / 'kernel').touch()\n"
    )
    monkeypatch.setattr(_gpu_files, "COLD", child)
    rows = list(_gpu_files.cold(machine, "decode", SMOKE))
    assert [row["kernels"] for row in rows] == ["compiled", "on disk"]
    assert [row["there"] for row in rows] == [False, True]
    assert all(row["asked"] == ["host", "decode", "40", "20"] for row in rows)
    child.write_text("raise SystemExit('planted')")
    with pytest.raises(RuntimeError, match="a first decode failed: planted"):
        list(_gpu_files.cold(machine, "decode", SMOKE))


def test_clocks_are_those_of_the_driver_s_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.clocks() is None
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho ' 1980 MHz, 44'\n")
    tool.chmod(0o755)
    assert gpu.clocks() == "1980 MHz, 44"


def test_without_a_gpu_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: str) -> None:
        raise BackendUnavailable("device cuda: no NVIDIA driver is installed; use --device cpu")

    monkeypatch.setattr("_gpu_machine.open_runtime", refuse)
    assert gpu.main([]) == 1
    assert capsys.readouterr().out == "gpu.py: device cuda: no NVIDIA driver is installed; use --device cpu\n"
    with pytest.raises(SystemExit, match="2"):
        gpu.main(["--device", "host"])
