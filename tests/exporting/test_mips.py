import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gscodec.exporting.mips import halved, mip_chain, n_levels
from gscodec.image.transfer import light_of_srgb, srgb_of_light
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer

ALBEDO = ChannelGroup("albedo", Role.ALBEDO, 3)
NORMAL = ChannelGroup("normal", Role.NORMAL, 3, transfer=Transfer.LINEAR)
DATA = ChannelGroup("data", Role.DATA, 1, transfer=Transfer.LINEAR)


def random(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).random((height, width, channels), dtype=np.float32)


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_level_has_half_the_sides_and_the_same_mean(height: int, width: int) -> None:
    samples = random(height, width, 1)
    levels = mip_chain(samples, DATA)
    assert len(levels) == n_levels(height, width)
    assert levels[0] is samples
    for number, level in enumerate(levels):
        assert level.shape == (max(1, height >> number), max(1, width >> number), 1)
        assert level.mean() == pytest.approx(samples.mean(), abs=2e-6)


def test_a_texel_of_an_odd_side_is_the_mean_of_the_area_it_covers() -> None:
    column = np.arange(5, dtype=np.float32).reshape(5, 1, 1)
    # Each of two texels covers 2.5: (0 + 1 + 2 / 2) / 2.5 and (2 / 2 + 3 + 4) / 2.5.
    assert halved(column).ravel() == pytest.approx([0.8, 3.2])


def test_colour_is_averaged_as_light() -> None:
    checks = np.zeros((2, 2, 3), np.float32)
    checks[0, 0] = checks[1, 1] = 1
    assert mip_chain(checks, ALBEDO)[1].ravel() == pytest.approx([0.735357] * 3, abs=1e-6)


def test_colour_of_float_samples_is_light_already() -> None:
    group = ChannelGroup("light", Role.COLOR, 1, 16, SampleType.FLOAT, Transfer.ASINH, value_max=8.0)
    samples = np.array([[[0.0], [8.0]]], np.float32)
    assert mip_chain(samples, group)[1].ravel() == pytest.approx([4.0])


def test_normals_keep_length_one_and_level_two_is_the_mean_of_level_zero() -> None:
    vectors = random(4, 4, 3, seed=1) - 0.5
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    levels = mip_chain(0.5 + 0.5 * vectors, NORMAL)
    for level in levels:
        assert np.linalg.norm(2 * level - 1, axis=2) == pytest.approx(1, abs=1e-5)
    mean = vectors.mean(axis=(0, 1))
    assert 2 * levels[2][0, 0] - 1 == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_normals_that_cancel_become_flat() -> None:
    opposite = np.array([[[1.0, 0.5, 0.5], [0.0, 0.5, 0.5]]], np.float32)
    assert mip_chain(opposite, NORMAL)[1].ravel() == pytest.approx([0.5, 0.5, 1.0])


def test_clear_texels_do_not_bleed_their_colour() -> None:
    group = ChannelGroup("leaf", Role.ALBEDO, 4, alpha=AlphaMode.STRAIGHT)
    samples = np.array([[[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]], np.float32)
    assert mip_chain(samples, group)[1].ravel() == pytest.approx([0, 1, 0, 0.5], abs=1e-6)


def test_under_clear_texels_alone_the_plain_mean_stays() -> None:
    group = ChannelGroup("leaf", Role.ALBEDO, 4, alpha=AlphaMode.STRAIGHT)
    samples = np.array([[[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]], np.float32)
    assert mip_chain(samples, group)[1].ravel() == pytest.approx([1, 0, 0, 0], abs=1e-6)


def test_light_and_codes_are_inverses() -> None:
    codes = np.linspace(0, 1, 1001, dtype=np.float32)
    assert np.abs(srgb_of_light(light_of_srgb(codes)) - codes).max() < 1e-6
