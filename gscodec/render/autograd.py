"""torch functions on any engine: rendering and the photometric loss with gradients.

CPU tensors are passed to any engine as NumPy arrays; GPU tensors are passed to the CUDA engine of that GPU without
copies, by DLPack, on torch's current stream. Tile lists and the choice of the K nearest Gaussians are treated as
constant, as in the paper (Section 3.3).
"""

from typing import Protocol

import numpy as np
import torch

from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import WHOLE, GaussianGrads, LossWeights, Subset
from gscodec.render.base import Rasterizer
from gscodec.render.bridge import Backward, Bridge, Tensors


class HostBridge:
    """`Bridge` to any engine, for tensors on the CPU."""

    def __init__(self, rasterizer: Rasterizer) -> None:
        self._rasterizer = rasterizer

    def render(self, tensors: Tensors, grid: Grid) -> tuple[torch.Tensor, Backward]:
        """See `Bridge.render`."""
        gaussians = to_gaussians(*tensors)
        index = self._rasterizer.bin(gaussians, grid)
        image = self._rasterizer.forward(gaussians, grid, index, Window.whole(grid))

        def backward(grad_image: torch.Tensor) -> Tensors:
            return _tensors(self._rasterizer.backward(gaussians, grid, index, grad_image.contiguous().numpy()))

        return torch.from_numpy(image), backward

    def fit_step(
        self,
        tensors: Tensors,
        grid: Grid,
        target_planes: torch.Tensor,
        weights: LossWeights,
        subset: Subset,
        importance: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, Tensors]:
        """See `Bridge.fit_step`."""
        gaussians = to_gaussians(*tensors)
        index = self._rasterizer.bin(gaussians, grid)
        each = None if importance is None else importance.numpy()
        step = self._rasterizer.fit_step(gaussians, grid, index, target_planes.numpy(), weights, subset, each)
        return torch.tensor(step.loss), torch.tensor(step.mse), _tensors(step.grads)


def to_gaussians(
    means: torch.Tensor, inv_scales: torch.Tensor, rotations: torch.Tensor, features: torch.Tensor
) -> GaussianSet:
    """The GaussianSet of CPU tensors (N, 2) px, (N, 2) 1/px, (N,) rad and (N, C), as a copy."""
    return GaussianSet(
        np.array(means.detach().numpy(), np.float64, order="C"),
        np.array(inv_scales.detach().numpy(), np.float64, order="C"),
        np.array(rotations.detach().numpy(), np.float64, order="C"),
        np.array(features.detach().numpy(), np.float32, order="C"),
    )


def render(
    means: torch.Tensor,
    inv_scales: torch.Tensor,
    rotations: torch.Tensor,
    features: torch.Tensor,
    grid: Grid,
    rasterizer: Rasterizer,
) -> torch.Tensor:
    """float32 (height, width, C) image of the set over the whole grid, differentiable with respect to the four tensors.

    Args:
        means: (N, 2) px. inv_scales: (N, 2) 1/px. rotations: (N,) rad. features: (N, C). All on one device; on a GPU
            nothing is copied to the host, and values are not checked.
        grid: the stored image. rasterizer: the engine; for GPU tensors, the CUDA engine of that GPU.
    Raises:
        InvalidArgument: the engine cannot use tensors of that device.
    """
    bridge = bridge_to(rasterizer, means.device)
    image: torch.Tensor = _Render.apply(means, inv_scales, rotations, features, grid, bridge)  # type: ignore[no-untyped-call]  # torch has no type
    return image


def fit_loss(
    means: torch.Tensor,
    inv_scales: torch.Tensor,
    rotations: torch.Tensor,
    features: torch.Tensor,
    grid: Grid,
    target_planes: torch.Tensor,
    weights: LossWeights,
    rasterizer: Rasterizer,
    subset: Subset = WHOLE,
    importance: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Photometric loss of `render` against target_planes (C, height, width), and its mean squared error: two scalars.

    The same value and gradients as `render` followed by `Rasterizer.loss`, in one pass of the engine. The second scalar
    has no gradient. With a subset, loss and gradients are those of its pixels alone. importance (height, width) as in
    `Rasterizer.loss`.

    Raises:
        InvalidArgument: as `render`, or a subset of pixels with an SSIM weight.
    """
    bridge = bridge_to(rasterizer, means.device)
    constants = grid, target_planes, weights, subset, importance, bridge
    loss, mse = _FitLoss.apply(means, inv_scales, rotations, features, *constants)  # type: ignore[no-untyped-call]  # as in render
    return loss, mse


def bridge_to(rasterizer: Rasterizer, device: torch.device) -> Bridge:
    """Bridge from tensors of a torch device to an engine.

    Raises:
        InvalidArgument: the engine runs on another device.
    """
    if device.type == "cpu":
        return HostBridge(rasterizer)
    there = rasterizer.on_device
    if there is None or there.runtime.name != str(device):
        engine = rasterizer.name if there is None else there.runtime.name
        raise InvalidArgument(f"tensors are on {device} and the engine is {engine}: use get_backend({str(device)!r})")
    from gscodec.render.device_bridge import DeviceBridge

    return DeviceBridge(there.runtime, there.real)


class _RenderContext(Protocol):
    """Attributes of torch's context that `_Render` uses."""

    to_tensors: Backward
    dtypes: tuple[torch.dtype, ...]


class _FitLossContext(Protocol):
    """Attributes of torch's context that `_FitLoss` uses."""

    saved_tensors: tuple[torch.Tensor, ...]

    def save_for_backward(self, *tensors: torch.Tensor) -> None: ...

    def mark_non_differentiable(self, *tensors: torch.Tensor) -> None: ...


class _Render(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _RenderContext,
        means: torch.Tensor,
        inv_scales: torch.Tensor,
        rotations: torch.Tensor,
        features: torch.Tensor,
        grid: Grid,
        bridge: Bridge,
    ) -> torch.Tensor:
        tensors = means, inv_scales, rotations, features
        image, ctx.to_tensors = bridge.render(tensors, grid)
        ctx.dtypes = tuple(t.dtype for t in tensors)
        return image

    @staticmethod
    def backward(ctx: _RenderContext, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grads = ctx.to_tensors(grad_outputs[0])
        return (*(g.to(d) for g, d in zip(grads, ctx.dtypes, strict=True)), None, None)


class _FitLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _FitLossContext,
        means: torch.Tensor,
        inv_scales: torch.Tensor,
        rotations: torch.Tensor,
        features: torch.Tensor,
        grid: Grid,
        target_planes: torch.Tensor,
        weights: LossWeights,
        subset: Subset,
        importance: torch.Tensor | None,
        bridge: Bridge,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tensors = means, inv_scales, rotations, features
        loss, mse, grads = bridge.fit_step(tensors, grid, target_planes, weights, subset, importance)
        ctx.save_for_backward(*(g.to(t.dtype) for g, t in zip(grads, tensors, strict=True)))
        ctx.mark_non_differentiable(mse)
        return loss, mse

    @staticmethod
    def backward(ctx: _FitLossContext, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return (*(g * grad_outputs[0].to(g.dtype) for g in ctx.saved_tensors), *[None] * 6)


def _tensors(grads: GaussianGrads) -> Tensors:
    from_numpy = torch.from_numpy
    return (
        from_numpy(grads.means),
        from_numpy(grads.inv_scales),
        from_numpy(grads.rotations),
        from_numpy(grads.features),
    )
