"""The CPU engine's photometric loss and its gradient against the oracle's."""

import numpy as np
import pytest

from gscodec.model.gaussians import Float32Array
from gscodec.model.rendering import LossWeights
from gscodec.render.base import Rasterizer

WEIGHTS = [
    LossWeights(),
    LossWeights(l1=1.0),
    LossWeights(l2=1.0),
    LossWeights(means=1.0),
    LossWeights(l1=0.3, l2=0.6, means=0.5),
    LossWeights(ssim=1.0),
    LossWeights(l1=1.0, ssim=0.1),
    LossWeights(l1=0.3, l2=0.6, ssim=0.5),
]
SHAPES = [(1, 1, 1), (1, 30, 2), (30, 1, 1), (11, 11, 3), (37, 45, 3), (16, 300, 1), (70, 17, 4), (6, 7, 64)]


def pair(seed: int, shape: tuple[int, int, int], noise: float) -> tuple[Float32Array, Float32Array]:
    """A target with smooth and busy parts, and an image near it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    smooth = 0.5 + 0.4 * np.sin(x / 9.0) * np.cos(y / 7.0)
    target = np.where(x[..., None] % 40 < 25, smooth[..., None], rng.random(shape))
    image = target + noise * rng.standard_normal(shape)
    return image.astype(np.float32), target.astype(np.float32)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradient(
    engine: Rasterizer, oracle: Rasterizer, shape: tuple[int, int, int], weights: LossWeights
) -> None:
    image, target = pair(sum(shape), shape, 0.1)
    value, grad = engine.loss(image, target, weights)
    expected, expected_grad = oracle.loss(image, target, weights)
    assert value == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert grad.dtype == np.float32
    assert grad.shape == shape
    error, norm = np.linalg.norm(grad - expected_grad), np.linalg.norm(expected_grad)
    assert error <= 1e-3 * norm + 1e-12
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-3, atol=1e-3 * norm / np.sqrt(grad.size) + 1e-12)


@pytest.mark.parametrize("noise", [0.0, 1e-3, 1.0])
def test_near_and_far_images(engine: Rasterizer, oracle: Rasterizer, noise: float) -> None:
    image, target = pair(3, (40, 50, 3), noise)
    weights = LossWeights(l1=1.0, l2=1.0, ssim=1.0)
    value, grad = engine.loss(image, target, weights)
    expected, expected_grad = oracle.loss(image, target, weights)
    assert value == pytest.approx(expected, rel=1e-3, abs=2e-6)
    scale = 1.0 / image.size  # the size of an L1 gradient
    np.testing.assert_allclose(grad, expected_grad, rtol=2e-3, atol=2e-3 * scale)


def test_flat_images_stay_finite(engine: Rasterizer, oracle: Rasterizer) -> None:
    flat = np.full((25, 33, 2), 0.75, np.float32)
    weights = LossWeights(l1=1.0, l2=1.0, ssim=1.0)
    for level in (0.0, 0.75, 1.0):
        image = np.full_like(flat, level)
        value, grad = engine.loss(image, flat, weights)
        expected, _ = oracle.loss(image, flat, weights)
        assert value == pytest.approx(expected, rel=1e-3, abs=1e-5)
        assert np.isfinite(grad).all()
