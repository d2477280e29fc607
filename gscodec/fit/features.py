"""The features of Gaussians whose shapes are fixed: least squares, then rounding that weighs error against bits.

The blend is linear in the features (paper, Eq. 5). For fixed shapes the squared error of the picture, and of its
levels of detail, is thus a quadratic form of them (native/fit/feature_system.h). It is built once, and solving it and
rounding it on a lattice then need no rendering: a value is rounded for what it and all others do together, not by
itself.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec import _engine
from gscodec.fit.coarse import weight_of, worth_of
from gscodec.fit.lattices import with_features, with_slope
from gscodec.fit.qat_task import QatTask
from gscodec.format.limits import generations_of
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window, joined
from gscodec.model.rendering import TileIndex
from gscodec.profiles.entropy import VALUE_SPLIT, coded_bits, fit_table, value_bits
from gscodec.profiles.lattice import Codes, Lattice, feature_steps_of, quantize
from gscodec.render.arguments import importance_of_samples, importance_planes
from gscodec.render.cpu import CpuRasterizer, scene_arguments

Int32Array = npt.NDArray[np.int32]

MEAN_WEIGHT: Final = 1.0
"""Least weight of the squared mean errors of 4x4 px beside those of single pixels. A mean that is off is seen as a tint
or a patch; details that cancel out are not. Rounding then moves errors from means into details."""

DAMPING: Final = 1e-3
"""Pixels that hold a feature where it is: Gaussians that hardly any pixel sees keep what the fit gave them."""

ITERATIONS: Final = 40
"""Iterations of the conjugate-gradient method; 10 leave 0.03 dB on a photograph at 0.2 bpp, 40 nothing."""

ROUNDS: Final = 3
"""Times that the bits of each integer are counted anew while integers are chosen."""

SWEEPS: Final = 2
"""Times that all integers are looked at, of each round."""

SLOPES: Final = (0, 12, 24)
"""Feature slopes that are tried. Were the area of a Gaussian what is seen of it, 32 would give equal gain per bit."""

STEP_FACTORS: Final = (0.5, 0.7, 1.0)
"""Factors on the feature steps at which slopes are compared: each slope with the steps that suit it."""

DB_PER_OCTAVE: Final = 2.2
"""What twice the bytes gain, dB: the slope at which a bit of a feature must pay. Photographs have 2.0 to 2.4 from 0.1
to 1 bpp."""


@dataclass(frozen=True)
class Features:
    """The least squares of a set's features."""

    task: QatTask
    shapes: GaussianSet  # n Gaussians, whose features are those of the fit
    system: _engine.FeatureSystem
    frozen: Float64Array  # (m, C) features of neighbours, which count behind the n and stay

    def solved(self) -> GaussianSet:
        """The Gaussians with the features of least error."""
        n, threads = len(self.shapes), self.task.rasterizer.threads
        features = self.system.solve(self._all(self.shapes.features), n, DAMPING, ITERATIONS, threads)
        return replace(self.shapes, features=features[:n].astype(np.float32))

    def rounded(self, gaussians: GaussianSet, lattice: Lattice, n_bits: float) -> GaussianSet:
        """The Gaussians with features on a lattice, at the least of error and price of the bits together.

        Args:
            gaussians: the shapes on the lattice, with features as `solved` returns them.
            n_bits: size of the file they are part of, which says what a bit is worth.
        """
        codes = self._codes(gaussians, lattice)
        features, _ = self._rounded(gaussians, codes, lattice, self._price(gaussians, n_bits))
        return replace(gaussians, features=features)

    def best_slope(self, gaussians: GaussianSet, lattice: Lattice, n_bits: float) -> Lattice:
        """A lattice of profile `coded` with the feature slope at which error and price of the bits are least.

        Args:
            gaussians, n_bits: as in `rounded`.
        """
        codes, price = self._codes(gaussians, lattice), self._price(gaussians, n_bits)

        def cost(candidate: Lattice) -> float:
            features, bits = self._rounded(gaussians, codes, candidate, price)
            return self.system.error(self._all(features)) + price * bits

        candidates = [with_slope(lattice, slope, gaussians.inv_scales) for slope in SLOPES]
        near = [with_features(candidate, factor) for candidate in candidates for factor in STEP_FACTORS]
        with ThreadPoolExecutor(min(len(near), self.task.rasterizer.threads or os.cpu_count() or 1)) as workers:
            costs = list(workers.map(cost, near))
        return near[costs.index(min(costs))]

    def _price(self, gaussians: GaussianSet, n_bits: float) -> float:
        """Squared error that a bit is worth: the slope of the error over the rate."""
        if self.task.slope is not None:
            return self.task.slope / 8.0
        error = self.system.error(self._all(gaussians.features))
        return max(error, 0.0) * (DB_PER_OCTAVE / 10.0 * math.log2(10.0)) / max(n_bits, 1.0)

    def _rounded(
        self, gaussians: GaussianSet, codes: Codes, lattice: Lattice, price: float
    ) -> tuple[Float32Array, float]:
        """Features on a lattice, and their bits."""
        places = _Places.of(codes, lattice)
        integers = places.integers(gaussians, lattice)
        # The largest first: what they are off by, the smaller ones beside them make up for.
        order = np.argsort(gaussians.inv_scales.prod(axis=1), kind="stable").astype(np.int32)
        for _ in range(ROUNDS):
            lows, highs, bits = places.ranges(integers)
            integers = self.system.round(
                self._all(gaussians.features),
                integers,
                order,
                np.ascontiguousarray(lattice.transform, np.float64),
                places.steps,
                places.offsets,
                lows,
                highs,
                bits,
                price,
                SWEEPS,
            )
        features = ((places.offsets + integers * places.steps) @ lattice.transform).astype(np.float32)
        return features, sum(_column_bits(column) for column in integers.T)

    def _codes(self, gaussians: GaussianSet, lattice: Lattice) -> Codes:
        return quantize(self._placed(gaussians), lattice, self._grid, generations_of(self.task.lods.counts))

    def _all(self, features: npt.NDArray[np.floating]) -> Float64Array:
        return np.concatenate([features.astype(np.float64), self.frozen])

    @property
    def _grid(self) -> Grid:
        return self.task.grid if self.task.around is None else self.task.around.grid

    def _placed(self, gaussians: GaussianSet) -> GaussianSet:
        if self.task.around is None:
            return gaussians
        return replace(gaussians, means=gaussians.means + self.task.around.origin)


def features_of(task: QatTask, gaussians: GaussianSet) -> Features:
    """The least squares of the features of a set whose shapes are done, of all its levels of detail."""
    engine = CpuRasterizer(task.rasterizer.threads or None)
    n, last = len(gaussians), len(task.lods) - 1
    target = np.ascontiguousarray(np.moveaxis(task.target, 2, 0), np.float32)
    importance = importance_planes(task.importance, task.target.shape)
    levels = [level for level in range(last + 1) if level == last or task.preset.joint_lods]
    beside = [_neighbours(task, level) for level in levels]
    starts = n + np.cumsum([0, *(len(part) for part in beside)])
    n_planes = 1 if importance is None else len(importance)
    system = _engine.FeatureSystem(int(starts[-1]), gaussians.n_channels, n_planes)
    scenes = [_Scene.of(task, engine, gaussians, level, part) for level, part in zip(levels, beside, strict=True)]
    errors = [1.0] if len(levels) == 1 else [_error(task, engine, scene) for scene in scenes]
    for level, scene, error, start in zip(levels, scenes, errors, starts, strict=False):
        worth = 1.0 if level == last else worth_of(task.preset, last - level)
        weight = weight_of(worth, errors[-1], error)
        everything = joined([scene.own, *beside])
        indices = np.where(
            scene.index.indices < scene.n_shown,
            scene.index.indices,
            scene.index.indices + np.int32(start - scene.n_shown),
        )
        system.add(
            *scene_arguments(everything, task.grid, replace(scene.index, indices=indices)),
            target,
            importance,
            weight,
            max(MEAN_WEIGHT, task.preset.loss.means),
            engine.threads,
        )
    return Features(task, gaussians, system, np.concatenate([part.features for part in beside]).astype(np.float64))


@dataclass(frozen=True)
class _Places:
    """Offsets and steps of the transformed features: each lies at offset + integer * step."""

    offsets: Float64Array  # (n, C)
    steps: Float64Array  # (n, C)
    most: Int32Array | None  # (C,) greatest integers, of records; None is any

    @classmethod
    def of(cls, codes: Codes, lattice: Lattice) -> "_Places":
        steps = feature_steps_of(lattice, codes.narrow, codes.elongation)
        if lattice.records is None or lattice.pages is None:
            return cls(np.zeros_like(steps), steps, None)
        first, unit = (lattice.pages.of_records(name)[:, 2:] for name in ("lows", "scales"))
        most = ((1 << np.asarray(lattice.records.bits[2:], np.int64)) - 1).astype(np.int32)
        return cls(first * steps, unit * steps, most)

    def integers(self, gaussians: GaussianSet, lattice: Lattice) -> Int32Array:
        """(n, C) nearest to the Gaussians' features."""
        transformed = gaussians.features.astype(np.float64) @ np.linalg.inv(lattice.transform)
        nearest = np.floor((transformed - self.offsets) / self.steps + 0.5).clip(-(2.0**30), 2.0**30)
        return np.ascontiguousarray(nearest if self.most is None else nearest.clip(0, self.most), np.int32)

    def ranges(self, integers: Int32Array) -> tuple[Int32Array, Int32Array, Float32Array | None]:
        """(C,) least and greatest integers that may be chosen, and the bits of each; records have one length."""
        if self.most is not None:
            return np.zeros_like(self.most), self.most, None
        bits = np.concatenate([_bits(column) for column in integers.T])
        return integers.min(axis=0), integers.max(axis=0), bits


@dataclass(frozen=True)
class _Scene:
    """What one level of detail shows of a set and its neighbours."""

    own: GaussianSet  # all n, with the gains of the level
    n_shown: int  # of them
    shown: GaussianSet  # those, and the neighbours
    index: TileIndex

    @classmethod
    def of(
        cls, task: QatTask, engine: CpuRasterizer, gaussians: GaussianSet, level: int, beside: GaussianSet
    ) -> "_Scene":
        row = np.ones(len(task.lods))
        row[: level + 1] = task.lods.gains[level]
        gains = row[generations_of(task.lods.counts)]
        own = replace(gaussians, inv_scales=gaussians.inv_scales * gains[:, None])
        n_shown = task.lods.counts[level]
        shown = joined([own[:n_shown], beside])
        return cls(own, n_shown, shown, engine.bin(shown, task.grid))


def _neighbours(task: QatTask, level: int) -> GaussianSet:
    """Frozen Gaussians around a block, at a level of detail."""
    if task.around is None:
        none = np.zeros((0, 2))
        return GaussianSet(none, none, np.zeros(0), np.zeros((0, task.target.shape[2]), np.float32))
    return task.around.shown[level]


def _error(task: QatTask, engine: CpuRasterizer, scene: _Scene) -> float:
    """Mean squared error of a level."""
    image = engine.forward(scene.shown, task.grid, scene.index, Window.whole(task.grid))
    squares = (np.asarray(image) - task.target) ** 2
    if task.importance is not None:
        squares *= importance_of_samples(task.importance)
    return float(np.mean(squares, dtype=np.float64))


def _bits(column: Int32Array) -> Float32Array:
    """Bits of every integer from the least to the greatest of a column, by how often they occur."""
    table = fit_table(column.astype(np.int64), VALUE_SPLIT)
    return value_bits(np.arange(column.min(), column.max() + 1), table, VALUE_SPLIT).astype(np.float32)


def _column_bits(column: Int32Array) -> float:
    """Bits of a column and of a table of its own."""
    values = column.astype(np.int64)
    table = fit_table(values, VALUE_SPLIT)
    return coded_bits(values, table, VALUE_SPLIT) + table.bits
