"""Writing an `.igs` file: the same contents always give the same bytes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.container.small import pack_small, small_size
from gscodec.errors import InvalidArgument
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.crc32c import crc32c_runs
from gscodec.format.files import FileEntry, pack_files
from gscodec.format.groups import check_groups
from gscodec.format.layout import (
    CHAN,
    EXIF,
    FILE,
    GAUS,
    HEADER,
    ICCP,
    LOD_ROW,
    LODS,
    META,
    PAGI,
    PAGT,
    PROFILE_CODED,
    PROFILE_F16,
    PROFILE_PACKED,
    QUAN,
    SIGNATURE,
    TAGS,
    TOC_ENTRY,
    VERSION,
    XMP,
    record_size,
    required_chunks,
)
from gscodec.format.limits import (
    MAX_ICC_BYTES,
    count_pages,
    generation_sizes,
    generations_of,
    lods_bytes,
    page_lengths,
    pagi_bytes,
)
from gscodec.format.meta import pack_meta
from gscodec.format.metadata import Metadata, check_metadata, pack_tags
from gscodec.format.page_tree import TREE_FROM_BYTES, make_tree, tree_bytes
from gscodec.format.pages import page_boxes, page_starts
from gscodec.format.tables import check_density, pack_channels, pack_lods, pack_pages
from gscodec.model.channels import ChannelGroup, round_f32
from gscodec.model.constants import DEFAULT_PAGE_SIZE
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.json_value import Json
from gscodec.profiles import coded, packed
from gscodec.profiles.coded import PageCodec, cell_bits, fit_tables, gaps_of, quantize_in_order
from gscodec.profiles.f16 import Records, dequantize_records, quantize_records
from gscodec.profiles.lattice import Lattice, dequantize
from gscodec.profiles.lattice import quantize as quantize_codes
from gscodec.profiles.morton import record_codes
from gscodec.profiles.page_heads import page_heads, page_order
from gscodec.profiles.paging import file_order

_WHERE = "cannot pack"


def pack(contents: Contents) -> bytes:
    """The `.igs` file of some contents, Gaussians in compact pages.

    Quantised on the contents' lattice to profile `coded` or `packed`, or to `f16` where there is none.

    Raises:
        InvalidArgument: the contents have a value that no file may hold.
    """
    contents = _rounded(contents)
    if contents.lattice is not None and contents.lattice.small is not None:
        return pack_small(contents, _described(contents))[0]
    grid, lods = contents.grid, contents.lods
    starts = page_starts(lods.counts, contents.page_size)
    quan = []
    if contents.lattice is None:
        records = _sorted_records(contents)
        stored = dequantize_records(records, grid.height, grid.width)
        data = records.astype("<u2").tobytes()
        lengths = page_lengths(lods.counts, contents.page_size) * record_size(stored.n_channels)
    elif contents.lattice.records is None:
        stored, codec, data, lengths = _coded_pages(contents, contents.lattice, starts)
        check_density(np.diff(starts), lengths, "page", _WHERE, InvalidArgument)
        quan = [StoredChunk.deflated(QUAN, coded.pack_quan(codec, contents.groups))]
    else:
        stored, records_codec, data, lengths = _packed_pages(contents, contents.lattice, starts)
        quan = [StoredChunk.plain(QUAN, packed.pack_quan(records_codec, contents.groups))]
    crcs = crc32c_runs(np.frombuffer(data, np.uint8), lengths)
    tree, index = _index_chunks(contents, page_boxes(stored, lods, grid, starts), crcs, lengths)
    chunks = [
        StoredChunk.plain(CHAN, pack_channels(contents.groups, grid.background)),
        StoredChunk.plain(LODS, pack_lods(lods)),
        *(tree or index),
        *quan,
    ]
    described = _described(contents)
    for fourcc in (FILE, ICCP, TAGS):
        chunks += _optional(fourcc, described[fourcc])
    if tree:  # the first bytes of the file then hold all but the index itself
        chunks += index
    chunks.append(StoredChunk.plain(GAUS, data))
    for fourcc in (EXIF, XMP, META):
        chunks += _optional(fourcc, described[fourcc])
    return _assemble(contents, chunks)


def _described(contents: Contents) -> dict[bytes, bytes | None]:
    """Raw bytes of FILE, ICCP, TAGS, EXIF, XMP_ and META."""
    files = pack_files(contents.files, _WHERE, InvalidArgument) if contents.files else None
    meta = _meta_bytes(contents.meta)
    return {FILE: files, ICCP: contents.icc, **_metadata_raw(contents.metadata), META: meta}


def _index_chunks(
    contents: Contents,
    boxes: npt.NDArray[np.int64],
    crcs: npt.NDArray[np.uint32],
    lengths: npt.NDArray[np.int64],
) -> tuple[list[StoredChunk], list[StoredChunk]]:
    """PAGT, where the page index is long, and PAGI."""
    sized = lengths if _profile(contents) == PROFILE_CODED else None
    pagi = pack_pages(boxes, crcs, sized)
    if len(pagi) >= TREE_FROM_BYTES:
        tree = make_tree(pagi, boxes, sized, contents.lods.counts, contents.page_size)
        return [StoredChunk.plain(PAGT, tree)], [StoredChunk.plain(PAGI, pagi)]
    return [], [StoredChunk.plain(PAGI, pagi) if sized is None else StoredChunk.deflated(PAGI, pagi)]


def _coded_pages(
    contents: Contents, lattice: Lattice, starts: npt.NDArray[np.int64]
) -> tuple[GaussianSet, PageCodec, bytes, npt.NDArray[np.int64]]:
    """What a reader gets back, what the pages are coded with, their bytes, and the length of each."""
    grid, counts = contents.grid, contents.lods.counts
    codes = quantize_in_order(contents.gaussians, lattice, grid, counts, contents.page_size)
    bits = tuple(cell_bits(grid, cell) for cell in lattice.cell_log2)
    codec = PageCodec(lattice, fit_tables(codes, gaps_of(codes.cells, starts)), bits)
    of_pages = np.searchsorted(np.asarray(counts), starts[:-1], side="right")
    data, lengths = codec.encode(codes, np.diff(starts), of_pages)
    return dequantize(codes, lattice, generations_of(counts)), codec, data, lengths


def _packed_pages(
    contents: Contents, lattice: Lattice, starts: npt.NDArray[np.int64]
) -> tuple[GaussianSet, packed.RecordCodec, bytes, npt.NDArray[np.int64]]:
    """As `_coded_pages`. Gaussians that come with the heads of their pages keep their order."""
    grid, gaussians, generations = contents.grid, contents.gaussians, generations_of(contents.lods.counts)
    if lattice.pages is None:
        gaussians = gaussians[page_order(gaussians, grid, contents.lods.counts, contents.page_size)]
        lattice = replace(lattice, pages=page_heads(gaussians, lattice, starts, grid))
    assert lattice.pages is not None
    if not np.array_equal(lattice.pages.sizes, np.diff(starts)):
        raise InvalidArgument(f"{_WHERE}: the page heads are those of other pages")
    codes = quantize_codes(gaussians, lattice, grid, generations)
    codec = packed.RecordCodec(replace(lattice, pages=None), grid)
    data = codec.encode(codes, lattice.pages)
    return dequantize(codes, lattice, generations), codec, data, codec.page_bytes(np.diff(starts))


def _profile(contents: Contents) -> int:
    if contents.lattice is None:
        return PROFILE_F16
    return PROFILE_CODED if contents.lattice.records is None else PROFILE_PACKED


def _assemble(contents: Contents, chunks: Sequence[StoredChunk]) -> bytes:
    grid = contents.grid
    values = {
        "signature": SIGNATURE,
        "version_major": VERSION[0],
        "version_minor": _minor_version(contents, chunks),
        "profile": _profile(contents),
        "lod_count": len(contents.lods),
        "width": grid.width,
        "height": grid.height,
        "n_gaussians": len(contents.gaussians),
        "n_channels": contents.gaussians.n_channels,
        "top_k": grid.top_k,
        "support_q": grid.support_q,
        "page_size": contents.page_size,
        "reserved_0": 0,
        "reserved_1": 0,
    }
    return assemble(values, chunks)


def _minor_version(contents: Contents, chunks: Sequence[StoredChunk]) -> int:
    """The first version that has all that the file has."""
    if _profile(contents) == PROFILE_PACKED or any(chunk.fourcc in {TAGS, EXIF, XMP} for chunk in chunks):
        return 3
    if any(chunk.fourcc == PAGT for chunk in chunks):
        return 2
    return 0 if contents.lattice is None and not contents.files else 1


def packed_size(contents: Contents) -> int:
    """Bytes of `pack(contents)`; in profile `small` also where they are more than such a file may have.

    Raises:
        InvalidArgument: as `pack`.
    """
    if contents.lattice is not None and contents.lattice.small is not None:
        return small_size(_rounded(contents), _described(contents))
    return len(pack(contents))


def quantize(contents: Contents) -> Contents:
    """What a reader gets back from `pack(contents)`, without the bytes.

    Raises:
        InvalidArgument: as `pack`.
    """
    contents = _rounded(contents)
    if contents.lattice is not None and contents.lattice.small is not None:
        return replace(contents, gaussians=pack_small(contents, {})[1])
    if contents.lattice is not None:
        starts = page_starts(contents.lods.counts, contents.page_size)
        pages = _coded_pages if contents.lattice.records is None else _packed_pages
        return replace(contents, gaussians=pages(contents, contents.lattice, starts)[0])
    records = _sorted_records(contents)
    return replace(contents, gaussians=dequantize_records(records, contents.grid.height, contents.grid.width))


def file_size(
    grid: Grid,
    groups: Sequence[ChannelGroup],
    counts: Sequence[int],
    icc: bytes | None,
    meta: dict[str, Json] | None,
    page_size: int = DEFAULT_PAGE_SIZE,
    files: Sequence[FileEntry] = (),
    record_bytes: int | None = None,
    metadata: Metadata | None = None,
) -> int:
    """Bytes of `pack` for a picture whose cumulative LOD counts would be `counts`; exact.

    In profile `f16`, or in `packed` where `record_bytes` says how long a record is.

    Raises:
        InvalidArgument: as `pack`, as far as these arguments tell.
    """
    _check_grid(grid, groups, page_size)
    _check_counts(counts, page_size)
    n_channels = sum(group.n_channels for group in groups)
    listed = pack_files(files, _WHERE, InvalidArgument) if files else None
    optional = [*_optional(FILE, listed), *_optional(ICCP, icc), *_optional(META, _meta_bytes(meta))]
    optional += _metadata_chunks(metadata)
    n_pages = count_pages(counts, page_size, _WHERE, InvalidArgument)
    profile, of_profile = PROFILE_F16, counts[-1] * record_size(n_channels)
    if record_bytes is not None:
        profile, of_profile = PROFILE_PACKED, counts[-1] * record_bytes
        of_profile += packed.quan_bytes(len(counts), groups) + n_pages * packed.head_bytes(n_channels)
    tree = tree_bytes(counts, page_size, n_pages, profile)
    return (
        HEADER.size
        + TOC_ENTRY.size * (len(required_chunks(profile)) + len(optional) + bool(tree))
        + len(pack_channels(groups, grid.background))
        + lods_bytes(len(counts))
        + tree
        + pagi_bytes(n_pages, profile)
        + of_profile
        + sum(len(chunk.stored) for chunk in optional)
    )


def metadata_bytes(metadata: Metadata | None) -> int:
    """What a file with this metadata has more bytes than one without, its table of contents included.

    Raises:
        InvalidArgument: as `pack`.
    """
    return sum(TOC_ENTRY.size + len(chunk.stored) for chunk in _metadata_chunks(metadata))


def icc_bytes(icc: bytes | None) -> int:
    """What a file with this ICC profile has more bytes than one without, as `metadata_bytes`."""
    return sum(TOC_ENTRY.size + len(chunk.stored) for chunk in _optional(ICCP, icc))


def _metadata_chunks(metadata: Metadata | None) -> list[StoredChunk]:
    return [chunk for fourcc, raw in _metadata_raw(metadata).items() for chunk in _optional(fourcc, raw)]


def _metadata_raw(metadata: Metadata | None) -> dict[bytes, bytes | None]:
    """Raw bytes of TAGS, EXIF and XMP_."""
    if metadata is None:
        return dict.fromkeys((TAGS, EXIF, XMP))
    check_metadata(metadata, _WHERE, InvalidArgument)
    tags = pack_tags(metadata, _WHERE, InvalidArgument)
    return {TAGS: tags, EXIF: metadata.exif, XMP: metadata.xmp}


def _meta_bytes(meta: dict[str, Json] | None) -> bytes | None:
    return None if meta is None else pack_meta(meta, _WHERE, InvalidArgument)


def _optional(fourcc: bytes, raw: bytes | None) -> list[StoredChunk]:
    if not raw:  # an empty profile says nothing
        return []
    if fourcc == ICCP and len(raw) > MAX_ICC_BYTES:
        raise InvalidArgument(f"{_WHERE}: the ICC profile takes {len(raw)} bytes, the limit is {MAX_ICC_BYTES}")
    return [StoredChunk.deflated(fourcc, raw)]


def _sorted_records(contents: Contents) -> Records:
    grid = contents.grid
    records = quantize_records(contents.gaussians, grid.height, grid.width)
    codes = record_codes(records, grid.height, grid.width)
    return records[file_order(codes, contents.lods.counts, contents.page_size)]


def _rounded(contents: Contents) -> Contents:
    """Checked contents with every f32 rounded as the file will hold it."""
    grid, lods = contents.grid, contents.lods
    _check_grid(grid, contents.groups, contents.page_size)
    _check_counts(lods.counts, contents.page_size)
    _check_gaussians(contents.gaussians, lods, sum(group.n_channels for group in contents.groups))
    for row in lods.gains:
        for gain in row:
            LOD_ROW.check({"gain": gain}, _WHERE, InvalidArgument)
    groups = tuple(
        replace(group, value_min=round_f32(group.value_min), value_max=round_f32(group.value_max))
        for group in contents.groups
    )
    check_groups(groups, contents.gaussians.n_channels, _WHERE, InvalidArgument)
    return replace(
        contents,
        grid=replace(grid, background=np.asarray(grid.background, np.float32), support_q=round_f32(grid.support_q)),
        groups=groups,
        lods=LodTable(lods.counts, tuple(tuple(round_f32(gain) for gain in row) for row in lods.gains)),
        icc=contents.icc or None,
    )


def _check_grid(grid: Grid, groups: Sequence[ChannelGroup], page_size: int) -> None:
    values = {
        "width": grid.width,
        "height": grid.height,
        "top_k": grid.top_k,
        "support_q": grid.support_q,
        "page_size": page_size,
    }
    HEADER.check(values, _WHERE, InvalidArgument)
    n_channels = sum(group.n_channels for group in groups)
    check_groups(groups, n_channels, _WHERE, InvalidArgument)
    HEADER.check({"n_channels": n_channels}, _WHERE, InvalidArgument)
    if np.shape(grid.background) != (n_channels,) or not np.isfinite(grid.background).all():
        raise InvalidArgument(f"{_WHERE}: the background must have {n_channels} finite values")


def _check_counts(counts: Sequence[int], page_size: int) -> None:
    HEADER.check({"lod_count": len(counts)}, _WHERE, InvalidArgument)
    HEADER.check({"n_gaussians": counts[-1]}, _WHERE, InvalidArgument)
    if any(size < 0 for size in generation_sizes(counts)):
        raise InvalidArgument(f"{_WHERE}: LOD counts {tuple(counts)} fall")
    count_pages(counts, page_size, _WHERE, InvalidArgument)


def _check_gaussians(gaussians: GaussianSet, lods: LodTable, n_channels: int) -> None:
    if gaussians.n_channels != n_channels:
        raise InvalidArgument(
            f"{_WHERE}: Gaussians have {gaussians.n_channels} features, the groups have {n_channels} channels"
        )
    if len(gaussians) != lods.counts[-1]:
        raise InvalidArgument(f"{_WHERE}: {len(gaussians)} Gaussians, the LOD table ends at {lods.counts[-1]}")
    for field in ("means", "inv_scales", "rotations", "features"):
        if not np.isfinite(getattr(gaussians, field)).all():
            raise InvalidArgument(f"{_WHERE}: {field} of the Gaussians are not all finite")
