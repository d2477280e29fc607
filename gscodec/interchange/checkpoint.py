"""Checkpoints of the authors' implementation of Image-GS (PyTorch `.pt` files), read without PyTorch.

A checkpoint is a zip archive with a pickle. Its `state_dict` has xy (N, 2), means as fractions of the picture's width
and height; scale (N, 2), inverse scales in 1/px; rot (N, 1), rad; feat (N, C). No activation function is applied to
them. It renders pixel (0, 0) at (0, 0) px, half a pixel from ours, and its angle turns the other way.

The pickle may come from anyone. It is interpreted by Python's own slow reader, without the instructions that PyTorch
does not write, some of which take memory out of all proportion. The only names it finds are those of tensors.
"""

import io
import math
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.errors import BadImage, GsCodecError, SourceWarning
from gscodec.interchange.checked import check_shapes, checked, short_reason
from gscodec.interchange.picture import Describe
from gscodec.interchange.zip_members import ZIP_FAULTS, read_member
from gscodec.model.limits import Limits

PARAMETERS: Final = ("xy", "scale", "rot", "feat")

_PICKLE_BYTES: Final = 1 << 16
"""Maximum length of the pickle; those of Image-GS have 2 KiB."""

_MOST_AXES: Final = 4
"""Axes of a tensor, at most; parameters have two."""

_DTYPES: Final = {"HalfStorage": "f2", "FloatStorage": "f4", "DoubleStorage": "f8"}
_OTHER_STORAGES: Final = frozenset(
    f"{kind}Storage" for kind in ("Long", "Int", "Short", "Char", "Byte", "Bool", "BFloat16")
)


_INSTRUCTIONS: Final = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.MEMOIZE, pickle.PUT, pickle.BINPUT),
    *(pickle.LONG_BINPUT, pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL, pickle.STACK_GLOBAL),
    *(pickle.REDUCE, pickle.BUILD, pickle.PERSID, pickle.BINPERSID, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE),
    *(pickle.SHORT_BINUNICODE, pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
)
"""Instructions of pickles that are followed: those of protocols 2 and 4 for what a checkpoint has."""


@dataclass(frozen=True)
class _Storage:
    dtype: str | None  # None: of a type that parameters do not have
    key: str
    n_values: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def is_checkpoint(data: bytes) -> bool:
    """Whether bytes are a zip archive with a pickle, as PyTorch writes since version 1.6."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(entry.endswith("/data.pkl") for entry in archive.namelist())
    except ZIP_FAULTS:
        return False


def unpack_checkpoint(data: bytes, describe: Describe, name: str, limits: Limits) -> Contents:
    """Contents of a checkpoint.

    Args:
        describe: the picture of Gaussians with that many channels; a checkpoint says nothing about it.
        name: of the file, in messages.

    Raises:
        BadImage: it is not a checkpoint of Image-GS. LimitExceeded: it takes more memory than allowed.

    Warns:
        SourceWarning: Gaussians without a finite width are left out, as Image-GS does.
    """
    xy, scale, rot, feat = parameters(data, name, limits)
    picture = describe(feat.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is left out or refused below
        widths = np.abs(scale.astype(np.float64))
        means = xy.astype(np.float64) * [picture.grid.width, picture.grid.height] + 0.5
        rotations = -rot[:, 0].astype(np.float64)
    finite = np.isfinite(widths).all(axis=1) & (widths > 0).all(axis=1)
    if not finite.all():
        text = f"{name}: {int((~finite).sum())} of {len(widths)} Gaussians have no finite width and are left out"
        warnings.warn(text, SourceWarning, stacklevel=2)
    gaussians = checked(means[finite], widths[finite], rotations[finite], feat[finite], picture.grid, name)
    return picture.contents(gaussians)


def parameters(data: bytes, name: str, limits: Limits) -> tuple[npt.NDArray[Any], ...]:
    """xy, scale, rot and feat of a checkpoint, with checked shapes; their values may be anything.

    Raises:
        BadImage: it is not a checkpoint of Image-GS. LimitExceeded: it takes more memory than allowed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            (root,) = {entry.removesuffix("data.pkl") for entry in members if entry.endswith("/data.pkl")}
            info = members[f"{root}data.pkl"]
            if info.file_size > _PICKLE_BYTES:
                raise BadImage(f"{name}: its pickle has {info.file_size} bytes, at most {_PICKLE_BYTES}")
            order = members.get(f"{root}byteorder")
            is_big = order is not None and order.file_size < 16 and read_member(archive, order, name) == b"big"
            tensors = _state(read_member(archive, info, name), name)
            check_shapes(_flat(tensors), name, limits)
            return tuple(_values(archive, members, root, tensors[key], is_big, name, limits) for key in PARAMETERS)
    except GsCodecError:
        raise
    except ZIP_FAULTS as fault:
        raise BadImage(f"{name}: is not a whole PyTorch checkpoint: {short_reason(fault)}") from fault


def _state(pickled: bytes, name: str) -> dict[str, _Tensor]:
    try:
        value = _Reader(pickled).load()
    except Exception as fault:  # instructions in a wrong order raise errors of any class
        raise BadImage(f"{name}: its pickle is not that of an Image-GS checkpoint: {short_reason(fault)}") from fault
    state = value.get("state_dict", value) if isinstance(value, dict) else None
    if not isinstance(state, dict):
        raise BadImage(f"{name}: holds no state_dict")
    for key in PARAMETERS:
        if not isinstance(state.get(key), _Tensor):
            raise BadImage(f"{name}: its state_dict has no tensor {key!r}; Image-GS has {', '.join(PARAMETERS)}")
    return {key: state[key] for key in PARAMETERS}


def _flat(tensors: dict[str, _Tensor]) -> dict[str, Sequence[int]]:
    """Shapes, with that of the angles as (N,)."""
    shapes: dict[str, Sequence[int]] = {key: tensor.shape for key, tensor in tensors.items()}
    if len(shapes["rot"]) == 2 and shapes["rot"][1] == 1:
        shapes["rot"] = shapes["rot"][:1]
    return shapes


def _values(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    root: str,
    tensor: _Tensor,
    is_big: bool,
    name: str,
    limits: Limits,
) -> npt.NDArray[Any]:
    """Values of a tensor whose shape was checked; angles as (N, 1)."""
    storage, shape = tensor.storage, tensor.shape
    info = members.get(f"{root}data/{storage.key}")
    if storage.dtype is None or len(tensor.stride) != len(shape) or info is None:
        raise BadImage(f"{name}: a tensor of its state_dict is not of plain floats")
    dtype = np.dtype((">" if is_big else "<") + storage.dtype)
    end = tensor.offset + sum((n - 1) * step for n, step in zip(shape, tensor.stride, strict=True)) + 1
    if not math.prod(shape):
        return np.zeros((0, 1), dtype) if len(shape) == 1 else np.zeros(shape, dtype)
    if end > storage.n_values or info.file_size != storage.n_values * dtype.itemsize:
        raise BadImage(f"{name}: a tensor of its state_dict is longer than its values")
    limits.check_memory(2 * info.file_size + 8 * math.prod(shape), f"{name}: a tensor")
    stored = np.frombuffer(read_member(archive, info, name), dtype)[tensor.offset :]
    steps = [step * dtype.itemsize for step in tensor.stride]
    values = np.array(np.lib.stride_tricks.as_strided(stored, shape, steps, writeable=False))
    return values.reshape(-1, 1) if len(shape) == 1 else values


class _Reader(pickle._Unpickler):  # written in Python, with its memo in a dict
    """Unpickler that knows tensors and ordered dictionaries and nothing else."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        # Made anew for each file: a pickle can change attributes of what it names.
        self._known: dict[str, Any] = {
            "collections.OrderedDict": _empty,
            "torch._utils._rebuild_tensor_v2": lambda storage, offset, shape, stride, *_: _tensor(
                storage, offset, shape, stride
            ),
            "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
        }

    def load_build(self) -> None:
        """Drop the state of an object: that of a state_dict's is the versions of its modules."""
        self.stack.pop()  # type: ignore[attr-defined]

    def load_setitem(self) -> None:
        """Set an item of a dictionary."""
        _check_keys(self.stack[-2:-1])  # type: ignore[attr-defined]
        super().load_setitem()  # type: ignore[misc]

    def load_setitems(self) -> None:
        """Set items of a dictionary."""
        _check_keys(self.stack[::2])  # type: ignore[attr-defined]
        super().load_setitems()  # type: ignore[misc]

    def refuse(self) -> None:
        """Refuse an instruction."""
        raise pickle.UnpicklingError("it has an instruction that PyTorch does not write")

    dispatch: ClassVar[dict[int, Any]] = {
        **dict.fromkeys(range(256), refuse),
        **{code[0]: pickle._Unpickler.dispatch[code[0]] for code in _INSTRUCTIONS},
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Stand-ins for the names that a checkpoint has."""
        if module == "torch" and (name in _DTYPES or name in _OTHER_STORAGES):
            return (_DTYPES.get(name),)
        if f"{module}.{name}" not in self._known:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return self._known[f"{module}.{name}"]

    def persistent_load(self, identity: Any) -> _Storage:
        """The storage that a tensor's values are in."""
        kind, (dtype,), key, _where, n_values = identity
        known = dtype is None or (isinstance(dtype, str) and dtype in _DTYPES.values())
        if kind != "storage" or not known or not isinstance(key, str) or type(n_values) is not int:
            raise pickle.UnpicklingError("a storage is not described as PyTorch does")
        return _Storage(dtype, key, n_values)


def _check_keys(keys: list[Any]) -> None:
    """Refuse keys of dictionaries but texts and integers: hashing a tuple of tuples may take for ever."""
    if any(type(key) not in (str, int) for key in keys):
        raise pickle.UnpicklingError("a key of a dictionary is neither a text nor an integer")


def _empty() -> OrderedDict[Any, Any]:
    """An ordered dictionary; it takes no entries to copy, which would need more memory than the pickle has bytes."""
    return OrderedDict()


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any) -> _Tensor:
    if any(type(axes) is not tuple or len(axes) > _MOST_AXES for axes in (shape, stride)):
        raise pickle.UnpicklingError("a tensor is not described as PyTorch does")
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, _Storage) or any(type(n) is not int or not 0 <= n < 1 << 62 for n in numbers):
        raise pickle.UnpicklingError("a tensor is not described as PyTorch does")
    return _Tensor(storage, offset, shape, stride)
