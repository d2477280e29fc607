"""New Gaussians during a fit: how many, where, how wide and of which colour (paper, Section 3.3).

Written over an array module, NumPy or CuPy: on a card the picture, its error and the draw stay there.
"""

import math
from typing import Any, Final

import numpy as np

from gscodec.train.placement import (
    Array,
    Draws,
    box_blur,
    colours_at,
    draw_positions,
    gradient_magnitude,
    mix_with_uniform,
    structure_at,
)
from gscodec.train.plan import FitPlan

IMPORTANT_UNIFORM: Final = 0.1
"""Share of new Gaussians that are placed anywhere, where a map says what is important (paper, Eq. 8)."""

STRUCTURE_RADIUS: Final = 0.5
"""Spacings over which the picture's structure is averaged."""


def new_rows(
    plan: FitPlan,
    target: Array,
    image: Array | None,
    n_present: int,
    n_wanted: int,
    draws: Draws,
    xp: Any = np,
    stride: int = 1,
    allowed: Array | None = None,
    importance: Array | None = None,
) -> tuple[Array, Array]:
    """Parameters of the Gaussians n_present .. n_wanted - 1, and the units of their learning rates.

    The first are drawn by the picture's gradient (Eq. 6), later ones by the error of those present (Eq. 7). They have
    the target's colour, and are isotropic unless the preset stretches them.

    Args:
        target: float32 (H, W, C).
        image: float32 (H, W, C), what the present ones paint, or its every stride-th pixel from stride // 2 on; None
            when there are none.
        xp: module of the arrays.
        stride: density is taken at every stride-th pixel and stands for the stride x stride px around it.
        allowed: bool (H, W), the pixels in which they may be placed; None is all.
        importance: float32 (H, W) or (C, H, W), what each pixel, or each of its channels, counts, at least 0; None is 1
            for all.

    Returns:
        float32 (n, 5 + C) rows of x, y (px), two scale parameters, rotation, features; and units of the same shape.
    """
    p = plan.preset
    height, width, _ = plan.shape
    spacing = math.sqrt(height * width / n_wanted)
    seen = target[stride // 2 :: stride, stride // 2 :: stride]
    counts = None if importance is None else importance[..., stride // 2 :: stride, stride // 2 :: stride]
    each = counts.transpose(1, 2, 0) if counts is not None and counts.ndim == 3 else None
    if image is None:
        density, uniform_share, sigma = gradient_magnitude(seen, xp, each), p.uniform_share, p.start_sigma
    else:
        error = xp.abs(image - seen, dtype=np.float64) ** p.error_power
        error = (error if each is None else each * error).sum(axis=2)
        density = box_blur(error, round(p.error_blur * spacing / stride), xp)
        uniform_share, sigma = 0.0, p.growth_sigma
    if counts is not None and each is None:
        density = density * counts
        uniform_share = IMPORTANT_UNIFORM
    sigma_px = sigma * spacing if p.sigma_unit == "spacing" else sigma
    probability = mix_with_uniform(density, uniform_share, xp)
    if allowed is not None:
        # A trace everywhere: elsewhere the draw would come back empty-handed where the allowed part has no error left.
        where = allowed[stride // 2 :: stride, stride // 2 :: stride]
        probability = (probability + 1e-12) * where if where.any() else probability
    positions = draw_positions(draws, probability, n_wanted - n_present, p.jitter, xp)
    if stride > 1:
        positions = xp.clip(stride * positions + (stride // 2 + 0.5 - 0.5 * stride), 0.0, (width, height))
    rows = xp.zeros((len(positions), 5 + plan.shape[2]), np.float32)
    rows[:, :2] = positions
    rows[:, 2:4] = -math.log(sigma_px) if p.scale_parameter == "log" else 1.0 / sigma_px
    if p.stretch:
        angle, coherence = structure_at(target, positions, round(STRUCTURE_RADIUS * spacing), xp)
        rows[:, 4] = angle
        rows[:, 2] += p.stretch * coherence  # narrow across the edge
        rows[:, 3] -= p.stretch * coherence
    rows[:, 5:] = colours_at(target, positions, xp)
    units = xp.ones_like(rows)
    units[:, :2] = xp.asarray([width, height], np.float32) if p.position_unit == "image" else sigma_px
    return rows, units
