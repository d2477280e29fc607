"""Writes the vectors of shaders/vectors that are missing, from files of spec/vectors; called by make_vectors.py."""

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from vectors import VECTORS

from gscodec.container.reader import IgsReader
from gscodec.exporting.shader_data import shader_data
from gscodec.model.gaussians import Float64Array
from gscodec.render.reference import ReferenceRasterizer, mahalanobis_q

NAMES: Final = ("packed_rgb", "packed_alpha", "packed_stack", "ladder_packed")
N_POINTS: Final = 64
LEAST_GAP: Final = 1e-3
"""Relative distance of q_K from q_(K+1) below which binary32 may choose another Gaussian: no point is kept there."""

LEAST_MARGIN_PX: Final = 1e-3
"""Distance from the edges of tiles below which binary32 may take the tile beside."""

CORNERS: Final = [(0, 0), (1, 0), (0, 1), (1, 1)]


def is_plain(points: Float64Array, reader: IgsReader, n_levels: int) -> npt.NDArray[np.bool_]:
    """(M,) whether rounding decides nothing at points in px, at any level of a buffer."""
    engine, grid = ReferenceRasterizer(), reader.grid
    tiles = np.clip(np.floor(points / 16), 0, np.array(grid.tiles_shape[::-1]) - 1).astype(int)
    inside = np.abs(points - 16 * np.round(points / 16)).min(axis=1) > LEAST_MARGIN_PX
    plain: npt.NDArray[np.bool_] = inside | (np.isin(points, [0, grid.width, grid.height]).all(axis=1))
    for lod in range(n_levels):
        gaussians = reader.read(lod)
        index = engine.bin(gaussians, grid)
        for i, (x, y) in enumerate(points):
            tile = tiles[i, 1] * grid.tiles_shape[1] + tiles[i, 0]
            members = index.indices[index.offsets[tile] : index.offsets[tile + 1]]
            if len(members) > grid.top_k:
                q = np.sort(mahalanobis_q(gaussians, members, np.full(1, x), np.full(1, y)))
                plain[i] &= q[grid.top_k] - q[grid.top_k - 1] > LEAST_GAP * q[grid.top_k]
    return plain


def numbers_of(reader: IgsReader, n_levels: int) -> Iterator[npt.NDArray[np.float32]]:
    """Points (M, 2), uv, and the features (M, C) of every level there."""
    engine, grid = ReferenceRasterizer(), reader.grid
    rng = np.random.default_rng(7)
    uv = np.concatenate([np.array(CORNERS, np.float32), rng.random((8 * N_POINTS, 2), np.float32)])
    px = uv.astype(np.float64) * [grid.width, grid.height]
    kept = np.flatnonzero(is_plain(px, reader, n_levels))[:N_POINTS]
    assert len(kept) == N_POINTS
    yield uv[kept]
    for lod in range(n_levels):
        gaussians = reader.read(lod)
        yield engine.sample(gaussians, grid, engine.bin(gaussians, grid), px[kept])


def shader_files() -> Iterator[tuple[str, bytes]]:
    """Name and contents of every file of shaders/vectors but its text."""
    entries: list[dict[str, Any]] = []
    for name in NAMES:
        path = VECTORS / f"{name}.igs"
        words = shader_data(path)
        levels, channels, top_k = (int(words[place]) for place in (1, 4, 5))
        with IgsReader(path) as reader:
            yield f"{name}.words", words.astype("<u4").tobytes()
            yield f"{name}.bin", b"".join(part.astype("<f4").tobytes() for part in numbers_of(reader, levels))
        entries.append({"name": name, "channels": channels, "top_k": top_k, "levels": levels, "points": N_POINTS})
    lines = ",\n".join(f" {json.dumps(entry)}" for entry in entries)
    yield "index.json", f"[\n{lines}\n]\n".encode()
