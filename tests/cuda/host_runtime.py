"""`HostRuntime`: the kernels of gscodec/cuda, compiled by the C++ compiler and run by the shim in shim/.

It stands in for a GPU in tests of everything that is written against `gscodec.cuda.runtime.Runtime`, and is stricter
than one: see shim/fibers.h for faults of threads, shim/races.h for races, host_arrays.py for faults of memory.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import races
from host_arrays import ENTERED, Block, DeviceArray, HostModule, block_of, current_device, from_device, on_device

from gscodec.cuda import sources
from gscodec.cuda.runtime import Array, Define
from gscodec.errors import InvalidArgument

_SHIM = Path(__file__).parent / "shim"
_BUILD = Path(__file__).parents[2] / "build" / "host-kernels"
_FLAGS = (
    *("-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique"),
    "-ffp-contract=off",  # a fused multiply-add happens where the text writes one
    "-fno-strict-aliasing",  # NVRTC assumes nothing of that kind either
    "-U_FORTIFY_SOURCE",  # its longjmp takes a switch of stacks for an attack
    *("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-maybe-uninitialized"),
)
_LINK = ("-shared", "-fPIC")
_WATCHED = ("-fsanitize=thread", "-fsanitize=alignment", "-g", "-DSHIM_RACES")
"""For the detector of races: the compiler only calls back; its own run-time library is not linked."""

_APPROXIMATE = "-DSHIM_APPROXIMATE"
"""Exponentials are as far off as a GPU's may be."""

_ENTRY = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\(([^)]*)\)\s*)?(\w+)\s*\(([^)]*)\)')
_MAX_THREADS = 1024
_MAX_SHARED = 48 << 10
_MAX_GRID = ((1 << 31) - 1, 65535, 65535)
_FAULTS = {1: "deadlock", 2: "misuse", 3: "access"}


class KernelFault(AssertionError):
    """A kernel did what would hang, crash or be undefined on a GPU; or its launch did not fit it."""


@dataclass(frozen=True)
class Schedule:
    """In which order threads go on and blocks run. What a kernel computes must not depend on it."""

    order: Literal["forward", "reverse", "random"] = "forward"
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.order}-{self.seed}" if self.order == "random" else self.order


SCHEDULES = (Schedule(), Schedule("reverse"), Schedule("random", 1), Schedule("random", 2))


class HostRuntime:
    """`Runtime` on the host. `schedule` may be set at any time.

    Args:
        watched: looks for races in every launch; kernels run five to ten times as long. Left out, the environment says
            so by GSCODEC_RACES=1.
        approximate: exponentials are off by up to two units in the last place, as a GPU's may be: what tests allow must
            cover that. Left out, the environment says so by GSCODEC_APPROXIMATE=1.
        edit: takes a family and its text, and gives what is compiled in its place, for tests of tests.
        index: of several devices that a machine is said to have: each has arrays and kernels of its own.
    """

    def __init__(
        self,
        schedule: Schedule = SCHEDULES[0],
        *,
        index: int = 0,
        watched: bool | None = None,
        approximate: bool | None = None,
        edit: Callable[[str, str], str] | None = None,
    ) -> None:
        if sys.platform != "linux":
            pytest.skip("the host shim stands on glibc's contexts and ELF's section symbols")
        self.index = index
        self.name = f"host:{index}" if index else "host"
        self.schedule = schedule
        self.watched = _asked("GSCODEC_RACES") if watched is None else watched
        self.approximate = _asked("GSCODEC_APPROXIMATE") if approximate is None else approximate
        self._edit = edit
        self.xp: Any = HostModule(check=lambda: self._outside_of_record("makes an array"))
        self._kernels: dict[Any, HostKernel] = {}
        self._launches: list[tuple[Any, ...]] | None = None  # of the recorded step that runs now
        self.memory = 1 << 34
        """Bytes that `free_bytes` says are free; nothing holds arrays to it."""
        self._under_way: list[Array] = []  # what is being copied to the host

    def kernel(self, family: str, entry: str, **defines: Define) -> "HostKernel":
        """See `Runtime.kernel`."""
        key = (family, entry, tuple(sorted(defines.items())))
        if key not in self._kernels:
            if entry not in sources.entries(family):
                raise KeyError(f"{family}.cu has no kernel {entry}")
            text = sources.source(family, defines)
            self._kernels[key] = self.compile(self._edit(family, text) if self._edit else text, entry)
        return self._kernels[key]

    def compile(self, text: str, entry: str) -> "HostKernel":
        """A kernel of any text."""
        names = {name: _parameter_names(parameters) for _, name, parameters in _ENTRY.findall(text)}
        return HostKernel(
            self, build(text, watched=self.watched, approximate=self.approximate), entry, names.get(entry, ())
        )

    def upload(self, array: npt.NDArray[Any]) -> Array:
        """See `Runtime.upload`."""
        self._outside_of_record("uploads")
        if isinstance(array, DeviceArray):
            raise TypeError("the array lies on the device already")
        with self:
            return on_device(np.array(array, order="C", copy=True))

    def download(self, array: Array) -> npt.NDArray[Any]:
        """See `Runtime.download`."""
        self._outside_of_record("downloads")
        if not isinstance(array, DeviceArray):
            raise TypeError(f"{type(array).__name__} is not an array of the device")
        return from_device(array)

    def adopt(self, array: Any) -> Array | None:
        """See `Runtime.adopt`. Any array but NumPy's stands for one on the device."""
        if isinstance(array, DeviceArray) or type(array) is np.ndarray or not hasattr(array, "__dlpack__"):
            return array if isinstance(array, DeviceArray) else None
        return self.xp.from_dlpack(array)

    def staging(self, n_bytes: int) -> "HostStaging":
        """See `Runtime.staging`."""
        self._outside_of_record("makes host memory")
        return HostStaging(self, n_bytes)

    def free_bytes(self) -> int:
        """See `Runtime.free_bytes`: what a test says."""
        return self.memory

    def compile_ahead(self, wanted: Iterable[tuple[str, Mapping[str, Define]]]) -> None:
        """Nothing: a family's library is kept on disk, and tests use few at a time."""

    def record(self, step: Callable[[], None]) -> "HostReplay":
        """`step` itself, held to what a CUDA graph needs: the same launches every time, and nothing else."""
        return HostReplay(self, step)

    @contextmanager
    def recording(self) -> Iterator[list[tuple[Any, ...]]]:
        """What is launched meanwhile; whatever else a graph cannot hold is refused."""
        self._outside_of_record("replays another step")
        launches: list[tuple[Any, ...]] = []
        self._launches = launches
        ENTERED.refuse = self._outside_of_record
        try:
            yield launches
        finally:
            self._launches = ENTERED.refuse = None

    def synchronize(self) -> None:
        """Nothing to wait for."""
        self._outside_of_record("waits")

    @contextmanager
    def scheduled(self, schedule: Schedule) -> Iterator[None]:
        """Another schedule for a while."""
        before, self.schedule = self.schedule, schedule
        try:
            yield
        finally:
            self.schedule = before

    def __enter__(self) -> "HostRuntime":
        ENTERED.indices.append(self.index)
        return self

    def __exit__(self, *error: object) -> None:
        assert ENTERED.indices.pop() == self.index

    def _outside_of_record(self, what: str) -> None:
        if self._launches is not None:
            raise KernelFault(f"a recorded step {what}: a CUDA graph cannot")

    def _launched(self, launch: tuple[Any, ...]) -> None:
        if self._launches is not None:
            self._launches.append(launch)


class HostStaging:
    """`Staging` on the host. A copy is made as late as it may be, so that what is done too early shows.

    From `send` on the memory holds nothing, and a kernel that may write to the array is refused until `receive`.
    """

    def __init__(self, runtime: HostRuntime, n_bytes: int) -> None:
        self._runtime = runtime
        self._bytes = np.empty(n_bytes, np.uint8)
        self._sent: Array | None = None

    def send(self, array: Array) -> None:
        """See `Staging.send`."""
        self._runtime._outside_of_record("sends")
        if not isinstance(array, DeviceArray):
            raise TypeError(f"{type(array).__name__} is not an array of the device")
        if array.nbytes > len(self._bytes) or not array.flags.c_contiguous:
            raise InvalidArgument(f"an array of {array.nbytes} bytes is sent where {len(self._bytes)} contiguous fit")
        if self._sent is not None:
            raise KernelFault("a second array is sent where the first one has not been received")
        self._bytes.fill(0xA5)
        self._sent = array
        self._runtime._under_way.append(array)

    def receive(self) -> npt.NDArray[Any]:
        """See `Staging.receive`."""
        if self._sent is None:
            raise KernelFault("an array is received that was not sent")
        array = from_device(self._sent)
        self.close()
        self._bytes[: array.nbytes] = array.reshape(-1).view(np.uint8)
        return self._bytes[: array.nbytes].view(array.dtype).reshape(array.shape)

    def close(self) -> None:
        """See `Staging.close`."""
        self._runtime._outside_of_record("waits")
        under_way, sent = self._runtime._under_way, self._sent
        under_way[:] = [array for array in under_way if array is not sent]
        self._sent = None


class HostReplay:
    """`Recorded` on the host."""

    def __init__(self, runtime: HostRuntime, step: Callable[[], None]) -> None:
        self._runtime = runtime
        self._step = step
        self._first: list[tuple[Any, ...]] | None = None
        self.is_graph = False
        """Whether two repeats made the same launches, so that a graph of them would do."""

    def __call__(self) -> None:
        """Carries the step out, and compares.

        Raises:
            KernelFault: it does what a CUDA graph cannot hold.
        """
        with self._runtime.recording() as launches:
            self._step()
        if self._first is not None and launches != self._first:
            raise KernelFault("a recorded step makes other launches than the first time, or with other arguments")
        self.is_graph, self._first = self._first is not None, launches


class _Request(ctypes.Structure):
    """Request in shim/fibers.h."""

    _fields_ = (
        ("args", ctypes.POINTER(ctypes.c_void_p)),
        ("grid", ctypes.c_uint32 * 3),
        ("block", ctypes.c_uint32),
        ("order", ctypes.c_int32),
        ("seed", ctypes.c_uint64),
        ("message", ctypes.c_char_p),
        ("message_bytes", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("ranges", ctypes.POINTER(races.Range)),
        ("races", ctypes.POINTER(races.Race)),
        ("n_ranges", ctypes.c_uint32),
        ("max_races", ctypes.c_uint32),
        ("n_races", ctypes.c_uint32),
    )


class HostKernel:
    """A kernel of a built library."""

    def __init__(self, runtime: HostRuntime, library: ctypes.PyDLL, entry: str, names: tuple[str, ...] = ()) -> None:
        self._runtime = runtime
        self._library = library._name
        self._entry = entry
        self._names = names
        self._watched = runtime.watched
        try:
            self._launch = getattr(library, f"shim_launch_{entry}")
        except AttributeError:
            raise KeyError(f"no kernel {entry} in this text") from None
        self._launch.argtypes = (ctypes.POINTER(_Request),)
        described = ctypes.create_string_buffer(4096)
        self._max_threads = min(int(getattr(library, f"shim_describe_{entry}")(described)), _MAX_THREADS)
        self.parameters = tuple(described.value.decode().split())
        """`*` for a pointer, `c` for const, then kind and bytes: `*cf4`, `i8`."""

    def __call__(self, grid: int | tuple[int, ...], block: int, *args: Array | np.generic | None) -> None:
        """See `Kernel`.

        Raises:
            KernelFault: the arguments do not fit, or the kernel failed.
        """
        if current_device() != self._runtime.index:
            raise KernelFault(f"{self._entry} of device {self._runtime.index} is launched on device {current_device()}")
        blocks = self._grid(grid, block)
        values = self._checked(args)
        order = ("forward", "reverse", "random").index(self._runtime.schedule.order)
        message = ctypes.create_string_buffer(2000)
        request = _Request(
            (ctypes.c_void_p * max(len(values), 1))(*(value.ctypes.data for value in values)),
            (ctypes.c_uint32 * 3)(*blocks),
            block,
            order,
            self._runtime.schedule.seed,
            ctypes.cast(message, ctypes.c_char_p),
            len(message),
        )
        found = races.Found(request, [self._memory(arg) for arg in args]) if self._watched else None
        fault = self._launch(request)
        self._runtime._launched((self._entry, blocks, block, *(value.tobytes() for value in values)))
        if found and found.number:
            raise KernelFault(f"{self._entry}, {found.text(self._library, self._names, blocks)}")
        if fault:
            raise KernelFault(
                f"{self._entry}, schedule {self._runtime.schedule}, {message.value.decode()}"
                + (self._place(request.address, args) if _FAULTS[fault] == "access" else "")
            )
        for position, block_ in self._blocks(args):
            at = block_.damage()
            if at is not None:
                raise KernelFault(
                    f"{self._entry}: byte {at} of argument {position} was written, it has {block_.n_bytes}"
                )

    def _grid(self, grid: Any, block: Any) -> tuple[int, ...]:
        """Three numbers of blocks, within the driver's limits.

        CuPy would take NumPy's integers, launch one block where none are asked for, and pass over a fourth number.
        """
        blocks = grid if isinstance(grid, tuple) else (grid,)
        for number in (*blocks, block):
            if type(number) is not int:
                raise KernelFault(
                    f"{self._entry}: {type(number).__name__} {number} in a launch's sizes, ints are taken"
                )
        sizes = (*blocks, 1, 1)[:3]
        if not 1 <= len(blocks) <= 3 or any(not 1 <= n <= most for n, most in zip(sizes, _MAX_GRID, strict=True)):
            raise KernelFault(f"{self._entry}: no GPU launches a grid of {grid} blocks")
        if not 1 <= block <= self._max_threads:
            raise KernelFault(f"{self._entry}: {block} threads a block, built for at most {self._max_threads}")
        return sizes

    @staticmethod
    def _memory(arg: Any) -> tuple[int, int]:
        """Address and bytes of all the memory that a kernel may reach through an argument."""
        if not isinstance(arg, DeviceArray):
            return 0, 0
        block = block_of(arg)
        if block is not None:
            return block.start + block.first, block.n_bytes
        return int(arg.__array_interface__["data"][0]), arg.nbytes

    def _checked(self, args: Sequence[Any]) -> list[npt.NDArray[Any]]:
        """Every argument's value in memory: an address, or the scalar."""
        if len(args) != len(self.parameters):
            raise KernelFault(f"{self._entry} takes {len(self.parameters)} arguments, not {len(args)}")
        values = []
        for position, (arg, parameter) in enumerate(zip(args, self.parameters, strict=True)):
            where = f"{self._entry}, argument {position}"
            if parameter.startswith("*"):
                values.append(np.array([self._address(arg, parameter, where)], np.uintp))
                if arg is not None and not parameter.startswith("*c"):
                    self._check_rest(arg, where)
                continue
            kind = f"{arg.dtype.kind}{arg.dtype.itemsize}" if isinstance(arg, np.generic) else type(arg).__name__
            if kind != parameter:
                raise KernelFault(f"{where}: {kind}, the kernel takes {parameter}")
            values.append(np.asarray(arg).reshape(1))
        return values

    def _check_rest(self, arg: Array, where: str) -> None:
        """Refuse to write to what is being copied to the host."""
        for sent in self._runtime._under_way:
            if np.may_share_memory(np.asarray(arg), np.asarray(sent)):
                raise KernelFault(f"{where}: written while a copy of it is on its way to the host")

    def _address(self, arg: Any, parameter: str, where: str) -> int:
        if arg is None:
            return 0
        if not isinstance(arg, DeviceArray):
            raise KernelFault(f"{where}: {type(arg).__name__}, not an array of the device")
        memory = block_of(arg)
        if memory is not None and memory.device != self._runtime.index:
            raise KernelFault(f"{where}: an array of device {memory.device}")
        # CuPy passes an address and no strides. Rows may have gaps between them: kernels are given the stride of those.
        # Nothing tells them of others, of rows in reverse, or of one row that stands for all.
        rows = arg[:1] if arg.ndim > 1 else arg
        if not rows.flags.c_contiguous or (arg.ndim > 1 and len(arg) > 1 and arg.strides[0] < rows.nbytes):
            raise KernelFault(f"{where}: an array of strides {arg.strides}, which a kernel does not see")
        if not arg.flags.aligned:
            raise KernelFault(f"{where}: an address that is no multiple of {arg.itemsize}")
        kind = parameter.lstrip("*").removeprefix("c")
        if kind[0] != "?" and kind != f"{arg.dtype.kind}{arg.dtype.itemsize}":
            raise KernelFault(f"{where}: an array of {arg.dtype}, the kernel takes {parameter}")
        return int(arg.__array_interface__["data"][0])

    @staticmethod
    def _blocks(args: Sequence[Any]) -> Iterator[tuple[int, Block]]:
        for position, arg in enumerate(args):
            block = block_of(arg) if isinstance(arg, DeviceArray) else None
            if block is not None:
                yield position, block

    def _place(self, address: int, args: Sequence[Any]) -> str:
        """Address of a failed access, relative to the arguments."""
        for position, block in self._blocks(args):
            if block.start <= address < block.start + len(block):
                at = address - block.start - block.first
                return f": access to byte {at} of argument {position}, which has {block.n_bytes}"
        if address < 1 << 12:
            return ": access through a null pointer, or a division by zero"
        return f": access to {address:#x}, which is none of the arguments' (or a stack is full)"


def build(text: str, *, watched: bool = False, approximate: bool = False) -> ctypes.PyDLL:
    """The library of a kernel text, compiled unless the same text was before by the same compiler.

    Args:
        watched: as one that reports races.
        approximate: with exponentials that are off.

    Raises:
        KernelFault: the compiler refuses the text, or warns.
    """
    flags = (*_FLAGS, *(_WATCHED if watched else ()), *((_APPROXIMATE,) if approximate else ()))
    key = hashlib.sha256("\0".join((_compiler()[1], *flags, _shim_text(), text)).encode()).hexdigest()[:32]
    library = _BUILD / f"{key}.so"
    if not library.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        # Another test process may build the same one: each writes its own, and the last to rename wins.
        with tempfile.TemporaryDirectory(dir=_BUILD) as folder:
            source, part, made = (Path(folder) / f"kernels.{ending}" for ending in ("cpp", "o", "so"))
            source.write_text(_translation_unit(text))
            _run(_compiler()[0], *flags, f"-I{_SHIM}", "-c", str(source), "-o", str(part))
            _run(_compiler()[0], *_LINK, str(part), "-o", str(made))
            _check_shared_memory(made)
            made.replace(library)
    return ctypes.PyDLL(str(library))  # holds the interpreter's lock: shared memory is one for all launches


def _check_shared_memory(library: Path) -> None:
    """As ptxas, which refuses a kernel with more than every architecture has. Here, a function that alone has more."""
    sizes: dict[str, int] = {}
    for _, n_bytes, name in races.variables(str(library)):
        function = name.rpartition("::")[0]
        sizes[function] = sizes.get(function, 0) + n_bytes
    for function, n_bytes in sizes.items():
        if n_bytes > _MAX_SHARED:
            raise KernelFault(f"{function or 'the text'} has {n_bytes} bytes of shared memory, at most {_MAX_SHARED}")


def _asked(name: str) -> bool:
    return os.environ.get(name) == "1"


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if result.returncode:
        raise KernelFault(f"the host compiler refuses the kernels:\n{result.stderr}")


def _parameter_names(parameters: str) -> tuple[str, ...]:
    return tuple(re.findall(r"(\w+)\s*(?:,|$)", parameters.strip()))


def _translation_unit(text: str) -> str:
    exports = "".join(f"SHIM_EXPORT({name}, {bounds or _MAX_THREADS})\n" for bounds, name, _ in _ENTRY.findall(text))
    return f'#include "cuda_shim.h"\nnamespace {{\n{text}\n}}\n{exports}'


@cache
def _shim_text() -> str:
    return "".join(path.read_text() for path in sorted(_SHIM.glob("*.h")))


@cache
def _compiler() -> tuple[str, str]:
    """The C++ compiler and what it says of its version."""
    names = (os.environ.get("CXX", ""), "g++", "c++")
    found = next((path for path in map(shutil.which, names) if path), None)
    if not found:
        raise KernelFault("the CUDA kernels cannot be built for the host: there is no C++ compiler on PATH")
    version = subprocess.run((found, "--version"), capture_output=True, encoding="utf-8", check=True).stdout
    return found, version
