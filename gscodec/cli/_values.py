"""Values as people write them on a command line: byte sizes, points, regions, picture sizes.

Every parser raises typer.BadParameter with a text that says what was expected; typer puts the option's name before it.
"""

import math
import re
from typing import NamedTuple

from typer import BadParameter

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kmg]?i?)b?", re.IGNORECASE)


class Point(NamedTuple):
    """A place on the stored image, in pixels; pixel (0, 0) has its centre at (0.5, 0.5)."""

    x: float
    y: float


class Region(NamedTuple):
    """A rectangle of whole pixels."""

    x: int
    y: int
    width: int
    height: int


class Dimensions(NamedTuple):
    """Size of a picture in pixels."""

    height: int
    width: int


def parse_byte_size(text: str) -> int:
    """Bytes meant by `12345`, `10k`, `10kB` (thousands) or `10KiB`, `1.5MiB` (powers of 1024)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise BadParameter(f"{text!r} is not a size: write bytes, or a number with k, M, KiB or MiB")
    size = int(float(match[1]) * _UNITS[match[2].lower()])
    if size < 1:
        raise BadParameter("a size must be at least one byte")
    return size


def parse_point(text: str) -> Point:
    """The point meant by `x,y` or `x y`."""
    try:
        x, y = (float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise BadParameter(f"{text.strip()!r} is not a point: write x,y in pixels, for example 120.5,88") from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise BadParameter(f"{text.strip()!r} is not a point: coordinates must be finite")
    return Point(x, y)


def parse_region(text: str) -> Region:
    """The rectangle meant by `x,y,w,h`."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise BadParameter(f"{text!r} is not a region: write x,y,w,h in pixels, for example 0,0,256,128") from None
    if x < 0 or y < 0 or width < 1 or height < 1:
        raise BadParameter(f"{text!r} is not a region: x and y start at 0, w and h at 1")
    return Region(x, y, width, height)


def parse_dimensions(text: str) -> Dimensions:
    """The picture size meant by `WxH`."""
    match = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", text.strip())
    if match is None or 0 in (int(match[1]), int(match[2])):
        raise BadParameter(f"{text!r} is not a size: write WxH in pixels, for example 640x480")
    return Dimensions(height=int(match[2]), width=int(match[1]))


def human_bytes(size: int) -> str:
    """A byte count for a person: exact bytes, and kB or MB once that helps."""
    if size < 10_000:
        return f"{size} bytes"
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1e6:.2f} MB"
