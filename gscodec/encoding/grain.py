"""Noise of a source, and the part of it that a finished file lacks and stores as grain."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.decoding.image import IgsImage
from gscodec.encoding.grain_estimate import BLOCK_PX, GrainEstimate
from gscodec.encoding.job import Job
from gscodec.image.alpha import covers
from gscodec.image.levels import to_unit
from gscodec.image.regions import Rect, RegionSource
from gscodec.image.stack import ImageStack
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array
from gscodec.model.grain import Grain

AREAS: Final = 4
"""Areas of a large picture that are measured, along each axis."""

AREA_PX: Final = 8 * BLOCK_PX
"""Side of such an area."""


def source_grain(stack: ImageStack | RegionSource) -> tuple[Grain, ...]:
    """Noise of the source itself; empty if it has none that is seen."""
    estimate = GrainEstimate(stack.groups)
    if estimate.applies:
        for area in measured_areas(*_size(stack)):
            samples, mask = _source_part(stack, area)
            estimate.add(samples, samples, _seen(samples, stack.groups, mask))
    return estimate.grains


def lacking_grain(job: Job, data: bytes) -> tuple[Grain, ...]:
    """Noise of the source that a finished file lacks."""
    groups = job.stack.groups
    estimate = GrainEstimate(groups)
    with IgsImage(data, device=job.rasterizer, grain=False) as image:
        for area in measured_areas(*image.shape[:2]):
            region = (area.x0, area.y0, area.width, area.height)
            decoded = np.clip(to_unit(image.render(region=region), groups), 0, 1)
            samples = job.samples[area.slices()] if job.regions is None else job.regions.read(area)
            mask = None if job.visible is None else job.visible[area.slices()]
            estimate.add(samples - decoded, decoded, _seen(samples, groups, mask))
    return estimate.grains


def _source_part(stack: ImageStack | RegionSource, area: Rect) -> tuple[Float32Array, npt.NDArray[np.bool_] | None]:
    """Samples of an area, and its pixels that a mask shows; None means all."""
    if not isinstance(stack, ImageStack):
        return stack.read(area), None
    return stack.samples[area.slices()], None if stack.visible is None else stack.visible[area.slices()]


def measured_areas(height: int, width: int) -> Iterator[Rect]:
    """Areas that stand for a picture: evenly spread, or all of it where it is small."""
    rows, columns = _spread(height), _spread(width)
    return (Rect(x0, y0, x1, y1) for y0, y1 in rows for x0, x1 in columns)


def _seen(
    samples: Float32Array, groups: Sequence[ChannelGroup], mask: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.bool_] | None:
    """Bool (h, w), pixels that a mask shows and no alpha hides; None means all."""
    for cover in covers(groups):
        opaque = samples[..., cover.alpha] > 0
        mask = opaque if mask is None else mask & opaque
    return mask


def _spread(length: int) -> list[tuple[int, int]]:
    if length <= AREAS * AREA_PX:
        return [(0, length)]
    firsts = [(length - AREA_PX) * number // (AREAS - 1) for number in range(AREAS)]
    return [(first, first + AREA_PX) for first in firsts]


def _size(stack: ImageStack | RegionSource) -> tuple[int, int]:
    height, width, _ = stack.samples.shape if isinstance(stack, ImageStack) else stack.shape
    return height, width
