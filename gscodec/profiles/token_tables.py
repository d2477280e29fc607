"""Token tables <-> the bits that store them at the end of a QUAN chunk (spec/igs.md, section 9.1)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec import _engine
from gscodec.errors import CorruptField
from gscodec.profiles.entropy import MAX_TOKENS, MAX_WEIGHT, TokenTable

N_STREAMS: Final = 6
_HEAD: Final = (np.arange(4, dtype=np.int32), np.array([1, 0, 0, 0], np.uint8))
"""Streams and signs of low, n_tokens - 1, weight - 1 and n_changes."""

_CHANGE: Final = (np.array([4, 5], np.int32), np.array([0, 1], np.uint8))
"""Streams and signs of run and step."""

MAX_TABLE_BYTES: Final = 24 * MAX_TOKENS
"""More than any table takes: an adaptive bit costs at most nine, and so a change at most 23 bytes."""


def pack_tables(tables: Sequence[TokenTable]) -> bytes:
    """The bits of some tables."""
    bits = _engine.BitEncoder(N_STREAMS)
    for table in tables:
        weights = table.weights.astype(np.int64)
        at = np.flatnonzero(np.diff(weights)) + 1  # first tokens of other weights
        head = [table.low, len(weights) - 1, int(weights[0]) - 1, len(at)]
        bits.rows(np.array([head], np.int64), *_HEAD)
        bits.rows(np.column_stack([np.diff(at, prepend=0) - 1, np.diff(weights)[at - 1]]), *_CHANGE)
    return bits.bytes()


def unpack_tables(data: bytes, n_tables: int, where: str) -> tuple[TokenTable, ...]:
    """The inverse of `pack_tables`; `where` begins the messages.

    Raises:
        CorruptField: a number is out of its range, or the data go on after the last table.
    """
    bits = _engine.BitDecoder(data, N_STREAMS)
    try:
        tables = tuple(_unpack(bits, where) for _ in range(n_tables))
    except ValueError as error:  # std::range_error
        raise CorruptField(f"{where}: token tables {error}") from error
    if not bits.at_end:
        raise CorruptField(f"{where} has bytes after its last token table")
    return tables


def _unpack(bits: "_engine.BitDecoder", where: str) -> TokenTable:
    low, last, weight, n_changes = bits.rows(1, *_HEAD)[0].tolist()
    if last >= MAX_TOKENS:
        raise CorruptField(f"{where} has a table of {last + 1} tokens, the maximum is {MAX_TOKENS}")
    if n_changes > last:
        raise CorruptField(f"{where} has a table with {n_changes} changes among {last + 1} tokens")
    runs, steps = bits.rows(n_changes, *_CHANGE).T
    at = np.cumsum(runs + 1)
    weights = 1 + weight + np.cumsum(steps, dtype=np.int64)
    if n_changes and at[-1] > last:
        raise CorruptField(f"{where} has a table with a change after its last token")
    if not 1 <= min(1 + weight, *weights.tolist(), 1) <= max(1 + weight, *weights.tolist(), 1) <= MAX_WEIGHT:
        raise CorruptField(f"{where} has a weight outside 1..{MAX_WEIGHT}")
    return TokenTable(low, _spread(1 + weight, weights, at, last + 1))


def _spread(
    first: int, weights: npt.NDArray[np.int64], at: npt.NDArray[np.int64], n_tokens: int
) -> npt.NDArray[np.uint8]:
    """(n_tokens,) weights: `first`, then from token at[k] on weights[k]."""
    runs = np.diff(np.concatenate([[0], at, [n_tokens]]))
    return np.repeat(np.concatenate([[first], weights]), runs).astype(np.uint8)
