"""Figures of the maps of a material, each on its own, for reports."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from gscodec.model.channels import Role

if TYPE_CHECKING:
    from gscodec.image.stack import ImageStack

PSNR: Final = "psnr"
ANGLE: Final = "angle_deg"

_NORMAL_CHANNELS: Final = (2, 3)

Figures = dict[str, dict[str, float | None]]
"""By channel group: PSNR in dB, None where the group is exact; of normals also the mean angle, in degrees."""


def figures_of(stack: "ImageStack", data: bytes, threads: int | None) -> Figures:
    """PSNR of each channel group of a file, by the group's name, and for normals the mean angle between the vectors.

    Texels that a mask hides do not count in the PSNR.

    Args:
        stack: the source. data: the file.
    """
    from gscodec.decoding.image import IgsImage
    from gscodec.image.levels import to_unit
    from gscodec.image.normals import shown_normals
    from gscodec.metrics.normals import normal_error_deg
    from gscodec.metrics.seen import SquareErrors
    from gscodec.model.channels import channel_spans

    with IgsImage(data, device="cpu", threads=threads, grain=False) as image:
        decoded = to_unit(image.render(), stack.groups)
    figures: Figures = {}
    for group, channels in channel_spans(stack.groups):
        wanted, result = stack.samples[:, :, channels], decoded[:, :, channels]
        errors = SquareErrors([group])
        errors.add(result, wanted, stack.visible)
        figures[group.name] = {PSNR: None if math.isinf(errors.psnr) else round(errors.psnr, 2)}
        if group.role is Role.NORMAL and group.n_channels in _NORMAL_CHANNELS:
            pair = (shown_normals(samples, group).clip(0, 1) for samples in (wanted, result))
            figures[group.name][ANGLE] = round(normal_error_deg(*pair), 2)
    return figures


def checked_figures(value: Any) -> Figures | None:
    """Figures that a note holds; None if it holds none, or those of an older version, which were texts."""
    if not isinstance(value, Mapping):
        return None
    for each in value.values():
        if not isinstance(each, Mapping) or not isinstance(each.get(PSNR), int | float | None):
            return None
        if not isinstance(each.get(ANGLE, 0.0), int | float):
            return None
    return {str(name): dict(each) for name, each in value.items()}


def shown_figures(each: Mapping[str, float | None]) -> str:
    """The figures of a group as a text: `34.56 dB, 1.20 deg`."""
    psnr, angle = each[PSNR], each.get(ANGLE)
    return ("exact" if psnr is None else f"{psnr:.2f} dB") + ("" if angle is None else f", {angle:.2f} deg")
