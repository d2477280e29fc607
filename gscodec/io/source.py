"""Byte sources, read at offsets: memory, a path or an open file."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap
from threading import Lock
from typing import BinaryIO, Final, Protocol

from gscodec.errors import FileAccessError, TruncatedStream, file_access_error

_MOST_ANNOUNCED: Final = 1024  # ranges announced at once; the first ones keep the disk busy
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|[A-Za-z][A-Za-z0-9+.-]+::[A-Za-z]")

SourceLike = bytes | bytearray | memoryview | mmap | BinaryIO | str | os.PathLike[str]


@dataclass
class Traffic:
    """Read statistics of a source. Concurrent reads may be counted incompletely."""

    n_bytes: int = 0
    n_reads: int = 0  # reads of a local file, requests to a server

    def add(self, n_bytes: int, n_reads: int = 1) -> None:
        """Count some reads."""
        self.n_bytes += n_bytes
        self.n_reads += n_reads


class ByteSource(Protocol):
    """Random access to bytes; thread-safe."""

    size: int
    is_remote: bool  # whether reads have network latency, so that merging them pays off
    traffic: Traffic

    def read_at(self, offset: int, n_bytes: int) -> bytes | memoryview:
        """Exactly n_bytes from offset; the caller guarantees that they lie within `size`."""
        ...

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes | memoryview]:
        """As `read_at` for several pairs of offset and length."""
        ...

    def restart_clock(self) -> None:
        """Start a new request, which has its own time limit."""
        ...

    def close(self) -> None:
        """Release the bytes."""
        ...


class MemorySource:
    """Bytes in memory or in a mapping of the caller. Nothing is copied."""

    is_remote = False

    def __init__(self, data: bytes | bytearray | memoryview | mmap) -> None:
        self._view = memoryview(data).cast("B")
        self.size = len(self._view)
        self.traffic = Traffic()

    def read_at(self, offset: int, n_bytes: int) -> memoryview:
        """A view of n_bytes from offset."""
        self.traffic.add(n_bytes)
        return self._view[offset : offset + n_bytes]

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """See `ByteSource.read_many`."""
        return [self.read_at(offset, n_bytes) for offset, n_bytes in ranges]

    def restart_clock(self) -> None:
        """See `ByteSource.restart_clock`. Nothing here waits."""

    def close(self) -> None:
        """Release the buffer, so that a mapping can be closed."""
        self._view.release()


class PathSource:
    """A regular file, read at offsets; threads and forked processes may read it concurrently.

    It is not memory-mapped: access to a mapping of a file that was truncated meanwhile kills the process (SIGBUS).
    """

    is_remote = False

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        status = os.fstat(file.fileno())
        self.size, self._changed = status.st_size, status.st_mtime_ns
        self.traffic = Traffic()
        if hasattr(os, "posix_fadvise"):  # disables read-ahead, which reads far more than the requested pages
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """The n_bytes from offset.

        Raises:
            FileAccessError: the operating system refused, or the file was written to since it was opened.
            TruncatedStream: the file became shorter since it was opened.
        """
        return self.read_many([(offset, n_bytes)])[0]

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """As `read_at`; announces all ranges first (POSIX_FADV_WILLNEED), so that the disk can reorder them."""
        try:
            file = self._file.fileno()
            if len(ranges) > 1 and hasattr(os, "posix_fadvise"):
                for offset, n_bytes in ranges[:_MOST_ANNOUNCED]:
                    os.posix_fadvise(file, offset, n_bytes, os.POSIX_FADV_WILLNEED)
            parts = [self._read(file, offset, n_bytes) for offset, n_bytes in ranges]
            status = os.fstat(file)
        except TruncatedStream:  # a ValueError, too
            raise
        except (OSError, ValueError) as fault:  # ValueError: closed meanwhile
            text = f"{self._name}: cannot be read: {getattr(fault, 'strerror', None) or fault}"
            raise file_access_error(text, fault) from fault
        if status.st_size < self.size:
            raise TruncatedStream(f"{self._name}: became shorter while it was read")
        if (status.st_size, status.st_mtime_ns) != (self.size, self._changed):
            raise FileAccessError(f"{self._name}: was written to while it was read; open it again")
        return parts

    def _read(self, file: int, offset: int, n_bytes: int) -> bytes:
        data = os.pread(file, n_bytes, offset)
        while len(data) < n_bytes:  # a read returns at most 2 GiB
            part = os.pread(file, n_bytes - len(data), offset + len(data))
            if not part:
                raise TruncatedStream(f"{self._name}: became shorter while it was read")
            data += part
        self.traffic.add(n_bytes)
        return data

    def restart_clock(self) -> None:
        """See `ByteSource.restart_clock`. A disk has no time limit."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FileSource:
    """A seekable binary file. Reads of several threads are serialised; processes must not share it."""

    is_remote = False

    def __init__(self, file: BinaryIO, name: str, *, owned: bool) -> None:
        self._file, self._name, self._owned = file, name, owned
        self._lock = Lock()
        self.traffic = Traffic()
        try:
            self.size = file.seek(0, os.SEEK_END)
        except OSError as fault:
            raise file_access_error(f"{name}: cannot be read: {fault.strerror or fault}", fault) from fault

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """The n_bytes from offset.

        Raises:
            FileAccessError: the operating system refused.
            TruncatedStream: the file became shorter since it was opened.
        """
        parts, missing = [], n_bytes
        try:
            with self._lock:
                self._file.seek(offset)
                while missing:
                    part = self._file.read(missing)
                    if not part:
                        raise TruncatedStream(f"{self._name}: became shorter while it was read")
                    parts.append(part)
                    missing -= len(part)
        except TruncatedStream:  # a ValueError, too
            raise
        except (OSError, ValueError) as fault:  # ValueError: the caller has closed the file
            raise file_access_error(f"{self._name}: cannot be read: {fault}", fault) from fault
        self.traffic.add(n_bytes)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `ByteSource.read_many`."""
        return [self.read_at(offset, n_bytes) for offset, n_bytes in ranges]

    def restart_clock(self) -> None:
        """See `ByteSource.restart_clock`. The caller's file has no time limit."""

    def close(self) -> None:
        """Close the file if it was opened here."""
        if self._owned:
            self._file.close()


class PartSource:
    """A run of bytes of another source, which stays open when this is closed.

    Args:
        offset, size: of the run; of a source that ends inside of it, the part that is there.
    """

    def __init__(self, source: ByteSource, offset: int, size: int) -> None:
        self._source, self._offset = source, offset
        self.size = max(0, min(size, source.size - offset))
        self.is_remote, self.traffic = source.is_remote, source.traffic

    def read_at(self, offset: int, n_bytes: int) -> bytes | memoryview:
        """See `ByteSource.read_at`."""
        return self._source.read_at(self._offset + offset, n_bytes)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes | memoryview]:
        """See `ByteSource.read_many`."""
        return self._source.read_many([(self._offset + offset, n_bytes) for offset, n_bytes in ranges])

    def restart_clock(self) -> None:
        """See `ByteSource.restart_clock`."""
        self._source.restart_clock()

    def close(self) -> None:
        """See `ByteSource.close`. The other source is left open."""


def is_url(source: object) -> bool:
    """Whether a source is a URL in fsspec's syntax, and not a path."""
    return isinstance(source, str) and _URL.match(source) is not None


def name_of_url(url: str) -> str:
    """The last component of a URL's path, from which output names are derived; not yet a safe file name."""
    return url.partition("?")[0].partition("#")[0].partition("://")[2].rstrip("/").rpartition("/")[2] or "picture.igs"


def source_name(source: SourceLike) -> str:
    """Name of a source for messages; of a URL without user, password and query, which may be secrets."""
    if isinstance(source, str) and is_url(source):
        return re.sub(r"(?<=://)[^/]*@", "", source).partition("?")[0]
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "(bytes)"
