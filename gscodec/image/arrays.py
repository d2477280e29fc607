"""Arrays and open Pillow images as source pictures."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.format.files import FileEntry
from gscodec.image.floats import finite, float_group, model_samples
from gscodec.image.levels import full_range
from gscodec.image.source_errors import warn_of_source
from gscodec.image.stack import ImageStack, check_dimensions, picture_groups
from gscodec.model.channels import AlphaMode, ChannelGroup, Role
from gscodec.model.constants import MAX_CHANNELS

if TYPE_CHECKING:
    from PIL import Image


@runtime_checkable
class ArrayLike(Protocol):
    """Anything that NumPy converts: an array, a torch tensor on the CPU, an `IgsImage`."""

    def __array__(self) -> npt.NDArray[Any]:
        """The values."""
        ...


def from_array(
    source: "ArrayLike | Image.Image",
    groups: Sequence[ChannelGroup] | None = None,
    *,
    icc: bytes | None = None,
    source_name: str = "(array)",
    nan: str = "error",
    as_floats: bool = False,
) -> ImageStack:
    """A stack of an array or an open Pillow image.

    Floats within 0..1 are display codes, as 16-bit samples are, and are not rounded. With any value outside, they are
    float samples as in an OpenEXR file, in units of the caller's: of 1 to 4 channels, gray or RGB in linear light with
    or without alpha, else data. A decode gives them back as float32; a SourceWarning says so.

    Args:
        source: (H, W) or (H, W, C) of bool, uint8, uint16, or floats; or a Pillow image, its EXIF orientation applied
            and its ICC profile kept.
        groups: what the channels are; None takes 1 to 4 channels as gray or colour with or without alpha, and more
            as data. Integer samples must have the depth that the groups say, in their type's full range.
        icc: ICC profile; a Pillow image brings its own.
        nan: policy for NaN and infinities: `error`, `zero` or `hole`, as in `load_image`.
        as_floats: keep floats within 0..1 as float samples as well.

    Raises:
        InvalidArgument: an array of another shape or type, or floats outside 0..1 for integer groups.
        LimitExceeded: larger than MAX_IMAGE_PIXELS.
        UnsupportedImage, BadImage: as `load_image`, for a Pillow image.
    """
    if not isinstance(source, ArrayLike):
        if not hasattr(source, "getbands"):
            raise InvalidArgument(f"a {type(source).__name__} is not a path, bytes, file, array or Pillow image")
        from gscodec.image.load import from_pillow

        return from_pillow(source, source_name)
    array = np.asarray(source)
    shape = array.shape
    array = array[:, :, None] if array.ndim == 2 else array
    if array.ndim != 3 or not array.size:
        raise InvalidArgument(f"an array of shape {shape} is not a picture (H, W) or (H, W, C)")
    if array.dtype.kind not in "fbu" or array.dtype.itemsize > (2 if array.dtype.kind == "u" else 8):
        raise InvalidArgument(f"an array of {array.dtype} is not a picture: convert it to uint8, uint16 or floats")
    height, width, n_channels = array.shape
    if n_channels > MAX_CHANNELS:
        raise InvalidArgument(f"an array of {n_channels} channels is above the limit of {MAX_CHANNELS}")
    check_dimensions(height, width, source_name)
    if array.dtype.kind == "f":
        values = finite(array, nan, source_name)
        if groups is None and (as_floats or values.min() < 0 or values.max() > 1):
            return _float_stack(values, 16 if array.dtype.itemsize == 2 else 32, icc, source_name, warn=not as_floats)
        if values.min() < 0 or values.max() > 1:
            raise InvalidArgument("float samples of integer groups must lie within 0..1")
        array = values
    depth = {"b": 1, "u": array.dtype.itemsize * 8}.get(array.dtype.kind, 16)
    samples = np.ascontiguousarray(full_range(array, np.float32))
    return ImageStack(samples, tuple(groups or picture_groups(n_channels, depth)), icc, source_name)


def _float_stack(
    samples: npt.NDArray[np.float32], bit_depth: int, icc: bytes | None, name: str, *, warn: bool
) -> ImageStack:
    """The stack of finite float samples (H, W, C): gray or RGB as light, and alpha; or data."""
    height, width = samples.shape[:2]
    n_channels = int(samples.shape[2])
    n_colours = n_channels - 1 if n_channels in {2, 4} else n_channels
    role = Role.COLOR if n_colours in {1, 3} else Role.DATA
    names = {1: ["Y"], 3: ["R", "G", "B"]}.get(n_colours, [f"channel.{number}" for number in range(n_colours)])
    parts = [("color" if role is Role.COLOR else "data", role, samples[:, :, :n_colours], AlphaMode.NONE)]
    if n_colours < n_channels:
        parts.append(("alpha", Role.OPACITY, samples[:, :, n_colours:], AlphaMode.STRAIGHT))
        names = [*names, "A"]
    if warn:
        as_what = "linear light" if role is Role.COLOR else "data"
        low, high = float(samples.min()), float(samples.max())
        fact = f"samples from {low:.4g} to {high:.4g} are stored as floats, {as_what}, and decode to float32"
        warn_of_source(f"{name}: {fact}; scale them to 0..1 for a display picture")
    source = "picture.exr"
    groups = tuple(
        replace(float_group(label, part, meaning, bit_depth, source), alpha=alpha)
        for label, meaning, part, alpha in parts
    )
    kind = "half" if bit_depth == 16 else "float"
    channels = [{"name": channel, "type": kind, "place": place} for place, channel in enumerate(names)]
    entry = FileEntry(
        source, width, height, n_channels, tuple(each.name for each in groups), exr={"channels": channels}
    )
    models = [model_samples(part, group) for (_, _, part, _), group in zip(parts, groups, strict=True)]
    return ImageStack(np.concatenate(models, axis=2), groups, icc, name, (entry,))
