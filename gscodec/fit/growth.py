"""New Gaussians during a fit: number, position, width and colour (paper, Section 3.3).

This module serves the CPU; gscodec/cuda/growth.py does the same on a GPU.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda.growth import GrowthTerms
from gscodec.fit.peaks import Blobs, error_peaks
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
from gscodec.model.gaussians import Float32Array, Float64Array

IMPORTANT_UNIFORM: Final = 0.1
"""Fraction of new Gaussians placed uniformly when an importance map is given (paper, Eq. 8)."""

LEAST_SIGMA_PX: Final = 0.5
"""Minimum standard deviation, px, at which a blob starts."""

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
    threads: int = 0,
) -> tuple[Float32Array, Float32Array]:
    """Parameters of the Gaussians n_present .. n_wanted - 1, and the units of their learning rates.

    Gaussians are placed at the peaks of the error under matched filters, in the sizes of the peaks, if the preset has
    sizes of blobs; the others, and the first, are drawn. Features are the target's colour; Gaussians are isotropic
    unless the preset stretches them.

    Args:
        target: float32 (H, W, C).
        image: float32 (H, W, C) picture of the present Gaussians, or its every stride-th pixel from stride // 2 on;
            None when there are none.
        stride: density is computed at every stride-th pixel and stands for the stride x stride px around it.
        allowed: bool (H, W), pixels in which Gaussians may be placed; None means all.
        importance: float32 (H, W) or (C, H, W), weight of each pixel, or of each of its channels, at least 0; None
            means 1 everywhere.
        threads: maximum number of threads; 0 means one per processor.

    Returns:
        float32 (n, 5 + C) rows of x, y (px), two scale parameters, rotation, features; and units of the same shape.
    """
    height, width, _ = plan.shape
    part = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    seen = target[part]
    counts = None if importance is None else importance[..., *part]
    where = None if allowed is None else allowed[part]
    terms = growth_terms(plan, n_wanted, is_first=image is None, has_map=counts is not None and counts.ndim == 2)
    n_new = n_wanted - n_present
    pixels, scales = np.zeros(0, np.int64), np.zeros(0, np.float32)
    if image is not None and plan.preset.blob_sizes:
        blobs = growth_blobs(plan, n_wanted, stride)
        error = weighted_error(image - seen, counts)
        pixels, sizes = error_peaks(error, blobs, n_new, allowed=where, threads=threads)
        scales = blob_scales(plan, blobs, stride)[sizes]
    positions = np.stack(np.divmod(pixels, seen.shape[1])[::-1], axis=1) + 0.5
    if n_new > len(pixels):
        probability = _probability(terms, seen, image, stride, where, counts)
        drawn = draw_positions(draws, probability, n_new - len(pixels), terms.jitter)
        positions = np.concatenate([positions, drawn])
    if stride > 1:
        positions = np.clip(stride * positions + (stride // 2 + 0.5 - 0.5 * stride), 0.0, (width, height))
    rows = np.zeros((n_new, 5 + plan.shape[2]), np.float32)
    rows[:, :2] = positions
    rows[:, 2:4] = terms.scale
    rows[: len(pixels), 2:4] = scales[:, None]
    if terms.stretch:
        angle, coherence = structure_at(target, positions, terms.structure_px, threads)
        rows[:, 4] = angle
        rows[:, 2] += terms.stretch * coherence  # narrow across the edge
        rows[:, 3] -= terms.stretch * coherence
    rows[:, 5:] = colours_at(target, positions)
    units = np.ones_like(rows)
    units[:, :2] = terms.units
    return rows, units


def growth_blobs(plan: FitPlan, n_wanted: int, stride: int = 1) -> Blobs:
    """Sizes of the blobs of the growth to n_wanted Gaussians, in pixels of an error at every stride-th pixel."""
    height, width, _ = plan.shape
    spacing = math.sqrt(height * width / n_wanted) / stride
    p = plan.preset
    return Blobs.near([size * spacing for size in p.blob_sizes], p.blob_exponent, p.blob_reach)


def blob_scales(plan: FitPlan, blobs: Blobs, stride: int = 1) -> Float32Array:
    """(S,) scale parameters that Gaussians of these sizes start with."""
    sigmas_px = np.maximum(stride * blobs.sigmas, LEAST_SIGMA_PX)
    return (-np.log(sigmas_px) if plan.preset.scale_parameter == "log" else 1.0 / sigmas_px).astype(np.float32)


def weighted_error(error: Float32Array, counts: Float32Array | None) -> Float32Array:
    """(h, w, C) errors whose squares are those of (h, w, C) errors times weights (h, w) or (C, h, w)."""
    if counts is None:
        return error
    root = np.sqrt(counts)
    return error * (root[:, :, None] if root.ndim == 2 else root.transpose(1, 2, 0))


def _probability(
    terms: GrowthTerms,
    seen: Float32Array,
    image: Float32Array | None,
    stride: int,
    where: npt.NDArray[np.bool_] | None,
    counts: Float32Array | None,
) -> Float64Array:
    """(h, w) probability of each pixel to be drawn as the place of a Gaussian."""
    each = counts.transpose(1, 2, 0) if counts is not None and counts.ndim == 3 else None
    if image is None:
        density = gradient_magnitude(seen, each)
    else:
        error = np.abs(image - seen, dtype=np.float64) ** terms.error_power
        error = (error if each is None else each * error).sum(axis=2)
        density = box_blur(error, round(terms.blur_px / stride))
    if counts is not None and each is None:
        density = density * counts
    probability = mix_with_uniform(density, terms.uniform_share)
    if where is None:
        return probability
    # A small density everywhere: otherwise no position could be drawn once the allowed part has no error left.
    return (probability + 1e-12) * where if where.any() else probability
