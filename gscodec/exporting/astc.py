"""ASTC blocks of 8-bit texels, by Arm's encoder.

Texels of one channel are stored as luminance, of two channels as luminance and alpha: the encoder then spends its bits
on these alone. A shader samples them as `.r` and `.ga`.
"""

import os
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import MissingExtra
from gscodec.extras import install_command

_SWIZZLES: Final = {1: "RRR1", 2: "RRRG", 4: "RGBA"}
"""Components that are stored, by the number of channels: those that Arm's "Effective ASTC Encoding" recommends."""


def astc_blocks(texels: npt.NDArray[np.uint8], side: int, *, srgb: bool, is_normal: bool, threads: int | None) -> bytes:
    """Blocks of side x side texels, row by row; partial blocks at the edges repeat the last texel.

    Args:
        texels: (H, W, 1), (H, W, 2) or (H, W, 4).
        srgb: whether R, G and B are sRGB codes.
        is_normal: whether the two channels are X and Y of unit vectors, whose angle then counts.
        threads: None means all cores.

    Raises:
        MissingExtra: astc-encoder-py is not installed.
    """
    astc = _encoder()
    height, width, n_channels = texels.shape
    full = np.zeros((height, width, 4), np.uint8)
    full[:, :, :n_channels] = texels
    profile = astc.ASTCProfile.LDR_SRGB if srgb else astc.ASTCProfile.LDR
    flags = astc.ASTCConfigFlags.MAP_NORMAL if is_normal else 0
    config = astc.ASTCConfig(profile, side, side, 1, astc.ASTCQualityPreset.MEDIUM, flags)
    image = astc.ASTCImage(astc.ASTCType.U8, width, height, 1, full.tobytes())
    swizzle = astc.ASTCSwizzle.from_str(_SWIZZLES[n_channels])
    return bytes(astc.ASTCContext(config, threads or os.cpu_count() or 1).compress(image, swizzle))


def _encoder() -> Any:
    try:
        import astc_encoder
    except ModuleNotFoundError as fault:
        raise MissingExtra(f"ASTC needs astc-encoder-py: {install_command('export')}, or use --format rgba8") from fault
    return astc_encoder
