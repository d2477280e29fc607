"""What happens where a GPU cannot be used: no GPU, no cupy, a wrong name, too little memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from host_runtime import HostRuntime

import gscodec
from gscodec.cli.app import main
from gscodec.cuda import device as devices
from gscodec.cuda.device import Gpu, Probe
from gscodec.cuda.runtime import Runtime
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.encoding.api import encode
from gscodec.errors import BackendUnavailable, DeviceFallback, InvalidArgument, MissingExtra, OutOfDeviceMemory
from gscodec.render.engines import get_backend
from gscodec.render.gpu import CudaRasterizer

Pixels = npt.NDArray[np.uint8]
RGB = Path(__file__).parents[2] / "spec" / "vectors" / "rgb.igs"
NO_ROOM = "cuda:0: 1073741824 bytes are needed and 1024 free; take fewer Gaussians or --device cpu"


class SmallGpu(HostRuntime):
    """A GPU whose memory is full after `room` uploads."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def upload(self, array: npt.NDArray[Any]) -> Any:
        self._room -= 1
        if self._room < 0:
            raise OutOfDeviceMemory(NO_ROOM)
        return super().upload(array)


@pytest.fixture
def pixels() -> Pixels:
    y, x = np.mgrid[0:24, 0:36]
    return np.stack([7 * x, 9 * y, 4 * (x + y)], axis=2).astype(np.uint8)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets up a machine: its GPUs, and what opening one gives."""

    def make(gpus: int, opened: Runtime | Exception | None = None, cupy: tuple[int, ...] = (12,)) -> None:
        found = tuple(Gpu(index, "GPU", (9, 0), 1 << 33) for index in range(gpus))
        probe = Probe((12, 8), found, None) if gpus else Probe(None, (), "no NVIDIA driver is installed")
        monkeypatch.setattr(devices, "probe", lambda: probe)
        monkeypatch.setattr(devices, "cuda_devices", lambda: found)
        monkeypatch.setattr(devices, "cupy_majors", lambda: cupy)
        monkeypatch.setattr(devices, "is_open", lambda _: True)  # small files go there as well
        if opened is not None:

            def open_runtime(_: str) -> Runtime:
                if isinstance(opened, Exception):
                    raise opened
                return opened

            monkeypatch.setattr(devices, "open_runtime", open_runtime)

    return make


def test_auto_is_the_cpu_without_a_word_where_there_is_no_card(machine: Callable[..., None]) -> None:
    machine(0)
    assert get_backend("auto").name == "cpu"


def test_auto_is_the_card_where_one_can_be_used(machine: Callable[..., None]) -> None:
    machine(1, HostRuntime())
    assert isinstance(get_backend("auto"), CudaRasterizer)
    assert get_backend("cpu").name == "cpu"


def test_auto_tells_why_it_leaves_a_card_alone(machine: Callable[..., None]) -> None:
    machine(1, cupy=())
    with pytest.warns(DeviceFallback, match=r"pip install 'cupy-cuda12x>=.*; using the CPU"):
        assert get_backend("auto").name == "cpu"
    machine(1, cupy=(13,))
    with pytest.warns(DeviceFallback, match="update the driver"):
        assert get_backend("auto").name == "cpu"


@pytest.mark.parametrize(
    ("name", "gpus", "cupy", "error", "text"),
    [
        ("cuda", 0, (12,), BackendUnavailable, "no NVIDIA driver"),
        ("cuda:3", 2, (12,), BackendUnavailable, "there are 2 GPUs"),
        ("cuda:1", 1, (12,), BackendUnavailable, "there is 1 GPU"),
        ("cuda:0", 1, (), MissingExtra, "pip install 'cupy-cuda"),
        ("cuda:0", 1, (13,), BackendUnavailable, "update the driver"),
        ("cuda:x", 1, (12,), InvalidArgument, "cuda:x"),
        ("cuda:-1", 1, (12,), InvalidArgument, "cuda:-1"),
        ("CUDA", 1, (12,), InvalidArgument, "use auto, cpu, cuda, cuda:N, gpu or reference"),
        ("opencl", 1, (12,), InvalidArgument, "use auto, cpu, cuda, cuda:N, gpu or reference"),
        ("", 1, (12,), InvalidArgument, "use auto, cpu, cuda, cuda:N, gpu or reference"),
    ],
)
def test_a_device_that_was_named_is_used_or_refused(
    machine: Callable[..., None], name: str, gpus: int, cupy: tuple[int, ...], error: type[Exception], text: str
) -> None:
    machine(gpus, cupy=cupy)
    with pytest.raises(error, match=text.replace("[", r"\[")) as caught:
        get_backend(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("room", [0, 5, 30])
def test_encode_falls_back_under_auto_alone(machine: Callable[..., None], pixels: Pixels, room: int) -> None:
    machine(1, SmallGpu(room))
    with pytest.warns(DeviceFallback, match="1073741824 bytes are needed and 1024 free.*using the CPU"):
        result = encode(pixels, gaussians=20, preset="fast", steps=5)
    assert result.device == "cpu"
    assert result.data == encode(pixels, gaussians=20, preset="fast", steps=5, device="cpu").data
    machine(1, SmallGpu(room))
    with pytest.raises(OutOfDeviceMemory, match="1024 free"):
        encode(pixels, gaussians=20, preset="fast", steps=5, device="cuda")


def test_encode_on_a_card_reports_the_psnr_of_the_file(machine: Callable[..., None], pixels: Pixels) -> None:
    machine(1, HostRuntime())
    first = encode(pixels, gaussians=25, preset="fast", steps=20)
    again = encode(pixels, gaussians=25, preset="fast", steps=20)
    assert first.device == "cuda"
    assert first.data == again.data
    with open_igs(first.data, device="cpu") as image:
        decoded = image.render()
    assert gscodec.metrics.psnr(decoded, pixels) == pytest.approx(first.psnr, abs=0.05)


@pytest.mark.parametrize("use", [lambda image: image.render(), lambda image: image.sample([[3.5, 4.5]])])
def test_decode_falls_back_under_auto_alone(machine: Callable[..., None], use: Callable[[IgsImage], Any]) -> None:
    with open_igs(RGB, device="cpu") as image:
        expected = use(image)
    machine(1, SmallGpu(1))
    with open_igs(RGB) as image:
        with pytest.warns(DeviceFallback, match="using the CPU"):
            found = use(image)
        assert np.array_equal(found, expected)
        assert np.array_equal(use(image), expected), "and says it once"
    machine(1, SmallGpu(1))
    with open_igs(RGB, device="cuda:0") as image, pytest.raises(OutOfDeviceMemory, match="1024 free"):
        use(image)


def test_the_command_line_says_so_in_one_line(
    machine: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(1, SmallGpu(1))
    assert main(["decode", str(RGB), str(tmp_path / "out.png")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "ICC profile" not in line]
    assert lines == [f"gscodec: warning: {NO_ROOM}; using the CPU"]
    machine(1, SmallGpu(1))
    assert main(["decode", str(RGB), str(tmp_path / "other.png"), "--device", "cuda"]) == 4
    assert capsys.readouterr().err == f"gscodec: error: {NO_ROOM}\n"
    machine(1, BackendUnavailable("cuda:0: its kernels do not compile"))
    assert main(["sample", str(RGB), "--at", "3,4"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "gscodec: warning: cuda:0: its kernels do not compile; using the CPU\n"
    assert captured.out.count("\n") == 1
    machine(0)
    assert main(["sample", str(RGB), "--at", "3,4", "--device", "cuda:0"]) == 5
    assert main(["compare", str(RGB), str(RGB), "--device", "cuda:0"]) == 5
    assert capsys.readouterr().err.count("\n") == 2
