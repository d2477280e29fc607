"""Where tensors and engines meet: what carries torch tensors to an engine and gradients back."""

from typing import Any, Protocol

import torch

from gscodec.model.gaussians import Grid
from gscodec.model.rendering import LossWeights, Subset

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""means (N, 2) px, inv_scales (N, 2) 1/px, rotations (N,) rad, features (N, C); or their gradients."""


class Bridge(Protocol):
    """An engine that takes and gives detached tensors where they lie."""

    def render(self, tensors: Tensors, grid: Grid) -> tuple[torch.Tensor, Any]:
        """The (height, width, C) image, and what `backward` needs."""
        ...

    def backward(self, scene: Any, grad_image: torch.Tensor) -> Tensors:
        """Gradients for the gradient to an image that `render` gave."""
        ...

    def fit_step(
        self,
        tensors: Tensors,
        grid: Grid,
        target_planes: torch.Tensor,
        weights: LossWeights,
        subset: Subset,
        importance: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, Tensors]:
        """Loss, mean squared error (scalars), and the gradients of the loss; importance as in `Rasterizer.loss`."""
        ...
