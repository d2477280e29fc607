"""Schedules of a fit: growth, levels of detail, learning rates."""

import math
from collections.abc import Sequence

from gscodec.fit.presets import Preset
from gscodec.model.rendering import Subset


def lod_counts(n_gaussians: int, lods: int) -> tuple[int, ...]:
    """Cumulative counts, coarsest first: each level about half of the next. Fewer levels if N is too small."""
    levels = max(1, min(lods, n_gaussians.bit_length()))
    return tuple(max(1, round(n_gaussians / 2 ** (levels - 1 - m))) for m in range(levels))


def growth_schedule(preset: Preset, steps: int, n_gaussians: int) -> dict[int, int]:
    """Gaussians present from each step on; the last entry is the whole set."""
    share = preset.start_share
    schedule = {0: max(1, round(n_gaussians * share))}
    for k in range(1, preset.growth_events + 1):
        part = k / preset.growth_events
        grown = share ** (1 - part) if preset.growth == "geometric" else share + (1 - share) * part
        schedule[int(steps * preset.growth_until * part)] = max(1, round(n_gaussians * grown))
    schedule[max(schedule)] = n_gaussians
    return schedule


def relocation_schedule(preset: Preset, steps: int) -> set[int]:
    """Steps before which low-contribution Gaussians are relocated: evenly spread, after the set is complete."""
    span = (preset.relocation_until - preset.growth_until) / max(preset.relocations, 1)
    return {int(steps * (preset.growth_until + span * (k + 1))) for k in range(preset.relocations)}


def rate_factor(preset: Preset, progress: float) -> float:
    """Factor on all learning rates at the fraction `progress` of the steps: constant, then half a cosine."""
    if progress < preset.decay_from:
        return 1.0
    part = (progress - preset.decay_from) / (1.0 - preset.decay_from)
    return preset.decay_to + (1.0 - preset.decay_to) * 0.5 * (1.0 + math.cos(math.pi * part))


def step_shown(counts: Sequence[int], n_gaussians: int) -> int:
    """The coarsest level step that shows all of the first n_gaussians."""
    return next(m for m, count in enumerate(counts) if count >= n_gaussians)


def subset_of(step: int, stride: int) -> Subset:
    """The pixels of a step: every stride-th, in an order that spreads evenly and repeats after stride^2 steps."""
    x = y = 0
    scale, k = 1, step % stride**2
    while scale < stride:
        k, corner = divmod(k, 4)
        # The order of ordered dithering: across the diagonal first, at the coarsest scale first.
        half = stride // (2 * scale)
        x += half * (corner in {1, 3})
        y += half * (corner in {1, 2})
        scale *= 2
    return Subset(stride, x, y)
