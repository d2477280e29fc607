"""Maintenance of Gaussians between steps of a fit, in GPU memory: launches of upkeep.cu.

Computes the importance of Gaussians, and which ones barely reach their tiles; fit/upkeep.py has the method.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda import binning, blending
from gscodec.cuda.binning import AXIS_SCALE, DeviceGaussians, Geometry, TileLists
from gscodec.cuda.blending import MOMENTS, Lattice, Scene, Strides
from gscodec.cuda.fitting import FitState
from gscodec.cuda.runtime import Array, Define, Kernel, Runtime
from gscodec.errors import InvalidArgument
from gscodec.model.constants import MAX_TILE_PAIRS, TILE_SIZE
from gscodec.model.gaussians import Grid
from gscodec.model.rendering import TooManyPairs

UPKEEP_THREADS: Final = 128
_TILES: Final = UPKEEP_THREADS // binning.WARP

DEFINES: Final[dict[str, Define]] = {
    "TILE_SIZE": TILE_SIZE,
    "AXIS_SCALE": repr(AXIS_SCALE),
    "UPKEEP_THREADS": UPKEEP_THREADS,
}
"""Macros of upkeep.cu."""

ROOM: Final = 1.5
"""Capacity of `Reach` for pairs, relative to the number needed when it is allocated."""


def removal_sums(runtime: Runtime, scene: Scene, lattice: Lattice, importance: Array | None) -> npt.NDArray[np.float64]:
    """(N, W + C + 1) sums over the pixels of each Gaussian's weight times the planes of the removal cost.

    The planes are the pixel weights (W = 1 or C of them), these times the picture's channels, and these times the
    channels' squares, summed. They are computed on the GPU; only the sums are downloaded.

    Args:
        lattice: of the whole picture.
        importance: float32 (H, W) or (C, H, W), weight of each sample; None means 1 everywhere.
    """
    n, c = len(scene.gaussians), scene.gaussians.n_channels
    size = lattice.height, lattice.width
    n_pixels = size[0] * size[1]
    if importance is not None and importance.size not in {n_pixels, c * n_pixels}:
        raise InvalidArgument(f"importance: {importance.shape} is not one plane of {size}, or one for each channel")
    n_weights = 1 if importance is None else importance.size // n_pixels
    n_planes = n_weights + c + 1
    xp, strides = runtime.xp, Strides.planes(*size)
    image = xp.empty((c, *size), np.float32)
    blending.render(runtime, scene, lattice, image, strides)
    # In parts of C planes, as for the gradient of the picture: no other kernel must be compiled.
    n_parts = -(-n_planes // c)
    planes = xp.zeros((n_parts * c, *size), np.float32)
    _kernel(runtime, "removal_planes")(
        -(-n_pixels // UPKEEP_THREADS),
        UPKEEP_THREADS,
        image,
        importance,
        np.int32(c),
        np.int32(n_weights),
        np.int64(n_pixels),
        planes,
    )
    shown = replace(scene.gaussians, features=xp.zeros((n, c), np.float32), feature_stride=c)
    blank = replace(scene, gaussians=shown, background=xp.zeros(c, np.float32))
    moments = xp.empty((max(scene.lists.capacity, 1), MOMENTS + c), np.float32)
    grads = xp.empty((n_parts, n, MOMENTS + c), np.float32)
    for part in range(n_parts):
        blending.backward(
            runtime,
            blank,
            size,
            strides,
            grad_image=planes[part * c : (part + 1) * c],
            moments=moments,
        )
        blending.gather(runtime, blank, moments, grads[part])
    sums = runtime.download(grads)[:, :, MOMENTS:].astype(np.float64)
    return np.concatenate(list(sums), axis=1)[:, :n_planes]


class Reach:
    """Widens Gaussians that barely reach tiles with points that they are nearest to; see `fit.upkeep.missing_reach`.

    Memory for tile lists is kept between calls.

    Args:
        search: radius, in q relative to the support, of the search for a point's nearest Gaussian.
        most: maximum decrease of the logarithm of an inverse scale per call.
    """

    def __init__(self, runtime: Runtime, grid: Grid, search: float, most: float) -> None:
        self._runtime = runtime
        self._grid = grid
        self._search_q = search * grid.support_q
        self._most = most
        rows, columns = grid.tiles_shape
        self._geometry = Geometry(runtime, 0)
        self._lists = TileLists(runtime, (0, 0, columns, rows), 0)
        self._reach = runtime.xp.empty((1, 2), np.float32)
        self._needed = runtime.xp.zeros(1, np.int32)

    def widen(self, gaussians: DeviceGaussians, rows: Array, limit: float) -> None:
        """Subtract the missing reach from two columns of `rows`, the log inverse scales. Reads one number.

        Args:
            gaussians: of these rows, all shown.
            rows: float32 (at least n, D) parameters.
            limit: q of a tile's closest point, relative to the support, up to which Gaussians are widened.

        Raises:
            TooManyPairs: the lists exceed MAX_TILE_PAIRS.
        """
        n = len(gaussians)
        if len(self._geometry.counts) != n:
            self._geometry = Geometry(self._runtime, n)
        self._needed.fill(0)
        self._launch(gaussians, rows, limit)
        needed = int(self._runtime.download(self._needed)[0])
        if needed <= self._lists.capacity:
            return
        if needed > MAX_TILE_PAIRS:
            raise TooManyPairs(n, self._grid, MAX_TILE_PAIRS)
        # Lists that exceeded their capacity are empty and moved nothing.
        self._lists.make_room(self._runtime, min(round(ROOM * needed), MAX_TILE_PAIRS))
        self._reach = self._runtime.xp.empty((self._lists.capacity, 2), np.float32)
        self._launch(gaussians, rows, limit)

    def _launch(self, gaussians: DeviceGaussians, rows: Array, limit: float) -> None:
        runtime, lists, geometry, n = self._runtime, self._lists, self._geometry, len(gaussians)
        if n == 0:
            return
        binning.count_pairs(runtime, gaussians, geometry, lists, self._search_q, lists.capacity, self._needed)
        binning.list_tiles(runtime, gaussians, geometry, lists, self._search_q)
        self._reach.fill(0)
        _kernel(runtime, "owned_reach")(
            -(-lists.n_tiles // _TILES),
            UPKEEP_THREADS,
            np.int32(lists.n_tiles),
            np.int32(lists.tiles[2]),
            np.int32(self._grid.height),
            np.int32(self._grid.width),
            lists.offsets,
            lists.indices,
            gaussians.means,
            geometry.axes,
            self._reach,
        )
        _kernel(runtime, "widen_rows")(
            -(-n // _TILES),
            UPKEEP_THREADS,
            np.int32(n),
            np.int32(rows.shape[1]),
            geometry.starts,
            lists.slots,
            self._reach,
            np.float64(limit * self._grid.support_q),
            np.float64(self._most),
            rows,
        )


def limit_elongation(runtime: Runtime, state: FitState, limits: Array, cell: int) -> None:
    """Bring the elongation of all present Gaussians of a fit within limits; fit/elongation.py has the method.

    Args:
        limits: float32 (rows, columns), greatest logarithm of the ratio of widths in each cell.
        cell: side of a cell, px.
    """
    n, d = state.n_present, state.settings.n_columns
    if n:
        sizes = (n, d, *limits.shape, cell)
        _kernel(runtime, "limit_elongation")(
            -(-n // UPKEEP_THREADS), UPKEEP_THREADS, *map(np.int32, sizes), limits, state.rows
        )


def put_rows(
    runtime: Runtime, state: FitState, where: Array, rows: Array, units: Array, *, has_fresh_moments: bool
) -> None:
    """Overwrite Gaussians of a fit, or some of their values.

    Args:
        where: int64 (n,), distinct, each below state.n_present.
        rows, units: as `FitState.append`.

    Raises:
        InvalidArgument: a shape or type is wrong.
    """
    n, d = len(where), state.settings.n_columns
    for name, array in (("rows", rows), ("units", units)):
        if array.shape != (n, d) or array.dtype != np.float32 or not array.flags.c_contiguous:
            raise InvalidArgument(f"{name}: {array.dtype} {array.shape}, not contiguous float32 {(n, d)}")
    if n:
        moments = (state.mean, state.square, state.row_steps) if has_fresh_moments else (None,) * 3
        _kernel(runtime, "put_rows")(
            -(-n * d // UPKEEP_THREADS),
            UPKEEP_THREADS,
            np.int32(n),
            np.int32(d),
            where,
            rows,
            units,
            state.rows,
            state.units,
            *moments,
        )


def take_rows(runtime: Runtime, state: FitState, where: Array) -> Array:
    """float32 (n, D) parameters of the Gaussians at indices `where`, int64 (n,), each below state.n_present."""
    n, d = len(where), state.settings.n_columns
    taken = runtime.xp.empty((n, d), np.float32)
    if n:
        sizes = np.int32(n), np.int32(d)
        _kernel(runtime, "take_rows")(-(-n * d // UPKEEP_THREADS), UPKEEP_THREADS, *sizes, where, state.rows, taken)
    return taken


def _kernel(runtime: Runtime, entry: str) -> Kernel:
    return runtime.kernel("upkeep", entry, **DEFINES)
