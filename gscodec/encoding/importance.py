"""What each pixel of a picture counts in its encode: from a map of what is important, or from the picture itself."""

import math
import os
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.image.arrays import from_array
from gscodec.image.stack import ImageStack
from gscodec.material.load_picture import load_picture
from gscodec.material.maps import Overrides
from gscodec.material.saliency import image_signature
from gscodec.model.channels import AlphaMode, Role
from gscodec.model.constants import MAX_STRENGTH
from gscodec.model.gaussians import Float32Array

AUTO: Final = "auto"
"""In place of a map: the picture's own saliency."""


def pixel_weights(
    importance: str | os.PathLike[str] | npt.NDArray[Any], strength: float, stack: ImageStack
) -> Float32Array:
    """float32 (H, W), 1 on average: what the errors of each pixel count.

    Args:
        importance: `auto`; or a map of the picture's size, as a path or as `from_array` takes it: 1 is important, 0 is
            not. Of a map in colour the mean of the colours counts, and no alpha.
        strength: how many times as much a pixel of value 1 counts as one of value 0; in between in proportion.

    Raises:
        InvalidArgument: a strength below 1 or above MAX_STRENGTH, or a map of another size or with values outside 0..1.
        BadImage, UnsupportedImage, LimitExceeded, FileAccessError: the map cannot be read.
    """
    if not (math.isfinite(strength) and 1 <= strength <= MAX_STRENGTH):
        raise InvalidArgument(f"an importance strength of {strength} is not within 1 to {MAX_STRENGTH:g}")
    if isinstance(importance, str) and importance == AUTO:
        shown = image_signature(stack.samples, stack.groups)
    else:
        shown = _read_map(importance, stack.samples.shape[:2])
    weights = 1.0 + (strength - 1.0) * shown.astype(np.float64)
    return np.ascontiguousarray(weights / weights.mean(), np.float32)


def _read_map(source: str | os.PathLike[str] | npt.NDArray[Any], size: tuple[int, ...]) -> Float32Array:
    if isinstance(source, np.ndarray):
        found, name = from_array(source, source_name="importance"), "importance"
    else:
        name = os.fspath(source)
        read = load_picture([name], overrides=Overrides(role=Role.COLOR))
        if not isinstance(read, ImageStack):
            read.close()
            raise InvalidArgument(f"{name}: is too large for an importance map")
        found = read
    height, width, _ = found.samples.shape
    if (height, width) != size:
        raise InvalidArgument(
            f"{name}: the importance map has {width}x{height} px, the picture {size[1]}x{size[0]}; scale it to that"
        )
    group = found.groups[0]
    n_colours = group.n_channels - (group.alpha != AlphaMode.NONE)
    values: Float32Array = found.samples[:, :, :n_colours].mean(axis=2, dtype=np.float32)
    if not (values.min() >= 0 and values.max() <= 1):
        raise InvalidArgument(f"{name}: values of an importance map must lie within 0 and 1")
    return values
