"""Weights of the maps' errors: an error at weight 4 counts as much as one twice as large at weight 1.

Weights exist only in the encoder. The loss is a mean of squares over all channels, so fitting channels scaled by the
square roots of their weights is equivalent to a weighted loss, with any engine; the fitted features are scaled back.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.image.stack import ImageStack
from gscodec.model.channels import ChannelGroup

WEIGHT_RANGE: Final = (0.01, 100.0)
"""Valid range; outside it a map is better left out or encoded alone."""


def checked_weight(value: Any, where: str) -> float:
    """`value` as a float, checked to be a valid weight.

    Raises:
        InvalidArgument: not a number within WEIGHT_RANGE.
    """
    low, high = WEIGHT_RANGE
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidArgument(f"{where}: weight {value!r} is not a number from {low:g} to {high:g}")
    return float(value)


def weighted(stack: ImageStack, weights: Mapping[str, float]) -> ImageStack:
    """A stack with new weights for groups selected by name, role or source file; other groups keep theirs.

    Raises:
        InvalidArgument: no group matches a key, or a weight is invalid.
    """
    numbers = list(stack.weights or (1.0,) * len(stack.groups))
    for name, weight in weights.items():
        which = [number for number, group in enumerate(stack.groups) if name in _names(group)]
        if not which:
            known = ", ".join(group.name for group in stack.groups)
            raise InvalidArgument(f"{stack.source_name}: has no samples of {name!r} to weigh; there are {known}")
        for number in which:
            numbers[number] = checked_weight(weight, f"{stack.source_name}: {name}")
    return replace(stack, weights=tuple(numbers))


def channel_scales(groups: Sequence[ChannelGroup], weights: Sequence[float]) -> npt.NDArray[np.float32] | None:
    """(C,) square roots of the groups' weights, scaled so that the largest is 1; None if all are 1."""
    if not weights or min(weights) == max(weights):
        return None
    top = max(weights)
    scales = [math.sqrt(weight / top) for weight in weights]
    return np.repeat(np.asarray(scales, np.float32), [group.n_channels for group in groups])


def _names(group: ChannelGroup) -> set[str]:
    return {group.name, group.role.value, group.source, group.source.rpartition(".")[0]} - {""}
