"""Pictures averaged over squares of pixels, from which the coarser sets of a file are made.

Averages are those of a decoder that shrinks a picture (spec/igs.md, section 3.9): codes of integer groups, samples of
float groups, straight colour by its alpha. So a coarser set shows what the finest would at its size.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.image.averages import SampleAverage
from gscodec.image.levels import to_values
from gscodec.image.regions import Rect, RegionSource
from gscodec.image.stack import ImageStack
from gscodec.image.transfer import to_model
from gscodec.model.channels import ChannelGroup, SampleType, channel_spans
from gscodec.model.gaussians import Float32Array

_STRIP_SAMPLES: Final = 1 << 24
"""Samples of the picture that are averaged at a time."""


def reduced_size(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) of a picture averaged over squares of side x side px, those at the edges smaller."""
    return -(-height // side), -(-width // side)


def square_sums(values: Float32Array, side: int) -> Float32Array:
    """float32 (h, w, D) sums of (H, W, D) values over squares of side x side px."""
    height, width = values.shape[:2]
    rows = np.add.reduceat(values, np.arange(0, height, side), axis=0)
    return np.add.reduceat(rows, np.arange(0, width, side), axis=1)


def square_means(values: Float32Array, side: int) -> Float32Array:
    """float32 (h, w, D) means of (H, W, D) values over squares of side x side px."""
    down, across = (np.diff([*range(0, length, side), length]).astype(np.float32) for length in values.shape[:2])
    return square_sums(values, side) / np.outer(down, across).astype(np.float32)[:, :, None]


def reduced_samples(
    samples: Float32Array, groups: Sequence[ChannelGroup], side: int, visible: npt.NDArray[np.bool_] | None = None
) -> Float32Array:
    """float32 (h, w, C) means of samples (H, W, C) of the model over squares of side x side px.

    Args:
        visible: (H, W) texels that count; where a square has none, all of it does.
    """
    height, width, n_channels = samples.shape
    result = np.empty((*reduced_size(height, width, side), n_channels), np.float32)
    step = side * max(1, _STRIP_SAMPLES // (side * width * n_channels))
    for row in range(0, height, step):
        shown = None if visible is None else visible[row : row + step]
        part = _means(samples[row : row + step], groups, side, shown)
        result[row // side : row // side + len(part)] = part
    return result


def _means(
    samples: Float32Array, groups: Sequence[ChannelGroup], side: int, visible: npt.NDArray[np.bool_] | None
) -> Float32Array:
    average = SampleAverage(groups)
    values = average.forward(to_values(samples, groups))
    means = square_means(values, side)
    if visible is not None:
        shown = square_sums(np.asarray(visible[:, :, None], np.float32), side)
        seen = square_sums(values * visible[:, :, None], side) / np.maximum(shown, 1)
        means = np.where(shown > 0, seen, means)
    result = average.back(means)
    for group, channels in channel_spans(groups):
        if group.sample_type is SampleType.FLOAT:
            result[:, :, channels] = to_model(result[:, :, channels], group)
    return np.ascontiguousarray(result)


def reduced_stack(stack: ImageStack, side: int) -> ImageStack:
    """A picture in memory averaged over squares of side x side px, without what belongs to the source alone.

    A texel is visible if any of its square is.
    """
    visible = None
    if stack.visible is not None:
        shown = square_sums(np.asarray(stack.visible[:, :, None], np.float32), side)
        visible = shown[:, :, 0] > 0
    samples = reduced_samples(stack.samples, stack.groups, side, stack.visible)
    return ImageStack(samples, stack.groups, source_name=stack.source_name, visible=visible, weights=stack.weights)


class ReducedRegions(RegionSource):
    """A picture that is read in parts, averaged over squares of side x side px.

    Args:
        source: stays open when this is closed.
    """

    def __init__(self, source: RegionSource, side: int) -> None:
        height, width, n_channels = source.shape
        groups = tuple(replace(group, source="") for group in source.groups)
        super().__init__((*reduced_size(height, width, side), n_channels), groups, None)
        self._source, self._side = source, side

    def read(self, area: Rect) -> Float32Array:
        """See `Regions.read`."""
        height, width, n_channels = self._source.shape
        side = self._side
        x0, x1 = area.x0 * side, min(width, area.x1 * side)
        result = np.empty((area.height, area.width, n_channels), np.float32)
        step = max(1, _STRIP_SAMPLES // (side * (x1 - x0) * n_channels))
        for row in range(0, area.height, step):
            y0 = (area.y0 + row) * side
            y1 = min(height, (area.y0 + min(row + step, area.height)) * side)
            part = self._source.read(Rect(x0, y0, x1, y1))
            result[row : row + step] = reduced_samples(part, self.groups, side)
        return result
