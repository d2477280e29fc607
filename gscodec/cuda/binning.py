"""Tile lists on the device: the launches of tile_bin.cu and the buffers they fill.

Counting and listing are apart: a caller that can wait reads the number of pairs in between and makes buffers of that
size; a training step gives a capacity instead, and nothing travels to the host.
"""

import math
from dataclasses import dataclass

import numpy as np

from gscodec.constants import TILE_SIZE
from gscodec.cuda.runtime import Array, Runtime
from gscodec.errors import InvalidArgument

AXIS_SCALE = math.sqrt(0.5 / math.log(2.0))
"""Factor on the axes that makes exp(-q / 2) a power of two."""

ROW_LANES = 8
"""Lanes that share a Gaussian: most reach about as many rows of tiles."""

THREADS = 256
SCAN_THREADS = 256
SCAN_CHUNK = 4096
SORT_THREADS = 64
SORT_CAPACITY = 1024
"""Longest list that is sorted in shared memory; longer ones are sorted where they are."""

_DEFINES: dict[str, int | str] = {
    "TILE_SIZE": TILE_SIZE,
    "AXIS_SCALE": repr(AXIS_SCALE),
    "ROW_LANES": ROW_LANES,
    "SCAN_THREADS": SCAN_THREADS,
    "SCAN_CHUNK": SCAN_CHUNK,
    "SORT_THREADS": SORT_THREADS,
    "SORT_CAPACITY": SORT_CAPACITY,
}

TileRect = tuple[int, int, int, int]


@dataclass(frozen=True)
class DeviceGaussians:
    """Up to N Gaussians in device memory, of which the first `n_shown` count."""

    n_shown: Array  # int32 (1,)
    means: Array  # float64 (N, 2) px
    inv_scales: Array  # float64 (N, 2) 1/px
    rotations: Array  # float64 (N,) rad
    features: Array  # float32 (N, C), rows `feature_stride` floats apart
    n_channels: int
    feature_stride: int

    def __len__(self) -> int:
        return int(self.means.shape[0])


class Geometry:
    """What binning derives of N Gaussians on one rectangle of tiles: axes for blending, and pair counts."""

    def __init__(self, runtime: Runtime, n_gaussians: int) -> None:
        xp = runtime.xp
        self.axes = xp.empty((n_gaussians, 4), np.float64)  # scaled; u_x, u_y, v_x, v_y
        self.ellipses = xp.empty((n_gaussians, 6), np.float64)
        self.rows = xp.empty((n_gaussians, 2), np.int32)
        self.counts = xp.empty(n_gaussians, np.int32)
        self.starts = xp.empty(n_gaussians + 1, np.int32)
        self.partials = xp.empty(_chunks(n_gaussians), np.int64)


class TileLists:
    """Lists of a rectangle of tiles, with room for `capacity` pairs of a tile and a Gaussian."""

    def __init__(self, runtime: Runtime, tiles: TileRect, capacity: int) -> None:
        xp = runtime.xp
        self.tiles = tiles
        self.capacity = capacity
        self.n_tiles = (tiles[2] - tiles[0]) * (tiles[3] - tiles[1])
        self.counts = xp.empty(self.n_tiles, np.int32)
        self.offsets = xp.empty(self.n_tiles + 1, np.int32)
        self.partials = xp.empty(_chunks(self.n_tiles), np.int64)
        room = max(capacity, 1)
        self.indices = xp.empty(room, np.int32)  # ascending within a tile
        self.slots = xp.empty(room, np.int32)  # where a Gaussian's pair stands in indices
        self.pair_tiles = xp.empty(room, np.int32)
        self.pair_owners = xp.empty(room, np.int32)
        self.pair_ranks = xp.empty(room, np.int32)


def count_pairs(
    runtime: Runtime,
    gaussians: DeviceGaussians,
    geometry: Geometry,
    tiles: TileRect,
    support_q: float,
    capacity: int,
    needed: Array,
) -> None:
    """Fills `geometry`: axes, and the first pair of every Gaussian.

    Args:
        capacity: with more pairs than this all starts are 0, which leaves every list empty.
        needed: int32 (1,), raised to the number of pairs, capped at 2^31 - 1.
    """
    n = len(gaussians)
    if n == 0:
        geometry.starts.fill(0)
        return
    _check(gaussians, geometry)
    x0, y0, x1, y1 = tiles
    prepare = _kernel(runtime, "prepare_gaussians")
    prepare(
        -(-n // THREADS),
        THREADS,
        gaussians.n_shown,
        np.int32(n),
        gaussians.means,
        gaussians.inv_scales,
        gaussians.rotations,
        np.float64(support_q),
        np.int32(y0),
        np.int32(y1),
        geometry.axes,
        geometry.ellipses,
        geometry.rows,
    )
    _kernel(runtime, "count_pairs")(
        -(-n * ROW_LANES // THREADS),
        THREADS,
        np.int32(n),
        gaussians.means,
        geometry.ellipses,
        geometry.rows,
        np.float64(support_q),
        np.int32(x0),
        np.int32(x1),
        geometry.counts,
    )
    _scan(runtime, geometry.counts, geometry.partials, geometry.starts, capacity, needed)


def list_tiles(
    runtime: Runtime, gaussians: DeviceGaussians, geometry: Geometry, lists: TileLists, support_q: float
) -> None:
    """Fills `lists` from what `count_pairs` found for the same tiles, with a capacity of at most lists.capacity."""
    n = len(gaussians)
    if n == 0:
        lists.offsets.fill(0)
        return
    x0, y0, x1, _ = lists.tiles
    lists.counts.fill(0)
    _kernel(runtime, "emit_pairs")(
        -(-n * ROW_LANES // THREADS),
        THREADS,
        np.int32(n),
        gaussians.means,
        geometry.ellipses,
        geometry.rows,
        np.float64(support_q),
        np.int32(x0),
        np.int32(x1),
        np.int32(y0),
        geometry.starts,
        lists.counts,
        lists.pair_tiles,
        lists.pair_owners,
        lists.pair_ranks,
    )
    _scan(runtime, lists.counts, lists.partials, lists.offsets, lists.capacity, None)
    _kernel(runtime, "place_pairs")(
        min(-(-max(lists.capacity, 1) // THREADS), 4096),
        THREADS,
        geometry.starts[n:],
        lists.pair_tiles,
        lists.pair_ranks,
        lists.offsets,
        lists.indices,
    )
    _kernel(runtime, "sort_lists")(
        lists.n_tiles, SORT_THREADS, lists.offsets, lists.pair_owners, lists.indices, lists.slots
    )


def _chunks(n: int) -> int:
    """Chunks of a scan over n values, whose result has n + 1."""
    return n // SCAN_CHUNK + 1


def _scan(runtime: Runtime, values: Array, partials: Array, sums: Array, capacity: int, needed: Array | None) -> None:
    n, chunks = len(values), len(partials)
    _kernel(runtime, "sum_chunks")(chunks, SCAN_THREADS, values, np.int32(n), partials)
    _kernel(runtime, "scan_chunks")(
        chunks,
        SCAN_THREADS,
        values,
        np.int32(n),
        partials,
        np.int32(chunks),
        np.int64(capacity),
        sums,
        needed,
    )


def _kernel(runtime: Runtime, entry: str):  # type: ignore[no-untyped-def]
    return runtime.kernel("tile_bin", entry, **_DEFINES)


def _check(gaussians: DeviceGaussians, geometry: Geometry) -> None:
    n, c = len(gaussians), gaussians.n_channels
    found = {
        "means": (gaussians.means, (n, 2), np.float64),
        "inv_scales": (gaussians.inv_scales, (n, 2), np.float64),
        "rotations": (gaussians.rotations, (n,), np.float64),
        "n_shown": (gaussians.n_shown, (1,), np.int32),
        "axes": (geometry.axes, (n, 4), np.float64),
    }
    for name, (array, shape, dtype) in found.items():
        if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
            raise InvalidArgument(f"{name}: {array.dtype} {array.shape}, not contiguous {np.dtype(dtype)} {shape}")
    features, stride = gaussians.features, gaussians.feature_stride
    if features.shape != (n, c) or features.dtype != np.float32 or stride < c:
        raise InvalidArgument(f"features: {features.dtype} {features.shape}, not float32 {(n, c)}")
