"""The random numbers of growth.cu on the host, for the CPU's fit to draw the same."""

from typing import Any

import numpy as np
import numpy.typing as npt

_M, _W = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(counter: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """(4, n) words of Philox4x32-10 (Salmon et al. 2011) of counters (4, n), words of 32 bits each."""
    a, b, c, d = counter
    keys = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for _ in range(10):
        p, q = np.uint64(_M[0]) * a, np.uint64(_M[1]) * c
        a, b, c, d = (q >> _HALF) ^ b ^ np.uint64(keys[0]), q & _LOW, (p >> _HALF) ^ d ^ np.uint64(keys[1]), p & _LOW
        keys = [(key + step) & 0xFFFFFFFF for key, step in zip(keys, _W, strict=True)]
    return np.stack([a, b, c, d])


class CounterDraws:
    """`train.placement.Draws` by number of the draw and index in it."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._draw = 0

    def random(self, size: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """(n, 2) uniform in [0, 1)."""
        assert size[1:] == (2,)
        words = self._words(size[0])
        return np.stack([_bits53(*words[:2]), _bits53(*words[2:])], axis=1) * 2.0**-53

    def gumbel(self, *, size: int) -> npt.NDArray[np.float64]:
        """(n,) standard Gumbel numbers."""
        words = self._words(size)
        uniform: npt.NDArray[Any] = (_bits53(*words[:2]) + 0.5) * 2.0**-53
        return np.asarray(-np.log(-np.log(uniform)))

    def _words(self, n: int) -> npt.NDArray[np.uint64]:
        self._draw += 1
        index = np.arange(n, dtype=np.uint64)
        return philox4x32(
            np.stack([index & _LOW, index >> _HALF, np.full(n, self._draw, np.uint64), np.zeros(n, np.uint64)]),
            self._seed,
        )


def _bits53(high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    return ((high << np.uint64(21)) | (low >> np.uint64(11))).astype(np.float64)
