"""NVRTC without GPU, driver or toolkit: compiles kernels for any architecture and reports their resource usage.

CuPy compiles the kernels that run. This module is for checks: every kernel must compile without warnings for every
architecture in ARCHITECTURES, and its resource usage should be known before it runs there. Several versions may be
loaded at a time; GSCODEC_NVRTC, the path of a libnvrtc.so, selects a single one.
"""

import ctypes
import ctypes.util
import importlib.util
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from gscodec.errors import GsCodecError, MissingExtra

ARCHITECTURES: Final = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120")
"""Turing, Ampere (data centre, desktop), Ada, Hopper, Blackwell (desktop): architectures that kernels must compile
for."""

_CUPY_ADDS: Final = "-ftz=true"
_ENTRY: Final = re.compile(r"Compiling entry function '(\w+)'")
_STACK: Final = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED: Final = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


class KernelRefused(GsCodecError):
    """NVRTC fails to compile a kernel, or warns; the text has its log."""


@dataclass(frozen=True)
class Usage:
    """Resources used by a kernel."""

    entry: str
    registers: int
    """Registers per thread."""
    shared_bytes: int
    """Shared memory per block."""
    local_bytes: int
    """Local memory per thread: arrays that are not in registers, and spilled registers."""
    spill_bytes: int
    """Bytes of spill stores per thread, each counted once."""


@dataclass(frozen=True)
class Nvrtc:
    """A loaded version of the compiler."""

    handle: Any
    version: tuple[int, int]
    architectures: tuple[str, ...]
    """Supported members of ARCHITECTURES: 12.8 was the first version with sm_120."""


@cache
def installed() -> tuple[Nvrtc, ...]:
    """All NVRTC versions that can be loaded, newest first.

    Raises:
        MissingExtra: there is none.
    """
    versions: dict[tuple[int, int], Nvrtc] = {}
    for path in _candidates():
        nvrtc = _load(path)
        if nvrtc:
            versions.setdefault(nvrtc.version, nvrtc)
    if not versions:
        named = os.environ.get("GSCODEC_NVRTC")
        where = f"GSCODEC_NVRTC={named} cannot be loaded as NVRTC" if named else "NVRTC is not installed"
        raise MissingExtra(f"{where}; pip install 'nvidia-cuda-nvrtc>=13'")
    return tuple(versions[version] for version in sorted(versions, reverse=True))


def compile_usage(
    text: str, options: Sequence[str], architecture: str, nvrtc: Nvrtc | None = None
) -> tuple[Usage, ...]:
    """Resource usage of the kernels of a text, in the order of the text, compiled as CuPy does.

    NVRTC releases the interpreter's lock, so threads can compile in parallel.

    Args:
        nvrtc: one of `installed()`; None means the newest.

    Raises:
        KernelRefused: compilation fails or gives a warning.
        MissingExtra: NVRTC is not installed.
    """
    library = (nvrtc or installed()[0]).handle
    all_options = (*options, _CUPY_ADDS, f"-arch={architecture}", "--ptxas-options=-v")
    code, log, _ = _compile(library, text, all_options)
    complaints = [line for line in log.splitlines() if line.strip() and not line.startswith(("ptxas info", "ptxas  "))]
    if code or complaints:
        raise KernelRefused(f"{architecture}: {library.nvrtcGetErrorString(code).decode()}\n" + "\n".join(complaints))
    return _usages(log)


def compile_cubin(text: str, options: Sequence[str], architecture: str, nvrtc: Nvrtc | None = None) -> bytes:
    """The machine code of a text's kernels (ELF), compiled as CuPy does.

    Args:
        nvrtc: one of `installed()`; the newest when left out.

    Raises:
        KernelRefused: compilation fails.
        MissingExtra: NVRTC is not installed.
    """
    library = (nvrtc or installed()[0]).handle
    code, log, cubin = _compile(library, text, (*options, _CUPY_ADDS, f"-arch={architecture}"))
    if code:
        raise KernelRefused(f"{architecture}: {log}")
    return cubin


def _compile(library: Any, text: str, options: Sequence[str]) -> tuple[int, str, bytes]:
    """Result code, log, and machine code, if any."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    code = library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    if code:
        raise KernelRefused(library.nvrtcGetErrorString(code).decode())
    try:
        c_options = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        code = library.nvrtcCompileProgram(program, len(c_options), c_options)
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        library.nvrtcGetCUBINSize(program, ctypes.byref(size))
        cubin = ctypes.create_string_buffer(0 if code else size.value)
        library.nvrtcGetCUBIN(program, cubin)
        return code, log.value.decode(errors="replace"), cubin.raw
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _usages(log: str) -> tuple[Usage, ...]:
    """Usage from ptxas's log, which lists kernels in reverse order."""
    usages = []
    for part in re.split("(?=Compiling entry function)", log)[1:]:
        entry, stack, used = _ENTRY.search(part), _STACK.search(part), _USED.search(part)
        if not (entry and stack and used):
            raise KernelRefused(f"ptxas has an unknown log format: {part.strip()}")
        local, stored, _ = (int(number) for number in stack.groups())
        usages.append(Usage(entry[1], int(used[1]), int(used[2] or 0), local, stored))
    return tuple(reversed(usages))


def _load(path: Path) -> Nvrtc | None:
    """The NVRTC in a file; None if it cannot be loaded."""
    try:
        # NVRTC 13.0 does not search its own folder for this library, unless it is loaded already.
        for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
            ctypes.CDLL(str(builtins))
        library = ctypes.CDLL(str(path))
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        library.nvrtcGetErrorString.argtypes = (ctypes.c_int,)
        major, minor, n_known = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        library.nvrtcGetNumSupportedArchs(ctypes.byref(n_known))
        known = (ctypes.c_int * n_known.value)()
        library.nvrtcGetSupportedArchs(known)
    except (OSError, AttributeError):  # AttributeError: another library, or a version before 11.2
        return None
    numbers = set(known)
    architectures = tuple(name for name in ARCHITECTURES if int(name.removeprefix("sm_")) in numbers)
    return Nvrtc(library, (major.value, minor.value), architectures)


def _candidates() -> list[Path]:
    """Libraries of PyPI packages, and those on the system's library path."""
    named = os.environ.get("GSCODEC_NVRTC")
    if named:
        return [Path(named).resolve()]
    nvidia = importlib.util.find_spec("nvidia")
    roots = [Path(place) for place in (nvidia.submodule_search_locations or ())] if nvidia else []
    packaged = [path for root in roots for path in sorted(root.glob("*/lib/libnvrtc.so.*"))]
    system = ctypes.util.find_library("nvrtc")
    return [*packaged, *([Path(system)] if system else [])]
