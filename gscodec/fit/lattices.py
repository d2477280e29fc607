"""Chooses a file's quantiser steps: as coarse as the picture's own error allows, balanced between kinds of value.

Each kind (scales, rotations, means, features) gets the steps at which it adds the same error per value: then moving a
bit from one kind to another gains nothing (reverse water-filling). One number, the error per value, selects the steps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.format.limits import generation_sizes, generations_of
from gscodec.format.pages import page_starts
from gscodec.model.channels import ChannelGroup, channel_spans, count_channels
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid
from gscodec.profiles.coded import payload_bits, quantize_in_order
from gscodec.profiles.lattice import (
    OCTAVE,
    ROTATION_CLASSES,
    Lattice,
    cell_sizes,
    dequantize,
    feature_steps_of,
    quantize,
)
from gscodec.profiles.small_codec import LUMA_CHROMA, lattice_of, transform_of
from gscodec.profiles.small_steps import FEATURE_UNITS, MAX_STEP, SmallSteps

CELLS_PER_GAUSSIAN: Final = 2.0
"""Cells of a generation per Gaussian; more cells code positions slightly better and take longer."""

TYPICAL_SHARE: Final = 0.025
"""Error that quantisation adds per value, as a fraction of the picture's own, before fine-tuning. From about this point
a bit spent on more Gaussians gains as much as one spent on finer values."""


@dataclass(frozen=True)
class Steps:
    """Quantiser steps in units that are comparable between sets of any size and between pictures."""

    scale: float = 4.0  # 1/32 octave
    rotation: float = 0.25  # of the angle at which an ellipse's tip moves by its narrow standard deviation
    position: float = 0.2  # standard deviations
    feature: float = 0.04  # of the samples' range

    def scaled(self, factors: "Steps") -> "Steps":
        """Every step times its factor, clamped to the format's limits and useful ranges."""
        return Steps(
            min(max(self.scale * factors.scale, 1.0), 16.0),
            min(max(self.rotation * factors.rotation, 0.01), 1.0),
            min(max(self.position * factors.position, 0.01), 1.0),
            min(max(self.feature * factors.feature, 1e-4), 0.5),
        )


def make_lattice(steps: Steps, transform: Float64Array, grid: Grid, counts: tuple[int, ...]) -> Lattice:
    """The lattice of such steps for a set with such cumulative counts."""
    smallest, largest = cell_sizes(grid.height, grid.width)
    area = grid.height * grid.width / CELLS_PER_GAUSSIAN
    sides = [round(0.5 * math.log2(max(area / max(size, 1), 1.0))) for size in generation_sizes(counts)]
    scale_step = max(1, round(steps.scale))
    return Lattice(
        scale_step,
        round(OCTAVE * math.log2(1.0 / steps.position)) + OCTAVE // 2,
        rotation_from(scale_step, steps.rotation),
        tuple(min(largest, max(smallest, cell)) for cell in sides),
        np.full(len(transform), steps.feature, np.float32),
        transform,
    )


def plain_lattice(grid: Grid, n_channels: int) -> Lattice:
    """The lattice of a file with a single Gaussian."""
    return make_lattice(Steps(), np.eye(n_channels), grid, (1,))


def small_lattice(
    steps: Steps,
    colours: int,
    grid: Grid,
    n_gaussians: int,
    groups: tuple[ChannelGroup, ...],
    scales: Float32Array | None,
) -> Lattice:
    """The lattice of profile `small` nearest to these steps.

    Args:
        colours: value of the header field of that name.
        scales: (C,) factor from the file's features to the fit's; None means 1.
    """
    of_file = np.full(count_channels(groups), steps.feature) / (1.0 if scales is None else scales)
    octaves = np.round(-OCTAVE / FEATURE_UNITS * np.log2(of_file)).astype(np.int64)
    small = SmallSteps(
        max(1, round(steps.scale)),
        min(MAX_STEP, max(0, round(OCTAVE * math.log2(1.0 / steps.position)) + OCTAVE // 2)),
        min(MAX_STEP, max(0, round(OCTAVE * (math.log2(math.pi / steps.rotation) + 0.5)))),
        colours,
        tuple(octaves.clip(0, MAX_STEP).tolist()),
    )
    lattice = lattice_of(small, grid, n_gaussians, groups)
    return lattice if scales is None else replace(lattice, feature_steps=lattice.feature_steps * scales)


def with_slope(lattice: Lattice, slope: int, inv_scales: Float64Array) -> Lattice:
    """The lattice with a feature slope, and the same geometric mean of the feature steps.

    Args:
        slope: as in `Lattice.feature_slope`; lattices of other profiles than `coded` stay as they are.
        inv_scales: (n, 2) 1/px of the Gaussians.
    """
    if lattice.small is not None or lattice.records is not None:
        return lattice
    octaves = float(np.log2(inv_scales).sum(axis=1).mean()) * (lattice.feature_slope - slope) / 64
    steps = (lattice.feature_steps * np.float32(2.0**octaves)).astype(np.float32)
    return replace(lattice, feature_steps=steps, feature_slope=slope)


def with_features(lattice: Lattice, factor: float) -> Lattice:
    """The lattice with all feature steps times a factor, or the nearest one that its profile can store."""
    if lattice.small is None:
        return replace(lattice, feature_steps=(lattice.feature_steps * np.float32(factor)).astype(np.float32))
    before = np.array(lattice.small.feature_step)
    after = (before - round(OCTAVE / FEATURE_UNITS * math.log2(factor))).clip(0, MAX_STEP)
    scaled = lattice.feature_steps * np.exp2((before - after) * (FEATURE_UNITS / OCTAVE))
    small = replace(lattice.small, feature_step=tuple(after.tolist()))
    return replace(lattice, feature_steps=scaled.astype(np.float32), small=small)


def choose_colours(features: Float64Array, groups: tuple[ChannelGroup, ...], step: float) -> int:
    """The value for the `small` header: whether luma and chroma take fewer bits than the features themselves."""
    bits = [
        _entropy_bits(np.floor(features @ np.linalg.inv(transform_of(colours, groups)) / step + 0.5))
        for colours in (0, 1)
    ]
    return int(bits[1] < bits[0])


def rotation_from(scale_step: int, share: float) -> tuple[int, ...]:
    """Minimum elongation, in scale steps, at which 1, 2, ... bits of rotation come nearest to the desired step.

    A rotation by t moves the tip of an ellipse with standard deviations r < 1 and 1 by t, which matters where it leaves
    the ellipse: the step is share * r / (1 - r^2) rad.
    """
    thresholds = []
    for bits in range(1, ROTATION_CLASSES + 1):
        elongation = 1
        while elongation < 255:
            ratio = 2.0 ** (-elongation * scale_step / OCTAVE)
            if math.log2(math.pi * (1 - ratio * ratio) / (share * ratio)) >= bits - 0.5:
                break
            elongation += 1
        thresholds.append(elongation)
    return tuple(thresholds)


def choose_transform(features: Float64Array, groups: tuple[ChannelGroup, ...], step: float) -> Float64Array:
    """(C, C) orthonormal rows, block-diagonal by group, in which the features take the fewest bits.

    Candidates are the features themselves, luma and chroma for three channels, and their principal components.
    """
    transform = np.zeros((features.shape[1],) * 2)
    for group, block in channel_spans(groups):
        part = features[:, block]
        candidates = [np.eye(group.n_channels)]
        if group.n_channels == 3:
            candidates.append(LUMA_CHROMA.astype(np.float64))
        if group.n_channels > 1:
            candidates.append(np.linalg.eigh(np.cov(part.T) if len(part) > 1 else np.eye(part.shape[1]))[1].T)
        best = min(candidates, key=lambda rows: _entropy_bits(np.floor(part @ rows.T / step + 0.5)))
        transform[block, block] = best.astype(np.float16)  # at the file's precision
    return transform


def _entropy_bits(levels: Float64Array) -> float:
    """Zero-order entropy, in bits, of all columns together."""
    total = 0.0
    for column in levels.T:
        counts = np.unique(column, return_counts=True)[1]
        total -= float((counts * np.log2(counts / len(column))).sum())
    return total


def snap(gaussians: GaussianSet, lattice: Lattice, grid: Grid, generations: np.ndarray) -> GaussianSet:
    """The nearest Gaussians on a lattice, with the order of axes and the half turn of rotation of the input."""
    near = dequantize(quantize(gaussians, lattice, grid, generations), lattice, generations)
    swapped = gaussians.inv_scales[:, 0] < gaussians.inv_scales[:, 1]
    inv_scales = np.where(swapped[:, None], near.inv_scales[:, ::-1], near.inv_scales)
    rotations = near.rotations - np.where(swapped, np.pi / 2, 0.0)
    rotations += np.pi * np.round((gaussians.rotations - rotations) / np.pi)
    return GaussianSet(near.means, inv_scales, rotations, near.features)


def typical_step(gaussians: GaussianSet, lattice: Lattice, grid: Grid, generations: npt.NDArray[np.int64]) -> float:
    """Median of the feature steps of a set on a lattice."""
    codes = quantize(gaussians, lattice, grid, generations)
    return float(np.median(feature_steps_of(lattice, codes.narrow, codes.elongation))) if len(codes) else 1.0


def bits_of(gaussians: GaussianSet, lattice: Lattice, grid: Grid, counts: tuple[int, ...], page_size: int) -> float:
    """Bits of the pages of a set on a lattice."""
    codes = quantize_in_order(gaussians, lattice, grid, counts, page_size)
    return payload_bits(codes, lattice, generations_of(counts), page_starts(counts, page_size))


COMPENSATED: Final = 0.7
"""Feature steps over those of equal error per value. Features are chosen for error and bits together, so that fine
steps cost them little: integers that few others have are avoided."""


@dataclass(frozen=True)
class Balance:
    """Measured quantisation errors of a set, and the steps at which all values add the same error."""

    steps: Steps  # steps at which the errors were measured
    errors: Float64Array  # (4,) error added per scale, rotation, mean or feature, as a fraction of the picture's own

    def __call__(self, share: float) -> Steps:
        """The steps at which each value adds the fraction `share` of the picture's own error."""
        return self.steps.scaled(Steps(*(np.sqrt(share / self.errors) * (1.0, 1.0, 1.0, COMPENSATED))))


def balance(
    gaussians: GaussianSet,
    transform: Float64Array,
    grid: Grid,
    counts: tuple[int, ...],
    error_of: Callable[[GaussianSet], float],
) -> Balance:
    """Steps as a function of the error that each value may add.

    Args:
        error_of: returns the mean squared error of a set.
    """
    generations = generations_of(counts)
    own = error_of(gaussians)
    steps = Steps()
    for _ in range(2):  # errors grow with the squared steps only locally: measure again at the first result
        near = snap(gaussians, make_lattice(steps, transform, grid, counts), grid, generations)
        stages = (
            gaussians,
            GaussianSet(gaussians.means, near.inv_scales, gaussians.rotations, gaussians.features),
            GaussianSet(gaussians.means, near.inv_scales, near.rotations, gaussians.features),
            GaussianSet(near.means, near.inv_scales, near.rotations, gaussians.features),
            near,
        )
        errors = [own, *(error_of(stage) for stage in stages[1:])]
        added = np.maximum(np.diff(errors), 1e-3 * own)
        per_value = added / np.array([2.0, 1.0, 2.0, gaussians.n_channels]) / max(own, 1e-12)
        measured, steps_then = np.maximum(per_value, 1e-12), steps  # an exact fit has no error to compare with
        factors = np.sqrt(TYPICAL_SHARE / measured)
        steps = steps_then.scaled(Steps(*factors))
    return Balance(steps_then, measured)
