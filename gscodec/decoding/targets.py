"""Checks arrays of the caller that results are written to, in host or GPU memory."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gscodec.errors import BackendUnavailable, InvalidArgument

if TYPE_CHECKING:
    from gscodec.cuda.runtime import Runtime

_HOST: Final = (1, 3)
"""DLPack device types of host memory and pinned host memory."""


def device_target(
    out: Any, runtime: "Runtime | None", shape: tuple[int, ...], dtype: np.dtype[Any], name: str
) -> Any | None:
    """The device's view of `out` if it is in GPU memory; None if it is a NumPy array.

    Args:
        runtime: of the GPU that the file is open on, or None. name: of the file, for messages.

    Raises:
        InvalidArgument: `out` is not an array, has another shape or type, is not contiguous, or lies on another GPU.
        BackendUnavailable: `out` lies on a GPU, and the file is open on the CPU.
    """
    there = None
    if runtime is not None:
        try:
            there = runtime.adopt(out)
        except InvalidArgument as fault:
            raise InvalidArgument(f"{name}: {fault}") from fault
    if there is None and not isinstance(out, np.ndarray):
        if _is_elsewhere(out):
            raise BackendUnavailable(f"{name}: out lies on a GPU, the file is open on the CPU; use device='cuda'")
        raise InvalidArgument(f"{name}: out is of type {type(out).__name__}, not a NumPy array, or one on a GPU")
    array = out if there is None else there
    if tuple(array.shape) != shape or array.dtype != dtype:
        raise InvalidArgument(f"{name}: out is {array.dtype} {tuple(array.shape)}, the result {dtype} {shape}")
    if not array.flags.c_contiguous or (there is None and not array.flags.writeable):
        raise InvalidArgument(f"{name}: out {shape} is not contiguous or not writable")
    return there


def _is_elsewhere(out: Any) -> bool:
    """Whether an array of any library lies in memory other than the host's."""
    if getattr(out, "__cuda_array_interface__", None) is not None:
        return True
    where = getattr(out, "__dlpack_device__", None)
    return where is not None and where()[0] not in _HOST
