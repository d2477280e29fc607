"""Interface between torch tensors and engines: passes tensors to an engine and gradients back."""

from collections.abc import Callable
from typing import Protocol

import torch

from gscodec.model.gaussians import Grid
from gscodec.model.rendering import LossWeights, Subset

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""means (N, 2) px, inv_scales (N, 2) 1/px, rotations (N,) rad, features (N, C); or their gradients."""


Backward = Callable[[torch.Tensor], Tensors]


class Bridge(Protocol):
    """An engine that takes and returns detached tensors on their own device."""

    def render(self, tensors: Tensors, grid: Grid) -> tuple[torch.Tensor, Backward]:
        """The (height, width, C) image, and a function from its gradient to the gradients of the tensors."""
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
