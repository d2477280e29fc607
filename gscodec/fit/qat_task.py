"""Input of quantisation-aware fine-tuning (QAT), and the error of a set of Gaussians against its picture."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda.losses import LOSS_COLUMNS, column_sums
from gscodec.cuda.scenes import bin_scene, upload_gaussians
from gscodec.fit.device_pass import LossPass, moments_of
from gscodec.fit.lattices import snap
from gscodec.fit.plan import FitPlan
from gscodec.fit.presets import Preset
from gscodec.fit.surroundings import Surroundings
from gscodec.model.adam import AdamConstants
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, LodTable, Window
from gscodec.model.rendering import LossWeights
from gscodec.profiles.lattice import Lattice
from gscodec.render.arguments import importance_of_samples
from gscodec.render.base import DeviceEngine, Rasterizer

QAT_RATES: Final = (0.006, 0.01, 0.003, 0.0015)
"""Learning rates of means (standard deviations), log scales, rotations (rad) and features: a tenth of a fit's."""

QAT_ADAM: Final = AdamConstants(0.9, 0.99, 1e-12)


@dataclass(frozen=True)
class QatTask:
    """Picture, grid and settings that `fine_tune` works on."""

    target: Float32Array  # (H, W, C) in the model's domain
    grid: Grid
    groups: tuple[ChannelGroup, ...]
    preset: Preset
    lods: LodTable
    rasterizer: Rasterizer
    seed: int
    around: Surroundings | None = None  # of a block of a larger picture, whose lattice it shares
    importance: Float32Array | None = None  # as in `Rasterizer.loss`; None is 1 for all
    small: bool = False  # whether the lattice must be one of profile `small`
    scales: Float32Array | None = None  # (C,) factor from the file's features to the fit's; None means 1
    slope: float | None = None  # summed squared error that a byte must save; None follows from the bytes of the file

    @property
    def plan(self) -> FitPlan:
        """Plan that defines the parameter ranges and pixel subsets of the task's steps."""
        height, width, channels = self.target.shape
        shape = height, width, channels
        return FitPlan(self.preset, shape, self.lods.counts, 1, self.rasterizer.takes_subsets)

    def snap(self, gaussians: GaussianSet, lattice: Lattice, generations: npt.NDArray[np.int64]) -> GaussianSet:
        """The nearest Gaussians on a lattice of the whole picture, in px of the target."""
        if self.around is None:
            return snap(gaussians, lattice, self.grid, generations)
        origin = self.around.origin
        placed = replace(gaussians, means=gaussians.means + origin)
        near = snap(placed, lattice, self.around.grid, generations)
        return replace(near, means=near.means - origin)


def error_of(task: QatTask) -> Callable[[GaussianSet], float]:
    """Function that returns the mean squared error of a set, weighted by the task's importance.

    On the CPU it is that of every stride-th pixel, as in the steps of the whole set.
    """
    device = task.rasterizer.on_device
    return _host_error(task) if device is None else _device_error(task, device)


def squares_of(task: QatTask, engine: Rasterizer, grid: Grid, stride: int) -> Callable[[GaussianSet], Float32Array]:
    """Function that returns the squared errors (h, w, C) of every stride-th pixel, weighted by the task's importance.

    Args:
        engine: an engine of the host. grid: of the task, or one of its size.
    """
    window = Window.every(stride, grid)
    part = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    target = np.ascontiguousarray(task.target[part])
    counts = None if task.importance is None else np.ascontiguousarray(importance_of_samples(task.importance)[part])

    def squares(gaussians: GaussianSet) -> Float32Array:
        image = engine.forward(gaussians, grid, engine.bin(gaussians, grid), window)
        errors: Float32Array = np.asarray(image) - target
        np.square(errors, out=errors)
        if counts is not None:
            errors *= counts
        return errors

    return squares


def _host_error(task: QatTask) -> Callable[[GaussianSet], float]:
    squares_at = squares_of(task, task.rasterizer, task.grid, task.plan.stride(task.lods.counts[-1]))

    def error(gaussians: GaussianSet) -> float:
        squares = squares_at(gaussians)
        rows = squares.reshape(len(squares), -1).sum(axis=1)  # by pairs; converting every value first is slow
        return float(rows.sum(dtype=np.float64)) / squares.size

    return error


def _device_error(task: QatTask, engine: DeviceEngine) -> Callable[[GaussianSet], float]:
    """Error from sums of squares computed on the GPU; the kernel that sums them also computes a gradient, unused."""
    runtime, grid = engine.runtime, task.grid
    with runtime:
        target = engine.pictures.planes(task.target)
        each = None if task.importance is None else engine.pictures.as_it_is(task.importance)
        compare = LossPass(runtime, grid, target, LossWeights(l2=1.0), each)
        sums = runtime.xp.empty(LOSS_COLUMNS, np.float64)

    def error(gaussians: GaussianSet) -> float:
        with runtime:
            scene = bin_scene(runtime, upload_gaussians(runtime, gaussians), grid)
            moments = moments_of(runtime, scene.lists.capacity, gaussians.n_channels)
            return column_sums(runtime, compare.backward(scene, moments), sums)[1] / task.target.size

    return error
