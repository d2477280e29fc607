"""Weights of the errors of samples in a fit: what alpha shows of them, and what texture hides."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from gscodec.encoding.opacity import fit_weights
from gscodec.material.masking import masking_weights
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array

MEANS: Final = 2.0
"""Weight of the squared mean errors of blocks beside those of pixels, where errors count as they are seen. The score of
SSIMULACRA2 depends most on errors at a quarter of the size; and what is missing from a picture changes means, where a
texture that is only different does not."""


def error_weights(samples: Float32Array, groups: Sequence[ChannelGroup], tune: str) -> Float32Array | None:
    """float32 (H, W) or (C, H, W) weights of (H, W, C) samples, as in `Rasterizer.loss`; None means 1 everywhere."""
    by_alpha = fit_weights(samples, groups)
    masking = masking_weights(samples, groups) if tune == "visual" else None
    if masking is None or by_alpha is None:
        return masking if by_alpha is None else by_alpha
    return np.ascontiguousarray(by_alpha * masking)
