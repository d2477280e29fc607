"""The bytes of a file in the order in which they arrive: from a path, a URL, a stream, or pieces of the caller."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from gscodec.errors import InvalidArgument, file_access_error
from gscodec.io.source import is_url
from gscodec.model.limits import DEFAULT_LIMITS, Limits

_BLOCK: Final = 1 << 16

ArrivingLike = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Iterable[bytes]
"""A path, a URL, bytes, a binary stream, or an iterable of pieces."""


def arriving(source: ArrivingLike, name: str, limits: Limits = DEFAULT_LIMITS) -> Iterator[bytes]:
    """Yields pieces of a file, none of them empty, without waiting for more than there is.

    A URL of HTTP takes one request, whose answer is read as fast as pieces are taken; it ends when the iterator is
    closed. A stream of the caller is left open.

    Raises:
        FileAccessError: the source cannot be read, or the server is too slow.
        InvalidArgument: it is none of these, or a piece is not bytes.
        MissingExtra: the package needed to open the URL is not installed.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield from _nonempty([bytes(source)])
    elif isinstance(source, str) and is_url(source):
        from gscodec.io.urls import stream_remote

        yield from _nonempty(stream_remote(source, name, limits))
    elif isinstance(source, str | os.PathLike):
        try:
            with Path(source).open("rb") as file:
                yield from _blocks(file, name)
        except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
            raise _fault(name, fault) from fault
    elif hasattr(source, "read"):
        yield from _blocks(source, name)
    elif isinstance(source, Iterable):
        yield from _nonempty(source)
    else:
        raise InvalidArgument(f"{name}: is not a path, URL, bytes, stream or iterable of bytes")


def _blocks(file: Any, name: str) -> Iterator[bytes]:
    """Pieces of a binary stream; `read1`, where there is one, returns what has arrived."""
    read = getattr(file, "read1", file.read)
    try:
        while part := read(_BLOCK):
            yield bytes(part)
    except (OSError, ValueError) as fault:  # ValueError: the caller has closed it
        raise _fault(name, fault) from fault


def _nonempty(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise InvalidArgument(f"a piece of a file is {type(piece).__name__}, must be bytes")
        if len(piece):
            yield bytes(piece)


def _fault(name: str, fault: Exception) -> Exception:
    return file_access_error(f"{name}: cannot be read: {getattr(fault, 'strerror', None) or fault}", fault)
