"""Mip chains: each level is an area average of the whole picture, in the domain suited to each kind of map.

Colour is averaged in linear light instead of sRGB codes, and weighted by straight alpha, so that hidden colour does not
bleed. Normals are averaged as vectors and normalised, unless only X and Y are stored. Everything else is averaged as
stored, including premultiplied codes, whose light is undefined where alpha is 0. No rounding takes place between two
levels, and averages of normals keep their length until they are returned.

`gscodec decode --mips`, `gscodec export` and `IgsImage.mips` all use this module.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from gscodec.decoding.scaled import shrink_array
from gscodec.image.alpha import covers
from gscodec.image.averages import SampleAverage
from gscodec.image.normals import Meaning, codes_of, meaning_in, samples_of, unit_normals, unit_z_of
from gscodec.image.transfer import light_of_srgb, srgb_of_light
from gscodec.model.channels import AlphaMode, ChannelGroup, channel_spans, has_srgb_codes
from gscodec.model.gaussians import Float32Array

Meanings = Sequence[Meaning | None]
"""For each group, the meaning of a normal map's third channel; None if the group is not a normal map."""

_STRIP_SAMPLES: Final = 1 << 20
"""Samples of the finest level that are converted at a time: 4 MiB, and a few times that for intermediate results."""

_VECTOR_CHANNELS: Final = 3


def mip_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of all levels: halved, rounded down, until one pixel is left."""
    n_levels = max(height, width).bit_length()
    return [(max(1, height >> level), max(1, width >> level)) for level in range(n_levels)]


def mip_levels(
    samples: Float32Array, groups: Sequence[ChannelGroup], meanings: Meanings | None = None
) -> Iterator[Float32Array]:
    """float32 (h, w, C) of all levels, finest first; the first is `samples` itself.

    Args:
        samples: float32 (H, W, C), 0..1 for integer groups, floats in the source's units.
        groups: channel groups of the C channels.
        meanings: of the groups. UNIT for two channels stands for vectors whose Z follows from X and Y. None detects it
            from the samples.
    """
    yield samples
    sizes = mip_sizes(*samples.shape[:2])[1:]
    if not sizes:
        return
    domain = _Domain(groups, meanings_of(samples, groups) if meanings is None else meanings)
    finest = held = domain.forward_all(samples)
    del samples
    for size in sizes:
        # If footprints of a level are whole pixels of the previous one, the mean of means is the mean.
        is_whole = held.shape[0] % size[0] == 0 and held.shape[1] % size[1] == 0
        held = shrink_array(held if is_whole else finest, size)
        yield domain.back(held)


def meanings_of(samples: Float32Array, groups: Sequence[ChannelGroup]) -> list[Meaning | None]:
    """Meaning of the third channels of normal maps, detected from samples (H, W, C)."""
    return [meaning_in(samples[:, :, channels], group) for group, channels in channel_spans(groups)]


class _Domain:
    """Conversion of samples to the quantities that are averaged, and of the means back to samples."""

    def __init__(self, groups: Sequence[ChannelGroup], meanings: Meanings) -> None:
        self._average = SampleAverage(groups)
        spans = channel_spans(groups)
        premultiplied = {cover.colour.start for cover in covers(groups) if cover.mode is AlphaMode.PREMULTIPLIED}
        self._colours = [
            slice(channels.start, channels.stop - (group.alpha is not AlphaMode.NONE and group.n_channels > 1))
            for group, channels in spans
            if has_srgb_codes(group) and channels.start not in premultiplied
        ]
        self._normals = [
            (group, slice(channels.start, min(channels.stop, channels.start + _VECTOR_CHANNELS)))
            for (group, channels), meaning in zip(spans, meanings, strict=True)
            if meaning in {Meaning.UNIT, Meaning.VECTOR}
        ]

    def forward_all(self, samples: Float32Array) -> Float32Array:
        """float32 (H, W, D) quantities to average for samples (H, W, C), computed strip by strip."""
        height, width, n_channels = samples.shape
        step = max(1, _STRIP_SAMPLES // (width * n_channels))
        first = self._forward(samples[:step])
        if len(first) == height:
            return first
        result = np.empty((height, width, first.shape[2]), np.float32)
        result[:step] = first
        for row in range(step, height, step):
            result[row : row + step] = self._forward(samples[row : row + step])
        return result

    def _forward(self, samples: Float32Array) -> Float32Array:
        values = np.array(samples, np.float32)
        for colour in self._colours:
            values[:, :, colour] = light_of_srgb(values[:, :, colour])
        missing = []
        for group, vectors in self._normals:
            values[:, :, vectors] = codes_of(values[:, :, vectors], group)
            if group.n_channels < _VECTOR_CHANNELS:
                missing.append(unit_z_of(np.clip(values[:, :, vectors], 0, 1))[:, :, None])
        return np.concatenate([self._average.forward(values), *missing], axis=2)

    def back(self, means: Float32Array) -> Float32Array:
        """float32 (h, w, C) samples of means (h, w, D)."""
        missing = self._average.n_channels
        values = np.array(self._average.back(means[:, :, :missing]), np.float32)
        for colour in self._colours:
            values[:, :, colour] = srgb_of_light(values[:, :, colour])
        for group, vectors in self._normals:
            codes = values[:, :, vectors]
            if group.n_channels < _VECTOR_CHANNELS:
                codes = np.concatenate([codes, means[:, :, missing : missing + 1]], axis=2)
                missing += 1
            units = samples_of(unit_normals(codes), group)
            values[:, :, vectors] = units[:, :, : vectors.stop - vectors.start]
        return values
