"""Conversions between float samples and the model's domain (spec/igs.md, section 3.7), and sRGB."""

from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.model.channels import ChannelGroup, Transfer

Array = npt.NDArray[Any]

_LARGEST = float(np.finfo(np.float32).max)


def from_model(features: Any, group: ChannelGroup, xp: Any = np) -> Any:
    """float32 samples of a float group, in the source's units, from features of any shape; arrays of the module xp."""
    v = features.astype(np.float64)
    low, high = group.value_min, group.value_max
    if group.transfer is Transfer.ASINH:
        knee = 2.0**group.knee_log2
        first, last = np.arcsinh(low / knee), np.arcsinh(high / knee)
        result = knee * xp.sinh(first + xp.clip(v, 0, 1) * (last - first))
    elif group.transfer is Transfer.LOG:
        result = low + xp.exp2(xp.clip(v, 0, 1) * np.log2(1 + high - low)) - 1
    else:
        result = low + v * (high - low)
    return xp.clip(result, -_LARGEST, _LARGEST).astype(np.float32)


def to_model(samples: Array, group: ChannelGroup) -> npt.NDArray[np.float32]:
    """Features clipped so that `from_model` gives samples within the group's range."""
    x = samples.astype(np.float64)
    low, high = group.value_min, group.value_max
    if group.transfer is Transfer.ASINH:
        knee = 2.0**group.knee_log2
        first, last = np.arcsinh(low / knee), np.arcsinh(high / knee)
        result = (np.arcsinh(x / knee) - first) / (last - first)
    elif group.transfer is Transfer.LOG:
        result = np.log2(1 + np.maximum(x - low, 0)) / np.log2(1 + high - low)
    else:
        result = (x - low) / (high - low)
    return np.asarray(result, np.float32)


def light_of_srgb(codes: Array) -> npt.NDArray[np.float32]:
    """Linear light of sRGB codes 0..1 (IEC 61966-2-1)."""
    light = np.where(codes <= 0.04045, codes / 12.92, ((np.maximum(codes, 0) + 0.055) / 1.055) ** 2.4)
    return np.asarray(light, np.float32)


def srgb_of_light(light: Array) -> npt.NDArray[np.float32]:
    """Codes of sRGB for linear light 0..1 (IEC 61966-2-1)."""
    codes = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)
    return np.asarray(codes, np.float32)
