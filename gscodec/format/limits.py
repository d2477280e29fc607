"""Sizes implied by header fields, computed and checked against limits before memory is allocated."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from gscodec.errors import LimitExceeded
from gscodec.format.layout import GROUP, LOD_ROW, PAGE_ENTRY, SIZED_PAGE_ENTRY, ErrorClass
from gscodec.format.profile_table import LAYOUTS
from gscodec.model.constants import MAX_CHANNELS, TILE_SIZE

MAX_ICC_BYTES: Final = 16 << 20
"""Raw bytes of an ICC profile; the largest lookup-table profiles take a few MiB."""

MAX_META_BYTES: Final = 1 << 20
"""Raw bytes of the metadata; kept small because parsed JSON takes many times the memory of its text."""

MAX_TAGS_BYTES: Final = 4096
MAX_EXIF_BYTES: Final = 1 << 20
MAX_XMP_BYTES: Final = 1 << 20
"""Raw bytes of the source's metadata. A JPEG has up to 64 KiB of Exif and 64 KiB of standard XMP."""

MAX_META_DEPTH: Final = 64
"""Maximum nesting depth of the metadata, so that recursive parsers need little stack."""

MAX_PAGES: Final = 1 << 20
"""Pages of one file: a page index of 12 MiB. The largest set at the default page size needs a quarter of it."""

MAX_GAUSSIANS_PER_BYTE: Final = 8
"""Maximum Gaussians per byte of a page: each takes at least one bit, so that a few bytes cannot demand the memory and
work of many Gaussians. The densest pages an encode wrote, 30,000 Gaussians of a black picture of 16 x 16 px, have
3.2 bits each; photographs have 25 to 60."""

MAX_CHAN_BYTES: Final = 1 + MAX_CHANNELS * (GROUP.size + 4 + 2 * (1 + 255))
"""Raw bytes of the channel table with as many groups as channels and the longest names."""


def lods_bytes(lod_count: int) -> int:
    """Raw bytes of the LODS chunk: counts and a triangular matrix of gains."""
    return LOD_ROW.size * lod_count + 4 * (lod_count * (lod_count + 1) // 2)


def generation_sizes(counts: Sequence[int]) -> list[int]:
    """Number of Gaussians in each generation, from cumulative counts."""
    return [count - before for before, count in zip((0, *counts[:-1]), counts, strict=True)]


def generations_of(counts: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(N,) int64 generation of each Gaussian."""
    return np.repeat(np.arange(len(counts)), generation_sizes(counts))


def count_pages(counts: Sequence[int], page_size: int, where: str, error: ErrorClass = LimitExceeded) -> int:
    """Number of pages for generations with cumulative `counts`; each generation starts a new page.

    Raises:
        GsCodecError: `error`, if there are more than MAX_PAGES.
    """
    pages = sum(-(-size // page_size) for size in generation_sizes(counts))
    if pages > MAX_PAGES:
        raise error(f"{where}: {pages} pages are above the limit of {MAX_PAGES}; use larger pages")
    return pages


def pagi_bytes(n_pages: int, profile: int) -> int:
    """Raw bytes of the PAGI chunk."""
    return (SIZED_PAGE_ENTRY if LAYOUTS[profile].has_page_lengths else PAGE_ENTRY).size * n_pages


def tile_counts(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of tiles."""
    return -(-height // TILE_SIZE), -(-width // TILE_SIZE)


def page_lengths(counts: Sequence[int], page_size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(P,) number of records of each page. The number of pages must have been checked."""
    parts = [np.zeros(0, np.int64)]
    for size in generation_sizes(counts):
        full, rest = divmod(size, page_size)
        parts.append(np.full(full + (rest > 0), page_size, np.int64))
        if rest:
            parts[-1][-1] = rest
    return np.concatenate(parts)
