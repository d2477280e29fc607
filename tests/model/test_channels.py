"""Positions of the channels of groups, and the row of a level of detail in the level table."""

import numpy as np
import pytest

from gscodec.errors import InvalidArgument
from gscodec.model.channels import (
    ChannelGroup,
    Role,
    SampleType,
    Transfer,
    channel_spans,
    channels_of,
    count_channels,
    has_srgb_codes,
)
from gscodec.model.gaussians import GaussianSet, LodTable

GROUPS = (
    ChannelGroup("color", n_channels=3),
    ChannelGroup("ao", Role.AO, 1, transfer=Transfer.LINEAR),
    ChannelGroup("normal", Role.NORMAL, 2, transfer=Transfer.LINEAR),
)


def test_channels_lie_one_group_after_the_other() -> None:
    assert count_channels(GROUPS) == 6
    assert channel_spans(GROUPS) == [(GROUPS[0], slice(0, 3)), (GROUPS[1], slice(3, 4)), (GROUPS[2], slice(4, 6))]
    assert channels_of(GROUPS[2], GROUPS) == slice(4, 6)
    assert (count_channels(()), channel_spans(())) == (0, [])


def test_srgb_codes_are_integer_colours_with_that_transfer() -> None:
    kinds = [
        *GROUPS,
        ChannelGroup("mask", Role.MASK, 1),
        ChannelGroup("linear", transfer=Transfer.LINEAR),
        ChannelGroup("light", sample_type=SampleType.FLOAT),
    ]
    assert [has_srgb_codes(group) for group in kinds] == [True, False, False, False, False, False]


def test_the_finest_level_is_the_last_row() -> None:
    lods = LodTable((2, 5, 9), ((0.5,), (0.6, 0.7), (1.0, 1.0, 1.0)))
    assert [lods.step_of(lod) for lod in range(3)] == [2, 1, 0]
    assert [lods.count(lod) for lod in range(3)] == [9, 5, 2]
    gaussians = GaussianSet(np.zeros((9, 2)), np.ones((9, 2)), np.zeros(9), np.zeros((9, 1), np.float32))
    assert [len(lods.select(gaussians, lod)) for lod in range(3)] == [9, 5, 2]
    with pytest.raises(InvalidArgument, match="LOD 3 does not exist"):
        lods.select(gaussians, 3)
