"""Errors that the library raises on purpose, and its warnings. Each message is one line: the fact and the remedy.

Where Python has an error for the case, ours is one of that class as well, so that code that does not know this library
catches it: OSError and its children, ValueError, MemoryError, ImportError.
"""

import errno
import os
from typing import Any


class GsCodecError(Exception):
    """Base of all errors raised on purpose."""


class InvalidArgument(GsCodecError, ValueError):
    """An argument is out of range, of the wrong shape, or contradicts another."""


class FileAccessError(GsCodecError, OSError):
    """A file cannot be read or written; an OSError whose text is a sentence.

    `file_access_error` chooses the subclass that corresponds to the errno.

    Attributes:
        errno, strerror: as reported by the operating system, or None.
        filename: the path, or None.
    """

    def __init__(
        self, text: str = "", errno: int | None = None, filename: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__(text)
        if errno is not None:
            self.errno = errno
            self.strerror = os.strerror(errno)
        if filename is not None:
            self.filename = os.fspath(filename)

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.errno, self.filename)


class FileMissing(FileAccessError, FileNotFoundError):
    """The file or folder does not exist."""


class FileForbidden(FileAccessError, PermissionError):
    """The file may not be read or written by this user."""


class FileIsFolder(FileAccessError, IsADirectoryError):
    """The path is a folder where a file is required."""


class FileIsNoFolder(FileAccessError, NotADirectoryError):
    """The path is a file where a folder is required."""


class OutputExists(FileAccessError, FileExistsError):
    """The output exists, and overwrite was not set."""

    def __init__(
        self,
        text: str = "",
        errno: int | None = errno.EEXIST,
        filename: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(text, errno, filename)


_BY_ERRNO: dict[int, type[FileAccessError]] = {
    errno.ENOENT: FileMissing,
    errno.EACCES: FileForbidden,
    errno.EPERM: FileForbidden,
    errno.EISDIR: FileIsFolder,
    errno.ENOTDIR: FileIsNoFolder,
}


def file_access_error(
    text: str, fault: BaseException | int | None = None, filename: str | os.PathLike[str] | None = None
) -> FileAccessError:
    """A FileAccessError, or the subclass for its errno, with this text.

    Args:
        text: one line that names the file, the fact and the remedy.
        fault: the OSError that caused it, or an errno; other exceptions contribute neither errno nor filename.
        filename: the path; None means that of `fault`.
    """
    number = fault if isinstance(fault, int) else getattr(fault, "errno", None)
    if filename is None and isinstance(fault, OSError) and isinstance(fault.filename, str | os.PathLike):
        filename = fault.filename
    return _BY_ERRNO.get(number or 0, FileAccessError)(text, number, filename)


class BadFile(GsCodecError, ValueError):
    """The bytes are invalid. Base of the faults of `.igs` files and source images."""


class BadMagic(BadFile):
    """The signature of an `.igs` file is missing."""


class TruncatedStream(BadFile):
    """The file ends before a section that it declares."""


class ChecksumMismatch(BadFile):
    """A CRC-32C does not match: the bytes were changed after they were written."""


class CorruptField(BadFile):
    """A field has a value outside its documented range."""


class LimitExceeded(BadFile):
    """A count or size exceeds a documented limit; nothing was allocated for it."""


class OutOfMemory(LimitExceeded, MemoryError):
    """A picture within the limits does not fit into the memory of this machine."""


class BadImage(BadFile):
    """A source image cannot be decoded."""


class Unsupported(GsCodecError):
    """The input is valid but needs a feature that this build does not have."""


class UnsupportedVersion(Unsupported):
    """The file has a major version this reader does not know."""


class UnsupportedChunk(Unsupported):
    """The file has a critical chunk, profile or codec this reader does not know."""


class UnsupportedImage(Unsupported):
    """A source image has a layout that cannot be encoded yet."""


class BackendUnavailable(Unsupported):
    """The requested engine or device is not available on this machine."""


class MissingExtra(Unsupported, ImportError):
    """An optional package is not installed; the text has the pip command."""


class OutOfDeviceMemory(GsCodecError):
    """A GPU has too little free memory; the text has the bytes needed and free."""


class DeviceFallback(UserWarning):
    """Device `auto` uses the CPU although there is a GPU; the text gives the reason."""


class DeviceWarning(UserWarning):
    """A GPU works, but more slowly than expected; the text gives the reason."""


class TargetWarning(UserWarning):
    """A target is expected to be missed; said before the fit, which takes long."""


class SourceWarning(UserWarning):
    """Something in a source picture is not kept, or is interpreted in a way that may be unexpected; one line."""
