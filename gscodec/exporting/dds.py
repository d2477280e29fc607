"""DDS files with the DX10 header (Microsoft, "Programming guide for DDS")."""

import struct
from collections.abc import Sequence
from typing import Final

from gscodec.exporting.formats import TexelFormat

HEADER_BYTES: Final = 148
"""Size of magic, DDS_HEADER and DDS_HEADER_DXT10."""

_CAPS, _HEIGHT, _WIDTH, _PITCH, _PIXEL_FORMAT, _MIP_COUNT, _LINEAR_SIZE = 0x1, 0x2, 0x4, 0x8, 0x1000, 0x20000, 0x80000
_FOUR_CC: Final = 0x4
_COMPLEX, _TEXTURE, _MIPMAP = 0x8, 0x1000, 0x400000
_TEXTURE_2D: Final = 3
_ALPHA_PREMULTIPLIED: Final = 2  # other alpha modes are left 0 (unknown): old loaders refuse other values


def pack_dds(
    levels: Sequence[bytes], height: int, width: int, form: TexelFormat, *, srgb: bool, premultiplied: bool
) -> bytes:
    """Contents of the file of one 2D texture.

    Args:
        levels: texels of each level, finest first.
        form: a format that has a DXGI_FORMAT.
        srgb: whether samples are sRGB codes that a sampler must convert to light; only if the format supports it.
    """
    pitch = form.level_bytes(height, width) if form.dtype is None else width * form.block_bytes
    flags = _CAPS | _HEIGHT | _WIDTH | _PIXEL_FORMAT | (_LINEAR_SIZE if form.dtype is None else _PITCH)
    caps = _TEXTURE
    if len(levels) > 1:
        flags |= _MIP_COUNT
        caps |= _COMPLEX | _MIPMAP
    dxgi = form.dxgi_srgb if srgb and form.dxgi_srgb is not None else form.dxgi
    assert dxgi is not None
    header = struct.pack("<4s7I44x", b"DDS ", 124, flags, height, width, pitch, 0, len(levels))
    header += struct.pack("<II4s5I", 32, _FOUR_CC, b"DX10", 0, 0, 0, 0, 0)
    header += struct.pack("<5I", caps, 0, 0, 0, 0)
    header += struct.pack("<5I", dxgi, _TEXTURE_2D, 0, 1, _ALPHA_PREMULTIPLIED if premultiplied else 0)
    assert len(header) == HEADER_BYTES
    return header + b"".join(levels)
