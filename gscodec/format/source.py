"""Where the bytes of a file come from: memory, a path or an open file, read at offsets."""

import os
from mmap import mmap
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final, Protocol

from gscodec.errors import FileAccessError, TruncatedStream
from gscodec.format.layout import HEADER, SIGNATURE

_BLOCK: Final = 1 << 20

SourceLike = bytes | bytearray | memoryview | mmap | BinaryIO | str | os.PathLike[str]


class ByteSource(Protocol):
    """Bytes at offsets."""

    size: int

    def read_at(self, offset: int, n_bytes: int) -> bytes | memoryview:
        """Exactly n_bytes from offset; the caller has compared both with size."""
        ...

    def close(self) -> None:
        """Let go of the bytes."""
        ...


class MemorySource:
    """Bytes that are in memory or mapped into it. Nothing is copied."""

    def __init__(self, data: bytes | bytearray | memoryview | mmap) -> None:
        self._view = memoryview(data).cast("B")
        self.size = len(self._view)

    def read_at(self, offset: int, n_bytes: int) -> memoryview:
        """A view of n_bytes from offset."""
        return self._view[offset : offset + n_bytes]

    def close(self) -> None:
        """Let go of the buffer, so that a mapping can be closed."""
        self._view.release()


class FileSource:
    """A seekable binary file. Reads from several threads take turns."""

    def __init__(self, file: BinaryIO, name: str, *, owned: bool) -> None:
        self._file, self._name, self._owned = file, name, owned
        self._lock = Lock()
        try:
            self.size = file.seek(0, os.SEEK_END)
        except OSError as fault:
            raise FileAccessError(f"{name}: cannot be read: {fault.strerror or fault}") from fault

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
        except (OSError, ValueError) as fault:  # ValueError: the caller has closed the file
            raise FileAccessError(f"{self._name}: cannot be read: {fault}") from fault
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file if it was opened here."""
        if self._owned:
            self._file.close()


def _drain(stream: BinaryIO, name: str) -> bytes:
    """All bytes of a pipe, but at most one more than its header says, so that a pipe without end is let go."""
    data = bytearray()
    wanted = HEADER.size
    offset = HEADER.offsets["file_size"]
    try:
        while len(data) < wanted:
            part = stream.read(min(_BLOCK, wanted - len(data)))
            if not part:
                break
            data += part
            if wanted == HEADER.size and len(data) >= wanted and data.startswith(SIGNATURE):
                wanted = int.from_bytes(data[offset : offset + 8], "little") + 1
    except (OSError, ValueError) as fault:
        raise FileAccessError(f"{name}: cannot be read: {fault}") from fault
    return bytes(data)


def source_name(source: SourceLike) -> str:
    """What messages call a source."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "(bytes)"


def open_source(source: SourceLike, name: str) -> ByteSource:
    """A source over bytes, a mapping, a path or a binary file; a pipe is read into memory.

    Raises:
        FileAccessError: a path cannot be opened, or a stream cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview | mmap):
        return MemorySource(source)
    if not isinstance(source, str | os.PathLike):
        seekable = getattr(source, "seekable", None)
        if seekable is not None and seekable():
            return FileSource(source, name, owned=False)
        return MemorySource(_drain(source, name))
    try:
        file = Path(source).open("rb", buffering=0)  # noqa: SIM115 - FileSource closes it
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
        raise FileAccessError(f"{name}: cannot be opened: {getattr(fault, 'strerror', None) or fault}") from fault
    try:
        if file.seekable():
            return FileSource(file, name, owned=True)
        data = _drain(file, name)
    except BaseException:
        file.close()
        raise
    file.close()
    return MemorySource(data)
