"""Profile `coded`: quantised Gaussians <-> range-coded pages and the QUAN chunk that explains them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec import _engine
from gscodec.errors import CorruptField, InvalidArgument, LimitExceeded
from gscodec.format import profile_table
from gscodec.format.chunks import StoredChunk
from gscodec.format.layout import QUAN
from gscodec.format.limits import generations_of
from gscodec.format.pages import PageRefs
from gscodec.format.tables import check_density
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid
from gscodec.profiles.base import EncodedPages, Int64Array, PageDecoder, PagedProfile, PageSource
from gscodec.profiles.entropy import GAP_SPLIT, VALUE_SPLIT, TokenTable, coded_bits, fit_table
from gscodec.profiles.lattice import (
    MAX_CELLS_LOG2,
    Codes,
    Lattice,
    cell_places,
    cell_sizes,
    dequantize,
    feature_steps_of,
    feature_values,
    quantize,
)
from gscodec.profiles.paging import file_order
from gscodec.profiles.quantiser import pack_steps, steps_bytes, unpack_steps
from gscodec.profiles.ranges import checked_gaussians
from gscodec.profiles.token_tables import MAX_TABLE_BYTES, pack_tables, unpack_tables

_N_SHAPE_STREAMS: Final = 3  # gaps between cells, narrow scales, elongations; the features follow


@dataclass(frozen=True)
class PageCodec:
    """Parameters for coding the pages of one file."""

    lattice: Lattice
    tables: tuple[TokenTable, ...]  # gaps, narrow, elongation, one per feature
    grid_cells: tuple[int, ...]  # per generation, bits of a cell's number

    @cached_property
    def _engine_lattice(self) -> "_engine.CodedLattice":
        counts = [table.counts for table in self.tables]
        return _engine.CodedLattice(
            self.lattice.scale_step,
            self.lattice.position_offset,
            np.array(self.lattice.rotation_from, np.uint8),
            np.concatenate(counts),
            np.cumsum([len(part) for part in counts]).astype(np.int32),
            np.array([table.low for table in self.tables], np.int32),
        )

    def _shapes(self, sizes: Int64Array, generations: Int64Array) -> Int64Array:
        cells = np.asarray(self.lattice.cell_log2, np.int64)[generations]
        return np.stack([sizes, cells, np.asarray(self.grid_cells, np.int64)[generations]], axis=1)

    def encode(self, codes: Codes, sizes: Int64Array, generations: Int64Array) -> tuple[bytes, Int64Array]:
        """Bytes of pages, and the length of each.

        Args:
            codes: in file order, by cell within each page.
            sizes, generations: (P,) of the pages.
        """
        rows = np.column_stack(
            [codes.cells, codes.offsets, codes.narrow, codes.elongation, codes.rotations, codes.features]
        )
        data, ends = _engine.encode_pages(
            self._engine_lattice, np.ascontiguousarray(rows, np.int32), self._shapes(sizes, generations)
        )
        return data.tobytes(), np.diff(ends, prepend=0)

    def decode(
        self,
        data: npt.NDArray[np.uint8],
        lengths: Int64Array,
        sizes: Int64Array,
        generations: Int64Array,
        threads: int = 0,
    ) -> tuple[Codes, int]:
        """Integers of pages that follow each other in data, and the number of the first bad page, or -1.

        Args:
            lengths, sizes, generations: (P,) bytes, Gaussians and generation of each page.
            threads: CPU threads; 0 is one per processor.
        """
        rows, bad = self._rows(data, lengths, self._shapes(sizes, generations), threads)
        wide = rows.astype(np.int64)
        return Codes(wide[:, 0], wide[:, 1:3], wide[:, 3], wide[:, 4], wide[:, 5], wide[:, 6:]), bad

    def decode_gaussians(
        self,
        data: npt.NDArray[np.uint8],
        lengths: Int64Array,
        sizes: Int64Array,
        generations: Int64Array,
        threads: int = 0,
    ) -> tuple[GaussianSet | None, int]:
        """`decode` and `dequantize` in one, to the bit; None for the Gaussians where a page is bad."""
        page_shapes = self._shapes(sizes, generations)
        rows, bad = self._rows(data, lengths, page_shapes, threads)
        if bad >= 0:
            return None, bad
        means, inv_scales, rotations = _engine.place_pages(self._engine_lattice, rows, page_shapes, threads)
        return GaussianSet(means, inv_scales, rotations, self._features(rows)), bad

    def _features(self, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        narrow, elongation = rows[:, 3:5].astype(np.int64).T
        return feature_values(rows[:, 6:], feature_steps_of(self.lattice, narrow, elongation), self.lattice.transform)

    def _rows(
        self, data: npt.NDArray[np.uint8], lengths: Int64Array, page_shapes: Int64Array, threads: int
    ) -> tuple[npt.NDArray[np.int32], int]:
        return _engine.decode_pages(self._engine_lattice, data, np.cumsum(lengths), page_shapes, threads)


def cell_bits(grid: Grid, cell_log2: int) -> int:
    """Bits that the number of a cell of such a grid takes."""
    return 2 * ((max(grid.width, grid.height) - 1) >> cell_log2).bit_length()


def fit_tables(codes: Codes, gaps: Int64Array) -> tuple[TokenTable, ...]:
    """Tables for some integers in file order; gaps as `gaps_of`."""
    columns = [codes.narrow, codes.elongation, *codes.features.T]
    return (fit_table(gaps, GAP_SPLIT), *(fit_table(column, VALUE_SPLIT) for column in columns))


def gaps_of(cells: Int64Array, starts: Int64Array) -> Int64Array:
    """Steps from each cell to the next one in file order, within pages that begin at `starts` (P + 1,)."""
    inside = np.ones(len(cells), np.bool_)
    inside[starts[:-1]] = False
    return np.diff(cells, prepend=0)[inside]


def payload_bits(codes: Codes, lattice: Lattice, generations: Int64Array, starts: Int64Array) -> float:
    """Bits of the pages and token tables of some integers in file order, to within a byte or two a page.

    Args:
        generations: (n,) of the Gaussians. starts: (P + 1,) of the pages.
    """
    gaps = gaps_of(codes.cells, starts)
    tables = fit_tables(codes, gaps)
    places = cell_places(lattice, codes.narrow, codes.elongation, codes.rotations, generations)
    total = float(places.rotation_bits.sum() + places.bits.sum()) + coded_bits(gaps, tables[0], GAP_SPLIT)
    columns = [codes.narrow, codes.elongation, *codes.features.T]
    total += sum(coded_bits(column, table, VALUE_SPLIT) for column, table in zip(columns, tables[1:], strict=True))
    return total + 60 * (len(starts) - 1) + sum(table.bits for table in tables)


def quantize_in_order(
    gaussians: GaussianSet, lattice: Lattice, grid: Grid, counts: Sequence[int], page_size: int
) -> Codes:
    """`quantize`, page by page, and by cell within each; counts are those up to the end of each generation."""
    codes = quantize(gaussians, lattice, grid, generations_of(counts))
    return codes[file_order(codes.cells, counts, page_size, codes.elongation - codes.narrow)]


def pack_quan(codec: PageCodec, groups: Sequence[ChannelGroup]) -> bytes:
    """The raw QUAN chunk."""
    return pack_steps(codec.lattice, groups) + pack_tables(codec.tables)


def max_quan_bytes(lod_count: int, groups: Sequence[ChannelGroup]) -> int:
    """Most raw bytes a QUAN chunk of such a file can have."""
    n_channels = sum(group.n_channels for group in groups)
    return steps_bytes(lod_count, groups) + (_N_SHAPE_STREAMS + n_channels) * MAX_TABLE_BYTES


def unpack_quan(data: bytes, lod_count: int, groups: Sequence[ChannelGroup], grid: Grid, name: str) -> PageCodec:
    """Lattice and token tables of a raw QUAN chunk.

    Raises:
        CorruptField: a value is outside its range, or the chunk has another length.
        LimitExceeded: cells too small for the picture.
    """
    where = f"{name}: chunk QUAN"
    lattice = unpack_steps(data, lod_count, groups, name)
    bits = tuple(cell_bits(grid, cell) for cell in lattice.cell_log2)
    if max(bits) > 2 * MAX_CELLS_LOG2:
        raise LimitExceeded(f"{where} has cells of 2^{min(lattice.cell_log2)} px, too small for the picture")
    n_tables = _N_SHAPE_STREAMS + len(lattice.feature_steps)
    return PageCodec(lattice, unpack_tables(data[steps_bytes(lod_count, groups) :], n_tables, where), bits)


class CodedPageDecoder(PageDecoder):
    """`PageDecoder` of profile `coded`; `threads` 0 is one per processor."""

    def __init__(self, codec: PageCodec, grid: Grid, counts: tuple[int, ...], name: str, threads: int = 0) -> None:
        self.codec, self._grid, self._counts, self._name = codec, grid, np.asarray(counts), name
        self._threads = threads

    @property
    def record_bytes(self) -> None:
        """See `PageDecoder.record_bytes`."""

    def page_bytes(self, page_size: int) -> None:
        """See `PageDecoder.page_bytes`."""

    def decode(self, data: npt.NDArray[np.uint8], pages: PageRefs) -> GaussianSet:
        """See `PageDecoder.decode`."""
        sizes = pages.sizes
        generations = np.searchsorted(self._counts, pages.starts, side="right")
        gaussians, bad = self.codec.decode_gaussians(data, pages.lengths, sizes, generations, self._threads)
        if gaussians is None:
            raise CorruptField(
                f"{self._name}: page {int(pages.numbers[bad])} is not a coded page of {sizes[bad]} Gaussians"
            )
        return checked_gaussians(gaussians, pages, self._grid, self._name)


class CodedProfile(PagedProfile):
    """Quantised, entropy-coded records: the smallest files for their quality."""

    layout = profile_table.CODED

    def stores(self, lattice: Lattice | None) -> bool:
        """See `Profile.stores`."""
        return lattice is not None and lattice.records is None and lattice.small is None

    def size_fault(self, height: int, width: int) -> str:
        """See `Profile.size_fault`: of a very long stripe, no cell is small enough for one side and the other."""
        smallest, largest = cell_sizes(height, width)
        if smallest <= largest:
            return ""
        return f"{width}x{height} px is too narrow for its length in profile coded: use f16"

    def encode_pages(self, source: PageSource) -> EncodedPages:
        """See `PagedProfile.encode_pages`."""
        grid, counts, lattice = source.grid, source.counts, source.lattice
        assert lattice is not None
        sizes = np.diff(source.starts)
        codes = quantize_in_order(source.gaussians, lattice, grid, counts, source.page_size)
        bits = tuple(cell_bits(grid, cell) for cell in lattice.cell_log2)
        codec = PageCodec(lattice, fit_tables(codes, gaps_of(codes.cells, source.starts)), bits)
        generations = np.searchsorted(np.asarray(counts), source.starts[:-1], side="right")
        data, lengths = codec.encode(codes, sizes, generations)
        check_density(sizes, lengths, "page", source.where, InvalidArgument)
        quan = StoredChunk.deflated(QUAN, pack_quan(codec, source.groups))
        return EncodedPages(dequantize(codes, lattice, generations_of(counts)), data, lengths, quan)

    def quan_bytes(self, lod_count: int, groups: Sequence[ChannelGroup]) -> tuple[int, int]:
        """See `PagedProfile.quan_bytes`."""
        return 0, max_quan_bytes(lod_count, groups)

    def decoder(
        self,
        quan: bytes,
        groups: Sequence[ChannelGroup],
        grid: Grid,
        counts: tuple[int, ...],
        name: str,
        threads: int,
    ) -> CodedPageDecoder:
        """See `PagedProfile.decoder`."""
        return CodedPageDecoder(unpack_quan(quan, len(counts), groups, grid, name), grid, counts, name, threads)
