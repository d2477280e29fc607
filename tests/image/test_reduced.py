"""Averages over squares: those of a decoder that shrinks a picture."""

import numpy as np
import pytest

from gscodec.image.levels import to_values
from gscodec.image.reduced import ReducedRegions, reduced_samples, reduced_stack
from gscodec.image.regions import Rect, StackRegions
from gscodec.image.stack import ImageStack
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer

GROUPS = (
    ChannelGroup("color", Role.COLOR, 4, alpha=AlphaMode.STRAIGHT),
    ChannelGroup("light", Role.EMISSIVE, 1, 16, SampleType.FLOAT, Transfer.ASINH, value_max=50.0, knee_log2=-3),
    ChannelGroup("mask", Role.MASK, 1),
)


def stack_of(height: int, width: int, *, hidden: bool = False) -> ImageStack:
    draw = np.random.default_rng(height)
    samples = draw.random((height, width, 6), dtype=np.float32)
    samples[:, :, 3] = draw.random((height, width)) > 0.4
    visible = draw.random((height, width)) > 0.3 if hidden else None
    return ImageStack(samples, GROUPS, icc=b"profile", visible=visible, weights=(1.0, 2.0, 3.0))


@pytest.mark.parametrize("side", [2, 4, 16])
@pytest.mark.parametrize("hidden", [False, True])
def test_each_pixel_is_the_mean_of_its_square(side: int, hidden: bool) -> None:
    stack = stack_of(37, 50, hidden=hidden)
    found = reduced_stack(stack, side)
    values = to_values(stack.samples, GROUPS).astype(np.float64)
    shown = np.ones(values.shape[:2], np.bool_) if stack.visible is None else stack.visible
    rows, columns = -(-37 // side), -(-50 // side)
    assert found.samples.shape == (rows, columns, 6)
    back = to_values(found.samples, GROUPS)
    for row, column in np.ndindex(rows, columns):
        square = np.s_[row * side : row * side + side, column * side : column * side + side]
        part, counts = values[square].reshape(-1, 6), shown[square].ravel()
        assert found.visible is None or found.visible[row, column] == counts.any()
        part = part[counts] if counts.any() else part
        alpha = part[:, 3:4]
        colour = (part[:, :3] * alpha).sum(axis=0) / alpha.sum() if alpha.any() else part[:, :3].mean(axis=0)
        expected = np.concatenate([colour, part[:, 3:].mean(axis=0)])
        np.testing.assert_allclose(back[row, column], expected, rtol=2e-4, atol=2e-4)
    assert (found.weights, found.icc, found.groups) == (stack.weights, None, GROUPS)


def test_parts_are_those_of_the_whole() -> None:
    stack = stack_of(70, 91)
    whole = reduced_samples(stack.samples, GROUPS, 4)
    parts = ReducedRegions(StackRegions(stack), 4)
    assert parts.shape == whole.shape == (18, 23, 6)
    for area in (Rect(0, 0, 23, 18), Rect(3, 5, 9, 6), Rect(20, 0, 23, 18)):
        np.testing.assert_allclose(parts.read(area), whole[area.slices()], rtol=0, atol=1e-6)
