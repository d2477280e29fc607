"""Quantisation-aware fine-tuning for profile `packed`: chooses the record layout, then fixes values on its lattice."""

from collections.abc import Callable
from typing import Final

import numpy as np

from gscodec.fit.lattices import Balance, Steps, balance, choose_transform
from gscodec.fit.qat import FineTuned, fine_tune_on
from gscodec.fit.qat_task import QatTask, error_of
from gscodec.fit.record_widths import RecordWidths
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid, LodTable
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.page_heads import page_order

TYPICAL: Final = Balance(Steps(4.0, 0.14, 0.14, 0.045), np.full(4, 0.025))
"""Balance for Gaussians whose picture is not available as a whole: mean of the measurements on two photographs."""


def fine_tune_packed(
    task: QatTask,
    gaussians: GaussianSet,
    n_steps: int,
    *,
    page_size: int,
    record_bytes: int,
    on_step: Callable[[int, float], None] | None = None,
) -> FineTuned:
    """A fit quantised on the best lattice for records of `record_bytes` bytes, in file order.

    Args:
        gaussians: result of the fit, float.
        on_step: as in `fine_tune_on`.

    Raises:
        InvalidArgument: the channels do not fit into records of this size.
    """
    counts = task.lods.counts
    ordered = gaussians[page_order(gaussians, task.grid, counts, page_size)]
    transform = _transform(ordered, task.groups)
    measured = balance(ordered, transform, task.grid, counts, error_of(task))
    lattice = RecordWidths(ordered, transform, measured, task.grid, counts, page_size).choose(record_bytes)
    return FineTuned(fine_tune_on(task, ordered, n_steps, lattice, on_step), lattice)


def typical_lattice(
    gaussians: GaussianSet,
    lods: LodTable,
    grid: Grid,
    groups: tuple[ChannelGroup, ...],
    page_size: int,
    record_bytes: int,
) -> tuple[GaussianSet, Lattice]:
    """Gaussians in file order and a lattice for records of `record_bytes` bytes, chosen without reading the picture.

    Raises:
        InvalidArgument: the channels do not fit into records of this size.
    """
    ordered = gaussians[page_order(gaussians, grid, lods.counts, page_size)]
    widths = RecordWidths(ordered, _transform(ordered, groups), TYPICAL, grid, lods.counts, page_size)
    return ordered, widths.choose(record_bytes)


def _transform(gaussians: GaussianSet, groups: tuple[ChannelGroup, ...]) -> Float64Array:
    return choose_transform(gaussians.features.astype(np.float64), groups, Steps().feature)
