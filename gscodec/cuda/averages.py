"""Area averages of pictures, and conversion to integers of any depth: launches of averages.cu."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from gscodec.cuda.runtime import Array, Define, Runtime
from gscodec.errors import InvalidArgument
from gscodec.image.averages import CLEAR_WEIGHT, SampleAverage

AVERAGE_THREADS: Final = 256
GRID_ROWS: Final = 65535
"""Maximum number of blocks along y."""

DEFINES: Final[dict[str, Define]] = {"AVERAGE_THREADS": AVERAGE_THREADS}

CODES: Final[dict[str, dict[str, Define]]] = {
    "uint8": {"SAMPLE": "unsigned char", "PEAK": 255},
    "uint16": {"SAMPLE": "unsigned short", "PEAK": 65535},
}
"""Macros of the family for each type of code; its other kernels are the same for both."""


class DeviceAverage:
    """`SampleAverage` on a GPU: an area average of a picture that arrives in strips of rows.

    Args:
        cells: (height, width) of the picture. size: (height, width) of the average, at most that.
        averaging: conversion of the C channels to the quantities that are averaged.
    """

    def __init__(
        self, runtime: Runtime, cells: tuple[int, int], size: tuple[int, int], averaging: SampleAverage
    ) -> None:
        self._runtime, self._cells, self._size = runtime, cells, size
        rules = averaging.rules
        self._n_channels, self._n_values = len(rules.is_alpha), len(rules.sources)
        with runtime:
            self._sources, self._lows, self._highs, self._weights = (
                runtime.upload(part) for part in (rules.sources, rules.lows, rules.highs, rules.weights)
            )
            self._is_alpha = runtime.upload(rules.is_alpha)

    @property
    def row_values(self) -> int:
        """Number of values in a row of outputs."""
        return self._size[1] * self._n_values

    def cells_of(self, first: int, last: int) -> tuple[int, int]:
        """The rows of cells covered by outputs first to last - 1, as a half-open range."""
        n, m = self._cells[0], self._size[0]
        return first * n // m, -(-last * n // m)

    def begin(self, first: int, last: int) -> Array:
        """Zeroed sums for the rows first to last - 1 of outputs, which `add` accumulates."""
        return self._runtime.xp.zeros((last - first, self.row_values), np.float64)

    def add(self, sums: Array, first_output: int, cells: Array, first_cell: int) -> None:
        """Add rows of cells, float32 (rows, width, C), to the sums from `begin` for outputs from first_output on.

        Every row of these outputs must be added once, in order.
        """
        (n_rows, n, n_channels), m = cells.shape, self._size[1]
        if (n, n_channels) != (self._cells[1], self._n_channels) or cells.dtype != np.float32:
            raise InvalidArgument(f"cells: {cells.dtype} {cells.shape} are not float32 rows of {self._cells[1]}")
        columns = self._runtime.xp.empty((n_rows, self.row_values), np.float32)
        values = self._sources, self._lows, self._highs, self._weights
        _launch(
            self._runtime,
            "average_columns",
            (self.row_values, n_rows),
            cells,
            np.int32(n_rows),
            np.int32(n),
            np.int32(m),
            np.int32(n_channels),
            np.int32(self._n_values),
            *values,
            columns,
        )
        _launch(
            self._runtime,
            "add_rows",
            (self.row_values, len(sums)),
            columns,
            np.int32(self.row_values),
            np.int32(first_cell),
            np.int32(n_rows),
            np.int32(self._cells[0]),
            np.int32(self._size[0]),
            np.int32(first_output),
            np.int32(len(sums)),
            sums,
        )

    def finish(self, sums: Array, out: Array) -> None:
        """Write float32 (rows, width, C) samples from complete sums."""
        n_outputs = len(sums) * self._size[1]
        if out.size != n_outputs * self._n_channels or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise InvalidArgument(f"out: {out.dtype} {out.shape} are not {n_outputs} float32 outputs")
        _launch(
            self._runtime,
            "finish_means",
            (n_outputs, 1),
            sums,
            np.int64(n_outputs),
            np.int32(self._cells[0]),
            np.int32(self._n_channels),
            np.int32(self._n_values),
            self._weights,
            self._is_alpha,
            np.float32(2 * CLEAR_WEIGHT),
            out,
        )


def to_codes(runtime: Runtime, samples: Array, steps: Sequence[int], out: Array) -> None:
    """Write float32 (..., C) samples in 0..1 as uint8 or uint16: `levels.to_native` for `steps` levels per channel."""
    if out.shape != samples.shape or str(out.dtype) not in CODES or not out.flags.c_contiguous:
        raise InvalidArgument(f"out: {out.dtype} {out.shape} are not codes of {samples.shape}")
    _launch(
        runtime,
        "to_codes",
        (samples.size, 1),
        samples,
        np.int64(samples.size),
        np.int32(len(steps)),
        runtime.upload(np.array(steps, np.int32)),
        out,
        codes=str(out.dtype),
    )


def _launch(runtime: Runtime, entry: str, threads: tuple[int, int], *arguments: Array, codes: str = "uint8") -> None:
    """Launch with threads along x and rows along y; if the grid has fewer rows, blocks loop over them."""
    if all(threads):
        grid = -(-threads[0] // AVERAGE_THREADS), min(threads[1], GRID_ROWS)
        runtime.kernel("averages", entry, **DEFINES, **CODES[codes])(grid, AVERAGE_THREADS, *arguments)
