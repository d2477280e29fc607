"""Figures of the maps of a material, each on its own, for reports."""

from typing import TYPE_CHECKING, Final

from gscodec.model.channels import Role

if TYPE_CHECKING:
    from gscodec.image.stack import ImageStack

_NORMAL_CHANNELS: Final = (2, 3)


def figures_of(stack: "ImageStack", data: bytes, threads: int | None) -> dict[str, str]:
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
    figures = {}
    for group, channels in channel_spans(stack.groups):
        wanted, result = stack.samples[:, :, channels], decoded[:, :, channels]
        errors = SquareErrors([group])
        errors.add(result, wanted, stack.visible)
        figures[group.name] = f"{errors.psnr:.2f} dB"
        if group.role is Role.NORMAL and group.n_channels in _NORMAL_CHANNELS:
            pair = (shown_normals(samples, group).clip(0, 1) for samples in (wanted, result))
            figures[group.name] += f", {normal_error_deg(*pair):.2f} deg"
    return figures
