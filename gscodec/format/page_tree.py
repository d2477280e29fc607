"""The page tree: an index of the page index, so that sampling a point of a large file reads little of either.

The entries of PAGI are grouped in blocks; PAGT has an entry per block as PAGI has one per page (spec/igs.md,
section 6.4).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import ChecksumMismatch, CorruptField
from gscodec.format.crc32c import crc32c_runs
from gscodec.format.layout import PAGE_TREE, Header
from gscodec.format.limits import generation_sizes, pagi_bytes
from gscodec.format.pages import PageIndex, PageRefs, TileRect, boxes_meeting, page_starts
from gscodec.format.tables import check_density, pack_pages, parse_pages

TREE_FROM_BYTES: Final = 8192
"""Size in bytes of a page index from which files get a page tree: a shorter one fits into the first read of 16 KiB."""

_HELD_BLOCKS: Final = 1024
"""Maximum blocks of the page index that an open file caches."""


def block_starts(counts: Sequence[int], page_size: int, block_size: int) -> npt.NDArray[np.int64]:
    """(B + 1,) first page of each block, then the number of pages; a block holds pages of one generation."""
    starts, page = [np.zeros(0, np.int64)], 0
    for size in generation_sizes(counts):
        n_pages = -(-size // page_size)
        starts.append(np.arange(page, page + n_pages, block_size))
        page += n_pages
    return np.concatenate([*starts, [page]])


def choose_block_size(n_pages: int) -> int:
    """Pages per block that minimise the bytes read for one point: about eight blocks overlap a tile."""
    return 1 << max(4, min(10, round(math.log2(max(n_pages, 1) / 8) / 2)))


def tree_bytes(counts: Sequence[int], page_size: int, n_pages: int, profile: int) -> int:
    """Raw bytes of the PAGT chunk that a writer adds, 0 if it adds none."""
    if pagi_bytes(n_pages, profile) < TREE_FROM_BYTES:
        return 0
    blocks = block_starts(counts, page_size, choose_block_size(n_pages))
    return PAGE_TREE.size + pagi_bytes(len(blocks) - 1, profile)


def make_tree(
    pagi: bytes,
    boxes: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64] | None,
    counts: Sequence[int],
    page_size: int,
) -> bytes:
    """The PAGT chunk of a page index.

    Args:
        pagi: the raw PAGI chunk of at least one page. boxes: (P, 4) tile boxes of the pages. lengths: (P,) bytes of the
            pages, if PAGI stores them.
    """
    block_size = choose_block_size(len(boxes))
    blocks = block_starts(counts, page_size, block_size)
    firsts = blocks[:-1]
    low = np.minimum.reduceat(boxes[:, :2], firsts, axis=0)
    high = np.maximum.reduceat(boxes[:, 2:], firsts, axis=0)
    crcs = crc32c_runs(np.frombuffer(pagi, np.uint8), np.diff(blocks) * (len(pagi) // len(boxes)))
    sums = None if lengths is None else np.add.reduceat(lengths, firsts)
    head = PAGE_TREE.pack({"block_size": block_size, "reserved": 0})
    return head + pack_pages(np.concatenate([low, high], axis=1), crcs, sums)


@dataclass(frozen=True)
class PageTree:
    """`Pages` of a file with a page tree: blocks of the page index are read when a request overlaps them."""

    starts: npt.NDArray[np.int64]  # (P + 1,) first record of each page, then the number of records
    blocks: npt.NDArray[np.int64]  # (B + 1,) first page of each block, then the number of pages
    boxes: npt.NDArray[np.int64]  # (B, 4)
    crcs: npt.NDArray[np.uint32]  # (B,) of the blocks' entries
    edges: npt.NDArray[np.int64]  # (B + 1,) offset of each block's pages in GAUS, then the size of GAUS
    fixed: npt.NDArray[np.int64] | None  # (P,) bytes of each page, if entries do not store them
    load: Callable[[Sequence[tuple[int, int]]], Sequence[bytes | memoryview]]  # (first byte, length) pairs of raw PAGI
    header: Header
    name: str
    block_size: int  # most pages of a block
    held: dict[int, PageIndex] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.blocks[-1])

    def until(self, n_gaussians: int) -> int:
        """See `Pages.until`."""
        return int(np.searchsorted(self.starts, n_gaussians))

    def end_of(self, n_pages: int) -> int:
        """See `Pages.end_of`."""
        return int(self.edges[np.searchsorted(self.blocks, n_pages)])

    def leading(self, n_pages: int) -> PageRefs:
        """See `Pages.leading`."""
        return self._refs(np.arange(np.searchsorted(self.blocks, n_pages)), None)

    def meeting(self, tile_rect: TileRect, n_pages: int) -> PageRefs:
        """See `Pages.meeting`."""
        n_blocks = int(np.searchsorted(self.blocks, n_pages))
        return self._refs(boxes_meeting(self.boxes[:n_blocks], tile_rect), tile_rect)

    def prepare(self, tile_rects: Sequence[TileRect], n_pages: int) -> None:
        """See `Pages.prepare`."""
        boxes = self.boxes[: int(np.searchsorted(self.blocks, n_pages))]
        matching = [boxes_meeting(boxes, rect) for rect in tile_rects]
        self._load(np.unique(np.concatenate([np.zeros(0, np.intp), *matching])).tolist())

    def _load(self, wanted: Sequence[int]) -> dict[int, PageIndex]:
        """Blocks by number, read if they are not cached."""
        known = {block: self.held[block] for block in wanted if block in self.held}
        missing = [block for block in wanted if block not in known]
        entry = pagi_bytes(1, self.header.profile)
        spans = [(int(self.blocks[b]) * entry, int(self.blocks[b + 1] - self.blocks[b]) * entry) for b in missing]
        for block, data in zip(missing, self.load(spans) if spans else (), strict=True):
            known[block] = self._parse(block, bytes(data))
        if len(self.held) + len(missing) > _HELD_BLOCKS:
            self.held.clear()
        self.held.update((block, known[block]) for block in missing[:_HELD_BLOCKS])
        return known

    def _refs(self, blocks: npt.NDArray[np.intp], tile_rect: TileRect | None) -> PageRefs:
        known, parts = self._load(blocks.tolist()), []
        for block in blocks.tolist():
            index, first = known[block], int(self.blocks[block])
            refs = index.leading(len(index)) if tile_rect is None else index.meeting(tile_rect, len(index))
            parts.append(PageRefs(refs.numbers + first, refs.starts, refs.sizes, refs.offsets, refs.lengths, refs.crcs))
        return PageRefs.join([_NO_PAGES, *parts])

    def _parse(self, block: int, data: bytes) -> PageIndex:
        """Checked entries of a block; record numbers and offsets are relative to the start of GAUS."""
        where = f"{self.name}: block {block} of PAGI"
        if int(crc32c_runs(np.frombuffer(data, np.uint8), np.array([len(data)]))[0]) != self.crcs[block]:
            raise ChecksumMismatch(f"{where} does not match its CRC32C, the file is damaged")
        first, last = int(self.blocks[block]), int(self.blocks[block + 1])
        starts = self.starts[first : last + 1]
        boxes, crcs, lengths = parse_pages(data, self.header, first, self.name)
        if lengths is None:
            assert self.fixed is not None
            lengths = self.fixed[first:last]
        edges = int(self.edges[block]) + np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        if edges[-1] != self.edges[block + 1]:
            raise CorruptField(f"{where} has pages of {edges[-1] - edges[0]} bytes, PAGT says otherwise")
        check_density(np.diff(starts), lengths, "page", where)
        return PageIndex(starts, boxes, crcs, edges)


_NONE: Final = np.zeros(0, np.int64)
_NO_PAGES: Final = PageRefs(_NONE, _NONE, _NONE, _NONE, _NONE, np.zeros(0, np.uint32))


def unpack_tree(
    data: bytes,
    counts: tuple[int, ...],
    header: Header,
    fixed: npt.NDArray[np.int64] | None,
    data_size: int,
    load: Callable[[Sequence[tuple[int, int]]], Sequence[bytes | memoryview]],
    name: str,
) -> PageTree:
    """The page tree of a PAGT chunk.

    Args:
        fixed: (P,) bytes of each page, if entries do not store them. data_size: bytes of GAUS. load: reads spans of the
            raw PAGI chunk.

    Raises:
        CorruptField: the chunk's size does not match its block size, a box is empty or leaves the grid, a block has
            more Gaussians than its bytes allow, or the blocks do not fill GAUS.
    """
    where = f"{name}: chunk PAGT"
    if len(data) < PAGE_TREE.size:
        raise CorruptField(f"{where} ends early, at byte {len(data)}")
    values = PAGE_TREE.unpack(data)
    PAGE_TREE.check(values, name)
    blocks = block_starts(counts, header.page_size, values["block_size"])
    size = PAGE_TREE.size + pagi_bytes(len(blocks) - 1, header.profile)
    if len(data) != size:
        raise CorruptField(f"{where} has {len(data)} bytes, must be {size}")
    starts = page_starts(counts, header.page_size)
    boxes, crcs, lengths = parse_pages(data[PAGE_TREE.size :], header, None, name)
    if lengths is None:
        assert fixed is not None
        lengths = np.add.reduceat(fixed, blocks[:-1]) if len(blocks) > 1 else fixed
    check_density(np.diff(starts[blocks]), lengths, "block", where)
    edges = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    if edges[-1] != data_size:
        raise CorruptField(f"{where} has blocks of {edges[-1]} bytes, GAUS has {data_size}")
    return PageTree(starts, blocks, boxes, crcs, edges, fixed, load, header, name, values["block_size"])
