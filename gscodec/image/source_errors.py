"""Faults of source files in one line each: errors that name the file, and warnings about what is not kept."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from gscodec.errors import BadImage, GsCodecError, LimitExceeded, OutOfMemory, SourceWarning, file_access_error


@contextmanager
def one_line_errors(name: str) -> Iterator[None]:
    """Context that converts any error of a picture's decoder to one of this library, in one line that names the file.

    Decoders meet hostile bytes with exceptions of any kind (OSError, SyntaxError, struct.error, KeyError ...), so all
    kinds are caught. Their warnings are about metadata, and silenced; ours (`warn_of_source`) come when all is read.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", SourceWarning)
            yield
    except GsCodecError:
        raise
    except MemoryError as fault:
        raise OutOfMemory(f"{name}: does not fit into memory; scale the picture down") from fault
    except OSError as fault:
        if fault.errno is not None:
            raise file_access_error(f"{name}: cannot be read: {fault.strerror}", fault) from fault
        raise BadImage(f"{name}: damaged or cut off ({one_line(fault)})") from fault
    except Exception as fault:
        if type(fault).__name__ == "DecompressionBombError":  # Pillow's own limit, inside a plugin
            raise LimitExceeded(f"{name}: {one_line(fault)}") from fault
        raise BadImage(f"{name}: damaged or not a picture ({one_line(fault)})") from fault
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        warn_of_source(text)


def warn_of_source(text: str) -> None:
    """Warn in one line about a part of a source that is not kept, or how it is interpreted."""
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(text.split()))
    warnings.warn(line, SourceWarning, stacklevel=2)


def one_line(fault: Exception) -> str:
    """At most 160 printable characters of an exception's text, or its class."""
    text = " ".join(str(fault).split())
    return (text if text.isprintable() else ascii(text))[:160] or type(fault).__name__
