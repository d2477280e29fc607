"""Writer of `.igs` files; the same contents always give the same bytes."""

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
from gscodec.format.grain import pack_grain
from gscodec.format.groups import check_groups
from gscodec.format.layout import (
    CHAN,
    EXIF,
    FILE,
    GAUS,
    GRAN,
    HEADER,
    ICCP,
    LOD_ROW,
    LODS,
    META,
    PAGI,
    PAGT,
    SET_CHUNKS,
    SIGNATURE,
    TAGS,
    VERSION,
    XMP,
)
from gscodec.format.limits import (
    MAX_ICC_BYTES,
    count_pages,
    generation_sizes,
    lods_bytes,
    pagi_bytes,
)
from gscodec.format.meta import pack_meta
from gscodec.format.metadata import Metadata, check_metadata, pack_tags
from gscodec.format.page_tree import TREE_FROM_BYTES, make_tree, tree_bytes
from gscodec.format.pages import page_boxes
from gscodec.format.profile_table import ProfileLayout
from gscodec.format.tables import lods_chunks, pack_channels, pack_pages
from gscodec.format.toc import entry_bytes
from gscodec.model.channels import ChannelGroup, count_channels, round_f32
from gscodec.model.constants import DEFAULT_PAGE_SIZE
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.grain import Grain
from gscodec.model.json_value import Json
from gscodec.profiles.base import FixedSizeProfile, PagedProfile, PageSource
from gscodec.profiles.registry import F16, profile_of

_WHERE = "cannot pack"


def pack(contents: Contents) -> bytes:
    """The bytes of an `.igs` file, with the Gaussians sorted into spatially compact pages.

    Quantised on the contents' lattice to profile `coded`, `packed` or `small`, or to `f16` without a lattice.

    Raises:
        InvalidArgument: the contents have a value that the format cannot hold.
    """
    contents = _rounded(contents)
    profile = profile_of(contents.lattice)
    if not isinstance(profile, PagedProfile):
        return pack_small(contents, _described(contents))[0]
    source = _page_source(contents)
    pages = profile.encode_pages(source)
    crcs = crc32c_runs(np.frombuffer(pages.data, np.uint8), pages.lengths)
    boxes = page_boxes(pages.gaussians, contents.lods, contents.grid, source.starts)
    counts, page_size = contents.lods.counts, contents.page_size
    index = index_chunks(counts, page_size, profile.layout, boxes, crcs, pages.lengths)
    described = _described(contents)
    chunks = [StoredChunk.plain(CHAN, pack_channels(contents.groups, contents.grid.background))]
    for fourcc in (FILE, ICCP, TAGS):
        chunks += _optional(fourcc, described[fourcc])
    if contents.grain:
        chunks.append(_grain_chunk(contents.grain, contents.groups))
    tables = [*lods_chunks(contents.lods), *([] if pages.quan is None else [pages.quan]), *index]
    chunks += sorted(tables, key=lambda chunk: SET_CHUNKS.index(chunk.fourcc))
    chunks.append(StoredChunk.plain(GAUS, pages.data))
    for fourcc in (EXIF, XMP, META):
        chunks += _optional(fourcc, described[fourcc])
    return _assemble(contents, profile.layout, chunks)


def _described(contents: Contents) -> dict[bytes, bytes | None]:
    """Raw bytes of FILE, ICCP, TAGS, EXIF, XMP_ and META."""
    files = pack_files(contents.files, _WHERE, InvalidArgument) if contents.files else None
    meta = _meta_bytes(contents.meta)
    return {FILE: files, ICCP: contents.icc, **_metadata_raw(contents.metadata), META: meta}


def _page_source(contents: Contents) -> PageSource:
    return PageSource(
        contents.gaussians,
        contents.lattice,
        contents.grid,
        contents.groups,
        contents.lods.counts,
        contents.page_size,
        _WHERE,
    )


def index_chunks(
    counts: Sequence[int],
    page_size: int,
    layout: ProfileLayout,
    boxes: npt.NDArray[np.int64],
    crcs: npt.NDArray[np.uint32],
    lengths: npt.NDArray[np.int64],
) -> list[StoredChunk]:
    """PAGT, where the page index is long, and PAGI."""
    sized = lengths if layout.has_page_lengths else None
    pagi = pack_pages(boxes, crcs, sized)
    if len(pagi) >= TREE_FROM_BYTES:
        tree = make_tree(pagi, boxes, sized, counts, page_size)
        return [StoredChunk.plain(PAGT, tree), StoredChunk.plain(PAGI, pagi)]
    return [StoredChunk.plain(PAGI, pagi) if sized is None else StoredChunk.deflated(PAGI, pagi)]


def _assemble(contents: Contents, layout: ProfileLayout, chunks: Sequence[StoredChunk]) -> bytes:
    grid = contents.grid
    values = {
        "signature": SIGNATURE,
        "version_major": VERSION[0],
        "version_minor": VERSION[1],
        "profile": layout.code,
        "lod_count": len(contents.lods),
        "width": grid.width,
        "height": grid.height,
        "n_gaussians": len(contents.gaussians),
        "n_channels": contents.gaussians.n_channels,
        "top_k": grid.top_k,
        "support_q": grid.support_q,
        "page_size": contents.page_size,
    }
    return assemble(values, chunks)


def packed_size(contents: Contents) -> int:
    """Length in bytes of `pack(contents)`; in profile `small` even if it is above the limit of the profile.

    Raises:
        InvalidArgument: as `pack`.
    """
    if not isinstance(profile_of(contents.lattice), PagedProfile):
        return small_size(_rounded(contents), _described(contents))
    return len(pack(contents))


def quantize(contents: Contents) -> Contents:
    """The contents that a reader of `pack(contents)` decodes, without packing.

    Raises:
        InvalidArgument: as `pack`.
    """
    contents = _rounded(contents)
    profile = profile_of(contents.lattice)
    if not isinstance(profile, PagedProfile):
        return replace(contents, gaussians=pack_small(contents, {})[1])
    return replace(contents, gaussians=profile.encode_pages(_page_source(contents)).gaussians)


def file_size(
    grid: Grid,
    groups: Sequence[ChannelGroup],
    counts: Sequence[int],
    icc: bytes | None,
    meta: dict[str, Json] | None,
    page_size: int = DEFAULT_PAGE_SIZE,
    files: Sequence[FileEntry] = (),
    *,
    profile: FixedSizeProfile = F16,
    record_bytes: int | None = None,
    metadata: Metadata | None = None,
    grain: Sequence[Grain] = (),
) -> int:
    """Exact length in bytes of `pack` for a picture with cumulative LOD counts `counts`; one level has a gain of 1.

    Args:
        record_bytes: of a record of profile `packed`.

    Raises:
        InvalidArgument: as `pack`, as far as it depends on these arguments.
    """
    _check_grid(grid, groups, page_size)
    _check_counts(counts, page_size)
    listed = pack_files(files, _WHERE, InvalidArgument) if files else None
    optional = [*_optional(FILE, listed), *_optional(ICCP, icc), *_optional(META, _meta_bytes(meta))]
    optional += _metadata_chunks(metadata)
    optional += [_grain_chunk(grain, groups)] if grain else []
    n_pages = count_pages(counts, page_size, _WHERE, InvalidArgument)
    code = profile.layout.code
    sizes = {
        CHAN: len(pack_channels(groups, grid.background)),
        PAGI: pagi_bytes(n_pages, code),
        **profile.chunk_sizes(counts, n_pages, groups, record_bytes),
    }
    if len(counts) > 1:
        sizes[LODS] = lods_bytes(len(counts))
    if tree := tree_bytes(counts, page_size, n_pages, code):
        sizes[PAGT] = tree
    required = sum(entry_bytes(fourcc, size) + size for fourcc, size in sizes.items())
    return HEADER.size + required + sum(chunk.n_bytes for chunk in optional)


def metadata_bytes(metadata: Metadata | None) -> int:
    """Bytes that this metadata adds to a file, including its entries in the table of contents.

    Raises:
        InvalidArgument: as `pack`.
    """
    return sum(chunk.n_bytes for chunk in _metadata_chunks(metadata))


def meta_bytes(meta: dict[str, Json]) -> int:
    """Additional bytes of a file with this META chunk, as `metadata_bytes`."""
    return sum(chunk.n_bytes for chunk in _optional(META, _meta_bytes(meta)))


def icc_bytes(icc: bytes | None) -> int:
    """Bytes that this ICC profile adds to a file, including its entry in the table of contents."""
    return sum(chunk.n_bytes for chunk in _optional(ICCP, icc))


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


def _grain_chunk(grains: Sequence[Grain], groups: Sequence[ChannelGroup]) -> StoredChunk:
    return StoredChunk.plain(GRAN, pack_grain(grains, groups, _WHERE, InvalidArgument))


def _optional(fourcc: bytes, raw: bytes | None) -> list[StoredChunk]:
    if not raw:  # an empty profile is not stored
        return []
    if fourcc == ICCP and len(raw) > MAX_ICC_BYTES:
        raise InvalidArgument(f"{_WHERE}: the ICC profile takes {len(raw)} bytes, the limit is {MAX_ICC_BYTES}")
    return [StoredChunk.deflated(fourcc, raw)]


def _rounded(contents: Contents) -> Contents:
    """Checked contents with all f32 values rounded as they will be stored."""
    grid, lods = contents.grid, contents.lods
    _check_grid(grid, contents.groups, contents.page_size)
    _check_counts(lods.counts, contents.page_size)
    _check_gaussians(contents.gaussians, lods, count_channels(contents.groups))
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
    n_channels = count_channels(groups)
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
