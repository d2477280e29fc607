"""Opens the GPU of this machine through wgpu-native, whoever made it."""

import contextlib
import threading
from dataclasses import dataclass
from typing import Any, Final

from gscodec.errors import BackendUnavailable, MissingExtra
from gscodec.extras import install_command

_OPENING: Final = threading.Lock()
_OPEN: "Final[list[GpuDevice]]" = []
"""The device of this process, once it is open."""

_LIMITS: Final = ("max-buffer-size", "max-storage-buffer-binding-size")


@dataclass(frozen=True)
class GpuDevice:
    """An open GPU."""

    handle: Any
    """`wgpu.GPUDevice`."""

    description: str
    """Name of the GPU, and by which interface it is used."""

    buffer_bytes: int
    """Maximum size of a buffer that a shader reads or writes."""


def open_device() -> GpuDevice:
    """The GPU: the fastest, or the one that the environment variable WGPUPY_WGPU_ADAPTER_NAME names.

    A process opens it once.

    Raises:
        MissingExtra: wgpu is not installed.
        BackendUnavailable: there is no GPU with a driver for Vulkan, Metal or Direct3D 12, or it does not open.
    """
    with _OPENING:
        if not _OPEN:
            _OPEN.append(_open())
        return _OPEN[0]


def _open() -> GpuDevice:
    try:
        import wgpu
        from wgpu.backends.wgpu_native.extras import set_instance_extras
    except ImportError as error:
        if error.name != "wgpu":
            raise BackendUnavailable(f"device gpu: wgpu does not load: {error}; use --device cpu") from error
        raise MissingExtra(f"device gpu: wgpu is not installed: {install_command('gpu')}") from error
    with contextlib.suppress(RuntimeError):  # the program uses wgpu already
        set_instance_extras(backends=["Primary"])  # not OpenGL, which complains where it has no screen
    try:
        adapter = wgpu.gpu.request_adapter_sync(power_preference="high-performance")
        handle = adapter.request_device_sync(required_limits={name: adapter.limits[name] for name in _LIMITS})
    except Exception as error:  # wgpu raises RuntimeError, and errors of its own that derive from Exception alone
        reason = str(error).partition("\n")[0].rstrip(".")
        raise BackendUnavailable(
            f"device gpu: wgpu opens no GPU ({reason}); install a driver for Vulkan, Metal or Direct3D 12, "
            "or use --device cpu"
        ) from error
    return GpuDevice(handle, adapter.summary, min(handle.limits[name] for name in _LIMITS))
