"""Quantisation-aware fine-tuning by the kernels: the CPU's quality, one recorded step, and no picture over the bus."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from host_runtime import HostReplay, HostRuntime

from gscodec import EncodeResult, encode
from gscodec import open as open_igs
from gscodec.cuda import device
from gscodec.cuda.runtime import Array, Runtime
from gscodec.errors import BackendUnavailable
from gscodec.fit.lattices import bits_of, snap
from gscodec.fit.loop import Fit, fit
from gscodec.fit.packed import fine_tune_packed
from gscodec.fit.plan import Step
from gscodec.fit.presets import PRESETS, Preset
from gscodec.fit.qat import FineTuned, count_for, fine_tune
from gscodec.fit.qat_rows import QatRows, qat_rows
from gscodec.fit.qat_task import QatTask
from gscodec.format.limits import generations_of
from gscodec.image.arrays import from_array
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, LodTable, Window
from gscodec.model.rendering import LossWeights
from gscodec.profiles.lattice import Lattice
from gscodec.render.base import Rasterizer
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.gpu import CudaRasterizer

HEIGHT, WIDTH, N = 40, 56, 60
CPU = CpuRasterizer(1)


@pytest.fixture(scope="module")
def picture() -> Float32Array:
    """A disc on a ramp, and stripes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    inside = 1 / (1 + np.exp((np.hypot(x - 30, y - 16) / HEIGHT - 0.3) * 40))
    ramp = np.stack([0.1 + 0.1 * np.sin(x / 3), 0.2 + 0.3 * y / HEIGHT, 0.5 + 0.4 * x / WIDTH], axis=2)
    return np.asarray(ramp + inside[..., None] * (np.array([0.9, 0.55, 0.1]) - ramp), np.float32)


@pytest.fixture(scope="module")
def finished(picture: Float32Array) -> Fit:
    grid = Grid(HEIGHT, WIDTH, picture.mean(axis=(0, 1)))
    return fit(picture, N, PRESETS["fast"], rasterizer=CPU, grid=grid, lods=3, steps=80)


def task_of(
    picture: Float32Array, finished: Fit, preset: Preset, engine: Rasterizer, importance: Float32Array | None = None
) -> QatTask:
    groups: tuple[ChannelGroup, ...] = from_array(picture).groups
    grid = Grid(HEIGHT, WIDTH, picture.mean(axis=(0, 1)))
    return QatTask(picture, grid, groups, preset, finished.lods, engine, 3, importance=importance)


def size_of(task: QatTask) -> Callable[[GaussianSet, Lattice], int]:
    def size(gaussians: GaussianSet, lattice: Lattice) -> int:
        counts = task.lods.ending_at(len(gaussians)).counts
        return math.ceil(bits_of(gaussians, lattice, task.grid, counts, 512) / 8)

    return size


def fine_tuned(task: QatTask, finished: Fit, n_steps: int = 40, budget: int | None = None) -> FineTuned:
    return fine_tune(task, finished.gaussians, n_steps, size_of=size_of(task), budget=budget)


def psnr_of(picture: Float32Array, gaussians: GaussianSet, grid: Grid) -> float:
    image = CPU.forward(gaussians, grid, CPU.bin(gaussians, grid), Window.whole(grid))
    return -10 * math.log10(float(np.square(image - picture).mean(dtype=np.float64)))


def left_counts() -> Float32Array:
    weights = np.ones((HEIGHT, WIDTH), np.float32)
    weights[:, : WIDTH // 2] = 4.0
    return np.asarray(weights / weights.mean(), np.float32)


@pytest.mark.parametrize(
    ("preset", "importance"),
    [("fast", False), ("balanced", True), ("paper", False), ("ssim", False)],
)
@pytest.mark.parametrize("budget", [None, 300])
def test_a_gpu_fine_tunes_as_well_as_the_cpu(
    device_runtime: Runtime,
    picture: Float32Array,
    finished: Fit,
    preset: str,
    budget: int | None,
    *,
    importance: bool,
) -> None:
    recipe = replace(PRESETS["fast"], loss=LossWeights(l2=1.0, ssim=0.1)) if preset == "ssim" else PRESETS[preset]
    weights = left_counts() if importance else None
    theirs = task_of(picture, finished, recipe, CPU, weights)
    ours = replace(theirs, rasterizer=CudaRasterizer(device_runtime))
    grid = theirs.grid

    def tuned(task: QatTask) -> list[FineTuned]:
        return [fine_tuned(replace(task, seed=seed), finished, budget=budget) for seed in (3, 4)]

    def quality(made: list[FineTuned]) -> float:
        return float(np.mean([psnr_of(picture, one.gaussians, grid) for one in made]))

    expected, made = tuned(theirs), tuned(ours)
    assert quality(made) > quality(expected) - 0.1
    found = made[0]
    if budget is not None:
        assert 0.95 * budget < size_of(ours)(found.gaussians, found.lattice) <= budget
    generations = generations_of(theirs.lods.ending_at(len(found.gaussians)).counts)
    again = snap(found.gaussians, found.lattice, grid, generations)
    np.testing.assert_allclose(again.means, found.gaussians.means, rtol=1e-12)
    np.testing.assert_allclose(again.inv_scales, found.gaussians.inv_scales, rtol=1e-12)
    np.testing.assert_allclose(again.features, found.gaussians.features, atol=1e-6)


def test_profiles_small_and_packed_are_fine_tuned_on_the_gpu_too(
    device_runtime: Runtime, picture: Float32Array, finished: Fit
) -> None:
    engine = CudaRasterizer(device_runtime)
    single = replace(finished, lods=LodTable.single(N))
    small = replace(task_of(picture, single, PRESETS["fast"], CPU), small=True)
    packed = task_of(picture, finished, PRESETS["fast"], CPU)

    def quality(task: QatTask) -> float:
        if task.small:
            made = fine_tune(task, finished.gaussians, 30, size_of=lambda g, _: 8 * len(g), budget=None)
        else:
            made = fine_tune_packed(task, finished.gaussians, 30, page_size=64, record_bytes=6)
        return psnr_of(picture, made.gaussians, task.grid)

    for task in (small, packed):
        assert quality(replace(task, rasterizer=engine)) == pytest.approx(quality(task), abs=0.1)


def rows_of(task: QatTask, gaussians: GaussianSet) -> QatRows:
    columns = gaussians.means, np.log(gaussians.inv_scales), gaussians.rotations[:, None], gaussians.features
    return qat_rows(task, np.concatenate(columns, axis=1, dtype=np.float64), gaussians.inv_scales, 20)


def test_steps_move_what_is_free_alike_and_nothing_that_is_held(
    device_runtime: Runtime, picture: Float32Array, finished: Fit
) -> None:
    """Held values may lie beyond what free ones are kept in."""
    task = task_of(picture, finished, PRESETS["balanced"], CPU)
    engines = task, replace(task, rasterizer=CudaRasterizer(device_runtime))
    first, every = np.arange(0, N, 3), np.arange(N)
    held = np.zeros((len(first), 8), np.bool_)
    held[::2, 2:4] = held[1::2, :2] = held[::3, 6] = True
    steps = 2 * [Step(count, level, 1.0, level == 2, False) for level, count in enumerate(finished.lods.counts)]
    results, errors = [], []
    for each in engines:
        rows = rows_of(each, finished.gaussians)
        values = rows.rows(first)
        values[held[:, 6], 6] = 2.5
        values[held[:, 0], 0] = -0.25
        rows.hold(first, values, held)
        errors.append([mse for _, mse in rows.run(steps)][-1])
        found = rows.rows(every)
        assert np.array_equal(found[first][held], values[held])
        assert (found[first][~held] != values[~held]).mean() > 0.9
        results.append(found)
    np.testing.assert_allclose(results[1], results[0], rtol=2e-6, atol=2e-5)
    assert errors[1] == pytest.approx(errors[0], rel=1e-4)


def test_blocks_of_a_picture_are_refused(runtime: HostRuntime, picture: Float32Array, finished: Fit) -> None:
    around: Any = object()
    task = replace(task_of(picture, finished, PRESETS["fast"], CudaRasterizer(runtime)), around=around)
    with pytest.raises(BackendUnavailable, match="does not fit blocks"):
        rows_of(task, finished.gaussians)


class Watched(HostRuntime):
    """Counts what crosses the bus, and what is recorded and repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.up: list[int] = []
        self.down: list[int] = []
        self.recorded = self.repeated = 0

    def upload(self, array: npt.NDArray[Any]) -> Array:
        self.up.append(array.nbytes)
        return super().upload(array)

    def download(self, array: Array) -> npt.NDArray[Any]:
        self.down.append(array.nbytes)
        return super().download(array)

    def record(self, step: Callable[[], None]) -> HostReplay:
        self.recorded += 1

        def counted() -> None:
            self.repeated += 1
            step()

        return super().record(counted)


PLANE = 4 * HEIGHT * WIDTH  # bytes; what crosses the bus is far below one


def test_every_pass_is_one_recorded_step(picture: Float32Array, finished: Fit) -> None:
    runtime = Watched()
    task = task_of(picture, finished, PRESETS["balanced"], CudaRasterizer(runtime))
    fine_tuned(task, finished, 60)
    coarse = sum(len(task.plan.coarse_pass(step, 2, 1.0)) for step in range(60))
    assert coarse > 6
    assert (runtime.recorded, runtime.repeated) == (1, 60 + coarse)


def test_no_picture_crosses_the_bus_between_the_first_step_and_the_last(picture: Float32Array) -> None:
    """Fit with growth, moves, widening and a recount, then QAT with a budget: the picture goes up once."""
    runtime = Watched()
    engine = CudaRasterizer(runtime)
    preset = replace(PRESETS["balanced"], relocated_share=0.2)
    grid, weights = Grid(HEIGHT, WIDTH, picture.mean(axis=(0, 1))), left_counts()
    counted: list[int] = []

    def recount(gaussians: GaussianSet, lods: LodTable) -> int:
        part = QatTask(picture, grid, from_array(picture).groups, preset, lods, engine, 3, importance=weights)
        counted.append(count_for(part, gaussians, lambda g, on: (size_of(part)(g, on) + 50, size_of(part)(g, on)), 500))
        return min(counted[-1], N)

    finished = fit(
        picture, N, preset, rasterizer=engine, grid=grid, lods=3, steps=60, importance=weights, recount=recount
    )
    task = task_of(picture, finished, preset, engine, weights)
    budget = size_of(task)(finished.gaussians, fine_tuned(task, finished, 1).lattice) // 3
    result = fine_tuned(task, finished, 40, budget=budget)
    assert counted
    assert len(result.gaussians) < N, "some were pruned, by what they carry"
    pictures = [n for n in runtime.up if n >= PLANE // 2]
    assert pictures == [picture.nbytes, weights.nbytes]
    assert max(runtime.down) < PLANE // 2


PRIMES = 31, 37  # sides: what is not of the picture's pixels is of no multiple of their number, by chance


@pytest.fixture(scope="module")
def texture() -> npt.NDArray[np.uint8]:
    """Noise with the spectrum of a photograph: no seed is much luckier than another."""
    spectrum = np.fft.rfft2(np.random.default_rng(5).normal(size=(3, *PRIMES)))
    frequency = np.hypot(np.fft.fftfreq(PRIMES[0])[:, None], np.fft.rfftfreq(PRIMES[1])[None])
    noise = np.fft.irfft2(spectrum / (frequency + 0.02) ** 1.5, s=PRIMES)
    noise = (noise - noise.mean(axis=(1, 2), keepdims=True)) / noise.std(axis=(1, 2), keepdims=True)
    return np.asarray(np.clip(np.moveaxis(0.5 + 0.18 * noise, 0, 2) * 255, 0, 255).round(), np.uint8)


@pytest.mark.parametrize(
    ("preset", "profile", "target"),
    [
        ("balanced", "coded", {"size": 500}),
        ("balanced", "packed", {"gaussians": 40}),
        ("fast", "f16", {"size": 900}),
        ("paper", "coded", {"gaussians": 30}),
    ],
)
def test_a_whole_encode_is_as_good_and_sends_its_picture_once(
    texture: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, preset: str, profile: str, target: dict[str, Any]
) -> None:
    """From pixels to a file whose quality is known: nothing else of a picture's size crosses the bus.

    The CPU engine, which steps on subsets of the pixels at first, is no better on average.
    """
    runtime = Watched()
    monkeypatch.setattr(device, "open_runtime", lambda _: runtime)

    def made(where: str) -> list[EncodeResult]:
        return [
            encode(texture, preset=preset, profile=profile, tune="psnr", steps=40, seed=seed, device=where, **target)
            for seed in range(2)
        ]

    found, expected = made("cuda"), made("cpu")
    assert np.mean([one.psnr for one in found]) > np.mean([one.psnr for one in expected]) - 0.1
    for one in found:
        assert one.device == "cuda"
        assert one.psnr == pytest.approx(decoded_psnr(one.data, texture), abs=1e-3)
        if "size" in target:
            assert 0.95 * target["size"] <= len(one.data) <= target["size"]
    n_pixels = texture.size // 3
    assert [n for n in runtime.up if n and n % n_pixels == 0] == 2 * [4 * texture.nbytes]
    assert not [n for n in runtime.down if n and n % n_pixels == 0]


def decoded_psnr(data: bytes, pixels: npt.NDArray[np.uint8]) -> float:
    with open_igs(data, device="cpu") as image:
        errors = image.render().astype(np.float64) - pixels
    return -10 * math.log10(float(np.square(errors / 255).mean()))
