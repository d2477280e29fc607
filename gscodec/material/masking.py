"""Weights of errors by what texture hides: errors in flat areas are seen, in texture they are not.

The function of the variance, 67 (1 - exp(-0.0021 v)) + 17.5 with v of luma in 0..255, is that of libaom's tune for
SSIMULACRA2, which prices the bits of a block by it and computes no metric. An edge is not texture: what counts here is
a low quantile of the variance around a pixel, so that one flat side is enough.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from gscodec.model.channels import AlphaMode, ChannelGroup, Role, channel_spans
from gscodec.model.gaussians import Float32Array

SEEN_ROLES: Final = frozenset({Role.COLOR, Role.ALBEDO, Role.EMISSIVE})
"""Roles of groups that are looked at as pictures; errors of others are not masked."""

BLOCK: Final = 8
"""Side of a block, px."""

RADIUS: Final = 2
"""Blocks around a block among which the quantile is taken."""

QUANTILE: Final = 0.35

EXPONENT: Final = 0.6
"""Exponent of the weights: the flattest areas count 2.6 times what the busiest texture counts."""

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


def masking_weights(samples: Float32Array, groups: Sequence[ChannelGroup]) -> Float32Array | None:
    """float32 (H, W) weights of the errors of pixels, from 0.39 in texture to 1 in flat areas.

    None for samples without a group that is looked at.
    """
    height, width, _ = samples.shape
    lumas = [
        _luma(samples[:, :, span.start : span.stop - (group.alpha != AlphaMode.NONE)])
        for group, span in channel_spans(groups)
        if group.role in SEEN_ROLES
    ]
    if not lumas:
        return None
    variance = np.max([_low_variance(luma) for luma in lumas], axis=0)
    factor = 67.035434 * (1 - np.exp(-0.0021489 * variance)) + 17.492222
    weights = ((17.492222 / factor) ** EXPONENT).astype(np.float32)
    smooth = Image.fromarray(weights).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(smooth, np.float32)


def _luma(colours: Float32Array) -> Float32Array:
    """(H, W) luma in 0..255 of one or three channels."""
    plane = colours @ _LUMA if colours.shape[2] == 3 else colours.mean(axis=2)
    return np.asarray(255 * np.clip(plane, 0, 1), np.float32)


def _low_variance(luma: Float32Array) -> npt.NDArray[np.float64]:
    """Low quantile of the variance of blocks around each block, (ceil(H / BLOCK), ceil(W / BLOCK))."""
    height, width = luma.shape
    padded = np.pad(luma, ((0, -height % BLOCK), (0, -width % BLOCK)), mode="edge").astype(np.float64)
    rows, columns = padded.shape[0] // BLOCK, padded.shape[1] // BLOCK
    variance = padded.reshape(rows, BLOCK, columns, BLOCK).var(axis=(1, 3))
    around = np.pad(variance, RADIUS, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (2 * RADIUS + 1, 2 * RADIUS + 1))
    low: npt.NDArray[np.float64] = np.quantile(windows, QUANTILE, axis=(2, 3))
    return low
