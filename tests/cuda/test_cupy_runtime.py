"""What `CupyRuntime` asks of CuPy, by a stand-in for it: streams, graphs, null pointers, memory errors.

What CuPy then does with it is tested on a GPU (test_runtime.py).
"""

import ctypes
import importlib
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest

from gscodec.errors import BackendUnavailable, DeviceWarning, OutOfDeviceMemory


class OutOfMemoryError(MemoryError):
    pass


class CUDARuntimeError(RuntimeError):
    pass


class CUDADriverError(RuntimeError):
    pass


class CompileException(Exception):
    """CuPy's has its text from __str__ alone."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return self.text


class Log:
    """What happened, in order; and what shall fail."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.streams: list[Stream] = []
        self.answer = 42
        self.capture_fails = False
        self.refuses: Exception | None = None  # what loading a kernel raises
        self.compiling: Callable[[], object] = lambda: None  # called where a module is compiled
        self.is_broken = False  # after a fault of a kernel

    @property
    def stream(self) -> "Stream":
        return self.streams[-1]


LOG = Log()


class Stream:
    def __init__(self, name: str = "own", non_blocking: bool = False) -> None:
        assert non_blocking or name != "own"
        self.name = name
        self.capturing = False

    @staticmethod
    def from_external(other: Any) -> "Stream":
        version, address = other.__cuda_stream__()
        assert version == 0
        return Stream(f"external {address}")

    def __enter__(self) -> None:
        LOG.streams.append(self)

    def __exit__(self, *error: object) -> None:
        assert LOG.streams.pop() is self

    def begin_capture(self) -> None:
        self.capturing = True

    def end_capture(self) -> Any:
        self.capturing = False
        if LOG.capture_fails:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated")
        return types.SimpleNamespace(launch=lambda: LOG.events.append(("graph", LOG.stream.name)))

    def synchronize(self) -> None:
        LOG.events.append(("synchronize", self.name))

    def wait_event(self, event: "Event") -> None:
        LOG.events.append(("waits", self.name, event.recorded))


class Event:
    """Marks what a stream had to do when it was recorded."""

    def __init__(self, *, disable_timing: bool) -> None:
        assert disable_timing
        self.recorded: str | None = None

    def record(self, stream: Stream | None = None) -> None:
        self.recorded = (stream or LOG.stream).name
        LOG.events.append(("recorded", self.recorded))

    def synchronize(self) -> None:
        assert self.recorded, "an event that was not recorded is complete at once"
        LOG.events.append(("synchronize", self.recorded))


class Pinned(bytearray):
    @property
    def ptr(self) -> int:
        return int(np.frombuffer(self, np.uint8).ctypes.data)


class Function:
    attributes = types.MappingProxyType({"num_regs": 40})

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, grid: Any, block: Any, args: Any) -> None:
        for size in (grid, block):
            assert isinstance(size, tuple)
            assert all(type(number) is int for number in size)
        if self.name == "answer":
            args[0][0] = LOG.answer
        elif LOG.stream.capturing:
            LOG.events.append(("captured", self.name))
        else:
            LOG.events.append((self.name, grid, block, args, LOG.stream.name))


class Array(np.ndarray[Any, Any]):
    def __dlpack_device__(self) -> Any:
        return 2, 0

    def get(self, order: Literal["C"] = "C") -> Any:
        assert order == "C"
        return np.array(self, order=order)

    @property
    def data(self) -> Any:
        def copy_to_host_async(address: int, n_bytes: int, stream: Stream) -> None:
            LOG.events.append(("copies", stream.name, n_bytes))
            ctypes.memmove(address, self.ctypes.data, n_bytes)

        return types.SimpleNamespace(copy_to_host_async=copy_to_host_async)


def make_cupy() -> types.ModuleType:
    cupy: Any = types.ModuleType("cupy")
    cupy.__version__ = "99"
    cupy.int32 = np.int32
    cupy.zeros = lambda n, dtype: np.zeros(n, dtype).view(Array)
    cupy.array = lambda value, order: np.array(value, order=order).view(Array)

    def raw_module(*, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc") -> Any:
        is_loaded = False

        def get_function(name: str) -> Function:
            nonlocal is_loaded
            if not is_loaded:
                LOG.compiling()
                LOG.events.append(("compiled", options, backend, len(code) > 1000))
            if LOG.refuses:
                raise LOG.refuses
            is_loaded = True
            return Function(name)

        return types.SimpleNamespace(get_function=get_function)

    cupy.RawModule = raw_module

    class Device:
        mem_info = (1_000, 2_000_000)

        def __init__(self, index: int) -> None:
            self.id = index

        def __enter__(self) -> None:
            if LOG.is_broken:
                raise CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
            LOG.events.append(("device", self.id))

        def __exit__(self, *error: object) -> None:
            LOG.events.append(("device left", self.id))

    def pinned(n_bytes: int) -> Pinned:
        if LOG.refuses:
            raise LOG.refuses
        return Pinned(n_bytes)

    def from_dlpack(other: "Other") -> Any:
        if other.fault:
            raise other.fault
        return "shared", other

    cupy.ndarray, cupy.from_dlpack, cupy.asarray = Array, from_dlpack, lambda other: other
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_bytes=lambda: 234)
    Stream.null = Stream("null")  # type: ignore[attr-defined]
    cupy.cuda = types.SimpleNamespace(
        Device=Device,
        Stream=Stream,
        Event=Event,
        alloc_pinned_memory=pinned,
        get_current_stream=lambda: LOG.stream,
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        runtime=types.SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            pointerGetAttributes=lambda address: types.SimpleNamespace(device=address // 4096 - 1),
        ),
        driver=types.SimpleNamespace(CUDADriverError=CUDADriverError),
        compiler=types.SimpleNamespace(CompileException=CompileException),
    )
    return cupy  # type: ignore[no-any-return]


def make_torch(address: int | None) -> types.ModuleType:
    """Torch as far as its current stream goes; None: CUDA is not in use."""
    torch: Any = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(
        is_initialized=lambda: address is not None,
        current_stream=lambda index: types.SimpleNamespace(cuda_stream=address + index),
    )
    return torch  # type: ignore[no-any-return]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    name = "gscodec.cuda.cupy_runtime"
    monkeypatch.setitem(sys.modules, "cupy", make_cupy())
    monkeypatch.setitem(sys.modules, "torch", make_torch(None))
    monkeypatch.delitem(sys.modules, name, raising=False)
    LOG.__init__()  # type: ignore[misc]
    LOG.streams.append(Stream("cupy's"))
    yield importlib.import_module(name)
    assert [stream.name for stream in LOG.streams] == ["cupy's"]
    sys.modules.pop(name, None)


@pytest.fixture
def runtime(module: Any) -> Any:
    made = module.CupyRuntime(0)
    LOG.events.clear()
    return made


def test_a_family_is_compiled_once_for_each_set_of_defines(runtime: Any) -> None:
    first = runtime.kernel("tile_bin", "sum_chunks", A=1, B=2)
    assert first is runtime.kernel("tile_bin", "sum_chunks", B=2, A=1)
    assert runtime.kernel("tile_bin", "scan_chunks", A=1, B=2) is not first
    runtime.kernel("sample", "sample_points", A=1)
    assert [event for event in LOG.events if event[0] == "compiled"] == [
        ("compiled", ("-std=c++17", "--fmad=false"), "nvrtc", True),
        ("compiled", ("-std=c++17", "--fmad=false"), "nvrtc", True),
    ]
    with pytest.raises(KeyError):
        runtime.kernel("tile_bin", "no_such")
    with pytest.raises(KeyError):
        runtime.kernel("no_such", "sum_chunks")


def test_a_null_pointer_is_eight_bytes(runtime: Any) -> None:
    """CuPy would pass None on as an argument that has no storage at all."""
    kernel = runtime.kernel("tile_bin", "sum_chunks")
    kernel((np.int64(3), 2), np.int32(64), None, np.int32(5))
    name, grid, block, args, _ = LOG.events[-1]
    assert (name, grid, block) == ("sum_chunks", (3, 2), (64,))
    assert args == (0, 5)
    assert [type(arg) for arg in args] == [np.uint64, np.int32]
    assert kernel.attributes == {"num_regs": 40}
    kernel(np.int64(7), 64)
    assert LOG.events[-1][1] == (7,)
    with pytest.raises(TypeError):
        kernel(1.5, 64)


@pytest.mark.parametrize(
    ("address", "stream"), [(None, "cupy's"), (0, "null"), (4096, "external 4096")], ids=["unused", "default", "own"]
)
def test_work_goes_to_the_stream_of_torch_if_it_uses_cuda(
    runtime: Any, monkeypatch: pytest.MonkeyPatch, address: int | None, stream: str
) -> None:
    kernel = runtime.kernel("tile_bin", "sum_chunks")
    monkeypatch.setitem(sys.modules, "torch", make_torch(address))
    with runtime, runtime:
        kernel(1, 32)
    assert next(event for event in LOG.events if event[0] == "sum_chunks")[-1] == stream
    runtime.synchronize()
    assert ("synchronize", stream) in LOG.events


def test_a_step_is_called_then_captured_then_replayed(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = runtime.kernel("tile_bin", "sum_chunks")
    monkeypatch.setitem(sys.modules, "torch", make_torch(4096))

    def step() -> None:
        with runtime:
            kernel(1, 32)
            kernel(2, 32)

    replay = runtime.record(step)
    LOG.events.clear()
    for _ in range(3):
        replay()
    what = [event[0] for event in LOG.events if not event[0].startswith("device")]
    assert what == ["sum_chunks", "sum_chunks", "captured", "captured", "graph", "graph"]
    assert replay.is_graph
    assert ("graph", "external 4096") in LOG.events


def test_a_step_that_no_graph_takes_is_called_and_said_to_be(runtime: Any) -> None:
    kernel = runtime.kernel("tile_bin", "sum_chunks")
    replay = runtime.record(lambda: kernel(1, 32))
    LOG.capture_fails = True
    LOG.events.clear()
    replay()
    text = "device cuda:0: no CUDA graph: cudaErrorStreamCaptureInvalidated; kernels are launched one by one, which is"
    with pytest.warns(DeviceWarning, match=text):
        replay()
    replay()
    what = [event[0] for event in LOG.events if not event[0].startswith("device")]
    assert what == ["sum_chunks", "captured", "sum_chunks", "sum_chunks"]
    assert not replay.is_graph
    other = runtime.record(lambda: kernel(1, 32))
    for _ in range(2):
        other()  # a second warning would be an error here
    assert not other.is_graph


def test_what_no_graph_takes_in_the_middle_of_a_step_is_said(runtime: Any) -> None:
    """The call that may not be captured tells more than the capture's end, which fails for that reason."""
    kernel = runtime.kernel("tile_bin", "sum_chunks")

    def step() -> None:
        with runtime:
            kernel(1, 32)
            if LOG.stream.capturing:
                LOG.capture_fails = True
                raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: not permitted")

    replay = runtime.record(step)
    replay()
    with pytest.warns(DeviceWarning, match="no CUDA graph: cudaErrorStreamCaptureUnsupported: not permitted;"):
        replay()


def test_a_step_that_fails_leaves_no_capture_behind(runtime: Any) -> None:
    calls = []

    def step() -> None:
        calls.append(LOG.stream.capturing)
        if len(calls) == 2:
            raise ValueError("of its own")

    replay = runtime.record(step)
    replay()
    with pytest.raises(ValueError, match="of its own"):
        replay()
    replay()
    assert calls == [False, True, True]


def test_too_little_memory_names_bytes_needed_and_free(runtime: Any) -> None:
    text = "device cuda:0: 1,234,567 bytes are needed, 1,000 of 2,000,000 bytes are free"
    with pytest.raises(OutOfDeviceMemory) as caught, runtime, runtime:
        raise OutOfMemoryError("Out of memory allocating 1,234,567 bytes (allocated so far: 5 bytes).")
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            CompileException("\n/tmp/k.cu(3): error: expected a ;\n1 error detected\n"),
            "/tmp/k.cu(3): error: expected a ;",
        ),
        (
            CUDADriverError("CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image"),
            "CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image",
        ),
        (CompileException(""), "CompileException"),
    ],
    ids=["text", "driver", "silent"],
)
@pytest.mark.parametrize("is_ahead", [False, True])
def test_a_kernel_that_does_not_load_is_one_line(runtime: Any, fault: Exception, reason: str, is_ahead: bool) -> None:
    LOG.refuses = fault
    if is_ahead:
        runtime.compile_ahead([("tile_bin", {})])
    with pytest.raises(BackendUnavailable) as caught, runtime:
        runtime.kernel("tile_bin", "sum_chunks")
    assert str(caught.value) == f"device cuda:0: tile_bin.cu does not compile or load: {reason}; use --device cpu"
    LOG.refuses = None
    runtime.kernel("tile_bin", "sum_chunks")(1, 32)  # it is tried again


@pytest.mark.parametrize("error", [CUDARuntimeError, CUDADriverError])
def test_a_fault_of_a_kernel_is_one_line(runtime: Any, error: type[Exception]) -> None:
    text = "device cuda:0: it stopped: an illegal memory access was encountered; use --device cpu"
    with pytest.raises(BackendUnavailable) as caught, runtime, runtime:
        raise error("an illegal memory access was encountered")
    assert str(caught.value) == text
    LOG.is_broken = True  # the context is lost, and every later call says so
    with pytest.raises(BackendUnavailable, match="it stopped: cudaErrorIllegalAddress"):
        runtime.synchronize()


def test_families_are_compiled_ahead_side_by_side_and_once(runtime: Any) -> None:
    together = threading.Barrier(3, timeout=60)  # two that compile and this thread, all at the same time
    LOG.compiling = together.wait
    runtime.compile_ahead([("tile_bin", {"A": 1}), ("sample", {"A": 1}), ("tile_bin", {"A": 1})])
    runtime.compile_ahead([("sample", {"A": 1})])
    together.wait()
    LOG.compiling = lambda: pytest.fail("compiled twice")
    runtime.kernel("tile_bin", "sum_chunks", A=1)
    runtime.kernel("tile_bin", "scan_chunks", A=1)
    runtime.kernel("sample", "sample_points", A=1)
    assert len([event for event in LOG.events if event[0] == "compiled"]) == 2


def test_a_copy_waits_for_the_kernels_and_the_host_for_the_copy(
    runtime: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy's stream waits for what computes, and nothing but the host waits for the copy."""
    monkeypatch.setitem(sys.modules, "torch", make_torch(4096))
    there = runtime.upload(np.arange(6, dtype=np.int32).reshape(2, 3))
    staging = runtime.staging(24)
    LOG.events.clear()
    staging.send(there)
    sent = [event for event in LOG.events if not event[0].startswith("device")]
    computing = "external 4096"
    assert sent == [("recorded", computing), ("waits", "own", computing), ("copies", "own", 24), ("recorded", "own")]
    LOG.events.clear()
    assert staging.receive().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert [event for event in LOG.events if not event[0].startswith("device")] == [("synchronize", "own")]
    LOG.events.clear()
    staging.send(there[:1])
    staging.close()
    staging.close()
    assert LOG.events.count(("synchronize", "own")) == 1
    with pytest.raises(module.InvalidArgument, match="nothing was sent"):
        staging.receive()
    with pytest.raises(module.InvalidArgument, match="24 contiguous fit"):
        staging.send(runtime.upload(np.zeros(7, np.int32)))


class Other:
    """An array of another library."""

    def __init__(self, where: tuple[int, int], fault: Exception | None = None) -> None:
        self.where, self.fault = where, fault

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.where


class Old:
    """One that knows no DLPack."""

    def __init__(self, index: int, read_only: bool) -> None:
        self.__cuda_array_interface__ = {"data": (4096 * (index + 1), read_only)}


def test_arrays_of_other_libraries_are_shared(runtime: Any, module: Any) -> None:
    own = runtime.upload(np.zeros(3))
    assert runtime.adopt(own) is own
    assert runtime.adopt(np.zeros(3)) is None
    assert runtime.adopt([1, 2]) is None
    assert runtime.adopt(Other((1, 0))) is None
    for kind in (2, 13):
        shared = Other((kind, 0))
        assert runtime.adopt(shared) == ("shared", shared)
    old = Old(0, read_only=False)
    assert runtime.adopt(old) is old
    for wrong, text in (
        (Other((2, 1)), "Other lies on cuda:1, not on cuda:0"),
        (Old(3, read_only=False), "Old lies on cuda:3, not on cuda:0"),
        (Old(0, read_only=True), "Old cannot be written to: it is read-only"),
        (Other((2, 0), BufferError("it requires grad\nand more")), "Other cannot be written to: it requires grad"),
    ):
        with pytest.raises(module.InvalidArgument) as caught:
            runtime.adopt(wrong)
        assert str(caught.value) == text


def test_where_no_memory_can_be_pinned_copies_are_plain(runtime: Any, module: Any) -> None:
    LOG.refuses = CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
    staging = runtime.staging(1 << 40)
    assert type(staging) is module.PlainStaging
    LOG.refuses = None
    staging.send(runtime.upload(np.arange(3)))
    assert staging.receive().tolist() == [0, 1, 2]


def test_what_is_free_is_the_device_s_and_the_pool_s(runtime: Any) -> None:
    assert runtime.free_bytes() == 1_234


def test_arrays_cross_as_contiguous_copies(runtime: Any) -> None:
    source = np.arange(12).reshape(3, 4).T
    there = runtime.upload(source)
    assert there.flags.c_contiguous
    source[0, 0] = 99
    back = runtime.download(there)
    assert type(back) is np.ndarray
    assert back[0, 0] == 0


def test_a_card_that_does_not_work_is_one_line(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(**kwargs: Any) -> None:
        assert set(kwargs) == {"code"}
        raise RuntimeError('Failure finding "libnvrtc.so.12"\nand more')

    monkeypatch.setattr(module.cupy, "RawModule", no_compiler)
    with pytest.raises(BackendUnavailable) as caught:
        module.CupyRuntime(1)
    text = 'device cuda:1: CuPy 99 cannot use it: Failure finding "libnvrtc.so.12"; use --device cpu'
    assert str(caught.value) == text


def test_a_card_that_computes_nothing_is_found(module: Any) -> None:
    LOG.answer = 41
    with pytest.raises(BackendUnavailable, match="a first kernel had no effect"):
        module.CupyRuntime(0)
