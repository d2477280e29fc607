"""What Pillow leaves out of PNG: checksums of pixel data when reading, 16-bit colour when writing.

Source: PNG (Portable Network Graphics) Specification, Third Edition, W3C 2025, sections 5, 9 and 11.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

_TAGS: Final = {b"cICP", b"gAMA", b"cHRM", b"sRGB", b"mDCV", b"cLLI"}
_TEXTS: Final = {b"tEXt", b"zTXt", b"iTXt"}
_READ_ELSEWHERE: Final = {
    *(b"iCCP", b"eXIf", b"pHYs", b"tRNS", b"acTL", b"fcTL", b"fdAT"),
    *(b"bKGD", b"hIST", b"sPLT", b"tIME"),
}
"""By Pillow; and what only says how another program would show or date the file."""

_START_BYTES: Final = 96
_MAX_LISTED: Final = 20
_READ_BYTES: Final = 1 << 20
_ROWS: Final = 64  # rows filtered at a time
_COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels


@dataclass(frozen=True)
class PngExtras:
    """What a PNG file has beside its picture."""

    tags: dict[bytes, bytes]  # data of short chunks that say how colours are meant
    texts: tuple[str, ...]  # keywords of text chunks
    others: tuple[str, ...]  # further types of chunks that a decoder may pass over


def check_chunks(file: BinaryIO, name: str) -> PngExtras:
    """Walk the chunks up to IEND and compare their CRCs. Pillow skips those of pixels. The position is not kept.

    Raises:
        BadImage: a chunk is cut off, too long, or was changed after it was written.
    """
    file.seek(len(SIGNATURE))
    tags: dict[bytes, bytes] = {}
    texts: list[str] = []
    others: list[str] = []
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise BadImage(f"{name}: the PNG file is cut off; get a whole copy")
        length, kind = struct.unpack(">I4s", head)
        if length > 0x7FFFFFFF:
            raise BadImage(f"{name}: a PNG chunk says it has {length} bytes; the file is damaged")
        crc = zlib.crc32(kind)
        left = length
        start = b""
        while left:
            part = file.read(min(left, _READ_BYTES))
            if not part:
                raise BadImage(f"{name}: the PNG file is cut off inside its {_text(kind)} chunk; get a whole copy")
            crc = zlib.crc32(part, crc)
            left -= len(part)
            start = start or part[:_START_BYTES]
        stored = file.read(4)
        if len(stored) < 4:
            raise BadImage(f"{name}: the PNG file is cut off inside its {_text(kind)} chunk; get a whole copy")
        if crc != int.from_bytes(stored, "big"):
            raise BadImage(f"{name}: the checksum of a PNG {_text(kind)} chunk is wrong; the file is damaged")
        if kind in _TAGS:
            tags.setdefault(kind, start)
        elif kind in _TEXTS and len(texts) < _MAX_LISTED:
            texts.append(start.partition(b"\0")[0].decode("latin-1"))
        elif kind[0] & 32 and kind not in _READ_ELSEWHERE and len(others) < _MAX_LISTED:
            others.append(_text(kind))
        if kind == b"IEND":
            return PngExtras(tags, tuple(texts), tuple(others))


def _text(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalpha() else kind.hex()


def write_deep_png(samples: npt.NDArray[np.uint16], icc: bytes | None) -> bytes:
    """A PNG file of 16-bit samples (H, W, C): gray, gray and alpha, RGB, or RGB and alpha for C = 1 to 4."""
    height, width, n_channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[n_channels], 0, 0, 0)
    parts = [SIGNATURE, _chunk(b"IHDR", header)]
    if icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    packer = zlib.compressobj(6)
    rows = np.ascontiguousarray(samples.reshape(height, -1), ">u2").view(np.uint8)
    above = np.zeros((1, rows.shape[1]), np.uint8)
    for top in range(0, height, _ROWS):
        block = rows[top : top + _ROWS]
        filtered = _filtered(block, np.concatenate([above, block[:-1]]), 2 * n_channels)
        parts.append(_chunk(b"IDAT", packer.compress(filtered.tobytes())))
        above = block[-1:]
    parts += [_chunk(b"IDAT", packer.flush()), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _filtered(rows: npt.NDArray[np.uint8], up: npt.NDArray[np.uint8], pixel_bytes: int) -> npt.NDArray[np.uint8]:
    """(R, 1 + B) filter types and bytes: per row the filter with the least sum of absolute differences."""
    left = np.zeros_like(rows)
    left[:, pixel_bytes:] = rows[:, :-pixel_bytes]
    corner = np.zeros_like(rows)
    corner[:, pixel_bytes:] = up[:, :-pixel_bytes]
    options = np.stack([rows, rows - left, rows - up, rows - _paeth(left, up, corner)])
    cost = np.abs(options.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = cost.argmin(axis=0)
    chosen = options[best, np.arange(len(rows))]
    types = np.array([0, 1, 2, 4], np.uint8)[best]
    result: npt.NDArray[np.uint8] = np.concatenate([types[:, None], chosen], axis=1)
    return result


def _paeth(left: npt.NDArray[Any], up: npt.NDArray[Any], corner: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The neighbour nearest to left + up - corner; ties in that order (section 9.4)."""
    a, b, c = (part.astype(np.int16) for part in (left, up, corner))
    to_left, to_up, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    result: npt.NDArray[np.uint8] = np.where(
        (to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner)
    )
    return result


def _chunk(kind: bytes, data: bytes) -> bytes:
    if not data and kind == b"IDAT":  # the compressor has kept what it got
        return b""
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
