"""benchmarks/gpu.py, run to its end on the host shim at tiny sizes: the script is ready for a machine with a card."""

import importlib
import json
from pathlib import Path

import pytest
from host_runtime import HostRuntime

from gscodec.cuda import device
from gscodec.cuda.device import Card
from gscodec.errors import BackendUnavailable

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_part_is_measured_and_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    gpu, cases = importlib.import_module("gpu"), importlib.import_module("_gpu_cases")
    runtime = HostRuntime()
    monkeypatch.setattr(device, "cuda_devices", lambda: (Card(0, "Shim", (9, 0), 1 << 30),))
    monkeypatch.setattr(device, "open_runtime", lambda _: runtime)
    results = gpu.measure(runtime, "cuda", cases.SMOKE, "Shim Card (Host)")
    data, text = gpu.write(results, tmp_path)
    assert data.name == "gpu_shim_card_host.json"
    stored = json.loads(data.read_text())
    assert {row["preset"] for row in stored["steps"]} == {"paper", "balanced"}
    assert {row["preset"] for row in stored["encodes"]} == {"paper", "fast", "balanced", "best"}
    assert all(row["same_bytes"] for row in stored["encodes"])
    assert len(stored["renders"]) == 4
    assert {row["to"] for row in stored["decodes"]} == {"host", "device"}
    timed = {row["kernel"] for row in stored["kernels"]}
    without_floor = {row["kernel"] for row in stored["kernels"] if row["floor_ms"] is None}
    assert "raster_backward.backward_tiles" in timed - without_floor
    assert without_floor <= {"fit.begin_step", "fit.finish_loss", "fit.step_gains"}, (
        "name what a kernel must do at least"
    )
    assert text.read_text().count("\n| ---|") == 0
    assert "18.7 ms a step" in text.read_text()


def test_without_a_card_it_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    gpu = importlib.import_module("gpu")

    def refuse(_: str) -> None:
        raise BackendUnavailable("device cuda: no NVIDIA driver is installed; use --device cpu")

    monkeypatch.setattr(gpu, "open_runtime", refuse)
    monkeypatch.setattr("sys.argv", ["gpu.py"])
    with pytest.raises(SystemExit, match=r"gpu\.py: device cuda: no NVIDIA driver"):
        gpu.main()
