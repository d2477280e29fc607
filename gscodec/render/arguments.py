"""Checks of the arguments of compiled engines."""

from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.model.constants import MAX_CHANNELS, MAX_DIMENSION, MAX_TOP_K
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import SUBSET_STEPS, LossWeights, Subset, TileIndex


def check_parameters(gaussians: GaussianSet) -> None:
    """Raise InvalidArgument unless all parameters are finite and inverse scales positive."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "mean": gaussians.means,
        "inverse scale": gaussians.inv_scales,
        "rotation": gaussians.rotations,
        "feature": gaussians.features,
    }
    for what, values in arrays.items():
        if not np.isfinite(values).all():
            bad = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise InvalidArgument(f"Gaussian {bad}: {what} is not finite")
    if not (gaussians.inv_scales > 0).all():
        bad = int(np.argwhere(gaussians.inv_scales <= 0)[0, 0])
        raise InvalidArgument(f"Gaussian {bad}: inverse scale is not positive")


def check_grid(gaussians: GaussianSet, grid: Grid) -> None:
    """Raise InvalidArgument if a grid exceeds the limits or does not match the Gaussians."""
    n_channels = gaussians.n_channels
    if not (1 <= grid.height <= MAX_DIMENSION and 1 <= grid.width <= MAX_DIMENSION):
        raise InvalidArgument(f"a grid of {grid.width}x{grid.height} px is not within 1 to {MAX_DIMENSION}")
    if not 1 <= grid.top_k <= MAX_TOP_K or not 0.0 < grid.support_q < np.inf:
        raise InvalidArgument(f"K = {grid.top_k} must be 1 to {MAX_TOP_K}, Q = {grid.support_q} positive and finite")
    if not 1 <= n_channels <= MAX_CHANNELS or grid.background.shape != (n_channels,):
        raise InvalidArgument(
            f"{n_channels} channels must be 1 to {MAX_CHANNELS}, and a background {grid.background.shape} must match"
        )


def rectangle(grid: Grid, tiles: tuple[int, int, int, int] | None) -> tuple[int, int, int, int]:
    """The half-open rectangle of tiles; None means the whole grid."""
    rows, columns = grid.tiles_shape
    x0, y0, x1, y1 = tiles or (0, 0, columns, rows)
    if not (0 <= x0 < x1 <= columns and 0 <= y0 < y1 <= rows):
        raise InvalidArgument(f"tiles {tiles} are not a rectangle within {columns}x{rows} tiles")
    return x0, y0, x1, y1


def check_index(gaussians: GaussianSet, grid: Grid, index: TileIndex) -> None:
    """Raise InvalidArgument if lists are not those of this grid or contain indices out of range."""
    x0, y0, x1, y1 = rectangle(grid, index.tiles)
    n_tiles = (x1 - x0) * (y1 - y0)
    ends, indices = index.offsets, index.indices
    if (
        ends.shape != (n_tiles + 1,)
        or ends[0] != 0
        or ends[-1] != len(indices)
        or (np.diff(ends) < 0).any()
        or (len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(gaussians))
    ):
        raise InvalidArgument(f"the tile index does not belong to {len(gaussians)} Gaussians on {n_tiles} tiles")


def check_window(window: Window) -> None:
    """Raise InvalidArgument unless all numbers are finite, steps positive and sizes not negative."""
    place = (window.x, window.y, window.step_x, window.step_y)
    if not np.isfinite(place).all() or min(place[2:]) <= 0 or min(window.height, window.width) < 0:
        raise InvalidArgument(f"{window}: finite numbers, steps above 0 and no negative size are needed")


def check_points(points: Float64Array) -> Float64Array:
    """Points as contiguous float64 (M, 2)."""
    place = np.ascontiguousarray(points, np.float64)
    if place.ndim != 2 or place.shape[1] != 2 or not np.isfinite(place).all():
        raise InvalidArgument(f"points of shape {place.shape}: (M, 2) finite pixel positions are needed")
    return place


def check_subset(subset: Subset, size: tuple[int, int], weights: LossWeights) -> None:
    """Raise InvalidArgument if engines do not support the subset, it has no pixels, or the loss has an SSIM term."""
    if subset.step not in SUBSET_STEPS or not (0 <= subset.x < subset.step and 0 <= subset.y < subset.step):
        raise InvalidArgument(f"{subset}: the step is one of {SUBSET_STEPS}, x and y are below it")
    if subset.y >= size[0] or subset.x >= size[1]:
        raise InvalidArgument(f"{subset}: a picture of {size[1]}x{size[0]} px has no such pixels")
    if subset.step > 1 and weights.compares_neighbours:
        raise InvalidArgument(f"{subset}: SSIM compares neighbours and needs the whole picture")


def importance_planes(importance: Float32Array | None, shape: tuple[int, ...]) -> Float32Array | None:
    """(1, height, width), or (C, height, width) if channels have different weights; None if all weights are 1.

    Args:
        importance: contiguous float32 (height, width) or (C, height, width).
        shape: (height, width, C) of the picture.

    Raises:
        InvalidArgument: importance has another type, shape or layout.
    """
    if importance is None:
        return None
    height, width, n_channels = shape
    fits = importance.shape in {(height, width), (1, height, width), (n_channels, height, width)}
    if not fits or importance.dtype != np.float32 or not importance.flags.c_contiguous:
        raise InvalidArgument(
            f"importance: {importance.dtype} {importance.shape}, not contiguous float32 {(height, width)} or "
            f"{(n_channels, height, width)}"
        )
    return importance.reshape(-1, height, width)


def importance_of_samples(importance: Float32Array) -> Float32Array:
    """(height, width, 1 or C) view of an importance (height, width) or (C, height, width)."""
    return importance[:, :, None] if importance.ndim == 2 else importance.transpose(1, 2, 0)
