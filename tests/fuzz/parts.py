"""An `.igs` file as parts that can be changed one by one and put together again with every checksum right."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from toc_fields import TocFields, toc_end, toc_of

from gscodec.errors import GsCodecError
from gscodec.format.chunks import header_crc
from gscodec.format.crc32c import crc32c
from gscodec.format.layout import (
    CODEC_DEFLATE,
    CSET,
    FLAG_CRC,
    FLAG_SET,
    FLAG_SMALL,
    GAUS,
    HEADER,
    LODS,
    PAGE_ENTRY,
    PAGE_TREE,
    PAGI,
    PAGT,
    QUAN,
    SIZED_PAGE_ENTRY,
    record_size,
)
from gscodec.format.profile_table import CODED, PACKED
from gscodec.format.toc import HAVE_NO_CRC

MAX_PAGES = 4096
"""Pages whose checksums are made right; a mutant that promises more is refused by its sizes anyway."""


@dataclass
class Chunk:
    """A chunk by its raw bytes. What is None or absent follows from them when the file is put together."""

    fourcc: bytes
    critical: bool
    codec: int
    raw: bytearray
    stored: bytes | None = None  # in place of what the codec makes of `raw`
    lies: dict[str, Any] = field(default_factory=dict)  # fields of the table of contents that are not true
    n_lods: int = 0
    scale_log2: int = 0
    is_small: bool = False
    entry: bytes | None = None  # in place of what the fields make

    def copy(self) -> "Chunk":
        """One that can be changed alone."""
        return replace(self, raw=bytearray(self.raw), lies=dict(self.lies))

    def entry_and_bytes(self) -> tuple[bytes, bytes]:
        """Its line in the table of contents, and its bytes in the file."""
        stored = self.stored
        if stored is None:
            stored = zlib.compress(bytes(self.raw), 9) if self.codec == CODEC_DEFLATE else bytes(self.raw)
        flags = int(self.critical) | FLAG_SET * (self.fourcc == CSET) | FLAG_CRC * (self.fourcc not in HAVE_NO_CRC)
        flags |= FLAG_SMALL * self.is_small
        about = len(stored), len(self.raw), self.n_lods, self.scale_log2, crc32c(stored)
        lies = dict(self.lies)
        codec = lies.pop("codec", self.codec)
        fields = replace(TocFields(self.fourcc, flags, *about), **lies)
        return (fields.with_codec(codec).pack() if self.entry is None else self.entry), stored


@dataclass
class Parts:
    """A header, the chunks, and what is to be wrong about the whole."""

    header: dict[str, Any]
    chunks: list[Chunk]
    lies: dict[str, Any] = field(default_factory=dict)  # header fields that are not true
    seal_pages: bool = True  # whether the CRCs of pages and of blocks of the page index are made right
    cut: float | None = None  # share of the file that is kept
    tail: bytes = b""  # bytes after the end

    def copy(self) -> "Parts":
        """Parts that can be changed alone."""
        chunks = [chunk.copy() for chunk in self.chunks]
        return Parts(dict(self.header), chunks, dict(self.lies), self.seal_pages, self.cut, self.tail)

    def find(self, fourcc: bytes) -> Chunk | None:
        """The first chunk of a type."""
        return next((chunk for chunk in self.chunks if chunk.fourcc == fourcc), None)

    @property
    def sized(self) -> bool:
        """Whether entries of the page index have the bytes of their page."""
        return bool(self.header["profile"] == CODED.code)

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry of the page index."""
        return (SIZED_PAGE_ENTRY if self.sized else PAGE_ENTRY).size


def take_apart(data: bytes) -> Parts:
    """The parts of a good file, or of the beginning of one."""
    header = HEADER.unpack(data)
    chunks, at = [], toc_end(data)
    for entry in toc_of(data):
        stored = data[at : at + entry.stored_size]
        at += entry.stored_size
        chunk = Chunk(entry.fourcc, entry.critical, entry.codec, bytearray(stored))
        chunk.n_lods, chunk.scale_log2, chunk.is_small = entry.n_lods, entry.scale_log2, entry.is_small
        if entry.codec == CODEC_DEFLATE:
            if len(stored) < entry.stored_size:  # behind the end of a file that is cut
                break
            chunk.raw = bytearray(zlib.decompress(stored))
        elif entry.codec:  # an unknown chunk, with an unknown codec
            chunk.lies["raw_size"] = entry.raw_size
        chunks.append(chunk)
    return Parts(header, chunks)


def put_together(parts: Parts) -> bytes:
    """The bytes of a file. Sizes and checksums are right, but for the lies."""
    if parts.seal_pages:
        _seal_pages(parts)
    made = [chunk.entry_and_bytes() for chunk in parts.chunks]
    toc, body = b"".join(entry for entry, _ in made), b"".join(stored for _, stored in made)
    sizes = {"toc_size": len(toc), "file_size": HEADER.size + len(toc) + len(body)}
    values = {**parts.header, "chunk_count": len(made) & 255, **sizes, **parts.lies}
    data = HEADER.pack(values) + toc + body
    if "header_crc" not in parts.lies:
        values["header_crc"] = header_crc(data[: HEADER.size], data[HEADER.size : toc_end(data)])
        data = HEADER.pack(values) + data[HEADER.size :]
    if parts.cut is not None:
        data = data[: round(parts.cut * len(data))]
    return data + parts.tail


def page_spans(parts: Parts) -> list[tuple[int, int]]:
    """Offset in GAUS and bytes of each page, as a reader computes them; empty if the page index is invalid."""
    index = parts.find(PAGI)
    if index is None:
        return []
    n_pages = len(index.raw) // parts.entry_bytes
    if parts.sized:
        at = SIZED_PAGE_ENTRY.offsets["n_bytes"]
        sizes = [struct.unpack_from("<I", index.raw, parts.entry_bytes * page + at)[0] for page in range(n_pages)]
    else:
        sizes = _fixed_sizes(parts)[:n_pages]
    edges = np.cumsum([0, *sizes[:MAX_PAGES]]).tolist()
    return list(zip(edges[:-1], sizes, strict=False))


def _fixed_sizes(parts: Parts) -> list[int]:
    """Bytes of the pages of a profile whose records have one size."""
    n_channels = parts.header["n_channels"]
    head, record = 0, record_size(n_channels)
    if parts.header["profile"] == PACKED.code:
        quan = parts.find(QUAN)
        widths = bytes(quan.raw[-(5 * (2 + n_channels) + 1) :]) if quan is not None else b""
        if len(widths) != 5 * (2 + n_channels) + 1:
            return []
        head = 16 + 3 * n_channels
        record = (widths[0] + sum(widths[5::5]) + 7) // 8
    return [head + n * record for n in _page_lengths(parts)]


def _page_lengths(parts: Parts) -> list[int]:
    """Records of each page."""
    lengths: list[int] = []
    for size in _generation_sizes(parts):
        left = size
        while left > 0 and len(lengths) < MAX_PAGES:
            lengths.append(min(left, max(1, parts.header["page_size"])))
            left -= lengths[-1]
    return lengths


def _generation_sizes(parts: Parts) -> Iterator[int]:
    lods = parts.find(LODS)
    if lods is None and parts.header["lod_count"] == 1:
        yield parts.header["n_gaussians"]
    at, before = 0, 0
    for step in range(parts.header["lod_count"]):
        if lods is None or at + 4 > len(lods.raw):
            return
        count = struct.unpack_from("<I", lods.raw, at)[0]
        yield count - before
        before, at = count, at + 4 + 4 * (step + 1)


def _seal_pages(parts: Parts) -> None:
    index, data, tree = parts.find(PAGI), parts.find(GAUS), parts.find(PAGT)
    if index is None or data is None:
        return
    entry, at = parts.entry_bytes, PAGE_ENTRY.offsets["crc"]
    for page, (first, size) in enumerate(page_spans(parts)):
        struct.pack_into("<I", index.raw, entry * page + at, crc32c(bytes(data.raw[first : first + size])))
    if tree is None or len(tree.raw) < PAGE_TREE.size:
        return
    block_size = max(1, struct.unpack_from("<H", tree.raw)[0])
    page, block = 0, PAGE_TREE.size
    for size in _generation_sizes(parts):
        end = min(page + -(-size // max(1, parts.header["page_size"])), MAX_PAGES)
        while page < end and block + entry <= len(tree.raw):
            last = min(page + block_size, end)
            struct.pack_into("<I", tree.raw, block + at, crc32c(bytes(index.raw[entry * page : entry * last])))
            page, block = last, block + entry


def is_whole(data: bytes) -> bool:
    """Whether a file can be taken apart: a table of contents, and the bytes that it promises."""
    try:
        parts = take_apart(data)
    except (GsCodecError, struct.error, zlib.error, KeyError):
        return False
    return len(put_together(parts)) == len(data)
