"""Masks of visible texels of a picture or material."""

import os
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.image.hidden_texels import Mask, filled
from gscodec.image.stack import ImageStack


def hide(stack: "ImageStack", mask: str | os.PathLike[str] | npt.NDArray[Any]) -> "ImageStack":
    """A stack in which only texels count whose mask is above 0.

    Args:
        mask: path of a picture (its first channel is used), or (H, W) numbers. A mask of another size than the stack
            is resampled; a texel counts if any part of it does.

    Raises:
        InvalidArgument: the mask has another shape, or hides everything.
        GsCodecError: as `load_image`.
    """
    if isinstance(mask, np.ndarray):
        name, values = "mask", mask
    else:
        from gscodec.image.load import load_image  # loads Pillow, which an array does not need

        name, values = os.fspath(mask), load_image(mask).samples[:, :, 0]
    if values.ndim != 2 or not values.size:
        raise InvalidArgument(f"{name}: an array of shape {values.shape} is not a mask; it must be (height, width)")
    visible = _resized(values > 0, *stack.samples.shape[:2])
    if not visible.any():
        raise InvalidArgument(f"{name}: hides every texel; 0 marks a hidden texel")
    if visible.all():
        return stack
    return replace(stack, samples=filled(stack.samples, visible), visible=visible)


def _resized(visible: Mask, height: int, width: int) -> Mask:
    """True wherever any part of a texel is visible."""
    if visible.shape == (height, width):
        return visible
    from PIL import Image

    image = Image.fromarray(visible.astype(np.float32))
    larger = height > visible.shape[0] or width > visible.shape[1]
    method = Image.Resampling.BILINEAR if larger else Image.Resampling.BOX
    return np.asarray(np.asarray(image.resize((width, height), method)) > 1e-6)
