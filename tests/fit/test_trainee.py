import numpy as np
import pytest
import torch

from gscodec.fit.plan import FitPlan
from gscodec.fit.presets import get_preset
from gscodec.fit.trainee import CpuTrainee, inverse_scales
from gscodec.model.gaussians import Grid
from gscodec.render.autograd import fit_loss
from gscodec.render.cpu import CpuRasterizer


@pytest.mark.parametrize("preset", ["paper", "balanced"])
@pytest.mark.parametrize("level", [0, 1])
def test_gradients_by_hand_are_those_of_torch(preset: str, level: int) -> None:
    rng = np.random.default_rng(5)
    target = rng.random((32, 40, 3), np.float32)
    plan = FitPlan(get_preset(preset), target.shape, (12, 30), 10)
    grid = Grid(32, 40, np.full(3, 0.5, np.float32))
    rasterizer = CpuRasterizer()
    trainee = CpuTrainee(plan, target, grid, rasterizer, rng)
    trainee.grow(30)
    trainee._log_gains[:] = torch.tensor([[-0.3, 0.0], [-0.2, -0.1]])
    n = plan.counts[level]
    grad, grad_gains, mse, _ = trainee._gradients(n, level)

    values = trainee._adam.values[:n].clone().requires_grad_()
    log_gains = trainee._log_gains[level].clone().requires_grad_()
    inverse = inverse_scales(plan, values) * log_gains[trainee._generation[:n], None].exp()
    planes = torch.from_numpy(np.moveaxis(target, 2, 0).copy())
    tensors = values[:, :2], inverse, values[:, 4], values[:, 5:]
    loss, expected_mse = fit_loss(*tensors, grid, planes, plan.preset.loss, rasterizer)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it untyped
    assert values.grad is not None
    assert log_gains.grad is not None
    torch.testing.assert_close(grad, values.grad, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(grad_gains, log_gains.grad, rtol=1e-4, atol=1e-7)
    assert mse == float(expected_mse)
