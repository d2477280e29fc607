"""Files made of other files without their source: fewer levels of detail, or another profile.

Where no profile changes, Gaussians are the same bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.rewrite import CoarserSet, chunks_of, coarser_set, is_one_piece, with_coarser
from gscodec.container.small import file_of_short_form
from gscodec.container.stored_set import StoredSet
from gscodec.container.writer import index_chunks, pack
from gscodec.errors import InvalidArgument, TruncatedStream
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.layout import CHAN, CSET, EXIF, FILE, GAUS, ICCP, QUAN, QUANTISER, TAGS, XMP
from gscodec.format.profile_table import LAYOUTS
from gscodec.format.tables import lods_chunks, pack_channels
from gscodec.model.gaussians import GaussianSet, LodTable

_BEFORE: Final = (CHAN, FILE, ICCP, TAGS)
_AFTER: Final = (EXIF, XMP)


def without_coarser(data: bytes, lod: int, name: str = "(bytes)") -> bytes:
    """A file without the sets that are coarser than that of LOD `lod`.

    Raises:
        InvalidArgument: there is no such LOD. GsCodecError: the file is damaged.
    """
    with IgsReader(data, name) as reader:
        number, _ = reader.place(lod)
    if is_one_piece(data):
        return data
    sets = [chunk for chunk in chunks_of(data)[1] if chunk.fourcc == CSET]
    return with_coarser(data, [_set_of(chunk, 0) for chunk in sets[len(sets) - number :]])


def without_finer(data: bytes, lod: int, name: str = "(bytes)") -> bytes:
    """A file whose finest level is LOD `lod` of another one, with its coarser levels.

    Of a coarser set it is a file of the picture at the size that the set was made of. What belongs to the full size or
    to the making of the file is left out: film grain, provenance. A file of profile `small` has one level.

    Raises:
        InvalidArgument: there is no such LOD, or a set of profile `small` has no room for what describes the picture.
        GsCodecError: the file is damaged.
    """
    with IgsReader(data, name) as reader:
        number, own = reader.place(lod)
        channels = StoredChunk.plain(CHAN, pack_channels(reader.groups, reader.grid.background))
        part = reader.stored_set(number)
        if lod == 0 or is_one_piece(data):
            return data
        values, chunks = chunks_of(data)
        shared = {chunk.fourcc: chunk for chunk in chunks} | {CHAN: channels}
        sets = [chunk for chunk in chunks if chunk.fourcc == CSET]
        if number == 0:
            tables = _leading_generations(values, chunks, part, own)
            return _joined(values, shared, [_set_of(chunk, 0) for chunk in sets], tables)
        place = len(sets) - number
        inner, scale_log2 = sets[place].stored, sets[place].scale_log2
        if sets[place].is_small:
            extras = [shared[fourcc] for fourcc in (*_BEFORE, *_AFTER) if fourcc in shared]
            return file_of_short_form(inner, part.grid, extras)
        values, tables = chunks_of(inner, coarser=True)
        if own:
            tables = _leading_generations(values, tables, part, own)
        return _joined(values, shared, [_set_of(chunk, scale_log2) for chunk in sets[:place]], tables)


def _set_of(chunk: StoredChunk, scale_log2: int) -> CoarserSet:
    """A coarser set, for a picture reduced by 2^scale_log2."""
    return CoarserSet(chunk.stored, chunk.n_lods, chunk.scale_log2 - scale_log2, chunk.is_small)


def _joined(
    values: dict[str, Any],
    shared: dict[bytes, StoredChunk],
    sets: Sequence[CoarserSet],
    tables: Sequence[StoredChunk],
) -> bytes:
    before, after = ([shared[fourcc] for fourcc in kinds if fourcc in shared] for kinds in (_BEFORE, _AFTER))
    return assemble(values, [*before, *(part.chunk for part in sets), *tables, *after])


def _leading_generations(
    values: dict[str, Any], chunks: Sequence[StoredChunk], part: StoredSet, lod: int
) -> list[StoredChunk]:
    """The chunks of a set that ends with its LOD `lod`; header values are changed in place."""
    n_old, counts = len(part.lods), part.lods.counts[: len(part.lods) - lod]
    layout = LAYOUTS[values["profile"]]
    index = part.pages
    n_pages = index.until(counts[-1])
    raw = {chunk.fourcc: chunk for chunk in chunks}
    levels = lods_chunks(LodTable(counts, part.lods.gains[: len(counts)]))
    lengths = np.diff(index.edges)[:n_pages]
    boxes, crcs = index.boxes[:n_pages], index.crcs[:n_pages]
    *trees, pages = index_chunks(counts, values["page_size"], layout, boxes, crcs, lengths)
    quantiser = []
    if layout.has_quantiser:
        quan = raw[QUAN].raw("a file")
        cells = QUANTISER.size  # an entry of each generation follows
        quantiser.append(StoredChunk.deflated(QUAN, quan[: cells + len(counts)] + quan[cells + n_old :]))
    values.update(lod_count=len(counts), n_gaussians=counts[-1])
    gaus = StoredChunk.plain(GAUS, raw[GAUS].stored[: int(index.edges[n_pages])])
    return [*levels, *trees, *quantiser, pages, gaus]


def in_profile(data: bytes, rounded: Callable[[Contents], Contents], name: str = "(bytes)") -> bytes:
    """A file of any profile in another one: values are rounded to it, sets of profile `small` are kept.

    Args:
        rounded: gives the contents of a set, which come without a lattice, the lattice and page size of the profile;
            without a lattice it is `f16`.
        name: of the file, in messages.

    Raises:
        GsCodecError: the file is damaged.
    """
    with IgsReader(data, name) as reader:
        sets = []
        for number in range(reader.n_sets - 1, 0, -1):
            part = reader.stored_set(number)
            if part.is_one_piece:
                chunk = reader.coarser_chunk(number)
                stored = data[chunk.offset : chunk.offset + chunk.stored_size]
                sets.append(CoarserSet(stored, 1, chunk.scale_log2, is_small=True))
            else:
                scale_log2 = reader.scale_of(number).bit_length() - 1
                sets.append(coarser_set(pack(rounded(_contents(reader, part))), scale_log2))
        finest = replace(
            rounded(_contents(reader, reader.stored_set(0))),
            icc=reader.icc,
            meta=reader.meta,
            files=reader.files,
            metadata=reader.metadata,
            grain=reader.grain,
        )
        return with_coarser(pack(finest), sets)


def _contents(reader: IgsReader, part: StoredSet) -> Contents:
    """The Gaussians of a set as stored, without a lattice."""
    pages = part.stored_pages(0, None)
    stored: GaussianSet = replace(pages, gains=np.ones_like(pages.gains), scale=1).unpack()
    return Contents(part.grid, reader.groups, part.lods, stored)


def transcoded(data: bytes, name: str = "(bytes)", *, finest: int = 0, coarsest: int | None = None) -> bytes:
    """A file with fewer levels of detail, of the same Gaussians.

    Args:
        name: of the file, in messages.
        finest: LOD that becomes LOD 0.
        coarsest: LOD whose set becomes the coarsest; None keeps all.

    Raises:
        InvalidArgument: there is no such LOD, or coarsest is finer than finest.
        GsCodecError: the file is damaged.
    """
    with IgsReader(data, name) as reader:
        if reader.truncated:
            raise TruncatedStream(
                f"{name}: cut at byte {reader.stored_size} of {reader.file_size}; transcode a whole file"
            )
    if coarsest is not None and coarsest < finest:
        raise InvalidArgument(f"the coarsest level, {coarsest}, is finer than the finest, {finest}")
    data = data if coarsest is None else without_coarser(data, coarsest, name)
    return without_finer(data, finest, name)
