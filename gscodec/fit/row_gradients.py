"""The loss of rows of parameters and its gradient, by the chain rule, on an engine of the host.

A row is a Gaussian's x, y (px), two scale parameters, rotation and C features.
"""

from dataclasses import dataclass

import numpy as np

from gscodec.fit.surroundings import Surroundings, joined
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid
from gscodec.model.rendering import LossWeights, Subset
from gscodec.render.base import Rasterizer


@dataclass(frozen=True)
class RowGradients:
    """Loss and mean squared error of a step, and its gradient."""

    loss: float
    mse: float
    rows: Float32Array
    """(n, 5 + C) gradient to the rows, with that to the inverse scales in place of the scale parameters."""


def row_gradients(
    engine: Rasterizer,
    values: Float32Array,
    inverse: Float32Array,
    around: Surroundings | None,
    level: int,
    grid: Grid,
    planes: Float32Array,
    loss: LossWeights,
    subset: Subset,
    importance: Float32Array | None,
) -> RowGradients:
    """One pass of the engine.

    Args:
        values: float32 (n, 5 + C) rows; their scale parameters are not used.
        inverse: float32 (n, 2) inverse scales, 1/px, gains applied.
        around: neighbours that show as well, with the gains of level step `level`.
        planes: float32 (C, H, W) target.
    """
    n = len(values)
    shown = with_neighbours(GaussianSet.of_float32(values[:, :2], inverse, values[:, 4], values[:, 5:]), around, level)
    step = engine.fit_step(shown, grid, engine.bin(shown, grid), planes, loss, subset, importance)
    rows = np.empty_like(values)
    rows[:, :2] = step.grads.means[:n]
    rows[:, 2:4] = step.grads.inv_scales[:n]
    rows[:, 4] = step.grads.rotations[:n]
    rows[:, 5:] = step.grads.features[:n]
    return RowGradients(step.loss, step.mse, rows)


def rounded_exp(values: Float32Array) -> Float32Array:
    """Exponentials of float32 values, rounded once: NumPy's own differ between instruction sets."""
    return np.exp(values, dtype=np.float64).astype(np.float32)


def with_neighbours(own: GaussianSet, around: Surroundings | None, level: int) -> GaussianSet:
    """Gaussians followed by the neighbours visible at a level step."""
    return own if around is None else joined([own, around.shown[level]])
