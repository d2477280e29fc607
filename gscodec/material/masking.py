"""Weights of errors by how well they are seen: errors in flat areas are, errors among other detail are not.

The structural term of SSIMULACRA2, on which its score depends at low rates, is the squared error of a band over the
variance of the picture in the band: at a quarter of the size, luma in windows of about 20 px. Its weights are
1 / (v + C), with v this variance and C the term's constant. A power below one keeps enough of the edges, whose errors
Butteraugli sees. What is noise at full size is flat at a quarter of it; the error that stays there whatever is coded
would count most, so noise counts less (`material.noise`).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from gscodec.material.noise import CELL, noise_of, variance_of_cells
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, channel_spans
from gscodec.model.gaussians import Float32Array

SEEN_ROLES: Final = frozenset({Role.COLOR, Role.ALBEDO, Role.EMISSIVE})
"""Roles of groups that are looked at as pictures."""

VARIANCE: Final = 0.0009
"""Variance of luma in 0..1, at a quarter of the size, beside which errors begin to hide: SSIMULACRA2's constant."""

EXPONENT: Final = 0.3
"""Exponent of the weights: the flattest areas count 5 times what the strongest contrast counts."""

NOISE: Final = 0.7
"""Fraction of the weight that noise loses."""

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


def all_seen(groups: Sequence[ChannelGroup]) -> bool:
    """Whether all groups are looked at, as displays show them.

    Maps that a shader computes with hide nothing, and what floating-point light hides depends on the exposure.
    """
    return all(group.role in SEEN_ROLES and group.sample_type is SampleType.UINT for group in groups)


def masking_weights(samples: Float32Array, groups: Sequence[ChannelGroup]) -> Float32Array | None:
    """float32 (H, W) weights of the errors of pixels, above 0 and at most 1, which is that of flat areas.

    None unless all groups are looked at.
    """
    if not all_seen(groups):
        return None
    height, width, _ = samples.shape
    weights = np.max([_of_luma(luma) for luma in _lumas(samples, groups)], axis=0)
    size = CELL * weights.shape[1], CELL * weights.shape[0]
    smooth = Image.fromarray(weights).resize(size, Image.Resampling.BILINEAR)
    return np.array(np.asarray(smooth, np.float32)[:height, :width], order="C")


def _lumas(samples: Float32Array, groups: Sequence[ChannelGroup]) -> list[Float32Array]:
    """(H, W) luma in 0..1 of each group of one or three channels, without its alpha."""
    lumas = []
    for group, span in channel_spans(groups):
        colours = samples[:, :, span.start : span.stop - (group.alpha != AlphaMode.NONE)]
        plane = colours @ _LUMA if colours.shape[2] == 3 else colours.mean(axis=2)
        lumas.append(np.asarray(np.clip(plane, 0, 1), np.float32))
    return lumas


def _of_luma(luma: Float32Array) -> Float32Array:
    """Weights of cells of CELL x CELL px."""
    contrast = (VARIANCE / (variance_of_cells(luma) + VARIANCE)) ** EXPONENT
    weights: Float32Array = (contrast * (1 - NOISE * noise_of(luma))).astype(np.float32)
    return weights
