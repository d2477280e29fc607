"""BC1 and BC7, the block formats of desktop GPUs: etcpak writes them, texture2ddecoder reads them.

Files are DDS, so that the rate has the header in it: 128 bytes (BC1) or 148 (BC7, which needs the DX10 extension).
"""

import struct
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import ClassVar, Final

import numpy as np

from gscodec.image.stack import ImageStack
from gscodec_bench.codecs.base import Codec, Layout, Picture, rgb_of
from gscodec_bench.codecs.mips import enlarge, mip_of, shrink

DXGI_BC7_UNORM: Final = 98
_LEGACY_HEADER_BYTES: Final = 128  # magic and DDS_HEADER
_DX10_HEADER_BYTES: Final = 20


class BlockCodec(Codec):
    """4x4 texels to a block of fixed size; a setting is a mip level, `mip0` the picture as it is."""

    layout = Layout.TEXTURES
    suffix = ".dds"
    four_cc: ClassVar[bytes]

    def available(self) -> str | None:
        """See `Codec.available`."""
        missing = [name for name in ("etcpak", "texture2ddecoder") if not find_spec(name)]
        return f"{' and '.join(missing)} not installed: pip install --group bench" if missing else None

    def version(self) -> str:
        """See `Codec.version`."""
        return f"etcpak {version('etcpak')}"

    def settings(self, rates: Sequence[float]) -> list[str]:  # noqa: ARG002
        """Mip levels down to a sixteenth of the side."""
        return ["mip0", "mip1", "mip2", "mip3", "mip4"]

    def encode(self, stack: ImageStack, setting: str) -> bytes:
        """See `Codec.encode`."""
        samples = shrink(rgb_of(stack), mip_of(setting)[1])
        height, width = samples.shape[:2]
        padded = np.pad(samples, [(0, -height % 4), (0, -width % 4), (0, 0)], mode="edge")
        texels = np.full((*padded.shape[:2], 4), 255, np.uint8)
        texels[:, :, :3] = padded
        blocks = self._compress(texels.tobytes(), texels.shape[1], texels.shape[0])
        return _dds_header(height, width, len(blocks), self.four_cc) + blocks

    def decode(self, data: bytes, height: int, width: int) -> Picture:
        """See `Codec.decode`."""
        stored_height, stored_width = struct.unpack_from("<II", data, 12)
        start = _LEGACY_HEADER_BYTES + (_DX10_HEADER_BYTES if self.four_cc == b"DX10" else 0)
        texels = np.frombuffer(self._decompress(data[start:], stored_width, stored_height), np.uint8)
        rgb = texels.reshape(stored_height, stored_width, 4)[:, :, 2::-1]  # BGRA
        return enlarge(np.ascontiguousarray(rgb), height, width)

    def _compress(self, texels: bytes, width: int, height: int) -> bytes:
        raise NotImplementedError

    def _decompress(self, blocks: bytes, width: int, height: int) -> bytes:
        raise NotImplementedError


class Bc1(BlockCodec):
    """BC1: 4 bits a texel, RGB."""

    name = "bc1"
    four_cc = b"DXT1"

    def _compress(self, texels: bytes, width: int, height: int) -> bytes:
        import etcpak

        return bytes(etcpak.compress_bc1(texels, width, height))

    def _decompress(self, blocks: bytes, width: int, height: int) -> bytes:
        import texture2ddecoder

        return bytes(texture2ddecoder.decode_bc1(blocks, width, height))


class Bc7(BlockCodec):
    """BC7: 8 bits a texel, RGB here."""

    name = "bc7"
    four_cc = b"DX10"

    def _compress(self, texels: bytes, width: int, height: int) -> bytes:
        import etcpak

        return bytes(etcpak.compress_bc7(texels, width, height, None))

    def _decompress(self, blocks: bytes, width: int, height: int) -> bytes:
        import texture2ddecoder

        return bytes(texture2ddecoder.decode_bc7(blocks, width, height))


def _dds_header(height: int, width: int, n_bytes: int, four_cc: bytes) -> bytes:
    """A DDS header for one 2D texture without mips (Microsoft, "Programming guide for DDS")."""
    flags = 0x1 | 0x2 | 0x4 | 0x1000 | 0x80000  # caps, height, width, pixel format, linear size
    pixel_format = struct.pack("<II4s5I", 32, 0x4, four_cc, 0, 0, 0, 0, 0)
    header = struct.pack("<4s7I44x", b"DDS ", 124, flags, height, width, n_bytes, 0, 0)
    header += pixel_format + struct.pack("<5I", 0x1000, 0, 0, 0, 0)
    if four_cc == b"DX10":
        header += struct.pack("<5I", DXGI_BC7_UNORM, 3, 0, 1, 0)
    return header
