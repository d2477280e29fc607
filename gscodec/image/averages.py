"""Averages of samples: what is averaged in their place, and samples again of the means.

A colour under straight alpha counts by its alpha, so that what a clear texel hides never shows, and comes back as it is
where nothing is seen at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.format.channels import AlphaMode, ChannelGroup, SampleType
from gscodec.image.alpha import covers

Samples = npt.NDArray[np.float32]

CLEAR_WEIGHT: Final = 2.0**-100
"""What a clear texel counts: nothing beside any other, and yet as much as the next one where all are clear."""

_CACHED_SAMPLES: Final = 1 << 18


@dataclass(frozen=True)
class _Covered:
    colour: slice  # channels
    alpha: int  # channel
    weight: int  # channel behind all others


class SampleAverage:
    """Averages of samples as they are, straight colour by its alpha.

    Alphas of integers count within 0..1, and so does colour that is premultiplied by one: blends go beyond where they
    are flat, and averages of that would eat into edges.

    Args:
        groups: what the C channels are.
    """

    def __init__(self, groups: Sequence[ChannelGroup]) -> None:
        self._n_samples = sum(group.n_channels for group in groups)
        self._clipped: list[slice] = []
        self._covered: list[_Covered] = []
        for cover in covers(groups):
            if cover.group.sample_type is SampleType.UINT:
                first = cover.colour.start if cover.mode is AlphaMode.PREMULTIPLIED else cover.alpha
                self._clipped.append(slice(first, cover.alpha + 1))
            if cover.mode is AlphaMode.STRAIGHT:
                weight = self._n_samples + len(self._covered)
                self._covered.append(_Covered(cover.colour, cover.alpha, weight))
        self.n_channels = self._n_samples + len(self._covered)
        """Of what is averaged."""

    def forward(self, samples: npt.NDArray[Any]) -> Samples:
        """float32 (..., n_channels) to average for (..., C) samples as `levels.to_values` gives them."""
        if not self._clipped and not self._covered:
            return np.asarray(samples, np.float32)
        result = np.empty((*samples.shape[:-1], self.n_channels), np.float32)
        result[..., : self._n_samples] = samples
        for rows in self._in_cache(result):
            for part in self._clipped:
                np.clip(rows[:, part], 0, 1, out=rows[:, part])
            for one in self._covered:
                np.clip(rows[:, one.alpha], CLEAR_WEIGHT, 1, out=rows[:, one.weight])
                rows[:, one.colour] *= rows[:, one.weight, None]
        return result

    def back(self, means: npt.NDArray[Any]) -> Samples:
        """float32 (..., C) samples of means."""
        if not self._covered:
            return np.asarray(means, np.float32)
        whole = np.array(means, np.float32)
        for rows in self._in_cache(whole):
            for one in self._covered:
                rows[:, one.colour] /= rows[:, one.weight, None]
        return np.ascontiguousarray(whole[..., : self._n_samples])

    def _in_cache(self, values: Samples) -> Iterator[Samples]:
        """Views (n, n_channels) of an array (..., n_channels), few enough rows for each to stay in a cache."""
        rows = values.reshape(-1, self.n_channels)
        step = max(1, _CACHED_SAMPLES // self.n_channels)
        return (rows[first : first + step] for first in range(0, len(rows), step))
