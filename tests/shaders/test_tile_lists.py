"""Tile lists in binary32, by the rule that spec/igs.md has for shaders in section 18.2, beside those of the engines."""

import numpy as np
import numpy.typing as npt
import pytest
from vectors import VECTORS

from gscodec.container.reader import IgsReader
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.reference import smallest_q_per_tile

SIDE = np.float32(16)


def on_side(p: Float32Array, d: Float32Array) -> Float32Array:
    """(n,) least squared distance from the origin of the segments from p to p + d, (n, 2)."""
    along = np.clip(-(p * d).sum(1) / (d * d).sum(1), 0, 1)
    nearest = p + d * along[:, None]
    least: Float32Array = (nearest * nearest).sum(1)
    return least


def least_q(gaussians: GaussianSet, grid: Grid) -> tuple[Float32Array, Float32Array]:
    """(N, n_tiles) least q, all in float32, and the error that the rule allows it."""
    rows, columns = grid.tiles_shape
    tiles = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=2).reshape(-1, 2)
    found, slack = np.empty((2, len(gaussians), len(tiles)), np.float32)
    for i in range(len(gaussians)):
        dx, dy = (16.0 * tiles - gaussians.means[i]).astype(np.float32).T
        s0, s1 = gaussians.inv_scales[i].astype(np.float32)
        turn = np.float32(gaussians.rotations[i])
        c, s = np.cos(turn), np.sin(turn)
        corner = np.stack([s0 * (c * dx + s * dy), s1 * (c * dy - s * dx)], axis=1)
        a = np.broadcast_to(np.array([s0 * c * SIDE, -s1 * s * SIDE]), corner.shape)
        b = np.broadcast_to(np.array([s0 * s * SIDE, s1 * c * SIDE]), corner.shape)
        sides = [on_side(corner, a), on_side(corner, b), on_side(corner + a, b), on_side(corner + b, a)]
        holds = (dx <= 0) & (dx >= -SIDE) & (dy <= 0) & (dy >= -SIDE)
        found[i] = np.where(holds, 0, np.min(sides, axis=0))
        e = np.float32(2.0**-20) * (s0 + s1) * (abs(dx) + abs(dy) + 2 * SIDE)
        slack[i] = e * (2 * np.sqrt(found[i]) + e)
    assert found.dtype == np.float32
    return found, slack


def members(gaussians: GaussianSet, grid: Grid) -> npt.NDArray[np.bool_]:
    """(N, n_tiles) whether a list has a Gaussian."""
    index = CpuRasterizer(1).bin(gaussians, grid)
    table = np.zeros((len(gaussians), len(index.offsets) - 1), np.bool_)
    table[index.indices, np.arange(table.shape[1]).repeat(np.diff(index.offsets))] = True
    return table


def check(gaussians: GaussianSet, grid: Grid) -> int:
    """Number of pairs that the rule decides in its own way; it may where rounding does."""
    q, slack = least_q(gaussians, grid)
    exact = np.array([smallest_q_per_tile(gaussians, i, grid) for i in range(len(gaussians))])
    near = exact < 4 * grid.support_q
    assert (np.abs(q - exact) <= slack)[near].all()
    differs = (q <= grid.support_q) != members(gaussians, grid)
    assert (np.abs(q - np.float32(grid.support_q)) <= slack)[differs].all()
    return int(differs.sum())


@pytest.mark.parametrize("name", ["packed_rgb", "packed_alpha", "packed_stack", "ladder_packed"])
def test_the_rule_gives_the_lists_of_the_vectors(name: str) -> None:
    with IgsReader(VECTORS / f"{name}.igs") as reader:
        for lod in range(reader.n_lods):
            assert check(reader.read(lod), reader.grid) == 0


def test_the_rule_holds_for_thin_gaussians() -> None:
    rng = np.random.default_rng(3)
    n = 300
    grid = Grid(256, 256, np.zeros(1, np.float32))
    gaussians = GaussianSet(
        rng.uniform(-20, 276, (n, 2)),
        np.exp2(rng.uniform(-7, 4, (n, 2))),
        rng.uniform(0, np.pi, n),
        np.zeros((n, 1), np.float32),
    )
    assert check(gaussians, grid) < 3
