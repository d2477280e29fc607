"""torch gradients: those of the engine underneath, and right by finite differences through the oracle."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from gscodec.model.gaussians import Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import LossWeights
from gscodec.render.autograd import fit_loss, render, to_gaussians
from gscodec.render.base import Rasterizer
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.reference import blend_points, window_points

Scene = tuple[GaussianSet, Grid]
KINDS = ("means", "inv_scales", "rotations", "features")


Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def leaves(gaussians: GaussianSet, dtype: torch.dtype = torch.float64) -> Tensors:
    means, inv_scales, rotations, features = (
        torch.tensor(array, dtype=dtype, requires_grad=True) for array in vars(gaussians).values()
    )
    return means, inv_scales, rotations, features


def grads_of(tensors: Tensors) -> list[Float64Array]:
    grads = []
    for tensor in tensors:
        assert tensor.grad is not None
        assert tensor.grad.dtype == tensor.dtype
        grads.append(tensor.grad.double().numpy())
    return grads


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_gives_the_engine_s_image_and_gradients(
    isa: str, scene_of: Callable[..., Scene], dtype: torch.dtype
) -> None:
    gaussians, grid = scene_of(1, 90, 38, 51)
    tensors = leaves(gaussians, dtype)
    same = to_gaussians(*tensors)
    engine = CpuRasterizer(threads=2, isa=isa)
    index = engine.bin(same, grid)
    grad_image = np.random.default_rng(1).standard_normal((38, 51, 3), dtype=np.float32)
    image = render(*tensors, grid, engine)
    assert image.dtype == torch.float32
    assert image.shape == (38, 51, 3)
    assert np.array_equal(image.detach().numpy(), engine.forward(same, grid, index, Window.whole(grid)))
    (image * torch.from_numpy(grad_image)).sum().backward()  # type: ignore[no-untyped-call]
    expected = engine.backward(same, grid, index, grad_image)
    for kind, grad in zip(KINDS, grads_of(tensors), strict=True):
        np.testing.assert_allclose(grad, getattr(expected, kind), rtol=1e-6, atol=1e-12, err_msg=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_oracle_gradients_in_torch_equal_finite_differences(
    oracle: Rasterizer, scene_of: Callable[..., Scene], differences: Callable[..., Float64Array], kind: str
) -> None:
    """A loss that is not linear in the image, so that torch's own chain takes part."""
    gaussians, grid = scene_of(2, 8, 17, 22, elongation=3.0)
    index = oracle.bin(gaussians, grid)
    points = window_points(Window.whole(grid))
    target = np.random.default_rng(2).random((17 * 22, 3))
    tensors = leaves(gaussians)
    image = render(*tensors, grid, oracle)
    ((image.reshape(-1, 3) - torch.from_numpy(target)) ** 2).sum().backward()  # type: ignore[no-untyped-call]
    grad = grads_of(tensors)[KINDS.index(kind)]

    def value(moved: GaussianSet) -> float:
        return float(((blend_points(moved, grid, index, points) - target) ** 2).sum())

    numeric = differences(value, gaussians, kind, 1e-5, np.arange(grad.size))
    np.testing.assert_allclose(grad.ravel(), numeric, rtol=1e-4, atol=1e-5 * np.abs(numeric).max())


@pytest.mark.parametrize("weights", [LossWeights(l2=1.0), LossWeights(l1=0.5, l2=0.5), LossWeights(l1=1.0, ssim=0.1)])
def test_fit_loss_is_render_then_loss(oracle: Rasterizer, scene_of: Callable[..., Scene], weights: LossWeights) -> None:
    gaussians, grid = scene_of(3, 70, 33, 40)
    target = np.random.default_rng(3).random((33, 40, 3), dtype=np.float32)
    tensors = leaves(gaussians)
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(target, 2, 0)))
    loss, mse = fit_loss(*tensors, grid, planes, weights, CpuRasterizer(threads=2))
    (3.0 * loss).backward()  # type: ignore[no-untyped-call]
    index = oracle.bin(gaussians, grid)
    image = np.asarray(oracle.forward(gaussians, grid, index, Window.whole(grid)), np.float32)
    value, grad_image = oracle.loss(image, target, weights)
    assert float(loss.detach()) == pytest.approx(value, rel=1e-4)
    assert float(mse) == pytest.approx(float(((image.astype(np.float64) - target) ** 2).mean()), rel=1e-4)
    expected = oracle.backward(gaussians, grid, index, grad_image)
    for kind, grad in zip(KINDS, grads_of(tensors), strict=True):
        wanted = 3.0 * np.asarray(getattr(expected, kind), np.float64)
        assert np.linalg.norm(grad - wanted) <= 2e-3 * np.linalg.norm(wanted), kind


def test_a_few_steps_downhill_fit_a_picture_better(scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(4, 60, 32, 32, sigma_px=(2.0, 4.0), elongation=2.0)
    y, x = torch.meshgrid(torch.linspace(0, 1, 32), torch.linspace(0, 1, 32), indexing="ij")
    target = torch.stack([x, y, x * y], dim=2)
    tensors = leaves(gaussians, torch.float32)
    optimizer = torch.optim.Adam(
        [{"params": [t], "lr": lr} for t, lr in zip(tensors, (0.05, 1e-3, 0.01, 0.03), strict=True)]
    )
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ((render(*tensors, grid, CpuRasterizer(threads=1)) - target) ** 2).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
