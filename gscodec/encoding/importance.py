"""Weight of each pixel of a picture in its encode: from an importance map, or from the picture's own saliency."""

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
"""Value that selects the picture's own saliency instead of a map."""


def pixel_weights(
    importance: str | os.PathLike[str] | npt.NDArray[Any], strength: float, stack: ImageStack
) -> Float32Array:
    """float32 (H, W) weight of the error of each pixel, 1 on average.

    Args:
        importance: `auto`; or a map of the picture's size, as a path or as `from_array` takes it, from 0 (unimportant)
            to 1 (important). Colour channels are averaged; alpha is ignored.
        strength: ratio of the weights at map values 1 and 0; weights are linear in between.

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


_OUTSIDE: Final = "{}: values of an importance map must lie within 0 and 1"


def _read_map(source: str | os.PathLike[str] | npt.NDArray[Any], size: tuple[int, ...]) -> Float32Array:
    if isinstance(source, np.ndarray):
        name = "importance"
        if source.dtype.kind == "f" and source.size and not (source.min() >= 0 and source.max() <= 1):
            raise InvalidArgument(_OUTSIDE.format(name))
        picture = from_array(source, source_name=name)
    else:
        name = os.fspath(source)
        read = load_picture([name], overrides=Overrides(role=Role.COLOR))
        if not isinstance(read, ImageStack):
            read.close()
            raise InvalidArgument(f"{name}: is too large for an importance map")
        picture = read
    height, width, _ = picture.samples.shape
    if (height, width) != size:
        raise InvalidArgument(
            f"{name}: the importance map has {width}x{height} px, the picture {size[1]}x{size[0]}; scale it to that"
        )
    group = picture.groups[0]
    n_colours = group.n_channels - (group.alpha != AlphaMode.NONE)
    values: Float32Array = picture.samples[:, :, :n_colours].mean(axis=2, dtype=np.float32)
    if not (values.min() >= 0 and values.max() <= 1):
        raise InvalidArgument(_OUTSIDE.format(name))
    return values
