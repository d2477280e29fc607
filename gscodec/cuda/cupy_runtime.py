"""Runtime of a GPU: CuPy manages memory and streams, NVRTC compiles the kernels.

Arrays are cupy.ndarray. They are shared with torch by DLPack without copies: `runtime.xp.from_dlpack(tensor)` and
`torch.from_dlpack(array)`; both synchronise the two libraries' streams if these differ.
"""

import operator
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final

import cupy
import numpy as np
import numpy.typing as npt

from gscodec.cuda import sources
from gscodec.cuda.runtime import Array, Define, PlainStaging
from gscodec.errors import BackendUnavailable, DeviceWarning, InvalidArgument, OutOfDeviceMemory

_FIRST_KERNEL: Final = 'extern "C" __global__ void answer(int* to) { *to = 42; }'

_FAULTS: Final = (cupy.cuda.driver.CUDADriverError, cupy.cuda.runtime.CUDARuntimeError)
"""Errors reported by the driver: a module that does not load, a launch that failed, an invalid memory access."""

_REFUSED: Final = (cupy.cuda.compiler.CompileException, *_FAULTS)
"""Errors of compiling and loading a kernel."""

_DLPACK_GPUS: Final = (2, 13)
"""DLPack device types of NVIDIA GPU memory and of managed memory."""

_ModuleKey = tuple[str, tuple[tuple[str, Define], ...]]


class CupyRuntime:
    """`Runtime` on GPU `index`.

    Work is launched on the stream that is current when the runtime is entered: torch's if torch uses CUDA in this
    process, else CuPy's. CuPy caches compiled kernels on disk, keyed by their text.

    Raises:
        BackendUnavailable: the GPU or its compiler does not work.
        OutOfDeviceMemory: other programs have left too little memory.
    """

    def __init__(self, index: int = 0) -> None:
        self.name = f"cuda:{index}"
        self.xp: Any = cupy
        self._device = cupy.cuda.Device(index)
        self._modules: dict[_ModuleKey, Future[Any]] = {}
        self._kernels: dict[Any, CupyKernel] = {}
        self._lock = threading.Lock()  # guards the two
        self._current = _Current()
        self._warned = False
        self._try_out()

    def kernel(self, family: str, entry: str, **defines: Define) -> "CupyKernel":
        """See `Runtime.kernel`."""
        module_key = _key_of(family, defines)
        key = (entry, module_key)
        if key not in self._kernels:
            if entry not in sources.entries(family):
                raise KeyError(f"{family}.cu has no kernel {entry}")
            with self._lock:
                is_new = module_key not in self._modules
                module = self._modules.setdefault(module_key, Future())
            if is_new:
                self._compile(module_key, module)
            with self:
                self._kernels[key] = CupyKernel(self._function(module.result(), family, entry))
        return self._kernels[key]

    def compile_ahead(self, wanted: Iterable[tuple[str, Mapping[str, Define]]]) -> None:
        """See `Runtime.compile_ahead`. NVRTC works outside of the interpreter's lock, so threads do it at once."""
        with self._lock:
            keys = (_key_of(family, defines) for family, defines in wanted)
            new: dict[_ModuleKey, Future[Any]] = {key: Future() for key in keys if key not in self._modules}
            self._modules |= new
        if new:
            pool = ThreadPoolExecutor(min(len(new), os.cpu_count() or 1), "gscodec-nvrtc")
            for item in new.items():
                pool.submit(self._compile, *item)
            pool.shutdown(wait=False)

    def _compile(self, key: _ModuleKey, promise: "Future[Any]") -> None:
        """Complete a promise of `_modules`; a failed one is removed."""
        family, defines = key
        try:
            with self:
                text, options = sources.source(family, dict(defines)), sources.options(family)
                module = cupy.RawModule(code=text, options=options, backend="nvrtc")
                self._function(module, family, sources.entries(family)[0])  # CuPy compiles on the first access
        except BaseException as error:
            del self._modules[key]
            promise.set_exception(error)
        else:
            promise.set_result(module)

    def _function(self, module: Any, family: str, entry: str) -> Any:
        try:
            return module.get_function(entry)
        except _REFUSED as error:
            raise BackendUnavailable(
                f"device {self.name}: {family}.cu does not compile or load: {_first_line(error)}; use --device cpu"
            ) from error

    def upload(self, array: npt.NDArray[Any]) -> Array:
        """See `Runtime.upload`."""
        with self:
            return cupy.array(array, order="C")

    def download(self, array: Array) -> npt.NDArray[Any]:
        """See `Runtime.download`."""
        with self:
            return np.asarray(array.get(order="C"))

    def adopt(self, array: Any) -> Array | None:
        """See `Runtime.adopt`. DLPack orders the streams; of what has none, the interface that Numba began."""
        index = _gpu_of(array)
        if index is None:
            return None
        if index != int(self._device.id):
            raise InvalidArgument(f"{type(array).__name__} lies on cuda:{index}, not on {self.name}")
        with self:
            try:
                return array if isinstance(array, cupy.ndarray) else _shared(array)
            except (BufferError, RuntimeError, TypeError, ValueError) as error:  # each library raises its own type
                raise InvalidArgument(f"{type(array).__name__} cannot be written to: {_first_line(error)}") from error

    def staging(self, n_bytes: int) -> "CupyStaging | PlainStaging":
        """See `Runtime.staging`."""
        with self:
            try:
                return CupyStaging(self, n_bytes)
            except _FAULTS:  # no memory left to pin; any other fault is reported by the next call
                return PlainStaging(self.download)

    def free_bytes(self) -> int:
        """See `Runtime.free_bytes`."""
        with self:
            return int(self._device.mem_info[0]) + int(cupy.get_default_memory_pool().free_bytes())

    def record(self, step: Callable[[], None]) -> "CupyRecorded":
        """See `Runtime.record`. The first repeat is a plain call, which compiles what is missing.

        Warns:
            DeviceWarning: once, if CUDA cannot record a step as a graph.
        """
        return CupyRecorded(self, step)

    def warn_of_plain_launches(self, reason: str) -> None:
        """Warn once that launches are made one by one, which takes several times as long as a graph."""
        if not self._warned:
            self._warned = True
            text = f"device {self.name}: no CUDA graph: {reason}; kernels are launched one by one, which is slower"
            warnings.warn(text, DeviceWarning, stacklevel=3)

    def synchronize(self) -> None:
        """See `Runtime.synchronize`."""
        with self:
            cupy.cuda.get_current_stream().synchronize()

    def __enter__(self) -> "CupyRuntime":
        with ExitStack() as stack:
            try:
                stack.enter_context(self._device)
                stream = self._current.recording or _stream_of_torch(int(self._device.id))
                if stream is not None:
                    stack.enter_context(stream)
            except _FAULTS as error:  # after a fault the driver refuses all further calls of this process
                raise self._stopped(error) from error
            self._current.entered.append(stack.pop_all())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fault = self._fault(error)
        self._current.entered.pop().close()
        if fault:
            raise fault from error

    def _fault(self, error: BaseException | None) -> BackendUnavailable | OutOfDeviceMemory | None:
        """Device error as an error of this library; None for others, and for those that end a recording."""
        if isinstance(error, cupy.cuda.memory.OutOfMemoryError):
            return self._memory_fault(error)
        if isinstance(error, _FAULTS) and self._current.recording is None:
            return self._stopped(error)
        return None

    def _stopped(self, error: BaseException) -> BackendUnavailable:
        return BackendUnavailable(f"device {self.name}: it stopped: {_first_line(error)}; use --device cpu")

    def _memory_fault(self, error: BaseException) -> OutOfDeviceMemory:
        """OutOfDeviceMemory for a CuPy error; CuPy has freed its unused memory by then."""
        asked = re.search(r"allocating ([\d,]+) bytes", str(error))
        needed = f"{asked[1]} bytes are" if asked else "more memory is"
        free, total = self._device.mem_info
        return OutOfDeviceMemory(f"device {self.name}: {needed} needed, {free:,} of {total:,} bytes are free")

    def _try_out(self) -> None:
        """Run one kernel and check its result, so that a GPU that does not work is detected before it is used."""
        try:
            with self:
                answer = cupy.zeros(1, cupy.int32)
                cupy.RawModule(code=_FIRST_KERNEL).get_function("answer")((1,), (1,), (answer,))
                works = int(answer.get()[0]) == 42
        except OutOfDeviceMemory:
            raise
        except Exception as error:  # raised by the driver, NVRTC or a library that does not load: each has its own type
            reason = _first_line(error.__cause__ if isinstance(error, BackendUnavailable) else error)
            raise BackendUnavailable(
                f"device {self.name}: CuPy {cupy.__version__} cannot use it: {reason}; use --device cpu"
            ) from error
        if not works:
            raise BackendUnavailable(f"device {self.name}: a first kernel had no effect; use --device cpu")


class _Current(threading.local):
    """Per-thread state, like CuPy's current stream."""

    def __init__(self) -> None:
        self.entered: list[ExitStack] = []
        self.recording: Any = None  # stream on which a step is being recorded


class CupyStaging:
    """`Staging` in page-locked memory. Copies use a stream of their own, ordered with the current one by events.

    Raises:
        CUDARuntimeError: there is no memory to pin.
    """

    def __init__(self, runtime: CupyRuntime, n_bytes: int) -> None:
        self._runtime = runtime
        self._memory = cupy.cuda.alloc_pinned_memory(max(n_bytes, 1))
        self._bytes = np.frombuffer(self._memory, np.uint8, n_bytes)
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._computed, self._copied = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
        self._sent: Array | None = None  # keeps its memory from being reused during the copy

    def send(self, array: Array) -> None:
        """See `Staging.send`."""
        if array.nbytes > len(self._bytes) or not array.flags.c_contiguous:
            raise InvalidArgument(f"an array of {array.nbytes} bytes is sent where {len(self._bytes)} contiguous fit")
        self.close()
        with self._runtime:
            self._computed.record()
            self._stream.wait_event(self._computed)
            self._sent = array
            array.data.copy_to_host_async(self._memory.ptr, array.nbytes, self._stream)
            self._copied.record(self._stream)

    def receive(self) -> npt.NDArray[Any]:
        """See `Staging.receive`."""
        array = self._sent
        if array is None:
            raise InvalidArgument("nothing was sent")
        self.close()
        return np.asarray(self._bytes[: array.nbytes].view(array.dtype).reshape(array.shape))

    def close(self) -> None:
        """See `Staging.close`."""
        if self._sent is not None:
            with self._runtime:
                self._copied.synchronize()
            self._sent = None


class CupyKernel:
    """`Kernel` of a compiled module."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, grid: int | tuple[int, ...], block: int, *args: Array | np.generic | None) -> None:
        """See `Kernel`."""
        # CuPy takes a tuple of blocks, and no integers of NumPy's.
        blocks = tuple(operator.index(number) for number in (grid if isinstance(grid, tuple) else (grid,)))
        self._function(blocks, (operator.index(block),), tuple(map(_argument, args)))

    @property
    def attributes(self) -> dict[str, int]:
        """Registers, local and shared bytes and more, as reported by the driver for this GPU."""
        return dict(self._function.attributes)


_NULL = np.uint64(0)


def _argument(arg: Array | np.generic | None) -> Array | np.generic:
    """An argument as CuPy passes it by value."""
    if arg is None:  # which CuPy takes for an argument without storage, and the driver then reads through
        return _NULL
    return np.array(arg) if isinstance(arg, np.void) else arg  # a struct goes as an array of one


class CupyRecorded:
    """`Recorded` as one CUDA graph from the second repeat on, or plain launches if that is not possible."""

    def __init__(self, runtime: CupyRuntime, step: Callable[[], None]) -> None:
        self._runtime = runtime
        self._step = step  # keeps the arrays whose addresses are in the graph
        self._graph: Any = None
        self._compiled = False
        self._impossible = False

    @property
    def is_graph(self) -> bool:
        """See `Recorded.is_graph`."""
        return self._graph is not None

    def __call__(self) -> None:
        """See `Recorded`."""
        with self._runtime:
            if self._compiled and self._graph is None and not self._impossible:
                self._capture()
            if self._graph is None:
                self._step()
                self._compiled = True
            else:
                self._graph.launch()

    def _capture(self) -> None:
        """Record the launches without running them, on a stream other than the default one, which cannot record."""
        stream, current = cupy.cuda.Stream(non_blocking=True), self._runtime._current
        try:
            stream.begin_capture()
            try:
                current.recording = stream
                with self._runtime:
                    self._step()
            finally:
                current.recording = None
                graph = stream.end_capture()
        except _FAULTS as error:
            self._impossible = True  # contains an operation that graphs do not support
            self._runtime.warn_of_plain_launches(_first_line(error.__context__ or error))
        else:
            self._graph = graph


class _TorchStream:
    """A torch stream with the protocol through which CuPy accepts other libraries' streams."""

    def __init__(self, address: int) -> None:
        self._address = address

    def __cuda_stream__(self) -> tuple[int, int]:
        """Protocol version, and address of the stream."""
        return 0, self._address


def _stream_of_torch(index: int) -> Any:
    """Torch's current stream as a CuPy stream; None if torch has not used CUDA in this process."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    address = int(torch.cuda.current_stream(index).cuda_stream)
    if not address:
        return cupy.cuda.Stream.null
    if hasattr(cupy.cuda.Stream, "from_external"):
        return cupy.cuda.Stream.from_external(_TorchStream(address))
    return cupy.cuda.ExternalStream(address, index)  # CuPy 13


def _gpu_of(array: Any) -> int | None:
    """Index of the GPU that an array lies on; None if it lies on none."""
    if isinstance(array, cupy.ndarray):
        return int(array.__dlpack_device__()[1])
    if isinstance(array, np.ndarray):
        return None
    if hasattr(array, "__dlpack_device__"):
        kind, index = array.__dlpack_device__()
        return int(index) if int(kind) in _DLPACK_GPUS else None
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is None:
        return None
    return int(cupy.cuda.runtime.pointerGetAttributes(interface["data"][0]).device)


def _shared(array: Any) -> Array:
    """The array's memory as a CuPy array."""
    if hasattr(array, "__dlpack_device__"):
        return cupy.from_dlpack(array)
    if array.__cuda_array_interface__["data"][1]:
        raise ValueError("it is read-only")
    return cupy.asarray(array)


def _key_of(family: str, defines: Mapping[str, Define]) -> _ModuleKey:
    return family, tuple(sorted(defines.items()))


def _first_line(error: BaseException | None) -> str:
    """The first line of a CuPy error, whose text may have hundreds of lines."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
