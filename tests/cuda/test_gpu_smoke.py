"""The checks of benchmarks/gpu_smoke.py, one by one: on the host shim at tiny sizes, and on the GPU where there is one.

The torch checks among them are the tests of interoperation: memory by DLPack both ways, torch's default stream and a
stream of its own, gradients in double precision.
"""

from collections.abc import Iterator

import gpu_smoke
import numpy as np
import pytest
from _gpu_checks import Counted, graphs_of, psnr_of, recorded
from _gpu_machine import HOST, Machine, machine_of, opened
from devices import DEVICES, open_device

from gscodec.cuda import device as devices
from gscodec.cuda.runtime import PlainStep
from gscodec.errors import BackendUnavailable
from gscodec.render import autograd


@pytest.fixture(scope="module", params=DEVICES)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    if request.param == HOST:
        with opened(HOST) as found:
            yield found
    else:
        yield machine_of(open_device(request.param), request.param)


@pytest.mark.parametrize("name", gpu_smoke.CHECKS)
def test_a_way_into_the_device(machine: Machine, name: str) -> None:
    assert gpu_smoke.CHECKS[name](machine)


def test_a_failed_check_says_why_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def planted(_: Machine) -> str:
        raise ValueError("planted\nand more")

    monkeypatch.setitem(gpu_smoke.CHECKS, "loss", planted)
    assert gpu_smoke.main(["--device", "host", "--only", "loss,opens"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAIL loss (")
    assert lines[0].endswith(": ValueError: planted")
    assert any("raise ValueError" in line for line in lines)
    assert any(line.startswith("ok   opens") and "host shim" in line for line in lines)
    assert lines[-1] == "1 of 2 checks passed; FAILED: loss"
    assert gpu_smoke.main(["--device", "host", "--only", "opens"]) == 0
    with pytest.raises(SystemExit, match="2"):
        gpu_smoke.main(["--only", "nothing"])


def test_without_a_gpu_it_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_: str) -> None:
        raise BackendUnavailable("device cuda: no NVIDIA driver is installed; use --device cpu")

    monkeypatch.setattr("_gpu_machine.open_runtime", refuse)
    assert gpu_smoke.main([]) == 1
    assert capsys.readouterr().out == "FAIL opens: device cuda: no NVIDIA driver is installed; use --device cpu\n"


def test_the_profiler_s_workload_makes_every_launch_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with opened(HOST) as machine:
        gpu_smoke.workload(machine)
        assert machine.runtime.record is PlainStep
    assert "2 steps of two presets and 3 renders at 40x40" in capsys.readouterr().out


def test_a_step_that_is_no_graph_is_a_fault() -> None:
    with opened(HOST) as machine, recorded(machine) as made:
        machine.runtime.record(lambda: None)()
        with pytest.raises(AssertionError, match="nothing was recorded"):
            graphs_of(made)
        again = machine.runtime.record(lambda: None)
        for _ in range(2):
            again()
        assert graphs_of(made) == "1 graphs, 2 repeats"
        plain = Counted(PlainStep(lambda: None))
        for _ in range(2):
            plain()
        with pytest.raises(AssertionError, match="no graph was made"):
            graphs_of([*made, plain])


def test_the_host_stands_for_a_gpu_only_meanwhile() -> None:
    before = devices.open_runtime, autograd.bridge_to
    with opened(HOST) as machine:
        assert devices.open_runtime("cuda") is machine.runtime
        assert not machine.is_gpu
    assert (devices.open_runtime, autograd.bridge_to) == before


def test_psnr() -> None:
    black = np.zeros((2, 2), np.uint8)
    assert psnr_of(black, black) > 120
    assert psnr_of(black + np.uint8(255), black) == 0
