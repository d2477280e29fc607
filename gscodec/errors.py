"""Every error the library raises on purpose, and its warnings. Each is one fact, in one line a user can act on."""

import errno
import os
from typing import Any


class GsCodecError(Exception):
    """Base of all errors raised on purpose."""


class InvalidArgument(GsCodecError, ValueError):
    """An argument is out of range, of the wrong shape, or contradicts another."""


class FileAccessError(GsCodecError, OSError):
    """A file cannot be read or written; an OSError whose text is one sentence.

    `file_access_error` makes the subclass that Python has for the fact.

    Attributes:
        errno, strerror: what the operating system said; None where it did not.
        filename: the path, where there is one.
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
    """There is no such file or folder."""


class FileForbidden(FileAccessError, PermissionError):
    """The file may not be read or written by this user."""


class FileIsFolder(FileAccessError, IsADirectoryError):
    """A folder is where a file belongs."""


class FileIsNoFolder(FileAccessError, NotADirectoryError):
    """A file is where a folder belongs."""


class OutputExists(FileAccessError, FileExistsError):
    """The output path is taken and overwriting was not asked for."""

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
    """The error with this text whose class, `errno` and `filename` say what the operating system said.

    Args:
        text: one line that names the file, the fact and the remedy.
        fault: the OSError behind it, or an errno; of any other exception nothing is taken.
        filename: the path; None is that of `fault`.
    """
    number = fault if isinstance(fault, int) else getattr(fault, "errno", None)
    if filename is None and isinstance(fault, OSError) and isinstance(fault.filename, str | os.PathLike):
        filename = fault.filename
    return _BY_ERRNO.get(number or 0, FileAccessError)(text, number, filename)


class BadFile(GsCodecError):
    """The bytes are not what they claim to be. Base of the `.igs` and source-image faults."""


class BadMagic(BadFile):
    """The signature of an `.igs` file is missing."""


class TruncatedStream(BadFile):
    """The file ends before something it promises."""


class ChecksumMismatch(BadFile):
    """A CRC32C does not match: the bytes were changed after they were written."""


class CorruptField(BadFile):
    """A field holds a value outside its documented range."""


class LimitExceeded(BadFile):
    """A count or size is above a documented limit; nothing was allocated for it."""


class BadImage(BadFile):
    """A source image cannot be decoded."""


class Unsupported(GsCodecError):
    """The input is well formed but asks for something this build does not do."""


class UnsupportedVersion(Unsupported):
    """The file has a major version this reader does not know."""


class UnsupportedChunk(Unsupported):
    """The file has a critical chunk, profile or codec this reader does not know."""


class UnsupportedImage(Unsupported):
    """A source image has a layout that cannot be encoded yet."""


class BackendUnavailable(Unsupported):
    """The engine or device asked for cannot run on this machine."""


class MissingExtra(Unsupported):
    """An optional package is not installed; the text has the pip command."""


class OutOfDeviceMemory(GsCodecError):
    """A card has too little free memory; the text has the bytes needed and free."""


class DeviceFallback(UserWarning):
    """Device `auto` goes on with the CPU although a card is there; the text says why."""


class DeviceWarning(UserWarning):
    """A GPU works, but not as fast as it should; the text says why."""


class SourceWarning(UserWarning):
    """Something in a source picture is not kept, or was taken in a way that its user may not expect; one line."""
