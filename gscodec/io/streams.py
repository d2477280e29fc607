"""Paths that are not regular files: named pipes, terminals and other devices, and open descriptors of a shell."""

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
    """Whether a path is a pipe, character device or descriptor: sequential, and not replaceable.

    A descriptor (`/dev/stdout`, `/dev/fd/63`) counts even if it refers to a regular file, which its opener continues to
    use. Block devices do not count: disks are never written to.
    """
    if _DESCRIPTOR.fullmatch(os.path.abspath(path)):  # noqa: PTH100 - links are not to be followed
        return True
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):  # no such file, or a NUL in the path
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def write_stream(path: str | os.PathLike[str], parts: Iterable[bytes | bytearray | memoryview]) -> None:
    """Append bytes, part by part, to an `is_stream` path.

    Raises:
        OSError: the operating system refused.
    """
    # no O_CREAT: a removed pipe must not become a file; O_APPEND: a shell may have written to the descriptor
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
    """A stream with its first bytes, already read to identify it, put back in front."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def seekable(self) -> bool:
        """False: the stream cannot seek."""
        return False

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer at the end."""
        part, self._head = self._head[:count], self._head[count:]
        return part if len(part) == count else part + self._file.read(count - len(part))


def write_stdout(parts: Iterable[bytes | bytearray | memoryview]) -> None:
    """Write bytes to stdout.

    Raises:
        FileAccessError: stdout is closed, full, or a pipe without a reader.
    """
    try:
        sys.stdout.flush()
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    except (OSError, ValueError, AttributeError) as fault:  # AttributeError: no stdout, or a text-only one
        reason = getattr(fault, "strerror", None) or fault
        raise file_access_error(f"stdout: cannot be written: {reason}") from fault
