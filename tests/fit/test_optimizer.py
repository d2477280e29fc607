import numpy as np
import torch

from gscodec.fit.optimizer import RowAdam
from gscodec.model.adam import AdamConstants
from gscodec.model.gaussians import Float32Array


def ones(*shape: int) -> Float32Array:
    return np.ones(shape, np.float32)


def zeros(*shape: int) -> Float32Array:
    return np.zeros(shape, np.float32)


def normal(rng: np.random.Generator, *shape: int) -> Float32Array:
    return rng.standard_normal(shape, np.float32)


def test_it_takes_the_steps_of_torch_adam() -> None:
    rng = np.random.default_rng(0)
    start = normal(rng, 7, 4)
    ours = RowAdam(start.copy(), [0.03] * 4, AdamConstants(0.9, 0.99, 1e-8))
    theirs = torch.from_numpy(start.copy()).requires_grad_()
    adam = torch.optim.Adam([theirs], lr=0.03, betas=(0.9, 0.99), eps=1e-8)
    for _ in range(20):
        grad = normal(rng, 7, 4)
        ours.step(grad, 1.0, ones(7, 4))
        theirs.grad = torch.from_numpy(grad)
        adam.step()
    np.testing.assert_allclose(ours.values, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_rows_keep_their_state_when_others_come_or_rest() -> None:
    rng = np.random.default_rng(1)
    start = normal(rng, 3, 2)
    alone = RowAdam(start.copy(), [1.0, 1.0], AdamConstants(0.9, 0.99, 1e-8))
    joined = RowAdam(start.copy(), [1.0, 1.0], AdamConstants(0.9, 0.99, 1e-8))
    for step in range(6):
        grad = normal(rng, 3, 2)
        if step == 2:
            joined.append(zeros(2, 2))
        alone.step(grad, 1.0, ones(3, 2))
        joined.step(grad, 1.0, ones(3, 2))
    np.testing.assert_array_equal(joined.values[:3], alone.values)
    assert not joined.values[3:].any(), "rows outside the prefix do not move"


def test_units_and_factor_scale_the_step_of_each_value() -> None:
    adam = RowAdam(zeros(2, 2), [1.0, 10.0], AdamConstants(0.9, 0.99, 0.0))
    adam.step(ones(2, 2), 0.5, np.array([[1, 1], [3, 1]], np.float32))
    np.testing.assert_allclose(adam.values, [[-0.5, -5.0], [-1.5, -5.0]], rtol=1e-6)


def test_values_drift_and_come_back_into_their_limits_also_in_rows_that_rest() -> None:
    adam = RowAdam(np.array([[1, 5], [9, -9]], np.float32), [0.0, 0.0], AdamConstants(0.9, 0.99, 1e-8))
    limits = np.array([[0.0, 0.0], [2.0, 4.0]], np.float32)
    adam.step(ones(1, 2), 1.0, ones(2, 2), drift=np.array([0.25, 0.0], np.float32), limits=limits)
    np.testing.assert_allclose(adam.values, [[0.75, 4.0], [2.0, 0.0]], rtol=1e-6)


def test_a_scaled_gradient_is_the_same_as_a_greater_one() -> None:
    rng = np.random.default_rng(2)
    start, grad = normal(rng, 5, 3), normal(rng, 5, 3)
    scaled, great = (RowAdam(start.copy(), [1.0] * 3, AdamConstants(0.9, 0.99, 1e-3)) for _ in range(2))
    scaled.step(grad, 1.0, ones(5, 3), grad_scale=8.0)
    great.step(8.0 * grad, 1.0, ones(5, 3))
    np.testing.assert_array_equal(scaled.values, great.values)


def test_nan_comes_to_light_and_does_not_turn_into_a_limit() -> None:
    adam = RowAdam(zeros(1, 1), [1.0], AdamConstants(0.9, 0.99, 1e-8))
    adam.step(np.full((1, 1), np.nan, np.float32), 1.0, ones(1, 1), limits=np.array([[-1.0], [1.0]], np.float32))
    assert np.isnan(adam.values).all()
