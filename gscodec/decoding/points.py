"""Values at many points of a level, computed cluster by cluster, so that only nearby tiles are loaded."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gscodec.decoding.clusters import Which, clusters
from gscodec.decoding.store import SceneStore
from gscodec.decoding.work import TileRect, WorkBudget
from gscodec.image.grain import add_grain_at
from gscodec.image.levels import to_values
from gscodec.model.gaussians import Float32Array, Float64Array
from gscodec.model.grain import Grain

if TYPE_CHECKING:
    from gscodec.cuda.runtime import Array

_AHEAD: Final = 64
"""Number of rectangles whose pages are fetched together."""


def sample_points(
    store: SceneStore, lod: int, points: Float64Array, budget: WorkBudget, grain: Sequence[Grain] = ()
) -> Float32Array:
    """float32 (M, C) values of a level at points (M, 2) px inside the picture; float groups in the source's units.

    Raises:
        TooManyPairs: the list of one tile is too long.
        GsCodecError: as `SceneStore.sample`.
    """
    result = np.empty((len(points), len(store.reader.grid.background)), np.float32)
    rects = list(clusters(points, store.reader.grid, store.held(lod)))

    def fill() -> None:
        budget.restart()
        for rect, which in _fetched(store, lod, rects):
            if isinstance(which, slice):  # all of them: no copy
                result[:] = store.sample(lod, rect, points, budget)
            else:
                result[which] = store.sample(lod, rect, points[which], budget)

    store.with_spare(fill)
    values = to_values(result, store.reader.groups)
    add_grain_at(values, points, grain, store.reader.groups, store.backend.threads)
    return values


def sample_points_to_device(
    store: SceneStore, lod: int, points: Float64Array, budget: WorkBudget, out: "Array", grain: Sequence[Grain] = ()
) -> None:
    """The same, written to a contiguous float32 array (M, C) on the store's GPU."""
    from gscodec.decoding.device import values_in_place

    runtime: Any = store.runtime
    assert runtime is not None
    rects = list(clusters(points, store.reader.grid, store.held(lod)))
    with runtime:
        for rect, which in _fetched(store, lod, rects):
            if isinstance(which, slice):
                store.sample_to_device(lod, rect, points, budget, out)
            else:
                part = runtime.xp.empty((len(which), out.shape[1]), np.float32)
                store.sample_to_device(lod, rect, points[which], budget, part)
                out[runtime.upload(which)] = part
        values_in_place(runtime, out, store.reader.groups)
        if grain:
            from gscodec.cuda import grain as device_grain

            device_grain.add_grain_at(runtime, out, runtime.upload(points), grain, store.reader.groups)


def _fetched(store: SceneStore, lod: int, rects: list[tuple[TileRect, Which]]) -> Iterator[tuple[TileRect, Which]]:
    """The rectangles, after fetching the pages of several at a time."""
    for number, (rect, which) in enumerate(rects):
        if number % _AHEAD == 0:
            store.reader.prepare(lod, [ahead for ahead, _ in rects[number : number + _AHEAD]])
        yield rect, which
