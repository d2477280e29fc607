"""Direction of green in exported normal maps."""

from dataclasses import replace

import numpy as np

from gscodec.errors import InvalidArgument
from gscodec.image.normals import is_signed
from gscodec.material.restore import Restored
from gscodec.model.channels import NormalConvention, Role, channel_spans


def with_green(restored: Restored, convention: NormalConvention) -> Restored:
    """The picture with the green of its normals as a convention has it; other maps as they are.

    Raises:
        InvalidArgument: the file does not say which convention it has.
    """
    groups, samples = list(restored.groups), restored.samples
    for number, (group, channels) in enumerate(channel_spans(restored.groups)):
        if group.role is not Role.NORMAL or group.n_channels < 2 or group.normal is convention:
            continue
        if group.normal is NormalConvention.NONE:
            raise InvalidArgument(f"{restored.entry.name}: the file does not say which way its green points")
        samples = np.array(samples)
        green = samples[:, :, channels.start + 1]
        top = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 0 if is_signed(group) else 1
        samples[:, :, channels.start + 1] = top - green
        groups[number] = replace(group, normal=convention)
    return replace(restored, samples=samples, groups=tuple(groups))
