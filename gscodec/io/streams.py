"""Paths that are not files on a disk: named pipes, terminals and other devices, and the open descriptors of a shell."""

import os
import re
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from gscodec.errors import file_access_error

_DESCRIPTOR: Final = re.compile(r"/dev/(std(in|out|err)|fd/\d+)|/proc/(self|\d+)/fd/\d+")


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is read and written in order, once, and cannot be replaced: a pipe, a device, a descriptor.

    A descriptor (`/dev/stdout`, `/dev/fd/63`) is one even where a regular file is behind it: whoever opened that file
    goes on with it. Block devices are none: nothing is written over a disk.
    """
    if _DESCRIPTOR.fullmatch(os.path.abspath(path)):  # noqa: PTH100 - links are not to be followed
        return True
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):  # no such file, or a NUL in the path
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def write_stream(path: str | os.PathLike[str], parts: Iterable[bytes | bytearray | memoryview]) -> None:
    """Write bytes, one part after the other, to an `is_stream` path, after whatever it has.

    Raises:
        OSError: the operating system refused.
    """
    # no O_CREAT: a pipe that is gone is not to become a file; O_APPEND: a shell may have written to the descriptor
    with open(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as file:  # noqa: PTH123 - a descriptor
        for part in parts:
            file.write(part)


def open_stdin() -> BinaryIO:
    """Stdin, as bytes.

    Raises:
        FileAccessError: it is closed.
    """
    if sys.stdin is None:
        raise file_access_error("stdin: is closed; name a file")
    return sys.stdin.buffer


class Rejoined:
    """A stream whose first bytes have been read to see what it is, as if they had not."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def seekable(self) -> bool:
        """Whether it goes back."""
        return False

    def read(self, count: int) -> bytes:
        """As many bytes, fewer at the end."""
        part, self._head = self._head[:count], self._head[count:]
        return part if len(part) == count else part + self._file.read(count - len(part))


def write_stdout(parts: Iterable[bytes | bytearray | memoryview]) -> None:
    """Write bytes to stdout, which may be closed, full, or a pipe that nobody reads any more.

    Raises:
        FileAccessError: it is.
    """
    try:
        sys.stdout.flush()
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    except (OSError, ValueError, AttributeError) as fault:  # AttributeError: no stdout, or one of text alone
        reason = getattr(fault, "strerror", None) or fault
        raise file_access_error(f"stdout: cannot be written: {reason}") from fault
