"""Picture, loss and gradient of a scene on a GPU, in buffers allocated before the first step."""

import numpy as np

from gscodec.cuda import blending
from gscodec.cuda.blending import MOMENTS, Lattice, Scene, Strides, choices_of
from gscodec.cuda.losses import LossBuffers, launch_loss, loss_columns
from gscodec.cuda.runtime import Array, Runtime
from gscodec.model.gaussians import Grid, Window
from gscodec.model.rendering import LossWeights


class LossPass:
    """The work of a step between tile lists and parameter gradients. A step allocates nothing.

    With an SSIM term, a first kernel blends and compares the picture and keeps 12 bytes per pixel, from which a second
    one computes the gradient; without it a single kernel does both.

    Args:
        target: float32 (C, H, W) in device memory.
        importance: float32 (H, W) or (C, H, W) in device memory, weight of each sample; None means 1 everywhere.
    """

    def __init__(
        self, runtime: Runtime, grid: Grid, target: Array, weights: LossWeights, importance: Array | None = None
    ) -> None:
        rows, columns = grid.tiles_shape
        self._runtime = runtime
        self._target = target
        self._weights = weights
        self._size = grid.height, grid.width
        self.lattice = Lattice.of(runtime, Window.whole(grid), (0, 0, columns, rows))
        self._importance = importance
        has_importance = importance is not None
        self._buffers = None
        if weights.compares_neighbours:
            self._buffers = LossBuffers.of(runtime, target.shape, weights, has_importance=has_importance)
        self._planes = runtime.xp.empty(target.shape, np.float32) if self._buffers else None
        self._choices = choices_of(runtime, rows * columns) if self._buffers else None
        n_sums = loss_columns(weights, has_importance=has_importance)
        self._partials = (
            self._buffers.partials if self._buffers else runtime.xp.empty((rows * columns, n_sums), np.float32)
        )

    def render(self, scene: Scene) -> Array:
        """float32 (C, H, W) picture of the scene."""
        planes = self._runtime.xp.empty(self._target.shape, np.float32) if self._planes is None else self._planes
        blending.render(self._runtime, scene, self.lattice, planes, Strides.planes(*self._size))
        return planes

    def backward(self, scene: Scene, moments: Array) -> Array:
        """Adds the loss gradient of a scene to `moments`, as `blending.backward` does.

        Returns:
            The partial sums that `finish_loss` takes.
        """
        if self._buffers:
            self._compare_first(scene, moments, self._buffers)
            return self._partials
        blending.backward(
            self._runtime,
            scene,
            self._size,
            Strides.planes(*self._size),
            grad_image=None,
            target=self._target,
            weights=self._weights,
            loss_partials=self._partials,
            moments=moments,
            importance=self._importance,
        )
        return self._partials

    def _compare_first(self, scene: Scene, moments: Array, buffers: LossBuffers) -> None:
        runtime, strides = self._runtime, Strides.planes(*self._size)
        blending.render(runtime, scene, self.lattice, self._planes, strides, self._choices)
        launch_loss(runtime, self._planes, self._target, self._weights, buffers, self._importance)
        blending.backward_again(
            runtime,
            scene,
            self._size,
            strides,
            grad_image=buffers.grad,
            picture=self._planes,
            choices=self._choices,
            moments=moments,
        )


def moments_of(runtime: Runtime, n_pairs: int, n_channels: int) -> Array:
    """Uninitialised float32 buffer for the moments of n_pairs tile pairs."""
    return runtime.xp.empty((max(n_pairs, 1), MOMENTS + n_channels), np.float32)
