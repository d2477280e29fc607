"""What is said of GPUs, by a driver library made up here: no GPU is needed, and cupy is not imported."""

import ctypes
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from host_machine import host_machine

from gscodec.cuda import device
from gscodec.cuda.device import Gpu, Probe, check_device, cupy_majors, open_runtime, probe, probe_with
from gscodec.errors import BackendUnavailable, InvalidArgument, MissingExtra
from gscodec.extras import install_command
from gscodec.model.device_name import DeviceName
from gscodec.render import engines
from gscodec.render.engines import parse_device

ADA = Gpu(0, "NVIDIA RTX A", (8, 9), 24 << 30)
TURING = Gpu(1, "NVIDIA T", (7, 5), 16 << 30)


def put(reference: Any, value: Any) -> int:
    """Writes through what ctypes.byref made."""
    reference._obj.value = value
    return 0


class Driver:
    """As much of libcuda as the probe calls."""

    def __init__(
        self, gpus: tuple[Gpu, ...] = (ADA,), version: int = 12040, start: int = 0, silent: bool = False
    ) -> None:
        self.gpus, self.version, self.start, self.silent = gpus, version, start, silent

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        return self.start

    def cuDriverGetVersion(self, to: Any) -> int:
        return put(to, self.version)

    def cuDeviceGetCount(self, to: Any) -> int:
        return put(to, len(self.gpus))

    def cuDeviceGet(self, to: Any, index: int) -> int:
        return 101 if self.silent else put(to, index + 70)  # handles need not be indices

    def cuDeviceGetName(self, to: Any, size: int, handle: Any) -> int:
        to.value = self.gpus[handle.value - 70].name.encode()[: size - 1]
        return 0

    def cuDeviceGetAttribute(self, to: Any, attribute: int, handle: Any) -> int:
        return put(to, self.gpus[handle.value - 70].capability[attribute - 75])

    def cuDeviceTotalMem_v2(self, to: Any, handle: Any) -> int:
        return put(to, self.gpus[handle.value - 70].memory_bytes)

    def cuGetErrorName(self, code: int, to: Any) -> int:
        return put(to, b"CUDA_ERROR_NO_DEVICE") if code == 100 else 1


def test_cards_are_described() -> None:
    assert probe_with(Driver((ADA, TURING))) == Probe((12, 4), (ADA, TURING), None)


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (Driver(start=100), "the NVIDIA driver does not start: CUDA_ERROR_NO_DEVICE (100)"),
        (Driver(start=999), "the NVIDIA driver does not start: error 999"),
        (Driver(()), "the NVIDIA driver finds no GPU"),
    ],
)
def test_a_driver_without_cards_says_why(driver: Driver, reason: str) -> None:
    assert probe_with(driver) == Probe((12, 4), (), reason)


def test_a_silent_card_is_listed() -> None:
    assert probe_with(Driver(silent=True)).gpus == (Gpu(0, "", (0, 0), 0),)


def found(*gpus: Gpu, driver: tuple[int, int] = (12, 4)) -> Probe:
    return Probe(driver, gpus, None if gpus else "no NVIDIA driver is installed")


def test_names_of_cards() -> None:
    assert check_device("cuda", found(ADA, TURING), (12,)) == 0
    assert check_device("cuda:1", found(ADA, TURING), (12,)) == 1
    assert check_device("cuda:0", found(ADA, driver=(13, 0)), (12,)) == 0  # older CUDA runs on newer drivers
    assert check_device("cuda:0", found(ADA), (0,)) == 0  # built from source


@pytest.mark.parametrize(
    "name", ["cuda:", "cuda:-1", "cuda:x", "cuda:0 ", "gpu:0", "cuda:1\n", "cuda:99999", "", "cpu:0"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="is not known: use auto, cpu, cuda, cuda:N, gpu or reference"):
        parse_device(name)


@pytest.mark.parametrize("name", ["cpu", "auto", "auto:1", "reference", "cuda:x", "cuda:0 "])
def test_names_of_others_are_no_gpu(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"device '{name}' is not the name of a GPU: use cuda or cuda:N"):
        check_device(name, found(ADA), (12,))


@pytest.mark.parametrize("text", ["auto", "auto:0", "auto:12", "cpu", "cuda", "cuda:3", "reference"])
def test_a_name_is_read_once_and_written_the_same(text: str) -> None:
    name = parse_device(text)
    assert str(name) == text
    assert name.may_fall_back == text.startswith("auto")
    assert name.on(4) == DeviceName(name.kind, 4)


def test_a_gpu_is_opened_once_by_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    with host_machine(2) as opened:
        made = device._open
        together = threading.Barrier(4)
        calls: list[int] = []

        def slow(index: int) -> Any:
            calls.append(index)
            time.sleep(0.05)
            return made(index)

        def ask(_: int) -> Any:
            together.wait()
            return open_runtime("cuda:1")

        monkeypatch.setattr(device, "_open", slow)
        assert not engines.is_open(DeviceName("auto", 1))
        with ThreadPoolExecutor(4) as pool:
            runtimes = set(map(id, pool.map(ask, range(4))))
        assert len(runtimes) == 1
        assert calls == [1]
        assert engines.is_open(DeviceName("auto", 1))
        assert not engines.is_open(DeviceName("auto"))
        assert list(opened) == [1]


@pytest.mark.parametrize(
    ("device", "probed", "cupy", "error", "text"),
    [
        ("cuda", found(), (12,), BackendUnavailable, "device cuda: no NVIDIA driver is installed; use --device cpu"),
        ("cuda:1", found(ADA), (12,), BackendUnavailable, "device cuda:1: there is 1 GPU; use cuda:0"),
        ("cuda:3", found(ADA, TURING), (12,), BackendUnavailable, "device cuda:3: there are 2 GPUs; use cuda:0"),
        (
            "cuda",
            found(Gpu(0, "GTX", (6, 1), 1)),
            (12,),
            BackendUnavailable,
            "device cuda: GTX has compute capability 6.1, at least 7.5 is needed; use --device cpu",
        ),
        ("cuda", found(ADA), (), MissingExtra, f"device cuda: cupy is not installed; {install_command('cuda12')}"),
        (
            "cuda",
            found(ADA, driver=(13, 2)),
            (),
            MissingExtra,
            f"device cuda: cupy is not installed; {install_command('cuda13')}",
        ),
        (
            "cuda",
            found(ADA, driver=(14, 0)),
            (),
            MissingExtra,
            f"device cuda: cupy is not installed; {install_command('cuda13')}",
        ),
        (
            "cuda",
            found(ADA, driver=(11, 4)),
            (),
            BackendUnavailable,
            "device cuda: the NVIDIA driver supports CUDA 11.4, at least 12.0 is needed; update it",
        ),
        (
            "cuda",
            found(ADA, driver=(11, 4)),
            (12,),
            BackendUnavailable,
            "device cuda: the NVIDIA driver supports CUDA 11.4, cupy-cuda12x needs 12.0; update the driver or use "
            "--device cpu",
        ),
        (
            "cuda",
            found(ADA),
            (13,),
            BackendUnavailable,
            "device cuda: the NVIDIA driver supports CUDA 12.4, cupy-cuda13x needs 13.0; update the driver or "
            f"{install_command('cuda12')} instead",
        ),
        (
            "cuda",
            found(ADA),
            (12, 13),
            BackendUnavailable,
            "device cuda: cupy-cuda12x, cupy-cuda13x overwrite one another; pip uninstall all but one",
        ),
    ],
)
def test_what_stands_in_the_way_is_one_line(
    device: str, probed: Probe, cupy: tuple[int, ...], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        check_device(device, probed, cupy)
    assert str(caught.value) == text


def test_cupy_is_found_by_its_package() -> None:
    assert cupy_majors(["numpy", "cupy-cuda12x", "cupyx-extras", "cupy_cuda13x", "CuPy", "cupy-xarray"]) == (0, 12, 13)
    assert cupy_majors([]) == ()


def test_the_real_probe_answers() -> None:
    answer = probe()
    assert (answer.reason is None) == bool(answer.gpus)
    assert ctypes.sizeof(ctypes.c_void_p) == 8


def test_a_machine_without_a_card_never_imports_cupy() -> None:
    if probe().gpus:
        pytest.skip("there is a GPU")
    with pytest.raises(BackendUnavailable, match="device cuda:0: "):
        open_runtime("cuda:0")
    code = "import sys, gscodec.cuda.device as d; d.cuda_devices(); d.cupy_majors(); sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
