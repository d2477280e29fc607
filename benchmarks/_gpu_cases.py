"""What benchmarks/gpu.py measures: each function makes its rows from a seed, so that nothing else is needed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from _gpu_clock import Clock, ProfiledRuntime
from _gpu_floors import SceneFacts, work_of
from _synthetic import synthetic_file

from gscodec.cuda.runtime import Runtime
from gscodec.cuda.scenes import Renderer, bin_scene, render_window, upload_gaussians
from gscodec.decode import IgsImage, open_igs
from gscodec.encoder import encode
from gscodec.format import IgsReader
from gscodec.gaussians import Float32Array, Grid, Window
from gscodec.raster.cpu import CpuRasterizer
from gscodec.train import PRESETS
from gscodec.train.device_trainee import DeviceTrainee
from gscodec.train.placement import ModuleDraws
from gscodec.train.plan import FitPlan, Segment, Step
from gscodec.train.schedule import lod_counts

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


FULL: Final = Sizes(
    copied_bytes=1 << 30,
    step_side=2048,
    step_counts=(10_000, 50_000),
    warm_up=100,
    steps=200,
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


def speed_of(runtime: Runtime, sizes: Sizes) -> Speed:
    """Measured bandwidth, and arithmetic by the card's own description."""
    clock, xp = Clock(runtime), runtime.xp
    with runtime:
        source, target = xp.zeros(sizes.copied_bytes, np.uint8), xp.empty(sizes.copied_bytes, np.uint8)

    def copy() -> None:
        target[...] = source

    seconds = clock.median_ms(copy, sizes.repeats) / 1000
    return Speed(2 * sizes.copied_bytes / seconds, _operations_per_s(runtime))


def _operations_per_s(runtime: Runtime) -> float:
    if not Clock(runtime).on_card:
        return 1e9
    device = runtime.xp.cuda.Device(int(runtime.name.partition(":")[2]))
    lanes = {"75": 64, "80": 64}.get(device.compute_capability, 128)  # float32 lanes of a multiprocessor
    return float(device.attributes["MultiProcessorCount"] * lanes * device.attributes["ClockRate"] * 1000)


def picture(side: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A square picture with as many shapes as a fit of 10,000 Gaussians at 2048 px cannot all have, and some grain."""
    with open_igs(synthetic_file(side, side, max(4, side * side // 100), seed), device="cpu") as image:
        smooth = image.render(dtype=np.float32)
    grain = np.random.default_rng(seed).normal(0.0, 0.02, smooth.shape)
    return np.asarray(np.clip(smooth + grain, 0, 1) * 255 + 0.5, np.uint8)


def steps(runtime: Runtime, sizes: Sizes, speed: Speed) -> Iterator[tuple[Row, list[Row]]]:
    """Time of a training step, and of each kernel in it beside its floor, by preset and count."""
    target = np.asarray(picture(sizes.step_side) / np.float32(255), np.float32)
    for preset in ("paper", "balanced"):
        for count in sizes.step_counts:
            key = {"preset": preset, "side": sizes.step_side, "gaussians": count}
            trainee, decided, _ = _trainee(runtime, target, preset, count, sizes)
            list(trainee.run(decided[: sizes.warm_up]))
            start = time.perf_counter()
            list(trainee.run(decided[sizes.warm_up :]))
            step_ms = 1000 * (time.perf_counter() - start) / sizes.steps
            row = {**key, "step_ms": step_ms, "steps_per_s": 1000 / step_ms, "mse": trainee.mse}
            yield row, [{**key, **kernel} for kernel in _kernels(runtime, target, preset, count, sizes, speed)]


def _kernels(
    runtime: Runtime, target: Float32Array, preset: str, count: int, sizes: Sizes, speed: Speed
) -> Iterator[Row]:
    profiled: Any = ProfiledRuntime(runtime)
    trainee, decided, grid = _trainee(profiled, target, preset, count, sizes)
    list(trainee.run(decided[: sizes.warm_up]))
    profiled.forget()
    list(trainee.run(decided[sizes.warm_up :]))
    index = CpuRasterizer().bin(trainee.gaussians(), grid)
    facts = SceneFacts.of(grid.height, grid.width, target.shape[2], count, grid.top_k, index.offsets)
    work = work_of(facts)
    for name, times in profiled.times_ms().items():
        launches = len(times) / sizes.steps
        floor = work[name].floor_ms(speed.bytes_per_s, speed.operations_per_s) if name in work else None
        yield {
            "kernel": name,
            "launches": launches,
            "ms": median(times) * launches,
            "floor_ms": floor,
            "pairs": facts.n_pairs,
        }


def _trainee(
    runtime: Runtime, target: Float32Array, preset: str, count: int, sizes: Sizes
) -> tuple[DeviceTrainee, list[Step], Grid]:
    """A set that is complete from the start, and the steps of the end of its growth."""
    p = PRESETS[preset]
    height, width, channels = target.shape
    n_steps = sizes.warm_up + sizes.steps
    plan = FitPlan(p, (height, width, channels), lod_counts(count, 5 if p.joint_lods else 1), n_steps)
    grid = Grid(height, width, target.mean(axis=(0, 1)), p.top_k, p.support_q)
    trainee = DeviceTrainee(plan, target, grid, runtime, ModuleDraws(runtime.xp, 0))
    trainee.grow(count)
    return trainee, plan.steps(Segment(count, 0, n_steps), np.random.default_rng(0)), grid


def renders(runtime: Runtime, sizes: Sizes) -> Iterator[Row]:
    """Time from Gaussians on the device to a uint8 picture there, in buffers that are kept: tile lists and blending.

    Beside it the parts as a decode does them: lists with buffers made for them and one number read back, and blending.
    """
    clock = Clock(runtime)
    for side in sizes.render_sides:
        for count in sizes.render_counts:
            reader = IgsReader(synthetic_file(side, side, count))
            grid, window = reader.grid, Window.whole(reader.grid)
            with runtime:
                gaussians = upload_gaussians(runtime, reader.read(0))
                out = runtime.xp.empty((side, side, 3), np.uint8)
                scene = bin_scene(runtime, gaussians, grid)
            again = Renderer(runtime, gaussians, grid, window, out)
            ms = clock.median_ms(again.render, sizes.repeats)
            bin_ms = clock.median_ms(lambda g=gaussians, r=grid: bin_scene(runtime, g, r), sizes.repeats)  # type: ignore[misc]
            blend_ms = clock.median_ms(
                lambda s=scene, w=window, o=out: render_window(runtime, s, w, o),  # type: ignore[misc]
                sizes.repeats,
            )
            yield {"side": side, "gaussians": count, "bin_ms": bin_ms, "blend_ms": blend_ms, "ms": ms}


def encodes(device: str, sizes: Sizes) -> Iterator[Row]:
    """Whole encodes by preset; the second of two, for which kernels are compiled already."""
    source = picture(sizes.encode_side)
    for preset in PRESETS:
        first, result = (
            encode(source, gaussians=sizes.encode_count, preset=preset, device=device, steps=sizes.encode_steps)
            for _ in range(2)
        )
        yield {
            "preset": preset,
            "side": sizes.encode_side,
            "gaussians": result.n_gaussians,
            "steps": result.steps,
            "seconds": result.seconds,
            "first_seconds": first.seconds,
            "psnr": result.psnr,
            "same_bytes": first.data == result.data,
        }


def decodes(runtime: Runtime, device: str, sizes: Sizes) -> Iterator[Row]:
    """From a file in memory to a uint8 picture in the host's memory, and in the device's."""
    clock = Clock(runtime)
    for side, count in sizes.decodes:
        data = synthetic_file(side, side, count)

        def whole(image: IgsImage) -> Any:
            return image.render()

        def on_device(image: IgsImage) -> Any:
            return image.render_device()

        for kind, work in (("host", whole), ("device", on_device)):

            def opened(data: bytes = data, work: Any = work) -> None:
                with open_igs(data, device=device) as image:
                    work(image)

            with open_igs(data, device=device) as image:
                again_ms = clock.wall_ms(lambda w=work, i=image: w(i), sizes.repeats)  # type: ignore[misc]
            ms = clock.wall_ms(opened, sizes.repeats)
            yield {
                "side": side,
                "gaussians": count,
                "to": kind,
                "ms": ms,
                "again_ms": again_ms,
                "megapixels_per_s": side * side / ms / 1000,
            }
