"""Byte source of a path, URL, stream or buffer; a pipe is read up to the file size in its header."""

import os
import stat
from mmap import mmap
from pathlib import Path
from typing import BinaryIO, Final

from gscodec.errors import GsCodecError, file_access_error
from gscodec.format.layout import HEADER, SIGNATURE
from gscodec.format.profile_table import LAYOUTS
from gscodec.io.source import ByteSource, FileSource, MemorySource, PathSource, SourceLike, is_url
from gscodec.model.limits import DEFAULT_LIMITS, Limits

_BLOCK: Final = 1 << 20


def drain(stream: BinaryIO, name: str, limits: Limits) -> bytes:
    """All bytes of a pipe, at most one more than the file size in its header, so that an endless pipe is not read on.

    Raises:
        FileAccessError: it cannot be read. LimitExceeded: its file size exceeds the memory limit.
    """
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
                layout = LAYOUTS.get(data[HEADER.offsets["profile"]])
                if layout is not None and layout.max_file_bytes is not None:  # the header has its size elsewhere
                    wanted = layout.max_file_bytes + 1
                limits.check_memory(wanted, f"{name}: a pipe that says it")
    except GsCodecError:
        raise
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise file_access_error(f"{name}: cannot be read: {reason}", fault) from fault
    return bytes(data)


def open_source(source: SourceLike, name: str, limits: Limits = DEFAULT_LIMITS) -> ByteSource:
    """Byte source of bytes, a mapping, a path, a URL or a binary file; a pipe is read into memory.

    Raises:
        FileAccessError: a path or URL cannot be opened, or a stream cannot be read.
        MissingExtra: the package needed to open the URL is not installed.
        LimitExceeded: the file size in a pipe's header exceeds the memory limit.
    """
    if isinstance(source, bytes | bytearray | memoryview | mmap):
        return MemorySource(source)
    if isinstance(source, str) and is_url(source):
        from gscodec.io.urls import open_remote

        return open_remote(source, name, limits)
    if not isinstance(source, str | os.PathLike):
        seekable = getattr(source, "seekable", None)
        if seekable is not None and seekable():
            return FileSource(source, name, owned=False)
        return MemorySource(drain(source, name, limits))
    try:
        file = Path(source).open("rb", buffering=0)  # noqa: SIM115 - the source closes it
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
        raise file_access_error(
            f"{name}: cannot be opened: {getattr(fault, 'strerror', None) or fault}", fault
        ) from fault
    try:
        opened = _opened(file, name, limits)
    except BaseException:
        file.close()
        raise
    if isinstance(opened, MemorySource):
        file.close()
    return opened


def _opened(file: BinaryIO, name: str, limits: Limits) -> ByteSource:
    """The most capable source of a path: positioned reads, else seeks, else read into memory."""
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and hasattr(os, "pread"):
        return PathSource(file, name)
    if file.seekable():
        return FileSource(file, name, owned=True)
    return MemorySource(drain(file, name, limits))
