"""The registry of engines, and the choice among them: a device name -> a Rasterizer.

`ENGINES` is the only place that knows engines by name. `auto` takes the first of them that declares itself for it and
can be used, and falls back to the CPU.
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
    """The GPUs that an engine runs on. A module of functions serves: nothing is loaded or opened to ask."""

    def has_devices(self) -> bool:
        """Whether the driver lists any."""
        ...

    def is_open(self, index: int) -> bool:
        """Whether this process has opened a GPU."""
        ...

    def usable_gpus(self, index: int | None, *, is_optional: bool) -> tuple[int, ...]:
        """Indices of those that a device name may stand for, as far as the driver reports without opening one.

        Args:
            index: in the name; None stands for all that kernels are compiled for.
            is_optional: whether none is an answer.

        Raises:
            BackendUnavailable, MissingExtra: none can be used, and `is_optional` is False.
        """
        ...


@dataclass(frozen=True)
class Engine:
    """Entry of the registry."""

    load: Callable[[], type[Rasterizer]]
    """Imports the engine's class."""

    gpus: Callable[[], Gpus] | None = None
    """Imports what is known of its GPUs, whose indices a device name may have: `cuda:1`. None: it runs on the host."""

    in_auto: bool = False
    """Whether `auto` tries it, in the registry's order; only if it has GPUs and a driver lists them."""


def _cuda() -> type[Rasterizer]:
    from gscodec.render.gpu import CudaRasterizer

    return CudaRasterizer


def _cuda_gpus() -> Gpus:
    from gscodec.cuda import device

    return device


def _cpu() -> type[Rasterizer]:
    from gscodec.render.cpu import CpuRasterizer

    return CpuRasterizer


def _reference() -> type[Rasterizer]:
    from gscodec.render.reference import ReferenceRasterizer

    return ReferenceRasterizer


FALLBACK: Final = "cpu"
"""The engine that runs everywhere."""

ENGINES: Final[dict[str, Engine]] = {
    "cpu": Engine(_cpu),
    "cuda": Engine(_cuda, _cuda_gpus, in_auto=True),
    "reference": Engine(_reference),
}
"""Engines by name, those that `auto` prefers first."""

_NAME: Final = re.compile(r"([a-z][a-z0-9_-]*)(?::(\d{1,4}))?")


def parse_device(text: str) -> DeviceName:
    """Parsed device name.

    Raises:
        InvalidArgument: the text is not `auto` or the name of an engine, or has an index and the engine has no GPUs.
    """
    found = _NAME.fullmatch(text)
    if found:
        kind, index = found[1], None if found[2] is None else int(found[2])
        is_indexed = kind == AUTO or (kind in ENGINES and ENGINES[kind].gpus is not None)
        if is_indexed or (kind in ENGINES and index is None):
            return DeviceName(kind, index)
    raise InvalidArgument(f"device {text!r} is not known: use {_known()}")


def _known() -> str:
    """The device names there are, as a phrase."""
    names = [AUTO]
    for name, engine in ENGINES.items():
        names += [name] if engine.gpus is None else [name, f"{name}:N"]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def get_backend(device: str = AUTO, threads: int | None = None) -> Rasterizer:
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
    """The engine that runs everywhere."""
    return ENGINES[FALLBACK].load().open(threads=threads)


def fits_blocks(name: DeviceName) -> bool:
    """Whether the engine of a device name can fit a large picture in blocks; `auto` falls back to one that can."""
    return name.may_fall_back or ENGINES[name.kind].load().fits_blocks


def is_open(name: DeviceName) -> bool:
    """Whether this process has opened a GPU that a device name may stand for."""
    return any(gpus.is_open(name.index or 0) for gpus in _gpus_of(name))


def usable_gpus(name: DeviceName) -> tuple[int, ...]:
    """Indices of the GPUs that a device name may stand for, without opening one; () is an engine of the host.

    Raises:
        BackendUnavailable, MissingExtra: none can be used, and the name does not leave the CPU as a choice.
    """
    for gpus in _gpus_of(name):
        found = gpus.usable_gpus(name.index, is_optional=name.may_fall_back)
        if found:
            return found
    return ()


def fall_back(fault: Exception) -> None:
    """Tell why device `auto` goes on with the CPU."""
    warnings.warn(f"{fault}; going on with the CPU", DeviceFallback, stacklevel=3)


def _automatic() -> list[Engine]:
    return [engine for engine in ENGINES.values() if engine.in_auto]


def _gpus_of(name: DeviceName) -> list[Gpus]:
    engines = _automatic() if name.may_fall_back else [ENGINES[name.kind]]
    return [engine.gpus() for engine in engines if engine.gpus is not None]
