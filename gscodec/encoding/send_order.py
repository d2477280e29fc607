"""The order of a file's pages: those first that take most error from the picture of a file that is still arriving.

Such a picture has each tile at the finest level all of whose pages there have arrived (spec/igs.md, section 11.2), so a
tile gains at once what a level removes of its error, with the last page that meets it. The gain is estimated from the
decoded levels alone: the square of what changes. Between generations pages never move, and within one only in runs, so
that regions take about as many reads as before (benchmarks/notes/levels.md).
"""

import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.container.page_order import page_runs, with_page_order
from gscodec.container.reader import IgsReader
from gscodec.container.rewrite import is_one_piece
from gscodec.decoding.image import IgsImage
from gscodec.errors import LimitExceeded
from gscodec.image.levels import to_native, to_values
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float64Array
from gscodec.render.base import Rasterizer

MOST_RUNS: Final = 64
"""Runs of pages of a generation, at most: pictures of what has arrived in steps of a sixty-fourth are fine enough."""

MOST_CELLS: Final = 64
"""Cells along the longer side of the grid on which gains are counted."""

SHARPNESS: Final = (1.0, 2.0, 4.0)
"""Exponents that are tried: how much more a cell that lacks few runs counts than one that lacks many."""

Masks = npt.NDArray[np.bool_]  # (n, rows, columns) cells that each run meets


def in_send_order(data: bytes, engine: Rasterizer, most_bytes: int | None = None) -> bytes:
    """The file with the pages of its finest set in the order in which they serve the whole picture early.

    Args:
        engine: renders the levels.
        most_bytes: as many bytes as the file may have; where its page index would be longer, the file stays as it is.

    Raises:
        GsCodecError: the file is damaged.
    """
    if is_one_piece(data):
        return data
    with IgsReader(data) as reader:
        generations = page_runs(reader, MOST_RUNS)
        if all(len(runs) < 3 for runs in generations):
            return data
        boxes, lengths = reader.pages.boxes, np.diff(reader.pages.edges)
        rows, columns = reader.grid.tiles_shape
        background = to_native(to_values(reader.grid.background[None, None], reader.groups), reader.groups)
    cell = -(-max(rows, columns) // MOST_CELLS)  # tiles
    shape = -(-rows // cell), -(-columns // cell)
    order: list[npt.NDArray[np.int64]] = []
    try:
        with IgsImage(data, device=engine, grain=False) as image:
            for number, runs in enumerate(generations):
                places = list(range(len(runs)))
                if len(runs) >= 3:
                    lod = len(generations) - 1 - number
                    gains = _gains(image, lod, background, shape, cell * TILE_SIZE)
                    masks = np.stack([_cells(boxes[pages] // cell, shape) for pages in runs])
                    sizes = np.array([lengths[pages].sum() for pages in runs], np.float64)
                    places = best_order(gains, masks, sizes)
                order += [runs[place] for place in places]
    except LimitExceeded:  # a picture that its users decode in parts only
        return data
    ordered = with_page_order(data, np.concatenate(order))
    return ordered if most_bytes is None or len(ordered) <= most_bytes else data


def best_order(gains: Float64Array, masks: Masks, sizes: Float64Array) -> list[int]:
    """The order of runs, the last of which stays, in which cells gain early; the present one if none is better.

    Args:
        gains: (rows, columns) of each cell, which it has when all runs that meet it have arrived.
        sizes: (n,) bytes of the runs.
    """
    orders = [list(range(len(sizes))), *(_greedy(gains, masks, sizes, sharpness) for sharpness in SHARPNESS)]
    return min(orders, key=lambda order: waiting(gains, masks, sizes, order))


def waiting(gains: Float64Array, masks: Masks, sizes: Float64Array, order: Sequence[int]) -> float:
    """Mean number of bytes until a cell has its gain, weighted by the gains."""
    when, total = np.zeros(gains.shape), 0.0
    for run in order:
        total += sizes[run]
        when[masks[run]] = total
    return float((when * gains).sum() / max(gains.sum(), 1e-300))


def _greedy(gains: Float64Array, masks: Masks, sizes: Float64Array, sharpness: float) -> list[int]:
    """Always the run with the greatest gain per byte next, where each cell counts by how few runs it lacks."""
    flat = masks.reshape(len(sizes), -1)
    missing = flat.sum(axis=0).astype(np.float64)
    left, order = list(range(len(sizes) - 1)), []
    while left:
        worth = np.where(missing > 0, gains.ravel() / np.maximum(missing, 1) ** sharpness, 0.0)
        best = left.pop(int(np.argmax(flat[left] @ worth / sizes[left])))
        order.append(best)
        missing -= flat[best]
    return [*order, len(sizes) - 1]


def _cells(boxes: npt.NDArray[np.int64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(rows, columns) cells that boxes (n, 4), inclusive, meet."""
    counts = np.zeros((shape[0] + 1, shape[1] + 1), np.int64)  # differences along both axes
    x0, y0, x1, y1 = boxes.T
    for rows, columns, step in ((y0, x0, 1), (y0, x1 + 1, -1), (y1 + 1, x0, -1), (y1 + 1, x1 + 1, 1)):
        np.add.at(counts, (rows, columns), step)
    return np.asarray(counts.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0, np.bool_)


def _gains(image: IgsImage, lod: int, background: npt.NDArray[Any], shape: tuple[int, int], side: int) -> Float64Array:
    """(rows, columns) squared differences of a level from the next coarser one, by cell of `side` px.

    Args:
        background: (1, 1, C) sample that is shown before the coarsest level.
    """
    gains = np.zeros(shape)
    coarser = image.strips(lod + 1) if lod + 1 < image.lods else itertools.repeat((0, background))
    columns = np.arange(0, image.shape[1], side)
    for (first, fine), (_, coarse) in zip(image.strips(lod), coarser, strict=False):
        change = np.square(_even(fine) - _even(coarse)).sum(axis=2, dtype=np.float64)
        sums = np.add.reduceat(change, columns, axis=1)
        np.add.at(gains, (first + np.arange(len(fine))) // side, sums)
    return gains


def _even(samples: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Codes as they are, and floats so that bright light does not outweigh all else."""
    values = samples.astype(np.float32)
    return values if samples.dtype.kind == "u" else values / (1 + np.abs(values))
