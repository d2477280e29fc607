"""`Runtime`: interface to a device and its memory. All launch code is written once against it.

`CupyRuntime` is a GPU. The tests have another runtime that compiles the same kernels for the CPU, so that everything
but the GPU itself is tested on machines without one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = Any
"""An array in device memory: cupy.ndarray on a GPU. Its dtype, shape, flags and views are NumPy's."""

Define: TypeAlias = int | str
"""Value of a macro in a kernel's text."""


class Kernel(Protocol):
    """A compiled `__global__` function."""

    def __call__(self, grid: int | tuple[int, ...], block: int, *args: Array | np.generic | None) -> None:
        """Launch `grid` blocks of `block` threads, and return without waiting.

        Args:
            grid: number of blocks; up to three numbers, x first.
            args: the kernel's parameters, one by one: an array or None (the null pointer) for a pointer; for a value, a
                NumPy scalar of exactly the parameter's type, or of its size for a struct (`structs.packed`). A view
                passes its own first element. Kernels get neither shapes nor strides: check those before.
        """
        ...


class Recorded(Protocol):
    """A recorded step that can be repeated."""

    @property
    def is_graph(self) -> bool:
        """Whether a repeat is a single launch of a CUDA graph; known from the second repeat on."""
        ...

    def __call__(self) -> None:
        """Repeat the step's launches, and return without waiting."""
        ...


class Staging(Protocol):
    """Host memory that arrays are copied to while the device continues: pinned, with a stream of its own."""

    def send(self, array: Array) -> None:
        """Start copying a C-contiguous array after everything launched so far, and return without waiting.

        Until `receive`, nothing may write to the array, and the last result is invalid.

        Raises:
            InvalidArgument: the array is larger than the memory, or not contiguous.
        """
        ...

    def receive(self) -> npt.NDArray[Any]:
        """Wait for the copy; the result has the array's shape and dtype, and is valid until the next `send`."""
        ...

    def close(self) -> None:
        """Wait for a pending copy, so that its memory can be freed."""
        ...


@dataclass(frozen=True)
class PlainStaging:
    """`Staging` without pinned memory: the copy is made by `receive`."""

    download: Callable[[Array], npt.NDArray[Any]]
    _sent: list[Array] = field(default_factory=list)

    def send(self, array: Array) -> None:
        """See `Staging`."""
        self._sent[:] = [array]

    def receive(self) -> npt.NDArray[Any]:
        """See `Staging`."""
        return self.download(self._sent.pop())

    def close(self) -> None:
        """See `Staging`."""
        self._sent.clear()


@dataclass(frozen=True)
class PlainStep:
    """`Recorded` by single launches."""

    step: Callable[[], None]
    is_graph: bool = False

    def __call__(self) -> None:
        """See `Recorded`."""
        self.step()


class Runtime(Protocol):
    """A device, its memory and the kernels compiled for it. Arrays of one runtime cannot be used with another."""

    @property
    def name(self) -> str:
        """Device name: `cuda:0`."""
        ...

    @property
    def xp(self) -> Any:
        """The array module, cupy on a GPU: empty, zeros, full, asarray, arange, views, elementwise arithmetic."""
        ...

    def kernel(self, family: str, entry: str, **defines: Define) -> Kernel:
        """Kernel `entry` of `family`.cu. A family is compiled once per set of defines; later calls are a look-up.

        Raises:
            KeyError: the family or entry does not exist.
            BackendUnavailable: compilation or loading fails on this device.
        """
        ...

    def compile_ahead(self, wanted: Iterable[tuple[str, Mapping[str, Define]]]) -> None:
        """Start compiling families with these defines in parallel, and return; `kernel` waits for its own.

        May do nothing: `kernel` compiles what is missing.
        """
        ...

    def upload(self, array: npt.NDArray[Any]) -> Array:
        """A C-contiguous copy in device memory.

        Raises:
            OutOfDeviceMemory: the array does not fit.
        """
        ...

    def download(self, array: Array) -> npt.NDArray[Any]:
        """A copy in host memory, made after everything launched so far has finished."""
        ...

    def adopt(self, array: Any) -> Array | None:
        """Another library's array as an array of the runtime, without a copy; None if it is not on this device.

        The other library's pending work on it is ordered before later launches on the current stream.

        Raises:
            InvalidArgument: the array lies on another GPU, or is read-only.
        """
        ...

    def staging(self, n_bytes: int) -> Staging:
        """Host memory for copies of up to n_bytes bytes that overlap with kernels.

        `PlainStaging` if memory cannot be pinned.
        """
        ...

    def free_bytes(self) -> int:
        """Approximate number of bytes that can be allocated: free on the device, or held by this process and unused."""
        ...

    def record(self, step: Callable[[], None]) -> Recorded:
        """Recorded launches of `step`, as one CUDA graph if possible.

        `step` may be called any number of times, now or later, or not before the first repeat; it must make the same
            launches with the same arguments every time, allocate nothing and read nothing back.
        """
        ...

    def synchronize(self) -> None:
        """Wait for everything launched so far."""
        ...

    def __enter__(self) -> "Runtime":
        """Make device and stream current in this thread. May be nested."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the previous device and stream. Device errors become OutOfDeviceMemory or BackendUnavailable."""
        ...
