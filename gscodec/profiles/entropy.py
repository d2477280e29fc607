"""Frequency tables of profile `coded`: from values to tokens, and from a histogram to counts that add up to 4096.

A table is stored as one weight a token, in quarter octaves, which smooth histograms turn into a few bits a token once
they are deflated (spec/igs.md, section 9.1).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]

TOTAL: Final = 4096
"""Sum of the counts of a table."""

MAX_WEIGHT: Final = 64
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
    weights: npt.NDArray[np.uint8]  # (n,) 0 for a token that does not occur, else 1..64 in quarter octaves

    @property
    def counts(self) -> npt.NDArray[np.uint16]:
        """(n,) shares of TOTAL that the coder gives to the tokens."""
        steps = self.weights.astype(np.int64) - 1
        spread = np.where(steps >= 0, _QUARTERS[steps & 3] << (np.maximum(steps, 0) >> 2), 0)
        counts = np.where(spread > 0, np.maximum(spread * TOTAL // spread.sum(), 1), 0)
        while (excess := int(counts.sum()) - TOTAL) > 0:
            counts[np.argmax(counts)] -= 1
        counts[np.argmax(counts)] -= excess
        return counts.astype(np.uint16)


def tokens_of(values: Int64Array, split: int) -> tuple[Int64Array, Int64Array]:
    """Tokens of values from 0 on, and how many bits of each follow its token."""
    octaves = np.maximum(np.frexp(np.maximum(values, 1).astype(np.float64))[1].astype(np.int64) - 1, 2)
    shared = (1 << split) + ((octaves - split) << 2) + ((values >> (octaves - 2)) & 3)
    alone = values < 1 << split
    return np.where(alone, values, shared), np.where(alone, 0, octaves - 2)


def fit_table(values: Int64Array, split: int) -> TokenTable:
    """The table that codes such values in the fewest bits, near enough."""
    if not len(values):
        return TokenTable(0, np.ones(1, np.uint8))
    low = int(values.min())
    histogram = np.bincount(tokens_of(values - low, split)[0]).astype(np.float64)
    # A hole between tokens that occur costs more to describe than its small share costs to code.
    share = np.maximum(histogram, 0.25) / histogram.max()
    weights = np.clip(np.floor(4 * np.log2(share) + 49.5), 1, MAX_WEIGHT)
    return TokenTable(low, weights.astype(np.uint8))


def coded_bits(values: Int64Array, table: TokenTable, split: int) -> float:
    """Bits that values take with a table, those after the tokens included."""
    return float(value_bits(values, table, split).sum())


def value_bits(values: Int64Array, table: TokenTable, split: int) -> npt.NDArray[np.float64]:
    """(n,) bits that each value takes with a table."""
    tokens, extra = tokens_of(values - table.low, split)
    counts = table.counts.astype(np.float64)
    bits: npt.NDArray[np.float64] = np.log2(TOTAL) - np.log2(counts[tokens]) + extra
    return bits
