"""What the process tells its caller when it ends: one code per kind of outcome, and the error that leads to it."""

from enum import IntEnum

from gscodec import errors


class ExitCode(IntEnum):
    """Exit codes of every command. They are part of the interface: a code never changes its meaning."""

    OK = 0
    USAGE = 1  # the command line asks for something that does not exist or contradicts itself
    IO = 2  # a file or stream could not be read or written, or is there already
    BAD_FILE = 3  # the input's bytes are damaged or are not what they claim to be
    RUNTIME = 4  # anything else that went wrong
    UNSUPPORTED = 5  # well formed, but not something this build or machine can do
    DIFFERS = 7  # compare: the pictures differ more than allowed
    TARGET_NOT_MET = 8  # encode: the file is written but misses the figure asked for
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
    if isinstance(error, MemoryError):
        return "out of memory: use a smaller picture, region or size"
    if isinstance(error, errors.GsCodecError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    else:
        text = f"{type(error).__name__}: {error} (a bug in gscodec; GSCODEC_DEBUG=1 shows where)"
    return " ".join(text.split())
