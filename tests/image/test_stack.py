import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from icc_profiles import make_profile
from PIL import Image

from gscodec.errors import InvalidArgument, LimitExceeded, UnsupportedImage
from gscodec.image.arrays import from_array
from gscodec.image.levels import native_dtype, to_native, to_unit
from gscodec.image.stack import ImageStack
from gscodec.model.channels import ChannelGroup, Role, SampleType

Noise = Callable[..., npt.NDArray[Any]]


@pytest.mark.parametrize(("dtype", "depth"), [(np.bool_, 1), (np.uint8, 8), (np.uint16, 16), (np.float64, 16)])
def test_arrays_keep_their_depth(dtype: npt.DTypeLike, depth: int) -> None:
    array = np.array([[0, 1], [1, 0]], dtype)
    stack = from_array(array)
    assert stack.samples.shape == (2, 2, 1)
    assert stack.samples.dtype == np.float32
    assert stack.groups[0].bit_depth == depth
    top = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    np.testing.assert_array_equal(stack.samples[:, :, 0], array.astype(np.float32) / np.float32(top))


def test_more_than_four_channels_are_data() -> None:
    (group,) = from_array(np.zeros((2, 3, 9), np.uint8)).groups
    assert (group.role, group.n_channels) == (Role.DATA, 9)


def test_groups_may_be_given() -> None:
    groups = (ChannelGroup("albedo", Role.ALBEDO), ChannelGroup("height", Role.HEIGHT, 1))
    assert from_array(np.zeros((2, 3, 4), np.uint8), groups, icc=b"x").groups == groups
    with pytest.raises(InvalidArgument):
        from_array(np.zeros((2, 3, 3), np.uint8), groups)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 2, 3)),
        np.zeros(4),
        np.zeros((2, 2, 2, 2)),
        np.zeros((2, 2, 65)),
        np.zeros((2, 2), np.int16),
        np.zeros((2, 2), complex),
    ],
)
def test_arrays_without_a_meaning_are_refused(array: npt.NDArray[Any]) -> None:
    with pytest.raises(InvalidArgument):
        from_array(array)


def test_too_large_arrays_are_refused_without_a_copy() -> None:
    with pytest.raises(LimitExceeded):
        from_array(np.broadcast_to(np.uint8(0), (40000, 40000, 3)))


def test_pillow_images_are_taken_as_they_stand(noise: Noise) -> None:
    image = Image.fromarray(noise(4))
    image.info["icc_profile"] = make_profile()
    stack = from_array(image)
    assert stack.icc == make_profile()
    np.testing.assert_array_equal(stack.samples, noise(4) / np.float32(255))
    del image.info["icc_profile"]
    assert from_array(image.convert("RGB").convert("CMYK")).groups[0].name == "cmyk"
    with pytest.raises(UnsupportedImage, match="CIELAB"):
        from_array(Image.new("LAB", (2, 2)))


def test_a_stack_checks_itself() -> None:
    groups = (ChannelGroup("color"),)
    for samples in (np.zeros((2, 2, 3)), np.zeros((2, 2, 1), np.float32), np.zeros((0, 2, 3), np.float32)):
        with pytest.raises(InvalidArgument):
            ImageStack(samples, groups)  # type: ignore[arg-type]  # the wrong type is the point


@given(st.integers(1, 16), st.integers(0, 65535))
def test_every_level_survives_the_way_out_and_back(depth: int, value: int) -> None:
    groups = (ChannelGroup("color", n_channels=1, bit_depth=depth),)
    steps = 2**depth - 1
    unit = np.array([[[value % (steps + 1)]]], np.float32) / np.float32(steps)
    native = to_native(unit, groups)
    assert native.dtype == native_dtype(groups) == (np.uint8 if depth <= 8 else np.uint16)
    np.testing.assert_array_equal(to_unit(native, groups), unit)
    np.testing.assert_array_equal(to_native(native, groups), native)
    assert int(native[0, 0, 0]) == pytest.approx(float(unit[0, 0, 0]) * np.iinfo(native.dtype).max, abs=0.51)


def test_groups_of_different_depth_share_a_type() -> None:
    groups = (ChannelGroup("a", n_channels=1, bit_depth=1), ChannelGroup("b", n_channels=1, bit_depth=12))
    native = to_native(np.array([[[0.6, 0.6]]]), groups)
    assert native.dtype == np.uint16
    assert native.tolist() == [[[65535, round(round(0.6 * 4095) * 65535 / 4095)]]]
    np.testing.assert_array_equal(to_unit(native, groups), np.array([[[1, 2457 / 4095]]], np.float32))
    groups = (ChannelGroup("a", n_channels=1, bit_depth=16), ChannelGroup("b", n_channels=1, bit_depth=15))
    assert to_native(np.array([[[0.9, 1.0]]]), groups).tolist() == [[[58982, 65535]]]


def test_float_groups_stay_floats() -> None:
    groups = (ChannelGroup("a", n_channels=1, bit_depth=32, sample_type=SampleType.FLOAT),)
    values = np.array([[[3.5]]], np.float32)
    assert to_native(values, groups).tolist() == to_unit(values, groups).tolist() == [[[3.5]]]


def test_importing_loads_no_pillow_and_no_torch() -> None:
    packages = "gscodec.image, gscodec.metrics, gscodec.decoding"
    script = f"import sys, {packages}; print({{'PIL', 'torch', 'cupy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "set()"
