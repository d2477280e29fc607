"""torch on top of any engine: rendering and the photometric loss as differentiable functions.

Engines take and give NumPy. The choice of tile
lists and of the K nearest Gaussians is taken as constant, as in the paper (Section 3.3).
"""

from typing import Any

import torch

from gscodec.gaussians import GaussianSet, Grid, Window
from gscodec.raster.base import LossWeights, Rasterizer
from gscodec.raster.cpu import CpuRasterizer


def to_gaussians(
    means: torch.Tensor, inv_scales: torch.Tensor, rotations: torch.Tensor, features: torch.Tensor
) -> GaussianSet:
    """The GaussianSet of CPU tensors (N, 2) px, (N, 2) 1/px, (N,) rad and (N, C), in memory of its own."""
    return GaussianSet(
        means.detach().double().numpy().copy(),
        inv_scales.detach().double().numpy().copy(),
        rotations.detach().double().numpy().copy(),
        features.detach().float().numpy().copy(),
    )


class _Render(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: torch.Tensor,
        inv_scales: torch.Tensor,
        rotations: torch.Tensor,
        features: torch.Tensor,
        grid: Grid,
        rasterizer: Rasterizer,
    ) -> torch.Tensor:
        gaussians = to_gaussians(means, inv_scales, rotations, features)
        index = rasterizer.bin(gaussians, grid)
        image = rasterizer.forward(gaussians, grid, index, Window.whole(grid))
        ctx.scene = (rasterizer, gaussians, grid, index)
        ctx.dtypes = tuple(t.dtype for t in (means, inv_scales, rotations, features))
        return torch.from_numpy(image)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rasterizer, gaussians, grid, index = ctx.scene
        grads = rasterizer.backward(gaussians, grid, index, grad_outputs[0].contiguous().numpy())
        arrays = (grads.means, grads.inv_scales, grads.rotations, grads.features)
        return (*(torch.from_numpy(a).to(d) for a, d in zip(arrays, ctx.dtypes, strict=True)), None, None)


class _FitLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: torch.Tensor,
        inv_scales: torch.Tensor,
        rotations: torch.Tensor,
        features: torch.Tensor,
        grid: Grid,
        target_planes: torch.Tensor,
        weights: LossWeights,
        rasterizer: CpuRasterizer,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        gaussians = to_gaussians(means, inv_scales, rotations, features)
        index = rasterizer.bin(gaussians, grid)
        step = rasterizer.fit_step(gaussians, grid, index, target_planes.numpy(), weights)
        g = step.grads
        arrays = (g.means, g.inv_scales, g.rotations, g.features)
        tensors = (means, inv_scales, rotations, features)
        ctx.save_for_backward(*(torch.from_numpy(a).to(t.dtype) for a, t in zip(arrays, tensors, strict=True)))
        mse = torch.tensor(step.mse)
        ctx.mark_non_differentiable(mse)
        return torch.tensor(step.loss), mse

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return (*(g * grad_outputs[0].to(g.dtype) for g in ctx.saved_tensors), None, None, None, None)


def render(
    means: torch.Tensor,
    inv_scales: torch.Tensor,
    rotations: torch.Tensor,
    features: torch.Tensor,
    grid: Grid,
    rasterizer: Rasterizer,
) -> torch.Tensor:
    """float32 (height, width, C) image of the set over the whole grid, differentiable to the four tensors.

    Args:
        means: (N, 2) px. inv_scales: (N, 2) 1/px. rotations: (N,) rad. features: (N, C). All on the CPU.
        grid: the stored image. rasterizer: the engine that computes.
    """
    image: torch.Tensor = _Render.apply(means, inv_scales, rotations, features, grid, rasterizer)  # type: ignore[no-untyped-call]  # torch has no type
    return image


def fit_loss(
    means: torch.Tensor,
    inv_scales: torch.Tensor,
    rotations: torch.Tensor,
    features: torch.Tensor,
    grid: Grid,
    target_planes: torch.Tensor,
    weights: LossWeights,
    rasterizer: CpuRasterizer,
) -> tuple[torch.Tensor, float]:
    """Photometric loss of `render` against target_planes (C, height, width), and its mean squared error.

    The same value and gradients as `render` followed by `Rasterizer.loss`, in one pass of the engine.
    """
    loss, mse = _FitLoss.apply(  # type: ignore[no-untyped-call]  # as in render
        means, inv_scales, rotations, features, grid, target_planes, weights, rasterizer
    )
    return loss, float(mse)
