"""The GPU of tests of WebGPU: that of the machine, which may be Mesa's software driver."""

import os

# Mesa's software driver then compiles shaders in a fifth of the time.
os.environ.setdefault("GALLIVM_PERF", "nopt")

from gscodec.errors import BackendUnavailable
from gscodec.render.webgpu import WebGpuRasterizer
from gscodec.webgpu.device import GpuDevice, open_device


def gpu_device() -> GpuDevice:
    """The device.

    Raises:
        RuntimeError: there is none.
    """
    try:
        return open_device()
    except BackendUnavailable as error:
        raise RuntimeError(f"{error}; for tests, Mesa's for the CPU: apt-get install mesa-vulkan-drivers") from error


def software_gpu(buffer_bytes: int | None = None) -> WebGpuRasterizer:
    """The engine `gpu`.

    Args:
        buffer_bytes: as of `WebGpuRasterizer`.
    """
    return WebGpuRasterizer(gpu_device(), 1, buffer_bytes)
