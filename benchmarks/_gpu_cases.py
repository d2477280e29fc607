"""What benchmarks/gpu.py measures of kernels: each function makes its rows from a seed and needs nothing else."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from _gpu_clock import Clock, ProfiledRuntime
from _gpu_floors import SceneFacts, work_of
from _gpu_machine import Machine
from gscodec_bench.synthetic import synthetic_file

from gscodec.container.reader import IgsReader
from gscodec.cuda.runtime import Runtime
from gscodec.cuda.scenes import Renderer, bin_scene, render_window, upload_gaussians
from gscodec.decoding.image import open_igs
from gscodec.fit.device_trainee import DeviceTrainee
from gscodec.fit.plan import FitPlan, Segment, Step
from gscodec.fit.presets import PRESETS
from gscodec.fit.schedule import lod_counts
from gscodec.model.gaussians import Float32Array, Grid, Window
from gscodec.render.cpu import CpuRasterizer

Row = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    copied_bytes: int  # by the copy that measures bandwidth
    step_side: int
    step_counts: tuple[int, ...]
    warm_up: int  # steps before those that are timed
    steps: int
    render_sides: tuple[int, ...]
    render_counts: tuple[int, ...]
    repeats: int
    encode_side: int
    encode_count: int
    encode_steps: int | None  # None is the preset's
    decodes: tuple[tuple[int, int], ...]  # side, Gaussians

    @staticmethod
    def of_steps(side: int, count: int, *, warm_up: int, steps: int) -> "Sizes":
        """For training steps alone."""
        return Sizes(0, side, (count,), warm_up, steps, (), (), 1, side, count, None, ())


FULL: Final = Sizes(
    copied_bytes=1 << 30,
    step_side=2048,
    step_counts=(10_000, 20_000, 50_000),
    warm_up=100,
    steps=400,
    render_sides=(2048, 4096, 8192),
    render_counts=(10_000, 50_000, 200_000),
    repeats=30,
    encode_side=2048,
    encode_count=10_000,
    encode_steps=None,
    decodes=((2048, 20_000), (8192, 200_000)),
)

SMOKE: Final = Sizes(
    copied_bytes=1 << 12,
    step_side=40,
    step_counts=(20, 40),
    warm_up=2,
    steps=4,
    render_sides=(32, 48),
    render_counts=(10, 20),
    repeats=2,
    encode_side=40,
    encode_count=20,
    encode_steps=3,
    decodes=((40, 20),),
)
"""Enough to run every line; its figures mean nothing."""


@dataclass(frozen=True)
class Speed:
    """What a device can do at most."""

    bytes_per_s: float  # read and written by a large copy, measured
    operations_per_s: float  # float32 operations, a fused multiply-add counted once; lanes x clock


PROFILED_STEPS: Final = 50
"""Launched one by one, which takes the host ten times as long as a graph of them."""


def speed_of(runtime: Runtime, sizes: Sizes) -> Speed:
    """Measured bandwidth, and arithmetic by the GPU's own description."""
    clock, xp = Clock(runtime), runtime.xp
    with runtime:
        source, target = xp.zeros(sizes.copied_bytes, np.uint8), xp.empty(sizes.copied_bytes, np.uint8)

    def copy() -> None:
        target[...] = source

    seconds = clock.median_ms(copy, sizes.repeats) / 1000
    return Speed(2 * sizes.copied_bytes / seconds, _operations_per_s(runtime))


def _operations_per_s(runtime: Runtime) -> float:
    if not Clock(runtime).on_gpu:
        return 1e9
    device = runtime.xp.cuda.Device(int(runtime.name.partition(":")[2]))
    lanes = {"75": 64, "80": 64}.get(device.compute_capability, 128)  # float32 lanes of a multiprocessor
    return float(device.attributes["MultiProcessorCount"] * lanes * device.attributes["ClockRate"] * 1000)


@cache
def picture(side: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A square picture with as many shapes as a fit of 10,000 Gaussians at 2048 px cannot all have, and some grain."""
    with open_igs(synthetic_file(side, side, max(4, side * side // 100), seed), device="cpu") as image:
        smooth = image.render(dtype=np.float32)
    grain = np.random.default_rng(seed).normal(0.0, 0.02, smooth.shape)
    return np.asarray(np.clip(smooth + grain, 0, 1) * 255 + 0.5, np.uint8)


def step(machine: Machine, preset: str, count: int, sizes: Sizes) -> Iterator[Row]:
    """Time of a training step: the median over the looks of the host, each between two events of the device."""
    clock = Clock(machine.runtime)
    target = np.asarray(picture(sizes.step_side) / np.float32(255), np.float32)
    trainee, decided, _ = trainee_of(machine.runtime, target, preset, count, sizes)
    list(trainee.run(decided[: sizes.warm_up]))
    with machine.runtime:
        marks, ends = [clock.mark()], [0]
    began = time.perf_counter()
    for done in trainee.run(decided[sizes.warm_up :]):
        with machine.runtime:
            marks.append(clock.mark())
        ends.append(done)
    machine.runtime.synchronize()
    wall_ms = 1000 * (time.perf_counter() - began) / sizes.steps
    times = [clock.between_ms(*pair) / n for pair, n in zip(pairwise(marks), np.diff(ends), strict=True)]
    yield {
        "preset": preset,
        "side": sizes.step_side,
        "gaussians": count,
        "step_ms": median(times),
        "wall_ms": wall_ms,
        "steps_per_s": 1000 / wall_ms,
        "mse": trainee.mse,
        "graph": trainee._steps.graph is not None and trainee._steps.graph.is_graph,
    }


def kernels(machine: Machine, preset: str, count: int, sizes: Sizes, speed: Speed) -> Iterator[Row]:
    """Time of each kernel of a step beside its floor, launched one by one."""
    target = np.asarray(picture(sizes.step_side) / np.float32(255), np.float32)
    profiled: Any = ProfiledRuntime(machine.runtime)
    trainee, decided, grid = trainee_of(profiled, target, preset, count, sizes)
    list(trainee.run(decided[: sizes.warm_up]))
    profiled.forget()
    n_steps = min(sizes.steps, PROFILED_STEPS)
    list(trainee.run(decided[sizes.warm_up : sizes.warm_up + n_steps]))
    index = CpuRasterizer().bin(trainee.gaussians(), grid)
    facts = SceneFacts.of(grid.height, grid.width, target.shape[2], count, grid.top_k, index.offsets)
    work = work_of(facts)
    for name, times in profiled.times_ms().items():
        launches = len(times) / n_steps
        floor = work[name].floor_ms(speed.bytes_per_s, speed.operations_per_s) if name in work else None
        yield {
            "preset": preset,
            "gaussians": count,
            "kernel": name,
            "launches": launches,
            "ms": median(times) * launches,
            "floor_ms": floor,
            "pairs": facts.n_pairs,
        }


def trainee_of(
    runtime: Runtime, target: Float32Array, preset: str, count: int, sizes: Sizes
) -> tuple[DeviceTrainee, list[Step], Grid]:
    """A set that is complete from the start, and the first passes after that."""
    p = PRESETS[preset]
    height, width, channels = target.shape
    n_steps = sizes.warm_up + sizes.steps
    plan = FitPlan(p, (height, width, channels), lod_counts(count, 5 if p.joint_lods else 1), n_steps)
    grid = Grid(height, width, target.mean(axis=(0, 1)), p.top_k, p.support_q)
    trainee = DeviceTrainee(plan, target, grid, runtime)
    trainee.grow(count)
    return trainee, plan.steps(Segment(count, 0, n_steps))[:n_steps], grid


def render(machine: Machine, side: int, count: int, sizes: Sizes) -> Iterator[Row]:
    """Time from Gaussians on the device to a uint8 picture there, in buffers that are kept: tile lists and blending.

    Beside it the parts as a decode does them: lists with buffers made for them and one number read back, and blending.
    """
    clock, runtime = Clock(machine.runtime), machine.runtime
    with IgsReader(synthetic_file(side, side, count)) as reader:
        grid, window = reader.grid, Window.whole(reader.grid)
        with runtime:
            gaussians = upload_gaussians(runtime, reader.read(0))
            out = runtime.xp.empty((side, side, 3), np.uint8)
            scene = bin_scene(runtime, gaussians, grid)
    again = Renderer(runtime, gaussians, grid, window, out)
    ms = clock.median_ms(again.render, sizes.repeats)
    bin_ms = clock.median_ms(lambda: bin_scene(runtime, gaussians, grid), sizes.repeats)
    blend_ms = clock.median_ms(lambda: render_window(runtime, scene, window, out), sizes.repeats)
    yield {"side": side, "gaussians": count, "bin_ms": bin_ms, "blend_ms": blend_ms, "ms": ms}
