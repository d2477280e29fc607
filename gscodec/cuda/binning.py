"""Tile lists in GPU memory: launches of tile_bin.cu and the buffers they fill.

Counting and listing are separate: a caller that can wait reads the number of pairs in between and allocates buffers of
that size; a training step passes a capacity instead, and nothing is copied to the host.
"""

import copy
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gscodec.cuda.runtime import Array, Runtime
from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Window

AXIS_SCALE = math.sqrt(0.5 / math.log(2.0))
"""Factor on the axes that makes exp(-q / 2) a power of two."""

WARP = 32

ROW_LANES = 8
"""Lanes that share a Gaussian: most Gaussians reach about as many rows of tiles."""

BIN_GAUSSIANS = 32
"""Gaussians whose pairs a block counts: one warp computes their geometry."""

THREADS = 256
SCAN_THREADS = 256
SCAN_CHUNK = 4096
LIST_THREADS = 1024
LIST_CHUNK = 4096
LIST_SCAN = 1 << 16
"""Maximum number of Gaussians, or tiles, whose counts are summed by one launch in which every block reads all of
them."""

SORT_THREADS = 128
SORT_SHORT = 256
"""Maximum length of a list that a warp sorts by counting."""
SORT_MEDIUM = 1024
"""Maximum length of a list that a block sorts by counting; above it, owners are ranked by a bitmap of SORT_BITS at a
time."""
SORT_BITS = 1 << 15

DEFINES: Final[dict[str, int | str]] = {
    "TILE_SIZE": TILE_SIZE,
    "AXIS_SCALE": repr(AXIS_SCALE),
    "ROW_LANES": ROW_LANES,
    "BIN_GAUSSIANS": BIN_GAUSSIANS,
    "SCAN_THREADS": SCAN_THREADS,
    "SCAN_CHUNK": SCAN_CHUNK,
    "LIST_THREADS": LIST_THREADS,
    "LIST_CHUNK": LIST_CHUNK,
    "SORT_THREADS": SORT_THREADS,
    "SORT_SHORT": SORT_SHORT,
    "SORT_MEDIUM": SORT_MEDIUM,
    "SORT_BITS": SORT_BITS,
}
"""Macros of tile_bin.cu; `place_points` is also compiled in double precision."""

MAX_TILES: Final = 1 << 30
"""Maximum number of tiles of one set of lists, 2^38 pixels: their indices, and one more, are int32."""

TileRect = tuple[int, int, int, int]


@dataclass(frozen=True)
class DeviceGaussians:
    """Up to N Gaussians in device memory, of which the first `n_shown` are used."""

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
    """Results of binning N Gaussians on one rectangle of tiles: axes for blending, and pair counts."""

    def __init__(self, runtime: Runtime, n_gaussians: int) -> None:
        xp = runtime.xp
        self.axes = xp.empty((n_gaussians, 4), np.float64)  # scaled; u_x, u_y, v_x, v_y
        self.ellipses = xp.empty((n_gaussians, 6), np.float64)
        self.rows = xp.empty((n_gaussians, 2), np.int32)
        self.counts = xp.empty(n_gaussians, np.int32)
        self.starts = xp.empty(n_gaussians + 1, np.int32)
        self.partials = xp.empty(_chunks(n_gaussians), np.int64)


class TileLists:
    """Lists of a rectangle of tiles, with capacity for `capacity` pairs of a tile and a Gaussian.

    Args:
        capacity: None leaves the allocation to `make_room`, which must then be called before `list_tiles`.

    Raises:
        LimitExceeded: the number of tiles exceeds int32.
    """

    def __init__(self, runtime: Runtime, tiles: TileRect, capacity: int | None) -> None:
        xp = runtime.xp
        self.tiles = tiles
        self.n_tiles = (tiles[2] - tiles[0]) * (tiles[3] - tiles[1])
        if self.n_tiles > MAX_TILES:
            raise LimitExceeded(f"device {runtime.name}: {self.n_tiles} tiles at a time, at most {MAX_TILES} are taken")
        self.counts = xp.zeros(self.n_tiles, np.int32)  # 0 except between `count_pairs` and `list_tiles`
        self.offsets = xp.empty(self.n_tiles + 1, np.int32)
        self.partials = xp.empty(_chunks(self.n_tiles), np.int64)
        if capacity is not None:
            self.make_room(runtime, capacity)

    def rows_of_tiles(self, first: int, last: int) -> "TileLists":
        """Views of the lists of some rows of tiles, counted from the rectangle's first; read-only."""
        x0, y0, x1, _ = self.tiles
        part = copy.copy(self)
        part.tiles = x0, y0 + first, x1, y0 + last
        part.n_tiles = (last - first) * (x1 - x0)
        part.offsets = self.offsets[first * (x1 - x0) : last * (x1 - x0) + 1]
        return part

    def make_room(self, runtime: Runtime, capacity: int) -> None:
        """Reallocate the memory for pairs; lists are lost, counts are kept."""
        self.capacity = capacity
        room, xp = max(capacity, 1), runtime.xp
        self.indices = xp.empty(room, np.int32)  # ascending within a tile
        self.slots = xp.empty(room, np.int32)  # position of a Gaussian's pair in indices
        self.entries = xp.empty((room, 2), np.int32)


def find_axes(
    runtime: Runtime, gaussians: DeviceGaussians, geometry: Geometry, tiles: TileRect, support_q: float
) -> None:
    """Compute geometry.axes, for lists that come from elsewhere."""
    if len(gaussians):
        _count(runtime, gaussians, geometry, tiles, support_q, None)


def count_pairs(
    runtime: Runtime,
    gaussians: DeviceGaussians,
    geometry: Geometry,
    lists: TileLists,
    support_q: float,
    capacity: int,
    needed: Array,
) -> None:
    """Compute `geometry` (axes, and the first pair of every Gaussian) and the offsets of `lists`, and clear `lists`.

    Args:
        capacity: if there are more pairs than this, all starts and offsets are 0, so that every list is empty.
        needed: int32 (1,), raised to the number of pairs, capped at 2^31 - 1.
    """
    if len(gaussians) == 0:
        geometry.starts.fill(0)
        lists.offsets.fill(0)
        return
    _count(runtime, gaussians, geometry, lists.tiles, support_q, lists.counts)
    sum_counts(runtime, geometry, lists, capacity, needed)


def sum_counts(runtime: Runtime, geometry: Geometry, lists: TileLists, capacity: int, needed: Array) -> None:
    """The second part of `count_pairs`, after geometry.counts and lists.counts are complete."""
    n = len(geometry.counts)
    if max(n, lists.n_tiles) > LIST_SCAN:
        _scan(runtime, geometry.counts, geometry.partials, geometry.starts, capacity, needed)
        _scan(runtime, lists.counts, lists.partials, lists.offsets, capacity, None)
        return
    _kernel(runtime, "scan_lists")(
        n // LIST_CHUNK + 1 + lists.n_tiles // LIST_CHUNK + 1,
        LIST_THREADS,
        geometry.counts,
        np.int32(n),
        lists.counts,
        np.int32(lists.n_tiles),
        np.int64(capacity),
        geometry.starts,
        lists.offsets,
        needed,
    )


def list_tiles(
    runtime: Runtime, gaussians: DeviceGaussians, geometry: Geometry, lists: TileLists, support_q: float
) -> None:
    """Fill `lists` from the results of `count_pairs`, with a capacity of at most lists.capacity."""
    n = len(gaussians)
    if n == 0:
        return
    x0, y0, x1, _ = lists.tiles
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
        lists.offsets,
        np.int32(lists.n_tiles),
        lists.counts,
        lists.entries,
    )
    _kernel(runtime, "sort_lists")(
        -(-lists.n_tiles * WARP // SORT_THREADS),
        SORT_THREADS,
        np.int32(lists.n_tiles),
        lists.offsets,
        lists.entries,
        lists.indices,
        lists.slots,
    )


def place_points(
    runtime: Runtime,
    window: Window,
    shown: tuple[int, int],
    tiles: TileRect,
    column_starts: Array,
    columns: Array,
    row_starts: Array,
    rows: Array,
) -> None:
    """Fill the arrays of blending.Lattice for rows first to last - 1, `shown`, of a window.

    Columns and rows are both float32 or both float64. A point's position does not depend on which rows are shown.
    """
    x0, y0, x1, y1 = tiles
    real = {} if columns.dtype == np.float32 else {"REAL": "double"}
    runtime.kernel("tile_bin", "place_points", **DEFINES, **real)(
        (max(window.width, shown[1] - shown[0]) // THREADS + 1, 2),
        THREADS,
        np.float64(window.x),
        np.float64(window.step_x),
        np.int32(window.width),
        np.int32(x0),
        np.int32(x1),
        np.float64(window.y),
        np.float64(window.step_y),
        np.int32(shown[0]),
        np.int32(shown[1] - shown[0]),
        np.int32(y0),
        np.int32(y1),
        column_starts,
        columns,
        row_starts,
        rows,
    )


def _count(
    runtime: Runtime,
    gaussians: DeviceGaussians,
    geometry: Geometry,
    tiles: TileRect,
    support_q: float,
    tile_counts: Array | None,
) -> None:
    _check(gaussians, geometry)
    n = len(gaussians)
    _kernel(runtime, "count_pairs")(
        -(-n // BIN_GAUSSIANS),
        BIN_GAUSSIANS * ROW_LANES,
        gaussians.n_shown,
        np.int32(n),
        gaussians.means,
        gaussians.inv_scales,
        gaussians.rotations,
        np.float64(support_q),
        *(np.int32(edge) for edge in tiles),
        geometry.axes,
        geometry.ellipses,
        geometry.rows,
        geometry.counts,
        tile_counts,
    )


def _chunks(n: int) -> int:
    """Number of chunks of a scan over n values, whose result has n + 1."""
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
    return runtime.kernel("tile_bin", entry, **DEFINES)


def _check(gaussians: DeviceGaussians, geometry: Geometry) -> None:
    n, c = len(gaussians), gaussians.n_channels
    arrays = {
        "means": (gaussians.means, (n, 2), np.float64),
        "inv_scales": (gaussians.inv_scales, (n, 2), np.float64),
        "rotations": (gaussians.rotations, (n,), np.float64),
        "n_shown": (gaussians.n_shown, (1,), np.int32),
        "axes": (geometry.axes, (n, 4), np.float64),
    }
    for name, (array, shape, dtype) in arrays.items():
        if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
            raise InvalidArgument(f"{name}: {array.dtype} {array.shape}, not contiguous {np.dtype(dtype)} {shape}")
    features, stride = gaussians.features, gaussians.feature_stride
    if features.shape != (n, c) or features.dtype != np.float32 or stride < c:
        raise InvalidArgument(f"features: {features.dtype} {features.shape}, not float32 {(n, c)}")
