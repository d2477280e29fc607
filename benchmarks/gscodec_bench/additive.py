"""Blending without top-K normalisation (paper, Eq. 4): a tile's Gaussians all add their weight times their colour.

In torch, a few tiles at a time, differentiable; slow, and only there to be compared with (paper, Table 1).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Grid
from gscodec.model.rendering import TileIndex

CHUNK_TILES: Final = 64


def additive_image(fields: Sequence[torch.Tensor], grid: Grid, index: TileIndex) -> torch.Tensor:
    """float32 (height, width, C): the sum of exp(-q / 2) times the features over each tile's Gaussians.

    Args:
        fields: means (N, 2) px, inverse scales (N, 2), rotations (N,), features (N, C).
        index: the whole grid's tile lists.
    """
    n_channels = fields[3].shape[1]
    rows, columns = grid.tiles_shape
    tiles = [
        _AddTiles.apply(*fields, index, first, min(first + CHUNK_TILES, rows * columns), columns)  # type: ignore[no-untyped-call]
        for first in range(0, rows * columns, CHUNK_TILES)
    ]
    blocks = torch.cat(tiles).reshape(rows, columns, TILE_SIZE, TILE_SIZE, n_channels)
    image = blocks.permute(0, 2, 1, 3, 4).reshape(rows * TILE_SIZE, columns * TILE_SIZE, n_channels)
    return image[: grid.height, : grid.width]


class _AddTiles(torch.autograd.Function):
    """Some tiles; what they need is computed again for the gradient, so that memory holds one chunk at a time."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> torch.Tensor:
        *fields, index, first, last, columns = arguments
        ctx.save_for_backward(*fields)
        ctx.place = index, first, last, columns
        return _tiles(fields, *ctx.place)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        with torch.enable_grad():
            fields = [field.detach().requires_grad_() for field in ctx.saved_tensors]
            grads = torch.autograd.grad(_tiles(fields, *ctx.place), fields, grad_outputs[0])
        return (*grads, None, None, None, None)


def _tiles(fields: Sequence[torch.Tensor], index: TileIndex, first: int, last: int, columns: int) -> torch.Tensor:
    """(last - first, TILE_SIZE^2, C) of tiles in row-major order."""
    counts = np.diff(index.offsets[first : last + 1])
    longest = max(1, int(counts.max()))
    lists = np.zeros((last - first, longest), np.int64)
    there = np.arange(longest) < counts[:, None]
    lists[there] = index.indices[index.offsets[first] : index.offsets[last]]
    means, inverse, rotations, features = (field[torch.from_numpy(lists)] for field in fields)
    tile = torch.arange(first, last)
    step = torch.arange(TILE_SIZE) + 0.5
    x = (tile % columns * TILE_SIZE)[:, None, None] + step  # (tiles, 1, 16)
    y = (tile // columns * TILE_SIZE)[:, None, None] + step[:, None]  # (tiles, 16, 1)
    x, y = (place.expand(-1, TILE_SIZE, TILE_SIZE).reshape(len(tile), -1, 1) for place in (x, y))
    dx, dy = x - means[:, None, :, 0], y - means[:, None, :, 1]
    cosine, sine = rotations.cos()[:, None], rotations.sin()[:, None]
    u = inverse[:, None, :, 0] * (cosine * dx + sine * dy)
    v = inverse[:, None, :, 1] * (cosine * dy - sine * dx)
    weights = torch.exp(-0.5 * (u * u + v * v)) * torch.from_numpy(there)[:, None]
    return weights @ features
