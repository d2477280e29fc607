"""Reading and writing of the header, the table of contents and single chunks."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gscodec.errors import (
    BadMagic,
    ChecksumMismatch,
    CorruptField,
    LimitExceeded,
    TruncatedStream,
    UnsupportedChunk,
    UnsupportedVersion,
)
from gscodec.format.crc32c import crc32c
from gscodec.format.layout import (
    CHAN,
    CODEC_DEFLATE,
    CODEC_NONE,
    CSET,
    GAUS,
    HEADER,
    KNOWN_CHUNKS,
    LODS,
    SET_CHUNKS,
    SIGNATURE,
    VERSION,
    Header,
    Table,
    record_size,
    required_chunks,
)
from gscodec.format.profile_table import LAYOUTS
from gscodec.format.toc import HAVE_NO_CRC, ChunkEntry, EntryParser, pack_entry
from gscodec.io.source import ByteSource
from gscodec.model.constants import MAX_LODS

_CRC_AT = HEADER.offsets["header_crc"]


@dataclass(frozen=True)
class Preamble:
    """The checked header and table of contents."""

    header: Header
    chunks: tuple[ChunkEntry, ...]

    def find(self, fourcc: bytes) -> ChunkEntry | None:
        """The chunk of a known type other than CSET, or None; at most one exists."""
        return next((chunk for chunk in self.chunks if chunk.fourcc == fourcc), None)

    @property
    def data_offset(self) -> int:
        """Offset of GAUS, which is always there."""
        return next(chunk.offset for chunk in self.chunks if chunk.fourcc == GAUS)

    @property
    def coarser(self) -> tuple[ChunkEntry, ...]:
        """The chunks of the coarser sets, coarsest first."""
        return tuple(chunk for chunk in self.chunks if chunk.fourcc == CSET)


def header_crc(header_bytes: bytes, toc_bytes: bytes) -> int:
    """CRC32C over the header without its last field, then the table of contents."""
    return crc32c(bytes(header_bytes[:_CRC_AT]) + bytes(toc_bytes))


@dataclass(frozen=True)
class StoredChunk:
    """A chunk in its stored form."""

    fourcc: bytes
    critical: bool
    codec: int
    stored: bytes
    raw_size: int
    n_lods: int = 0  # as in ChunkEntry
    scale_log2: int = 0
    is_small: bool = False

    def raw(self, name: str) -> bytes:
        """The bytes after undoing the codec of a valid chunk.

        Raises:
            CorruptField: it does not inflate; `name` begins the message.
        """
        return self.stored if self.codec == CODEC_NONE else inflate(self.stored, self.raw_size, name)

    @staticmethod
    def plain(fourcc: bytes, raw: bytes) -> "StoredChunk":
        """A known chunk without compression."""
        return StoredChunk(fourcc, KNOWN_CHUNKS[fourcc], CODEC_NONE, raw, len(raw))

    @staticmethod
    def deflated(fourcc: bytes, raw: bytes) -> "StoredChunk":
        """A known chunk, deflated if that makes it smaller."""
        stored = zlib.compress(raw, 9)
        if len(stored) >= len(raw):
            return StoredChunk.plain(fourcc, raw)
        return StoredChunk(fourcc, KNOWN_CHUNKS[fourcc], CODEC_DEFLATE, stored, len(raw))

    @property
    def toc_entry(self) -> bytes:
        """The chunk's entry in the table of contents."""
        crc = None if self.fourcc in HAVE_NO_CRC else crc32c(self.stored)
        size, about = len(self.stored), (self.n_lods, self.scale_log2, self.is_small)
        return pack_entry(ChunkEntry(self.fourcc, self.critical, self.codec, 0, size, self.raw_size, crc, *about))

    @property
    def n_bytes(self) -> int:
        """Bytes that the chunk adds to a file, including its entry in the table of contents."""
        return len(self.toc_entry) + len(self.stored)


def assemble(values: Mapping[str, Any], chunks: Sequence[StoredChunk]) -> bytes:
    """The bytes of a file; sizes and checksums of the header are computed here."""
    toc = b"".join(chunk.toc_entry for chunk in chunks)
    complete = {
        **values,
        "chunk_count": len(chunks),
        "file_size": HEADER.size + len(toc) + sum(len(chunk.stored) for chunk in chunks),
        "toc_size": len(toc),
        "header_crc": 0,
    }
    complete["header_crc"] = header_crc(HEADER.pack(complete), toc)
    return HEADER.pack(complete) + toc + b"".join(chunk.stored for chunk in chunks)


def check_version(values: Mapping[str, Any], table: Table, name: str) -> None:
    """Refuse files of other versions; drafts of version 1.0 have a minor version.

    Raises:
        UnsupportedVersion: of another version.
    """
    major, minor = values["version_major"], values["version_minor"]
    if major == VERSION[0] and minor != VERSION[1]:
        raise UnsupportedVersion(
            f"{name}: version {major}.{minor} is a draft of the format that is no longer read; encode the picture again"
        )
    table.check({"version_major": major}, name)


def read_preamble(source: ByteSource, name: str, *, coarser: bool = False) -> Preamble:
    """The header and table of contents, checked in the order of spec/igs.md, section 13.2.

    Args:
        coarser: whether it is a coarser set inside of a file, which has no chunks of its own for what all sets share.

    Raises:
        GsCodecError: BadMagic, TruncatedStream, UnsupportedVersion, ChecksumMismatch, LimitExceeded, CorruptField or
            UnsupportedChunk.
    """
    start = bytes(source.read_at(0, min(source.size, HEADER.size)))
    if not SIGNATURE.startswith(start[: len(SIGNATURE)]):
        raise BadMagic(f"{name}: not an .igs file, the signature is missing")
    if len(start) < HEADER.size:
        raise TruncatedStream(f"{name}: ends after {len(start)} bytes, inside the {HEADER.size}-byte header")
    values = HEADER.unpack(start)
    check_version(values, HEADER, name)
    HEADER.check({"chunk_count": values["chunk_count"]}, name)
    header = Header(**values)
    if source.size < HEADER.size + header.toc_size:
        raise TruncatedStream(f"{name}: ends after {source.size} bytes, inside the table of contents")
    toc = bytes(source.read_at(HEADER.size, header.toc_size))
    if header_crc(start, toc) != header.header_crc:
        raise ChecksumMismatch(f"{name}: the header does not match its CRC32C, the file is damaged")
    HEADER.check(values, name)
    if header.profile not in LAYOUTS:
        raise UnsupportedChunk(f"{name}: profile {header.profile} is not known; use a newer reader")
    chunks = _parse_toc(toc, header, name, coarser=coarser)
    if source.size > header.file_size:
        extra = source.size - header.file_size
        raise CorruptField(f"{name}: {extra} bytes follow the end of the file at {header.file_size}")
    preamble = Preamble(header, chunks)
    first = preamble.coarser[0].offset if preamble.coarser else preamble.data_offset
    if source.size < first:
        raise TruncatedStream(f"{name}: ends after {source.size} bytes, before the Gaussians at {first}")
    return preamble


def _parse_toc(toc: bytes, header: Header, name: str, *, coarser: bool) -> tuple[ChunkEntry, ...]:
    """The checked entries: first each alone, in file order, then against each other and the header."""
    parser, chunks = EntryParser(toc, HEADER.size + len(toc), name), []
    for _ in range(header.chunk_count):
        chunks.append(parser.entry())
        _check_entry(chunks[-1], name)
    parser.finish()
    _check_presence(chunks, header, name, coarser=coarser)
    if parser.end != header.file_size:
        raise CorruptField(f"{name}: the chunks end at byte {parser.end}, the header says {header.file_size}")
    data = next(chunk for chunk in chunks if chunk.fourcc == GAUS)
    size = header.n_gaussians * record_size(header.n_channels)
    if LAYOUTS[header.profile].has_plain_records and data.stored_size != size:
        raise CorruptField(f"{name}: GAUS has {data.stored_size} bytes, its Gaussians take {size}")
    for chunk in chunks[chunks.index(data) + 1 :]:  # compared by order: empty chunks share an offset
        if chunk.critical:
            raise CorruptField(f"{name}: critical chunk {chunk.label} follows GAUS")
    _check_sets(chunks, header, name)
    return tuple(chunks)


def _check_sets(chunks: Sequence[ChunkEntry], header: Header, name: str) -> None:
    """Check the number of levels of all sets, and that coarser ones stand behind CHAN and before the finest."""
    kinds = [chunk.fourcc for chunk in chunks]
    if CSET not in kinds:
        return
    n_lods = header.lod_count + sum(chunk.n_lods for chunk in chunks)
    if n_lods > MAX_LODS:
        raise LimitExceeded(f"{name}: {n_lods} levels of detail, the limit is {MAX_LODS}")
    last = len(kinds) - 1 - kinds[::-1].index(CSET)
    if kinds.index(CHAN) > kinds.index(CSET) or any(kind in kinds[:last] for kind in SET_CHUNKS):
        raise CorruptField(f"{name}: chunk CSET stands before CHAN, or behind a chunk of the finest set")


def _check_entry(chunk: ChunkEntry, name: str) -> None:
    """The rules between the fields of one entry."""
    known = KNOWN_CHUNKS.get(chunk.fourcc)
    if known is None:
        if chunk.critical:
            raise UnsupportedChunk(f"{name}: critical chunk {chunk.label} is not known; use a newer reader")
        return
    if chunk.critical != known:
        raise CorruptField(f"{name}: chunk {chunk.label} has critical bit {chunk.critical:d}, must be {known:d}")
    if chunk.codec not in {CODEC_NONE, CODEC_DEFLATE} or (chunk.fourcc in HAVE_NO_CRC and chunk.codec != CODEC_NONE):
        raise UnsupportedChunk(f"{name}: chunk {chunk.label} has codec {chunk.codec}; use a newer reader")
    if chunk.codec == CODEC_DEFLATE and chunk.raw_size <= chunk.stored_size:
        raise CorruptField(f"{name}: deflated chunk {chunk.label} is not smaller than its {chunk.raw_size} bytes")


def _check_presence(chunks: Sequence[ChunkEntry], header: Header, name: str, *, coarser: bool) -> None:
    """Check that required chunks are present and that no known chunk but CSET appears twice."""
    seen = set()
    for chunk in chunks:
        if chunk.fourcc in seen:
            raise CorruptField(f"{name}: chunk {chunk.label} appears twice")
        if chunk.fourcc in KNOWN_CHUNKS and chunk.fourcc != CSET:
            seen.add(chunk.fourcc)
        if coarser and chunk.fourcc in KNOWN_CHUNKS and chunk.fourcc not in SET_CHUNKS:
            raise CorruptField(f"{name}: chunk {chunk.label} does not belong into a coarser set")
    required = required_chunks(header.profile, header.lod_count, coarser=coarser)
    for fourcc in (fourcc for fourcc, critical in KNOWN_CHUNKS.items() if critical and fourcc != CSET):
        is_free = fourcc == LODS and fourcc not in required
        if (fourcc in required) != (fourcc in seen) and not is_free:
            profile = LAYOUTS[header.profile].name
            fact = "is missing" if fourcc in required else f"does not belong into profile {profile}"
            raise CorruptField(f"{name}: chunk {fourcc.decode()} {fact}")


def load_chunk(source: ByteSource, chunk: ChunkEntry, cap: int, name: str) -> bytes:
    """The raw bytes of a chunk, checked and inflated; the chunk must lie within the source.

    Raises:
        LimitExceeded: raw_size is above `cap`; nothing was read.
        ChecksumMismatch: the stored bytes do not match the CRC.
        CorruptField: the deflate stream is not exactly raw_size long.
    """
    if chunk.raw_size > cap:
        raise LimitExceeded(f"{name}: chunk {chunk.label} holds {chunk.raw_size} bytes, the limit is {cap}")
    stored = bytes(source.read_at(chunk.offset, chunk.stored_size))
    if crc32c(stored) != chunk.crc:
        raise ChecksumMismatch(f"{name}: chunk {chunk.label} does not match its CRC32C, the file is damaged")
    return stored if chunk.codec == CODEC_NONE else inflate(stored, chunk.raw_size, f"{name}: chunk {chunk.label}")


def inflate(stored: bytes, raw_size: int, where: str) -> bytes:
    """Exactly raw_size bytes from one zlib stream; at most one byte more is ever inflated.

    Raises:
        CorruptField: the stream is damaged, shorter, longer, or has bytes after its end.
    """
    engine = zlib.decompressobj()
    try:
        raw = engine.decompress(stored, raw_size + 1)
    except zlib.error as fault:
        raise CorruptField(f"{where} is not a zlib stream: {fault}") from fault
    if len(raw) != raw_size or not engine.eof or engine.unused_data:
        raise CorruptField(f"{where} does not inflate to exactly {raw_size} bytes")
    return raw
