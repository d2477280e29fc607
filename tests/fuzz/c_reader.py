"""libigs, the reader in C, called in this process."""

import ctypes
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class CReader:
    """One file at a time. Errors come back by name, "" being none."""

    def __init__(self, library: Path) -> None:
        self._library = lib = ctypes.CDLL(str(library))
        lib.fuzz_open.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
        lib.fuzz_open.restype = lib.fuzz_read.restype = lib.fuzz_grain.restype = ctypes.c_char_p
        lib.fuzz_read.argtypes = [ctypes.c_uint32]
        lib.fuzz_blend.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_double, ctypes.c_void_p]
        lib.fuzz_blend.restype = lib.fuzz_close.restype = None
        lib.fuzz_sample.argtypes = [ctypes.c_uint32, ctypes.c_double]
        lib.fuzz_sample.restype = ctypes.c_double
        lib.fuzz_gaussians.restype = lib.fuzz_most_bytes.restype = ctypes.c_size_t
        self._data = b""

    def open(self, data: bytes, *, tree: bool = False) -> str:
        """Everything before the Gaussians.

        Args:
            tree: whether a page tree is used, where there is one.
        """
        self._data = data  # looked at until the next file comes
        return str(self._library.fuzz_open(data, len(data), tree).decode())

    @property
    def n_lods(self) -> int:
        """Levels of detail of the open file."""
        return int(self._library.fuzz_lods())

    def grain(self) -> str:
        """The chunk GRAN, where there is one."""
        return str(self._library.fuzz_grain().decode())

    def read(self, lod: int) -> str:
        """All Gaussians of a level."""
        return str(self._library.fuzz_read(lod).decode())

    def blend(self, points: Floats, q_scale: float = 1.0) -> Floats:
        """(n, C) features at points (n, 2) px of the level that was read.

        Args:
            q_scale: factor on the file's support_q.
        """
        place = np.ascontiguousarray(points, np.float64)
        out = np.empty((len(place), self._library.fuzz_channels()))
        self._library.fuzz_blend(place.ctypes.data, len(place), q_scale, out.ctypes.data)
        return out

    def sample(self, channel: int, feature: float) -> float:
        """The source's sample that a feature of a channel stands for: a code for uint, else a value."""
        return float(self._library.fuzz_sample(channel, feature))

    @property
    def most_bytes(self) -> int:
        """Bytes allocated at a time since the process began, at most."""
        return int(self._library.fuzz_most_bytes())
