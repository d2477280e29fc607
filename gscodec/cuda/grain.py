"""Film grain on a GPU: launches of grain.cu."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from gscodec.cuda.runtime import Array, Define, Runtime
from gscodec.image.grain import GrainGrid, GrainTerms, grain_terms
from gscodec.model.channels import ChannelGroup
from gscodec.model.grain import Grain

GRAIN_THREADS: Final = 256

DEFINES: Final[dict[str, Define]] = {"GRAIN_THREADS": GRAIN_THREADS}


def add_grain(
    runtime: Runtime,
    values: Array,
    grains: Sequence[Grain],
    groups: Sequence[ChannelGroup],
    grid: GrainGrid,
    first_row: int,
) -> None:
    """`gscodec.image.grain.add_grain` for a contiguous array (h, w, C) on the GPU."""
    for terms in grain_terms(grains, groups, grid):
        _launch(runtime, values, terms, values.shape[1], grid.column, grid.row + first_row, None)


def add_grain_at(
    runtime: Runtime, values: Array, points: Array, grains: Sequence[Grain], groups: Sequence[ChannelGroup]
) -> None:
    """`gscodec.image.grain.add_grain_at` for contiguous arrays (M, C) and float64 (M, 2) on the GPU."""
    for terms in grain_terms(grains, groups, GrainGrid()):
        _launch(runtime, values, terms, 1, 0, 0, points)


def _launch(
    runtime: Runtime, values: Array, terms: GrainTerms, width: int, column: int, row: int, points: Array | None
) -> None:
    n = values.size // values.shape[-1]
    if not n:
        return
    runtime.kernel("grain", "add_grain", **DEFINES)(
        -(-n // GRAIN_THREADS),
        GRAIN_THREADS,
        values,
        np.int64(n),
        np.int32(width),
        np.uint32(column & 0xFFFFFFFF),
        np.uint32(row & 0xFFFFFFFF),
        points,
        np.int32(values.shape[-1]),
        np.int32(terms.first),
        np.int32(terms.n_colours),
        np.uint32(terms.field),
        np.int32(terms.side),
        terms.factors[0],
        terms.factors[1],
        runtime.upload(terms.factors[2:]),
    )
