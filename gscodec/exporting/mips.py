"""Mip chains: every level an area average of the finest, taken where averages mean something.

Colour is averaged as light, not as sRGB codes, and by its coverage where it has a straight alpha, so that the colour
under clear texels does not bleed. Normals are averaged as vectors and brought back to length 1, unless they have X and
Y alone. Everything else is averaged as it is. Nothing is rounded between two levels, and normals stay as long as their
averages are.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.image.normals import Meaning, codes_of, meaning_in, samples_of, unit_normals
from gscodec.image.transfer import light_of_srgb, srgb_of_light
from gscodec.model.channels import COLOURS, AlphaMode, ChannelGroup, SampleType, Transfer

Samples = npt.NDArray[np.float32]

_CLEAR: Final = 1e-6
"""Coverage below which a texel has no colour of its own."""


def is_srgb(group: ChannelGroup) -> bool:
    """Whether samples are sRGB codes of light."""
    return group.transfer is Transfer.SRGB and group.role in COLOURS and group.sample_type is SampleType.UINT


def n_levels(height: int, width: int) -> int:
    """Levels of a full chain, down to 1x1."""
    return max(height, width).bit_length()


def mip_chain(samples: Samples, group: ChannelGroup, meaning: Meaning | None = None) -> list[Samples]:
    """All levels, finest first; the first is `samples` itself, the sides of the next are halves, rounded down.

    Args:
        samples: float32 (H, W, C), 0..1 for integer sources.
        group: what the C channels are.
        meaning: of a normal map's third channel; None finds out.
    """
    to_linear, from_linear = _domain(group, samples.shape[2], meaning or meaning_in(samples, group))
    levels = [samples]
    linear = to_linear(samples)
    while linear.shape[:2] != (1, 1):
        linear = halved(linear)
        levels.append(np.ascontiguousarray(from_linear(linear), np.float32))
    return levels


def halved(values: Samples) -> Samples:
    """(max(1, H // 2), max(1, W // 2), C), each texel the mean of the area that it covers."""
    for axis in (0, 1):
        size = values.shape[axis]
        if size == 1:
            continue
        half = size // 2
        taps = [np.take(values, np.arange(first, 2 * half + first, 2), axis=axis) for first in range(2 + size % 2)]
        if size % 2 == 0:
            values = 0.5 * (taps[0] + taps[1])
            continue
        # An odd side: texel i covers 2 + 1 / half of the finer ones, from i (2 + 1 / half) on.
        place = np.arange(half, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
        values = ((half - place) * taps[0] + half * taps[1] + (place + 1) * taps[2]) / np.float32(size)
    return np.asarray(values, np.float32)


def _domain(
    group: ChannelGroup, n_channels: int, meaning: Meaning | None
) -> tuple[Callable[[Samples], Samples], Callable[[Samples], Samples]]:
    """Where a group's samples are averaged: the way there and the way back."""
    if meaning in {Meaning.UNIT, Meaning.VECTOR}:
        return lambda samples: codes_of(samples, group), lambda linear: samples_of(_normals_back(linear), group)
    if group.role not in COLOURS:
        return lambda samples: samples, lambda linear: linear
    light = light_of_srgb if is_srgb(group) else _same
    codes = srgb_of_light if is_srgb(group) else _same
    has_alpha = group.alpha is not AlphaMode.NONE
    n_colour = n_channels - has_alpha

    def there(samples: Samples) -> Samples:
        colour, alpha = light(samples[:, :, :n_colour]), samples[:, :, n_colour:]
        if group.alpha is AlphaMode.STRAIGHT:
            return np.concatenate([colour * alpha, alpha, colour], axis=2)
        return np.concatenate([colour, alpha], axis=2)

    def back(linear: Samples) -> Samples:
        colour, alpha = linear[:, :, :n_colour], linear[:, :, n_colour:n_channels]
        if group.alpha is AlphaMode.STRAIGHT:
            plain = linear[:, :, n_channels:]
            colour = np.where(alpha > _CLEAR, colour / np.maximum(alpha, _CLEAR), plain)
        return np.concatenate([codes(colour), alpha], axis=2)

    return there, back


def _same(values: Samples) -> Samples:
    return values


def _normals_back(linear: Samples) -> Samples:
    return np.concatenate([unit_normals(linear[:, :, :3]), linear[:, :, 3:]], axis=2)
