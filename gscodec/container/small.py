"""Files of profile `small`: pictures of a few hundred bytes (spec/igs.md, section 10).

A short header, then the Gaussians in one block. What other profiles store in chunks follows from header fields or is
stored as an extra.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.container.one_piece import OnePiecePreamble, Shared
from gscodec.errors import ChecksumMismatch, CorruptField, InvalidArgument, LimitExceeded, TruncatedStream
from gscodec.format.chunks import Preamble, StoredChunk, check_version, inflate, read_preamble
from gscodec.format.crc32c import crc32c
from gscodec.format.layout import (
    CHAN,
    CODEC_DEFLATE,
    CODEC_NONE,
    EXIF,
    FILE,
    GAUS,
    HEADER,
    ICCP,
    KNOWN_CHUNKS,
    MAX_SMALL_SIDE,
    META,
    SIGNATURE,
    SMALL_EXTRA,
    SMALL_HEADER,
    SMALL_SET,
    TAGS,
    VERSION,
    XMP,
    Header,
)
from gscodec.format.limits import MAX_CHAN_BYTES, MAX_GAUSSIANS_PER_BYTE
from gscodec.format.pages import PageIndex, PageRefs
from gscodec.format.profile_table import LAYOUTS, MAX_SMALL_BYTES, SMALL
from gscodec.format.tables import check_density, pack_channels, unpack_channels
from gscodec.format.toc import ChunkEntry
from gscodec.io.source import ByteSource
from gscodec.model.channels import AlphaMode, ChannelGroup, count_channels
from gscodec.model.constants import MAX_FEATURE, SUPPORT_Q, TOP_K
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.profiles.base import PageDecoder
from gscodec.profiles.lattice import Codes, Lattice, dequantize, feature_values, quantize
from gscodec.profiles.ranges import checked_gaussians
from gscodec.profiles.small_codec import decode_codes, encode_codes, lattice_of
from gscodec.profiles.small_steps import SmallSteps

CRC_BYTES: Final = 4
EXTRAS: Final = (CHAN, FILE, ICCP, TAGS, EXIF, XMP, META)
"""Chunks that a small file may have, in the order they are written."""

PAGE_SIZE: Final = 4096
_DEPTHS: Final = (8, 16)
_WHERE: Final = "cannot pack"


def standard_groups(layout: int) -> tuple[ChannelGroup, ...]:
    """The channel groups of a layout other than 0: gray or RGB with 8 or 16 bits, with or without alpha."""
    depth, n_channels = _DEPTHS[(layout - 1) // 4], (layout - 1) % 4 + 1
    alpha = AlphaMode.STRAIGHT if n_channels in {2, 4} else AlphaMode.NONE
    return (ChannelGroup("color", n_channels=n_channels, bit_depth=depth, alpha=alpha),)


def layout_of(groups: Sequence[ChannelGroup]) -> int:
    """The layout of these channel groups; 0 if they need a CHAN extra."""
    return next((layout for layout in range(1, 9) if standard_groups(layout) == tuple(groups)), 0)


def pack_small(contents: Contents, described: Mapping[bytes, bytes | None]) -> tuple[bytes, GaussianSet]:
    """A file of profile `small`, and its Gaussians as a reader decodes them.

    Args:
        contents: rounded and checked, with a lattice for profile `small`.
        described: raw bytes of FILE, ICCP, TAGS, EXIF, XMP_ and META, None for absent chunks.

    Raises:
        InvalidArgument: the contents are too large for a small file, or cannot be represented in it.
    """
    grid, n = contents.grid, len(contents.gaussians)
    plain = Grid(grid.height, grid.width, grid.background)
    if len(contents.lods) != 1 or (grid.top_k, grid.support_q) != (plain.top_k, plain.support_q):
        raise InvalidArgument(f"{_WHERE}: profile small has one level, K of {TOP_K} and Q of {SUPPORT_Q:g}")
    values, body, codes, lattice = _parts(contents, described)
    SMALL_HEADER.check(values, _WHERE, InvalidArgument)
    if values["file_size"] > MAX_SMALL_BYTES:
        fact = f"{values['file_size']} bytes, a file of profile small has at most {MAX_SMALL_BYTES}"
        raise InvalidArgument(f"{_WHERE}: {fact}; use profile coded")
    return _sealed(SMALL_HEADER.pack(values) + body), dequantize(codes, lattice, np.zeros(n, np.int64))


def short_form(data: bytes) -> bytes:
    """A small file as a coarser set: its Gaussians, without what the file with the set says already."""
    values, at = SMALL_HEADER.unpack(data), SMALL_HEADER.size
    for _ in range(values["n_extras"]):
        at += SMALL_EXTRA.size + SMALL_EXTRA.unpack(data, at)["stored_size"]
    return _sealed(SMALL_SET.pack(values) + data[at:-CRC_BYTES])


def file_of_short_form(data: bytes, grid: Grid, chunks: Sequence[StoredChunk]) -> bytes:
    """A coarser set in its short form as a small file, with these chunks as extras, CHAN among them.

    Args:
        grid: of the set.

    Raises:
        InvalidArgument: it is then larger than such a file may be.
    """
    body = b"".join(map(_packed_extra, chunks)) + data[SMALL_SET.size : -CRC_BYTES]
    size = SMALL_HEADER.size + len(body) + CRC_BYTES
    if size > MAX_SMALL_BYTES:
        fact = f"{size} bytes with what describes the picture, a file of profile small has at most {MAX_SMALL_BYTES}"
        raise InvalidArgument(f"{_WHERE}: {fact}; choose a finer level")
    values = SMALL_SET.unpack(data) | _head_values(grid, size, layout=0, n_extras=len(chunks))
    return _sealed(SMALL_HEADER.pack(values) + body)


def _head_values(grid: Grid, file_size: int, *, layout: int, n_extras: int) -> dict[str, Any]:
    """Fields of the header of a small file that its short form does not have."""
    return {
        "signature": SIGNATURE,
        "version_major": VERSION[0],
        "version_minor": VERSION[1],
        "profile": SMALL.code,
        "layout": layout,
        "file_size": file_size,
        "width": grid.width,
        "height": grid.height,
        "n_extras": n_extras,
    }


def _sealed(data: bytes) -> bytes:
    """Bytes with their checksum behind them."""
    return data + crc32c(data).to_bytes(CRC_BYTES, "little")


def small_size(contents: Contents, described: Mapping[bytes, bytes | None]) -> int:
    """Size in bytes of the file of `pack_small`, even if it is above MAX_SMALL_BYTES."""
    return int(_parts(contents, described)[0]["file_size"])


def _parts(contents: Contents, described: Mapping[bytes, bytes | None]) -> tuple[dict[str, Any], bytes, Codes, Lattice]:
    """Header values, bytes from header to checksum, and codes and lattice of the Gaussians in file order."""
    grid, n = contents.grid, len(contents.gaussians)
    assert contents.lattice is not None
    steps = contents.lattice.small
    assert steps is not None
    lattice = lattice_of(steps, grid, n, contents.groups)
    codes = quantize(contents.gaussians, lattice, grid, np.zeros(n, np.int64))
    codes = codes[np.argsort(codes.cells, kind="stable")]
    layout = layout_of(contents.groups)
    channels = None if layout else pack_channels(contents.groups, grid.background)
    raw = {CHAN: channels, **described}
    extras = [StoredChunk.deflated(fourcc, data) for fourcc in EXTRAS if (data := raw.get(fourcc))]
    body = b"".join(map(_packed_extra, extras)) + bytes(steps.feature_step)
    bits = encode_codes(codes, lattice, _centres(codes, grid, lattice))
    # Zeros after the last byte that is needed change nothing; every page has as many bytes for its Gaussians.
    body += bits.ljust(-(-n // MAX_GAUSSIANS_PER_BYTE), b"\0")
    size = SMALL_HEADER.size + len(body) + CRC_BYTES
    values = _head_values(grid, size, layout=layout, n_extras=len(extras)) | {
        "n_gaussians": n,
        "scale_step": steps.scale_step,
        "position_offset": steps.position_offset,
        "turn": steps.turn,
        "colours": steps.colours,
    }
    return values, body, codes, lattice


def _centres(codes: Codes, grid: Grid, lattice: Lattice) -> npt.NDArray[np.int64]:
    """(1 + C,) codes of the centre of the narrow scales and of the background's features."""
    features = grid.background.astype(np.float64) @ np.linalg.inv(lattice.transform) / lattice.feature_steps
    narrow = np.median(codes.narrow) if len(codes) else 0.0
    return np.round([narrow, *features]).astype(np.int64)


def _packed_extra(chunk: StoredChunk) -> bytes:
    sizes = {"stored_size": len(chunk.stored), "raw_size": chunk.raw_size}
    if max(sizes.values()) > 0xFFFF:
        raise InvalidArgument(
            f"{_WHERE}: {chunk.fourcc.decode()} has {chunk.raw_size} bytes, too many for profile small"
        )
    return SMALL_EXTRA.pack({"fourcc": chunk.fourcc, "codec": chunk.codec, **sizes}) + chunk.stored


def open_preamble(source: ByteSource, name: str) -> Preamble:
    """Header and table of contents of a file; of profile `small` the whole file.

    Raises:
        GsCodecError: as `read_preamble`.
    """
    at = SMALL_HEADER.offsets["profile"]
    start = bytes(source.read_at(0, min(source.size, at + 1)))
    layout = LAYOUTS.get(start[at]) if start.startswith(SIGNATURE) and len(start) > at else None
    if layout is None or not layout.is_one_piece:
        return read_preamble(source, name)
    start = bytes(source.read_at(0, min(source.size, SMALL_HEADER.size)))
    if len(start) < SMALL_HEADER.size:
        raise TruncatedStream(f"{name}: ends after {len(start)} bytes, inside the {SMALL_HEADER.size}-byte header")
    values = SMALL_HEADER.unpack(start)
    check_version(values, SMALL_HEADER, name)
    size = values["file_size"]
    if size > MAX_SMALL_BYTES:
        raise LimitExceeded(f"{name}: {size} bytes, a file of profile small has at most {MAX_SMALL_BYTES}")
    if size < SMALL_HEADER.size + CRC_BYTES:
        raise CorruptField(f"{name}: a file of {size} bytes has no room for its header")
    if source.size > size:
        raise CorruptField(f"{name}: {source.size - size} bytes follow the end of the file at {size}")
    data = _checked_bytes(source, size, name)
    SMALL_HEADER.check(values, name)
    return _FileParser(data, SMALL_HEADER.size, values, name).preamble()


def open_small_set(source: ByteSource, chunk: ChunkEntry, header: Header, shared: Shared, name: str) -> Preamble:
    """A coarser set in its short form.

    Args:
        source: of the set. chunk: its entry. header: of the file. shared: what it shares with the other sets.
        name: of the set, for messages.

    Raises:
        GsCodecError: TruncatedStream, ChecksumMismatch, LimitExceeded or CorruptField.
    """
    size, side = chunk.stored_size, 1 << chunk.scale_log2
    height, width = -(-header.height // side), -(-header.width // side)
    if (header.top_k, header.support_q) != (TOP_K, SUPPORT_Q):
        raise CorruptField(f"{name}: is of profile small, but the file has not K of {TOP_K} and Q of {SUPPORT_Q:g}")
    if max(height, width) > MAX_SMALL_SIDE:
        raise CorruptField(
            f"{name}: is of profile small and {width} x {height} px, at most {MAX_SMALL_SIDE} are possible"
        )
    if size > MAX_SMALL_BYTES:
        raise LimitExceeded(f"{name}: {size} bytes, a set of profile small has at most {MAX_SMALL_BYTES}")
    if size < SMALL_SET.size + CRC_BYTES:
        raise CorruptField(f"{name}: a set of {size} bytes has no room for its fields")
    data = _checked_bytes(source, size, name)
    values = SMALL_SET.unpack(data)
    SMALL_SET.check(values, name)
    values |= _head_values(Grid(height, width, shared.background), size, layout=0, n_extras=0)
    return _Parser(data, SMALL_SET.size, values, name).decoded(shared.groups, shared.background)


def _checked_bytes(source: ByteSource, size: int, name: str) -> bytes:
    """The bytes of a small file or set, under a right checksum.

    Raises:
        TruncatedStream, ChecksumMismatch: there are fewer, or they are damaged.
    """
    if source.size < size:
        raise TruncatedStream(f"{name}: ends after {source.size} bytes, the whole has {size}")
    data = bytes(source.read_at(0, size))
    if crc32c(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise ChecksumMismatch(f"{name}: does not match its CRC32C, it is damaged")
    return data


class _Parser:
    """Parser of what a small file and its short form have in common; fields and checksum have been verified.

    Args:
        at: where the fixed-size fields end. values: of the header; of a short form those that its file says, too.
    """

    def __init__(self, data: bytes, at: int, values: dict[str, Any], name: str) -> None:
        self._data, self._values, self._name = data, values, name
        self._at, self._end = at, len(data) - CRC_BYTES

    def decoded(
        self,
        groups: tuple[ChannelGroup, ...],
        background: npt.NDArray[np.float32] | None,
        extras: Sequence[ChunkEntry] = (),
    ) -> OnePiecePreamble:
        """What follows the extras: feature steps and Gaussians.

        Args:
            background: (C,), or None if it is the centre of the features.
        """
        values, name = self._values, self._name
        n_channels = count_channels(groups)
        steps = SmallSteps(
            values["scale_step"],
            values["position_offset"],
            values["turn"],
            values["colours"],
            tuple(self._take(n_channels)),
        )
        n = values["n_gaussians"]
        payload = self._data[self._at : self._end]
        check_density(np.array([n]), np.array([len(payload)]), "page", name)
        grid = Grid(values["height"], values["width"], np.zeros(n_channels, np.float32))
        lattice = lattice_of(steps, grid, n, groups)
        try:
            codes, centres = decode_codes(payload, lattice, n)
        except CorruptField as fault:
            raise CorruptField(f"{name}: its Gaussians {fault}") from fault
        if background is None:
            background = feature_values(centres[None, 1:], lattice.feature_steps, lattice.transform)[0]
            if not (np.abs(background) <= MAX_FEATURE).all():
                raise CorruptField(f"{name}: the background is outside -65504..65504")
        size = len(payload)
        chunk = ChunkEntry(GAUS, critical=True, codec=CODEC_NONE, offset=self._at, stored_size=size, raw_size=size)
        header = Header(
            **{field.name: values.get(field.name, 0) for field in HEADER.fields}
            | {
                "lod_count": 1,
                "n_channels": n_channels,
                "top_k": grid.top_k,
                "support_q": grid.support_q,
                "chunk_count": len(extras) + 1,
                "page_size": PAGE_SIZE,
                "header_crc": int.from_bytes(self._data[self._end :], "little"),
            }
        )
        grid = replace(grid, background=background)
        decoder = _Pages(codes, lattice, grid, size, name)
        lods = LodTable.single(n)
        return OnePiecePreamble(header, (*extras, chunk), groups, grid, lods, _one_page(n, grid, payload), decoder)

    def _take(self, n_bytes: int) -> bytes:
        part = self._data[self._at : min(self._at + n_bytes, self._end)]
        if len(part) < n_bytes:
            raise CorruptField(f"{self._name}: its fields end early, at byte {self._end}")
        self._at += n_bytes
        return part


class _FileParser(_Parser):
    """Parser of a small file."""

    def preamble(self) -> OnePiecePreamble:
        values, name = self._values, self._name
        extras = [self._extra() for _ in range(values["n_extras"])]
        seen = [chunk.fourcc for chunk in extras if chunk.fourcc in KNOWN_CHUNKS]
        if len(set(seen)) < len(seen) or not set(seen) <= set(EXTRAS):
            raise CorruptField(f"{name}: extras {seen} are there twice, or not what a small file has")
        channels = next((chunk for chunk in extras if chunk.fourcc == CHAN), None)
        if (channels is None) != (values["layout"] > 0):
            raise CorruptField(f"{name}: layout {values['layout']} and chunk CHAN do not go together")
        if channels is None:
            return self.decoded(standard_groups(values["layout"]), None, extras)
        return self.decoded(*unpack_channels(self._raw(channels), None, name), extras)

    def _extra(self) -> ChunkEntry:
        values = SMALL_EXTRA.unpack(self._take(SMALL_EXTRA.size))
        if not all(0x20 <= byte <= 0x7E for byte in values["fourcc"]):
            raise CorruptField(f"{self._name}: chunk type {values['fourcc']!r} is not four printable ASCII characters")
        SMALL_EXTRA.check(values, self._name)
        at, stored = self._at, self._take(values["stored_size"])
        chunk = ChunkEntry(**values, critical=values["fourcc"] == CHAN, offset=at, crc=crc32c(stored))
        if (chunk.raw_size > chunk.stored_size) != (chunk.codec == CODEC_DEFLATE) or chunk.raw_size < chunk.stored_size:
            sizes = f"{chunk.stored_size} and {chunk.raw_size}"
            raise CorruptField(f"{self._name}: chunk {chunk.label} of codec {chunk.codec} has sizes {sizes}")
        return chunk

    def _raw(self, chunk: ChunkEntry) -> bytes:
        if chunk.raw_size > MAX_CHAN_BYTES:
            raise LimitExceeded(
                f"{self._name}: chunk {chunk.label} holds {chunk.raw_size} bytes, the limit is {MAX_CHAN_BYTES}"
            )
        stored = self._data[chunk.offset : chunk.offset + chunk.stored_size]
        where = f"{self._name}: chunk {chunk.label}"
        return stored if chunk.codec == CODEC_NONE else inflate(stored, chunk.raw_size, where)


class _Pages(PageDecoder):
    """The Gaussians of the one page, which are known from the start."""

    def __init__(self, codes: Codes, lattice: Lattice, grid: Grid, n_bytes: int, name: str) -> None:
        self._codes, self._lattice, self._grid, self._n_bytes, self._name = codes, lattice, grid, n_bytes, name

    @property
    def record_bytes(self) -> None:
        """See `PageDecoder.record_bytes`."""

    def page_bytes(self, page_size: int) -> npt.NDArray[np.int64]:  # noqa: ARG002  # there is one page
        """See `PageDecoder.page_bytes`."""
        return np.array([self._n_bytes])[: len(self._codes)]

    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:  # noqa: ARG002  # decoded already
        """See `PageDecoder.decode`."""
        n = int(pages.sizes.sum())
        gaussians = dequantize(self._codes[:n], self._lattice, np.zeros(n, np.int64))
        return checked_gaussians(gaussians, pages, self._grid, self._name)


def _one_page(n_gaussians: int, grid: Grid, payload: bytes) -> PageIndex:
    """One page, where there is a Gaussian, which touches all tiles."""
    rows, columns = grid.tiles_shape
    n_pages = int(n_gaussians > 0)
    return PageIndex(
        np.array([0, n_gaussians])[: n_pages + 1],
        np.array([[0, 0, columns - 1, rows - 1]])[:n_pages],
        np.array([crc32c(payload)], np.uint32)[:n_pages],
        np.array([0, len(payload)])[: n_pages + 1],
    )
