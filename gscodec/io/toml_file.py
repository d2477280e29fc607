"""Reading of untrusted TOML files within limits; each fault is one line of text."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from gscodec.errors import InvalidArgument, LimitExceeded, file_access_error

MAX_BYTES: Final = 1 << 24
"""Maximum size in bytes: far more than a list of 100,000 files; parsing needs some hundred times as much memory."""

MAX_KEY_PARTS: Final = 16
"""Maximum parts of a dotted key; tomllib's time and memory grow with their square."""

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_LONG_KEY: Final = re.compile(rf"(?:^|[\[{{,])[ \t]*{_PART}(?:[ \t]*\.[ \t]*{_PART}){{{MAX_KEY_PARTS}}}", re.MULTILINE)


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file.

    Raises:
        FileAccessError: it cannot be read.
        LimitExceeded: it has more than MAX_BYTES.
        InvalidArgument: it is not TOML, or is nested too deep.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as fault:
        raise file_access_error(f"{path}: cannot be read: {fault.strerror}", fault) from fault
    if len(data) > MAX_BYTES:
        raise LimitExceeded(f"{path}: is above the limit of {MAX_BYTES} bytes for a manifest")
    too_deep = f"{path}: is nested too deep for a manifest"
    try:
        text = data.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            raise InvalidArgument(too_deep)
        return tomllib.loads(text)
    except RecursionError as fault:
        raise InvalidArgument(too_deep) from fault
    except ValueError as fault:  # also UnicodeDecodeError, and integers of thousands of digits
        line = " ".join(str(fault).split())[:200]
        raise InvalidArgument(f"{path}: is not a TOML file: {line if line.isprintable() else ascii(line)}") from fault
