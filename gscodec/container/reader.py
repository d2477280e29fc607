"""Reader of `.igs` files: opening reads everything before the Gaussians, requests read only the pages they need."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from gscodec.container.one_piece import OnePiecePreamble
from gscodec.container.small import open_preamble
from gscodec.errors import CorruptField, InvalidArgument, TruncatedStream
from gscodec.format.chunks import ChunkEntry, Preamble, load_chunk
from gscodec.format.files import FileEntry, unpack_files
from gscodec.format.layout import (
    CHAN,
    CODEC_NONE,
    EXIF,
    FILE,
    GAUS,
    ICCP,
    LODS,
    META,
    PAGE_TREE,
    PAGI,
    PAGT,
    QUAN,
    TAGS,
    XMP,
    Header,
)
from gscodec.format.limits import (
    MAX_CHAN_BYTES,
    MAX_EXIF_BYTES,
    MAX_ICC_BYTES,
    MAX_META_BYTES,
    MAX_TAGS_BYTES,
    MAX_XMP_BYTES,
    count_pages,
    lods_bytes,
    pagi_bytes,
)
from gscodec.format.meta import unpack_meta
from gscodec.format.metadata import Metadata, check_metadata, unpack_tags
from gscodec.format.opening import open_source
from gscodec.format.page_tree import PageTree, unpack_tree
from gscodec.format.pages import PageIndex, PageRefs, Pages, TileRect, check_pages
from gscodec.format.records import RecordLayout
from gscodec.format.tables import unpack_channels, unpack_lods, unpack_pages
from gscodec.io.source import ByteSource, SourceLike, Traffic, source_name
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.json_value import Json
from gscodec.model.limits import DEFAULT_LIMITS, Limits
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
    """The levels of detail."""
    if isinstance(preamble, OnePiecePreamble):
        return preamble.lods
    header = preamble.header
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
    if index.codec != CODEC_NONE or index.raw_size != size or chunk.offset > header.data_offset:
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


class IgsReader:
    """An open `.igs` file.

    Opening reads and checks everything before the Gaussians except the ICC profile; that and the metadata are read on
    demand. A file truncated inside its Gaussians opens, and can be read at the LODs that are complete.

    Args:
        source: bytes or a mapping (not copied), a path, or a binary file; a pipe is read into memory.
        name: name of the file in messages; default is the path.
        limits: memory for its Gaussians or a pipe, and time for a server.
        threads: CPU threads that decode pages; None is one per processor.

    Raises:
        GsCodecError: BadMagic, TruncatedStream, UnsupportedVersion, UnsupportedChunk, ChecksumMismatch, CorruptField or
            LimitExceeded for the bytes, FileAccessError for the operating system.
    """

    def __init__(
        self,
        source: SourceLike,
        name: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        *,
        threads: int | None = None,
    ) -> None:
        self.name = name or source_name(source)
        self.limits = limits
        self.pages_read = self.gaussians_read = 0
        """Pages and Gaussians decoded so far, counting repeats."""
        self._source = open_source(source, self.name, limits)
        try:
            self._preamble = open_preamble(self._source, self.name)
            self._groups, background = load_channels(self._source, self._preamble, self.name)
            self._lods = load_lods(self._source, self._preamble, self.name)
            header = self.header
            self._grid = Grid(header.height, header.width, background, header.top_k, header.support_q)
            counts = self._lods.counts
            self._decoder = load_decoder(
                self._source, self._preamble, self._groups, self._grid, counts, self.name, threads
            )
            known = (self._source, self._preamble, self._lods, self._decoder, self.name)
            self._pages: Pages = load_tree(*known) or load_pages(*known)
        except BaseException:
            self._source.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the source; a file object of the caller stays open."""
        self._source.close()

    def restart_clock(self) -> None:
        """Start a new request, which has its own time limit for a server."""
        self._source.restart_clock()

    @property
    def header(self) -> Header:
        """The header's fields."""
        return self._preamble.header

    @property
    def chunks(self) -> tuple[ChunkEntry, ...]:
        """The table of contents."""
        return self._preamble.chunks

    @property
    def grid(self) -> Grid:
        """Size, background and constants of the rendering model."""
        return self._grid

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """The channel groups."""
        return self._groups

    @property
    def lods(self) -> LodTable:
        """Counts and gains of the levels of detail."""
        return self._lods

    @cached_property
    def pages(self) -> PageIndex:
        """The index of all pages; read now if the file has a page tree."""
        if isinstance(self._pages, PageIndex):
            return self._pages
        return load_pages(self._source, self._preamble, self._lods, self._decoder, self.name)

    @property
    def n_pages(self) -> int:
        """Number of pages of the whole file."""
        return len(self._pages)

    @property
    def record_bytes(self) -> int | None:
        """Bytes of a record; None in profile `coded`, whose records vary in size."""
        return self._decoder.record_bytes

    @property
    def record_layout(self) -> RecordLayout | None:
        """Widths of the values of a record, in profile `packed`."""
        return self._decoder.record_layout

    @property
    def payload_size(self) -> int:
        """Total bytes of all pages."""
        return require_chunk(self._preamble, GAUS).stored_size

    @property
    def traffic(self) -> Traffic:
        """Statistics of the reads of the source so far."""
        return self._source.traffic

    @property
    def file_size(self) -> int:
        """Bytes of the whole file according to its header."""
        return self.header.file_size

    @property
    def stored_size(self) -> int:
        """Bytes available; less than file_size for a truncated file."""
        return self._source.size

    @property
    def truncated(self) -> bool:
        """Whether the file is truncated."""
        return self._source.size < self.header.file_size

    @property
    def available_lods(self) -> tuple[int, ...]:
        """LODs that are complete, finest first."""
        return tuple(lod for lod in range(len(self._lods)) if self.prefix_size(lod) <= self._source.size)

    def prefix_size(self, lod: int) -> int:
        """Length in bytes of the file's prefix that suffices for a LOD.

        Raises:
            InvalidArgument: there is no such LOD.
        """
        if not 0 <= lod < len(self._lods):
            raise InvalidArgument(f"{self.name}: LOD {lod} does not exist, there are 0 to {len(self._lods) - 1}")
        n_pages = self._pages.until(self._lods.count(lod))
        return self.header.data_offset + self._pages.end_of(n_pages)

    @cached_property
    def icc(self) -> bytes | None:
        """The ICC profile, or None.

        Raises:
            GsCodecError: as `load_chunk`.
        """
        return self._load_optional(ICCP, MAX_ICC_BYTES)

    @cached_property
    def meta(self) -> dict[str, Json] | None:
        """The metadata (META), or None; it follows the Gaussians, so a truncated file has none.

        Raises:
            GsCodecError: as `load_chunk` and `unpack_meta`.
        """
        data = self._load_optional(META, MAX_META_BYTES)
        return None if data is None else unpack_meta(data, self.name)

    @cached_property
    def metadata(self) -> Metadata:
        """Metadata of the source picture; of a truncated file, the part that is available.

        Raises:
            GsCodecError: as `load_chunk` and `unpack_tags`; CorruptField for invalid Exif or XMP.
        """
        tags = self._load_optional(TAGS, MAX_TAGS_BYTES)
        exif = self._load_optional(EXIF, MAX_EXIF_BYTES)
        xmp = self._load_optional(XMP, MAX_XMP_BYTES)
        metadata = Metadata() if tags is None else unpack_tags(tags, self.name)
        metadata = replace(metadata, exif=exif or None, xmp=xmp or None)
        check_metadata(metadata, self.name, CorruptField)
        return metadata

    @cached_property
    def files(self) -> tuple[FileEntry, ...]:
        """The source files; empty for a single plain picture.

        Raises:
            GsCodecError: as `load_chunk` and `unpack_files`.
        """
        data = self._load_optional(FILE, MAX_META_BYTES)
        return () if data is None else unpack_files(data, self._groups, self.name)

    def _load_optional(self, fourcc: bytes, cap: int) -> bytes | None:
        chunk = self._preamble.find(fourcc)
        if chunk is None or chunk.offset + chunk.stored_size > self._source.size:
            return None
        return load_chunk(self._source, chunk, cap, self.name)

    def read(self, lod: int = 0) -> GaussianSet:
        """The Gaussians that a LOD shows, with inverse scales multiplied by its gains.

        Raises:
            InvalidArgument: there is no such LOD.
            TruncatedStream: the file is truncated before the end of that LOD.
            ChecksumMismatch: a page is damaged.
            CorruptField: a record is outside its valid range.
            LimitExceeded: the Gaussians need more memory than the limit.
        """
        return self.stored_pages(lod).unpack()

    def stored_pages(self, lod: int = 0, tile_rect: TileRect | None = None) -> StoredPages:
        """The encoded pages that `read`, or with a rectangle of tiles `read_region`, decodes.

        Raises:
            GsCodecError: as `read`, except for values out of range, which are detected when the pages are unpacked.
        """
        n_pages = self._count_pages(lod)
        pages = self._pages.leading(n_pages) if tile_rect is None else self._pages.meeting(tile_rect, n_pages)
        n_gaussians = int(pages.sizes.sum())
        need = n_gaussians * (_GAUSSIAN_BYTES + _FEATURE_BYTES * self.header.n_channels) + int(pages.lengths.sum())
        self.limits.check_memory(need, f"{self.name}: LOD {lod}, or a part of it with {n_gaussians} Gaussians,")
        generations = np.searchsorted(np.asarray(self._lods.counts), pages.starts, side="right")
        gains = np.asarray(self._lods.gains[self._lods.step_of(lod)], np.float64)
        return StoredPages(self._decoder, self._read_pages(pages), pages, generations, gains[generations], self._grid)

    def read_region(self, lod: int, tile_rect: TileRect) -> GaussianSet:
        """A superset of the Gaussians of a LOD that reach a half-open tile rectangle (tx0, ty0, tx1, ty1).

        Only pages that overlap the rectangle are read. Their order is kept, so that rendering those tiles from this set
        equals rendering them from the whole LOD.

        Raises:
            GsCodecError: as `read`, for the pages that are read.
        """
        return self.stored_pages(lod, tile_rect).unpack()

    def _count_pages(self, lod: int) -> int:
        needed = self.prefix_size(lod)
        if needed > self._source.size:
            left = self.available_lods
            remedy = f"the finest LOD it holds is {left[0]}" if left else "it holds no LOD"
            raise TruncatedStream(f"{self.name}: cut at byte {self._source.size}, LOD {lod} ends at {needed}; {remedy}")
        return self._pages.until(self._lods.count(lod))

    def prepare(self, lod: int, tile_rects: Sequence[TileRect]) -> None:
        """Prefetch the pages that `read_region` needs for several rectangles in one batch; useful for remote files.

        Raises:
            GsCodecError: as `read_region`.
        """
        if self._source.is_remote and len(tile_rects) > 1:
            n_pages = self._count_pages(lod)
            self._pages.prepare(tile_rects, n_pages)
            refs = PageRefs.join([self._pages.meeting(rect, n_pages) for rect in tile_rects])
            ranges = {(int(at), int(size)) for at, size in zip(refs.offsets, refs.lengths, strict=True)}
            self._source.read_many([(self.header.data_offset + at, size) for at, size in sorted(ranges)])

    def _read_pages(self, pages: PageRefs) -> npt.NDArray[np.uint8]:
        """Concatenated bytes of some pages, with CRCs verified.

        Raises:
            ChecksumMismatch: a page is damaged.
        """
        firsts, lengths = pages.offsets, pages.lengths
        if not self._source.is_remote:  # neighbouring pages are read at once
            begins = np.flatnonzero(np.diff(pages.numbers, prepend=-2) != 1)
            firsts, lengths = firsts[begins], np.add.reduceat(lengths, begins) if len(begins) else lengths
        base = self.header.data_offset
        ranges = [(base + at, size) for at, size in zip(firsts.tolist(), lengths.tolist(), strict=True)]
        parts = [np.frombuffer(part, np.uint8) for part in self._source.read_many(ranges)]
        data = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.uint8), *parts])
        check_pages(data, pages, self.name)
        self.pages_read += len(pages)
        self.gaussians_read += int(pages.sizes.sum())
        return data
