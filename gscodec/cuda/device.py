"""Lists the GPUs of this machine and opens one. Queries the driver directly: cupy is imported only to open a GPU.

A missing GPU, a missing driver and a missing cupy are reported separately, because each has another remedy.
"""

import ctypes
import re
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from gscodec.cuda.runtime import Runtime
from gscodec.errors import BackendUnavailable, InvalidArgument, MissingExtra
from gscodec.extras import install_command

MIN_CAPABILITY: Final = (7, 5)
"""Oldest architecture that kernels are compiled for in tests (Turing); also the oldest that CUDA 13 knows."""

_NAME: Final = re.compile(r"cuda(?::(\d{1,4}))?")

_EXTRAS: Final = (12, 13)
"""CUDA majors that have an extra: gscodec[cuda12], gscodec[cuda13]."""

_OPEN: Final[dict[int, Runtime]] = {}
"""The runtimes of this process, by the index of their GPU."""

_OPENING: Final = threading.Lock()


@dataclass(frozen=True)
class Gpu:
    """A GPU as reported by its driver."""

    index: int
    name: str
    capability: tuple[int, int]
    memory_bytes: int


@dataclass(frozen=True)
class Probe:
    """Driver and GPUs of this machine."""

    driver: tuple[int, int] | None
    """Newest CUDA version that the driver supports."""

    gpus: tuple[Gpu, ...]
    reason: str | None
    """Why there is no GPU; None if there is one."""


@cache
def probe() -> Probe:
    """Driver and GPUs of this machine; queried once per process.

    Processes forked afterwards cannot use the driver; start them afresh instead.
    """
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return Probe(None, (), "no NVIDIA driver is installed")
    return probe_with(library)


def probe_with(library: Any) -> Probe:
    """The same, from a driver library that is already loaded."""
    code = library.cuInit(0)
    if code:
        return Probe(_driver_version(library), (), f"the NVIDIA driver does not start: {_error_name(library, code)}")
    driver = _driver_version(library)
    count = ctypes.c_int()
    code = library.cuDeviceGetCount(ctypes.byref(count))
    if code:
        return Probe(driver, (), f"the NVIDIA driver lists no GPUs: {_error_name(library, code)}")
    if not count.value:
        return Probe(driver, (), "the NVIDIA driver finds no GPU")
    return Probe(driver, tuple(_gpu(library, index) for index in range(count.value)), None)


def cuda_devices() -> tuple[Gpu, ...]:
    """GPUs known to the driver; whether one can be used shows only when it is opened."""
    return probe().gpus


def open_runtime(device: str) -> Runtime:
    """The runtime of `cuda`, the first GPU, or `cuda:N`. A process opens a GPU once and keeps its kernels.

    Raises:
        BackendUnavailable: there is no such GPU, or the driver is missing or too old.
        MissingExtra: cupy is not installed.
        InvalidArgument: the name is not that of a GPU.
    """
    index = check_device(device, probe(), cupy_majors())
    with _OPENING:  # two threads may ask at the same time
        if index not in _OPEN:
            _OPEN[index] = _open(index)
        return _OPEN[index]


def has_devices() -> bool:
    """Whether the driver lists any GPU."""
    return bool(cuda_devices())


def is_open(index: int) -> bool:
    """Whether this process has opened a GPU."""
    return index in _OPEN


def usable_gpus(index: int | None, *, is_optional: bool) -> tuple[int, ...]:
    """Indices of the GPUs that a name may stand for, as reported by the driver without opening one; () means the CPU.

    A name without an index may stand for all GPUs that kernels are compiled for.

    Raises:
        BackendUnavailable, MissingExtra: as `open_runtime`, if `is_optional` is False.
    """
    if is_optional and not cuda_devices():
        return ()
    machine = probe()
    indices: tuple[int, ...] = tuple(gpu.index for gpu in machine.gpus if gpu.capability >= MIN_CAPABILITY)
    first = index if index is not None else next(iter(indices), 0)
    try:
        check_device(f"cuda:{first}" if first or index is not None else "cuda", machine, cupy_majors())
    except (BackendUnavailable, MissingExtra):
        if is_optional:
            return ()
        raise
    return indices if index is None else (index,)


def _open(index: int) -> Runtime:
    try:
        from gscodec.cuda.cupy_runtime import CupyRuntime
    except ImportError as error:
        raise BackendUnavailable(f"device cuda:{index}: cupy does not load: {error}; use --device cpu") from error
    return CupyRuntime(index)


def check_device(device: str, machine: Probe, cupy: tuple[int, ...]) -> int:
    """Index of the GPU that a name stands for, if nothing prevents its use.

    Args:
        cupy: CUDA majors of the installed cupy packages; 0 for a build that does not name one.

    Raises:
        BackendUnavailable, MissingExtra, InvalidArgument: as `open_runtime`.
    """
    name = _NAME.fullmatch(device)
    if not name:
        raise InvalidArgument(f"device {device!r} is not the name of a GPU: use cuda or cuda:N")
    index = int(name[1] or 0)
    if machine.reason:
        raise BackendUnavailable(f"device {device}: {machine.reason}; use --device cpu")
    if index >= len(machine.gpus):
        n = len(machine.gpus)
        raise BackendUnavailable(f"device {device}: there {'is 1 GPU' if n == 1 else f'are {n} GPUs'}; use cuda:0")
    gpu = machine.gpus[index]
    if gpu.capability < MIN_CAPABILITY:
        raise BackendUnavailable(
            f"device {device}: {gpu.name} has compute capability {_dotted(gpu.capability)}, at least "
            f"{_dotted(MIN_CAPABILITY)} is needed; use --device cpu"
        )
    _check_cupy(device, machine.driver or (0, 0), cupy)
    return index


def cupy_majors(names: Iterable[str] | None = None) -> tuple[int, ...]:
    """CUDA majors of the installed cupy packages, ascending; 0 for one built from source. Imports nothing."""
    if names is None:
        import importlib.metadata  # slower to import than the driver to query, and most machines have no GPU

        names = (str(distribution.metadata["Name"]) for distribution in importlib.metadata.distributions())
    majors = set()
    for name in names:
        built = re.fullmatch(r"cupy(?:[-_.]cuda(\d+)x)?", name or "", re.IGNORECASE)
        if built:
            majors.add(int(built[1] or 0))
    return tuple(sorted(majors))


def _check_cupy(device: str, driver: tuple[int, int], cupy: tuple[int, ...]) -> None:
    """Check the driver against the CUDA major of cupy; a driver supports its own major and older ones."""
    newest, supported = driver[0], f"the NVIDIA driver supports CUDA {_dotted(driver)}"
    fitting = [major for major in _EXTRAS if major <= newest]
    if not cupy:
        if not fitting:
            raise BackendUnavailable(f"device {device}: {supported}, at least {_EXTRAS[0]}.0 is needed; update it")
        raise MissingExtra(f"device {device}: cupy is not installed; {install_command(f'cuda{fitting[-1]}')}")
    if len(cupy) > 1:
        packages = ", ".join(f"cupy-cuda{major}x" if major else "cupy" for major in cupy)
        raise BackendUnavailable(f"device {device}: {packages} overwrite one another; pip uninstall all but one")
    if cupy[0] > newest:
        instead = f"or {install_command(f'cuda{fitting[-1]}')} instead" if fitting else "or use --device cpu"
        raise BackendUnavailable(
            f"device {device}: {supported}, cupy-cuda{cupy[0]}x needs {cupy[0]}.0; update the driver {instead}"
        )


def _driver_version(library: Any) -> tuple[int, int] | None:
    version = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(version)):
        return None
    return version.value // 1000, version.value % 1000 // 10


def _gpu(library: Any, index: int) -> Gpu:
    """GPU `index`. Attributes 75 and 76 are the two parts of the compute capability (CUdevice_attribute)."""
    handle, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    calls: tuple[Callable[[], int], ...] = (
        lambda: library.cuDeviceGet(ctypes.byref(handle), index),
        lambda: library.cuDeviceGetName(name, len(name), handle),
        lambda: library.cuDeviceGetAttribute(ctypes.byref(major), 75, handle),
        lambda: library.cuDeviceGetAttribute(ctypes.byref(minor), 76, handle),
        lambda: library.cuDeviceTotalMem_v2(ctypes.byref(memory), handle),
    )
    for call in calls:
        if call():
            break  # a GPU that does not answer is listed anyway; opening it gives the reason
    return Gpu(index, name.value.decode(errors="replace"), (major.value, minor.value), memory.value)


def _error_name(library: Any, code: int) -> str:
    text = ctypes.c_char_p()
    if library.cuGetErrorName(code, ctypes.byref(text)) or not text.value:
        return f"error {code}"
    return f"{text.value.decode()} ({code})"


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
