"""KTX 2.0 files, plain or supercompressed by zstd (Khronos, "KTX File Format Specification 2.0").

The data format descriptor is the basic block of the Khronos Data Format Specification 1.3.
"""

import math
import struct
from collections.abc import Sequence
from typing import Final

from gscodec.errors import MissingExtra
from gscodec.exporting.formats import TexelFormat
from gscodec.extras import install_command
from gscodec.version import __version__

IDENTIFIER: Final = b"\xabKTX 20\xbb\r\n\x1a\n"
_HEADER_BYTES: Final = 80
_LEVEL_BYTES: Final = 24

_VERSION: Final = 2  # version of the basic descriptor block
_BT709: Final = 1
_LINEAR, _SRGB = 1, 2  # transfer functions
_IS_LINEAR, _IS_SIGNED, _IS_FLOAT = 0x10, 0x40, 0x80  # qualifiers of a sample
_UNSIGNED: Final = (0, 0xFFFFFFFF)
_FLOATS: Final = struct.unpack("<2I", struct.pack("<2f", -1.0, 1.0))
_UNSIGNED_FLOATS: Final = struct.unpack("<2I", struct.pack("<2f", 0.0, 1.0))
_ZSTD: Final = 2  # supercompression scheme

MAX_ZSTD: Final = 22
"""Highest level of zstd."""


def pack_ktx2(
    levels: Sequence[bytes],
    height: int,
    width: int,
    form: TexelFormat,
    *,
    srgb: bool,
    premultiplied: bool,
    colour: bool,
    zstd: int | None = None,
) -> bytes:
    """Contents of the file of one 2D texture.

    Args:
        levels: texels of each level, finest first.
        srgb: whether samples are sRGB codes that a sampler must convert to light; only if the format supports it.
        colour: whether samples are colours with BT.709 primaries, instead of data.
        zstd: level of supercompression, 1 to 22; None leaves the levels as they are.

    Raises:
        MissingExtra: there is no zstd library.
    """
    srgb = srgb and form.vk_srgb is not None
    descriptor = pack_descriptor(form, srgb=srgb, premultiplied=premultiplied, colour=colour)
    values = _key_values({"KTXorientation": "rd", "KTXwriter": f"gscodec {__version__}"})
    at = _HEADER_BYTES + _LEVEL_BYTES * len(levels)
    where = at, len(descriptor), at + len(descriptor), len(values), 0, 0
    vk, scheme = form.vk_srgb if srgb else form.vk, 0 if zstd is None else _ZSTD
    head = IDENTIFIER + struct.pack("<9I", vk, form.type_size, width, height, 0, 0, 1, len(levels), scheme)
    head += struct.pack("<4I2Q", *where)
    # The coarsest level comes first, so that a streaming reader can show it early.
    align = math.lcm(form.block_bytes, 4) if zstd is None else 1
    body = bytearray(descriptor + values)
    entries = b""
    for level in reversed(levels):
        stored = level if zstd is None else _compressed(level, zstd)
        body += bytes(-(at + len(body)) % align)
        entries = struct.pack("<3Q", at + len(body), len(stored), len(level)) + entries
        body += stored
    return head + entries + bytes(body)


def _compressed(level: bytes, strength: int) -> bytes:
    try:
        import zstandard
    except ModuleNotFoundError as fault:
        raise MissingExtra(f"--zstd needs zstandard: {install_command('export')}, or leave it out") from fault
    return zstandard.ZstdCompressor(level=strength, write_content_size=True).compress(level)


def pack_descriptor(form: TexelFormat, *, srgb: bool, premultiplied: bool, colour: bool) -> bytes:
    """The data format descriptor: its size and one basic block."""
    samples = b""
    for sample in form.samples:
        signed = 0 if form.has_float_blocks else _IS_SIGNED
        qualifiers = (_IS_FLOAT | signed) if form.is_float else _IS_LINEAR if srgb and sample.is_alpha else 0
        low, high = (_FLOATS if signed else _UNSIGNED_FLOATS) if form.is_float else _UNSIGNED
        if not form.is_float and sample.bits < 32:
            high = (1 << sample.bits) - 1
        samples += struct.pack("<HBBIII", sample.offset, sample.bits - 1, sample.channel | qualifiers, 0, low, high)
    size = 24 + len(samples)
    side = form.block - 1
    block = struct.pack("<IHH", 0, _VERSION, size)
    block += struct.pack("<4B", form.model, _BT709 if colour else 0, _SRGB if srgb else _LINEAR, int(premultiplied))
    block += struct.pack("<4B8B", side, side, 0, 0, form.block_bytes, 0, 0, 0, 0, 0, 0, 0)
    return struct.pack("<I", 4 + size) + block + samples


def _key_values(entries: dict[str, str]) -> bytes:
    """Keys and texts, sorted by key, each padded to four bytes."""
    packed = b""
    for key, text in sorted(entries.items()):
        pair = key.encode() + b"\0" + text.encode() + b"\0"
        packed += struct.pack("<I", len(pair)) + pair + bytes(-len(pair) % 4)
    return packed
