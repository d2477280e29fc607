"""Profile `packed`: quantised Gaussians <-> pages of fixed-size records (spec/igs.md, section 8).

A page is a head with the values that its records share, then the records. The positions of a record and of its values
follow by arithmetic, so a shader can read them in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gscodec import _engine
from gscodec.errors import CorruptField, InvalidArgument
from gscodec.format import profile_table
from gscodec.format.chunks import StoredChunk
from gscodec.format.layout import FIELD_WIDTH, GAUS, PAGE_FIELD, PAGE_HEAD, QUAN, RECORD_WIDTHS
from gscodec.format.limits import generations_of
from gscodec.format.pages import PageRefs, page_starts
from gscodec.format.records import Bytes, PageHeads, RecordLayout, pack_fields
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid
from gscodec.profiles.base import EncodedPages, FixedSizeProfile, PageDecoder, PageSource
from gscodec.profiles.lattice import Codes, Int64Array, Lattice, box_places, dequantize, feature_values, quantize
from gscodec.profiles.page_heads import box_unit, page_heads, page_order
from gscodec.profiles.quantiser import pack_steps, steps_bytes, unpack_steps
from gscodec.profiles.ranges import checked_gaussians


@dataclass(frozen=True)
class RecordCodec:
    """Parameters for packing the pages of one file."""

    lattice: Lattice  # with records; the heads of pages are theirs
    grid: Grid

    @property
    def layout(self) -> RecordLayout:
        """Bit positions of the values in a record."""
        assert self.lattice.records is not None
        return self.lattice.records

    @property
    def head_bytes(self) -> int:
        """Bytes that a page begins with."""
        return head_bytes(len(self.layout.bits) - 2)

    def page_bytes(self, sizes: Int64Array) -> Int64Array:
        """(P,) bytes of pages with the given numbers of Gaussians."""
        return self.head_bytes + sizes * self.layout.stride

    def encode(self, codes: Codes, heads: PageHeads) -> bytes:
        """Bytes of pages of codes in file order."""
        layout = self.layout
        places = box_places(replace(self.lattice, pages=heads), codes.narrow, codes.elongation, codes.rotations)
        y_at = places.rotation_bits + places.bits[:, 0]
        place = codes.rotations | codes.offsets[:, 0] << places.rotation_bits | codes.offsets[:, 1] << y_at
        fields = np.column_stack([codes.narrow, codes.elongation, codes.features])
        fields = (fields - heads.of_records("lows")) // heads.of_records("scales")
        rows = pack_fields(np.insert(fields, _PLACE_AT, place, axis=1), layout.widths, layout.stride)
        packed, ends = self._pack_heads(heads), np.cumsum(heads.sizes)
        parts = [
            part.tobytes()
            for head, end, size in zip(packed, ends, heads.sizes, strict=True)
            for part in (head, rows[end - size : end])
        ]
        return b"".join(parts)

    def _pack_heads(self, heads: PageHeads) -> Bytes:
        """(P, head_bytes) of pages."""
        unit = box_unit(self.grid)
        table = np.zeros(len(heads.sizes), self._head_dtype)
        table["box"] = -(-heads.boxes // unit)
        table["slope"] = heads.slopes // unit
        table["field"]["low"] = heads.lows - np.asarray(self.layout.lows, np.int64)
        table["field"]["scale"] = heads.scales
        return table.view(np.uint8).reshape(len(table), self.head_bytes)

    @property
    def _head_dtype(self) -> np.dtype[np.void]:
        field = np.dtype([("low", "<u2"), ("scale", "u1")])
        return np.dtype([("box", "<u2", (4,)), ("slope", "<u2"), ("field", field, (len(self.layout.bits),))])

    def decode(self, data: Bytes, sizes: Int64Array, threads: int = 0) -> tuple[GaussianSet | None, int]:
        """The Gaussians of pages that follow each other in data, or None, and the number of the first bad page, or -1.

        Args:
            sizes: (P,) Gaussians of each page; data has `page_bytes` of them.
            threads: CPU threads; 0 is one per processor.
        """
        lattice, layout = self.lattice, self.layout
        means, inv_scales, rotations, features, bad = _engine.decode_records(
            np.array(lattice.rotation_from, np.uint8),
            np.array(layout.lows, np.int32),
            np.array(layout.bits, np.uint8),
            (lattice.scale_step, layout.place_bits, self.grid.width, self.grid.height, box_unit(self.grid)),
            data,
            sizes,
            threads,
        )
        if bad >= 0:
            return None, bad
        return GaussianSet(
            means, inv_scales, rotations, feature_values(features, lattice.feature_steps, lattice.transform)
        ), bad


_PLACE_AT: Final = 2


def head_bytes(n_channels: int) -> int:
    """Bytes that a page begins with."""
    return PAGE_HEAD.size + PAGE_FIELD.size * (2 + n_channels)


def pack_quan(codec: RecordCodec, groups: Sequence[ChannelGroup]) -> bytes:
    """The raw QUAN chunk."""
    layout = codec.layout
    fields = zip(layout.lows, layout.bits, strict=True)
    rows = [FIELD_WIDTH.pack({"low": low, "bits": bits}) for low, bits in fields]
    return pack_steps(codec.lattice, groups) + RECORD_WIDTHS.pack({"place_bits": layout.place_bits}) + b"".join(rows)


def quan_bytes(lod_count: int, groups: Sequence[ChannelGroup]) -> int:
    """Raw bytes of the QUAN chunk of such a file."""
    n_channels = sum(group.n_channels for group in groups)
    return steps_bytes(lod_count, groups) + RECORD_WIDTHS.size + FIELD_WIDTH.size * (2 + n_channels)


def unpack_quan(data: bytes, lod_count: int, groups: Sequence[ChannelGroup], grid: Grid, name: str) -> RecordCodec:
    """Lattice of a raw QUAN chunk.

    Raises:
        CorruptField: a value is outside its range, or the chunk has another length.
    """
    where = f"{name}: chunk QUAN"
    if len(data) != quan_bytes(lod_count, groups):
        raise CorruptField(f"{where} has {len(data)} bytes, must be {quan_bytes(lod_count, groups)}")
    lattice = unpack_steps(data, lod_count, groups, name)
    if lattice.position_offset or lattice.feature_slope or any(lattice.cell_log2):
        raise CorruptField(f"{where} has a position_offset, feature_slope or cell_log2 other than 0, in profile packed")
    at = steps_bytes(lod_count, groups)
    values = RECORD_WIDTHS.unpack(data, at)
    RECORD_WIDTHS.check(values, where)
    fields = [FIELD_WIDTH.unpack(data, at) for at in range(at + RECORD_WIDTHS.size, len(data), FIELD_WIDTH.size)]
    for field in fields:
        FIELD_WIDTH.check(field, where)
    lows, bits = (tuple(field[name] for field in fields) for name in ("low", "bits"))
    return RecordCodec(replace(lattice, records=RecordLayout(values["place_bits"], lows, bits)), grid)


def record_bytes_range(n_channels: int) -> tuple[int, int]:
    """Fewest and most bytes of a record: a bit for each value and the turns, or all that any value can use."""
    return -(-(14 + n_channels) // 8), (55 + 12 * n_channels) // 8


class PackedPageDecoder(PageDecoder):
    """`PageDecoder` of profile `packed`; `threads` 0 is one per processor."""

    def __init__(self, codec: RecordCodec, grid: Grid, counts: tuple[int, ...], name: str, threads: int = 0) -> None:
        self.codec, self._grid, self._counts, self._name = codec, grid, counts, name
        self._threads = threads

    @property
    def record_bytes(self) -> int:
        """See `PageDecoder.record_bytes`."""
        return self.codec.layout.stride

    @property
    def record_layout(self) -> RecordLayout:
        """See `PageDecoder.record_layout`."""
        return self.codec.layout

    def page_bytes(self, page_size: int) -> Int64Array:
        """See `PageDecoder.page_bytes`."""
        return self.codec.page_bytes(np.diff(page_starts(self._counts, page_size)))

    def decode(self, data: Bytes, pages: PageRefs) -> GaussianSet:
        """See `PageDecoder.decode`."""
        gaussians, bad = self.codec.decode(data, pages.sizes, self._threads)
        if gaussians is None:
            page = f"{self._name}: page {int(pages.numbers[bad])}"
            raise CorruptField(f"{page} has a box outside the picture, or bits that mean nothing")
        return checked_gaussians(gaussians, pages, self._grid, self._name)


class PackedProfile(FixedSizeProfile):
    """Quantised fixed-size records, which a shader reads in place."""

    layout = profile_table.PACKED

    def stores(self, lattice: Lattice | None) -> bool:
        """See `Profile.stores`."""
        return lattice is not None and lattice.records is not None

    def encode_pages(self, source: PageSource) -> EncodedPages:
        """See `PagedProfile.encode_pages`. Gaussians that come with the heads of their pages keep their order."""
        grid, gaussians, lattice, sizes = source.grid, source.gaussians, source.lattice, np.diff(source.starts)
        assert lattice is not None
        if lattice.pages is None:
            gaussians = gaussians[page_order(gaussians, grid, source.counts, source.page_size)]
            lattice = replace(lattice, pages=page_heads(gaussians, lattice, source.starts, grid))
        assert lattice.pages is not None
        if not np.array_equal(lattice.pages.sizes, sizes):
            raise InvalidArgument(f"{source.where}: the page heads are those of other pages")
        generations = generations_of(source.counts)
        codes = quantize(gaussians, lattice, grid, generations)
        codec = RecordCodec(replace(lattice, pages=None), grid)
        data = codec.encode(codes, lattice.pages)
        quan = StoredChunk.plain(QUAN, pack_quan(codec, source.groups))
        return EncodedPages(dequantize(codes, lattice, generations), data, codec.page_bytes(sizes), quan)

    def quan_bytes(self, lod_count: int, groups: Sequence[ChannelGroup]) -> tuple[int, int]:
        """See `PagedProfile.quan_bytes`."""
        size = quan_bytes(lod_count, groups)
        return size, size

    def decoder(
        self,
        quan: bytes,
        groups: Sequence[ChannelGroup],
        grid: Grid,
        counts: tuple[int, ...],
        name: str,
        threads: int,
    ) -> PackedPageDecoder:
        """See `PagedProfile.decoder`."""
        return PackedPageDecoder(unpack_quan(quan, len(counts), groups, grid, name), grid, counts, name, threads)

    def chunk_sizes(
        self, counts: Sequence[int], n_pages: int, groups: Sequence[ChannelGroup], record_bytes: int | None
    ) -> dict[bytes, int]:
        """See `FixedSizeProfile.chunk_sizes`."""
        assert record_bytes is not None
        heads = n_pages * head_bytes(sum(group.n_channels for group in groups))
        return {QUAN: quan_bytes(len(counts), groups), GAUS: heads + counts[-1] * record_bytes}
