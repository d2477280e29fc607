"""The runtime of a real card: CuPy holds memory and streams, NVRTC compiles the kernels.

Arrays are cupy.ndarray. They cross to torch and back without a copy by DLPack: `runtime.xp.from_dlpack(tensor)` and
`torch.from_dlpack(array)`; both order the two libraries' streams where these differ.
"""

import re
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import cupy
import numpy as np
import numpy.typing as npt

from gscodec.cuda import sources
from gscodec.cuda.runtime import Array, Define
from gscodec.errors import BackendUnavailable, OutOfDeviceMemory

_FIRST_KERNEL = 'extern "C" __global__ void answer(int* to) { *to = 42; }'


class CupyRuntime:
    """`Runtime` on card `index`.

    Work goes to the stream that is current when the runtime is entered: torch's, once torch uses CUDA in this process,
    else CuPy's. Compiled kernels are kept on disk by CuPy, keyed by their text.

    Raises:
        BackendUnavailable: the card or its compiler does not work here.
        OutOfDeviceMemory: other programs left no memory on it.
    """

    def __init__(self, index: int = 0) -> None:
        self.name = f"cuda:{index}"
        self.xp: Any = cupy
        self._device = cupy.cuda.Device(index)
        self._modules: dict[Any, Any] = {}
        self._kernels: dict[Any, CupyKernel] = {}
        self._current = _Current()
        self._try_out()

    def kernel(self, family: str, entry: str, **defines: Define) -> "CupyKernel":
        """See `Runtime.kernel`."""
        module_key = (family, tuple(sorted(defines.items())))
        key = (entry, module_key)
        if key not in self._kernels:
            if entry not in sources.entries(family):
                raise KeyError(f"{family}.cu has no kernel {entry}")
            with self:
                if module_key not in self._modules:
                    text, options = sources.source(family, defines), sources.options(family)
                    self._modules[module_key] = cupy.RawModule(code=text, options=options, backend="nvrtc")
                self._kernels[key] = CupyKernel(self._modules[module_key].get_function(entry))
        return self._kernels[key]

    def upload(self, array: npt.NDArray[Any]) -> Array:
        """See `Runtime.upload`."""
        with self:
            return cupy.array(array, order="C")

    def download(self, array: Array) -> npt.NDArray[Any]:
        """See `Runtime.download`."""
        with self:
            return np.asarray(array.get(order="C"))

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """See `Runtime.record`. The first repeat is a plain call, which compiles what is missing."""
        return _Recorded(self, step)

    def synchronize(self) -> None:
        """See `Runtime.synchronize`."""
        with self:
            cupy.cuda.get_current_stream().synchronize()

    def __enter__(self) -> "CupyRuntime":
        with ExitStack() as stack:
            stack.enter_context(self._device)
            stream = self._current.recording or _stream_of_torch(int(self._device.id))
            if stream is not None:
                stack.enter_context(stream)
            self._current.entered.append(stack.pop_all())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fault = self._memory_fault(error) if isinstance(error, cupy.cuda.memory.OutOfMemoryError) else None
        self._current.entered.pop().close()
        if fault:
            raise fault from error

    def _memory_fault(self, error: Exception) -> OutOfDeviceMemory:
        """The same in our words. CuPy has given its unused memory back by then."""
        asked = re.search(r"allocating ([\d,]+) bytes", str(error))
        needed = f"{asked[1]} bytes are" if asked else "more memory is"
        free, total = self._device.mem_info
        return OutOfDeviceMemory(f"device {self.name}: {needed} needed, {free:,} of {total:,} bytes are free")

    def _try_out(self) -> None:
        """One kernel, to and fro, so that a card that does not work is known before any work depends on it."""
        try:
            with self:
                answer = cupy.zeros(1, cupy.int32)
                cupy.RawModule(code=_FIRST_KERNEL).get_function("answer")((1,), (1,), (answer,))
                works = int(answer.get()[0]) == 42
        except OutOfDeviceMemory:
            raise
        except Exception as error:  # of the driver, of NVRTC, of a library that does not load: each has its own type
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BackendUnavailable(
                f"device {self.name}: CuPy {cupy.__version__} cannot use it: {reason}; use --device cpu"
            ) from error
        if not works:
            raise BackendUnavailable(f"device {self.name}: a first kernel had no effect; use --device cpu")


class _Current(threading.local):
    """What is current is so for one thread, as in CuPy."""

    def __init__(self) -> None:
        self.entered: list[ExitStack] = []
        self.recording: Any = None  # the stream that a step is being recorded on


class CupyKernel:
    """`Kernel` of a compiled module."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, grid: int | tuple[int, ...], block: int, *args: Array | np.generic | None) -> None:
        """See `Kernel`."""
        blocks = (grid,) if isinstance(grid, int) else grid
        # CuPy takes None for an argument without storage, which the driver then reads through: a null pointer has to
        # be spelled out.
        self._function(blocks, (block,), tuple(_NULL if arg is None else arg for arg in args))

    @property
    def attributes(self) -> dict[str, int]:
        """Registers, local and shared bytes and more, as the driver reports them for this card."""
        return dict(self._function.attributes)


_NULL = np.uint64(0)


class _Recorded:
    """A step that is launched as one CUDA graph from its second repeat on, or plainly where that is not possible."""

    def __init__(self, runtime: CupyRuntime, step: Callable[[], None]) -> None:
        self._runtime = runtime
        self._step = step  # holds the arrays that the graph has the addresses of
        self._graph: Any = None
        self._compiled = False
        self._impossible = False

    def __call__(self) -> None:
        with self._runtime:
            if self._compiled and self._graph is None and not self._impossible:
                self._capture()
            if self._graph is None:
                self._step()
                self._compiled = True
            else:
                self._graph.launch()

    def _capture(self) -> None:
        """Records the launches; none of them runs meanwhile. The default stream cannot do that, so another does."""
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
        except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError):
            self._impossible = True  # something in it that a graph does not take
        else:
            self._graph = graph


class _TorchStream:
    """The protocol by which CuPy takes the streams of others."""

    def __init__(self, address: int) -> None:
        self._address = address

    def __cuda_stream__(self) -> tuple[int, int]:
        """Version of the protocol, address."""
        return 0, self._address


def _stream_of_torch(index: int) -> Any:
    """Torch's current stream as one of CuPy's; None when torch has not used CUDA in this process."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    address = int(torch.cuda.current_stream(index).cuda_stream)
    if not address:
        return cupy.cuda.Stream.null
    if hasattr(cupy.cuda.Stream, "from_external"):
        return cupy.cuda.Stream.from_external(_TorchStream(address))
    return cupy.cuda.ExternalStream(address, index)  # CuPy 13
