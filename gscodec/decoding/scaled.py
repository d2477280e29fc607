"""Shrinking: exact area averages of a picture that is rendered strip by strip and never held as a whole.

An output pixel is the mean over its footprint, a rectangle with fractional edges (spec/igs.md, section 3.9). The
filter is separable. Along an axis of n cells shrunk to m <= n outputs, output i covers the cells from i n / m to
(i + 1) n / m, so that cell k meets output k m // n and at most the next one. In units of 1/m of a cell all edges are
integers, hence the weights are exact before the one division by n.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.image.averages import SampleAverage
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float32Array, Float64Array

_STRIP_SAMPLES: Final = 1 << 22
"""Samples rendered at a time: 16 MiB, enough rows to keep all threads busy."""

_LONG_SUM: Final = 2048
"""Minimum number of samples per output pixel, times the row length, for which each output is summed separately."""

_BLOCK_SAMPLES: Final = 1 << 14
"""Number of output samples summed together if sums are shorter; they fit into the processor's cache."""

Strip = tuple[int, Float64Array]
Int64Array = npt.NDArray[np.int64]


def average(values: npt.NDArray[Any], first_cell: int, n_cells: int, n_outputs: int) -> Strip:
    """Weighted sums of consecutive cells along axis 0, for the outputs that they contribute to.

    Args:
        values: (k, ...) cells first_cell .. first_cell + k - 1 of n_cells, k >= 1.
        first_cell: index of the first of these cells.
        n_cells: number of cells along the whole axis.
        n_outputs: number of outputs along the whole axis, at most n_cells.

    Returns:
        Index of the first output concerned, and (j, ...) weighted sums for it and the following ones. An output whose
        cells are incomplete gets the rest from another call.
    """
    times = n_cells // n_outputs
    if n_cells == times * n_outputs and times & (times - 1) == 0 and first_cell % times == len(values) % times == 0:
        # Mips and thumbnails: weights are powers of two, so the result is the same as below, without rounding.
        cells_of = values.reshape(-1, times, *values.shape[1:])
        return first_cell // times, cells_of.sum(axis=1, dtype=np.float64) / times
    rows = np.ascontiguousarray(values).reshape(len(values), -1)
    long = times * rows.shape[1] >= _LONG_SUM
    first, sums = (_long_sums if long else _short_sums)(rows, _Axis(n_cells, n_outputs, first_cell, len(rows)))
    return first, sums.reshape(-1, *values.shape[1:])


class _Axis:
    """For a run of consecutive cells, the outputs they contribute to, and the weights."""

    def __init__(self, n_cells: int, n_outputs: int, first_cell: int, count: int) -> None:
        self._n_cells, self._n_outputs, self._first_cell = n_cells, n_outputs, first_cell
        self.first = first_cell * n_outputs // n_cells
        """Index of the first output."""
        self._outputs = np.arange(self.first, -(-(first_cell + count) * n_outputs // n_cells), dtype=np.int64)
        begins, ends = self._outputs * n_cells // n_outputs, -(-(self._outputs + 1) * n_cells // n_outputs)
        self.begins = np.maximum(begins - first_cell, 0)
        """First cell of each output, relative to first_cell; `ends` are one past the last."""
        self.ends = np.minimum(ends - first_cell, count)

    @property
    def whole(self) -> float:
        """The weight of a cell that lies within a single output."""
        return self._n_outputs / self._n_cells

    def weights(self, cells: Int64Array, part: slice = slice(None)) -> Float64Array:
        """Weight of a cell in each of some outputs; 0 where they do not overlap."""
        cells, outputs = cells + self._first_cell, self._outputs[part]
        begins = np.maximum(outputs * self._n_cells, cells * self._n_outputs)
        ends = np.minimum((outputs + 1) * self._n_cells, (cells + 1) * self._n_outputs)
        return np.asarray(np.maximum(ends - begins, 0) / self._n_cells, np.float64)


def _long_sums(rows: npt.NDArray[Any], axis: _Axis) -> Strip:
    """Sums computed output by output, over all columns at once."""
    sums = np.empty((len(axis.begins), rows.shape[1]))
    first, last = axis.weights(axis.begins), axis.weights(axis.ends - 1)
    for number, (begin, end) in enumerate(zip(axis.begins.tolist(), axis.ends.tolist(), strict=True)):
        total = np.multiply(rows[begin], first[number], out=sums[number])
        if end - begin > 1:
            total += rows[end - 1] * last[number]
        if end - begin > 2:
            total += rows[begin + 1 : end - 1].sum(axis=0, dtype=np.float64) * axis.whole
    return axis.first, sums


def _short_sums(rows: npt.NDArray[Any], axis: _Axis) -> Strip:
    """Sums of many outputs at a time: first their first cells, then their second ones, and so on."""
    sums = np.zeros((len(axis.begins), rows.shape[1]))
    block = max(1, _BLOCK_SAMPLES // rows.shape[1])
    for start in range(0, len(sums), block):
        part = slice(start, start + block)
        begins, last = axis.begins[part], axis.ends[part] - 1
        for tap in range(int((last - begins).max()) + 1):
            weights = np.where(begins + tap <= last, axis.weights(begins + tap, part), 0)
            sums[part] += rows[np.minimum(begins + tap, last)] * weights[:, None]
    return axis.first, sums


def average_columns(values: npt.NDArray[Any], n_outputs: int) -> Float32Array:
    """(rows, n_outputs, C) averages of (rows, n, C) along the rows."""
    means = average(values.swapaxes(0, 1), 0, values.shape[1], n_outputs)[1]
    return np.ascontiguousarray(means.swapaxes(0, 1), np.float32)


def _block_means(
    values: Float32Array, first: int, side: int, lattice: tuple[int, int], size: tuple[int, int]
) -> Float32Array | None:
    """Means over blocks of side x side cells, a power of two, of whole rows from `first` on; None of anything else.

    The sum over rows comes first: its memory is contiguous. Weights are powers of two, so that only sums are rounded.
    """
    rows, columns, n_channels = values.shape
    if lattice != (size[0] * side, size[1] * side) or side & (side - 1) or first % side or rows % side or side < 2:
        return None
    sums = values.reshape(rows // side, side, columns * n_channels).sum(axis=1, dtype=np.float64)
    cells = sums.reshape(-1, side, n_channels)
    total = cells[:, 0] + cells[:, 1]
    for cell in range(2, side):
        total += cells[:, cell]
    return np.asarray(total.reshape(rows // side, -1, n_channels) / side**2, np.float32)


def strips(n_rows: int, row_samples: int, offset: int) -> Iterator[tuple[int, int]]:
    """First and one-past-last row of strips of bounded size, which end at tile edges where possible.

    Args:
        n_rows: total number of rows.
        row_samples: samples of one row.
        offset: row 0 lies this many px below the top of a tile.
    """
    step = max(1, _STRIP_SAMPLES // row_samples)
    if step >= TILE_SIZE:
        step -= step % TILE_SIZE
    first = 0
    while first < n_rows:
        last = min(n_rows, first + step - (offset + first) % TILE_SIZE if step >= TILE_SIZE else first + step)
        yield first, last
        first = last


def shrink(
    render: Callable[[int, int], Float32Array],
    lattice: tuple[int, int],
    size: tuple[int, int],
    averaging: SampleAverage,
    offset: int,
) -> Iterator[tuple[int, Float32Array]]:
    """Yields finished rows of a picture that is reduced along one or both axes.

    Args:
        render: rows first .. last - 1 of the lattice, float32 (rows, width, C).
        lattice: (height, width) of the points that `render` evaluates: along a reduced axis one per stored pixel, else
            one per output pixel.
        size: (height, width) of the output, at most the lattice.
        averaging: conversion of the C channels to the quantities that are averaged.
        offset: as in `strips`.

    Yields:
        Index of the first row, and float32 (rows, width, C).
    """
    n_samples = lattice[1] * averaging.n_channels
    parts = ((first, averaging.forward(render(first, last))) for first, last in strips(lattice[0], n_samples, offset))
    for row, means in _means(parts, lattice, size):
        yield row, averaging.back(means)


def shrink_array(values: Float32Array, size: tuple[int, int]) -> Float32Array:
    """float32 (height, width, C) means of an array (H, W, C) over the area of each output pixel."""
    height, width, n_channels = values.shape
    parts = ((first, values[first:last]) for first, last in strips(height, width * n_channels, 0))
    result = np.empty((*size, n_channels), np.float32)
    for row, means in _means(parts, (height, width), size):
        result[row : row + len(means)] = means
    return result


def _means(
    parts: Iterable[tuple[int, Float32Array]], lattice: tuple[int, int], size: tuple[int, int]
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Finished rows of a picture that arrives in strips, each with its first row; arguments as `shrink`."""
    (n_rows, n_columns), (height, width) = lattice, size
    carried: Float64Array | None = None
    for first, strip in parts:
        if (block := _block_means(strip, first, n_rows // height, lattice, size)) is not None:
            yield first * height // n_rows, block
            continue
        values = average_columns(strip, width) if width < n_columns else strip
        if height == n_rows:
            yield first, values
            continue
        row, sums = average(values, first, n_rows, height)
        if carried is not None:
            sums[0] += carried
        done = (first + len(values)) * height // n_rows - row
        carried = sums[done] if done < len(sums) else None
        if done:
            yield row, sums[:done]
