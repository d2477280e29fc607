"""Samples as integers and as the model's values, 0..1.

One rule holds wherever this package hands out or takes integer samples: 0 is 0 and the largest value of the type, 255
or 65535, is 1. A picture of another depth (1, 4, 10, 12 bits ...) has only as many of these values as it has levels:
level v of b bits is round(v * 255 / (2^b - 1)) in uint8.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.image.transfer import from_model, to_model
from gscodec.model.channels import ChannelGroup, SampleType, channel_spans, count_channels

Array = npt.NDArray[Any]


def native_dtype(groups: Sequence[ChannelGroup]) -> np.dtype[Any]:
    """Type of a picture's samples: uint8 up to 8 bits, uint16 up to 16, float32 if any group has floats."""
    if has_floats(groups):
        return np.dtype(np.float32)
    return np.dtype(np.uint8 if max(group.bit_depth for group in groups) <= 8 else np.uint16)


def has_floats(groups: Sequence[ChannelGroup]) -> bool:
    """Whether any group has float samples."""
    return any(group.sample_type is SampleType.FLOAT for group in groups)


def full_range(values: Array, dtype: npt.DTypeLike) -> Array:
    """Values brought to another type, without regard to bit depths: floor(clamp(v, 0, 1) * max + 0.5) for integers.

    Args:
        values: bool, uint8, uint16, or floats of the model's domain.
        dtype: uint8, uint16 or float32.

    Raises:
        InvalidArgument: samples of another type, or not finite.
    """
    target = np.dtype(dtype)
    if values.dtype == target:
        return values
    if values.dtype == np.bool_:
        bits: Array = values.astype(target)
        bits *= target.type(np.iinfo(target).max if target.kind == "u" else 1)
        return bits
    if values.dtype not in (np.uint8, np.uint16) and values.dtype.kind != "f":
        raise InvalidArgument(f"samples of type {values.dtype} are not bool, uint8, uint16 or floats")
    if target.kind == "f":
        return values.astype(target) if values.dtype.kind == "f" else _divided(values, np.iinfo(values.dtype).max)
    top = int(np.iinfo(target).max)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise InvalidArgument("samples are not all finite")
        nearest = np.floor(np.clip(values, 0, 1) * values.dtype.type(top) + values.dtype.type(0.5))
        return np.asarray(nearest, target)
    if target == np.uint16:
        return values.astype(target) * np.uint16(257)
    return ((values.astype(np.uint32) + 128) // 257).astype(target)


def to_native(values: Array, groups: Sequence[ChannelGroup]) -> Array:
    """Samples in the file's own type, rounded to the levels of each group's bit depth.

    Args:
        values: (H, W, C) floats of the model's domain, or uint8 / uint16.
        groups: what the C channels are.

    Returns:
        (H, W, C) of native_dtype(groups): where any group has floats, float32 as `to_values`.

    Raises:
        InvalidArgument: the channels do not fit the groups, samples of another type or not finite.
    """
    check_channels(values, groups)
    dtype = native_dtype(groups)
    if dtype.kind == "f":
        return to_values(full_range(values, dtype), groups)
    top = int(np.iinfo(dtype).max)
    if all((1 << group.bit_depth) - 1 == top for group in groups):
        return full_range(values, dtype)
    result = np.empty(values.shape, dtype)
    for group, channels in channel_spans(groups):
        steps = (1 << group.bit_depth) - 1
        levels = _levels(values[:, :, channels], steps)
        # Up to 15 bits this fits 32; with 16 there is nothing to do.
        result[:, :, channels] = levels if steps == top else (levels * 2 * top + steps) // (2 * steps)
    return result


def to_unit(values: Array, groups: Sequence[ChannelGroup]) -> npt.NDArray[np.float32]:
    """The model's values of samples: level / (2^bits - 1) for integers, so that sources and decodes compare exactly.

    Args:
        values: (H, W, C) uint8, uint16, or floats: of a float group in the source's units, else as they are.
        groups: what the C channels are.

    Returns:
        float32 (H, W, C).

    Raises:
        InvalidArgument: the channels do not fit the groups, or samples of another type.
    """
    check_channels(values, groups)
    result = np.empty(values.shape, np.float32)
    for group, channels in channel_spans(groups):
        if group.sample_type is SampleType.FLOAT:
            result[:, :, channels] = to_model(full_range(values[:, :, channels], np.float32), group)
        elif values.dtype.kind == "f":
            result[:, :, channels] = values[:, :, channels]
        else:
            steps = (1 << group.bit_depth) - 1
            result[:, :, channels] = _divided(_levels(values[:, :, channels], steps), steps)
    return result


def to_values(values: Array, groups: Sequence[ChannelGroup]) -> npt.NDArray[np.float32]:
    """Blended features as samples: float groups in the source's units, others unchanged.

    Args:
        values: (..., C) floats of the model's domain.
        groups: what the C channels are.
    """
    if not has_floats(groups):
        return values.astype(np.float32, copy=False)
    result = np.array(values, np.float32)
    for group, channels in channel_spans(groups):
        if group.sample_type is SampleType.FLOAT:
            result[..., channels] = from_model(result[..., channels], group)
    return result


def check_channels(values: Array, groups: Sequence[ChannelGroup]) -> None:
    """Raise unless an array is (H, W, C) with the channels of the groups.

    Raises:
        InvalidArgument: it is not.
    """
    n_channels = count_channels(groups)
    if values.ndim != 3 or values.shape[2] != n_channels or not values.size:
        raise InvalidArgument(f"an array {values.shape} does not hold a picture of {n_channels} channels")


def _levels(values: Array, steps: int) -> npt.NDArray[np.uint32]:
    """Nearest of the levels 0..steps."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise InvalidArgument("samples are not all finite")
        nearest = np.floor(np.clip(values, 0, 1) * values.dtype.type(steps) + values.dtype.type(0.5))
        return np.asarray(nearest, np.uint32)
    if values.dtype not in (np.uint8, np.uint16):
        raise InvalidArgument(f"samples of type {values.dtype} are not uint8, uint16 or floats")
    top = int(np.iinfo(values.dtype).max)
    levels: npt.NDArray[np.uint32] = values.astype(np.uint32)
    return levels if top == steps else ((levels.astype(np.uint64) * 2 * steps + top) // (2 * top)).astype(np.uint32)


def _divided(levels: Array, steps: int) -> npt.NDArray[np.float32]:
    return levels.astype(np.float32) / np.float32(steps)
