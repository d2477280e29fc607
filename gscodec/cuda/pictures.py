"""Pictures in GPU memory that live as long as their host arrays: each is uploaded once."""

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.cuda.runtime import Array, Runtime


class DevicePictures:
    """Copies of host arrays in device memory, made on first use and kept as long as the array exists.

    An array must not change while a copy of it exists.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._copies: dict[tuple[int, bool], tuple[weakref.ref[npt.NDArray[Any]], Array]] = {}

    def planes(self, picture: npt.NDArray[Any]) -> Array:
        """(C, H, W) copy of a picture (H, W, C)."""
        return self._copy(picture, planes=True)

    def as_it_is(self, array: npt.NDArray[Any]) -> Array:
        """Copy of an array in its own shape."""
        return self._copy(array, planes=False)

    def _copy(self, array: npt.NDArray[Any], *, planes: bool) -> Array:
        key = id(array), planes
        if key not in self._copies:
            copy = self._runtime.upload(np.moveaxis(array, 2, 0) if planes else array)
            # An address can be reused once its array is freed, so the copy must be removed first.
            self._copies[key] = weakref.ref(array, lambda _: self._copies.pop(key, None)), copy
        return self._copies[key][1]
