"""Training on a GPU: picture, error and Gaussians stay in device memory from the first step to the last."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda import fitting
from gscodec.cuda.fitting import FitStatus
from gscodec.cuda.growth import Growth, Placed
from gscodec.cuda.pictures import DevicePictures
from gscodec.cuda.runtime import Array, Runtime
from gscodec.cuda.upkeep import Reach, limit_elongation, put_rows, removal_sums
from gscodec.fit.coarse import RENEWED, worth_of
from gscodec.fit.device_steps import DeviceSteps
from gscodec.fit.growth import blob_scales, growth_blobs, growth_terms
from gscodec.fit.peaks import keep_apart
from gscodec.fit.plan import FEATURE_RANGE, LOG_GAIN_RANGE, MOST_PASSES, FitPlan, Step
from gscodec.fit.schedule import step_shown
from gscodec.fit.trainee import least_needed, lod_table, start_log_gains, stored_gaussians, within_limits
from gscodec.fit.upkeep import MOST_AT_ONCE, SEARCH, cost_of_sums
from gscodec.material.noise import CELL
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, LodTable

CANDIDATES: Final = 8
"""Local maxima of the gain, per new Gaussian, among which those that lie apart are chosen."""


class DeviceTrainee:
    """`Trainee` on the CUDA kernels. Results are known after every `device_steps.BATCH` steps.

    Args:
        target: float32 (H, W, C); uploaded once.
        seed: for the positions of new Gaussians.
        allowed: bool (H, W), pixels in which Gaussians may be placed; None means all.
        importance: float32 (H, W) or (C, H, W), weight of each sample, 1 on average; None means 1 everywhere.
        limits: of the elongation, as `fit.elongation.limits_of` returns them; None means none.
        pictures: pictures that are in device memory already; None means none.

    Raises:
        OutOfDeviceMemory: the device has too little memory, here or in a later call.
    """

    def __init__(
        self,
        plan: FitPlan,
        target: Float32Array,
        grid: Grid,
        runtime: Runtime,
        seed: int = 0,
        allowed: npt.NDArray[np.bool_] | None = None,
        importance: Float32Array | None = None,
        limits: Float32Array | None = None,
        pictures: DevicePictures | None = None,
    ) -> None:
        self.mse = self.best_mse = self.best_score = np.inf
        self._plan = plan
        self._runtime = runtime
        self._takes_best = False
        with runtime:
            held = pictures or DevicePictures(runtime)
            self._target = held.planes(target)
            where = None if allowed is None or not allowed.any() else held.as_it_is(allowed)
            self._importance = None if importance is None else held.as_it_is(importance)
            self._growth = Growth(runtime, self._target, self._importance, where, seed)
            # Besides its steps, every segment is measured up to five times, and the finished set once.
            n_steps = MOST_PASSES * plan.n_steps + 5 * len(plan.segments) + 1
            settings = fit_settings(plan, has_importance=importance is not None)
            log_gains = start_log_gains(plan)
            self._steps = DeviceSteps(runtime, grid, self._target, self._importance, settings, log_gains, n_steps)
            self._reach = Reach(runtime, grid, SEARCH, MOST_AT_ONCE)
            self._device_limits = None if limits is None else runtime.upload(limits)
        self._limits = limits

    def __len__(self) -> int:
        return len(self._steps)

    def replan(self, plan: FitPlan) -> None:
        """See `Trainee.replan`."""
        self._plan = plan
        with self._runtime:
            self._steps.make_room_for(plan.n_gaussians)

    def grow(self, n_gaussians: int) -> None:
        """See `Trainee.grow`."""
        present = len(self)
        if n_gaussians <= present:
            return
        with self._runtime:
            planes = self._steps.render(self._steps.show_all(self._level)) if present else None
            rows, units = self._new_rows(planes, present, n_gaussians)
            self._steps.append(rows, units, step_shown(self._plan.counts, n_gaussians))

    def relocate(self, n_moved: int) -> None:
        """See `Trainee.relocate`."""
        n, steps = len(self), self._steps
        with self._runtime:
            scene = steps.show_all(self._level)
            sums = removal_sums(self._runtime, scene, steps.lattice, self._importance)
            rows, _ = fitting.download_fit(self._runtime, steps.state)
            where = least_needed(self._plan, cost_of_sums(sums, rows[:, fitting.GEOMETRY :]), n_moved)
            new = self._new_rows(steps.render(scene), n - len(where), n)
            put_rows(self._runtime, steps.state, self._runtime.upload(where), *new, has_fresh_moments=True)
            steps.show_all(self._level)

    def widen(self) -> None:
        """See `Trainee.widen`."""
        with self._runtime:
            shown = self._steps.activate_all(self._level)
            self._reach.widen(shown, self._steps.state.rows, self._plan.preset.reach)
            if self._device_limits is not None:
                limit_elongation(self._runtime, self._steps.state, self._device_limits, CELL)

    def run(self, steps: Sequence[Step]) -> Iterator[int]:
        """See `Trainee.run`."""
        for done, status in self._steps.run(steps):
            self._saw(status)
            yield done

    def measure(self) -> tuple[float, float]:
        """See `Trainee.measure`."""
        with self._runtime:
            status = self._steps.measure(self._level)
        return status.mse, status.loss if self._plan.preset.best_by == "loss" else status.mse

    def restore_best(self) -> None:
        """See `Trainee.restore_best`."""
        self._takes_best = True

    def gaussians(self) -> GaussianSet:
        """See `Trainee.gaussians`."""
        return stored_gaussians(self._plan, within_limits(self._download()[0], self._limits))

    def lod_table(self) -> LodTable:
        """See `Trainee.lod_table`."""
        return lod_table(self._plan.counts, self._download()[1])

    @property
    def _level(self) -> int:
        """The coarsest level step that shows all present Gaussians."""
        return step_shown(self._plan.counts, len(self))

    def _saw(self, status: FitStatus) -> None:
        self.mse, self.best_mse, self.best_score = status.mse, status.best_mse, status.best_score

    def _new_rows(self, image: Array | None, n_present: int, n_wanted: int) -> tuple[Array, Array]:
        """`new_rows` against an image (C, H, W), or None for the first; a count and peaks are copied to the host."""
        has_map = self._importance is not None and self._importance.ndim == 2
        terms = growth_terms(self._plan, n_wanted, is_first=image is None, has_map=has_map)
        n_new = n_wanted - n_present
        placed = None
        if image is not None and self._plan.preset.blob_sizes:
            blobs = growth_blobs(self._plan, n_wanted)
            near = self._growth.candidates(image, blobs.boxes[:, 0].tolist(), blobs.factors, CANDIDATES * n_new)
            pixels, sizes = keep_apart(*near, blobs, self._plan.shape[:2], n_new)
            placed = Placed(pixels, blob_scales(self._plan, blobs)[sizes])
        return self._growth.rows(terms, image, n_new, placed)

    def _download(self) -> tuple[Float32Array, Float32Array]:
        with self._runtime:
            return fitting.download_fit(self._runtime, self._steps.state, best=self._takes_best)


def fit_settings(plan: FitPlan, *, has_importance: bool = False) -> fitting.FitSettings:
    """A plan's constants in the form that the kernels take."""
    p = plan.preset
    return fitting.FitSettings(
        shape=plan.shape,
        counts=plan.counts,
        weights=p.loss,
        has_importance=has_importance,
        best_by_loss=p.best_by == "loss",
        log_scales=p.scale_parameter == "log",
        rate_mean=p.rate_mean,
        rate_scale=p.rate_scale,
        rate_rotation=p.rate_rotation,
        rate_feature=p.rate_feature,
        rate_gain=p.rate_gain,
        adam=p.adam,
        coarse_worths=tuple(worth_of(p, n + 1) for n in range(len(plan.counts))),
        coarse_renewed=RENEWED,
        widening=p.widening,
        grad_scale=plan.grad_scale,
        scale_range=plan.scale_range,
        feature_range=FEATURE_RANGE,
        log_gain_range=LOG_GAIN_RANGE,
        learns_gains=p.joint_lods,
    )
