"""Reader of `.igs` files: opening reads everything before the Gaussians, requests read only the pages they need."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from gscodec.container.one_piece import Shared
from gscodec.container.small import open_preamble
from gscodec.container.stored_set import StoredSet, load_channels, open_coarser, require_chunk
from gscodec.errors import CorruptField, FileAccessError, GsCodecError, InvalidArgument, TruncatedStream
from gscodec.format.chunks import load_chunk
from gscodec.format.files import FileEntry, unpack_files
from gscodec.format.grain import grain_bytes, unpack_grain
from gscodec.format.layout import EXIF, FILE, GAUS, GRAN, ICCP, META, TAGS, XMP, Header
from gscodec.format.limits import (
    MAX_EXIF_BYTES,
    MAX_ICC_BYTES,
    MAX_META_BYTES,
    MAX_TAGS_BYTES,
    MAX_XMP_BYTES,
)
from gscodec.format.meta import unpack_meta
from gscodec.format.metadata import Metadata, check_metadata, unpack_tags
from gscodec.format.opening import open_source
from gscodec.format.pages import PageIndex, TileRect
from gscodec.format.records import RecordLayout
from gscodec.format.toc import ChunkEntry
from gscodec.io.source import SourceLike, Traffic, source_name
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.grain import Grain
from gscodec.model.json_value import Json
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.profiles.base import StoredPages

_TILE_BYTES: Final = 40
"""Peak bytes of memory per tile of which it is found out which levels have arrived."""


class IgsReader:
    """An open `.igs` file.

    Opening reads and checks everything before the Gaussians except the ICC profile; that and the metadata are read on
    demand, and so are the tables of each set in a file of several. A file truncated inside its Gaussians opens, and can
    be read at the LODs that are complete.

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
        self._threads = threads
        self._sets: dict[int, StoredSet] = {}  # by number of the set, 0 the finest
        self._source = open_source(source, self.name, limits)
        try:
            self._preamble = open_preamble(self._source, self.name)
            self._groups, background = load_channels(self._source, self._preamble, self.name)
            self._coarser = self._preamble.coarser[::-1]
            header = self.header
            self._grid = Grid(header.height, header.width, background, header.top_k, header.support_q)
            if not self._coarser:
                _ = self._finest
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
    def data_offset(self) -> int:
        """Offset of the Gaussians of the finest set."""
        return self._preamble.data_offset

    @property
    def grid(self) -> Grid:
        """Size, background and constants of the rendering model."""
        return self._grid

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """The channel groups."""
        return self._groups

    @property
    def n_lods(self) -> int:
        """Number of levels of detail of all sets."""
        return self.header.lod_count + sum(chunk.n_lods for chunk in self._coarser)

    def count(self, lod: int) -> int:
        """Number of Gaussians that a LOD shows.

        Raises:
            GsCodecError: there is no such LOD, or its set is damaged or not there.
        """
        number, own = self.place(lod)
        return self.stored_set(number).lods.count(own)

    def gains(self, lod: int) -> tuple[float, ...]:
        """Factors on the inverse scales of each generation that a LOD shows, coarsest first; raises as `count`."""
        number, own = self.place(lod)
        lods = self.stored_set(number).lods
        return lods.gains[lods.step_of(own)]

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return 1 + len(self._coarser)

    def lods_of(self, number: int) -> range:
        """LODs of a set; number 0 is the finest."""
        first = 0 if number == 0 else self.header.lod_count + sum(c.n_lods for c in self._coarser[: number - 1])
        n = self._coarser[number - 1].n_lods if number else self.header.lod_count
        return range(first, first + n)

    def coarser_chunk(self, number: int) -> ChunkEntry:
        """The chunk of coarser set `number`, from 1."""
        return self._coarser[number - 1]

    def is_prefix(self, lod: int) -> bool:
        """Whether a LOD is a part of its set.

        Raises:
            InvalidArgument: there is no such LOD.
        """
        return self.place(lod)[1] > 0

    def scale_of(self, number: int) -> int:
        """Side of the pixels that a set was made of, px of the picture."""
        return 1 << self._coarser[number - 1].scale_log2 if number else 1

    def has_tables(self, number: int) -> bool:
        """Whether the tables of a set are there, so that its counts are known.

        Raises:
            GsCodecError: it is damaged.
        """
        try:
            self.stored_set(number)
        except TruncatedStream:
            return False
        return True

    def place(self, lod: int) -> tuple[int, int]:
        """Number of the set of a LOD, and the LOD of it.

        Raises:
            InvalidArgument: there is no such LOD.
        """
        for number in range(self.n_sets):
            lods = self.lods_of(number)
            if lod in lods:
                return number, lod - lods[0]
        raise InvalidArgument(f"{self.name}: LOD {lod} does not exist, there are 0 to {self.n_lods - 1}")

    def stored_set(self, number: int) -> StoredSet:
        """A set by its number, 0 the finest; its tables are read now.

        Raises:
            TruncatedStream: the file is truncated before its Gaussians.
            GsCodecError: it is damaged.
        """
        if number not in self._sets:
            shared = Shared(self._groups, self._grid.background)
            if number == 0:
                start, size = self.data_offset, self._source.size
                if size < start:
                    raise TruncatedStream(f"{self.name}: ends after {size} bytes, before the Gaussians at {start}")
                parts = self._source, self._preamble, shared, self.name
                self._sets[0] = StoredSet(*parts, self.limits, threads=self._threads)
            else:
                chunk, name = self._coarser[number - 1], f"{self.name}: coarser set {number}"
                part, preamble = open_coarser(self._source, chunk, self.header, shared, name)
                about = shared, name, self.limits, chunk.scale_log2, self._threads
                self._sets[number] = StoredSet(part, preamble, *about)
        return self._sets[number]

    @property
    def _finest(self) -> StoredSet:
        return self.stored_set(0)

    @property
    def lods(self) -> LodTable:
        """Counts and gains of the levels of detail of the finest set."""
        return self._finest.lods

    @property
    def pages(self) -> PageIndex:
        """The index of all pages of the finest set; read now if the file has a page tree."""
        return self._finest.pages

    @property
    def block_size(self) -> int:
        """Most pages of a block of the finest set's page tree; 1 without one."""
        return self._finest.block_size

    @property
    def n_pages(self) -> int:
        """Number of pages of the sets that have been used so far."""
        return sum(part.n_pages for part in self._sets.values())

    @property
    def pages_read(self) -> int:
        """Pages decoded so far, counting repeats."""
        return sum(part.pages_read for part in self._sets.values())

    @property
    def gaussians_read(self) -> int:
        """Gaussians decoded so far, counting repeats."""
        return sum(part.gaussians_read for part in self._sets.values())

    @property
    def record_bytes(self) -> int | None:
        """Bytes of a record of the finest set; None in profile `coded`, whose records vary in size."""
        return self._finest.decoder.record_bytes if self.has_tables(0) else None

    @property
    def record_layout(self) -> RecordLayout | None:
        """Widths of the values of a record of the finest set, in profile `packed`."""
        return self._finest.decoder.record_layout if self.has_tables(0) else None

    @property
    def payload_size(self) -> int:
        """Total bytes of all pages of the finest set."""
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
        return tuple(lod for lod in range(self.n_lods) if self._is_complete(lod))

    def _is_complete(self, lod: int) -> bool:
        """Whether a LOD is complete. Of a set that is there as a whole, nothing is read to find out."""
        if self._end_of_set(self.place(lod)[0]) <= self._source.size:
            return True
        try:
            return self.prefix_size(lod) <= self._source.size
        except FileAccessError:
            raise
        except GsCodecError:  # a damaged set, of which a truncated file does not have all
            return False

    def _end_of_set(self, number: int) -> int:
        chunk = self._coarser[number - 1] if number else require_chunk(self._preamble, GAUS)
        return chunk.offset + chunk.stored_size

    def _start_of_set(self, number: int) -> int:
        return self._coarser[number - 1].offset if number else 0

    def prefix_size(self, lod: int) -> int:
        """Length in bytes of the file's prefix that suffices for a LOD.

        Of a set whose tables a truncated file does not have, it is the length that suffices for all of its levels.

        Raises:
            InvalidArgument: there is no such LOD.
        """
        number, own = self.place(lod)
        try:
            return self._start_of_set(number) + self.stored_set(number).end_of(own)
        except TruncatedStream:
            return self._end_of_set(number)

    @cached_property
    def icc(self) -> bytes | None:
        """The ICC profile, or None.

        Raises:
            GsCodecError: as `load_chunk`.
        """
        return self._load_optional(ICCP, MAX_ICC_BYTES)

    @cached_property
    def grain(self) -> tuple[Grain, ...]:
        """Film grain of the channel groups; empty if the file has none.

        Raises:
            GsCodecError: as `load_chunk` and `unpack_grain`.
        """
        data = self._load_optional(GRAN, grain_bytes(len(self._groups)))
        return () if data is None else unpack_grain(data, self._groups, self.name)

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
        part, own = self._complete(lod)
        return part.stored_pages(own, tile_rect)

    def read_arrived(self, lod: int, tile_rect: TileRect) -> GaussianSet:
        """`read_region` of a LOD that may be incomplete, without pages that have not arrived.

        Tiles that `arrived_lods` has at this LOD have all of their Gaussians.

        Raises:
            GsCodecError: as `read_region`; TruncatedStream if not even the tables of its set have arrived.
        """
        number, own = self.place(lod)
        return self.stored_set(number).stored_pages(own, tile_rect, only_arrived=True).unpack()

    def arrived_lods(self, tile_rect: TileRect) -> npt.NDArray[np.int64]:
        """(rows, columns) finest LOD of each tile of a half-open rectangle all of whose pages there have arrived.

        A tile that has not even the coarsest has `n_lods`.

        Raises:
            LimitExceeded: the tiles take more memory than the limit.
            GsCodecError: a set is damaged.
        """
        x0, y0, x1, y1 = tile_rect
        self.limits.check_memory(
            _TILE_BYTES * (y1 - y0) * (x1 - x0), f"{self.name}: levels of {x1 - x0}x{y1 - y0} tiles"
        )
        lods = np.full((y1 - y0, x1 - x0), self.n_lods, np.int64)
        for number in reversed(range(self.n_sets)):
            if not self.has_tables(number):
                break
            for lod in reversed(self.lods_of(number)):
                arrived = self.stored_set(number).arrived(lod - self.lods_of(number)[0], tile_rect)
                lods[arrived] = lod
                if not arrived.any():
                    break
        return lods

    def read_region(self, lod: int, tile_rect: TileRect) -> GaussianSet:
        """A superset of the Gaussians of a LOD that reach a half-open tile rectangle (tx0, ty0, tx1, ty1).

        Only pages that overlap the rectangle are read. Their order is kept, so that rendering those tiles from this set
        equals rendering them from the whole LOD.

        Raises:
            GsCodecError: as `read`, for the pages that are read.
        """
        return self.stored_pages(lod, tile_rect).unpack()

    def _complete(self, lod: int) -> tuple[StoredSet, int]:
        """The set of a LOD, and the LOD of it.

        Raises:
            InvalidArgument: there is no such LOD. TruncatedStream: the file is truncated before its end.
        """
        number, own = self.place(lod)
        needed = self._end_of_set(number)
        if needed > self._source.size and (needed := self.prefix_size(lod)) > self._source.size:
            raise self._cut(lod, needed)
        return self.stored_set(number), own

    def _cut(self, lod: int, needed: int) -> TruncatedStream:
        left = [other for other in range(lod + 1, self.n_lods) if self._is_complete(other)]
        remedy = f"the finest LOD it holds is {left[0]}" if left else "it holds no LOD"
        return TruncatedStream(f"{self.name}: cut at byte {self._source.size}, LOD {lod} ends at {needed}; {remedy}")

    def prepare(self, lod: int, tile_rects: Sequence[TileRect]) -> None:
        """Prefetch the pages that `read_region` needs for several rectangles in one batch; useful for remote files.

        Raises:
            GsCodecError: as `read_region`.
        """
        if self._source.is_remote and len(tile_rects) > 1:
            part, own = self._complete(lod)
            part.prepare(own, tile_rects)
