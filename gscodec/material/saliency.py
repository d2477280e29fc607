"""Saliency of a picture by its image signature (Hou, Harel and Koch, PAMI 2012); nothing is learned.

The inverse transform of the signs of a cosine transform is largest at small objects in front of extended backgrounds.
Computed, as in the paper, on a copy with a longer side of 64 px, in an intensity and two opponent colours.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from gscodec.model.channels import AlphaMode, ChannelGroup, channel_spans
from gscodec.model.gaussians import Float32Array, Float64Array

WORKING_SIDE: Final = 64
"""Longer side of the copy, px: at this scale objects are salient, not their edges."""

LEAST_SIDE: Final = 8
"""Minimum shorter side of the copy, px; smaller pictures have uniform saliency."""

BLUR_SIGMA: Final = 2.5
"""Standard deviation of the blur of the saliency map, in px of the copy."""

FLAT: Final = 2e-3
"""Standard deviation below which a channel counts as constant."""

BRIGHTEST: Final = 0.99
"""Quantile of the map that is scaled to 1, so that a single point does not set the scale."""


def image_signature(samples: Float32Array, groups: Sequence[ChannelGroup]) -> Float32Array:
    """float32 (H, W) saliency in 0..1 of each pixel of (H, W, C) samples.

    All ones for a constant or a tiny picture.
    """
    height, width, _ = samples.shape
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    total = np.zeros(size[::-1])
    for plane in _planes(samples, groups):
        small = _resized(plane, size)
        contrast = float(small.std())
        if min(size) >= LEAST_SIDE and contrast > FLAT:
            total += contrast * _stands_out(small)
    darkest, brightest = float(total.min()), float(np.quantile(total, BRIGHTEST))
    if not brightest > darkest:
        return np.ones((height, width), np.float32)
    small_map = np.clip((total - darkest) / (brightest - darkest), 0.0, 1.0).astype(np.float32)
    return np.clip(_resized(small_map, (width, height)), 0.0, 1.0).astype(np.float32)


def _planes(samples: Float32Array, groups: Sequence[ChannelGroup]) -> Iterator[Float32Array]:
    """Intensity and opponent colours of each group of three colours, other channels as they are; no alpha."""
    for group, channels in channel_spans(groups):
        own = samples[:, :, channels.start : channels.stop - (group.alpha != AlphaMode.NONE)]
        if own.shape[2] == 3:
            red, green, blue = np.moveaxis(own, 2, 0)
            yield own.mean(axis=2, dtype=np.float32)
            yield red - green
            yield 0.5 * (red + green) - blue
        else:
            yield from np.moveaxis(own, 2, 0)


def _resized(plane: Float32Array, size: tuple[int, int]) -> Float32Array:
    """The plane resized to `size` (width, height): area averages down, bilinear up."""
    from PIL import Image

    grows = size[0] > plane.shape[1]
    method = Image.Resampling.BILINEAR if grows else Image.Resampling.BOX
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(size, method))


def _stands_out(plane: Float32Array) -> Float64Array:
    """Saliency of a plane with mean 1: smoothed square of the inverse transform of its cosine transform's signs."""
    down, across = (_cosines(n) for n in plane.shape)
    signs = np.sign(down @ plane.astype(np.float64) @ across.T)
    smooth = _blurred((down.T @ signs @ across) ** 2)
    return np.asarray(smooth / smooth.mean())


def _cosines(n: int) -> Float64Array:
    """(n, n) matrix of the orthonormal discrete cosine transform, type II; its transpose is its inverse."""
    k, x = np.mgrid[0:n, 0:n]
    rows = np.cos(np.pi * k * (2 * x + 1) / (2 * n)) * np.sqrt(2 / n)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows)


def _blurred(plane: Float64Array) -> Float64Array:
    """The plane filtered with a Gaussian, edges repeated."""
    reach = int(np.ceil(3 * BLUR_SIGMA))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / BLUR_SIGMA) ** 2)
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
        padded, n = np.pad(plane, pad, mode="edge"), plane.shape[axis]
        plane = np.sum(
            [t * np.take(padded, np.arange(k, k + n), axis) for k, t in enumerate(taps / taps.sum())], axis=0
        )
    return plane
