"""Flat extremes: white paper, black frames and saturated fills come back exact.

A fit is off by a few levels wherever it is rounded, and a white that is a little gray is seen over its whole area. The
model clamps samples to 0..1, so that a target a margin beyond the range makes small errors vanish.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.material.masking import SEEN_ROLES
from gscodec.model.channels import AlphaMode, ChannelGroup, SampleType, channel_spans
from gscodec.model.gaussians import Float32Array

MARGIN: Final = 0.03
"""Distance of the target from the range, about the error of a flat area at 0.2 bpp; 0.08 costs detail around it."""

FIRST_PX: Final = 2
"""Depth inside a flat area from which the target leaves the range; edges keep their own value."""

LAST_PX: Final = 4
"""Depth from which the margin is whole."""

TOLERANCE: Final = 1.01 / 255
"""Samples that are this near to an end of the range count as extreme."""


def beyond_extremes(samples: Float32Array, groups: Sequence[ChannelGroup]) -> Float32Array:
    """float32 (H, W, C) samples with a margin beyond 0 and 1 inside flat areas of that value, channel by channel.

    Only of unsigned integers that are looked at as pictures, without their alpha. Others are returned as they are.
    """
    result = samples
    for group, span in channel_spans(groups):
        if group.role not in SEEN_ROLES or group.sample_type is not SampleType.UINT:
            continue
        for channel in range(span.start, span.stop - (group.alpha is not AlphaMode.NONE)):
            plane = samples[:, :, channel]
            for extreme, sign in ((plane <= TOLERANCE, -1.0), (plane >= 1 - TOLERANCE, 1.0)):
                depths = depths_of(extreme, LAST_PX)
                inside = np.flatnonzero(depths >= FIRST_PX)
                if not len(inside):
                    continue
                margins = MARGIN * (depths.flat[inside] - (FIRST_PX - 1.0)) / (LAST_PX - FIRST_PX + 1)
                result = samples.copy() if result is samples else result
                result[:, :, channel].flat[inside] = max(sign, 0.0) + sign * margins
    return result


def depths_of(flat: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.uint8]:
    """(H, W) distance of each pixel of a mask to the nearest one outside it, px along rows and columns, at most `most`.

    0 outside the mask. What lies beyond the picture's border is taken for a continuation.
    """
    depths = np.zeros(flat.shape, np.uint8)
    inside = flat
    for _ in range(most):
        if not inside.any():
            break
        depths += inside
        around = inside.copy()
        around[1:] &= inside[:-1]
        around[:-1] &= inside[1:]
        around[:, 1:] &= inside[:, :-1]
        around[:, :-1] &= inside[:, 1:]
        inside = around
    return depths
