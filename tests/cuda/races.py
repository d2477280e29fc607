"""Races that shim/races.h found in a launch, in words: which memory, and which line does what to it."""

import ctypes
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_SHIM = ("fibers.h", "cuda_shim.h", "races.h")
_MOST = 16
"""Races of one launch that are kept, of different pairs of places in the code."""


class Range(ctypes.Structure):
    """Range in shim/fibers.h."""

    _fields_ = (("start", ctypes.c_uint64), ("bytes", ctypes.c_uint64))


class Party(ctypes.Structure):
    """Party in shim/fibers.h."""

    _fields_ = (
        ("block", ctypes.c_uint32),
        ("thread", ctypes.c_uint32),
        ("where", ctypes.c_uint32),
        ("how", ctypes.c_uint32),
    )


class Race(ctypes.Structure):
    """Race in shim/fibers.h."""

    _fields_ = (
        ("address", ctypes.c_uint64),
        ("bytes", ctypes.c_uint32),
        ("is_race", ctypes.c_uint32),
        ("before", Party),
        ("now", Party),
    )


class Found:
    """Records of the races of a launch.

    Args:
        request: of the launch; receives memory for them, and what to watch.
        memory: address and bytes that can be reached through each argument, 0 and 0 where it is a value.
    """

    def __init__(self, request: Any, memory: Sequence[tuple[int, int]]) -> None:
        self._request = request
        self._memory = memory
        watched = sorted({place for place in memory if place[1]})
        self._ranges = (Range * max(len(watched), 1))(*(Range(*place) for place in watched))
        self._races = (Race * _MOST)()
        request.ranges, request.n_ranges = self._ranges, len(watched)
        request.races, request.max_races = self._races, _MOST

    @property
    def number(self) -> int:
        """Number of races and of misaligned accesses."""
        return int(self._request.n_races)

    def text(self, library: str, names: Sequence[str], grid: tuple[int, ...]) -> str:
        """One line for each.

        Args:
            library: file of the kernels' library.
            names: of the kernel's parameters.
            grid: blocks of the launch.
        """
        lines = []
        for race in self._races[: min(self.number, _MOST)]:
            memory = self._named(race.address, library, names)
            now = _told(race.now, library, grid)
            if race.is_race:
                lines.append(f"race on {memory}: {now}, {_told(race.before, library, grid)}, and nothing orders them")
            else:
                lines.append(f"{memory} is no multiple of {race.bytes} bytes: {now.replace(' reads ', ' is ')}")
        if self.number > _MOST:
            lines.append(f"and {self.number - _MOST} more")
        return "\n".join(lines)

    def _named(self, address: int, library: str, names: Sequence[str]) -> str:
        for position, (start, n_bytes) in enumerate(self._memory):
            if start <= address < start + n_bytes:
                name = names[position] if position < len(names) else ""
                return f"argument {position} ({name}), byte {address - start}"
        start, name = _shared_variable(library, address)
        return f"shared {name}, byte {address - start}"


def _told(party: Party, library: str, grid: tuple[int, ...]) -> str:
    x, y, z = party.block % grid[0], party.block // grid[0] % grid[1], party.block // grid[0] // grid[1]
    access = ("reads", "writes", "", "changes by an atomic")[party.how]
    return f"thread {party.thread} of block ({x}, {y}, {z}) {access} at {_line(library, party.where - 1)}"


@cache
def _line(library: str, where: int) -> str:
    """`file.cu:12`, and the lines of the functions it was inlined into."""
    command = ("addr2line", "-i", "-s", "-e", library, hex(where))
    lines = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.splitlines()
    return " in ".join(line.split(" (")[0] for line in lines if not line.startswith(_SHIM))


@cache
def variables(library: str) -> list[tuple[int, int, str]]:
    """Address from the library's start, bytes and full name of each shared variable."""
    command = ("nm", "--print-size", "--demangle", library)
    output = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    rows = (line.split(maxsplit=3) for line in output.splitlines())
    return [(int(r[0], 16), int(r[1], 16), r[3]) for r in rows if len(r) == 4 and r[2] in "bB"]


def _shared_variable(library: str, address: int) -> tuple[int, str]:
    """Address and name of the shared variable that holds an address."""
    for base in _bases(library):
        for at, n_bytes, name in variables(library):
            if base + at <= address < base + at + n_bytes:
                return base + at, name.split("::")[-1]
    return address, "memory"


def _bases(library: str) -> Iterator[int]:
    """Base address of a loaded library."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(library) and line.split()[2] == "00000000":
            yield int(line.split("-")[0], 16)
