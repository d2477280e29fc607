"""Which cards can be used here, and opening one. Asks the driver itself: cupy is imported only to open a card.

A machine without a card, without a driver or without cupy is told apart, since each has another remedy.
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

MIN_CAPABILITY: Final = (7, 5)
"""Oldest architecture that kernels are compiled for in tests (Turing); also the oldest that CUDA 13 knows."""

_NAME: Final = re.compile(r"cuda(?::(\d{1,4}))?")

_EXTRAS: Final = (12, 13)
"""CUDA majors that have an extra: gscodec[cuda12], gscodec[cuda13]."""

_OPEN: Final[dict[int, Runtime]] = {}
"""The runtimes of this process, by the index of their GPU."""

_OPENING: Final = threading.Lock()


@dataclass(frozen=True)
class Card:
    """A card as its driver describes it."""

    index: int
    name: str
    capability: tuple[int, int]
    memory_bytes: int


@dataclass(frozen=True)
class Probe:
    """What the driver says of this machine."""

    driver: tuple[int, int] | None
    """Newest CUDA version that the driver supports."""

    cards: tuple[Card, ...]
    reason: str | None
    """Why there are no cards; None where there are."""


@cache
def probe() -> Probe:
    """Driver and cards of this machine, asked once.

    The driver must not be used in processes that are forked later on; start those afresh.
    """
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return Probe(None, (), "no NVIDIA driver is installed")
    return probe_with(library)


def probe_with(library: Any) -> Probe:
    """The same, through a driver library that is loaded already."""
    code = library.cuInit(0)
    if code:
        return Probe(_driver_version(library), (), f"the NVIDIA driver does not start: {_error_name(library, code)}")
    driver = _driver_version(library)
    count = ctypes.c_int()
    code = library.cuDeviceGetCount(ctypes.byref(count))
    if code:
        return Probe(driver, (), f"the NVIDIA driver lists no cards: {_error_name(library, code)}")
    if not count.value:
        return Probe(driver, (), "the NVIDIA driver finds no card")
    return Probe(driver, tuple(_card(library, index) for index in range(count.value)), None)


def cuda_devices() -> tuple[Card, ...]:
    """Cards that the driver knows. Whether the rest of what they need is installed shows when one is opened."""
    return probe().cards


def open_runtime(device: str) -> Runtime:
    """The runtime of `cuda`, which is the first card, or `cuda:N`. A process opens a card once, with its kernels.

    Raises:
        BackendUnavailable: there is no such card, or no driver that is new enough.
        MissingExtra: cupy is not installed.
        InvalidArgument: not a name of a card.
    """
    index = check_device(device, probe(), cupy_majors())
    with _OPENING:  # one, of threads that ask at the same time
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
    """Indices of the GPUs that a name may stand for, as far as the driver tells without opening one; () is the CPU.

    A name without a number may stand for all that kernels are compiled for.

    Raises:
        BackendUnavailable, MissingExtra: as `open_runtime`, where the name does not leave the CPU as a choice.
    """
    if is_optional and not cuda_devices():
        return ()
    found = probe()
    indices: tuple[int, ...] = tuple(card.index for card in found.cards if card.capability >= MIN_CAPABILITY)
    first = index if index is not None else next(iter(indices), 0)
    try:
        check_device(f"cuda:{first}" if first or index is not None else "cuda", found, cupy_majors())
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


def check_device(device: str, found: Probe, cupy: tuple[int, ...]) -> int:
    """Index of the card that a name means, once nothing stands in its way.

    Args:
        cupy: CUDA majors that the installed cupy packages are built for; 0 is a build that does not say.

    Raises:
        BackendUnavailable, MissingExtra, InvalidArgument: as `open_runtime`.
    """
    name = _NAME.fullmatch(device)
    if not name:
        raise InvalidArgument(f"device {device!r} is not the name of a GPU: use cuda or cuda:N")
    index = int(name[1] or 0)
    if found.reason:
        raise BackendUnavailable(f"device {device}: {found.reason}; use --device cpu")
    if index >= len(found.cards):
        n = len(found.cards)
        raise BackendUnavailable(f"device {device}: there {'is 1 card' if n == 1 else f'are {n} cards'}; use cuda:0")
    card = found.cards[index]
    if card.capability < MIN_CAPABILITY:
        raise BackendUnavailable(
            f"device {device}: {card.name} has compute capability {_dotted(card.capability)}, at least "
            f"{_dotted(MIN_CAPABILITY)} is needed; use --device cpu"
        )
    _check_cupy(device, found.driver or (0, 0), cupy)
    return index


def cupy_majors(names: Iterable[str] | None = None) -> tuple[int, ...]:
    """CUDA majors of the installed cupy packages, ascending; 0 for one built from source. Imports nothing."""
    if names is None:
        import importlib.metadata  # takes longer to load than the driver to answer, and most machines have no card

        names = (str(found.metadata["Name"]) for found in importlib.metadata.distributions())
    majors = set()
    for name in names:
        built = re.fullmatch(r"cupy(?:[-_.]cuda(\d+)x)?", name or "", re.IGNORECASE)
        if built:
            majors.add(int(built[1] or 0))
    return tuple(sorted(majors))


def _check_cupy(device: str, driver: tuple[int, int], cupy: tuple[int, ...]) -> None:
    """A driver runs what was built for its own CUDA major and for older ones."""
    newest, supported = driver[0], f"the NVIDIA driver supports CUDA {_dotted(driver)}"
    fitting = [major for major in _EXTRAS if major <= newest]
    if not cupy:
        if not fitting:
            raise BackendUnavailable(f"device {device}: {supported}, at least {_EXTRAS[0]}.0 is needed; update it")
        raise MissingExtra(f"device {device}: cupy is not installed; pip install 'gscodec[cuda{fitting[-1]}]'")
    if len(cupy) > 1:
        packages = ", ".join(f"cupy-cuda{major}x" if major else "cupy" for major in cupy)
        raise BackendUnavailable(f"device {device}: {packages} overwrite one another; pip uninstall all but one")
    if cupy[0] > newest:
        instead = f"or pip install 'gscodec[cuda{fitting[-1]}]' instead" if fitting else "or use --device cpu"
        raise BackendUnavailable(
            f"device {device}: {supported}, cupy-cuda{cupy[0]}x needs {cupy[0]}.0; update the driver {instead}"
        )


def _driver_version(library: Any) -> tuple[int, int] | None:
    version = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(version)):
        return None
    return version.value // 1000, version.value % 1000 // 10


def _card(library: Any, index: int) -> Card:
    """Attributes 75 and 76 are the two parts of the compute capability (CUdevice_attribute)."""
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
            break  # a card that does not answer is listed all the same; opening it tells why
    return Card(index, name.value.decode(errors="replace"), (major.value, minor.value), memory.value)


def _error_name(library: Any, code: int) -> str:
    text = ctypes.c_char_p()
    if library.cuGetErrorName(code, ctypes.byref(text)) or not text.value:
        return f"error {code}"
    return f"{text.value.decode()} ({code})"


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
