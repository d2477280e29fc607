"""Film grain and sensor noise as parameters: what a file stores of noise that Gaussians cannot represent."""

from dataclasses import dataclass
from typing import Final

from gscodec.model.channels import COLOURS, AlphaMode, ChannelGroup, SampleType

N_STRENGTHS: Final = 8
"""Number of luma values, evenly from 0 to 1, at which the strength is stored."""

STRENGTH_UNIT: Final = 1 / 1024
"""Step of a stored strength: a quarter of a code value of 8 bits."""

MAX_CORRELATION: Final = 16
"""Weight of a pixel's own noise, and the maximum weight of its neighbours'."""


@dataclass(frozen=True)
class Grain:
    """Noise of one channel group (spec/igs.md, section 3.10)."""

    group: int  # number of the channel group
    correlation: int  # weight of the neighbouring pixels along each axis, 0 (white) to MAX_CORRELATION
    independence: int  # share of the variance that is independent between channels, 0..255 for 0..1
    strengths: tuple[int, ...]  # N_STRENGTHS standard deviations, 0..255 in STRENGTH_UNIT


def n_colours(group: ChannelGroup) -> int:
    """Number of channels of a group without its own alpha."""
    return group.n_channels - (group.n_channels > 1 and group.alpha is not AlphaMode.NONE)


def may_have_grain(group: ChannelGroup) -> bool:
    """Whether a group can have grain: gray or RGB of integer samples, never data such as normals."""
    return group.role in COLOURS and group.sample_type is SampleType.UINT and n_colours(group) in {1, 3}
