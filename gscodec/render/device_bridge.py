"""Passes torch tensors on a GPU to the CUDA engine and back: by DLPack, without copies, on torch's current stream."""

import numpy as np
import torch
from torch.utils.dlpack import from_dlpack

from gscodec.cuda import blending
from gscodec.cuda.blending import MOMENTS, Real, Scene, Strides
from gscodec.cuda.losses import loss_planes
from gscodec.cuda.runtime import Array, Runtime
from gscodec.cuda.scenes import bin_scene, device_gaussians, render_window
from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import Grid, Window
from gscodec.model.rendering import WHOLE, LossWeights, Subset
from gscodec.render.arguments import check_subset
from gscodec.render.bridge import Backward, Tensors


class DeviceBridge:
    """`Bridge` to the kernels of gscodec/cuda, for tensors in the runtime's memory.

    Args:
        real: arithmetic type; with float64 the image is float64 too, which gradient checks need.
    """

    def __init__(self, runtime: Runtime, real: Real = np.float32) -> None:
        self._runtime = runtime
        self._real = real

    def render(self, tensors: Tensors, grid: Grid) -> tuple[torch.Tensor, Backward]:
        """See `Bridge.render`."""
        with self._runtime:
            scene = self._scene(tensors, grid)
            image = self._runtime.xp.empty((grid.height, grid.width, scene.gaussians.n_channels), self._real)
            render_window(self._runtime, scene, Window.whole(grid), image)

        def backward(grad_image: torch.Tensor) -> Tensors:
            strides = Strides.interleaved(grid.width, scene.gaussians.n_channels)
            with self._runtime:
                grad = self._array(grad_image, torch.float32)
                return self._gradients(scene, grid, strides, grad_image=grad)

        return from_dlpack(image), backward

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
        n_channels = tensors[3].shape[1]
        shape = (n_channels, grid.height, grid.width)
        if target_planes.shape != shape:
            raise InvalidArgument(f"target_planes has shape {tuple(target_planes.shape)}, the render has {shape}")
        with self._runtime:
            scene = self._scene(tensors, grid)
            target = self._array(target_planes, torch.float32)
            planes = self._runtime.xp.empty(shape, np.float32)
            render_window(self._runtime, scene, Window.whole(grid), planes, planes=True)
            each = None if importance is None else self._array(importance, torch.float32)
            loss, grad = self._loss(planes, target, weights, subset, each)
            grads = self._gradients(scene, grid, Strides.planes(grid.height, grid.width), grad_image=grad)
            image = from_dlpack(planes)
            there = np.s_[:, subset.y :: subset.step, subset.x :: subset.step]
            mse = (image[there] - target_planes.detach()[there]).square().mean(dtype=torch.float64).float()
            return torch.tensor(loss, device=image.device), mse, grads

    def _loss(
        self, planes: Array, target: Array, weights: LossWeights, subset: Subset, importance: Array | None
    ) -> tuple[float, Array]:
        """Loss over a subset of the pixels, and its gradient with respect to all pixels."""
        check_subset(subset, planes.shape[1:], weights)
        if subset == WHOLE:
            return loss_planes(self._runtime, planes, target, weights, importance)
        xp, there = self._runtime.xp, np.s_[:, subset.y :: subset.step, subset.x :: subset.step]
        each = None if importance is None else xp.ascontiguousarray(importance.reshape(-1, *planes.shape[1:])[there])
        loss, part = loss_planes(
            self._runtime, xp.ascontiguousarray(planes[there]), xp.ascontiguousarray(target[there]), weights, each
        )
        grad = xp.zeros(planes.shape, np.float32)
        grad[there] = part
        return loss, grad

    def _scene(self, tensors: Tensors, grid: Grid) -> Scene:
        means, inv_scales, rotations = (self._array(tensor, torch.float64) for tensor in tensors[:3])
        features = self._array(tensors[3], torch.float32)
        gaussians = device_gaussians(self._runtime, means, inv_scales, rotations, features)
        return bin_scene(self._runtime, gaussians, grid, real=self._real)

    def _gradients(self, scene: Scene, grid: Grid, strides: Strides, *, grad_image: Array) -> Tensors:
        """Gradients of the four tensors, in the engine's arithmetic type, as views of one buffer."""
        runtime, n_values = self._runtime, MOMENTS + scene.gaussians.n_channels
        moments = runtime.xp.empty((max(scene.lists.capacity, 1), n_values), self._real)
        rows = runtime.xp.empty((len(scene.gaussians), n_values), self._real)
        blending.backward(
            runtime,
            scene,
            (grid.height, grid.width),
            strides,
            grad_image=grad_image,
            moments=moments,
        )
        blending.gather(runtime, scene, moments, rows)
        grads = from_dlpack(rows)
        return grads[:, :2], grads[:, 2:4], grads[:, 4], grads[:, MOMENTS:]

    def _array(self, tensor: torch.Tensor, dtype: torch.dtype) -> Array:
        return self._runtime.xp.from_dlpack(tensor.detach().to(dtype).contiguous())
