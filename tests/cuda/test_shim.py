"""The host shim itself: what it computes is what CUDA's documents say, and what they forbid is found."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import host_runtime
import numpy as np
import pytest
from host_arrays import block_of
from host_runtime import SCHEDULES, HostKernel, HostRuntime, KernelFault, Schedule, build

Make = Callable[..., HostKernel]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=str)


@pytest.fixture
def make(runtime: HostRuntime) -> Make:
    """A kernel `test` of parameters and a body."""

    def kernel(parameters: str, body: str, before: str = "", bounds: str = "") -> HostKernel:
        text = f'{before}\nextern "C" __global__ void {bounds} test({parameters}) {{\n{body}\n}}'
        return runtime.compile(text, "test")

    return kernel


def filled(runtime: HostRuntime, n: int, dtype: Any = np.int32) -> Any:
    return runtime.xp.zeros(n, dtype)


@every_schedule
def test_every_thread_of_every_block_runs_once(runtime: HostRuntime, make: Make, schedule: Schedule) -> None:
    kernel = make(
        "int* seen, unsigned* sizes",
        """const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
           seen[block * blockDim.x + threadIdx.x] += 1;
           sizes[0] = gridDim.x; sizes[1] = gridDim.y; sizes[2] = gridDim.z; sizes[3] = blockDim.x;""",
    )
    seen, sizes = filled(runtime, 24 * 70), filled(runtime, 4, np.uint32)
    with runtime.scheduled(schedule):
        kernel((2, 3, 4), 70, seen, sizes)
    assert (runtime.download(seen) == 1).all()
    assert runtime.download(sizes).tolist() == [2, 3, 4, 70]


def test_schedules_are_what_they_are_called(runtime: HostRuntime, make: Make) -> None:
    kernel = make("int* order, int* next", "order[atomicAdd(next, 1)] = blockIdx.x * blockDim.x + threadIdx.x;")
    orders = []
    for schedule in (*SCHEDULES, SCHEDULES[-1]):
        order, count = filled(runtime, 12), filled(runtime, 1)
        with runtime.scheduled(schedule):
            kernel(3, 4, order, count)
        orders.append(runtime.download(order).tolist())
    forward, reverse, random, other, again = orders
    assert forward == list(range(12))
    assert reverse == forward[::-1]
    assert sorted(random) == sorted(other) == forward
    assert len({tuple(order) for order in orders}) == 4
    assert other == again


@every_schedule
def test_barriers_separate_writes_from_reads(runtime: HostRuntime, make: Make, schedule: Schedule) -> None:
    kernel = make(
        "int* out",
        """__shared__ int values[100];
           for (int round = 0; round < 5; ++round) {
               values[threadIdx.x] = threadIdx.x + round;
               __syncthreads();
               out[threadIdx.x] += values[(threadIdx.x + 37) % 100];
               __syncthreads();
           }""",
    )
    out = filled(runtime, 100)
    with runtime.scheduled(schedule):
        kernel(1, 100, out)
    assert np.array_equal(runtime.download(out), 5 * ((np.arange(100) + 37) % 100) + 10)


def test_a_missing_barrier_shows_in_some_schedule(runtime: HostRuntime, make: Make) -> None:
    """What schedules are for: the same kernel gives other results."""
    kernel = make(
        "int* out",
        "__shared__ int values[64]; values[threadIdx.x] = 1; out[threadIdx.x] = values[(threadIdx.x + 1) % 64] == 1;",
    )
    results = set()
    for schedule in SCHEDULES:
        out = filled(runtime, 64)
        with runtime.scheduled(schedule):
            kernel(1, 64, out)
        results.add(runtime.download(out).tobytes())
    assert len(results) > 1


def test_atomics_left_out_show_in_random_schedules(runtime: HostRuntime, make: Make) -> None:
    """Threads switch between a read and a later atomic, as they may on a GPU."""
    kernel = make("int* sum, int* other", "const int old = *sum; atomicAdd(other, 1); *sum = old + 1;")
    sums = []
    for schedule in SCHEDULES:
        total, other = filled(runtime, 1), filled(runtime, 1)
        with runtime.scheduled(schedule):
            kernel(1, 256, total, other)
        assert runtime.download(other)[0] == 256
        sums.append(int(runtime.download(total)[0]))
    assert sums[0] == sums[1] == 256
    assert sums[2] < 256


SHUFFLES: list[tuple[str, Callable[[int], int]]] = [
    ("__shfl_sync(~0u, v, 5)", lambda _: 5),
    ("__shfl_sync(~0u, v, 37)", lambda _: 5),
    ("__shfl_sync(~0u, v, lane + 3, 8)", lambda lane: lane // 8 * 8 + (lane + 3) % 8),
    ("__shfl_up_sync(~0u, v, 3)", lambda lane: lane - 3 if lane >= 3 else lane),
    ("__shfl_up_sync(~0u, v, 2, 4)", lambda lane: lane - 2 if lane % 4 >= 2 else lane),
    ("__shfl_down_sync(~0u, v, 5)", lambda lane: lane + 5 if lane + 5 < 32 else lane),
    ("__shfl_down_sync(~0u, v, 1, 2)", lambda lane: lane + 1 if lane % 2 == 0 else lane),
    ("__shfl_xor_sync(~0u, v, 16)", lambda lane: lane ^ 16),
    ("__shfl_xor_sync(~0u, v, 1, 8)", lambda lane: lane ^ 1),
    ("__shfl_xor_sync(~0u, v, 8, 8)", lambda lane: lane ^ 8 if (lane ^ 8) < lane else lane),
]


@every_schedule
@pytest.mark.parametrize("kind", ["int", "float", "double", "unsigned long long"])
def test_shuffles(runtime: HostRuntime, make: Make, schedule: Schedule, kind: str) -> None:
    stores = "".join(f"out[{k} * 64 + t] = (double){call};" for k, (call, _) in enumerate(SHUFFLES))
    kernel = make("double* out", f"const int t = threadIdx.x, lane = t % 32; const {kind} v = t * 2; {stores}")
    out = filled(runtime, 64 * len(SHUFFLES), np.float64)
    with runtime.scheduled(schedule):
        kernel(1, 64, out)
    expected = [[2 * (t // 32 * 32 + source(t % 32)) for t in range(64)] for _, source in SHUFFLES]
    assert runtime.download(out).reshape(-1, 64).tolist() == expected


@every_schedule
def test_votes(runtime: HostRuntime, make: Make, schedule: Schedule) -> None:
    kernel = make(
        "unsigned* out",
        """const int t = threadIdx.x, lane = t % 32;
           out[t] = __ballot_sync(0xffffffffu, lane % 3 == 0);
           out[64 + t] = __any_sync(0xffffffffu, t == 40);
           out[128 + t] = __all_sync(0xffffffffu, t != 40);
           __syncwarp();
           if (lane < 4) out[192 + t] = __ballot_sync(0xfu, lane != 1) + 16 * __all_sync(0xfu, lane < 4);""",
    )
    out = filled(runtime, 256, np.uint32)
    with runtime.scheduled(schedule):
        kernel(1, 64, out)
    ballots, some, every, few = runtime.download(out).reshape(4, 64)
    assert (ballots == sum(1 << lane for lane in range(0, 32, 3))).all()
    assert some.tolist() == [0] * 32 + [1] * 32
    assert every.tolist() == [1] * 32 + [0] * 32
    assert few[:4].tolist() == [0b1101 + 16] * 4


def test_groups_of_one_warp_meet_apart(runtime: HostRuntime, make: Make) -> None:
    kernel = make(
        "int* out",
        """const int lane = threadIdx.x;
           int sum = lane;
           for (int step = 1; step < 8; step *= 2) sum += __shfl_xor_sync(0xffu << (lane & ~7), sum, step);
           out[lane] = sum;""",
    )
    out = filled(runtime, 32)
    kernel(1, 32, out)
    assert runtime.download(out).tolist() == [sum(range(lane // 8 * 8, lane // 8 * 8 + 8)) for lane in range(32)]


@every_schedule
def test_threads_that_returned_are_not_waited_for(runtime: HostRuntime, make: Make, schedule: Schedule) -> None:
    kernel = make(
        "int* out",
        """if (threadIdx.x % 32 >= 20) return;
           const int count = __popc(__ballot_sync(0xffffffffu, 1));
           __syncthreads();
           out[threadIdx.x] = count;""",
    )
    out = filled(runtime, 60)
    with runtime.scheduled(schedule):
        kernel(1, 60, out)
    assert runtime.download(out).tolist() == ([20] * 20 + [0] * 12) * 1 + [20] * 20 + [0] * 8


def test_a_shuffle_from_a_thread_that_returned_is_nan(runtime: HostRuntime, make: Make) -> None:
    kernel = make(
        "float* out", "if (threadIdx.x == 31) return;\nout[threadIdx.x] = __shfl_sync(~0u, 1.0f, threadIdx.x + 1);"
    )
    out = filled(runtime, 32, np.float32)
    kernel(1, 32, out)
    assert np.flatnonzero(np.isnan(runtime.download(out))).tolist() == [30]


def test_atomics(runtime: HostRuntime, make: Make) -> None:
    kernel = make(
        "int* i, unsigned* u, float* f, double* d, unsigned long long* l",
        """const int t = threadIdx.x;
           atomicAdd(i, 1); atomicMax(i + 1, t); atomicMin(i + 2, -t); atomicSub(i + 3, 2);
           if (t == 7) atomicExch(i + 4, 70);
           atomicCAS(i + 5, t, t + 1);
           atomicAdd(u, 1); atomicOr(u + 1, 1u << t % 32); atomicAnd(u + 2, ~(1u << t)); atomicXor(u + 3, 1);
           atomicAdd(f, 0.5f); atomicAdd(d, 0.25); atomicAdd(l, 1ull << 40);
           atomicMax(l + 1, (unsigned long long)t);""",
    )
    i, u = filled(runtime, 6), filled(runtime, 4, np.uint32)
    u[2] = 0xFFFFFFFF
    f, d, long = filled(runtime, 1, np.float32), filled(runtime, 1, np.float64), filled(runtime, 2, np.uint64)
    kernel(1, 33 - 1, i, u, f, d, long)
    assert runtime.download(i).tolist() == [32, 31, -31, -64, 70, 32]
    assert runtime.download(u).tolist() == [32, 0xFFFFFFFF, 0, 0]
    assert (float(f[0]), float(d[0])) == (16.0, 8.0)
    assert runtime.download(long).tolist() == [32 << 40, 31]


def test_bits_and_numbers(runtime: HostRuntime, make: Make) -> None:
    kernel = make(
        "double* out",
        """out[0] = __popc(0xf0f0u); out[1] = __ffs(8); out[2] = __ffs(0); out[3] = __clz(1); out[4] = __clz(0);
           out[5] = __uint_as_float(0x40490fdbu); out[6] = __float_as_int(1.0f); out[7] = min(3, -2);
           out[8] = max(2u, 7u);
           out[9] = fmaf(2.0f, 3.0f, 4.0f); out[10] = exp2f(-3.0f); out[11] = fminf(1.0f, 2.0f);
           out[12] = __ldg(out + 9); out[13] = min(1.5f, 2.5f); out[14] = __popcll(~0ull);
           const float4 v = make_float4(1, 2, 3, 4); out[15] = v.w + sizeof(float4) + alignof(float4);""",
    )
    out = filled(runtime, 16, np.float64)
    kernel(1, 1, out)
    expected = [8, 4, 0, 31, 32, np.float32(np.pi), 0x3F800000, -2, 7, 10, 0.125, 1, 10, 1.5, 64, 36]
    assert runtime.download(out).tolist() == expected


def test_nothing_is_contracted(runtime: HostRuntime, make: Make) -> None:
    kernel = make("const float* x, float* out", "out[0] = x[0] * x[0] - x[1]; out[1] = fmaf(x[0], x[0], -x[1]);")
    x = np.float32(1 + 2**-12)
    out = filled(runtime, 2, np.float32)
    kernel(1, 1, runtime.upload(np.array([x, x * x], np.float32)), out)
    apart, fused = runtime.download(out)
    assert apart == 0
    assert fused == np.float64(x) ** 2 - np.float64(x * x) != 0


def test_shared_memory_starts_as_nan_in_every_block(runtime: HostRuntime, make: Make) -> None:
    kernel = make(
        "float* out",
        "__shared__ float kept; out[2 * blockIdx.x] = kept; kept = 1; out[2 * blockIdx.x + 1] = in_template(1.0);",
        "template <class T> __device__ T in_template(T v) {"
        "__shared__ T kept; const T old = kept; kept = v; return old; }",
    )
    out = filled(runtime, 8, np.float32)
    kernel(4, 1, out)
    assert np.isnan(runtime.download(out)).all()


DIVERGENCE = [
    ("if (t == 5) __syncthreads(); else __shfl_xor_sync(~0u, 1, 1);", "deadlock:"),
    ("if (t < 32) __syncthreads();\nelse __syncthreads();", "threads wait at different barriers: threads 0-31 at"),
    ("if (t < 16) __shfl_sync(~0u, 1, 0); else __syncthreads();", "threads 0-15 at __shfl_sync of lanes ffffffff"),
    ("if (t < 16) __any_sync(~0u, 1);\nelse __any_sync(~0u, 1);", "deadlock:"),
    ("if (t < 16) __any_sync(~0u, 1); else if (t < 32) __all_sync(~0u, 1);", "threads 32-63 returned;"),
    ("if (t < 3) __any_sync(15u, 1); else if (t == 3) __syncthreads();", "threads 0-2 at __any_sync of lanes 0000000f"),
    ("__ballot_sync(0u, 1);", "a mask that leaves it out"),
    ("__shfl_sync(~0u, 1, 0, 12);", "a shuffle's width must be"),
]


def cases(bodies: list[tuple[str, str]]) -> str:
    """One kernel for all, since each compilation takes half a second."""
    return "switch (which) {" + "".join(f"case {k}: {{ {body} }} break;\n" for k, (body, _) in enumerate(bodies)) + "}"


@every_schedule
@pytest.mark.parametrize("case", range(len(DIVERGENCE)))
def test_divergence_is_told(runtime: HostRuntime, make: Make, schedule: Schedule, case: int) -> None:
    kernel = make("int which", f"const int t = threadIdx.x;\n{cases(DIVERGENCE)}")
    with runtime.scheduled(schedule), pytest.raises(KernelFault) as caught:
        kernel(2, 64, np.int32(case))
    assert DIVERGENCE[case][1] in str(caught.value)
    assert f"schedule {schedule}" in str(caught.value)


@every_schedule
def test_after_a_fault_kernels_run_again(runtime: HostRuntime, make: Make, schedule: Schedule) -> None:
    kernel = make(
        "int* out, int wrong",
        """if (wrong && threadIdx.x == 3) __syncthreads();
           out[blockIdx.x * 64 + threadIdx.x] = __popc(__ballot_sync(~0u, 1));
           __syncthreads();""",
    )
    for _ in range(3):
        out = filled(runtime, 128)
        with runtime.scheduled(schedule):
            with pytest.raises(KernelFault, match="deadlock"):
                kernel(2, 64, out, np.int32(1))
            kernel(2, 64, out, np.int32(0))
            with pytest.raises(KernelFault, match="access to byte"):
                kernel(3, 64, out, np.int32(0))
        assert (runtime.download(out) == 32).all()


ACCESSES = [
    ("out[n] = 1;", "thread 0: access to byte 400 of argument 0, which has 400"),
    ("out[0] = out[n];", "access to byte 400 of argument 0"),
    ("out[n - 101] = 1;", "byte -4 of argument 0 was written, it has 400"),
    ("int* none = n == 100 ? nullptr : out; *none = 1;", "access through a null pointer"),
    ("out[0] = out[1] / (n - 100);", "or a division by zero"),
    ("volatile char big[1 << 18]; for (volatile char& c : big) c = 0; out[0] = big[n];", "stack is full"),
    ("out[n << 22] = 1;", "none of the arguments'"),
]


@pytest.mark.parametrize("case", range(len(ACCESSES)))
def test_faulty_accesses_are_told(runtime: HostRuntime, make: Make, case: int) -> None:
    kernel = make("int* out, int n, int which", cases(ACCESSES))
    out = filled(runtime, 100)
    with pytest.raises(KernelFault) as caught:
        kernel(3, 1, out, np.int32(100), np.int32(case))
    assert ACCESSES[case][1] in str(caught.value)


def test_writes_within_the_last_sixteen_bytes_are_found(runtime: HostRuntime, make: Make) -> None:
    """The page ends later than an array whose size is no multiple of 16."""
    kernel = make("unsigned char* out, int n", "out[n] = 1;")
    for n in range(1, 40):
        with pytest.raises(KernelFault, match=rf"byte {n} of argument 0"):
            kernel(1, 1, filled(runtime, n, np.uint8), np.int32(n))


def test_fresh_memory_is_nan(runtime: HostRuntime) -> None:
    for dtype in (np.float32, np.float64):
        assert np.isnan(runtime.download(runtime.xp.empty((3, 5), dtype))).all()


def test_arguments_must_be_what_the_kernel_takes(runtime: HostRuntime, make: Make) -> None:
    kernel = make(
        "const float* a, double* b, int c, long long d, float e, const void* f",
        "b[0] = a[0] + c + d + e + (f != nullptr);",
        bounds="__launch_bounds__(64)",
    )
    assert kernel.parameters == ("*cf4", "*f8", "i4", "i8", "f4", "*c?1")
    a, b = filled(runtime, 1, np.float32), filled(runtime, 1, np.float64)
    rows = filled(runtime, 12, np.float64).reshape(4, 3)
    odd = filled(runtime, 12, np.uint8)[3:11].view(np.float64)
    good: tuple[Any, ...] = (a, b, np.int32(1), np.int64(2), np.float32(3), a)
    kernel(1, 64, *good)
    kernel(1, 64, a, rows[1:, :2], *good[2:])
    assert float(b[0]) == 7
    for position, bad, text in [
        (0, b, "argument 0: an array of float64, the kernel takes *cf4"),
        (0, np.zeros(1, np.float32), "argument 0: ndarray, not an array of the device"),
        (2, 1, "argument 2: int, the kernel takes i4"),
        (2, np.int64(1), "argument 2: i8, the kernel takes i4"),
        (3, np.uint64(1), "argument 3: u8, the kernel takes i8"),
        (4, np.float64(1), "argument 4: f8, the kernel takes f4"),
        (1, np.int64(0), "argument 1: int64, not an array of the device"),
        (1, [0.0], "argument 1: list, not an array of the device"),
        (1, 0, "argument 1: int, not an array of the device"),
        (1, filled(runtime, 4, np.float64)[::2], "argument 1: an array of strides (16,)"),
        (1, filled(runtime, 4, np.float64)[::-1], "argument 1: an array of strides (-8,)"),
        (1, rows[::-1], "argument 1: an array of strides (-24, 8)"),
        (1, rows.T, "argument 1: an array of strides (8, 24)"),
        (1, np.broadcast_to(rows[0], (4, 3)), "argument 1: an array of strides (0, 8)"),
        (1, odd, "argument 1: an address that is no multiple of 8"),
        (2, True, "argument 2: bool, the kernel takes i4"),
        (2, np.bool_(1), "argument 2: b1, the kernel takes i4"),
        (2, np.array(1, np.int32), "argument 2: ndarray, the kernel takes i4"),
        (2, filled(runtime, 1)[0], "argument 2: DeviceArray, the kernel takes i4"),
        (2, None, "argument 2: NoneType, the kernel takes i4"),
        (4, 3.0, "argument 4: float, the kernel takes f4"),
        (4, np.float16(3), "argument 4: f2, the kernel takes f4"),
        (4, np.complex64(3), "argument 4: c8, the kernel takes f4"),
        (4, "3", "argument 4: str, the kernel takes f4"),
        (3, np.datetime64(0, "s"), "argument 3: M8, the kernel takes i8"),
    ]:
        with pytest.raises(KernelFault) as caught:
            kernel(1, 64, *good[:position], bad, *good[position + 1 :])
        assert text in str(caught.value)
    with pytest.raises(KernelFault, match="takes 6 arguments, not 5"):
        kernel(1, 64, *good[:-1])
    with pytest.raises(KernelFault, match="65 threads a block, built for at most 64"):
        kernel(1, 65, *good)
    for grid in (0, -1, (1, 0), (1, 65536), (1, 1, 65536), 1 << 31, (1, 1, 1, 1), ()):
        with pytest.raises(KernelFault, match="no GPU launches"):
            kernel(grid, 1, *good)
    sizes: list[tuple[Any, Any]] = [
        (np.int64(1), 1),
        ((1, np.int32(1)), 1),
        (1.0, 1),
        ([1], 1),
        (True, 1),
        (1, np.int64(1)),
    ]
    for size, block in sizes:
        with pytest.raises(KernelFault, match="in a launch's sizes, ints are taken"):
            kernel(size, block, *good)


def test_a_kernel_has_a_name(runtime: HostRuntime) -> None:
    with pytest.raises(KeyError, match=r"fit\.cu has no kernel adam_row"):
        runtime.kernel("fit", "adam_row")
    with pytest.raises(KeyError, match="no kernel other"):
        runtime.compile('extern "C" __global__ void test(int* out) { out[0] = 1; }', "other")


def test_shared_memory_ends_at_48_kib(make: Make) -> None:
    use = "__shared__ int k[N]; k[*out] = 1; *out = k[0];"
    for before, body in (("", use), (f"template <class T> __device__ void put(T* out) {{ {use} }}", "put(out);")):
        make("int* out", body, before=f"#define N {48 << 8}\n{before}")
        with pytest.raises(KernelFault, match="has 49156 bytes of shared memory, at most 49152"):
            make("int* out", body, before=f"#define N {(48 << 8) + 1}\n{before}")


def test_no_block_has_more_than_1024_threads(make: Make) -> None:
    for bounds in ("", "__launch_bounds__(2048)"):
        with pytest.raises(KernelFault, match="1025 threads a block, built for at most 1024"):
            make("int* out", "out[0] = 1;", bounds=bounds)(1, 1025, None)


def test_denormals_are_flushed_in_kernels_alone(runtime: HostRuntime, make: Make) -> None:
    kernel = make(
        "const float* x, float* out",
        "const int t = threadIdx.x; __syncthreads(); out[t] = x[0] * 0.5f; out[t + 2] = x[1] + x[1];",
    )
    least = np.finfo(np.float32).tiny
    x, out = runtime.upload(np.array([least, least / 2], np.float32)), runtime.xp.ones(4, np.float32)
    kernel(1, 2, x, out)
    assert runtime.download(out).tolist() == [0, 0, 0, 0]
    assert np.float32(least) * np.float32(0.5) > 0


def test_exponentials_may_be_as_far_off_as_on_a_gpu() -> None:
    text = """extern "C" __global__ void test(const float* x, float* out) {
        const int t = threadIdx.x; out[t] = exp2f(x[t]); out[t + 256] = expf(x[t]); }"""
    x = np.linspace(-20, 20, 256, dtype=np.float32)
    results = []
    for approximate in (False, True):
        runtime = HostRuntime(approximate=approximate)
        out = runtime.xp.empty(512, np.float32)
        runtime.compile(text, "test")(1, 256, runtime.upload(x), out)
        results.append(runtime.download(out).view(np.int32))
    off = results[1] - results[0]
    assert set(off.tolist()) == {-2, -1, 0, 1, 2}


def test_a_recorded_step_does_nothing_but_launch(runtime: HostRuntime, make: Make) -> None:
    kernel = make("int* out, int n", "out[0] += n;")
    out = filled(runtime, 1)
    replay = runtime.record(lambda: kernel(1, 1, out, np.int32(2)))
    replay()
    replay()
    assert int(out[0]) == 4
    forbidden_steps: list[Callable[[], Any]] = [
        lambda: runtime.download(out),
        lambda: runtime.upload(np.zeros(1)),
        lambda: runtime.xp.empty(1),
        lambda: runtime.xp.zeros(1),
        runtime.synchronize,
        lambda: out * 2,
        out.copy,
        lambda: np.concatenate([out, out]),
        lambda: bool(out),
        lambda: int(out),
        lambda: float(out[0]),
        lambda: list(range(out)),
        out.item,
        out.tolist,
    ]
    for forbidden in forbidden_steps:
        with pytest.raises(KernelFault, match="a recorded step"):
            runtime.record(forbidden)()
    within = runtime.record(lambda: np.add(out, out, out=out))
    within()
    out[...] = 4
    assert int(out[0]) == 4
    numbers = iter([1, 1, 2])
    changing = runtime.record(lambda: kernel(1, 1, out, np.int32(next(numbers))))
    changing()
    changing()
    with pytest.raises(KernelFault, match="other launches than the first time"):
        changing()


def test_arrays_of_the_device(runtime: HostRuntime) -> None:
    xp = runtime.xp
    a = xp.arange(6, dtype=np.float32).reshape(2, 3)
    for made in (a * 2, xp.sqrt(a), xp.where(a > 1, a, a), xp.full((2, 3), 1), a.sum(axis=0), xp.concatenate([a, a])):
        assert isinstance(made, xp.ndarray)
        assert block_of(made) is not None
    assert xp.asarray(a) is a
    assert block_of(a[1:]) is block_of(a)
    out = xp.empty((2, 3), np.float32)
    assert xp.add(a, a, out=out) is out
    a += 1
    assert runtime.download(a).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert xp.random.default_rng(3).random(4).shape == (4,)
    assert isinstance(xp.random.default_rng(3).random(4), xp.ndarray)
    mixtures: list[Callable[[], Any]] = [
        lambda: xp.add(a, np.ones(3)),
        lambda: xp.concatenate([a, np.ones((1, 3))]),
        lambda: a * np.ones(3),
    ]
    for mixed in mixtures:
        with pytest.raises(TypeError, match="upload or download one"):
            mixed()
    with pytest.raises(TypeError, match="not an array of the device"):
        runtime.download(np.ones(3))
    with pytest.raises(TypeError, match="lies on the device already"):
        runtime.upload(a)


def test_memory_of_others_crosses_without_a_copy(runtime: HostRuntime) -> None:
    theirs = np.zeros(4, np.float32)
    ours = runtime.xp.from_dlpack(theirs)
    ours[2] = 5
    assert theirs[2] == 5


def test_warnings_and_errors_refuse_a_text(make: Make) -> None:
    with pytest.raises(KernelFault, match="unused variable"):
        make("int* out", "out[0] = 1; int unused;")
    with pytest.raises(KernelFault, match="atomicAdd is not there for this type"):
        make("long long* out", "atomicAdd(out, 1);")


def test_texts_are_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host_runtime, "_BUILD", tmp_path)
    text = 'extern "C" __global__ void test(int* out) { out[0] = 1; }'
    build(text)
    (library,) = tmp_path.iterdir()
    before = library.stat().st_mtime_ns
    build(text)
    assert [path.stat().st_mtime_ns for path in tmp_path.iterdir()] == [before]
    build(text.replace("= 1", "= 2"))
    assert len(list(tmp_path.iterdir())) == 2


def test_two_processes_may_build_the_same_text(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(host_runtime.__file__).parent)!r})
import pathlib, numpy as np, host_runtime
host_runtime._BUILD = pathlib.Path({str(tmp_path)!r})
runtime = host_runtime.HostRuntime()
out = runtime.xp.zeros(32, np.int32)
runtime.compile('extern "C" __global__ void test(int* out) {{ out[threadIdx.x] = 1; }}', "test")(1, 32, out)
sys.exit(int(out.sum()) != 32)
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(list(tmp_path.glob("*.so"))) == len(list(tmp_path.iterdir())) == 1
