import numpy as np
import pytest
import torch

from gscodec.fit.plan import FitPlan
from gscodec.fit.presets import get_preset
from gscodec.fit.row_gradients import rounded_exp
from gscodec.fit.trainee import CpuTrainee
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
    trainee._log_gains[:] = [[-0.3, 0.0], [-0.2, -0.1]]
    n = plan.counts[level]
    grad, mse, _ = trainee._gradients(n, level)
    grad_gains = trainee._gain_gradients(grad)

    values = torch.tensor(trainee._adam.values[:n], requires_grad=True)
    gains = torch.tensor(rounded_exp(trainee._log_gains[level]), requires_grad=True)  # torch's may round otherwise
    scales = values[:, 2:4].exp() if plan.preset.scale_parameter == "log" else values[:, 2:4]
    inverse = scales * gains[torch.from_numpy(trainee._generation[:n]), None]
    planes = torch.from_numpy(np.moveaxis(target, 2, 0).copy())
    tensors = values[:, :2], inverse, values[:, 4], values[:, 5:]
    loss, expected_mse = fit_loss(*tensors, grid, planes, plan.preset.loss, rasterizer)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it untyped
    assert values.grad is not None
    assert gains.grad is not None
    np.testing.assert_allclose(grad, values.grad.numpy(), rtol=1e-5, atol=1e-9)
    to_logs = (gains.grad * gains).detach().numpy()
    np.testing.assert_allclose(grad_gains, to_logs, rtol=1e-4, atol=1e-7)
    assert np.float32(mse) == float(expected_mse)
