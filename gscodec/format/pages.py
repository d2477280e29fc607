"""Pages: runs of records with the box of tiles they touch, so that a region reads only the pages it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from gscodec.errors import ChecksumMismatch
from gscodec.format.crc32c import crc32c_runs
from gscodec.format.limits import generation_sizes, page_lengths
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid, LodTable

_SLACK: Final = 1e-6  # px and ratio: far above float64 rounding of any tile test, far below a tile

TileRect = tuple[int, int, int, int]
"""Half-open rectangle (tx0, ty0, tx1, ty1) of tiles."""

PAGE_DTYPE: Final = np.dtype(
    [("tx_first", "<u2"), ("ty_first", "<u2"), ("tx_last", "<u2"), ("ty_last", "<u2"), ("crc", "<u4")]
)
SIZED_PAGE_DTYPE: Final = np.dtype([*PAGE_DTYPE.descr, ("n_bytes", "<u4")])


@dataclass(frozen=True)
class PageRefs:
    """Some pages of a file in ascending order, with all that is needed to read and decode them."""

    numbers: npt.NDArray[np.int64]  # (n,)
    starts: npt.NDArray[np.int64]  # (n,) first record of each
    sizes: npt.NDArray[np.int64]  # (n,) number of records of each
    offsets: npt.NDArray[np.int64]  # (n,) offset of each in GAUS, in bytes
    lengths: npt.NDArray[np.int64]  # (n,) bytes of each
    crcs: npt.NDArray[np.uint32]  # (n,)

    def __len__(self) -> int:
        return len(self.numbers)

    def ending_by(self, n_bytes: int) -> "PageRefs":
        """The pages that end within the first n_bytes of GAUS."""
        kept = self.offsets + self.lengths <= n_bytes
        return PageRefs(*(getattr(self, name)[kept] for name in PageRefs.__dataclass_fields__))

    @staticmethod
    def join(parts: Sequence["PageRefs"]) -> "PageRefs":
        """The pages of all parts, which must be in ascending order."""
        names = PageRefs.__dataclass_fields__
        return PageRefs(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Pages(Protocol):
    """Index of the pages of a file. The `n_pages` leading pages in arguments are those of whole generations."""

    def __len__(self) -> int:
        """Number of pages, P."""
        ...

    def until(self, n_gaussians: int) -> int:
        """Number of leading pages with the first n_gaussians, which must end a generation."""
        ...

    def end_of(self, n_pages: int) -> int:
        """Size in bytes of the first n_pages in GAUS."""
        ...

    def leading(self, n_pages: int) -> PageRefs:
        """The first n_pages."""
        ...

    def meeting(self, tile_rect: TileRect, n_pages: int) -> PageRefs:
        """Pages among the first n_pages whose box overlaps a half-open rectangle of tiles."""
        ...

    def prepare(self, tile_rects: Sequence[TileRect], n_pages: int) -> None:
        """Prefetch what `meeting` needs for these rectangles in one batch of reads."""
        ...


@dataclass(frozen=True)
class PageIndex:
    """Offsets, tile boxes and CRCs of all pages of a file; `Pages` held in memory."""

    starts: npt.NDArray[np.int64]  # (P + 1,) first record of each page, then the number of records
    boxes: npt.NDArray[np.int64]  # (P, 4) tx_first, ty_first, tx_last, ty_last, inclusive
    crcs: npt.NDArray[np.uint32]  # (P,)
    edges: npt.NDArray[np.int64]  # (P + 1,) offset of each page in GAUS, in bytes, then the size of GAUS

    def __len__(self) -> int:
        return len(self.crcs)

    def until(self, n_gaussians: int) -> int:
        """See `Pages.until`."""
        return int(np.searchsorted(self.starts, n_gaussians))

    def end_of(self, n_pages: int) -> int:
        """See `Pages.end_of`."""
        return int(self.edges[n_pages])

    def refs(self, pages: npt.NDArray[np.intp]) -> PageRefs:
        """References to pages by number (n,), ascending."""
        starts, edges = self.starts[pages], self.edges[pages]
        sizes, lengths = self.starts[pages + 1] - starts, self.edges[pages + 1] - edges
        return PageRefs(pages.astype(np.int64), starts, sizes, edges, lengths, self.crcs[pages])

    def leading(self, n_pages: int) -> PageRefs:
        """See `Pages.leading`."""
        return self.refs(np.arange(n_pages))

    def meeting(self, tile_rect: TileRect, n_pages: int) -> PageRefs:
        """See `Pages.meeting`."""
        return self.refs(boxes_meeting(self.boxes[:n_pages], tile_rect))

    def prepare(self, tile_rects: Sequence[TileRect], n_pages: int) -> None:
        """See `Pages.prepare`. There is nothing to do."""


def boxes_meeting(boxes: npt.NDArray[np.int64], tile_rect: TileRect) -> npt.NDArray[np.intp]:
    """Indices of the boxes (n, 4), inclusive, that overlap a half-open rectangle of tiles."""
    tx0, ty0, tx1, ty1 = tile_rect
    if tx0 >= tx1 or ty0 >= ty1:
        return np.zeros(0, np.intp)
    meets = (boxes[:, 0] < tx1) & (boxes[:, 2] >= tx0) & (boxes[:, 1] < ty1) & (boxes[:, 3] >= ty0)
    return np.flatnonzero(meets)


def page_starts(counts: tuple[int, ...], page_size: int) -> npt.NDArray[np.int64]:
    """(P + 1,) first record of each page, then the number of records."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(page_lengths(counts, page_size))])


def support_boxes(
    gaussians: GaussianSet, gains: Float64Array, grid: Grid, slack: float = _SLACK
) -> npt.NDArray[np.int64]:
    """(N, 4) inclusive tile boxes of the support ellipses at inverse scales times gains.

    The ellipse extends hx = sqrt(Q d / det), hy = sqrt(Q a / det) from its mean, in the notation of spec/igs.md,
    section 3.4. Tiles are closed sets, so those only touched are included: hence the slack (px, and relative to hx,
    hy).
    """
    first, second = (gaussians.inv_scales * gains[:, None]).T
    cos2 = np.cos(gaussians.rotations) ** 2
    sin2 = np.sin(gaussians.rotations) ** 2
    half_x = np.sqrt(grid.support_q * (cos2 / first**2 + sin2 / second**2))
    half_y = np.sqrt(grid.support_q * (sin2 / first**2 + cos2 / second**2))
    reach = np.stack([half_x, half_y], axis=1) * (1 + slack) + slack
    rows, columns = grid.tiles_shape
    last = np.array([columns - 1, rows - 1], np.float64)
    low = np.clip(np.floor((gaussians.means - reach) / TILE_SIZE), 0, last)
    high = np.clip(np.floor((gaussians.means + reach) / TILE_SIZE), 0, last)
    return np.concatenate([low, high], axis=1).astype(np.int64)


def widest_gains(lods: LodTable) -> Float64Array:
    """(N,) smallest gain of each Gaussian over all LODs, at which its support is largest."""
    smallest = [min(row[generation] for row in lods.gains[generation:]) for generation in range(len(lods))]
    return np.repeat(np.asarray(smallest, np.float64), generation_sizes(lods.counts))


def page_boxes(
    gaussians: GaussianSet, lods: LodTable, grid: Grid, starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """(P, 4) tile boxes, inclusive, of whole pages."""
    if len(starts) < 2:
        return np.zeros((0, 4), np.int64)
    boxes = support_boxes(gaussians, widest_gains(lods), grid)
    low = np.minimum.reduceat(boxes[:, :2], starts[:-1], axis=0)
    high = np.maximum.reduceat(boxes[:, 2:], starts[:-1], axis=0)
    return np.concatenate([low, high], axis=1)


def check_pages(data: npt.NDArray[np.uint8], pages: PageRefs, where: str) -> None:
    """Verify the CRCs of some pages, whose bytes are consecutive in data.

    Raises:
        ChecksumMismatch: a page was changed after it was written.
    """
    wrong = np.flatnonzero(crc32c_runs(data, pages.lengths) != pages.crcs)
    if len(wrong):
        number = int(pages.numbers[wrong[0]])
        raise ChecksumMismatch(f"{where}: page {number} does not match its CRC32C, the file is damaged")
