"""The oracle: the rendering model in slow, plain float64 NumPy. All other engines are compared with it.

This file deliberately avoids optimisations. Where an engine derives tile lists from the extent of an ellipse inside a
row of tiles, this one computes the smallest q inside every tile; where an engine keeps the K best while it scans, this
one sorts. The formulas are those of `gscodec.model.gaussians` and spec/igs.md, section 3.
"""

import math
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import GaussianGrads, LossWeights, OutputDtype, TileIndex
from gscodec.render.arguments import importance_of_samples, importance_planes
from gscodec.render.base import Rasterizer
from gscodec.render.reference_loss import photometric_loss

# Copied from spec/igs.md on purpose: the oracle must not share constants with what it checks. A test compares them.
TILE_PX = 16
MOST_BLENDED = 32
MOST_CHANNELS = 64

_CODE_MAX = {"uint8": 255, "uint16": 65535}


class ReferenceRasterizer(Rasterizer):
    """The slow engine; see `Rasterizer` for what each method computes."""

    name = "reference"

    @classmethod
    def open(cls, index: int | None = None, threads: int | None = None) -> Self:
        """See `Rasterizer.open`."""
        del index, threads
        return cls()

    def bin(
        self,
        gaussians: GaussianSet,
        grid: Grid,
        tiles: tuple[int, int, int, int] | None = None,
        max_pairs: int | None = None,
    ) -> TileIndex:
        """Tile lists from the smallest q inside every tile; any number of entries.

        Raises:
            InvalidArgument: a parameter is not finite, an inverse scale is not positive, or the grid is invalid.
        """
        del max_pairs
        _check(gaussians, grid)
        x0, y0, x1, y1 = rectangle = covered_tiles(grid, tiles)
        members: list[list[int]] = [[] for _ in range((y1 - y0) * (x1 - x0))]
        for i in range(len(gaussians)):
            smallest = smallest_q_per_tile(gaussians, i, grid).reshape(tiles_of(grid))[y0:y1, x0:x1]
            for tile in np.flatnonzero(smallest <= grid.support_q):
                members[tile].append(i)
        offsets = np.cumsum([0, *(len(m) for m in members)], dtype=np.int64)
        return TileIndex(offsets, np.array([i for m in members for i in m], dtype=np.int32), rectangle)

    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> npt.NDArray[Any]:
        """(height, width, C) values at the window's points; integer types round the float64 blend half up."""
        _check(gaussians, grid)
        values = blend_points(gaussians, grid, index, window_points(window))
        values = values.reshape(window.height, window.width, gaussians.n_channels)
        if dtype == "float32":
            return values.astype(np.float32)
        if dtype not in _CODE_MAX:
            raise InvalidArgument(f"dtype {dtype!r}: use float32, uint8 or uint16")
        return np.floor(np.clip(values, 0.0, 1.0) * _CODE_MAX[dtype] + 0.5).astype(dtype)

    def backward(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, grad_image: Float32Array) -> GaussianGrads:
        """Gradients by the chain rule; the choice of Gaussians at each point is treated as constant.

        Pixels outside the tiles that the index covers contribute nothing.

        Raises:
            InvalidArgument: grad_image is not (height, width, C).
        """
        _check(gaussians, grid)
        shape = (grid.height, grid.width, gaussians.n_channels)
        if grad_image.shape != shape:
            raise InvalidArgument(f"grad_image has shape {grad_image.shape}, the render has {shape}")
        points = window_points(Window.whole(grid))
        x0, y0, x1, y1 = TILE_PX * np.array(covered_tiles(grid, index.tiles))
        covered = (points >= (x0, y0)).all(axis=1) & (points < (x1, y1)).all(axis=1)
        points = points[covered]
        grad_values = grad_image.astype(np.float64).reshape(-1, gaussians.n_channels)[covered]
        grad_means = np.zeros((len(gaussians), 2))
        grad_inv_scales = np.zeros((len(gaussians), 2))
        grad_rotations = np.zeros(len(gaussians))
        grad_features = np.zeros(gaussians.features.shape)
        for which, candidates in _points_by_tile(grid, index, points):
            if not len(candidates):
                continue  # the background depends on no Gaussian
            chosen, weights = _choose(gaussians, grid, points[which], candidates)
            features = gaussians.features[chosen].astype(np.float64)  # (P, K, C)
            value = np.einsum("pk,pkc->pc", weights, features)
            g = grad_values[which]
            # c = sum_i w_i f_i with w = softmax(-q / 2): dc/df_i = w_i and dc/dq_i = -w_i (f_i - c) / 2.
            np.add.at(grad_features, chosen, weights[:, :, None] * g[:, None, :])
            grad_q = -0.5 * weights * np.einsum("pc,pkc->pk", g, features - value[:, None, :])
            # q = U^2 + V^2, U = s0 (cos dx + sin dy), V = s1 (-sin dx + cos dy), (dx, dy) = point - mean.
            cos, sin = np.cos(gaussians.rotations[chosen]), np.sin(gaussians.rotations[chosen])
            s0, s1 = gaussians.inv_scales[chosen, 0], gaussians.inv_scales[chosen, 1]
            dx = points[which, 0, None] - gaussians.means[chosen, 0]
            dy = points[which, 1, None] - gaussians.means[chosen, 1]
            along, across = cos * dx + sin * dy, -sin * dx + cos * dy
            grad_u, grad_v = grad_q * 2.0 * s0 * along, grad_q * 2.0 * s1 * across
            np.add.at(grad_means[:, 0], chosen, -grad_u * s0 * cos + grad_v * s1 * sin)
            np.add.at(grad_means[:, 1], chosen, -grad_u * s0 * sin - grad_v * s1 * cos)
            np.add.at(grad_inv_scales[:, 0], chosen, grad_u * along)
            np.add.at(grad_inv_scales[:, 1], chosen, grad_v * across)
            np.add.at(grad_rotations, chosen, grad_u * s0 * across - grad_v * s1 * along)
        return GaussianGrads(grad_means, grad_inv_scales, grad_rotations, grad_features.astype(np.float32))

    def sample(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, points: Float64Array) -> Float32Array:
        """(M, C) values at points (M, 2) px; a point outside the image belongs to the nearest tile.

        Raises:
            InvalidArgument: points are not (M, 2) finite numbers.
        """
        _check(gaussians, grid)
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise InvalidArgument(f"points of shape {points.shape}: (M, 2) finite pixel positions are needed")
        return blend_points(gaussians, grid, index, points).astype(np.float32)

    def loss(
        self,
        image: Float32Array,
        target: Float32Array,
        weights: LossWeights,
        importance: Float32Array | None = None,
    ) -> tuple[float, Float32Array]:
        """The photometric loss and its gradient, from float64 sums.

        Raises:
            InvalidArgument: image and target differ in shape or are not (height, width, C).
        """
        if image.shape != target.shape or image.ndim != 3 or not image.size:
            raise InvalidArgument(f"loss: image {image.shape} and target {target.shape} must be the same (H, W, C)")
        counts = importance_planes(importance, image.shape)
        each = 1.0 if counts is None else importance_of_samples(counts).astype(np.float64)
        value, grad = photometric_loss(image.astype(np.float64), target.astype(np.float64), weights, each)
        return value, grad.astype(np.float32)


def tiles_of(grid: Grid) -> tuple[int, int]:
    """Rows and columns of tiles that cover the image."""
    return math.ceil(grid.height / TILE_PX), math.ceil(grid.width / TILE_PX)


def mahalanobis_q(
    gaussians: GaussianSet, i: npt.NDArray[np.intp] | npt.NDArray[np.int32] | int, x: Float64Array, y: Float64Array
) -> Float64Array:
    """Squared distance q of Gaussian(s) i at px positions (x, y), all broadcast against each other (paper, Eq. 1-2)."""
    cos, sin = np.cos(gaussians.rotations[i]), np.sin(gaussians.rotations[i])
    dx, dy = x - gaussians.means[i, 0], y - gaussians.means[i, 1]
    u = gaussians.inv_scales[i, 0] * (cos * dx + sin * dy)
    v = gaussians.inv_scales[i, 1] * (-sin * dx + cos * dy)
    q: Float64Array = u * u + v * v
    return q


def smallest_q_per_tile(gaussians: GaussianSet, i: int, grid: Grid) -> Float64Array:
    """(n_tiles,) minimum of Gaussian i's q over each closed tile, row-major.

    q is convex with its minimum 0 at the mean, so the minimum over a tile that does not hold the mean lies on one of
    its four edges. Along an edge q is a parabola; its vertex is clamped to the edge.
    """
    rows, columns = tiles_of(grid)
    tile = np.arange(rows * columns)
    x0 = np.asarray(tile % columns * TILE_PX, dtype=np.float64)
    y0 = np.asarray(tile // columns * TILE_PX, dtype=np.float64)
    x1, y1 = x0 + TILE_PX, y0 + TILE_PX
    mx, my = gaussians.means[i]
    cos, sin = np.cos(gaussians.rotations[i]), np.sin(gaussians.rotations[i])
    s0, s1 = gaussians.inv_scales[i]
    # q = a dx^2 + 2 b dx dy + d dy^2
    a = (s0 * cos) ** 2 + (s1 * sin) ** 2
    b = (s0 - s1) * (s0 + s1) * cos * sin
    d = (s0 * sin) ** 2 + (s1 * cos) ** 2
    smallest: Float64Array = np.full(rows * columns, np.inf)
    for edge in (x0, x1):  # vertical: dq/dy = 0 at dy = -b dx / d
        vertex = np.asarray(np.clip(my - b * (edge - mx) / d, y0, y1), dtype=np.float64)
        smallest = np.minimum(smallest, mahalanobis_q(gaussians, i, edge, vertex))
    for edge in (y0, y1):  # horizontal: dq/dx = 0 at dx = -b dy / a
        vertex = np.asarray(np.clip(mx - b * (edge - my) / a, x0, x1), dtype=np.float64)
        smallest = np.minimum(smallest, mahalanobis_q(gaussians, i, vertex, edge))
    smallest[(x0 <= mx) & (mx <= x1) & (y0 <= my) & (my <= y1)] = 0.0
    return smallest


def blend_points(gaussians: GaussianSet, grid: Grid, index: TileIndex, points: Float64Array) -> Float64Array:
    """(M, C) float64 blend at points (M, 2) px, the background where a tile is empty. `forward` rounds this."""
    values = np.tile(np.asarray(grid.background, dtype=np.float64), (len(points), 1))
    for which, candidates in _points_by_tile(grid, index, points):
        if len(candidates):
            chosen, weights = _choose(gaussians, grid, points[which], candidates)
            values[which] = np.einsum("pk,pkc->pc", weights, gaussians.features[chosen].astype(np.float64))
    return values


def window_points(window: Window) -> Float64Array:
    """(height * width, 2) the window's points in px, row by row."""
    x = window.x + (np.arange(window.width) + 0.5) * window.step_x
    y = window.y + (np.arange(window.height) + 0.5) * window.step_y
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    return np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)


def tile_of_points(grid: Grid, index: TileIndex, points: Float64Array) -> npt.NDArray[np.int64]:
    """(M,) position in the index of each point's tile; for points outside its tiles, that of the nearest tile."""
    x0, y0, x1, y1 = covered_tiles(grid, index.tiles)
    tx = np.clip(np.floor(points[:, 0] / TILE_PX), x0, x1 - 1).astype(np.int64)
    ty = np.clip(np.floor(points[:, 1] / TILE_PX), y0, y1 - 1).astype(np.int64)
    return (ty - y0) * (x1 - x0) + tx - x0


def covered_tiles(grid: Grid, tiles: tuple[int, int, int, int] | None) -> tuple[int, int, int, int]:
    """The half-open rectangle (tx0, ty0, tx1, ty1) of an index; None means the whole grid.

    Raises:
        InvalidArgument: the rectangle is empty or leaves the grid.
    """
    rows, columns = tiles_of(grid)
    x0, y0, x1, y1 = tiles or (0, 0, columns, rows)
    if not (0 <= x0 < x1 <= columns and 0 <= y0 < y1 <= rows):
        raise InvalidArgument(f"tiles {tiles} are not a rectangle within {columns}x{rows} tiles")
    return x0, y0, x1, y1


def _points_by_tile(
    grid: Grid, index: TileIndex, points: Float64Array
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.int32]]]:
    """For each tile with points: the indices of those points and of the tile's Gaussians."""
    tiles = tile_of_points(grid, index, points)
    order = np.argsort(tiles, kind="stable")
    bounds = np.flatnonzero(np.diff(tiles[order])) + 1
    for which in np.split(order, bounds):
        if len(which):
            tile = tiles[which[0]]
            yield which, index.indices[index.offsets[tile] : index.offsets[tile + 1]]


def _choose(
    gaussians: GaussianSet, grid: Grid, points: Float64Array, candidates: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], Float64Array]:
    """For each point, the K nearest Gaussians of its tile, ties to the lower index, and weights that sum to 1.

    Returns:
        Indices (P, K) and weights (P, K); K is smaller if the tile has fewer Gaussians.
    """
    q = mahalanobis_q(gaussians, candidates[None, :], points[:, 0, None], points[:, 1, None])
    nearest = np.argsort(q, axis=1, kind="stable")[:, : grid.top_k]
    q = np.take_along_axis(q, nearest, axis=1)
    weights = np.exp(-0.5 * (q - q[:, :1]))  # relative to the nearest, so that the sum is at least 1 (Eq. 5)
    return candidates[nearest], weights / weights.sum(axis=1, keepdims=True)


def _check(gaussians: GaussianSet, grid: Grid) -> None:
    """Raise InvalidArgument for non-finite parameters, an invalid grid, or channel counts that do not match."""
    arrays = (gaussians.means, gaussians.inv_scales, gaussians.rotations, gaussians.features)
    if not all(np.isfinite(a).all() for a in arrays):
        raise InvalidArgument("a Gaussian has a NaN or infinite parameter")
    if (gaussians.inv_scales <= 0.0).any():
        raise InvalidArgument("an inverse scale is not above 0")
    if grid.height < 1 or grid.width < 1:
        raise InvalidArgument(f"a grid of {grid.width}x{grid.height} px has no pixels")
    if not 1 <= grid.top_k <= MOST_BLENDED or not 0.0 < grid.support_q < np.inf:
        raise InvalidArgument(f"K = {grid.top_k} must be 1 to {MOST_BLENDED}, Q = {grid.support_q} positive and finite")
    c = gaussians.n_channels
    if not 1 <= c <= MOST_CHANNELS or np.shape(grid.background) != (c,):
        raise InvalidArgument(f"{c} features but background {np.shape(grid.background)}: equal, 1 to {MOST_CHANNELS}")
