import numpy as np
import torch

from gscodec.fit.optimizer import RowAdam
from gscodec.model.adam import AdamConstants


def test_it_takes_the_steps_of_torch_adam() -> None:
    torch.manual_seed(0)
    start = torch.randn(7, 4)
    ours = RowAdam(start.clone(), torch.full((4,), 0.03), AdamConstants(0.9, 0.99, 1e-8))
    theirs = start.clone().requires_grad_()
    adam = torch.optim.Adam([theirs], lr=0.03, betas=(0.9, 0.99), eps=1e-8)
    for _ in range(20):
        grad = torch.randn(7, 4)
        ours.step(grad, 1.0, torch.ones(7, 4))
        theirs.grad = grad
        adam.step()
    torch.testing.assert_close(ours.values, theirs.detach(), rtol=1e-5, atol=1e-6)


def test_rows_keep_their_state_when_others_come_or_rest() -> None:
    torch.manual_seed(1)
    start = torch.randn(3, 2)
    alone = RowAdam(start.clone(), torch.ones(2), AdamConstants(0.9, 0.99, 1e-8))
    joined = RowAdam(start.clone(), torch.ones(2), AdamConstants(0.9, 0.99, 1e-8))
    for step in range(6):
        grad = torch.randn(3, 2)
        if step == 2:
            joined.append(torch.zeros(2, 2))
        alone.step(grad, 1.0, torch.ones(3, 2))
        joined.step(grad, 1.0, torch.ones(3, 2))
    assert torch.equal(joined.values[:3], alone.values)
    assert torch.equal(joined.values[3:], torch.zeros(2, 2)), "rows outside the prefix do not move"


def test_units_and_factor_scale_the_step_of_each_value() -> None:
    adam = RowAdam(torch.zeros(2, 2), torch.tensor([1.0, 10.0]), AdamConstants(0.9, 0.99, 0.0))
    adam.step(torch.ones(2, 2), 0.5, torch.tensor([[1.0, 1.0], [3.0, 1.0]]))
    torch.testing.assert_close(adam.values, torch.tensor([[-0.5, -5.0], [-1.5, -5.0]]))


def test_values_drift_and_come_back_into_their_limits_also_in_rows_that_rest() -> None:
    adam = RowAdam(torch.tensor([[1.0, 5.0], [9.0, -9.0]]), torch.zeros(2), AdamConstants(0.9, 0.99, 1e-8))
    limits = np.array([[0.0, 0.0], [2.0, 4.0]], np.float32)
    adam.step(torch.ones(1, 2), 1.0, torch.ones(2, 2), drift=np.array([0.25, 0.0], np.float32), limits=limits)
    torch.testing.assert_close(adam.values, torch.tensor([[0.75, 4.0], [2.0, 0.0]]))


def test_a_scaled_gradient_is_the_same_as_a_greater_one() -> None:
    torch.manual_seed(2)
    start, grad = torch.randn(5, 3), torch.randn(5, 3)
    scaled, great = (RowAdam(start.clone(), torch.ones(3), AdamConstants(0.9, 0.99, 1e-3)) for _ in range(2))
    scaled.step(grad, 1.0, torch.ones(5, 3), grad_scale=8.0)
    great.step(8.0 * grad, 1.0, torch.ones(5, 3))
    assert torch.equal(scaled.values, great.values)


def test_nan_comes_to_light_and_does_not_turn_into_a_limit() -> None:
    adam = RowAdam(torch.zeros(1, 1), torch.ones(1), AdamConstants(0.9, 0.99, 1e-8))
    adam.step(torch.full((1, 1), torch.nan), 1.0, torch.ones(1, 1), limits=np.array([[-1.0], [1.0]], np.float32))
    assert torch.isnan(adam.values).all()
