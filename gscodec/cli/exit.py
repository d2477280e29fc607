"""Exit codes of the process, one per kind of outcome, and the code of each error class."""

from enum import IntEnum

from gscodec import errors


class ExitCode(IntEnum):
    """Exit codes of every command. They are part of the interface: a code never changes its meaning."""

    OK = 0
    USAGE = 1  # invalid or contradictory arguments
    IO = 2  # a file or stream could not be read or written, or exists already
    BAD_FILE = 3  # the input's bytes are damaged or of another format
    RUNTIME = 4  # any other failure
    UNSUPPORTED = 5  # valid, but not supported by this build or machine
    DIFFERS = 7  # compare: the pictures differ more than allowed
    TARGET_NOT_MET = 8  # encode: the file is written but misses the target
    PARTIAL = 9  # some items of a batch failed
    INTERRUPTED = 130  # Ctrl-C, as shells report it


# First match wins, so children stand before their parents.
_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (errors.InvalidArgument, ExitCode.USAGE),
    (errors.OutputExists, ExitCode.IO),
    (errors.FileAccessError, ExitCode.IO),
    (errors.BadFile, ExitCode.BAD_FILE),
    (errors.Unsupported, ExitCode.UNSUPPORTED),
    (errors.GsCodecError, ExitCode.RUNTIME),
    (MemoryError, ExitCode.RUNTIME),
    (OSError, ExitCode.IO),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
)


def code_of(error: BaseException) -> ExitCode:
    """The exit code that an error ends the process with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.RUNTIME)


def message_of(error: BaseException) -> str:
    """The error as one line, without a traceback and without the program's name."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, errors.GsCodecError):
        text = str(error)
    elif isinstance(error, MemoryError):
        return "out of memory: use a smaller picture, region or size"
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    else:
        text = f"{type(error).__name__}: {error} (a bug in gscodec; GSCODEC_DEBUG=1 shows where)"
    return " ".join(text.split())
