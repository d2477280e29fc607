"""Radiance HDR (RGBE) pictures: Ward, "Real Pixels", Graphics Gems II, 1991, and the Radiance file format."""

import re
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage, InvalidArgument, UnsupportedImage
from gscodec.format.files import FileEntry
from gscodec.image.alpha import report_lost_alpha
from gscodec.image.file_types.base import FloatPicture, PictureType, SourceFile
from gscodec.image.floats import float_group, model_samples
from gscodec.image.source_errors import warn_of_source
from gscodec.image.stack import DimensionCheck, ImageStack, bare_name, check_dimensions
from gscodec.model.channels import AlphaMode, Role

_SIZE: Final = re.compile(rb"([-+])([XYxy]) +(\d{1,9}) +([-+])([XYxy]) +(\d{1,9})[ \r]*\n")
_HEADER_LIMIT: Final = 1 << 16
_RUN: Final = 128


class Radiance(PictureType):
    """Radiance HDR: RGB light in 32 bits per pixel; written flat, colour over black where there is an alpha."""

    name = "HDR"
    title = "Radiance HDR"
    starts = (b"#?RADIANCE", b"#?RGBE")
    read_suffixes = (".hdr", ".rgbe")
    written_suffixes = (".hdr",)
    has_integers = False
    has_floats = True
    float_alpha = AlphaMode.PREMULTIPLIED

    def read(self, source: SourceFile) -> ImageStack:
        """See `PictureType.read`."""
        return read_radiance(source.file, source.name, source.check)

    def write_floats(self, picture: FloatPicture) -> bytes:
        """See `PictureType.write_floats`."""
        values, name = picture.values, picture.name
        if values.shape[2] not in {1, 3, 4}:
            raise InvalidArgument(f"{name}: Radiance HDR has three channels, not {values.shape[2]}; write OpenEXR")
        if values.shape[2] == 4:
            report_lost_alpha(values[:, :, 3], self.name, name)
        return write_radiance(np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values[:, :, :3])


def read_radiance(file: BinaryIO, name: str, check: DimensionCheck = check_dimensions) -> ImageStack:
    """A colour picture of light in RGBE, run-length coded or flat, upright, in the units before EXPOSURE and COLORCORR.

    Raises:
        BadImage: damaged or cut off. UnsupportedImage: CIE XYZ. LimitExceeded: too large.
    """
    content = file.read()
    end = content.find(b"\n\n", 0, _HEADER_LIMIT)
    if end < 0:
        raise BadImage(f"{name}: the Radiance header has no end")
    lines = _variables(content[:end])
    formats = {value for key, value in lines if key == "FORMAT"}
    if formats - {"32-bit_rle_rgbe"}:
        kind = "in CIE XYZ" if "32-bit_rle_xyze" in formats else f"of format {min(formats)[:40]!a}"
        raise UnsupportedImage(f"{name}: Radiance pictures {kind} are not read; convert it to RGBE")
    size = _SIZE.match(content, end + 2)
    if not size or {size[2].upper(), size[5].upper()} != {b"X", b"Y"}:
        raise BadImage(f"{name}: the Radiance header does not say the size of the picture")
    n_rows, n_columns = int(size[3]), int(size[6])  # of the order in the file
    if n_rows < 1 or n_columns < 1:
        raise BadImage(f"{name}: {n_columns}x{n_rows} px is not a picture")
    check(n_rows, n_columns, name, 3)
    values = _upright(_floats(_rgbe(content, size.end(), n_rows, n_columns, name)), size)
    with np.errstate(over="ignore"):
        values = (values / _exposure(lines, name)).astype(np.float32)
    if not np.isfinite(values).all():
        raise BadImage(f"{name}: its EXPOSURE or COLORCORR leaves numbers that no float holds")
    source = bare_name(name, ".hdr")
    height, width, _ = values.shape
    group = float_group("color", values, Role.COLOR, 32, source)
    exr: dict[str, Any] = {
        "channels": [{"name": each, "type": "half", "place": place} for place, each in enumerate("RGB")]
    }
    exr |= _shown_as(lines, name)
    entry = FileEntry(source, width, height, 3, (group.name,), exr=exr)
    return ImageStack(model_samples(values, group), (group,), None, name, (entry,))


def _variables(head: bytes) -> list[tuple[str, str]]:
    """Names and values of a header, in order; a name may be there several times."""
    lines = [line.decode("latin-1").partition("=") for line in head.split(b"\n")[1:] if not line.startswith(b"#")]
    return [(key.strip().upper(), value.strip()) for key, equals, value in lines if equals]


def _exposure(lines: list[tuple[str, str]], name: str) -> npt.NDArray[np.float64]:
    """(3,) factors already applied to R, G and B: the product of all EXPOSURE and COLORCORR lines."""
    product = np.ones(3)
    for key, value in lines:
        if key in {"EXPOSURE", "COLORCORR"}:
            factors = _numbers(value, 1 if key == "EXPOSURE" else 3)
            if factors is None or min(factors) <= 0:
                raise BadImage(f"{name}: {key}={value[:40]!a} in the Radiance header is not above 0")
            product *= factors
    if not np.isfinite(product).all() or (product == 0).any():
        raise BadImage(f"{name}: the EXPOSURE lines of the Radiance header have no product")
    return product


def _shown_as(lines: list[tuple[str, str]], name: str) -> dict[str, Any]:
    """Aspect of the pixels and primaries, as `FileEntry.exr` has them; other lines are reported."""
    shown: dict[str, Any] = {}
    aspect, others = 1.0, []
    for key, value in lines:
        numbers = _numbers(value, {"PIXASPECT": 1, "PRIMARIES": 8}.get(key, 0))
        if key == "PIXASPECT" and numbers is not None and 1e-3 <= numbers[0] <= 1e3:
            aspect /= numbers[0]  # Radiance says height over width, OpenEXR width over height
        elif key == "PRIMARIES" and numbers is not None and max(map(abs, numbers)) < 1e3:
            shown["chromaticities"] = numbers
        elif key not in {"FORMAT", "EXPOSURE", "COLORCORR", "SOFTWARE"}:
            others.append(key)
    if aspect != 1 and 1e-6 <= aspect <= 1e6:
        shown["pixel_aspect"] = aspect
    if others:
        warn_of_source(f"{name}: lines of its header are left out: {ascii(', '.join(sorted(set(others))))[1:-1][:160]}")
    return shown


def _numbers(text: str, count: int) -> list[float] | None:
    try:
        numbers = [float(part) for part in text.split()]
    except ValueError:
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _upright(values: npt.NDArray[np.float32], size: re.Match[bytes]) -> npt.NDArray[np.float32]:
    """(H, W, 3) of rows in the order that the size line tells; X runs right, Y up."""
    axes = {size[2].upper(): size[1], size[5].upper(): size[4]}
    if size[2].upper() == b"X":
        values = values.swapaxes(0, 1)
    if axes[b"Y"] == b"+":
        values = values[::-1]
    if axes[b"X"] == b"-":
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def _rgbe(content: bytes, at: int, height: int, width: int, name: str) -> npt.NDArray[np.uint8]:
    """(H, W, 4) mantissas and exponent."""
    rows = np.empty((height, 4, width), np.uint8)
    start = bytes([2, 2, width >> 8 & 255, width & 255])
    if not 8 <= width < 1 << 15 or content[at : at + 4] != start:
        return _flat(content, at, height * width, name).reshape(height, width, 4)
    for row in range(height):
        if content[at : at + 4] != start:
            raise BadImage(f"{name}: row {row} of the Radiance data is damaged or cut off")
        at += 4
        for channel in range(4):
            done = 0
            while done < width:
                if at + 2 > len(content):
                    raise BadImage(f"{name}: the Radiance data is cut off in row {row}")
                count = content[at]
                if count > _RUN:
                    count -= _RUN
                    rows[row, channel, done : done + count] = content[at + 1]
                    at += 2
                else:
                    part = content[at + 1 : at + 1 + count]
                    if not count or len(part) != count or done + count > width:
                        raise BadImage(f"{name}: row {row} of the Radiance data is damaged")
                    rows[row, channel, done : done + count] = np.frombuffer(part, np.uint8)
                    at += 1 + count
                done += count
            if done != width:
                raise BadImage(f"{name}: row {row} of the Radiance data is damaged")
    return rows.transpose(0, 2, 1)


def _flat(content: bytes, at: int, n_pixels: int, name: str) -> npt.NDArray[np.uint8]:
    """(N, 4) pixels one by one; in the old run-length code some say how often the one before them is repeated."""
    stored = np.frombuffer(content, np.uint8, (len(content) - at) // 4 * 4, at).reshape(-1, 4)
    stored = stored[:n_pixels]  # a run stands for one pixel or more
    marks = np.flatnonzero((stored[:, :3] == 1).all(axis=1))
    if not len(marks) and len(stored) == n_pixels:
        return stored
    counts = np.ones(len(stored), np.int64)
    digits = 0
    for place, mark in enumerate(marks.tolist()):
        digits = digits + 1 if place and marks[place - 1] == mark - 1 else 0
        counts[mark] = int(stored[mark, 3]) << 8 * min(digits, 4)
    sources = np.arange(len(stored))
    sources[marks] = -1
    sources = np.maximum.accumulate(sources)
    ends = np.cumsum(counts)
    used = int(np.searchsorted(ends, n_pixels)) + 1
    if used > len(stored) or sources[0] < 0:
        raise BadImage(f"{name}: the Radiance data is cut off")
    return stored[np.repeat(sources[:used], counts[:used])[:n_pixels]]


def _floats(rgbe: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    exponents = rgbe[:, :, 3:].astype(np.int32)
    values = np.ldexp(rgbe[:, :, :3].astype(np.float32) + np.float32(0.5), exponents - (128 + 8))
    return np.where(exponents > 0, values, 0).astype(np.float32)


def write_radiance(values: npt.NDArray[np.float32]) -> bytes:
    """A flat RGBE file of light (H, W, 3); negative values become 0."""
    height, width, _ = values.shape
    light = np.clip(values, 0, np.float32(2.0**126))
    largest = light.max(axis=2)
    mantissa, exponent = np.frexp(largest)
    scale = np.where(largest > 1e-32, mantissa * 256 / np.maximum(largest, 1e-38), 0)
    rgbe = np.empty((height, width, 4), np.uint8)
    rgbe[:, :, :3] = np.clip(light * scale[:, :, None], 0, 255)
    rgbe[:, :, 3] = np.where(largest > 1e-32, np.clip(exponent + 128, 0, 255), 0)
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode()
    return head + rgbe.tobytes()
