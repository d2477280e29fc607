"""The GPU that a script measures or checks, or the tests' host runtime in its place, to see that the script works."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from gscodec.cuda import device as devices
from gscodec.cuda.device import open_runtime, probe
from gscodec.cuda.runtime import Runtime

if TYPE_CHECKING:
    import torch

    from gscodec.render.base import Rasterizer
    from gscodec.render.bridge import Bridge

HOST = "host"
"""Device name of these scripts: kernels compiled for the host, slow, a figure of nothing."""

_SHIM = Path(__file__).parents[1] / "tests" / "cuda"


@dataclass(frozen=True)
class Machine:
    """A device that is open."""

    runtime: Runtime
    device: str  # as gscodec takes it; a `host` goes by `cuda`
    name: str  # of the GPU
    driver: str  # CUDA version that the driver supports
    is_gpu: bool


@contextmanager
def opened(name: str) -> Iterator[Machine]:
    """Opens `cuda`, `cuda:N` or HOST, which meanwhile stands for the machine's GPU wherever gscodec asks for one.

    Raises:
        BackendUnavailable, MissingExtra, OutOfDeviceMemory, InvalidArgument: as `open_runtime`.
    """
    if name != HOST:
        runtime = open_runtime(name)
        yield machine_of(runtime, name)
        return
    with ExitStack() as stack:
        if str(_SHIM) not in sys.path:
            sys.path.insert(0, str(_SHIM))
        from host_runtime import HostRuntime

        from gscodec.render import autograd
        from gscodec.render.device_bridge import DeviceBridge

        runtime = HostRuntime()
        real_open, real_bridge = devices.open_runtime, autograd.bridge_to

        def open_here(wanted: str) -> Runtime:
            return runtime if wanted in {"cuda", "cuda:0"} else real_open(wanted)

        def bridge_here(rasterizer: "Rasterizer", where: "torch.device") -> "Bridge":
            there = rasterizer.on_device
            if there is not None:  # the host's tensors stand in for those of a GPU
                return DeviceBridge(there.runtime, there.real)
            return real_bridge(rasterizer, where)

        stack.enter_context(patch.object(devices, "open_runtime", open_here))
        stack.enter_context(patch.object(autograd, "bridge_to", bridge_here))
        yield machine_of(runtime, "cuda")


def machine_of(runtime: Runtime, device: str) -> Machine:
    """What is known of a runtime that is open already."""
    if runtime.name == HOST:
        return Machine(runtime, device, "host shim (no GPU)", "none", is_gpu=False)
    found, index = probe(), int(runtime.name.partition(":")[2])
    driver = "unknown" if found.driver is None else f"{found.driver[0]}.{found.driver[1]}"
    return Machine(runtime, device, found.gpus[index].name, driver, is_gpu=True)
