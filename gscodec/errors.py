"""Every error the library raises on purpose, and its one warning. Each is one fact, in one line a user can act on."""


class GsCodecError(Exception):
    """Base of all errors raised on purpose."""


class InvalidArgument(GsCodecError, ValueError):
    """An argument is out of range, of the wrong shape, or contradicts another."""


class OutputExists(GsCodecError):
    """The output path is taken and overwriting was not asked for."""


class FileAccessError(GsCodecError):
    """The operating system refused to read or write a file."""


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
