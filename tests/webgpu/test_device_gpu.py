"""Device `gpu`: what it decodes beside the CPU, and what it says where it cannot run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from software_gpu import software_gpu
from vectors import VECTORS

import gscodec
from gscodec.errors import BackendUnavailable, InvalidArgument, MissingExtra
from gscodec.render.engines import get_backend, parse_device
from gscodec.webgpu import device


def codes_apart(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("name", ["packed_rgb", "coded_stack", "channels_64", "small_rgb", "ladder_f16"])
def test_pictures_regions_sizes_and_levels_are_those_of_the_cpu(name: str) -> None:
    path = VECTORS / f"{name}.igs"
    with gscodec.open(path, device=software_gpu()) as gpu, gscodec.open(path, device="cpu") as cpu:
        height, width, _ = cpu.shape
        part = (width // 3, height // 4, width // 2, height // 2)
        for lod in range(cpu.lods):
            assert codes_apart(gpu.render(lod), cpu.render(lod)) <= 1
        assert codes_apart(gpu.render(region=part), cpu.render(region=part)) <= 1
        for size in [(height * 2, width * 3), (max(1, height // 3), width // 2)]:
            assert codes_apart(gpu.render(size=size), cpu.render(size=size)) <= 1
            assert codes_apart(gpu.render(region=part, size=size), cpu.render(region=part, size=size)) <= 1
        points = np.random.default_rng(1).uniform(0, (width, height), (200, 2))
        np.testing.assert_allclose(gpu.sample(points), cpu.sample(points), atol=2e-4)
        np.testing.assert_array_equal(
            gpu.render(region=part), gpu.render()[part[1] : part[1] + part[3], part[0] : part[0] + part[2]]
        )


def test_the_command_decodes_with_it(tmp_path: Path) -> None:
    for kind in ("gpu", "cpu"):
        run = [
            sys.executable,
            "-m",
            "gscodec",
            "decode",
            str(VECTORS / "packed_rgb.igs"),
            str(tmp_path / f"{kind}.png"),
        ]
        subprocess.run([*run, "--device", kind], check=True, stdin=subprocess.DEVNULL, timeout=300)
    with_gpu, with_cpu = (np.asarray(Image.open(tmp_path / f"{kind}.png")) for kind in ("gpu", "cpu"))
    assert codes_apart(with_gpu, with_cpu) <= 1


def test_the_name_has_no_index() -> None:
    assert str(parse_device("gpu")) == "gpu"
    with pytest.raises(InvalidArgument, match="device 'gpu:1' is not known"):
        parse_device("gpu:1")


def test_without_wgpu_the_error_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_OPEN", [])
    monkeypatch.setitem(sys.modules, "wgpu", None)
    with pytest.raises(MissingExtra, match=r"^device gpu: wgpu is not installed: pip install 'wgpu>=\S+'$"):
        get_backend("gpu")


def test_without_a_driver_the_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import wgpu
    import wgpu.backends.wgpu_native  # makes wgpu.gpu

    def refuse(**_: object) -> None:
        raise RuntimeError("Request adapter failed (3): Validation Error\n\nCaused by: ...")

    monkeypatch.setattr(device, "_OPEN", [])
    monkeypatch.setattr(wgpu.gpu, "request_adapter_sync", refuse)
    with pytest.raises(BackendUnavailable) as caught:
        get_backend("gpu")
    assert str(caught.value) == (
        "device gpu: wgpu opens no GPU (Request adapter failed (3): Validation Error); install a driver for Vulkan, "
        "Metal or Direct3D 12, or use --device cpu"
    )


def test_it_does_not_encode() -> None:
    with pytest.raises(BackendUnavailable, match="device gpu cannot train; use --device cpu or cuda"):
        gscodec.encode(np.zeros((20, 20), np.uint8), gaussians=4, steps=4, device=software_gpu().name)
