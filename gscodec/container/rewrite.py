"""Files made of the chunks of other files: nothing is decoded or quantised again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gscodec.container.small import short_form
from gscodec.errors import InvalidArgument
from gscodec.format.chunks import StoredChunk, assemble, read_preamble
from gscodec.format.layout import CODEC_NONE, CSET, GAUS, HEADER, SET_CHUNKS, SMALL_HEADER
from gscodec.format.profile_table import LAYOUTS
from gscodec.io.source import MemorySource

_WHERE = "cannot rewrite"


@dataclass(frozen=True)
class CoarserSet:
    """A coarser set of a file, as its chunk CSET stores it."""

    data: bytes
    n_lods: int
    scale_log2: int  # binary logarithm of the side of its pixels, px of the picture
    is_small: bool = False  # whether it has profile `small`, in the short form

    @property
    def n_bytes(self) -> int:
        """Bytes that it adds to a file, including its entry in the table of contents."""
        return self.chunk.n_bytes

    @property
    def chunk(self) -> StoredChunk:
        """Its chunk."""
        about = self.n_lods, self.scale_log2, self.is_small
        return StoredChunk(CSET, True, CODEC_NONE, self.data, len(self.data), *about)


def is_one_piece(data: bytes) -> bool:
    """Whether a valid file has a short header in place of chunks."""
    return LAYOUTS[data[SMALL_HEADER.offsets["profile"]]].is_one_piece


def chunks_of(data: bytes, *, coarser: bool = False) -> tuple[dict[str, Any], list[StoredChunk]]:
    """Header values and chunks of a whole file that has chunks, or of a coarser set in one.

    Raises:
        GsCodecError: as `read_preamble`.
    """
    preamble = read_preamble(MemorySource(data), _WHERE, coarser=coarser)
    values = {field.name: getattr(preamble.header, field.name) for field in HEADER.fields}
    return values, [
        StoredChunk(
            chunk.fourcc,
            chunk.critical,
            chunk.codec,
            data[chunk.offset : chunk.offset + chunk.stored_size],
            chunk.raw_size,
            chunk.n_lods,
            chunk.scale_log2,
            chunk.is_small,
        )
        for chunk in preamble.chunks
    ]


def coarser_set(data: bytes, scale_log2: int) -> CoarserSet:
    """A file of a picture that was reduced by 2^scale_log2 as a coarser set of a file of the picture.

    Only its Gaussians and their tables are kept.

    Raises:
        InvalidArgument: it has coarser sets itself.
    """
    if is_one_piece(data):
        return CoarserSet(short_form(data), 1, scale_log2, is_small=True)
    values, chunks = chunks_of(data)
    if any(chunk.fourcc == CSET for chunk in chunks):
        raise InvalidArgument(f"{_WHERE}: a coarser set has no coarser sets itself")
    kept = assemble(values, [chunk for chunk in chunks if chunk.fourcc in SET_CHUNKS])
    return CoarserSet(kept, values["lod_count"], scale_log2)


def with_coarser(data: bytes, sets: Sequence[CoarserSet]) -> bytes:
    """A file with these coarser sets, coarsest first, in place of those it has.

    Raises:
        InvalidArgument: the file has no chunks, so that it cannot have sets.
    """
    if not sets and (is_one_piece(data) or not any(chunk.fourcc == CSET for chunk in chunks_of(data)[1])):
        return data
    if is_one_piece(data):
        raise InvalidArgument(f"{_WHERE}: a file of profile small has one set; use another profile")
    values, chunks = chunks_of(data)
    chunks = [chunk for chunk in chunks if chunk.fourcc != CSET]
    own = [chunk for chunk in chunks if chunk.fourcc in SET_CHUNKS]
    after = [chunk.fourcc for chunk in chunks].index(GAUS) + 1
    shared = [chunk for chunk in chunks[:after] if chunk.fourcc not in SET_CHUNKS]
    return assemble(values, [*shared, *(part.chunk for part in sets), *own, *chunks[after:]])
