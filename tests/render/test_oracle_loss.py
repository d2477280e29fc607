"""The oracle's loss: gradient against finite differences, SSIM against scikit-image, L1 and L2 by hand."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from gscodec.errors import InvalidArgument
from gscodec.model.rendering import LossWeights
from gscodec.render.base import Rasterizer
from gscodec.render.reference_loss import blur, photometric_loss, ssim_map, ssim_window

WEIGHTS = [
    LossWeights(l1=1.0),
    LossWeights(l2=1.0),
    LossWeights(means=1.0),
    LossWeights(ssim=1.0),
    LossWeights(l1=0.7, l2=0.2, means=0.4),
    LossWeights(l1=0.7, l2=0.2, ssim=0.1),
]


@pytest.mark.parametrize("shape", [(1, 1, 1), (9, 14, 2), (24, 5, 3)])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_gradient_equals_finite_differences(weights: LossWeights, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(4)
    image, target = rng.random(shape), rng.random(shape)
    _, grad = photometric_loss(image, target, weights)
    step = 1e-6
    for entry in rng.permutation(image.size)[:25]:
        high, low = image.copy(), image.copy()
        high.flat[entry] += step
        low.flat[entry] -= step
        slope = (photometric_loss(high, target, weights)[0] - photometric_loss(low, target, weights)[0]) / (2 * step)
        np.testing.assert_allclose(grad.flat[entry], slope, rtol=1e-6, atol=1e-8)


def test_ssim_equals_scikit_image_away_from_the_border() -> None:
    rng = np.random.default_rng(5)
    target = rng.random((40, 50, 3))
    image = np.clip(target + 0.2 * rng.standard_normal(target.shape), 0, 1)
    ours, _ = ssim_map(image, target)
    for c in range(3):
        _, theirs = structural_similarity(  # type: ignore[no-untyped-call]
            image[..., c],
            target[..., c],
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            truncate=3.5,  # radius int(3.5 * 1.5 + 0.5) = 5: 11 taps
            full=True,
        )
        np.testing.assert_allclose(ours[5:-5, 5:-5, c], theirs[5:-5, 5:-5], rtol=0, atol=1e-12)


def test_the_window_is_eleven_normalised_taps_with_zeros_beyond_the_border() -> None:
    taps = ssim_window()
    assert len(taps) == 11
    assert taps.sum() == pytest.approx(1.0, abs=1e-15)
    assert taps[6] / taps[5] == pytest.approx(np.exp(-0.5 / 1.5**2))
    ones = blur(np.ones((20, 20, 1)))[..., 0]
    assert ones[10, 10] == pytest.approx(1.0)
    assert ones[0, 10] == pytest.approx(taps[5:].sum())
    assert ones[0, 0] == pytest.approx(taps[5:].sum() ** 2)
    rng = np.random.default_rng(0)
    a, b = rng.random((13, 7, 2)), rng.random((13, 7, 2))
    assert (blur(a) * b).sum() == pytest.approx((a * blur(b)).sum()), "the filter is its own adjoint"


def test_terms_add_up_by_hand(oracle: Rasterizer) -> None:
    image = np.array([[[0.5], [0.25]]], np.float32)
    target = np.array([[[0.25], [0.75]]], np.float32)
    value, grad = oracle.loss(image, target, LossWeights(l1=2.0, l2=3.0))
    assert value == pytest.approx(2.0 * 0.375 + 3.0 * (0.0625 + 0.25) / 2)
    assert grad.dtype == np.float32
    np.testing.assert_allclose(grad[0, :, 0], [1.0 + 0.75, -1.0 - 1.5], rtol=1e-6)


def test_equal_images_lose_nothing(oracle: Rasterizer) -> None:
    image = np.random.default_rng(1).random((17, 12, 3), dtype=np.float32)
    value, grad = oracle.loss(image, image.copy(), LossWeights(l1=1.0, l2=1.0, ssim=1.0))
    assert value == pytest.approx(0.0, abs=1e-12)
    assert np.abs(grad).max() < 1e-9


def test_images_of_two_shapes_are_refused(oracle: Rasterizer) -> None:
    with pytest.raises(InvalidArgument):
        oracle.loss(np.zeros((4, 4, 3), np.float32), np.zeros((4, 5, 3), np.float32), LossWeights(l1=1.0))
