"""Weights of errors by what texture hides."""

import numpy as np
import pytest

from gscodec.material.masking import BLOCK, masking_weights
from gscodec.model.channels import AlphaMode, ChannelGroup, Role

COLOUR = (ChannelGroup("color", n_channels=3),)


def scene(size: tuple[int, int] = (96, 160)) -> np.ndarray:
    """Flat on the left, noise on the right."""
    picture = np.full((*size, 3), 0.5, np.float32)
    noise = np.random.default_rng(1).normal(0, 0.2, (size[0], size[1] // 2, 1))
    picture[:, size[1] // 2 :] += noise.astype(np.float32)
    return np.clip(picture, 0, 1)


def test_errors_in_texture_count_less_than_in_flat_areas() -> None:
    weights = masking_weights(scene(), COLOUR)
    assert weights is not None
    assert weights.shape == (96, 160)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights[:, :32], 1, atol=1e-3)
    assert weights[:, 128:].max() < 0.5
    assert weights.min() > 0.35


def test_an_edge_between_flat_areas_is_not_texture() -> None:
    picture = np.zeros((96, 96, 3), np.float32)
    picture[:, 50:] = 1
    weights = masking_weights(picture, COLOUR)
    assert weights is not None
    np.testing.assert_allclose(weights, 1, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (BLOCK, BLOCK), (17, 9)])
def test_any_size_has_weights_between_nought_and_one(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(2).uniform(0, 1, (*size, 3)).astype(np.float32)
    weights = masking_weights(noise, COLOUR)
    assert weights is not None
    assert weights.shape == size
    assert weights.min() > 0
    assert weights.max() <= 1


def test_alpha_and_maps_that_are_not_looked_at_do_not_count() -> None:
    height = (ChannelGroup("height", Role.HEIGHT, 1),)
    assert masking_weights(scene()[:, :, :1], height) is None
    with_alpha = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),)
    plain = np.concatenate([np.full((96, 160, 3), 0.5, np.float32), scene()[:, :, :1]], axis=2)
    weights = masking_weights(plain, with_alpha)
    assert weights is not None
    np.testing.assert_allclose(weights, 1, atol=1e-3)
