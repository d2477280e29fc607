"""Converts float samples to the model's domain: range, transfer, and treatment of non-finite values."""

import math
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, UnsupportedImage
from gscodec.image.transfer import to_model
from gscodec.model.channels import COLOURS, KNEE_BIAS, ChannelGroup, Role, SampleType, Transfer

NanPolicy = Literal["error", "zero", "hole"]

KNEE_SHARE: Final = 1 / 16
"""Knee of the asinh curve as a fraction of the median value: below it, quantiser steps are uniform."""

WIDE_RANGE: Final = 64.0
"""Ratio of the largest to the median value from which plain data, too, is stored with constant relative error."""

FEW_SHARE: Final = 0.1
LEAP: Final = 1e6
"""If the median exceeds the FEW_SHARE quantile by more than this factor, that quantile is the typical value instead."""

OPACITY_KNEE: Final = 6
"""log2 of the knee of an opacity: at 64 asinh is a straight line over 0..1, to 1 in 60,000."""

_LARGEST: Final = float(np.finfo(np.float32).max)
_EVEN: Final = {Role.NORMAL, Role.AO, Role.ROUGHNESS, Role.METALNESS, Role.MASK, Role.OPACITY}
_CHROMA: Final = ("RY", "BY")


def finite(samples: npt.NDArray[Any], nan: str, name: str) -> npt.NDArray[np.float32]:
    """float32 samples (H, W, C) without NaN and infinities.

    Args:
        nan: `error` refuses them; `zero` puts 0 in their place; `hole` what lies around them, so that they cost least.

    Raises:
        UnsupportedImage: there are some, and `nan` is error.
        InvalidArgument: no such policy.
    """
    if nan not in get_args(NanPolicy):
        raise InvalidArgument(f"nan {nan!r} is not known: use {', '.join(get_args(NanPolicy))}")
    values = samples.astype(np.float32)
    good = np.isfinite(values)
    if good.all():
        return values
    if nan == "error":
        count = int((~good).sum())
        raise UnsupportedImage(f"{name}: {count} samples are NaN or infinite; choose --nan zero or --nan hole")
    values[~good] = 0.0
    if nan == "hole":
        for channel in range(values.shape[2]):
            values[:, :, channel] = _filled(values[:, :, channel], good[:, :, channel])
    return values


def _filled(values: npt.NDArray[np.float32], good: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Values with holes filled from successively coarser means of the valid ones."""
    if good.all() or not good.any():
        return values
    if min(values.shape) == 1 and max(values.shape) == 1:
        return values
    height, width = (2 * math.ceil(side / 2) for side in values.shape)
    pad = ((0, height - values.shape[0]), (0, width - values.shape[1]))
    weight = np.pad(good.astype(np.float64), pad)
    known = np.pad(np.where(good, values, 0.0).astype(np.float64), pad)
    total, count = (part.reshape(height // 2, 2, width // 2, 2).sum(axis=(1, 3)) for part in (known, weight))
    coarse = _filled((total / np.maximum(count, 1)).astype(np.float32), count > 0)
    spread = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[: values.shape[0], : values.shape[1]]
    return np.where(good, values, spread)


def float_group(name: str, samples: npt.NDArray[np.float32], role: Role, bit_depth: int, source: str) -> ChannelGroup:
    """The group of finite float samples (H, W, C): their range, and uniform steps or constant relative error.

    Light covers many orders of magnitude, and is perceived in ratios, so it is stored with constant relative error down
    to a small fraction of the median; so is data with a wide range. Opacity, chroma, and maps of components or
    fractions have uniform steps. An opacity within 0..1 has exactly that range and a clamped transfer, so that 0 and 1
    are restored exactly.
    """
    if role is Role.OPACITY and samples.min() >= 0 and samples.max() <= 1:
        return ChannelGroup(
            name,
            role,
            samples.shape[2],
            bit_depth,
            SampleType.FLOAT,
            Transfer.ASINH,
            source=source,
            knee_log2=OPACITY_KNEE,
        )
    low, high = float(samples.min()), float(samples.max())
    transfer, knee = Transfer.LINEAR, 0
    if role not in _EVEN and name.rpartition(".")[2] not in _CHROMA and low < high:
        sizes = np.abs(samples[samples != 0].astype(np.float64))
        few, median = (float(size) for size in np.quantile(sizes, [FEW_SHARE, 0.5]))
        if median > LEAP * few:  # most samples are a placeholder such as 1e30 in depth maps
            median = few
        if role in COLOURS or float(sizes.max()) > WIDE_RANGE * median:
            transfer = Transfer.ASINH
            knee = min(max(math.floor(math.log2(KNEE_SHARE * median)), 1 - KNEE_BIAS), KNEE_BIAS - 1)
    if low == high:
        low, high = (low, low + max(1.0, abs(low))) if low < _LARGEST / 4 else (low / 2, low)
    return ChannelGroup(
        name,
        role,
        samples.shape[2],
        bit_depth,
        SampleType.FLOAT,
        transfer,
        value_min=low,
        value_max=high,
        source=source,
        knee_log2=knee,
    )


def model_samples(samples: npt.NDArray[np.float32], group: ChannelGroup) -> npt.NDArray[np.float32]:
    """The group's samples in 0..1."""
    return np.clip(to_model(samples, group), 0.0, 1.0)
