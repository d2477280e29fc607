"""Whether the pixels of a picture contradict its name: `heavy_metal.jpg` may be a photograph.

The name is parsed first (`roles`); pixels are examined only if it names a map. The tests use some ten thousand evenly
spaced pixels and ignore alpha.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.image.normals import Meaning, has_length_one, is_filling, lengths_of, meaning_of
from gscodec.material.roles import MapName
from gscodec.model.channels import Role

Samples = npt.NDArray[np.float32]

_LOOKED_AT: Final = 1 << 16
"""Approximate number of pixels examined."""

_GRAY_MEAN, _GRAY_WORST = 0.015, 0.08
"""Largest difference of a pixel's channels in a picture that counts as gray: on average, and in 99 % of the pixels.
JPEG and WebP leave that much of chroma in a gray picture."""

_EXTREME: Final = 0.12
"""Distance from 0 or 1 within which a sample of a metalness or mask counts as one of the two."""

_MOST_COLOURS: Final = 16
"""Maximum number of distinct colours in an ID map, before its edges are smoothed."""

_TECHNICAL: Final = frozenset(
    {"orm", "rma", "mra", "rmo", "aorm", "mraoh", "occlusionroughnessmetallic", "aoroughnessmetallic"}
    | {"metallicroughness", "roughnessmetallic", "metallicsmoothness", "maskmap"}
)
"""Words that always mean one scalar map per channel: any pixels are plausible."""


def contradiction(by_name: MapName, samples: Samples, n_alpha: int = 0) -> str | None:
    """Contradiction between the pixels and a map's name, as the end of a sentence about the map; None if there is none.

    Args:
        samples: (H, W, C) 0..1, or floats; for normals, components coded to 0..1.
        n_alpha: how many of the channels, from the last, are an alpha.
    """
    part = _some(samples)
    colours = part[:, :, : max(1, samples.shape[2] - n_alpha)]
    if by_name.role is Role.NORMAL:
        return _against_normal(part if colours.shape[2] == 1 else colours)
    if by_name.role is Role.OPACITY and n_alpha:
        return "has an alpha of its own"
    if by_name.word in _TECHNICAL:
        return None
    if is_gray(colours):
        return None
    if by_name.role is Role.MASK and _is_mask(colours, samples[:, :, : colours.shape[2]]):
        return None
    if by_name.role is not Role.DATA:
        return "is not gray"
    if by_name.kind == "arm":
        return None if _is_packed(colours) else "is no map of occlusion, roughness and metalness"
    if by_name.kind == "flow":
        return None if _is_flow(colours) else "is no map of two components"
    if by_name.kind == "id":
        return None if _is_flat(samples[:, :, : colours.shape[2]]) else "has no flat areas of a few colours"
    return "is not gray"


def is_gray(colours: Samples) -> bool:
    """Whether (H, W, C) channels are equal up to the errors of lossy codecs."""
    if colours.shape[2] == 1:
        return True
    if colours.shape[2] != 3:
        return False
    spread = colours.max(axis=2) - colours.min(axis=2)
    scale = max(1.0, float(np.abs(colours).max()))
    return float(spread.mean()) <= _GRAY_MEAN * scale and float(np.percentile(spread, 99)) <= _GRAY_WORST * scale


def _some(samples: Samples) -> Samples:
    """Every n-th pixel along both axes, about _LOOKED_AT in all."""
    height, width, _ = samples.shape
    step = max(1, math.isqrt(height * width // _LOOKED_AT))
    return samples[::step, ::step]


def _against_normal(part: Samples) -> str | None:
    if part.shape[2] < 2:
        return "has one channel, a normal map needs two or three"
    outside = float(np.mean(np.square(2 * part[:, :, :2] - 1).sum(axis=2) > 1.05))
    if part.shape[2] == 2:
        return None if outside <= 0.01 else "has components beyond length 1"
    if is_gray(part[:, :, :3]):
        return "is gray"
    meaning = meaning_of(part)
    lengths = lengths_of(part)
    if meaning is Meaning.UNIT or has_length_one(lengths):
        return None
    if outside <= 0.01 and meaning is Meaning.XY and is_filling(part[:, :, 2]):
        return None  # two components and a constant third channel
    # Vectors shortened by filtering still point out of the surface and have a length not far from 1.
    leaning = np.abs(2 * part[:, :, :2].mean(axis=(0, 1)) - 1).max()
    upright = float(np.mean(part[:, :, 2] > 0.5)) >= 0.95
    if upright and float(np.median(lengths)) >= 0.6 and float(np.mean(lengths <= 1.1)) >= 0.98 and leaning <= 0.3:
        return None
    return "has pixels that are no vectors of length 1"


def _extreme(channel: npt.NDArray[Any]) -> float:
    """Share of samples near 0 or 1."""
    return float(np.mean((channel <= _EXTREME) | (channel >= 1 - _EXTREME)))


def _correlation(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Correlation coefficient of two channels; 0 if one is constant."""
    deviations = float(a.std()), float(b.std())
    if min(deviations) < 1 / 512:
        return 0.0
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / (deviations[0] * deviations[1])


def _is_packed(colours: Samples) -> bool:
    """Whether channels look like occlusion, roughness and metalness: the last near 0 or 1, not all correlated."""
    if colours.shape[2] < 3:
        return False
    occlusion, roughness, metalness = (colours[:, :, place] for place in range(3))
    together = min(_correlation(occlusion, roughness), _correlation(roughness, metalness))
    return _extreme(metalness) >= 0.8 and together < 0.7 and float(occlusion.mean()) >= 0.35


def _is_flow(colours: Samples) -> bool:
    """Whether the third of three channels is constant."""
    return colours.shape[2] == 2 or is_filling(colours[:, :, 2])


def _is_mask(colours: Samples, whole: Samples) -> bool:
    """Whether every channel is a mask of its own, or the picture has flat areas of a few colours."""
    return min(_extreme(colours[:, :, place]) for place in range(colours.shape[2])) >= 0.9 or _is_flat(whole)


def _is_flat(whole: Samples) -> bool:
    """Whether neighbouring pixels are mostly equal and there are few distinct colours."""
    rows = whole[:: max(1, whole.shape[0] * whole.shape[1] // _LOOKED_AT)]
    if rows.shape[1] > 1 and float(np.mean((rows[:, 1:] == rows[:, :-1]).all(axis=2))) < 0.85:
        return False
    codes = np.round(rows.reshape(-1, rows.shape[2]) * 255).astype(np.int64)
    _, counts = np.unique(codes @ (256 ** np.arange(rows.shape[2])), return_counts=True)
    largest = np.sort(counts)[::-1][:_MOST_COLOURS]
    return bool(largest.sum() >= 0.98 * counts.sum())
