"""Alpha in an encode: visibility of samples, values stored where they are hidden, and exact alpha of 0 and 1."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.encoding.extremes import beyond_extremes, depths_of
from gscodec.format.files import FileEntry
from gscodec.image.alpha import covers
from gscodec.image.hidden_texels import filled
from gscodec.image.regions import Rect, Regions
from gscodec.image.stack import ImageStack
from gscodec.model.channels import AlphaMode, ChannelGroup, SampleType, Transfer
from gscodec.model.file_names import legal_name
from gscodec.model.gaussians import Float32Array

MARGIN: Final = 0.1
"""Margin by which a fit's target lies below an alpha of 0 and above one of 1; clamping then removes small errors."""

DEEP_MARGIN: Final = 0.2
"""The margin from DEPTH_PX into a flat part on, where the fit has room to reach it."""

DEPTH_PX: Final = 4

LEAST_WEIGHT: Final = 1 / 64
"""Weight of errors of colour under an alpha of 0: enough to keep it near what filters should read there."""


def prepared(stack: ImageStack, name: str) -> ImageStack:
    """A stack without redundant alpha: an opaque alpha is removed, and colour under an alpha of 0 is replaced.

    Args:
        name: bare file name of the picture, used if the stack has none.
    """
    stack = _without_opaque(stack, name)
    samples = without_hidden(stack.samples, stack.groups)
    stack = stack if samples is stack.samples else replace(stack, samples=samples)
    return _cut_out(stack, name)


def without_hidden(samples: Float32Array, groups: Sequence[ChannelGroup]) -> Float32Array:
    """Samples (H, W, C) whose straight colours continue smoothly into pixels with an alpha of 0."""
    result = samples
    for cover in covers(groups):
        seen = samples[:, :, cover.alpha] > 0
        if cover.mode is AlphaMode.STRAIGHT and not seen.all():
            result = samples.copy() if result is samples else result
            result[:, :, cover.colour] = filled(samples[:, :, cover.colour], seen)
    return result


def aimed(samples: Float32Array, groups: Sequence[ChannelGroup]) -> Float32Array:
    """Target of the fit for samples (H, W, C): a margin beyond each alpha of exactly 0 or 1, so that clamping is exact.

    Premultiplied colour of 0 outside the covered area gets the margin too: errors there would add light. Flat areas of
    extreme colour get a smaller one (`encoding.extremes`).
    """
    within = beyond_extremes(samples, groups)
    covering = covers(groups)
    if not covering:
        return within
    result = samples.copy() if within is samples else within
    for cover in covering:
        alpha = samples[:, :, cover.alpha]
        if _is_clamped(groups[cover.holder]):
            result[:, :, cover.alpha] = alpha - _margins(alpha <= 0) + _margins(alpha >= 1)
        if cover.mode is AlphaMode.PREMULTIPLIED and _is_clamped(cover.group) and cover.group.value_min == 0:
            colour = samples[:, :, cover.colour]
            is_nothing = (colour <= 0) & (alpha <= 0)[:, :, None]
            result[:, :, cover.colour] = np.where(is_nothing, np.float32(-MARGIN), colour)
    return result


def sample_weights(samples: Float32Array, groups: Sequence[ChannelGroup]) -> Float32Array | None:
    """float32 (C, H, W) weight of the error of each sample: alpha for straight colours; None means 1 everywhere.

    Args:
        samples: (H, W, C), also as returned by `aimed`.
    """
    straight = [cover for cover in covers(groups) if cover.mode is AlphaMode.STRAIGHT]
    if not straight:
        return None
    weights = np.ones((samples.shape[2], *samples.shape[:2]), np.float32)
    for cover in straight:
        weights[cover.colour] = np.clip(samples[:, :, cover.alpha], 0, 1)
    return weights


def fit_weights(samples: Float32Array, groups: Sequence[ChannelGroup]) -> Float32Array | None:
    """`sample_weights` for a fit: always above 0, and 1 on average."""
    weights = sample_weights(samples, groups)
    if weights is None:
        return None
    weights = np.maximum(weights, np.float32(LEAST_WEIGHT))
    return np.ascontiguousarray(weights / weights.mean(dtype=np.float64), np.float32)


def _margins(flat: npt.NDArray[np.bool_]) -> Float32Array:
    """(H, W) margins where alpha is flat: MARGIN at the edge, DEEP_MARGIN from DEPTH_PX on."""
    depth = depths_of(flat, DEPTH_PX)
    return np.where(flat, MARGIN + (DEEP_MARGIN - MARGIN) * (depth - 1.0) / (DEPTH_PX - 1), 0).astype(np.float32)


def _is_clamped(group: ChannelGroup) -> bool:
    """Whether features beyond 0 and 1 are samples of 0 and 1 (spec/igs.md, section 3.7)."""
    return group.sample_type is SampleType.UINT or group.transfer in {Transfer.ASINH, Transfer.LOG}


class AimedRegions:
    """A source in parts, with each part as `aimed` returns it; see `Regions`.

    Args:
        is_filled: whether hidden colour has been replaced already, as `prepared` does for a picture in memory.
    """

    def __init__(self, source: Regions, *, is_filled: bool) -> None:
        self._source, self._is_filled = source, is_filled
        self.shape = source.shape
        self.groups = source.groups
        self.icc = source.icc
        self.files = source.files
        self.metadata = source.metadata

    def read(self, area: Rect) -> Float32Array:
        """See `Regions.read`."""
        samples = self._source.read(area)
        return aimed(samples if self._is_filled else without_hidden(samples, self.groups), self.groups)

    def close(self) -> None:
        """See `Regions.close`."""
        self._source.close()


def _without_opaque(stack: ImageStack, name: str) -> ImageStack:
    """A picture without its alpha if that is 1 everywhere; decoded files get an alpha of 1 again."""
    group = stack.groups[0]
    is_plain = len(stack.groups) == 1 and not stack.files and not stack.weights
    if not is_plain or group.alpha is AlphaMode.NONE or group.n_channels not in {2, 4}:
        return stack
    if not bool((stack.samples[:, :, -1] == 1).all()):
        return stack
    entry = replace(_entry(stack, name), n_channels=group.n_channels)
    rest = replace(group, n_channels=group.n_channels - 1, alpha=AlphaMode.NONE)
    return replace(stack, samples=np.ascontiguousarray(stack.samples[:, :, :-1]), groups=(rest,), files=(entry,))


def _cut_out(stack: ImageStack, name: str) -> ImageStack:
    """A stack whose file entries mark alpha channels that hold only 0 and 1."""
    binary = {
        stack.groups[cover.holder].name: _is_binary(stack.samples[:, :, cover.alpha]) for cover in covers(stack.groups)
    }
    if not any(binary.values()):
        return stack
    files = stack.files or ((_entry(stack, name),) if len(stack.groups) == 1 else ())
    alphas = [[binary[group] for group in entry.groups if group in binary] for entry in files]
    cut_out = tuple(replace(f, binary_alpha=bool(own) and all(own)) for f, own in zip(files, alphas, strict=True))
    return replace(stack, files=cut_out)


def _is_binary(alpha: npt.NDArray[Any]) -> bool:
    return bool(((alpha == 0) | (alpha == 1)).all()) and bool((alpha != alpha[0, 0]).any())


def _entry(stack: ImageStack, name: str) -> FileEntry:
    height, width, n_channels = stack.samples.shape
    group = stack.groups[0]
    return FileEntry(legal_name(group.source or name), width, height, n_channels, (group.name,))
