"""Splits a picture that is too large to fit at once into blocks, and allocates Gaussians to each.

A block is fitted over its window, the core and a halo around it, and keeps the Gaussians whose mean lies in the core.
Blocks are finished in raster order. All edges inside the picture are multiples of CELL_PX, so that windows have the
picture's own tiles.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from gscodec.image.regions import Rect, Regions
from gscodec.model.gaussians import Float32Array, Float64Array

CELL_PX: Final = 64
"""Side, in px, of the cells for which the allocation of Gaussians is computed. A multiple of the tile side."""

BLOCK_PX: Final = 1024
"""Approximate side of a core, px. At 512 px the halos are half of the work; larger blocks exceed the CPU caches."""

SPARSE_BLOCK_PX: Final = 2048
"""Side of a core, px, for sparse sets, where a block of BLOCK_PX would hold fewer than SPARSE_COUNT Gaussians: their
halos are wide."""

SPARSE_COUNT: Final = 1000

HALO_SPACINGS: Final = 3.0
"""Width of a halo in mean distances between Gaussians. Gaussians further away are seldom among a pixel's top K."""

WORTH_POWER: Final = 0.55
"""Exponent of the allocation. The squared error falls by about 2.4 dB per doubling of the count, as count^-0.8; the sum
over the cells is then minimal if counts are proportional to the 1 / 1.8th power of each cell's error."""

WORTH_FLOOR: Final = 1e-3
"""Fraction of the mean variance added to that of each cell: a flat cell still needs some Gaussians."""


@dataclass(frozen=True)
class Block:
    """One block. Rectangles are in px of the picture."""

    number: int
    core: Rect
    window: Rect


def block_side(height: int, width: int, n_gaussians: int) -> int:
    """Side of the cores in px for a set of n_gaussians."""
    per_block = n_gaussians * BLOCK_PX**2 / (height * width)
    return BLOCK_PX if per_block >= SPARSE_COUNT else SPARSE_BLOCK_PX


def halo_width(height: int, width: int, n_gaussians: int, side: int) -> int:
    """Width of the halos, px: a multiple of CELL_PX, at most half a core."""
    spacing = math.sqrt(height * width / max(n_gaussians, 1))
    cells = max(1, round(HALO_SPACINGS * spacing / CELL_PX))
    return CELL_PX * min(cells, max(1, side // (2 * CELL_PX)))


def split(height: int, width: int, side: int, halo: int) -> list[Block]:
    """Blocks of a picture in raster order, with cores of about side x side px and nearly equal size."""
    blocks: list[Block] = []
    rows, columns = _edges(height, side), _edges(width, side)
    for y0, y1 in pairwise(rows):
        for x0, x1 in pairwise(columns):
            core = Rect(x0, y0, x1, y1)
            window = Rect(max(0, x0 - halo), max(0, y0 - halo), min(width, x1 + halo), min(height, y1 + halo))
            blocks.append(Block(len(blocks), core, window))
    return blocks


def _edges(length: int, side: int) -> list[int]:
    n = max(1, -(-length // side))
    inner = [round(k * length / (n * CELL_PX)) * CELL_PX for k in range(1, n)]
    return sorted({0, *(edge for edge in inner if 0 < edge < length), length})


@dataclass(frozen=True)
class Survey:
    """Statistics from one pass over the whole picture."""

    mean: Float32Array  # (C,) mean sample of each channel
    worth: Float64Array  # (rows, columns) fraction of the Gaussians to allocate to each cell; sums to 1
    digest: str  # SHA-256 of all samples if requested, else of the shape alone

    def share(self, area: Rect) -> float:
        """Fraction of the Gaussians to allocate to an area whose inner edges are multiples of CELL_PX."""
        rows = slice(area.y0 // CELL_PX, -(-area.y1 // CELL_PX))
        return float(self.worth[rows, area.x0 // CELL_PX : -(-area.x1 // CELL_PX)].sum())


def survey(source: Regions, blocks: Sequence[Block], n_gaussians: int, *, with_digest: bool = False) -> Survey:
    """Statistics of a picture that is read core by core.

    A cell's allocation is computed from the variance that Gaussians at their mean distance cannot represent: the
    variance inside squares of about that side.

    Args:
        with_digest: hash the samples, which takes additional time.
    """
    height, width, n_channels = source.shape
    square = _square_px(height, width, n_gaussians)
    missed = np.zeros((-(-height // CELL_PX), -(-width // CELL_PX)))
    total = np.zeros(n_channels)
    digest = hashlib.sha256(repr(source.shape).encode())
    for block in blocks:
        core = block.core
        samples = source.read(core)
        if with_digest:
            digest.update(np.ascontiguousarray(samples).data)
        total += samples.sum(axis=(0, 1), dtype=np.float64)
        part = variance_missed(samples, square)
        missed[core.y0 // CELL_PX :, core.x0 // CELL_PX :][: part.shape[0], : part.shape[1]] = part
    worth = (missed + WORTH_FLOOR * max(float(missed.mean()), 1e-9)) ** WORTH_POWER
    worth *= np.outer(*(np.minimum(CELL_PX, n - np.arange(0, n, CELL_PX)) for n in (height, width)))
    return Survey((total / (height * width)).astype(np.float32), worth / worth.sum(), digest.hexdigest())


def _square_px(height: int, width: int, n_gaussians: int) -> int:
    spacing = math.sqrt(height * width / max(n_gaussians, 1))
    return min(CELL_PX, max(4, 1 << round(math.log2(max(spacing, 1.0)))))


def variance_missed(samples: Float32Array, square: int) -> Float64Array:
    """(rows, columns) of cells: mean variance of (H, W, C) samples inside squares, summed over the channels."""
    height, width, _ = samples.shape
    padded = np.pad(samples, ((0, -height % CELL_PX), (0, -width % CELL_PX), (0, 0)), mode="edge")
    rows, columns = padded.shape[0] // square, padded.shape[1] // square
    tiled = padded.reshape(rows, square, columns, square, -1)
    mean = tiled.mean(axis=(1, 3))
    variance = np.maximum(np.einsum("iajbc,iajbc->ij", tiled, tiled) / square**2 - (mean**2).sum(axis=2), 0.0)
    per = CELL_PX // square
    cells: Float64Array = variance.astype(np.float64).reshape(rows // per, per, columns // per, per).mean(axis=(1, 3))
    return cells
