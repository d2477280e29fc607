"""`StoredSet`: one set of Gaussians of an open file, with tables, levels of detail and pages of its own.

A file has one or several. The chunks of the finest are chunks of the file; a coarser one is a file of a smaller picture
inside of a chunk, without the chunks that all sets share (spec/igs.md, section 6.2).
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.container.one_piece import OnePiecePreamble, Shared
from gscodec.container.small import open_small_set
from gscodec.errors import CorruptField
from gscodec.format.chunks import Preamble, load_chunk, read_preamble
from gscodec.format.layout import CHAN, CODEC_NONE, GAUS, LODS, PAGE_TREE, PAGI, PAGT, QUAN, Header
from gscodec.format.limits import MAX_CHAN_BYTES, count_pages, lods_bytes, pagi_bytes
from gscodec.format.page_tree import PageTree, unpack_tree
from gscodec.format.pages import PageIndex, PageRefs, Pages, TileRect, check_pages
from gscodec.format.tables import unpack_channels, unpack_lods, unpack_pages
from gscodec.format.toc import ChunkEntry
from gscodec.io.source import ByteSource, PartSource
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Grid, LodTable
from gscodec.model.limits import Limits
from gscodec.profiles import registry
from gscodec.profiles.base import PageDecoder, PagedProfile, StoredPages

_GAUSSIAN_BYTES: Final = 160
"""Peak bytes of memory per Gaussian during decoding, besides features: integers, places, shapes and pages."""

_FEATURE_BYTES: Final = 24


def require_chunk(preamble: Preamble, fourcc: bytes) -> ChunkEntry:
    """A critical chunk; its presence must have been checked."""
    chunk = preamble.find(fourcc)
    assert chunk is not None
    return chunk


def load_table(source: ByteSource, preamble: Preamble, fourcc: bytes, size: int, name: str) -> bytes:
    """The raw bytes of a critical table whose size follows from other fields.

    Raises:
        CorruptField: the table of contents has another size; also as `load_chunk`.
    """
    chunk = require_chunk(preamble, fourcc)
    if chunk.raw_size != size:
        raise CorruptField(f"{name}: chunk {chunk.label} has {chunk.raw_size} bytes, must be {size}")
    return load_chunk(source, chunk, size, name)


def load_channels(
    source: ByteSource, preamble: Preamble, name: str
) -> tuple[tuple[ChannelGroup, ...], npt.NDArray[np.float32]]:
    """Groups and background (C,)."""
    if isinstance(preamble, OnePiecePreamble):
        return preamble.groups, preamble.grid.background
    data = load_chunk(source, require_chunk(preamble, CHAN), MAX_CHAN_BYTES, name)
    return unpack_channels(data, preamble.header.n_channels, name)


def load_lods(source: ByteSource, preamble: Preamble, name: str) -> LodTable:
    """The levels of detail; without LODS one that shows all Gaussians as stored."""
    if isinstance(preamble, OnePiecePreamble):
        return preamble.lods
    header = preamble.header
    if preamble.find(LODS) is None:
        return LodTable.single(header.n_gaussians)
    return unpack_lods(load_table(source, preamble, LODS, lods_bytes(header.lod_count), name), header, name)


def load_tree(
    source: ByteSource, preamble: Preamble, lods: LodTable, decoder: PageDecoder, name: str
) -> PageTree | None:
    """The page tree of a file with a PAGT chunk.

    Raises:
        CorruptField: its page index is compressed; also as `unpack_tree`.
    """
    chunk = preamble.find(PAGT)
    if chunk is None:
        return None
    index = require_chunk(preamble, PAGI)
    header = preamble.header
    size = pagi_bytes(count_pages(lods.counts, header.page_size, name), header.profile)
    if index.codec != CODEC_NONE or index.raw_size != size or chunk.offset > preamble.data_offset:
        raise CorruptField(f"{name}: has a page tree, but a page index of {index.raw_size} bytes that it does not fit")
    data = load_chunk(source, chunk, PAGE_TREE.size + size, name)

    def load(spans: Sequence[tuple[int, int]]) -> Sequence[bytes | memoryview]:
        return source.read_many([(index.offset + first, length) for first, length in spans])

    gaus = require_chunk(preamble, GAUS)
    fixed = decoder.page_bytes(header.page_size)
    return unpack_tree(data, lods.counts, header, fixed, gaus.stored_size, load, name)


def load_pages(source: ByteSource, preamble: Preamble, lods: LodTable, decoder: PageDecoder, name: str) -> PageIndex:
    """The page index, after its size has been worked out and capped."""
    if isinstance(preamble, OnePiecePreamble):
        return preamble.pages
    header = preamble.header
    size = pagi_bytes(count_pages(lods.counts, header.page_size, name), header.profile)
    data_size = require_chunk(preamble, GAUS).stored_size
    data = load_table(source, preamble, PAGI, size, name)
    return unpack_pages(data, lods.counts, header, decoder.page_bytes(header.page_size), data_size, name)


def load_decoder(
    source: ByteSource,
    preamble: Preamble,
    groups: tuple[ChannelGroup, ...],
    grid: Grid,
    counts: tuple[int, ...],
    name: str,
    threads: int | None = None,
) -> PageDecoder:
    """Decoder of the file's pages, on at most `threads` CPU threads; None means one per processor."""
    if isinstance(preamble, OnePiecePreamble):
        return preamble.decoder
    header = preamble.header
    profile = registry.BY_CODE[header.profile]
    assert isinstance(profile, PagedProfile)
    quan = b""
    if profile.layout.has_quantiser:
        least, most = profile.quan_bytes(header.lod_count, groups)
        if least == most:
            quan = load_table(source, preamble, QUAN, most, name)
        else:
            quan = load_chunk(source, require_chunk(preamble, QUAN), most, name)
    return profile.decoder(quan, groups, grid, counts, name, threads or 0)


def open_coarser(
    source: ByteSource, chunk: ChunkEntry, header: Header, shared: Shared, name: str
) -> tuple[ByteSource, Preamble]:
    """Bytes and preamble of the coarser set of a CSET chunk.

    Args:
        source: of the whole file. header: of the file. name: of the set, for messages.

    Raises:
        CorruptField: it does not agree with the file; also as `read_preamble` and `open_small_set`.
    """
    part = PartSource(source, chunk.offset, chunk.stored_size)
    if chunk.is_small:
        return part, open_small_set(part, chunk, header, shared, name)
    preamble = read_preamble(part, name, coarser=True)
    own, side = preamble.header, 1 << chunk.scale_log2
    if own.file_size != chunk.stored_size:
        raise CorruptField(f"{name}: has {own.file_size} bytes, its chunk {chunk.stored_size}")
    for field, mine, wanted in (
        ("profile", own.profile, header.profile),
        ("lod_count", own.lod_count, chunk.n_lods),
        ("width", own.width, -(-header.width // side)),
        ("height", own.height, -(-header.height // side)),
        ("n_channels", own.n_channels, header.n_channels),
        ("top_k", own.top_k, header.top_k),
        ("support_q", own.support_q, header.support_q),
    ):
        if mine != wanted:
            raise CorruptField(f"{name}: {field} is {mine}, the file's says {wanted}")
    return part, preamble


class StoredSet:
    """One set of an open file. Opening reads its tables, requests read the pages they need.

    Args:
        source: bytes that offsets of the preamble count from.
        preamble: of the set.
        shared: what all sets share.
        name: for messages.
        limits: memory for its Gaussians.
        scale_log2: binary logarithm of the side of its pixels, px of the picture.
        threads: CPU threads that decode pages; None is one per processor.

    Raises:
        GsCodecError: as `IgsReader`.
    """

    def __init__(
        self,
        source: ByteSource,
        preamble: Preamble,
        shared: Shared,
        name: str,
        limits: Limits,
        scale_log2: int = 0,
        threads: int | None = None,
    ) -> None:
        self._source, self._preamble, self._name, self._limits = source, preamble, name, limits
        self._scale_log2 = scale_log2
        self.pages_read = self.gaussians_read = 0
        header = preamble.header
        self.lods = load_lods(source, preamble, name)
        self.grid = Grid(header.height, header.width, shared.background, header.top_k, header.support_q)
        self.decoder = load_decoder(source, preamble, shared.groups, self.grid, self.lods.counts, name, threads)
        known = (source, preamble, self.lods, self.decoder, name)
        self._pages: Pages = load_tree(*known) or load_pages(*known)

    @cached_property
    def pages(self) -> PageIndex:
        """The index of all pages; read now if there is a page tree."""
        if isinstance(self._pages, PageIndex):
            return self._pages
        return load_pages(self._source, self._preamble, self.lods, self.decoder, self._name)

    @property
    def is_one_piece(self) -> bool:
        """Whether it has neither tables nor pages, as those of profile `small`."""
        return isinstance(self._preamble, OnePiecePreamble)

    @property
    def n_pages(self) -> int:
        """Number of pages."""
        return len(self._pages)

    @property
    def block_size(self) -> int:
        """Most pages of a block of the page tree; 1 without one."""
        return self._pages.block_size if isinstance(self._pages, PageTree) else 1

    @property
    def payload_size(self) -> int:
        """Bytes of all pages."""
        return require_chunk(self._preamble, GAUS).stored_size

    def end_of(self, lod: int) -> int:
        """End of the last page of a LOD of the set, in its source; the end of all of a set in one piece."""
        if isinstance(self._preamble, OnePiecePreamble):
            return self._preamble.header.file_size
        n_pages = self._pages.until(self.lods.count(lod))
        return self._preamble.data_offset + self._pages.end_of(n_pages)

    def _inner(self, tile_rect: TileRect) -> TileRect:
        """Tiles of the set that cover tiles of the picture."""
        s, (x0, y0, x1, y1) = self._scale_log2, tile_rect
        return x0 >> s, y0 >> s, -(-x1 >> s), -(-y1 >> s)

    def arrived(self, lod: int, tile_rect: TileRect) -> npt.NDArray[np.bool_]:
        """(rows, columns) tiles of the picture in a half-open rectangle all of whose pages of a LOD are there."""
        x0, y0, x1, y1 = self._inner(tile_rect)
        n_pages = self._pages.until(self.lods.count(lod))
        ends = self._preamble.data_offset + self.pages.edges[1 : n_pages + 1]
        missing = self.pages.boxes[:n_pages][ends > self._source.size] - np.array([x0, y0, x0, y0])
        inside = (missing[:, :2] < [x1 - x0, y1 - y0]).all(axis=1) & (missing[:, 2:] >= 0).all(axis=1)
        boxes = np.clip(missing[inside], 0, np.array([x1 - x0 - 1, y1 - y0 - 1] * 2))
        counts = np.zeros((y1 - y0 + 1, x1 - x0 + 1), np.int64)  # differences along both axes
        for rows, columns, step in ((1, 0, 1), (1, 2, -1), (3, 0, -1), (3, 2, 1)):
            at = boxes[:, rows] + (rows == 3), boxes[:, columns] + (columns == 2)
            np.add.at(counts, at, step)
        whole: npt.NDArray[np.bool_] = counts.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] == 0
        s = self._scale_log2
        rows_of = (np.arange(tile_rect[1], tile_rect[3]) >> s) - y0
        columns_of = (np.arange(tile_rect[0], tile_rect[2]) >> s) - x0
        return np.asarray(whole[rows_of[:, None], columns_of], np.bool_)

    def stored_pages(self, lod: int, tile_rect: TileRect | None, *, only_arrived: bool = False) -> StoredPages:
        """As `IgsReader.stored_pages`, for a LOD of the set that is there.

        Args:
            only_arrived: whether pages that are not there are left out.
        """
        n_pages = self._pages.until(self.lods.count(lod))
        if tile_rect is None:
            pages = self._pages.leading(n_pages)
        else:
            pages = self._pages.meeting(self._inner(tile_rect), n_pages)
        if only_arrived:
            pages = pages.ending_by(self._source.size - self._preamble.data_offset)
        n_gaussians = int(pages.sizes.sum())
        n_channels = self._preamble.header.n_channels
        need = n_gaussians * (_GAUSSIAN_BYTES + _FEATURE_BYTES * n_channels) + int(pages.lengths.sum())
        self._limits.check_memory(need, f"{self._name}: LOD {lod}, or a part of it with {n_gaussians} Gaussians,")
        generations = np.searchsorted(np.asarray(self.lods.counts), pages.starts, side="right")
        gains = np.asarray(self.lods.gains[self.lods.step_of(lod)], np.float64) * 0.5**self._scale_log2
        data, scale = self._read_pages(pages), 1 << self._scale_log2
        return StoredPages(self.decoder, data, pages, generations, gains[generations], self.grid, scale)

    def prepare(self, lod: int, tile_rects: Sequence[TileRect]) -> None:
        """As `IgsReader.prepare`, for a LOD of the set that is there."""
        n_pages, inner = self._pages.until(self.lods.count(lod)), [self._inner(rect) for rect in tile_rects]
        self._pages.prepare(inner, n_pages)
        refs = PageRefs.join([self._pages.meeting(rect, n_pages) for rect in inner])
        ranges = {(int(at), int(size)) for at, size in zip(refs.offsets, refs.lengths, strict=True)}
        base = self._preamble.data_offset
        self._source.read_many([(base + at, size) for at, size in sorted(ranges)])

    def _read_pages(self, pages: PageRefs) -> npt.NDArray[np.uint8]:
        """Concatenated bytes of some pages, with CRCs verified.

        Raises:
            ChecksumMismatch: a page is damaged.
        """
        firsts, lengths = pages.offsets, pages.lengths
        if not self._source.is_remote:  # neighbouring pages are read at once
            begins = np.flatnonzero(np.diff(pages.numbers, prepend=-2) != 1)
            firsts, lengths = firsts[begins], np.add.reduceat(lengths, begins) if len(begins) else lengths
        base = self._preamble.data_offset
        ranges = [(base + at, size) for at, size in zip(firsts.tolist(), lengths.tolist(), strict=True)]
        parts = [np.frombuffer(part, np.uint8) for part in self._source.read_many(ranges)]
        data = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.uint8), *parts])
        check_pages(data, pages, self._name)
        self.pages_read += len(pages)
        self.gaussians_read += int(pages.sizes.sum())
        return data
