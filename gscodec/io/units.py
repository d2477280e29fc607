"""Parsing of byte sizes such as `10kB` or `1.5MiB`."""

import re
from typing import Final

_UNITS: Final = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kmg]?i?)b?", re.IGNORECASE)


def bytes_of(text: str) -> int:
    """Number of bytes in a text: `12345`, `10k`, `10kB` (powers of 1000), `10KiB`, `1.5MiB` (powers of 1024).

    Raises:
        ValueError: it is not a size, or less than one byte; the message says which.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError(f"{text!r} is not a size: write bytes, or a number with k, M, KiB or MiB")
    size = int(float(match[1]) * _UNITS[match[2].lower()])
    if size < 1:
        raise ValueError("a size must be at least one byte")
    return size
