"""Shrinking: exact area averages of a picture that is rendered strip by strip and never held whole.

An output pixel is the mean over its footprint, a rectangle with fractional edges (spec/igs.md, "Other sizes"). The
filter is separable. Along an axis of n cells shrunk to m <= n outputs, output i covers the cells from i n / m to
(i + 1) n / m, so that cell k meets output k m // n and at most the next one. In units of 1/m of a cell all edges are
integers, hence the weights are exact before the one division by n.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.constants import TILE_SIZE
from gscodec.gaussians import Float32Array, Float64Array

_STRIP_SAMPLES: Final = 1 << 22
"""Samples rendered at a time: 16 MiB, enough rows to keep all threads busy."""

Strip = tuple[int, Float64Array]


def average(values: npt.NDArray[Any], first_cell: int, n_cells: int, n_outputs: int) -> Strip:
    """Contributions of consecutive cells, along axis 0, to the outputs they meet.

    Args:
        values: (k, ...) cells first_cell .. first_cell + k - 1 of n_cells, k >= 1.
        first_cell: index of the first of them.
        n_cells: cells along the whole axis.
        n_outputs: outputs along the whole axis, at most n_cells.

    Returns:
        Index of the first output that is met, and (j, ...) weighted sums for it and those after it. An output whose
        cells are not all there gets the rest from another call.
    """
    times = n_cells // n_outputs
    if n_cells == times * n_outputs and times & (times - 1) == 0 and first_cell % times == len(values) % times == 0:
        # Mips and thumbnails: the weights are powers of two, so that nothing is rounded that would not be below.
        cells_of = values.reshape(-1, times, *values.shape[1:])
        return first_cell // times, cells_of.sum(axis=1, dtype=np.float64) / times
    cells = np.arange(first_cell, first_cell + len(values), dtype=np.int64)
    outputs = cells * n_outputs // n_cells
    here = np.minimum((outputs + 1) * n_cells, (cells + 1) * n_outputs) - cells * n_outputs
    beyond = n_outputs - here  # reaches into the next output
    starts = np.flatnonzero(np.diff(outputs, prepend=-1))
    column = (slice(None),) + (None,) * (values.ndim - 1)
    last = int(outputs[-1]) + int(beyond[-1] > 0)
    sums = np.zeros((last - int(outputs[0]) + 1, *values.shape[1:]))
    met = outputs[starts] - outputs[0]
    sums[met] = np.add.reduceat(values * (here / n_cells)[column], starts, axis=0)
    split = np.flatnonzero(beyond)
    sums[outputs[split] + 1 - outputs[0]] += values[split] * (beyond[split] / n_cells)[column]
    return int(outputs[0]), sums


def average_columns(values: npt.NDArray[Any], n_outputs: int) -> Float64Array:
    """(rows, n_outputs, C) of (rows, n, C): whole rows shrunk."""
    return average(values.swapaxes(0, 1), 0, values.shape[1], n_outputs)[1].swapaxes(0, 1)


def strips(n_rows: int, row_samples: int, offset: int) -> Iterator[tuple[int, int]]:
    """First and one-past-last row of strips of bounded size; where they can, they end where tiles end.

    Args:
        n_rows: rows in all.
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
    n_channels: int,
    offset: int,
) -> Iterator[tuple[int, Float32Array]]:
    """Finished rows of a picture shrunk along one or both axes.

    Args:
        render: rows first .. last - 1 of the lattice, float32 (rows, width, C).
        lattice: (height, width) of what `render` gives: along an axis that shrinks one point per stored pixel, else one
            per output.
        size: (height, width) of the output, at most the lattice.
        n_channels: C.
        offset: as in `strips`.

    Yields:
        Index of the first row, and float32 (rows, width, C).
    """
    (n_rows, n_columns), (height, width) = lattice, size
    carried: Float64Array | None = None
    for first, last in strips(n_rows, n_columns * n_channels, offset):
        values: npt.NDArray[Any] = render(first, last)
        if width < n_columns:
            values = average_columns(values, width)
        if height == n_rows:
            yield first, values.astype(np.float32)
            continue
        row, sums = average(values, first, n_rows, height)
        if carried is not None:
            sums[0] += carried
        done = last * height // n_rows - row
        carried = sums[done] if done < len(sums) else None
        if done:
            yield row, sums[:done].astype(np.float32)
