"""New Gaussians during a fit: number, position, width and colour (paper, Section 3.3).

This module serves the CPU; gscodec/cuda/growth.py does the same on a GPU.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda.growth import GrowthTerms
from gscodec.fit.placement import (
    Draws,
    box_blur,
    colours_at,
    draw_positions,
    gradient_magnitude,
    mix_with_uniform,
    structure_at,
)
from gscodec.fit.plan import FitPlan
from gscodec.model.gaussians import Float32Array

IMPORTANT_UNIFORM: Final = 0.1
"""Fraction of new Gaussians placed uniformly when an importance map is given (paper, Eq. 8)."""

STRUCTURE_RADIUS: Final = 0.5
"""Radius, in mean spacings, over which the picture's structure tensor is averaged."""


def growth_terms(plan: FitPlan, n_wanted: int, *, is_first: bool, has_map: bool) -> GrowthTerms:
    """Parameters of the growth to n_wanted Gaussians in total.

    Args:
        is_first: no Gaussians are present: the picture's gradient decides positions (Eq. 6), later the error of the
            present ones (Eq. 7).
        has_map: whether an importance map (H, W) is given.
    """
    p = plan.preset
    height, width, _ = plan.shape
    spacing = math.sqrt(height * width / n_wanted)
    sigma = p.start_sigma if is_first else p.growth_sigma
    sigma_px = sigma * spacing if p.sigma_unit == "spacing" else sigma
    return GrowthTerms(
        uniform_share=IMPORTANT_UNIFORM if has_map else p.uniform_share if is_first else 0.0,
        error_power=p.error_power,
        blur_px=p.error_blur * spacing,
        jitter=p.jitter,
        scale=-math.log(sigma_px) if p.scale_parameter == "log" else 1.0 / sigma_px,
        units=(width, height) if p.position_unit == "image" else (sigma_px, sigma_px),
        stretch=p.stretch,
        structure_px=round(STRUCTURE_RADIUS * spacing),
    )


def new_rows(
    plan: FitPlan,
    target: Float32Array,
    image: Float32Array | None,
    n_present: int,
    n_wanted: int,
    draws: Draws,
    stride: int = 1,
    allowed: npt.NDArray[np.bool_] | None = None,
    importance: Float32Array | None = None,
) -> tuple[Float32Array, Float32Array]:
    """Parameters of the Gaussians n_present .. n_wanted - 1, and the units of their learning rates.

    Features are the target's colour; Gaussians are isotropic unless the preset stretches them.

    Args:
        target: float32 (H, W, C).
        image: float32 (H, W, C) picture of the present Gaussians, or its every stride-th pixel from stride // 2 on;
            None when there are none.
        stride: density is computed at every stride-th pixel and stands for the stride x stride px around it.
        allowed: bool (H, W), pixels in which Gaussians may be placed; None means all.
        importance: float32 (H, W) or (C, H, W), weight of each pixel, or of each of its channels, at least 0; None
            means 1 everywhere.

    Returns:
        float32 (n, 5 + C) rows of x, y (px), two scale parameters, rotation, features; and units of the same shape.
    """
    height, width, _ = plan.shape
    seen = target[stride // 2 :: stride, stride // 2 :: stride]
    counts = None if importance is None else importance[..., stride // 2 :: stride, stride // 2 :: stride]
    each = counts.transpose(1, 2, 0) if counts is not None and counts.ndim == 3 else None
    has_map = counts is not None and each is None
    terms = growth_terms(plan, n_wanted, is_first=image is None, has_map=has_map)
    if image is None:
        density = gradient_magnitude(seen, each)
    else:
        error = np.abs(image - seen, dtype=np.float64) ** terms.error_power
        error = (error if each is None else each * error).sum(axis=2)
        density = box_blur(error, round(terms.blur_px / stride))
    if has_map:
        density = density * counts
    probability = mix_with_uniform(density, terms.uniform_share)
    if allowed is not None:
        # A small density everywhere: otherwise no position could be drawn once the allowed part has no error left.
        where = allowed[stride // 2 :: stride, stride // 2 :: stride]
        probability = (probability + 1e-12) * where if where.any() else probability
    positions = draw_positions(draws, probability, n_wanted - n_present, terms.jitter)
    if stride > 1:
        positions = np.clip(stride * positions + (stride // 2 + 0.5 - 0.5 * stride), 0.0, (width, height))
    rows = np.zeros((len(positions), 5 + plan.shape[2]), np.float32)
    rows[:, :2] = positions
    rows[:, 2:4] = terms.scale
    if terms.stretch:
        angle, coherence = structure_at(target, positions, terms.structure_px)
        rows[:, 4] = angle
        rows[:, 2] += terms.stretch * coherence  # narrow across the edge
        rows[:, 3] -= terms.stretch * coherence
    rows[:, 5:] = colours_at(target, positions)
    units = np.ones_like(rows)
    units[:, :2] = terms.units
    return rows, units
