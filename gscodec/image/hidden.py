"""Texels that nobody sees: between the charts of an atlas a picture may hold anything, so it shall cost nothing.

They are filled with the smoothest continuation of what is seen, which takes no detail to store and is what filters
near a chart's edge should meet.
"""

import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument

if TYPE_CHECKING:
    from gscodec.image.stack import ImageStack

Samples = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SWEEPS: Final = 12
"""Of averaging at each size. Coarser sizes have settled what is far apart."""


def hide(stack: "ImageStack", mask: str | os.PathLike[str] | npt.NDArray[Any]) -> "ImageStack":
    """A stack of which only the texels count where a mask is above 0.

    Args:
        mask: path of a picture, or (H, W) numbers; of another size than the stack's, it is resampled, and a texel
            counts if any part of it does. Of a picture in colour or with alpha the first channel.

    Raises:
        InvalidArgument: the mask has another shape, or hides everything.
        GsCodecError: as `load_image`.
    """
    if isinstance(mask, np.ndarray):
        name, values = "mask", mask
    else:
        from gscodec.image.load import load_image  # whose readers fill what is hidden

        name, values = os.fspath(mask), load_image(mask).samples[:, :, 0]
    if values.ndim != 2 or not values.size:
        raise InvalidArgument(f"{name}: an array {values.shape} is no mask; it must be (height, width)")
    visible = _resized(values > 0, *stack.samples.shape[:2])
    if not visible.any():
        raise InvalidArgument(f"{name}: hides every texel; 0 is a texel that nobody sees")
    if visible.all():
        return stack
    return replace(stack, samples=filled(stack.samples, visible), visible=visible)


def filled(samples: Samples, visible: Mask, sweeps: int = SWEEPS) -> Samples:
    """float32 (H, W, C) with a smooth continuation where `visible` (H, W) is false.

    Args:
        sweeps: of averaging at each size.
    """
    height, width, n_channels = samples.shape
    if visible.all() or max(height, width) == 1:
        return samples
    rows, columns = math.ceil(height / 2), math.ceil(width / 2)
    pad = ((0, 2 * rows - height), (0, 2 * columns - width))
    weight = np.pad(visible.astype(np.float32), pad).reshape(rows, 2, columns, 2).sum(axis=(1, 3))
    known = np.pad(np.where(visible[:, :, None], samples, 0), (*pad, (0, 0)))
    total = known.reshape(rows, 2, columns, 2, n_channels).sum(axis=(1, 3))
    coarse = filled((total / np.maximum(weight, 1)[:, :, None]).astype(np.float32), weight > 0, sweeps)
    around = np.empty((height + 2, width + 2, n_channels), np.float32)
    result = around[1:-1, 1:-1]
    result[:] = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[:height, :width]
    np.copyto(result, samples, where=visible[:, :, None])
    hidden = ~visible[:, :, None]
    mean = np.empty_like(result)
    for _ in range(sweeps):
        around[0, 1:-1], around[-1, 1:-1] = result[0], result[-1]
        around[1:-1, 0], around[1:-1, -1] = result[:, 0], result[:, -1]
        np.add(around[:-2, 1:-1], around[2:, 1:-1], out=mean)
        mean += around[1:-1, :-2]
        mean += around[1:-1, 2:]
        mean *= np.float32(0.25)
        np.copyto(result, mean, where=hidden)
    return np.ascontiguousarray(result)


def _resized(visible: Mask, height: int, width: int) -> Mask:
    """True wherever any part of a texel is visible."""
    if visible.shape == (height, width):
        return visible
    from PIL import Image

    image = Image.fromarray(visible.astype(np.float32))
    larger = height > visible.shape[0] or width > visible.shape[1]
    method = Image.Resampling.BILINEAR if larger else Image.Resampling.BOX
    return np.asarray(np.asarray(image.resize((width, height), method)) > 1e-6)
