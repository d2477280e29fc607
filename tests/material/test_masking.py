"""Weights of errors by how well they are seen."""

import numpy as np
import pytest

from gscodec.material.masking import EXPONENT, NOISE, VARIANCE, masking_weights
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType
from gscodec.model.gaussians import Float32Array

COLOUR = (ChannelGroup("color", n_channels=3),)


def weights_of(picture: Float32Array, groups: tuple[ChannelGroup, ...] = COLOUR) -> Float32Array:
    weights = masking_weights(picture, groups)
    assert weights is not None
    assert weights.shape == picture.shape[:2]
    assert weights.dtype == np.float32
    assert weights.min() > 0
    assert weights.max() <= 1
    return weights


def scene(size: tuple[int, int] = (96, 160)) -> Float32Array:
    """Flat on the left, noise on the right."""
    picture = np.full((*size, 3), 0.5, np.float32)
    noise = np.random.default_rng(1).normal(0, 0.2, (size[0], size[1] // 2, 1))
    picture[:, size[1] // 2 :] += noise.astype(np.float32)
    return np.clip(picture, 0, 1)


def waves(contrast: float) -> Float32Array:
    """Broad waves, which are shapes and no noise."""
    y, x = np.mgrid[0:96, 0:96]
    luma = 0.5 + contrast * np.sin(0.3 * x) * np.sin(0.3 * y)
    return np.asarray(np.repeat(luma[:, :, None], 3, axis=2), np.float32)


def test_errors_in_noise_count_less_than_in_flat_areas() -> None:
    weights = weights_of(scene())
    np.testing.assert_allclose(weights[:, :48], 1, atol=1e-3)
    assert weights[:, 112:].mean() < 1.2 * (1 - NOISE)


def test_errors_count_less_the_stronger_the_shapes_around_them() -> None:
    means = [float(weights_of(waves(contrast))[24:72, 24:72].mean()) for contrast in (0.0, 0.02, 0.1, 0.4)]
    assert means == sorted(means, reverse=True)
    variance = 0.4**2 / 4
    assert means[-1] == pytest.approx((VARIANCE / (VARIANCE + variance)) ** EXPONENT, rel=0.25)


def test_an_edge_counts_less_than_the_flat_areas_it_divides_and_more_than_noise() -> None:
    picture = np.zeros((96, 96, 3), np.float32)
    picture[:, 50:] = 1
    weights = weights_of(picture)
    assert 0.2 < weights[:, 50].mean() < 0.4
    np.testing.assert_allclose(weights[:, :32], 1, atol=1e-3)
    np.testing.assert_allclose(weights[:, 72:], 1, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (8, 8), (17, 9)])
def test_any_size_has_weights_between_nought_and_one(size: tuple[int, int]) -> None:
    weights_of(np.random.default_rng(2).uniform(0, 1, (*size, 3)).astype(np.float32))


def test_an_alpha_hides_nothing() -> None:
    with_alpha = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),)
    picture = np.concatenate([np.full((96, 160, 3), 0.5, np.float32), scene()[:, :, :1]], axis=2)
    np.testing.assert_allclose(weights_of(picture, with_alpha), 1, atol=1e-3)


def test_maps_that_a_shader_computes_with_have_no_weights() -> None:
    height = ChannelGroup("height", Role.HEIGHT, 1)
    assert masking_weights(scene()[:, :, :1], (height,)) is None
    assert masking_weights(np.concatenate([scene(), scene()[:, :, :1]], axis=2), (*COLOUR, height)) is None
    light = ChannelGroup("color", n_channels=3, sample_type=SampleType.FLOAT)
    assert masking_weights(scene(), (light,)) is None
