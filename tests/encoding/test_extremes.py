"""White paper, black frames and saturated fills come back exact, and nothing else changes."""

from typing import Any

import numpy as np
import pytest

import gscodec
from gscodec.encoding.api import encode
from gscodec.encoding.extremes import FIRST_PX, LAST_PX, MARGIN, beyond_extremes, depths_of
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType
from gscodec.model.gaussians import Float32Array

COLOUR = (ChannelGroup("color", n_channels=3),)


def page() -> Float32Array:
    """White paper with a gray disc, a black bar and a red one, whose red is 1 and whose green and blue are 0.2."""
    y, x = np.mgrid[0:64, 0:96]
    picture = np.ones((64, 96, 3), np.float32)
    picture[np.hypot(x - 30, y - 32) < 18] = 0.55
    picture[:, 60:72] = 0.0
    picture[:, 84:] = (1.0, 0.2, 0.2)
    return picture


def test_only_the_inside_of_flat_extremes_moves_and_each_channel_by_itself() -> None:
    picture = page()
    target = beyond_extremes(picture, COLOUR)
    assert target.max() == pytest.approx(1 + MARGIN)
    assert target.min() == pytest.approx(-MARGIN)
    np.testing.assert_array_equal(np.clip(target, 0, 1), picture)
    moved = target != picture
    assert moved[32, 66].all()
    assert moved[32, 90].tolist() == [True, False, False]
    assert not moved[32, [30, 59, 60]].any(), "neither gray nor the edges of the bar"
    assert not (moved[:, :, 1] & (depths_of(picture[:, :, 1] == 1, 4) < FIRST_PX) & (picture[:, :, 1] == 1)).any()


def test_depths_are_distances_to_the_outside() -> None:
    mask = np.zeros((9, 11), np.bool_)
    mask[2:7, 2:9] = True
    depths = depths_of(mask, LAST_PX)
    assert (depths[4, 5], depths[2, 5], depths[3, 3], depths[0, 0]) == (3, 1, 2, 0)
    assert (depths_of(np.ones((3, 3), np.bool_), 2) == 2).all(), "the border continues"


@pytest.mark.parametrize(
    "group",
    [
        ChannelGroup("normal", role=Role.NORMAL, n_channels=3),
        ChannelGroup("color", n_channels=3, sample_type=SampleType.FLOAT),
    ],
    ids=lambda group: group.name,
)
def test_maps_and_floats_stay(group: ChannelGroup) -> None:
    picture = page()
    assert beyond_extremes(picture, (group,)) is picture


def test_an_alpha_is_not_a_colour_and_pictures_without_extremes_stay() -> None:
    picture = np.full((16, 16, 4), 0.4, np.float32)
    picture[:, :, 3] = 1
    assert beyond_extremes(picture, (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),)) is picture


@pytest.mark.parametrize("how", [{}, {"block": 64}], ids=["whole", "blocks"])
def test_white_paper_comes_back_white(how: dict[str, Any]) -> None:
    codes = np.asarray(np.rint(255 * page()), np.uint8)
    result = encode(codes, gaussians=120, preset="fast", steps=150, seed=1, **how)
    with gscodec.open(result.data) as image:
        decoded = image.render()
    deep = depths_of((codes == 255).all(axis=2), 6) >= 6
    assert np.mean(decoded[deep] == 255) > 0.95
