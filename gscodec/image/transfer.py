"""Float samples and the model's domain: spec/igs.md, "From features to samples", and its inverse."""

from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.format.channels import ChannelGroup, Transfer

Array = npt.NDArray[Any]


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
    return result.astype(np.float32)


def to_model(samples: Array, group: ChannelGroup) -> npt.NDArray[np.float32]:
    """Features at which `from_model` gives samples that lie within the group's range."""
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
