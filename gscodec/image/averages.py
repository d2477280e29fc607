"""Averages of samples: conversion to the quantities that are averaged, and of the means back to samples.

A colour under straight alpha counts by its alpha, so that what a clear texel hides never shows, and comes back as it is
where nothing is seen at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.image.alpha import covers
from gscodec.model.channels import AlphaMode, ChannelGroup, SampleType, count_channels

Samples = npt.NDArray[np.float32]

CLEAR_WEIGHT: Final = 2.0**-100
"""Weight of a texel with alpha 0: negligible beside others, but equal among texels that all have alpha 0."""

_CACHED_SAMPLES: Final = 1 << 16


@dataclass(frozen=True)
class AverageRules:
    """`SampleAverage` as arrays, for GPU kernels: D values to average for C samples.

    Value d is sample sources[d] within lows[d] .. highs[d], times value weights[d] where that is not -1. The mean of
    value c < C by that of value weights[c] is sample c; one that is_alpha is 0 up to 2 CLEAR_WEIGHT.
    """

    sources: npt.NDArray[np.int32]  # (D,)
    lows: Samples  # (D,)
    highs: Samples  # (D,)
    weights: npt.NDArray[np.int32]  # (D,)
    is_alpha: npt.NDArray[np.uint8]  # (C,) 0 or 1: of integers, and weighs others


class SampleAverage:
    """Averages of samples, straight colour weighted by its alpha.

    Alphas of integers count within 0..1, and so does colour that is premultiplied by one: blends go beyond where they
    are flat, and averages of that would eat into edges.

    Args:
        groups: what the C channels are.
    """

    def __init__(self, groups: Sequence[ChannelGroup]) -> None:
        self._n_samples = self.n_channels = count_channels(groups)
        self._low, self._high = (np.full(self._n_samples, bound, np.float32) for bound in (-np.inf, np.inf))
        colours: list[int] = []
        weights: list[int] = []  # index of each value's weight: an alpha, or an additional constant 1
        self._codes: list[int] = []  # alphas of integer groups, used as weights with CLEAR_WEIGHT added
        self._floats: list[int] = []  # alphas of float groups, which may have any value
        for cover in covers(groups):
            is_straight, is_code = cover.mode is AlphaMode.STRAIGHT, cover.group.sample_type is SampleType.UINT
            channels = range(cover.colour.start, cover.colour.stop)
            if is_code:
                clipped = [cover.alpha] if is_straight else [*channels, cover.alpha]
                self._low[clipped], self._high[clipped] = CLEAR_WEIGHT if is_straight else 0, 1
            if is_straight:
                colours += channels
                weights += [cover.alpha if is_code else self.n_channels] * len(channels)
                (self._codes if is_code else self._floats).append(cover.alpha)
                self.n_channels += not is_code
        self._colours, self._weights = np.array(colours, np.intp), np.array(weights, np.intp)
        self._clips = bool(np.isfinite(self._low).any())

    @property
    def rules(self) -> AverageRules:
        """The conversion as arrays."""
        n_floats = len(self._floats)
        weights, is_alpha = np.full(self.n_channels, -1, np.int32), np.zeros(self._n_samples, np.uint8)
        weights[self._colours], is_alpha[self._codes] = self._weights, 1
        return AverageRules(
            np.array([*range(self._n_samples), *self._floats], np.int32),
            np.append(self._low, np.full(n_floats, CLEAR_WEIGHT, np.float32)),
            np.append(self._high, np.ones(n_floats, np.float32)),
            weights,
            is_alpha,
        )

    def forward(self, samples: npt.NDArray[Any]) -> Samples:
        """float32 (..., n_channels) quantities to average for (..., C) samples as returned by `levels.to_values`."""
        if not self._clips and not len(self._colours):
            return np.asarray(samples, np.float32)
        result = np.empty((*samples.shape[:-1], self.n_channels), np.float32)
        result[..., : self._n_samples] = samples
        for rows in self._in_cache(result):
            if self._clips:
                np.clip(rows[:, : self._n_samples], self._low, self._high, out=rows[:, : self._n_samples])
            if self._floats:
                np.clip(rows[:, self._floats], CLEAR_WEIGHT, 1, out=rows[:, self._n_samples :])
            rows[:, self._colours] = rows.take(self._colours, axis=1) * rows.take(self._weights, axis=1)
        return result

    def back(self, means: npt.NDArray[Any]) -> Samples:
        """float32 (..., C) samples from the means."""
        if not len(self._colours):
            return np.asarray(means, np.float32)
        result = np.array(means, np.float32)
        for rows in self._in_cache(result):
            rows[:, self._colours] = rows.take(self._colours, axis=1) / rows.take(self._weights, axis=1)
            if self._codes:
                alphas = rows.take(self._codes, axis=1)
                rows[:, self._codes] = np.where(alphas > 2 * CLEAR_WEIGHT, alphas, 0)
        return np.ascontiguousarray(result[..., : self._n_samples])

    def _in_cache(self, values: Samples) -> Iterator[Samples]:
        """Views (n, n_channels) of an array (..., n_channels), each small enough for a cache."""
        rows = values.reshape(-1, self.n_channels)
        step = max(1, _CACHED_SAMPLES // self.n_channels)
        return (rows[first : first + step] for first in range(0, len(rows), step))
