"""Values of which more and more are fixed while the rest train: the interface of QAT's engines, and the CPU's.

A row is a Gaussian's x, y (px), two logarithms of inverse scales, rotation and C features.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gscodec.errors import BackendUnavailable
from gscodec.fit.coarse import CoarseGradients
from gscodec.fit.device_qat import DeviceQatRows
from gscodec.fit.optimizer import RowAdam
from gscodec.fit.plan import Step
from gscodec.fit.qat_task import QAT_ADAM, QAT_RATES, QatTask
from gscodec.fit.row_gradients import rounded_exp, row_gradients
from gscodec.format.limits import generations_of
from gscodec.model.gaussians import Float32Array, Float64Array

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class QatRows(Protocol):
    """(n, 5 + C) values under quantisation-aware fine-tuning."""

    def rows(self, which: Indices) -> Float32Array:
        """(m, 5 + C) current values of some Gaussians."""
        ...

    def hold(self, which: Indices, rows: Float32Array, held: Mask) -> None:
        """Overwrite some Gaussians, and fix their values that are `held` (m, 5 + C) from now on."""
        ...

    def run(self, steps: Sequence[Step]) -> Iterator[tuple[int, float]]:
        """Train the free values for these steps.

        Yields:
            Whenever results are known: number of steps done, and the mean squared error of the last that showed all
            Gaussians.
        """
        ...


def qat_rows(task: QatTask, rows: Float64Array, inv_scales: Float64Array, n_steps: int) -> QatRows:
    """Rows on the engine of a task, for Gaussians with inverse scales (n, 2) in 1/px, to be trained for n_steps steps.

    Raises:
        BackendUnavailable: the task is a block of a larger picture, which only the CPU engine trains.
    """
    values, units = rows.astype(np.float32), np.ones(rows.shape, np.float32)
    units[:, :2] = 1.0 / np.sqrt(inv_scales.prod(axis=1, keepdims=True))  # means move in units of standard deviations
    device = task.rasterizer.on_device
    if device is None:
        return HostQatRows(task, values, units)
    if task.around is not None and not task.rasterizer.fits_blocks:
        raise BackendUnavailable(f"device {task.rasterizer.name} does not fit blocks of a picture; use --device cpu")
    return DeviceQatRows(task, device, values, units, n_steps)


class HostQatRows:
    """`QatRows` on an engine of the host. Results are known after every step."""

    def __init__(self, task: QatTask, rows: Float32Array, units: Float32Array) -> None:
        self._task = task
        self._target = task.rasterizer.fit_target(task.target, task.importance)
        self._limits = task.plan.limits(task.plan.log_scale_range)
        self._generations = generations_of(task.lods.counts)
        mean, scale, rotation, feature = QAT_RATES
        self._adam = RowAdam(
            rows,
            [mean] * 2 + [scale] * 2 + [rotation] + [feature] * task.target.shape[2],
            QAT_ADAM,
            threads=task.rasterizer.threads,
        )
        self._units = units
        self._held = np.zeros(units.shape, np.bool_)
        self._mse = math.nan
        self._coarse = CoarseGradients(task.preset)

    def rows(self, which: Indices) -> Float32Array:
        """See `QatRows.rows`."""
        values: Float32Array = self._adam.values[which]
        return values

    def hold(self, which: Indices, rows: Float32Array, held: Mask) -> None:
        """See `QatRows.hold`."""
        self._adam.values[which] = rows
        self._held[which] |= held
        self._units[self._held] = 0.0

    def run(self, steps: Sequence[Step]) -> Iterator[tuple[int, float]]:
        """See `QatRows.run`."""
        for done, step in enumerate(steps, start=1):
            self._step(step)
            yield done, self._mse

    def _step(self, step: Step) -> None:
        task, n = self._task, step.n_shown
        values = self._adam.values[:n]
        gains = np.asarray(task.lods.gains[step.level], np.float32)[self._generations[:n]]
        inverse = rounded_exp(values[:, 2:4]) * gains[:, None]
        done = row_gradients(
            task.rasterizer,
            values,
            inverse,
            task.around,
            step.level,
            task.grid,
            self._target,
            task.preset.loss,
            step.subset,
        )
        grad = done.rows
        grad[:, 2:4] *= inverse
        if not step.shows_all:
            self._coarse.renew(step.level, grad, done.loss)
            return
        self._mse = done.mse
        self._coarse.add_to(grad, step.level, done.loss)
        grad_scale = float(task.grid.height * task.grid.width)
        rest = self._adam.values[self._held]
        self._adam.step(grad, step.factor, self._units, grad_scale=grad_scale, limits=self._limits)
        if task.around is not None:
            task.around.confine(self._adam.values[:, :2])
        self._adam.values[self._held] = rest  # a lattice may have values outside the training range
