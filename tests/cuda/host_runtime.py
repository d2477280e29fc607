"""`HostRuntime`: the kernels of gscodec/cuda, compiled by the C++ compiler and run by the shim in shim/.

It stands in for a card in tests of everything that is written against `gscodec.cuda.runtime.Runtime`, and is stricter
than one: see shim/fibers.h for faults of threads, host_arrays.py for those of memory.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from host_arrays import Block, DeviceArray, HostModule, block_of, from_device, on_device

from gscodec.cuda import sources
from gscodec.cuda.runtime import Array, Define

_SHIM = Path(__file__).parent / "shim"
_BUILD = Path(__file__).parents[2] / "build" / "host-kernels"
_FLAGS = (
    *("-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-gnu-unique"),
    "-ffp-contract=off",  # a fused multiply-add happens where the text writes one
    "-fno-strict-aliasing",  # NVRTC assumes nothing of that kind either
    "-U_FORTIFY_SOURCE",  # its longjmp takes a switch of stacks for an attack
    *("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-maybe-uninitialized"),
)
_ENTRY = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\(([^)]*)\)\s*)?(\w+)\s*\(')
_MAX_THREADS = 1024
_FAULTS = {1: "deadlock", 2: "misuse", 3: "access"}


class KernelFault(AssertionError):
    """A kernel did what would hang, crash or be undefined on a card; or its launch did not fit it."""


@dataclass(frozen=True)
class Schedule:
    """In which order threads go on and blocks run. What a kernel computes must not depend on it."""

    order: Literal["forward", "reverse", "random"] = "forward"
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.order}-{self.seed}" if self.order == "random" else self.order


SCHEDULES = (Schedule(), Schedule("reverse"), Schedule("random", 1), Schedule("random", 2))


class HostRuntime:
    """`Runtime` on the host. `schedule` may be set at any time."""

    name = "host"

    def __init__(self, schedule: Schedule = SCHEDULES[0]) -> None:
        if sys.platform != "linux":
            pytest.skip("the host shim stands on glibc's contexts and ELF's section symbols")
        self.schedule = schedule
        self.xp: Any = HostModule(check=lambda: self._outside_of_record("makes an array"))
        self._kernels: dict[Any, HostKernel] = {}
        self._launches: list[tuple[Any, ...]] | None = None  # of the recorded step that runs now

    def kernel(self, family: str, entry: str, **defines: Define) -> "HostKernel":
        """See `Runtime.kernel`."""
        key = (family, entry, tuple(sorted(defines.items())))
        if key not in self._kernels:
            if entry not in sources.entries(family):
                raise KeyError(f"{family}.cu has no kernel {entry}")
            self._kernels[key] = self.compile(sources.source(family, defines), entry)
        return self._kernels[key]

    def compile(self, text: str, entry: str) -> "HostKernel":
        """A kernel of any text."""
        return HostKernel(self, build(text), entry)

    def upload(self, array: npt.NDArray[Any]) -> Array:
        """See `Runtime.upload`."""
        self._outside_of_record("uploads")
        if isinstance(array, DeviceArray):
            raise TypeError("the array lies on the device already")
        return on_device(np.array(array, order="C", copy=True))

    def download(self, array: Array) -> npt.NDArray[Any]:
        """See `Runtime.download`."""
        self._outside_of_record("downloads")
        if not isinstance(array, DeviceArray):
            raise TypeError(f"{type(array).__name__} is not an array of the device")
        return from_device(array)

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """`step` itself, held to what a CUDA graph needs: the same launches every time, and nothing else."""
        first: list[tuple[Any, ...]] = []

        def replay() -> None:
            self._outside_of_record("replays another step")
            launches: list[tuple[Any, ...]] = []
            self._launches = launches
            try:
                step()
            finally:
                self._launches = None
            if first and launches != first:
                raise KernelFault("a recorded step makes other launches than the first time, or with other arguments")
            first[:] = launches

        return replay

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
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def _outside_of_record(self, what: str) -> None:
        if self._launches is not None:
            raise KernelFault(f"a recorded step {what}: a CUDA graph cannot")

    def _launched(self, launch: tuple[Any, ...]) -> None:
        if self._launches is not None:
            self._launches.append(launch)


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
    )


class HostKernel:
    """A kernel of a built library."""

    def __init__(self, runtime: HostRuntime, library: ctypes.PyDLL, entry: str) -> None:
        self._runtime = runtime
        self._entry = entry
        try:
            self._launch = getattr(library, f"shim_launch_{entry}")
        except AttributeError:
            raise KeyError(f"no kernel {entry} in this text") from None
        self._launch.argtypes = (ctypes.POINTER(_Request),)
        described = ctypes.create_string_buffer(4096)
        self._max_threads = int(getattr(library, f"shim_describe_{entry}")(described))
        self.parameters = tuple(described.value.decode().split())
        """`*` for a pointer, `c` for const, then kind and bytes: `*cf4`, `i8`."""

    def __call__(self, grid: int | tuple[int, ...], block: int, *args: Array | np.generic | None) -> None:
        """See `Kernel`.

        Raises:
            KernelFault: the arguments do not fit, or the kernel failed.
        """
        blocks = (grid,) if isinstance(grid, int | np.integer) else tuple(grid)
        blocks += (1,) * (3 - len(blocks))
        if len(blocks) != 3 or min(blocks) < 1 or blocks[0] >= 1 << 31 or max(blocks[1:]) >= 1 << 16:
            raise KernelFault(f"{self._entry}: no card launches a grid of {grid} blocks")
        if not 1 <= block <= self._max_threads:
            raise KernelFault(f"{self._entry}: {block} threads a block, built for at most {self._max_threads}")
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
        fault = self._launch(request)
        self._runtime._launched((self._entry, blocks, block, *(value.tobytes() for value in values)))
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

    def _checked(self, args: Sequence[Any]) -> list[npt.NDArray[Any]]:
        """Every argument's value in memory: an address, or the scalar."""
        if len(args) != len(self.parameters):
            raise KernelFault(f"{self._entry} takes {len(self.parameters)} arguments, not {len(args)}")
        values = []
        for position, (arg, parameter) in enumerate(zip(args, self.parameters, strict=True)):
            where = f"{self._entry}, argument {position}"
            if parameter.startswith("*"):
                values.append(np.array([self._address(arg, parameter, where)], np.uintp))
                continue
            kind = f"{arg.dtype.kind}{arg.dtype.itemsize}" if isinstance(arg, np.generic) else type(arg).__name__
            if kind != parameter:
                raise KernelFault(f"{where}: {kind}, the kernel takes {parameter}")
            values.append(np.asarray(arg).reshape(1))
        return values

    @staticmethod
    def _address(arg: Any, parameter: str, where: str) -> int:
        if arg is None:
            return 0
        if not isinstance(arg, DeviceArray):
            raise KernelFault(f"{where}: {type(arg).__name__}, not an array of the device")
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
        """Where a failed access went, in terms of the arguments."""
        for position, block in self._blocks(args):
            if block.start <= address < block.start + len(block):
                at = address - block.start - block.first
                return f": access to byte {at} of argument {position}, which has {block.n_bytes}"
        if address < 1 << 12:
            return ": access through a null pointer, or a division by zero"
        return f": access to {address:#x}, which is none of the arguments' (or a stack is full)"


def build(text: str) -> ctypes.PyDLL:
    """The library of a kernel text, compiled unless the same text was before by the same compiler.

    Raises:
        KernelFault: the compiler refuses the text, or warns.
    """
    key = hashlib.sha256("\0".join((_compiler()[1], *_FLAGS, _shim_text(), text)).encode()).hexdigest()[:32]
    library = _BUILD / f"{key}.so"
    if not library.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        # Another test process may build the same one: each writes its own, and the last to rename wins.
        with tempfile.TemporaryDirectory(dir=_BUILD) as folder:
            source, made = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
            source.write_text(_translation_unit(text))
            command = (_compiler()[0], *_FLAGS, f"-I{_SHIM}", str(source), "-o", str(made))
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                raise KernelFault(f"the host compiler refuses the kernels:\n{result.stderr}")
            made.replace(library)
    return ctypes.PyDLL(str(library))  # holds the interpreter's lock: shared memory is one for all launches


def _translation_unit(text: str) -> str:
    exports = "".join(f"SHIM_EXPORT({name}, {bounds or _MAX_THREADS})\n" for bounds, name in _ENTRY.findall(text))
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
    version = subprocess.run((found, "--version"), capture_output=True, text=True, check=True).stdout
    return found, version
