"""Quantisation-aware fine-tuning (QAT) on a GPU: rows are transferred when values are fixed, pictures never."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from gscodec.cuda.fitting import FitSettings
from gscodec.cuda.upkeep import put_rows, take_rows
from gscodec.fit.coarse import RENEWED, worth_of
from gscodec.fit.device_steps import DeviceSteps
from gscodec.fit.plan import FEATURE_RANGE, LOG_GAIN_RANGE, MOST_PASSES, Step
from gscodec.fit.qat_task import QAT_ADAM, QAT_RATES, QatTask
from gscodec.model.gaussians import Float32Array
from gscodec.render.base import DeviceEngine


class DeviceQatRows:
    """`QatRows` on the CUDA kernels. Results are known when a run ends.

    Args:
        rows, units: float32 (n, 5 + C) values, and factors on their learning rates.
        n_steps: total number of steps that will be run.
    """

    def __init__(
        self, task: QatTask, engine: DeviceEngine, rows: Float32Array, units: Float32Array, n_steps: int
    ) -> None:
        self._runtime = engine.runtime
        self._units = units.copy()
        runtime, level = engine.runtime, len(task.lods) - 1
        with runtime:
            target = engine.pictures.planes(task.target)
            importance = None if task.importance is None else engine.pictures.as_it_is(task.importance)
            settings, log_gains = _settings(task), _log_gains(task)
            # One list build more than there are passes: room for tile lists is measured first.
            n_passes = MOST_PASSES * n_steps + 1
            self._steps = DeviceSteps(runtime, task.grid, target, importance, settings, log_gains, n_passes)
            self._steps.append(runtime.upload(rows), runtime.upload(units), level)

    def rows(self, which: npt.NDArray[np.int64]) -> Float32Array:
        """See `QatRows.rows`."""
        with self._runtime:
            values = take_rows(self._runtime, self._steps.state, self._runtime.upload(which))
            return self._runtime.download(values)

    def hold(self, which: npt.NDArray[np.int64], rows: Float32Array, held: npt.NDArray[np.bool_]) -> None:
        """See `QatRows.hold`."""
        self._units[which] *= ~held
        with self._runtime:
            runtime, up = self._runtime, self._runtime.upload
            there = up(which), up(rows), up(self._units[which])
            put_rows(runtime, self._steps.state, *there, has_fresh_moments=False)

    def run(self, steps: Sequence[Step]) -> Iterator[tuple[int, float]]:
        """See `QatRows.run`."""
        for done, status in self._steps.run(steps):
            yield done, status.mse


def _settings(task: QatTask) -> FitSettings:
    plan, preset = task.plan, task.preset
    mean, scale, rotation, feature = QAT_RATES
    return FitSettings(
        shape=plan.shape,
        counts=task.lods.counts,
        weights=preset.loss,
        has_importance=task.importance is not None,
        best_by_loss=False,
        log_scales=True,
        rate_mean=mean,
        rate_scale=scale,
        rate_rotation=rotation,
        rate_feature=feature,
        rate_gain=0.0,
        adam=QAT_ADAM,
        coarse_worths=tuple(worth_of(preset, n + 1) for n in range(len(task.lods.counts))),
        coarse_renewed=RENEWED,
        widening=0.0,
        grad_scale=float(plan.shape[0] * plan.shape[1]),
        scale_range=plan.log_scale_range,
        feature_range=FEATURE_RANGE,
        log_gain_range=LOG_GAIN_RANGE,
        learns_gains=False,
    )


def _log_gains(task: QatTask) -> Float32Array:
    """(L, L) logarithms of the gains; 0 for generations that a level does not show."""
    rows = np.zeros((len(task.lods),) * 2, np.float32)
    for level, gains in enumerate(task.lods.gains):
        rows[level, : level + 1] = np.log(gains)
    return rows
