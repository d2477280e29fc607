"""What tells whether files are what they were, without reading them."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from gscodec.material.inputs import input_files

TICK_NS: Final = 20_000_000
"""A file that is written twice within a tick of the kernel's clock, 10 ms at most, has the same times after both."""

COARSE_TICK_NS: Final = 2_000_000_000
"""The same where a file system keeps whole seconds, FAT every other one."""


def files_of(sources: Sequence[Path]) -> list[Path]:
    """Every file that an item is made of: what a folder or a manifest among its sources stands for comes on top."""
    return list(dict.fromkeys(path for source in sources for path in input_files([source])))


def print_of(sources: Sequence[Path]) -> str | None:
    """Digest of where the sources' files really lie, their inodes, sizes, and times of change; None where one is gone.

    Times of modification can be set back, and names and links be switched; together, nothing of a file can change
    without its print.
    """
    try:
        known = []
        for path in files_of(sources):
            state = path.stat()
            place = os.fsencode(os.path.realpath(path)).hex()
            known.append([place, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns])
    except OSError:
        return None
    names = [os.fsencode(path).hex() for path in sources]
    return hashlib.sha256(json.dumps([names, sorted(known)]).encode()).hexdigest()


def settle_down(sources: Sequence[Path]) -> None:
    """Wait until a change of the sources could no longer hide behind the time of one before it."""
    now = time.time_ns()
    wait = 0
    for path in files_of(sources):
        try:
            state = path.stat()
        except OSError:
            continue
        for changed in (state.st_mtime_ns, state.st_ctime_ns):
            tick = TICK_NS if changed % 1_000_000_000 else COARSE_TICK_NS
            if 0 <= now - changed < tick:
                wait = max(wait, tick - (now - changed))
    if wait:
        time.sleep(wait / 1e9)


def digest_of(path: Path) -> str | None:
    """SHA-256 of a regular file's bytes, or None where there is none that can be read."""
    try:
        with open(path, "rb", opener=_regular) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def stat_of(path: Path) -> list[int] | None:
    """Size and time of modification (ns) of a regular file, or None."""
    try:
        state = path.stat()
    except OSError:
        return None
    return [state.st_size, state.st_mtime_ns] if stat.S_ISREG(state.st_mode) else None


def real_paths(paths: Iterable[Path]) -> set[str]:
    """Where paths lead."""
    return {os.path.realpath(path) for path in paths}


def _regular(path: str, flags: int) -> int:
    """Open a file, not a pipe, which would wait for a writer."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path}: is not a regular file")
    return descriptor
