"""Registry of engines: opens the Rasterizer for a device name.

`ENGINES` is the only place that names engines. `auto` uses the first engine that is registered for it and available,
and falls back to the CPU.
"""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from gscodec.errors import BackendUnavailable, DeviceFallback, InvalidArgument, MissingExtra
from gscodec.model.device_name import AUTO, DeviceName
from gscodec.render.base import Rasterizer


class Gpus(Protocol):
    """The GPUs of an engine. May be a module of functions, so that queries import and open nothing."""

    def has_devices(self) -> bool:
        """Whether the driver lists any."""
        ...

    def is_open(self, index: int) -> bool:
        """Whether this process has opened a GPU."""
        ...

    def usable_gpus(self, index: int | None, *, is_optional: bool) -> tuple[int, ...]:
        """Indices of the GPUs that a device name may stand for, as reported by the driver without opening one.

        Args:
            index: index in the name; None stands for all GPUs that kernels are compiled for.
            is_optional: whether to return () instead of raising.

        Raises:
            BackendUnavailable, MissingExtra: no GPU is available, and `is_optional` is False.
        """
        ...


@dataclass(frozen=True)
class Engine:
    """Entry of the registry."""

    load: Callable[[], type[Rasterizer]]
    """Imports the engine's class."""

    gpus: Callable[[], Gpus] | None = None
    """Imports the queries for its GPUs, which a device name may index: `cuda:1`. None: the engine runs on the CPU."""

    in_auto: bool = False
    """Whether `auto` tries it, in the registry's order, if its driver lists any GPU."""


def _cuda() -> type[Rasterizer]:
    from gscodec.render.gpu import CudaRasterizer

    return CudaRasterizer


def _cuda_gpus() -> Gpus:
    from gscodec.cuda import device

    return device


def _cpu() -> type[Rasterizer]:
    from gscodec.render.cpu import CpuRasterizer

    return CpuRasterizer


def _gpu() -> type[Rasterizer]:
    from gscodec.render.webgpu import WebGpuRasterizer

    return WebGpuRasterizer


def _reference() -> type[Rasterizer]:
    from gscodec.render.reference import ReferenceRasterizer

    return ReferenceRasterizer


FALLBACK: Final = "cpu"
"""Name of the engine that is always available."""

ENGINES: Final[dict[str, Engine]] = {
    "cpu": Engine(_cpu),
    "cuda": Engine(_cuda, _cuda_gpus, in_auto=True),
    "gpu": Engine(_gpu),
    "reference": Engine(_reference),
}
"""Engines by name, in the order in which `auto` tries them."""

_NAME: Final = re.compile(r"([a-z][a-z0-9_-]*)(?::(\d{1,4}))?")


def parse_device(text: str) -> DeviceName:
    """Parsed device name.

    Raises:
        InvalidArgument: the text is not `auto` or the name of an engine, or has an index and the engine has no GPUs.
    """
    match = _NAME.fullmatch(text)
    if match:
        kind, index = match[1], None if match[2] is None else int(match[2])
        is_indexed = kind == AUTO or (kind in ENGINES and ENGINES[kind].gpus is not None)
        if is_indexed or (kind in ENGINES and index is None):
            return DeviceName(kind, index)
    raise InvalidArgument(f"device {text!r} is not known: use {_known()}")


def _known() -> str:
    """List of the valid device names, for messages."""
    names = [AUTO]
    for name, engine in ENGINES.items():
        names += [name] if engine.gpus is None else [name, f"{name}:N"]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def get_backend(device: str = AUTO, threads: int | None = None) -> Rasterizer:
    """The engine for a device name.

    Args:
        device: `cpu`; `cuda` (the first GPU) or `cuda:N`; `auto` or `auto:N`, the same GPU if it is available, else the
            CPU; `gpu`, a GPU of any make, which decodes only; or `reference`, the slow oracle.
        threads: worker threads of the CPU engine; None means one per processor.

    Raises:
        BackendUnavailable: the device is known but not available.
        MissingExtra: cupy or wgpu, which the engines for GPUs need, is not installed.
        InvalidArgument: the device name is unknown.

    Warns:
        DeviceFallback: `auto` found a GPU that is not usable, and uses the CPU.
    """
    name = parse_device(device)
    if not name.may_fall_back:
        return ENGINES[name.kind].load().open(name.index, threads)
    for engine in _automatic():
        if engine.gpus is not None and engine.gpus().has_devices():
            try:
                return engine.load().open(name.index or 0, threads)
            except (BackendUnavailable, MissingExtra) as fault:
                fall_back(fault)
    return cpu_backend(threads)


def cpu_backend(threads: int | None = None) -> Rasterizer:
    """The engine that is always available."""
    return ENGINES[FALLBACK].load().open(threads=threads)


def fits_blocks(name: DeviceName) -> bool:
    """Whether the engine of a device name can fit a large picture in blocks; `auto` falls back to one that can."""
    return name.may_fall_back or ENGINES[name.kind].load().fits_blocks


def is_open(name: DeviceName) -> bool:
    """Whether this process has opened a GPU that a device name may stand for."""
    return any(gpus.is_open(name.index or 0) for gpus in _gpus_of(name))


def usable_gpus(name: DeviceName) -> tuple[int, ...]:
    """Indices of the GPUs that a device name may stand for, without opening one; () means a CPU engine.

    Raises:
        BackendUnavailable, MissingExtra: no GPU is available, and the name does not allow the CPU.
    """
    for gpus in _gpus_of(name):
        indices = gpus.usable_gpus(name.index, is_optional=name.may_fall_back)
        if indices:
            return indices
    return ()


def fall_back(fault: Exception) -> None:
    """Warn that device `auto` uses the CPU."""
    warnings.warn(f"{fault}; using the CPU", DeviceFallback, stacklevel=3)


def _automatic() -> list[Engine]:
    return [engine for engine in ENGINES.values() if engine.in_auto]


def _gpus_of(name: DeviceName) -> list[Gpus]:
    engines = _automatic() if name.may_fall_back else [ENGINES[name.kind]]
    return [engine.gpus() for engine in engines if engine.gpus is not None]
