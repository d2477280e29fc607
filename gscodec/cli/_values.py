"""Parsers of command line values: byte sizes, points, regions, picture sizes.

Each raises typer.BadParameter with a text that names the expected format; typer prefixes the option's name.
"""

import math
import re
from typing import NamedTuple

from typer import BadParameter

from gscodec.io.units import bytes_of


class Point(NamedTuple):
    """A position on the stored image, in px; pixel (0, 0) has its centre at (0.5, 0.5)."""

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
    """Number of bytes from `12345`, `10k`, `10kB` (thousands) or `10KiB`, `1.5MiB` (powers of 1024)."""
    try:
        return bytes_of(text)
    except ValueError as fault:
        raise BadParameter(str(fault)) from None


def parse_point(text: str) -> Point:
    """Point from `x,y` or `x y`."""
    try:
        x, y = (float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise BadParameter(f"{text.strip()[:80]!r} is not a point: write x,y in pixels, for example 120.5,88") from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise BadParameter(f"{text.strip()[:80]!r} is not a point: coordinates must be finite")
    return Point(x, y)


def parse_region(text: str) -> Region:
    """Rectangle from `x,y,w,h`."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise BadParameter(f"{text!r} is not a region: write x,y,w,h in pixels, for example 0,0,256,128") from None
    if x < 0 or y < 0 or width < 1 or height < 1:
        raise BadParameter(f"{text!r} is not a region: x and y start at 0, w and h at 1")
    return Region(x, y, width, height)


def parse_dimensions(text: str) -> Dimensions:
    """Picture size from `WxH`."""
    match = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", text.strip())
    if match is None or 0 in (int(match[1]), int(match[2])):
        raise BadParameter(f"{text!r} is not a size: write WxH in pixels, for example 640x480")
    return Dimensions(height=int(match[2]), width=int(match[1]))


def human_bytes(size: int) -> str:
    """A byte count as text: exact bytes, or kB or MB if larger."""
    if size < 10_000:
        return f"{size} bytes"
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1e6:.2f} MB"


def parse_weights(text: str) -> dict[str, float]:
    """Weights from `name=number,name=number`."""
    weights = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise BadParameter(f"{part.strip()!r} is not a weight: write name=number, for example normal=0.5")
    return weights


def parse_channels(text: str) -> dict[str, int]:
    """Channel counts from `name=count,name=count`."""
    counts = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if not name.strip() or not re.fullmatch(r"[1-9]\d{0,2}", number.strip(), re.ASCII) or name.strip() in counts:
            raise BadParameter(f"{part.strip()!r} names no channels: write name=count, for example albedo=3,normal=3")
        counts[name.strip()] = int(number)
    return counts


class Shard(NamedTuple):
    """One of the n parts of a batch."""

    number: int  # from 1
    of: int


def parse_shard(text: str) -> Shard:
    """Part of a batch from `i/n`."""
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal() or not 1 <= int(number) <= int(of):
        raise BadParameter(f"{text!r} is not a shard: write i/n, from 1/n to n/n")
    return Shard(int(number), int(of))
