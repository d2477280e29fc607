"""Texel formats, with their names in Vulkan, DXGI and the Khronos Data Format Specification, in one table.

`dds` and `ktx2` take their header fields from here, `texels` the layout of samples.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One entry of a data format descriptor: the bits of a block that store a channel."""

    channel: int  # index in the colour model
    offset: int  # bits
    bits: int
    is_alpha: bool = False


@dataclass(frozen=True)
class TexelFormat:
    """Storage of the texels of a level."""

    name: str
    holds: int  # number of channels: 1, 2, 3 (RGB without alpha) or 4
    vk: int  # VkFormat
    dxgi: int | None  # DXGI_FORMAT; None where DDS has none
    model: int  # colour model of the data format descriptor
    samples: tuple[Sample, ...]
    block_bytes: int  # of a block, or of a texel
    vk_srgb: int | None = None  # VkFormat of sRGB codes, which samplers convert to light
    dxgi_srgb: int | None = None
    dtype: Literal["uint8", "uint16", "float16", "float32"] | None = None  # of an uncompressed sample; None for blocks
    has_float_blocks: bool = False  # blocks of floats that are not negative
    block_side: int = 4  # texels along each side of a block

    @property
    def block(self) -> int:
        """Texels along each side of a block; 1 if texels are not compressed."""
        return self.block_side if self.dtype is None else 1

    @property
    def is_float(self) -> bool:
        """Whether samples are floats in the source's units."""
        return self.has_float_blocks or self.dtype in {"float16", "float32"}

    @property
    def type_size(self) -> int:
        """Size in bytes of the unit that is byte-swapped on machines of the other byte order."""
        return 1 if self.dtype is None else np.dtype(self.dtype).itemsize

    def level_bytes(self, height: int, width: int) -> int:
        """Size in bytes of a level."""
        return -(-height // self.block) * -(-width // self.block) * self.block_bytes


_RGBSDA, _BC1A, _BC3, _BC4, _BC5, _BC6H, _BC7 = 1, 128, 130, 131, 132, 133, 134  # KHR_DF_MODEL_*
_ASTC: Final = 162
_ALPHA: Final = 15


def _plain(holds: int, bits: int) -> tuple[Sample, ...]:
    """R, G, B, A in this order, without gaps."""
    channels = (0, 1, 2, _ALPHA)[:holds]
    return tuple(Sample(c, bits * place, bits, c == _ALPHA) for place, c in enumerate(channels))


def _astc(side: int, vk: int) -> TexelFormat:
    """ASTC of square blocks. It stores up to four channels; `choice` says how many a texture has."""
    vk_srgb, name = vk + 1, f"astc-{side}x{side}"
    return TexelFormat(name, 4, vk, None, _ASTC, (Sample(0, 0, 128),), 16, vk_srgb, block_side=side)


_ALL: Final = (
    TexelFormat("bc1", 3, 131, 71, _BC1A, (Sample(0, 0, 64),), 8, 132, 72),
    TexelFormat("bc3", 4, 137, 77, _BC3, (Sample(_ALPHA, 0, 64, True), Sample(0, 64, 64)), 16, 138, 78),
    TexelFormat("bc4", 1, 139, 80, _BC4, (Sample(0, 0, 64),), 8),
    TexelFormat("bc5", 2, 141, 83, _BC5, (Sample(0, 0, 64), Sample(1, 64, 64)), 16),
    TexelFormat("bc6h", 3, 143, 95, _BC6H, (Sample(0, 0, 128),), 16, has_float_blocks=True),
    TexelFormat("bc7", 4, 145, 98, _BC7, (Sample(0, 0, 128),), 16, 146, 99),
    _astc(4, 157),
    _astc(5, 161),
    _astc(6, 165),
    _astc(8, 171),
    _astc(10, 179),
    _astc(12, 183),
    TexelFormat("rgba8", 4, 37, 28, _RGBSDA, _plain(4, 8), 4, 43, 29, "uint8"),
    TexelFormat("r16", 1, 70, 56, _RGBSDA, _plain(1, 16), 2, dtype="uint16"),
    TexelFormat("rg16", 2, 77, 35, _RGBSDA, _plain(2, 16), 4, dtype="uint16"),
    TexelFormat("rgba16", 4, 91, 11, _RGBSDA, _plain(4, 16), 8, dtype="uint16"),
    TexelFormat("r16f", 1, 76, 54, _RGBSDA, _plain(1, 16), 2, dtype="float16"),
    TexelFormat("rgba16f", 4, 97, 10, _RGBSDA, _plain(4, 16), 8, dtype="float16"),
    TexelFormat("r32f", 1, 100, 41, _RGBSDA, _plain(1, 32), 4, dtype="float32"),
    TexelFormat("rgba32f", 4, 109, 2, _RGBSDA, _plain(4, 32), 16, dtype="float32"),
)
FORMATS: Final = {entry.name: entry for entry in _ALL}
"""Formats by name."""

ASTC: Final = tuple(name for name in FORMATS if name.startswith("astc-"))
"""Names of the ASTC formats."""

CHOICES: Final = ("auto", "bc1", "bc3", "bc4", "bc5", "bc6h", "bc7", *ASTC, "rgba8")
"""Formats that a user may name; the others are chosen by the number of bits."""
