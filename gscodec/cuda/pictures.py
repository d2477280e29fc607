"""Pictures that lie on a device for as long as their arrays live on the host: each crosses the bus once."""

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.cuda.runtime import Array, Runtime


class DevicePictures:
    """Copies of host arrays in a runtime's memory, made when first asked for and kept while the array exists.

    An array must not change while there is a copy of it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._copies: dict[tuple[int, bool], tuple[weakref.ref[npt.NDArray[Any]], Array]] = {}

    def planes(self, picture: npt.NDArray[Any]) -> Array:
        """(C, H, W) of a picture (H, W, C)."""
        return self._copy(picture, planes=True)

    def as_it_is(self, array: npt.NDArray[Any]) -> Array:
        """The array in its own shape."""
        return self._copy(array, planes=False)

    def _copy(self, array: npt.NDArray[Any], *, planes: bool) -> Array:
        key = id(array), planes
        if key not in self._copies:
            copy = self._runtime.upload(np.moveaxis(array, 2, 0) if planes else array)
            # An address is used again once its array is gone, so the copy has to go first.
            self._copies[key] = weakref.ref(array, lambda _: self._copies.pop(key, None)), copy
        return self._copies[key][1]
