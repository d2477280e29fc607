from dataclasses import replace

import numpy as np
import pytest

from gscodec.errors import InvalidArgument
from gscodec.image.stack import ImageStack
from gscodec.material.weights import channel_scales, weighted
from gscodec.model.channels import ChannelGroup, Role

GROUPS = (
    ChannelGroup("albedo", Role.ALBEDO, 3, 8),
    ChannelGroup("bumps", Role.NORMAL, 2, 8),
    ChannelGroup("rough", Role.ROUGHNESS, 1, 8),
)
STACK = ImageStack(np.zeros((4, 4, 6), np.float32), GROUPS, None, "rock")


def test_groups_are_known_by_name_and_role() -> None:
    assert weighted(STACK, {"bumps": 4.0, "roughness": 0.25}).weights == (1.0, 4.0, 0.25)


def test_scales_are_square_roots_below_1() -> None:
    scales = channel_scales(GROUPS, (1.0, 4.0, 0.25))
    assert scales is not None
    assert scales.tolist() == [0.5, 0.5, 0.5, 1.0, 1.0, 0.25]


@pytest.mark.parametrize("weights", [(), (1.0, 1.0, 1.0), (3.0, 3.0, 3.0)])
def test_equal_weights_are_none(weights: tuple[float, ...]) -> None:
    assert channel_scales(GROUPS, weights) is None


@pytest.mark.parametrize(
    ("weights", "fact"),
    [({"height": 2.0}, "has no samples of 'height'"), ({"bumps": 0.0}, "weight 0.0"), ({"bumps": float("nan")}, "nan")],
)
def test_weights_that_make_no_sense_are_refused(weights: dict[str, float], fact: str) -> None:
    with pytest.raises(InvalidArgument, match=fact):
        weighted(STACK, weights)


def test_a_stack_has_a_weight_for_each_group_or_none() -> None:
    with pytest.raises(InvalidArgument, match="weights"):
        replace(STACK, weights=(1.0,))
