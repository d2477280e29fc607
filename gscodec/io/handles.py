"""Open binary files of the caller, as places to write to."""

import io
import os
from typing import Protocol, runtime_checkable

from gscodec.errors import InvalidArgument, file_access_error


@runtime_checkable
class Writable(Protocol):
    """A binary file open for writing, or what behaves as one."""

    def write(self, data: bytes, /) -> object:
        """Write all of the data."""
        ...


Target = str | os.PathLike[str] | Writable
"""A path or an open binary file that a result is written to."""


def as_handle(target: object) -> Writable | None:
    """An open file among targets; None for paths and for None.

    Raises:
        InvalidArgument: it is open as text.
    """
    if target is None or isinstance(target, str | os.PathLike):
        return None
    refuse_text(target, "wb")
    return target if isinstance(target, Writable) else None


def refuse_text(handle: object, mode: str) -> None:
    """Refuse a file that is open as text.

    Raises:
        InvalidArgument: it is.
    """
    if isinstance(handle, io.TextIOBase):
        raise InvalidArgument(f"{handle_name(handle)}: is open as text; open it with mode {mode!r}")


def write_handle(target: Writable, data: bytes) -> None:
    """Write a file's bytes at the position of an open file, which stays open.

    Raises:
        FileAccessError: it cannot be written.
    """
    try:
        target.write(data)
    except (OSError, ValueError) as fault:  # ValueError: it is closed
        reason = getattr(fault, "strerror", None) or fault
        raise file_access_error(f"{handle_name(target)}: cannot be written: {reason}", fault) from fault


def handle_name(handle: object) -> str:
    """Name of an open file for messages."""
    name = getattr(handle, "name", None)
    return name if isinstance(name, str) else "(file object)"
