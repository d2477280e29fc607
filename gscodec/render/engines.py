"""The choice among engines: a device name -> a Rasterizer, with the CPU where a GPU cannot be used."""

import warnings

from gscodec.errors import BackendUnavailable, DeviceFallback, MissingExtra
from gscodec.model.device_name import DeviceName
from gscodec.render.base import Rasterizer


def get_backend(device: str = "auto", threads: int | None = None) -> Rasterizer:
    """The engine for a device name.

    Args:
        device: `cpu`; `cuda` (the first GPU) or `cuda:N`; `auto` or `auto:N`, the same GPU where it can be used, else
            the CPU; or `reference`, the slow oracle.
        threads: worker threads of the CPU engine; None is one per processor.

    Raises:
        BackendUnavailable: the device is known but cannot run here.
        MissingExtra: cupy, which the GPU needs, is not installed.
        InvalidArgument: no such device.

    Warns:
        DeviceFallback: `auto` found a GPU that cannot be used, and takes the CPU.
    """
    name = DeviceName.parse(device)
    if name.kind == "reference":
        from gscodec.render.reference import ReferenceRasterizer

        return ReferenceRasterizer()
    if name.kind == "cuda":
        return _cuda(device)
    if name.kind == "auto":
        from gscodec.cuda.device import cuda_devices

        if cuda_devices():
            try:
                return _cuda(name.gpu)
            except (BackendUnavailable, MissingExtra) as fault:
                fall_back(fault)
    return cpu_backend(threads)


def cpu_backend(threads: int | None = None) -> Rasterizer:
    """The engine that runs everywhere."""
    from gscodec.render.cpu import CpuRasterizer

    return CpuRasterizer(threads)


def fall_back(fault: Exception) -> None:
    """Tell why device `auto` goes on with the CPU."""
    warnings.warn(f"{fault}; going on with the CPU", DeviceFallback, stacklevel=3)


def _cuda(device: str) -> Rasterizer:
    from gscodec.cuda.device import open_runtime
    from gscodec.render.gpu import CudaRasterizer

    return CudaRasterizer(open_runtime(device))
