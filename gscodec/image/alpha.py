"""Alpha: finds the colour that each alpha belongs to, and converts between straight and premultiplied colour.

Straight colour is what a surface has; premultiplied colour is what it adds to a picture. The product is taken of the
samples as their group has them: of light where they are floats (OpenEXR, "Interpreting OpenEXR Deep Pixels"), of codes
where they are integers, as programs read TIFF's associated alpha (TIFF 6.0, section 18). So integers of a straight
picture must become light before they are multiplied for OpenEXR.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.image.hidden_texels import filled
from gscodec.image.source_errors import warn_of_source
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, channel_spans, is_coverable

Samples = npt.NDArray[np.float32]

MOST_CONTRAST: Final = 16.0
"""Ratio of the brightest straight colour to the covered average from which on premultiplied colour is taken as light
that a surface sends out rather than as cover: a glow has next to no alpha, and would be divided into huge numbers."""

ROUNDING: Final = 1e-3
"""Maximum deviation from 0 and 1 of a renderer's alpha that is rounded to them."""

_FILL_SWEEPS: Final = 2
"""Sweeps of `hidden_texels.filled` when a picture is written: only texels within a filter's reach of an edge matter."""


@dataclass(frozen=True)
class Cover:
    """A colour and its alpha."""

    group: ChannelGroup  # of the colour
    colour: slice  # channels
    alpha: int  # channel
    mode: AlphaMode  # straight or premultiplied
    holder: int  # number of the group whose field `alpha` holds the mode


def covers(groups: Sequence[ChannelGroup]) -> list[Cover]:
    """The colours that have an alpha.

    It is the last channel of their group, or the opacity right behind it. An opacity that does not say how its colour
    relates to it, as in files of format 1.3, has straight colour, but for an `A` of floats, which is OpenEXR's.
    """
    result: list[Cover] = []
    spans = channel_spans(groups)
    for number, (group, channels) in enumerate(spans):
        last = channels.stop - 1
        if group.n_channels > 1 and group.alpha is not AlphaMode.NONE:
            result.append(Cover(group, slice(channels.start, last), last, group.alpha, number))
        elif number and group.role is Role.OPACITY and group.n_channels == 1:
            before, colour = spans[number - 1]
            if is_coverable(before) and (group.alpha is not AlphaMode.NONE or _is_named_after(group, before)):
                is_exr = before.sample_type is SampleType.FLOAT and group.name.rpartition(".")[2] == "A"
                unsaid = AlphaMode.PREMULTIPLIED if is_exr else AlphaMode.STRAIGHT
                mode = unsaid if group.alpha is AlphaMode.NONE else group.alpha
                result.append(Cover(before, colour, last, mode, number))
    return result


def _is_named_after(opacity: ChannelGroup, colour: ChannelGroup) -> bool:
    """Whether names mark an alpha of a colour: `A` or `alpha` after `color`, `diffuse.A` after `diffuse`."""
    layer, _, last = opacity.name.rpartition(".")
    return last in {"A", "alpha", "opacity"} and colour.name in {layer or "color", layer}


def in_mode(
    values: npt.NDArray[Any], groups: Sequence[ChannelGroup], mode: AlphaMode
) -> tuple[npt.NDArray[Any], tuple[ChannelGroup, ...]]:
    """Samples whose colours are all straight, or all premultiplied, and their groups; see `in_modes`."""
    return in_modes(values, groups, [mode] * len(covers(groups)))


def in_modes(
    values: npt.NDArray[Any], groups: Sequence[ChannelGroup], modes: Sequence[AlphaMode]
) -> tuple[npt.NDArray[Any], tuple[ChannelGroup, ...]]:
    """Samples with all colours in one mode, straight or premultiplied, and their groups.

    Args:
        values: (H, W, C) floats; integers 0..1, floats in the source's units.
        groups: what the C channels are.
        modes: straight or premultiplied, for each of `covers(groups)`.
    """
    own, result = list(groups), values
    for cover, mode in zip(covers(groups), modes, strict=True):
        own[cover.holder] = replace(own[cover.holder], alpha=mode)
        if mode is not cover.mode:
            result = np.array(values, np.float32) if result is values else result
            convert = multiplied if mode is AlphaMode.PREMULTIPLIED else divided
            result[:, :, cover.colour] = convert(values[:, :, cover.colour], values[:, :, cover.alpha])
    return result, tuple(own)


def multiplied(colour: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> Samples:
    """Premultiplied colour of straight (H, W, c), by alpha (H, W)."""
    return np.asarray(colour * np.clip(alpha, 0, 1)[:, :, None], np.float32)


def divided(colour: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> Samples:
    """Straight colour of premultiplied (H, W, c), by alpha (H, W); where that is 0, the colour around."""
    seen = alpha > 0
    straight = colour / np.where(seen, np.minimum(alpha, 1), 1).astype(np.float32)[:, :, None]
    return filled(np.asarray(straight, np.float32), seen, _FILL_SWEEPS)


def straight_levels(colour: npt.NDArray[Any], alpha: npt.NDArray[Any], largest: int) -> npt.NDArray[np.uint16]:
    """Levels of colour divided by alpha, both of 0..largest; 0 where alpha is 0."""
    quotient = colour.astype(np.float64) * largest / np.maximum(alpha, 1)
    return np.where(alpha > 0, np.minimum(np.floor(quotient + 0.5), largest), 0).astype(np.uint16)


def rounded(alpha: Samples) -> Samples:
    """Float alpha rounded to 0..1 if no value is further out than ROUNDING; otherwise unchanged."""
    if alpha.min() < -ROUNDING or alpha.max() > 1 + ROUNDING:
        return alpha
    return np.clip(alpha, 0, 1)


def straightened(colour: Samples, alpha: Samples) -> Samples | None:
    """Straight colour of a premultiplied source, or None where that would lose light: a glow that covers nothing.

    Args:
        colour: float32 (H, W, c), linear.
        alpha: float32 (H, W).
    """
    seen = alpha > 0
    if alpha.min() < 0 or alpha.max() > 1 or colour[~seen].any() or not seen.any():
        return None
    straight = divided(colour, alpha)
    sizes = np.abs(straight).max(axis=2)
    if not np.isfinite(sizes).all():
        return None
    typical = float(np.abs(colour).max(axis=2)[seen].sum(dtype=np.float64) / alpha[seen].sum(dtype=np.float64))
    return straight if float(sizes.max()) <= MOST_CONTRAST * max(typical, _brightest_covered(sizes, alpha)) else None


def _brightest_covered(sizes: Samples, alpha: Samples) -> float:
    """The maximum straight colour of pixels with an alpha of at least a half."""
    solid = alpha >= 0.5 * alpha.max()
    return float(sizes[solid].max())


def report_lost_alpha(alpha: npt.NDArray[Any], kind: str, name: str) -> None:
    """Warn if a file type without alpha shows uncovered areas as black.

    Args:
        kind: name of the file type.
    """
    if float(alpha.min()) < 1:
        warn_of_source(f"{name}: {kind} has no alpha channel; colour is that over black")
