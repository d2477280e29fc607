"""Arrays and open Pillow images as source pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.image.levels import full_range
from gscodec.image.stack import ImageStack, check_dimensions, picture_groups
from gscodec.model.channels import ChannelGroup
from gscodec.model.constants import MAX_CHANNELS

if TYPE_CHECKING:
    from PIL import Image


def from_array(
    source: "npt.NDArray[Any] | Image.Image",
    groups: Sequence[ChannelGroup] | None = None,
    *,
    icc: bytes | None = None,
    source_name: str = "(array)",
) -> ImageStack:
    """A stack of an array or an open Pillow image.

    Args:
        source: (H, W) or (H, W, C) of bool, uint8, uint16, or floats in 0..1, which count as 16-bit samples and are not
            rounded; or a Pillow image, its EXIF orientation applied and its ICC profile kept.
        groups: what the channels are; None takes 1 to 4 channels as gray or colour with or without alpha, and more
            as data. Integer samples must have the depth that the groups say, in their type's full range.
        icc: ICC profile; a Pillow image brings its own.

    Raises:
        InvalidArgument: an array of another shape or type, or with values outside 0..1.
        LimitExceeded: larger than MAX_IMAGE_PIXELS.
        UnsupportedImage, BadImage: as `load_image`, for a Pillow image.
    """
    if not isinstance(source, np.ndarray):
        from gscodec.image.load import from_pillow

        return from_pillow(source, source_name)
    array = source[:, :, None] if source.ndim == 2 else source
    if array.ndim != 3 or not array.size:
        raise InvalidArgument(f"an array of shape {source.shape} is not a picture (H, W) or (H, W, C)")
    height, width, n_channels = array.shape
    if n_channels > MAX_CHANNELS:
        raise InvalidArgument(f"an array of {n_channels} channels is above the limit of {MAX_CHANNELS}")
    check_dimensions(height, width, source_name)
    if array.dtype.kind == "f" and not (array.min() >= 0 and array.max() <= 1):  # also true for NaN
        raise InvalidArgument("float samples must lie within 0..1")
    depth = {"b": 1, "u": array.dtype.itemsize * 8}.get(array.dtype.kind, 16)
    samples = np.ascontiguousarray(full_range(array, np.float32))
    return ImageStack(samples, tuple(groups or picture_groups(n_channels, depth)), icc, source_name)
