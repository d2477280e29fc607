"""Where kernels run. All launch code is written once against `Runtime`.

`CupyRuntime` is a GPU. The tests have another that compiles the same kernel text for the host, so that everything but
the GPU itself is checked on machines without one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = Any
"""An array in the runtime's memory: cupy.ndarray on a card. Its dtype, shape, flags and views are NumPy's."""

Define: TypeAlias = int | str
"""Value of a macro of a kernel's text."""


class Kernel(Protocol):
    """One `__global__` function, compiled."""

    def __call__(self, grid: int | tuple[int, ...], block: int, *args: Array | np.generic | None) -> None:
        """Launches `grid` blocks of `block` threads, and does not wait.

        Args:
            grid: blocks; up to three numbers, x first.
            args: exactly the kernel's parameters: an array or None (the null pointer) for a pointer, a NumPy scalar of
                the parameter's very type for a value. A view passes its own first element. Kernels see neither shapes
                nor strides: check those before.
        """
        ...


class Recorded(Protocol):
    """A step that can be repeated."""

    @property
    def is_graph(self) -> bool:
        """Whether a repeat is one launch, of a CUDA graph; known from the second repeat on."""
        ...

    def __call__(self) -> None:
        """Repeats the step's launches, and does not wait."""
        ...


class Staging(Protocol):
    """Host memory that an array is copied to while the device goes on: pinned, with a stream of its own."""

    def send(self, array: Array) -> None:
        """Begins to copy a C-contiguous array once everything launched so far has ended, and does not wait.

        Until `receive` nothing may write to the array, and what the last one gave is no longer there.

        Raises:
            InvalidArgument: it is larger than the memory, or not contiguous.
        """
        ...

    def receive(self) -> npt.NDArray[Any]:
        """Waits for the copy. What it gives has the array's shape and dtype, and holds until the next `send`."""
        ...

    def close(self) -> None:
        """Waits for a copy that nobody received, so that its memory may go."""
        ...


@dataclass(frozen=True)
class PlainStaging:
    """`Staging` where nothing is pinned: a copy is made when it is asked for."""

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
    """`Recorded` where launches are made one by one."""

    step: Callable[[], None]
    is_graph: bool = False

    def __call__(self) -> None:
        """See `Recorded`."""
        self.step()


class Runtime(Protocol):
    """A device, its memory and the kernels compiled for it. Arrays of one runtime never go to another."""

    @property
    def name(self) -> str:
        """As a user writes it: `cuda:0`."""
        ...

    @property
    def xp(self) -> Any:
        """The array module, cupy on a card: empty, zeros, full, asarray, arange, views, elementwise arithmetic."""
        ...

    def kernel(self, family: str, entry: str, **defines: Define) -> Kernel:
        """Kernel `entry` of `family`.cu. A family is compiled once for each set of defines; later calls are a look-up.

        Raises:
            KeyError: no such family or entry.
            BackendUnavailable: it does not compile or load for this device.
        """
        ...

    def compile_ahead(self, wanted: Iterable[tuple[str, Mapping[str, Define]]]) -> None:
        """Begins to compile families with such defines side by side, and does not wait; `kernel` waits for its own.

        It may do nothing: what is missing is compiled when it is asked for.
        """
        ...

    def upload(self, array: npt.NDArray[Any]) -> Array:
        """A C-contiguous copy in the runtime's memory.

        Raises:
            OutOfDeviceMemory: it does not fit.
        """
        ...

    def download(self, array: Array) -> npt.NDArray[Any]:
        """A copy in host memory, made after everything launched so far has ended."""
        ...

    def adopt(self, array: Any) -> Array | None:
        """Another library's array as one of the runtime's, in the same memory; None where that is not this device's.

        Whoever gave it has no work left to do on it once the current stream comes to what is launched next.

        Raises:
            InvalidArgument: it lies on another GPU, or may not be written to.
        """
        ...

    def staging(self, n_bytes: int) -> Staging:
        """Host memory for copies of up to so many bytes that go on beside the kernels.

        `PlainStaging` where pinned memory cannot be had.
        """
        ...

    def free_bytes(self) -> int:
        """Bytes that arrays can still take, about: free on the device, or held by this process and unused."""
        ...

    def record(self, step: Callable[[], None]) -> Recorded:
        """What repeats the launches `step` makes, as one CUDA graph where that is possible.

        `step` may be called any number of times here or later, also not at all until the first repeat; it must make
        the same launches with the same arguments every time, allocate nothing and read nothing back.
        """
        ...

    def synchronize(self) -> None:
        """Waits until everything launched so far has ended."""
        ...

    def __enter__(self) -> "Runtime":
        """Makes device and stream current in this thread. May be nested."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restores what was current before. Errors of the device become OutOfDeviceMemory or BackendUnavailable."""
        ...
