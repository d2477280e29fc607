"""Races are detected and located; kernels have none, and would have some without any one of their barriers.

`make races` runs all tests of kernels under the detector, and takes out every barrier in turn (mutants.py).
"""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_runtime import SCHEDULES, HostKernel, HostRuntime, KernelFault, Schedule

from gscodec.container.reader import IgsReader
from gscodec.cuda.unpacking import unpack_pages
from gscodec.fit.loop import fit
from gscodec.fit.presets import PRESETS
from gscodec.fit.qat import fine_tune
from gscodec.fit.qat_task import QatTask
from gscodec.image.arrays import from_array
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, Window
from gscodec.model.rendering import LossWeights
from gscodec.render.gpu import CudaRasterizer

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"

LAST_BLOCK = """
    __shared__ bool last;
    if (t == {writer}) memory[4 + blockIdx.x] = 1;
    {before} if (t == 0) {{ {fence} last = atomicAdd(memory, 1) == (int)gridDim.x - 1; {after} }}
    __syncthreads();
    if (last && t < 4) memory[100 + t] = memory[4 + t];"""
"""Blocks write, and the last one that counts itself reads what all have written."""

PLANTED = {
    "no barrier": (
        "__shared__ int v[64]; v[t] = 1;\nmemory[64 * blockIdx.x + t] = v[t ^ 32];",
        "shared v, byte 128: thread 32 of block (0, 0, 0) writes at test.cu:LINE, thread 0 of block (0, 0, 0) reads",
    ),
    "no barrier before the next round": (
        """__shared__ int v[64]; int sum = 0;
           for (int k = 0; k < 2; ++k) { v[t] = k; __syncthreads(); sum += v[t ^ 32]; }
           memory[64 * blockIdx.x + t] = sum;""",
        "shared v, byte 0: thread 32 of block (0, 0, 0) reads at test.cu:LINE, thread 0 of block (0, 0, 0) writes",
    ),
    "no __syncwarp": (
        """__shared__ int v[64]; v[t] = 1; __any_sync(~0u, 1); __shfl_xor_sync(~0u, t, 1);
           memory[64 * blockIdx.x + t] = v[t ^ 1];""",
        "shared v, byte 4: thread 0 of block (0, 0, 0) reads",
    ),
    "a __syncwarp for other warps": (
        "__shared__ int v[64]; v[t] = 1; __syncwarp(); memory[64 * blockIdx.x + t] = v[t ^ 32];",
        "shared v, byte 128: thread 0",
    ),
    "a __syncwarp of half a warp": (
        """__shared__ int v[64]; v[t] = 1; if (t % 32 < 16) __syncwarp(0xffffu);
           memory[64 * blockIdx.x + t] = v[t ^ 16];""",
        "shared v, byte 0: thread 16 of block (0, 0, 0) reads",
    ),
    "blocks write alike": ("memory[t] = 1;", "argument 0 (memory), byte 0: thread 0 of block (1, 0, 0) writes"),
    "a block reads what another writes": (
        "if (blockIdx.x == 1) memory[t] = 1;\nif (blockIdx.x == 0) memory[64 + t] = memory[t];",
        "byte 0: thread 0 of block (1, 0, 0) writes at test.cu:LINE, thread 0 of block (0, 0, 0) reads",
    ),
    "an atomic and a plain read": (
        "atomicAdd(memory, 1); memory[1 + 64 * blockIdx.x + t] = memory[0];",
        "thread 1 of block (0, 0, 0) changes by an atomic at test.cu:LINE, thread 0 of block (0, 0, 0) reads",
    ),
    "several atomics and a read by the last": (
        "atomicAdd(memory + blockIdx.x, 1); if (t == 63) memory[8 + blockIdx.x] = memory[blockIdx.x];",
        "thread 63 of block (0, 0, 0) reads at test.cu:LINE, thread 62 of block (0, 0, 0) changes by an atomic",
    ),
    "the last block without fences": (
        LAST_BLOCK.format(writer=40, before="__syncthreads();", fence="", after=""),
        "thread 0 of block (3, 0, 0) reads",
    ),
    "the last block, where others do not fence": (
        LAST_BLOCK.format(writer=40, before="__syncthreads();", fence="", after="__threadfence();"),
        "thread 0 of block (3, 0, 0) reads",
    ),
    "the last block, which does not fence": (
        LAST_BLOCK.format(writer=40, before="__syncthreads();", fence="__threadfence();", after=""),
        "thread 0 of block (3, 0, 0) reads",
    ),
    "a fence before the writes": (
        "__threadfence();\n"
        + LAST_BLOCK.format(writer=40, before="__syncthreads();", fence="", after="__threadfence();"),
        "thread 0 of block (3, 0, 0) reads",
    ),
    "bytes that overlap": (
        "if (blockIdx.x) return; reinterpret_cast<unsigned char*>(memory)[t] = 1;\nif (t == 40) memory[12] = 1;",
        "argument 0 (memory), byte 48: thread 48",
    ),
    "an address that suits no vector": (
        "if (blockIdx.x == 0 && t == 0) *reinterpret_cast<float4*>(memory + 1) = make_float4(1, 2, 3, 4);",
        "argument 0 (memory), byte 4 is no multiple of 16 bytes: thread 0 of block (0, 0, 0) is at test.cu:LINE",
    ),
}
"""Bodies with a race, and what is said of it."""

CLEAN = {
    "barriers": """__shared__ int v[64]; int sum = 0;
        for (int k = 0; k < 3; ++k) { v[t] = k; __syncthreads(); sum += v[t ^ 32]; __syncthreads(); }
        memory[64 * blockIdx.x + t] = sum;""",
    "warps that meet": """__shared__ int v[64]; int sum = 0;
        for (int k = 0; k < 3; ++k) { v[t] = k; __syncwarp(); sum += v[t ^ 31]; __syncwarp(); }
        memory[64 * blockIdx.x + t] = sum;""",
    "half a warp that meets": """__shared__ int v[64];
        if (t % 32 < 16) { v[t] = t; __syncwarp(0xffffu); memory[64 * blockIdx.x + t] = v[t ^ 15]; }""",
    "a lane that hands on what it saw": """__shared__ int v[64];
        v[t] = 1; __syncwarp(t % 2 ? 0xaaaaaaaau : 0x55555555u);
        __syncwarp(t % 4 < 2 ? 0x33333333u : 0xccccccccu); memory[64 * blockIdx.x + t] = v[t ^ 3];""",
    "neighbouring bytes": "reinterpret_cast<unsigned char*>(memory)[64 * blockIdx.x + t] = 1;",
    "atomics alone": "atomicAdd(memory, 1); atomicMax(memory + 1, t);",
    "atomics, then a barrier": """__shared__ int v; if (t == 0) v = 0; __syncthreads();
        atomicAdd(&v, 1); __syncthreads(); memory[64 * blockIdx.x + t] = v;""",
    "the last block": LAST_BLOCK.format(
        writer=40, before="__syncthreads();", fence="__threadfence();", after="__threadfence();"
    ),
    "reads": "memory[64 + 64 * blockIdx.x + t] = memory[0] + memory[t];",
}


def cases(bodies: list[str]) -> str:
    """One kernel for all, since each compilation takes a second."""
    lines = "".join(f"case {k}: {{\n{body}\n}} break;\n" for k, body in enumerate(bodies))
    return f"const int t = threadIdx.x;\nswitch (which) {{\n{lines}}}"


@pytest.fixture(scope="module")
def watched() -> HostRuntime:
    return HostRuntime(watched=True)


@pytest.fixture(scope="module")
def kernel(watched: HostRuntime) -> HostKernel:
    """Runs body number `which`: those of PLANTED, then those of CLEAN."""
    body = cases([*(body for body, _ in PLANTED.values()), *CLEAN.values()])
    text = f'extern "C" __global__ void test(int* memory, int which) {{\n#line 1 "test.cu"\n{body}\n}}'
    return watched.compile(text, "test")


@pytest.mark.parametrize("schedule", SCHEDULES[:2], ids=str)
@pytest.mark.parametrize("which", range(len(PLANTED)), ids=list(PLANTED))
def test_planted_races_are_found(watched: HostRuntime, kernel: HostKernel, which: int, schedule: Schedule) -> None:
    """In any order that threads and blocks happen to run; what is said is that of the first."""
    with watched.scheduled(schedule), pytest.raises(KernelFault) as caught:
        kernel(4, 64, watched.xp.zeros(400, np.int32), np.int32(which))
    expected = list(PLANTED.values())[which][1]
    if schedule == SCHEDULES[0]:
        assert expected in re.sub(r"test\.cu:\d+", "test.cu:LINE", str(caught.value))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("which", range(len(CLEAN)), ids=list(CLEAN))
def test_what_is_ordered_is_no_race(watched: HostRuntime, kernel: HostKernel, which: int, schedule: Schedule) -> None:
    with watched.scheduled(schedule):
        kernel(4, 64, watched.xp.zeros(400, np.int32), np.int32(len(PLANTED) + which))


def test_lines_are_those_of_the_text(watched: HostRuntime) -> None:
    text = """
#line 10 "one.cuh"
__device__ inline void put(int* to) {
    *to = 1;
}
#line 1 "two.cu"
extern "C" __global__ void test(int* to, const int* from) {
    put(to);
    if (threadIdx.x == 1) *to = from[0];
}"""
    to, source = watched.xp.zeros(4, np.int32), watched.xp.zeros(4, np.int32)
    with pytest.raises(KernelFault) as caught:
        watched.compile(text, "test")(1, 2, to, source)
    assert str(caught.value).splitlines()[0] == (
        "test, race on argument 0 (to), byte 0: thread 1 of block (0, 0, 0) writes at one.cuh:11 in two.cu:2, "
        "thread 0 of block (0, 0, 0) writes at one.cuh:11 in two.cu:2, and nothing orders them"
    )


@pytest.mark.parametrize("schedule", SCHEDULES[:2], ids=str)
def test_what_a_race_keeps_from_ending_is_ended(watched: HostRuntime, schedule: Schedule) -> None:
    text = """extern "C" __global__ void test(int* n) {
        for (*n = 0; *n < 100;) { __syncthreads(); if (threadIdx.x == 0) *n = 1; __syncthreads(); }
    }"""
    kernel = watched.compile(text, "test")
    with watched.scheduled(schedule):
        for _ in range(2):
            with pytest.raises(KernelFault, match=r"race on argument 0 \(n\), byte 0"):
                kernel(1, 64, watched.xp.zeros(1, np.int32))


def test_another_launch_begins_anew(watched: HostRuntime) -> None:
    text = 'extern "C" __global__ void test(int* to, int at) { to[at] += 1; }'
    kernel, to = watched.compile(text, "test"), watched.xp.zeros(4, np.int32)
    for _ in range(3):
        kernel(1, 1, to, np.int32(2))
    assert watched.download(to).tolist() == [0, 0, 3, 0]


def test_views_are_watched_as_what_they_are_part_of(watched: HostRuntime) -> None:
    text = 'extern "C" __global__ void test(int* to, const int* from) { to[threadIdx.x + 2] = from[threadIdx.x]; }'
    kernel, whole = watched.compile(text, "test"), watched.xp.zeros(8, np.int32)
    kernel(1, 2, whole, whole[:2])
    with pytest.raises(KernelFault, match=r"argument 0 \(to\), byte 8"):
        kernel(1, 4, whole, whole)


HEIGHT, WIDTH = 20, 37


def scene(n: int = 90) -> tuple[GaussianSet, Grid]:
    """Lists longer than K and than a batch, in tiles whole and cut."""
    rng = np.random.default_rng(0)
    gaussians = GaussianSet(
        rng.uniform(0, [WIDTH, HEIGHT], (n, 2)),
        rng.uniform(0.1, 0.5, (n, 2)),
        rng.uniform(0, np.pi, n),
        rng.random((n, 3), dtype=np.float32),
    )
    return gaussians, Grid(HEIGHT, WIDTH, np.zeros(3, np.float32), 4)


def picture(seed: int) -> Float32Array:
    return np.random.default_rng(seed).random((HEIGHT, WIDTH, 3), dtype=np.float32)


def make_lists(engine: CudaRasterizer) -> None:
    engine.bin(*scene())


def render(engine: CudaRasterizer) -> None:
    gaussians, grid = scene()
    index = engine.bin(gaussians, grid)
    engine.forward(gaussians, grid, index, Window.whole(grid))
    engine.forward(gaussians, grid, index, Window.whole(grid), "uint8")
    engine.sample(gaussians, grid, index, np.random.default_rng(1).uniform(0, 20, (40, 2)))


def differentiate(engine: CudaRasterizer) -> None:
    gaussians, grid = scene()
    engine.backward(gaussians, grid, engine.bin(gaussians, grid), picture(0))


def compare(engine: CudaRasterizer) -> None:
    for weights in (LossWeights(l1=1.0), LossWeights(l1=1.0, ssim=0.1)):
        engine.loss(picture(0), picture(1), weights)
    engine.loss(picture(0), picture(1), LossWeights(l2=1.0, ssim=0.1), picture(2)[:, :, 0].copy())


def sort_long_lists(engine: CudaRasterizer) -> None:
    """Sort lists of each kind: by a warp, by a block, by bits."""
    rng = np.random.default_rng(2)
    for n in (300, 1100):
        means = rng.uniform([0, 0], [2, 2], (n, 2))
        gaussians = GaussianSet(means, np.full((n, 2), 2.0), np.zeros(n), np.zeros((n, 1), np.float32))
        engine.bin(gaussians, Grid(16, 20, np.zeros(1, np.float32), 4))


def train(engine: CudaRasterizer) -> None:
    """Steps with SSIM and levels that learn, moves and wider Gaussians among them; then steps of QAT."""
    loss = LossWeights(l2=1.0, ssim=0.1)
    preset = replace(PRESETS["balanced"], loss=loss, joint_lods=True, relocations=1, growth_events=2)
    grid = Grid(HEIGHT, WIDTH, np.full(3, 0.5, np.float32), preset.top_k)
    fitted = fit(picture(0), 40, preset, rasterizer=engine, grid=grid, lods=2, steps=8)
    groups = from_array(picture(0)).groups
    task = QatTask(picture(0), grid, groups, preset, fitted.lods, engine, 3)
    fine_tune(task, fitted.gaussians, 3, size_of=lambda gaussians, _: 20 * len(gaussians), budget=500)


def decode(engine: CudaRasterizer) -> None:
    for name in ("coded_stack", "packed_stack"):
        with IgsReader(VECTORS / f"{name}.igs") as reader:
            assert unpack_pages(engine.runtime, reader.stored_pages()) is not None


WORK = [render, differentiate, compare, sort_long_lists, train, decode]
"""Launches of nearly every kernel, in a few seconds."""


@pytest.mark.parametrize("work", WORK)
def test_kernels_have_no_race(watched: HostRuntime, work: Callable[[CudaRasterizer], None]) -> None:
    work(CudaRasterizer(watched))


def without(barrier: str, file: str, number: int) -> Callable[[str, str], str]:
    """The kernels' text without one of the barriers of a file, counted from the file's first."""

    def edit(_family: str, text: str) -> str:
        before, named, after = text.partition(f'#line 1 "{file}"\n')
        numbers = count()
        return (
            before
            + named
            + re.sub(re.escape(barrier), lambda found: "(void)0;" if next(numbers) == number else found[0], after)
        )

    return edit


MISSING: list[tuple[str, str, int, Callable[[CudaRasterizer], None], str]] = [
    ("__syncwarp();", "tile_bin.cu", 0, make_lists, "sort_lists, race on shared staged"),
    ("__syncthreads();", "blend.cuh", 1, render, "blend_tiles, race on shared staged,"),
    ("__syncthreads();", "raster_backward.cu", 0, differentiate, "backward_tiles, race on shared workspace"),
    ("__syncthreads();", "loss.cu", 1, compare, "ssim_loss, race on shared "),
]


@pytest.mark.parametrize("case", range(len(MISSING)), ids=[f"{file}-{k}" for _, file, k, _, _ in MISSING])
def test_barriers_of_kernels_are_missed(case: int) -> None:
    barrier, file, number, work, expected = MISSING[case]
    with pytest.raises(KernelFault) as caught:
        work(CudaRasterizer(HostRuntime(watched=True, edit=without(barrier, file, number))))
    assert expected in str(caught.value)
    assert file in str(caught.value)


def test_launches_are_watched_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, watched in (("1", True), ("0", False)):
        monkeypatch.setenv("GSCODEC_RACES", value)
        runtime: Any = HostRuntime()
        assert runtime.watched == watched
