"""Encodes a picture that is too large to fit at once block by block, in memory that does not grow with its size.

A block is fitted together with the frozen Gaussians of its finished neighbours, as the file will store them, so that
blocks join without seams (`surroundings`). What all blocks share is decided before the first one: the gains of the
levels of detail, the lattice of profile `coded`, and each block's part of the budget.
"""

import functools
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from gscodec.encoding.aims import SlopeAim
from gscodec.encoding.block_sizes import Counts, Start, common_start, within_budget
from gscodec.encoding.checkpoint import Arrays, Checkpoint
from gscodec.encoding.fingerprint import fingerprint
from gscodec.encoding.pace import LEAST_STEPS, Pace
from gscodec.errors import InvalidArgument
from gscodec.fit.blocks import CELL_PX, Block, block_side, halo_width, split, survey
from gscodec.fit.forecast import Detail, Forecast, Growth
from gscodec.fit.loop import Fit, StepReport, fit, plan_of
from gscodec.fit.presets import Preset
from gscodec.fit.qat import fine_tune_on
from gscodec.fit.qat_task import QatTask
from gscodec.fit.schedule import lod_counts
from gscodec.fit.surroundings import Surroundings, half_extents
from gscodec.format.limits import generations_of
from gscodec.image.regions import Rect, Regions
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, LodTable, joined
from gscodec.profiles.lattice import Lattice
from gscodec.render.base import Rasterizer

SAMPLE_STEPS: Final = 0.5
"""Fraction of a block's steps that train a sample, of which only the lattice steps and the gains are used."""

BLOCKS_PER_SAMPLE: Final = 16
MAX_SAMPLES: Final = 4

SAMPLE_PX: Final = 1024
"""Maximum side of a sample, px."""

_Recalled = TypeVar("_Recalled")


@dataclass(frozen=True)
class BlockProgress:
    """Progress of a block-wise fit."""

    step: int  # of all blocks
    total_steps: int
    n_gaussians: int  # of all blocks so far
    likely_gaussians: int  # estimate for the whole picture
    psnr: float  # dB, of the current block
    block: int  # from 1; 0 before the first
    n_blocks: int


@dataclass(frozen=True)
class BlockTask:
    """Picture, budget and settings of `encode_blocks`."""

    source: Regions
    weights_of: Callable[[Float32Array], Float32Array | None]  # importance of samples, as in `Rasterizer.loss`
    limits_elongation: bool  # as in `fit.loop.fit`
    grid: Grid  # its background is ignored
    preset: Preset
    rasterizer: Rasterizer
    lods: int
    seed: int
    steps: int | None
    qat_steps: int  # 0 in profile `f16`
    page_size: int
    count: int  # number of Gaussians; an estimate if there is a budget
    budget: int | None  # maximum bytes of the file
    side: int | None  # side of the blocks, px; None chooses it by the count
    size_of: Callable[[GaussianSet, LodTable, Lattice | None], int]  # bytes of a file of Gaussians
    overhead: int  # bytes of a file without Gaussians
    slope: float | None = None  # squared error per byte at which each block ends; `count` is then an estimate
    gaussian_bits: float = 40.0  # of profiles without a lattice, to compare with the slope
    checkpoint: Path | None = None
    deadline: float | None = None  # in the time of time.perf_counter
    recounts: bool = True  # whether the budget, instead of `count`, decides the number of Gaussians block by block
    on_step: Callable[[BlockProgress], None] | None = None

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Channel groups of the source."""
        return self.source.groups


@dataclass(frozen=True)
class BlockResult:
    """All Gaussians, ordered by generation."""

    gaussians: GaussianSet
    lods: LodTable
    lattice: Lattice | None
    grid: Grid
    steps: int  # mean per block
    blocks: tuple[Block, ...]


@dataclass
class _Finished:
    """Finished blocks, in px of the picture."""

    sets: list[GaussianSet] = field(default_factory=list)
    counts: list[tuple[int, ...]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    _reach: list[npt.NDArray[np.float64]] = field(default_factory=list)  # (4,) bounding box of the widest supports

    def __len__(self) -> int:
        return len(self.sets)

    @property
    def n_gaussians(self) -> int:
        return sum(len(part) for part in self.sets)

    def add(
        self, gaussians: GaussianSet, counts: tuple[int, ...], steps: int, gains: LodTable, support_q: float
    ) -> None:
        self.sets.append(gaussians)
        self.counts.append(counts)
        self.steps.append(steps)
        reach = half_extents(_widest(gaussians, generations_of(counts), gains), support_q)
        low, high = gaussians.means - reach, gaussians.means + reach
        empty = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._reach.append(np.concatenate([low.min(axis=0), high.max(axis=0)]) if len(gaussians) else empty)

    def near(self, window: Rect, gains: LodTable, support_q: float) -> tuple[GaussianSet, npt.NDArray[np.int64]]:
        """Gaussians visible in a window at any level, in px of the window, and their generations."""
        low, high = np.array([window.x0, window.y0], np.float64), np.array([window.x1, window.y1], np.float64)
        parts, generations = [self.sets[0][:0]] if self.sets else [], [np.zeros(0, np.int64)]
        for gaussians, counts, box in zip(self.sets, self.counts, self._reach, strict=True):
            if (box[2:] < low).any() or (box[:2] > high).any():
                continue
            of = generations_of(counts)
            reach = half_extents(_widest(gaussians, of, gains), support_q)
            meets = ((gaussians.means + reach >= low) & (gaussians.means - reach <= high)).all(axis=1)
            which = np.flatnonzero(meets)
            part = gaussians[which]
            parts.append(replace(part, means=part.means - low))
            generations.append(of[which])
        return joined(parts), np.concatenate(generations)

    def union(self, n_levels: int) -> tuple[GaussianSet, tuple[int, ...]]:
        """All Gaussians, ordered by generation, and their cumulative counts."""
        parts, counts = [], []
        for generation in range(n_levels):
            for gaussians, of in zip(self.sets, self.counts, strict=True):
                parts.append(gaussians[(of[generation - 1] if generation else 0) : of[generation]])
            counts.append(sum(of[generation] for of in self.counts))
        return joined(parts), tuple(counts)


def _widest(gaussians: GaussianSet, generations: npt.NDArray[np.int64], lods: LodTable) -> GaussianSet:
    smallest = np.array([min(row[g] for row in lods.gains[g:]) for g in range(len(lods))])
    return replace(gaussians, inv_scales=gaussians.inv_scales * smallest[generations][:, None])


def encode_blocks(task: BlockTask) -> BlockResult:
    """The Gaussians of a picture that is read and fitted in parts.

    The same arguments give the same result, also when resumed from a checkpoint, unless there is a deadline.

    Raises:
        InvalidArgument: the checkpoint is another kind of file or belongs to another encode.
        GsCodecError: raised by the source.
    """
    encoder = _Encoder(task)
    try:
        return encoder.run()
    finally:
        encoder.close()


class _Encoder:
    def __init__(self, task: BlockTask) -> None:
        self._task = task
        height, width, _ = task.source.shape
        side = task.side or block_side(height, width, task.count)
        if side < CELL_PX or side % CELL_PX:
            raise InvalidArgument(f"blocks of {side} px: the side must be a multiple of {CELL_PX}")
        self._blocks = split(height, width, side, halo_width(height, width, task.count, side))
        started = time.perf_counter()
        self._survey = survey(task.source, self._blocks, task.count, with_digest=task.checkpoint is not None)
        self._grid = replace(task.grid, background=self._survey.mean)
        # Every block must have Gaussians of every generation.
        levels = max(1, (task.count // (4 * len(self._blocks))).bit_length())
        self._counts = lod_counts(task.count, min(task.lods, levels))
        self._least = 2 ** (len(self._counts) - 1)
        self._pace = Pace(task.deadline, reserve=2 * (time.perf_counter() - started))
        self._steps_done = 0
        self._saved: list[Arrays] = []
        self._checkpoint = None
        if task.checkpoint is not None:
            self._checkpoint = Checkpoint(task.checkpoint, self._key(side))
            self._saved = list(self._checkpoint.records)

    def close(self) -> None:
        """Close the checkpoint."""
        if self._checkpoint is not None:
            self._checkpoint.close()

    def _key(self, side: int) -> str:
        """SHA-256, as 64 hexadecimal digits, of everything that the result depends on."""
        t = self._task
        parts = (
            fingerprint(),
            self._survey.digest,
            [repr(group) for group in t.groups],
            repr(t.preset),
            (t.grid.top_k, t.grid.support_q, t.lods, t.seed, t.steps, t.qat_steps, t.count, t.budget, t.slope, side),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def run(self) -> BlockResult:
        task = self._task
        start = self._recall(lambda: _packed_start(self._start()), _unpacked_start)
        shares = [self._survey.share(block.core) for block in self._blocks]
        recounts = task.recounts and task.budget is not None and start.lattice is not None
        total = None if recounts else task.count
        counts = Counts(shares, self._least, total, task.budget, task.overhead, start.bits)
        done = _Finished()
        for block in self._blocks:
            if counts.wants_size(block.number):
                counts.measured(done.n_gaussians, self._size(done, start))
            n = counts.of(block.number, done.n_gaussians)
            likely = max(counts.likely_total(done.n_gaussians), done.n_gaussians + n)
            part, of, steps = self._recall(
                functools.partial(self._fit, block, n, likely, done, start),
                functools.partial(_unpacked_block, n_levels=len(start.lods), n_channels=task.source.shape[2]),
            )
            done.add(part, of, steps, start.lods, self._grid.support_q)
            self._steps_done += steps
        gaussians, totals = done.union(len(start.lods))
        lods = LodTable(totals, start.lods.gains)
        lattice = start.lattice
        if lattice is not None and task.budget is not None:
            gaussians, lattice = within_budget(
                gaussians, lods, lattice, self._grid, lambda shown, on: task.size_of(shown, lods, on), task.budget
            )
        return BlockResult(
            gaussians, lods, lattice, self._grid, round(sum(done.steps) / len(done)), tuple(self._blocks)
        )

    def _recall(self, make: Callable[[], Arrays], unpack: Callable[[Arrays], _Recalled]) -> _Recalled:
        """The next record of the checkpoint, unpacked; or, beyond its end, a new record, which is appended."""
        if self._saved and self._checkpoint is not None:
            with self._checkpoint.checked():
                return unpack(self._saved.pop(0))
        record = make()
        if self._checkpoint is not None:
            self._checkpoint.append(record)
        return unpack(record)

    def _size(self, done: _Finished, start: Start) -> int:
        gaussians, counts = done.union(len(start.lods))
        return self._task.size_of(gaussians, LodTable(counts, start.lods.gains), start.lattice)

    def _start(self) -> Start:
        """Gains and lattice from fits of a few parts of the picture, from flat to detailed ones."""
        task, preset = self._task, self._task.preset
        levels = len(self._counts)
        learns_gains = preset.joint_lods and levels > 1
        samples, rows = [], []
        areas = list(self._sample_areas()) if learns_gains or task.qat_steps else []
        block_px = task.grid.width * task.grid.height / len(self._blocks)
        for area in areas:
            target = task.source.read(area)
            grid = replace(self._grid, height=area.height, width=area.width)
            n = max(self._least, round(task.count * self._survey.share(area)))
            if self._pace.is_blind:
                self._sample(target, grid, n, LEAST_STEPS, None)
            sample_steps = max(1, round(SAMPLE_STEPS * self._steps(n, area, 0)))
            cost = sample_steps * len(areas) * area.width * area.height / block_px
            total = round(cost + sample_steps / SAMPLE_STEPS * len(self._blocks))
            sample = self._sample(target, grid, n, sample_steps, total)
            self._steps_done += round(cost / len(areas))
            qat_task = QatTask(
                target,
                grid,
                task.groups,
                preset,
                sample.lods,
                task.rasterizer,
                task.seed,
                importance=task.weights_of(target),
                slope=task.slope,
            )
            samples.append((qat_task, sample.gaussians))
            rows.append([np.log(row) for row in sample.lods.gains])
        if rows:
            means = [np.exp(np.mean([of[m] for of in rows], axis=0)) for m in range(levels)]
        else:
            means = [np.full(m + 1, 2.0 ** (preset.gain_exponent * (m + 1 - levels))) for m in range(levels)]
        # At the file's precision.
        lods = LodTable(self._counts, tuple(tuple(mean.astype(np.float32).tolist()) for mean in means))
        if not task.qat_steps:
            return Start(lods, None, 0.0)
        lattice, bits = common_start(samples, task.groups, self._grid, self._counts, task.page_size)
        return Start(lods, lattice, bits)

    def _sample(self, target: Float32Array, grid: Grid, n: int, steps: int, total: int | None) -> Fit:
        """A fit of a part of the picture; progress is shown where the total number of steps is given."""
        task, began = self._task, time.perf_counter()
        levels = len(self._counts)
        steps_per_step = grid.width * grid.height * len(self._blocks) / (task.grid.width * task.grid.height)

        def on_fit(state: StepReport) -> None:
            if task.on_step is not None and total is not None:
                step = min(self._steps_done + round(steps_per_step * state.step), total)
                present = round(task.count * state.n_gaussians / n)
                task.on_step(BlockProgress(step, total, present, task.count, state.psnr, 0, len(self._blocks)))

        fitted = fit(
            target,
            n,
            task.preset,
            rasterizer=task.rasterizer,
            grid=grid,
            lods=levels,
            seed=task.seed,
            steps=steps,
            importance=task.weights_of(target),
            on_step=on_fit,
        )
        self._pace.took(steps, grid.width * grid.height, time.perf_counter() - began)
        return fitted

    def _sample_areas(self) -> Iterator[Rect]:
        n = min(MAX_SAMPLES, -(-len(self._blocks) // BLOCKS_PER_SAMPLE))
        by_worth = sorted(self._blocks, key=lambda block: self._survey.share(block.core))
        for k in range(n):
            core = by_worth[int((k + 0.5) / n * len(by_worth))].core
            x0 = core.x0 + max(0, (core.width - SAMPLE_PX) // 2 // CELL_PX * CELL_PX)
            y0 = core.y0 + max(0, (core.height - SAMPLE_PX) // 2 // CELL_PX * CELL_PX)
            yield Rect(x0, y0, min(core.x1, x0 + SAMPLE_PX), min(core.y1, y0 + SAMPLE_PX))

    def _wanted_steps(self, n_gaussians: int, area: Rect) -> int:
        """Default step count for n_gaussians when no time budget is set, excluding quantisation-aware fine-tuning."""
        task = self._task
        shape = area.height, area.width, task.source.shape[2]
        return plan_of(shape, n_gaussians, task.preset, task.rasterizer, len(self._counts), task.steps).n_steps

    def _steps(self, n_gaussians: int, area: Rect, n_done: int) -> int:
        """Number of steps that the time budget allows for a block after n_done finished blocks."""
        wanted = self._wanted_steps(n_gaussians, area)
        left = sum(block.window.width * block.window.height for block in self._blocks[n_done:])
        return self._pace.steps(wanted, area.width * area.height, left, self._task.qat_steps / wanted)

    def _fit(self, block: Block, n: int, likely: int, done: _Finished, start: Start) -> Arrays:
        """The record of one block: its Gaussians in px of the picture."""
        task = self._task
        near = done.near(block.window, start.lods, self._grid.support_q) if len(done) else self._nothing()
        around = Surroundings(block.core, block.window, self._grid, start.lods, *near)
        target = task.source.read(block.window)
        weights = task.weights_of(target)
        n_fitted = max(n, round(n * self._open_share(block)))
        wanted = (
            None if task.slope is None else _Wanted.of(task.slope, target, near[0], start.bits or task.gaussian_bits)
        )
        if wanted is not None:
            n_fitted = max(self._least, wanted())
        steps = self._steps(n_fitted, block.window, block.number)
        qat_steps = math.ceil(task.qat_steps * steps / self._wanted_steps(n_fitted, block.window))
        began = time.perf_counter()

        def report(step: int, present: int, psnr: float) -> None:
            if task.on_step is not None:
                n_left = len(self._blocks) - block.number
                total = self._steps_done + n_left * (steps + qat_steps)
                count = done.n_gaussians + present
                task.on_step(
                    BlockProgress(
                        self._steps_done + step, total, count, likely, psnr, block.number + 1, len(self._blocks)
                    )
                )

        def on_fit(state: StepReport) -> None:
            if wanted is not None:
                wanted.growth.note(state.n_gaussians + wanted.n_beside, state.psnr)
            report(state.step, min(state.n_gaussians, n), state.psnr)

        seed = int(np.random.SeedSequence([task.seed, block.number]).generate_state(1)[0])
        fitted = fit(
            target,
            n_fitted,
            task.preset,
            rasterizer=task.rasterizer,
            grid=around.window_grid,
            lods=len(start.lods),
            seed=seed,
            steps=steps,
            on_step=on_fit,
            recount=None if wanted is None else wanted,
            around=around,
            importance=weights,
            limits_elongation=task.limits_elongation,
        )
        gaussians, of = fitted.gaussians, generations_of(fitted.lods.counts)
        kept = around.in_core(gaussians.means)
        own, of_own = gaussians[np.flatnonzero(kept)], of[kept]
        counts = tuple(int(c) for c in np.searchsorted(of_own, np.arange(len(start.lods)), side="right"))
        if start.lattice is not None and len(own):  # all Gaussians of a block may lie outside its core
            lods = LodTable(counts, start.lods.gains)
            around = around.beside(gaussians[np.flatnonzero(~kept)], of[~kept])
            qat_task = QatTask(
                target,
                around.window_grid,
                task.groups,
                task.preset,
                lods,
                task.rasterizer,
                seed,
                around,
                weights,
                slope=task.slope,
            )
            own = fine_tune_on(
                qat_task,
                own,
                qat_steps,
                start.lattice,
                lambda step, mse: report(steps + step, len(own), -10 * math.log10(max(mse, 1e-12))),
            )
        self._pace.took(steps + qat_steps, block.window.width * block.window.height, time.perf_counter() - began)
        return {
            "means": own.means + around.origin,
            "inv_scales": own.inv_scales,
            "rotations": own.rotations,
            "features": own.features,
            "counts": np.array(counts, np.int64),
            "steps": np.array(steps + qat_steps),
        }

    def _open_share(self, block: Block) -> float:
        """Gaussians to fit per Gaussian kept: above 1 where the halo has no finished neighbours."""
        core, window = block.core, block.window
        share = self._survey.share
        right = share(Rect(core.x1, core.y0, window.x1, core.y1)) if window.x1 > core.x1 else 0.0
        below = share(Rect(window.x0, core.y1, window.x1, window.y1)) if window.y1 > core.y1 else 0.0
        return 1 + (right + below) / share(core)

    def _nothing(self) -> tuple[GaussianSet, npt.NDArray[np.int64]]:
        n_channels = self._task.source.shape[2]
        empty = GaussianSet(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros((0, n_channels), np.float32))
        return empty, np.zeros(0, np.int64)


@dataclass(frozen=True)
class _Wanted:
    """Number of Gaussians of a block at a slope; called while it grows, it goes by the errors so far."""

    aim: SlopeAim
    n_beside: int  # finished Gaussians of neighbours in its window
    bits: float  # per Gaussian
    growth: Growth = field(default_factory=Growth)

    @classmethod
    def of(cls, slope: float, target: Float32Array, near: GaussianSet, bits: float) -> "_Wanted":
        height, width, _ = target.shape
        n_beside = int(((near.means >= 0) & (near.means < (width, height))).all(axis=1).sum())
        return cls(SlopeAim(Forecast(Detail.of(target)), height * width, slope, target.size), n_beside, bits)

    def __call__(self, *_: object) -> int:
        return max(1, self.aim.after(self.growth).count(self.bits) - self.n_beside)


def _unpacked_block(record: Arrays, n_levels: int, n_channels: int) -> tuple[GaussianSet, tuple[int, ...], int]:
    """The Gaussians of a block, their cumulative counts by generation, and its number of steps.

    Raises:
        ValueError, KeyError, TypeError: the record is not that of a block.
    """
    part = GaussianSet(*(record[name] for name in ("means", "inv_scales", "rotations", "features")))
    counts, steps = tuple(int(c) for c in record["counts"]), int(record["steps"])
    is_sound = len(counts) == n_levels and list(counts) == sorted(counts) and counts[0] >= 0 and counts[-1] == len(part)
    if not is_sound or part.n_channels != n_channels or part.features.dtype != np.float32 or steps < 0:
        raise ValueError(f"{len(part)} Gaussians of {part.n_channels} channels with counts {counts} are not a block")
    return part, counts, steps


_STEPS = (
    "scale_step",
    "position_offset",
    "rotation_from",
    "cell_log2",
    "feature_steps",
    "transform",
    "feature_slope",
)


def _packed_start(start: Start) -> Arrays:
    record: Arrays = {
        "counts": np.array(start.lods.counts, np.int64),
        "gains": np.concatenate([np.asarray(row, np.float64) for row in start.lods.gains]),
        "bits": np.array(start.bits),
    }
    if start.lattice is not None:
        for name in _STEPS:
            record[f"lattice.{name}"] = np.asarray(getattr(start.lattice, name))
    return record


def _unpacked_start(record: Arrays) -> Start:
    counts = tuple(int(c) for c in record["counts"])
    ends = np.cumsum(np.arange(1, len(counts) + 1))
    rows = np.split(record["gains"], ends[:-1])
    lods = LodTable(counts, tuple(tuple(float(gain) for gain in row) for row in rows))
    lattice = None
    if "lattice.transform" in record:
        lattice = Lattice(
            int(record["lattice.scale_step"]),
            int(record["lattice.position_offset"]),
            tuple(int(v) for v in record["lattice.rotation_from"]),
            tuple(int(v) for v in record["lattice.cell_log2"]),
            record["lattice.feature_steps"],
            record["lattice.transform"],
            int(record["lattice.feature_slope"]),
        )
    return Start(lods, lattice, float(record["bits"]))
