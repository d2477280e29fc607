"""Arrays of the host shim, as strict as a GPU's: they stand apart from NumPy's, and going over their end is an error.

Each array made here lies in pages of its own, its end within 16 bytes of a page that faults. Fresh memory and the rest
of the pages hold NaN; what stood in the rest is compared after every launch.
"""

import ctypes
import mmap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

POISON = np.uint32(0xFFFDFACE)
"""NaN as float32 and, twice, as float64; -132402 as int32. kPoison in shim/fibers.h."""

_ALIGNMENT = 16  # what a kernel may assume for a vector load
_PAGE = mmap.PAGESIZE
_POISONED_PAGE = np.full(_PAGE // 4, POISON, np.uint32).tobytes()
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class _Entered(threading.local):
    """Devices that a thread has entered, the current one last; and what a step that it records must not do."""

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.refuse: Callable[[str], None] | None = None

    def check(self, what: str) -> None:
        """Refuses where a step is being recorded."""
        if self.refuse:
            self.refuse(what)


ENTERED = _Entered()


def current_device() -> int:
    """Index of the current device: as in CUDA, 0 until another is entered."""
    return ENTERED.indices[-1] if ENTERED.indices else 0


COMPILED: list[set[str]] = []
"""Receivers of what CuPy would compile at run time: a program for each operation and its types."""

_BUILT_IN = frozenset({"zeros", "asarray", "from_dlpack", "sort", "argsort", "moveaxis", "reshape", "transpose"})
"""Functions that compile nothing: they fill with zeros, copy as it is, make a view, or are built into CuPy (Thrust)."""


@contextmanager
def noting_programs() -> Iterator[set[str]]:
    """What CuPy would compile meanwhile for operations on arrays: `add float32 float32`."""
    found: set[str] = set()
    COMPILED.append(found)
    try:
        yield found
    finally:
        COMPILED.remove(found)


def _compiles(name: str, *operands: Any) -> None:
    kinds = [str(part.dtype) for part in operands if isinstance(part, np.ndarray | np.generic)]
    for found in COMPILED:
        found.add(" ".join([name, *kinds]))


class Block(mmap.mmap):
    """Pages around `n_bytes` of data, with one that faults on either side."""

    device: int
    start: int
    n_bytes: int
    first: int
    """Offset of the data from `start`, the address of the first page."""

    @staticmethod
    def of(n_bytes: int) -> "Block":
        """Fresh memory, all of it poison."""
        ENTERED.check("makes an array")
        room = -(-n_bytes // _ALIGNMENT) * _ALIGNMENT
        inner = -(-max(room, 1) // _PAGE) * _PAGE
        block = Block(-1, inner + 2 * _PAGE)
        pages = np.frombuffer(block, np.uint8)
        pages[_PAGE:-_PAGE].view(np.uint32).fill(POISON)
        block.device = current_device()
        block.start = int(pages.ctypes.data)
        block.n_bytes = n_bytes
        block.first = _PAGE + inner - room
        for at in (block.start, block.start + _PAGE + inner):
            if _LIBC.mprotect(at, _PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        return block

    def damage(self) -> int | None:
        """Offset from the data of a byte outside of it that was written, if there is one."""
        for begin, end in ((_PAGE, self.first), (self.first + self.n_bytes, len(self) - _PAGE)):
            within = begin % _PAGE  # neither range reaches over the end of a page
            found, expected = self[begin:end], _POISONED_PAGE[within : within + end - begin]
            if found != expected:
                wrong = next(k for k in range(len(found)) if found[k] != expected[k])
                return begin + wrong - self.first
        return None


def block_of(array: npt.NDArray[Any]) -> Block | None:
    """The block an array lies in, if it was made here."""
    owner: Any = array
    while owner is not None:
        if isinstance(owner, Block):
            return owner
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
    return None


class DeviceArray(np.ndarray[Any, Any]):
    """A NumPy array that keeps CuPy's rules: no mixing with NumPy arrays, and no silent scalars."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """As CuPy: all operands are of the device."""
        _compiles(ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}", *inputs)
        out = kwargs.get("out")
        if out is not None:
            kwargs["out"] = tuple(_plain(part) for part in out)
        result = getattr(ufunc, method)(*(_plain(part) for part in inputs), **kwargs)
        if out is not None:
            return out[0] if len(out) == 1 else out
        return on_device(result)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        """As CuPy: all arguments are of the device."""
        if func.__name__ not in _BUILT_IN:
            _compiles(func.__name__, *args)
        return on_device(func(*_plain(args), **_plain(kwargs)))

    def __setitem__(self, key: Any, value: Any) -> None:
        """As CuPy: what is stored lies on the device too, or is one number."""
        if _has_arrays(key):
            _compiles("scatter", self)
        else:
            self._note_copy(super().__getitem__(key), value)
        super().__setitem__(_plain(key), _plain(value))

    @staticmethod
    def _note_copy(to: Any, value: Any) -> None:
        """A copy into a view: CuPy lets the driver do it where types and layouts are the same, and compiles else."""
        if isinstance(value, np.ndarray):
            is_same = to.shape == value.shape and to.strides == value.strides and to.dtype == value.dtype
            if not (is_same and to.flags.c_contiguous):
                _compiles("copy", value, to)
        elif value != 0 or not to.flags.c_contiguous:
            _compiles("fill", to)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """As CuPy: a kernel, unless it is left as it is."""
        if kwargs.get("copy", True) or self.dtype != np.dtype(dtype):
            _compiles("copy", self, np.empty(0, dtype))
        plain = self.view(np.ndarray)
        made = plain.astype(dtype, *args, **kwargs)
        return self if made is plain else on_device(made)

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        """As CuPy: a kernel where there are gaps."""
        if not self.flags.c_contiguous:
            _compiles("copy", self, self)
        return on_device(self.view(np.ndarray).copy(*args, **kwargs))

    def fill(self, value: Any) -> None:
        """As CuPy: the driver fills with zeros, a kernel with other values."""
        self._note_copy(self, value)
        super().fill(value)

    def __getitem__(self, key: Any) -> Any:
        """As CuPy: one element is an array without axes."""
        if _has_arrays(key):
            _compiles("take", self)
        item = super().__getitem__(key)
        if isinstance(item, np.ndarray):
            return item
        return super().__getitem__((*key, ...) if isinstance(key, tuple) else (key, ...))

    # The host waits for these.
    def __bool__(self) -> bool:
        ENTERED.check("reads an array")
        return super().__bool__()

    def __int__(self) -> int:
        ENTERED.check("reads an array")
        return super().__int__()

    def __index__(self) -> int:
        ENTERED.check("reads an array")
        return super().__index__()

    def __float__(self) -> float:
        ENTERED.check("reads an array")
        return super().__float__()

    def item(self, *args: Any) -> Any:
        """One element, as a number of Python's."""
        ENTERED.check("reads an array")
        return super().item(*args)

    def tolist(self) -> Any:
        """All elements, as numbers of Python's."""
        ENTERED.check("reads an array")
        return super().tolist()


def empty(shape: Any, dtype: npt.DTypeLike = float) -> DeviceArray:
    """A fresh array, all of it poison."""
    kind = np.dtype(dtype)
    sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    n_bytes = int(np.prod(sizes, dtype=np.int64)) * kind.itemsize
    block = Block.of(n_bytes)
    data = np.frombuffer(block, np.uint8, n_bytes, block.first) if n_bytes else _no_bytes(block)
    return data.view(kind).reshape(sizes).view(DeviceArray)


def on_device(value: Any) -> Any:
    """A result of NumPy as one of the device: arrays are copied there unless they lie there already."""
    if isinstance(value, tuple):
        return tuple(on_device(part) for part in value)
    if isinstance(value, list):
        return [on_device(part) for part in value]
    if not isinstance(value, np.ndarray | np.generic):
        return value
    array = np.asarray(value)
    if block_of(array) is not None:
        return array.view(DeviceArray)
    made = empty(array.shape, array.dtype)
    made.view(np.ndarray)[...] = array
    return made


def from_device(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A plain copy."""
    return np.array(array, order="C", copy=True, subok=False)


class HostModule:
    """What launch code knows as `xp`: NumPy, with arrays of the device.

    Args:
        check: called before an array is made, to refuse where a GPU could not make one.
    """

    def __init__(self, part: Any = np, check: Callable[[], None] = lambda: None) -> None:
        self._part = part
        self._check = check

    ndarray = DeviceArray

    def empty(self, shape: Any, dtype: npt.DTypeLike = float) -> DeviceArray:
        """Uninitialised memory: NaN."""
        self._check()
        return empty(shape, dtype)

    def asarray(self, value: Any, dtype: npt.DTypeLike | None = None) -> DeviceArray:
        """An array of the device as it is; anything else copied there."""
        if isinstance(value, DeviceArray) and dtype in {None, value.dtype}:
            return value
        self._check()
        return on_device(np.array(value, dtype, subok=False))  # type: ignore[no-any-return]

    def from_dlpack(self, tensor: Any) -> DeviceArray:
        """The memory of another library's array, not copied."""
        return np.from_dlpack(tensor).view(DeviceArray)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._part, name)
        if isinstance(value, type) or not (callable(value) or name in {"random", "linalg"}):
            return value
        return HostModule(value, self._check)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function of NumPy that this stands for, its result on the device."""
        self._check()
        if getattr(self._part, "__name__", "") not in _BUILT_IN:
            _compiles(getattr(self._part, "__name__", repr(self._part)), *args)
        result = self._part(*_plain(args), **_plain(kwargs))
        if kwargs.get("out") is not None:
            return kwargs["out"]
        return HostModule(result, self._check) if isinstance(result, np.random.Generator) else on_device(result)


def _has_arrays(key: Any) -> bool:
    """Whether an index has arrays among its parts."""
    return any(isinstance(part, np.ndarray | list) for part in (key if isinstance(key, tuple) else (key,)))


def _plain(value: Any) -> Any:
    """Device arrays as NumPy sees them, in any nesting; a NumPy array among them is an error, as with CuPy."""
    if isinstance(value, DeviceArray):
        block = block_of(value)
        if block is not None and block.device != current_device():
            raise TypeError(f"an array of device {block.device} is used while device {current_device()} is current")
        return value.view(np.ndarray)
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"a NumPy array {value.dtype} {value.shape} among arrays of the device: upload or download one")
    if isinstance(value, tuple | list):
        return type(value)(_plain(part) for part in value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value


def _no_bytes(block: Block) -> npt.NDArray[np.uint8]:
    """An empty array whose address is the block's end."""
    return np.frombuffer(block, np.uint8, 1, block.first - 1)[1:]
