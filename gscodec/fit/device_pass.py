"""Picture, loss and gradient of a scene on a card, in buffers that are made before the first step."""

import numpy as np

from gscodec.cuda import blending
from gscodec.cuda.blending import MOMENTS, Lattice, Scene, Strides, choices_of
from gscodec.cuda.losses import LossBuffers, launch_loss, loss_columns
from gscodec.cuda.runtime import Array, Runtime
from gscodec.model.gaussians import Grid, Window
from gscodec.model.rendering import LossWeights


class LossPass:
    """What every step of a fit does between tile lists and parameters. Nothing is allocated in a step.

    With an SSIM term the picture is blended and compared, and the gradient follows from what blending found out, 12
    bytes a pixel; without one a single kernel does all three.

    Args:
        target: float32 (C, H, W) in the runtime's memory.
        importance: float32 (H, W) or (C, H, W) there, what each sample counts; None is 1 for all.
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
        if weights.ssim:
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
        """Fills `moments` as `blending.backward` does, for the loss against the target.

        Returns:
            The partial sums that `finish_loss` takes.
        """
        if self._buffers:
            self._compare_first(scene, moments, self._buffers)
            return self._partials
        weights, n_samples = self._weights, self._target.size
        blending.backward(
            self._runtime,
            scene,
            self._size,
            Strides.planes(*self._size),
            grad_image=None,
            target=self._target,
            l1=weights.l1 / n_samples,
            l2=weights.l2 / n_samples,
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
    """float32 room for the moments of so many pairs."""
    return runtime.xp.empty((max(n_pairs, 1), MOMENTS + n_channels), np.float32)
