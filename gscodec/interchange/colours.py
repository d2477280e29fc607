"""Colours in which programs without our blending show Gaussians: sRGB codes of their features."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.image.levels import full_range, to_values
from gscodec.image.transfer import srgb_of_light
from gscodec.model.channels import COLOURS, AlphaMode, ChannelGroup, SampleType, channel_spans

_LEAST_ALPHA: Final = 1 / 255


def shown_group(contents: Contents) -> tuple[ChannelGroup, slice]:
    """The map to show, with its channels: the first colour, else the first."""
    spans = channel_spans(contents.groups)
    return next((span for span in spans if span[0].role in COLOURS), spans[0])


def shown_colours(contents: Contents) -> npt.NDArray[np.uint8]:
    """(N, 4) red, green, blue and alpha of each Gaussian, straight; floats of light are cut to 0..1."""
    return _colours(contents.gaussians.features, *shown_group(contents))


def shown_background(contents: Contents) -> npt.NDArray[np.uint8]:
    """(4,) red, green, blue and alpha of the background."""
    (colour,) = _colours(contents.grid.background[None], *shown_group(contents))
    return np.asarray(colour, np.uint8)


def _colours(features: npt.NDArray[np.float32], group: ChannelGroup, channels: slice) -> npt.NDArray[np.uint8]:
    values: npt.NDArray[Any] = to_values(features[:, channels], (group,))
    has_alpha = group.alpha is not AlphaMode.NONE and group.n_channels > 1
    alpha = np.clip(values[:, -1:], 0, 1) if has_alpha else np.ones((len(values), 1), np.float32)
    colour = values[:, :-1] if has_alpha else values
    if has_alpha and group.alpha is AlphaMode.PREMULTIPLIED:
        colour = colour / np.maximum(alpha, _LEAST_ALPHA)
    if group.sample_type is SampleType.FLOAT and group.role in COLOURS:
        colour = srgb_of_light(np.clip(colour, 0, 1))
    if colour.shape[1] < 3:
        colour = colour[:, :1].repeat(3, axis=1)
    return np.asarray(full_range(np.concatenate([colour[:, :3], alpha], axis=1), np.uint8))
