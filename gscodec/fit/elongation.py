"""How elongated Gaussians may be in noise.

In noise a free shape finds the best row of values of one sign, and gravel comes back as straws. They gain little error
and are seen; edges, lines and hair need their needles. Hence a limit of the ratio of a Gaussian's widths that depends
on how much of a picture is noise where the Gaussian lies.
"""

import math
from typing import Final

import numpy as np

from gscodec.material.noise import CELL, noise_of
from gscodec.model.gaussians import Float32Array

IN_NOISE: Final = 4.0
"""Greatest ratio of the widths in noise."""

ELSEWHERE: Final = 1e4
"""Greatest ratio where nothing is noise: none that a fit comes to. 60 costs thin lines."""

_MIXED: Final = (0.3, 0.75)
"""Noise from which the limit falls, and at which it has its least value."""


def limits_of(target: Float32Array) -> Float32Array:
    """float32 (ceil(H / CELL), ceil(W / CELL)) greatest logarithm of the ratio of widths, of (H, W, C) samples."""
    noise = noise_of(*np.clip(target.transpose(2, 0, 1), 0, 1))
    t = np.clip((noise - _MIXED[0]) / (_MIXED[1] - _MIXED[0]), 0, 1)
    t = t * t * (3 - 2 * t)
    return np.asarray(math.log(ELSEWHERE) + t * math.log(IN_NOISE / ELSEWHERE), np.float32)


def limited(means: Float32Array, log_inv_scales: Float32Array, limits: Float32Array) -> Float32Array:
    """float32 (n, 2) logarithms of inverse scales within the limits: equally large Gaussians, as round as it takes.

    Args:
        means: (n, 2) px of the picture that the limits are of.
        log_inv_scales: (n, 2).
        limits: as `limits_of` returns them.
    """
    column, row = (np.clip(means[:, a] / CELL, 0, limits.shape[1 - a] - 1).astype(np.int64) for a in (0, 1))
    most = limits[row, column]
    half = 0.5 * np.clip(log_inv_scales[:, 0] - log_inv_scales[:, 1], -most, most)
    middle = 0.5 * (log_inv_scales[:, 0] + log_inv_scales[:, 1])
    return np.stack([middle + half, middle - half], axis=1).astype(np.float32)
