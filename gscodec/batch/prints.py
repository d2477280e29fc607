"""File fingerprints from metadata (inode, size, times): detect changes without reading the files."""

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
"""Two writes within one tick of the kernel's clock (at most 10 ms) leave the same timestamps; twice that, in ns."""

COARSE_TICK_NS: Final = 2_000_000_000
"""The same, in ns, for file systems with timestamps of 1 s or (FAT) 2 s resolution."""


def files_of(sources: Sequence[Path]) -> list[Path]:
    """Every source file of an item, including those that a folder or manifest among its sources expands to."""
    return list(dict.fromkeys(path for source in sources for path in input_files([source])))


def print_of(sources: Sequence[Path]) -> str | None:
    """Digest of the source files' real paths, inodes, sizes and change times (ctime); None if one is missing.

    Modification times can be set back, and names and links can be exchanged; all these together change whenever a
    file's content changes.
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


def wait_for_later_timestamp(sources: Sequence[Path]) -> None:
    """Wait until a further change of the sources is certain to get a later timestamp than the last one."""
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
    """SHA-256 of a regular file's bytes, or None if it does not exist or cannot be read."""
    try:
        with open(path, "rb", opener=_regular) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def stat_of(path: Path) -> list[int] | None:
    """Size in bytes and modification time in ns of a regular file, or None."""
    try:
        state = path.stat()
    except OSError:
        return None
    return [state.st_size, state.st_mtime_ns] if stat.S_ISREG(state.st_mode) else None


def real_paths(paths: Iterable[Path]) -> set[str]:
    """The paths with symbolic links resolved."""
    return {os.path.realpath(path) for path in paths}


def _regular(path: str, flags: int) -> int:
    """Open a regular file; refuses pipes, which would block until a writer appears."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path}: is not a regular file")
    return descriptor
