"""Frequency tables of profile `coded`: from values to tokens, and from a histogram to counts that add up to 4096.

A table is a weight for each token, in quarter octaves, the same over runs of tokens: what it takes to describe a change
counts when a table is fitted, so that small files have coarse tables (spec/igs.md, section 9.1).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec import _engine

Int64Array = npt.NDArray[np.int64]

TOTAL: Final = 4096
"""Sum of the counts of a table."""

MAX_WEIGHT: Final = 64
CHANGE_BITS: Final = 10.0
"""Bits that a change from one weight to another takes, near enough."""

HEAD_BITS: Final = 24.0
"""Bits of what else describes a table."""

MAX_TOKENS: Final = 352
"""Tokens of 31-bit values with a split of 8 bits."""

GAP_SPLIT: Final = 4
VALUE_SPLIT: Final = 8
"""Values below 2^split are tokens of their own."""

_QUARTERS: Final = np.array([16, 19, 23, 27], np.int64)


@dataclass(frozen=True)
class TokenTable:
    """Probabilities of the tokens of one stream, as counts."""

    low: int  # the least value, which has token 0
    weights: npt.NDArray[np.uint8]  # (n,) 1..64, in quarter octaves

    @property
    def counts(self) -> npt.NDArray[np.uint16]:
        """(n,) shares of TOTAL that the coder gives to the tokens."""
        steps = self.weights.astype(np.int64) - 1
        spread = _QUARTERS[steps & 3] << (steps >> 2)
        counts: Int64Array = np.maximum(spread * TOTAL // spread.sum(), 1)
        while (excess := int(counts.sum()) - TOTAL) > 0:
            counts[np.argmax(counts)] -= 1
        counts[np.argmax(counts)] -= excess
        return counts.astype(np.uint16)

    @property
    def bits(self) -> float:
        """Bits that the table takes in a file, near enough."""
        return HEAD_BITS + CHANGE_BITS * float(np.count_nonzero(np.diff(self.weights)))


def tokens_of(values: Int64Array, split: int) -> tuple[Int64Array, Int64Array]:
    """Tokens of values from 0 on, and how many bits of each follow its token."""
    octaves = np.maximum(np.frexp(np.maximum(values, 1).astype(np.float64))[1].astype(np.int64) - 1, 2)
    shared = (1 << split) + ((octaves - split) << 2) + ((values >> (octaves - 2)) & 3)
    alone = values < 1 << split
    return np.where(alone, values, shared), np.where(alone, 0, octaves - 2)


def fit_table(values: Int64Array, split: int) -> TokenTable:
    """The table with which such values and the table take the fewest bits, near enough."""
    if not len(values):
        return TokenTable(0, np.ones(1, np.uint8))
    low = int(values.min())
    histogram = np.bincount(tokens_of(values - low, split)[0]).astype(np.float64)
    return TokenTable(low, _engine.fit_weights(histogram, CHANGE_BITS))


def coded_bits(values: Int64Array, table: TokenTable, split: int) -> float:
    """Bits that values take with a table, those after the tokens included."""
    return float(value_bits(values, table, split).sum())


def value_bits(values: Int64Array, table: TokenTable, split: int) -> npt.NDArray[np.float64]:
    """(n,) bits that each value takes with a table."""
    tokens, extra = tokens_of(values - table.low, split)
    counts = table.counts.astype(np.float64)
    bits: npt.NDArray[np.float64] = np.log2(TOTAL) - np.log2(counts[tokens]) + extra
    return bits
