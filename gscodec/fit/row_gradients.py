"""The loss of rows of parameters and its gradient, on an engine of the host.

A row is a Gaussian's x, y (px), two scale parameters, rotation and C features.
"""

import numpy as np

from gscodec.fit.surroundings import Surroundings
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, joined
from gscodec.model.rendering import LossWeights, Subset
from gscodec.render.base import FitTarget, Rasterizer, RowGradients


def row_gradients(
    engine: Rasterizer,
    values: Float32Array,
    inverse: Float32Array,
    around: Surroundings | None,
    level: int,
    grid: Grid,
    target: FitTarget,
    loss: LossWeights,
    subset: Subset,
) -> RowGradients:
    """One pass of the engine.

    Args:
        values: float32 (n, 5 + C) rows; their scale parameters are not used.
        inverse: float32 (n, 2) inverse scales, 1/px, gains applied.
        around: neighbours that show as well, with the gains of level step `level`.
        target: as the engine's `fit_target` returns it.
    """
    beside = None if around is None else around.shown[level]
    return engine.fit_rows(values, inverse, beside, grid, target, loss, subset)


def rounded_exp(values: Float32Array) -> Float32Array:
    """Exponentials of float32 values, rounded once: NumPy's own differ between instruction sets."""
    return np.exp(values, dtype=np.float64).astype(np.float32)


def with_neighbours(own: GaussianSet, around: Surroundings | None, level: int) -> GaussianSet:
    """Gaussians followed by the neighbours visible at a level step."""
    return own if around is None else joined([own, around.shown[level]])
