"""Chooses the level of detail of a request that names none, and how a much smaller picture is sampled.

Regions of up to EXACT_PIXELS use the finest level and average all stored pixels. In larger ones, a request for at most
half of the stored size along both axes uses the coarsest level that still has GAUSSIANS_PER_PIXEL per pixel of the
result. From a quarter of the size on, each pixel is the mean of OVERSAMPLING^2 points, because it covers too many
stored pixels in a huge picture to evaluate all (`gscodec.decoding.reduced`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gscodec.container.reader import IgsReader
from gscodec.errors import InvalidArgument, TruncatedStream

EXACT_PIXELS: Final = 1 << 20
GAUSSIANS_PER_PIXEL: Final = 0.5
"""Thumbnails of six pictures at an eighth of the sides have 33 to 61 dB against the average of all stored pixels, both
at 0.5 and at 1, and 1 to 6 dB less at 0.25; at a sixteenth 31 to 53 dB, up to 2 dB more at 1, and some 2 less at
0.25."""
GAUSSIANS_PER_PIXEL_OF_SET: Final = 0.25
"""The same of a level that is a whole set: as good as a prefix of twice as many Gaussians."""

OVERSAMPLING: Final = 4

Region = tuple[int, int, int, int]
"""x, y, width, height in stored pixels."""


@dataclass(frozen=True)
class Bounds:
    """Limits on the level of detail. None means no limit."""

    max_bytes: int | None = None  # bytes from the start of the file
    max_gaussians: int | None = None

    @property
    def any(self) -> bool:
        """Whether any limit is set."""
        return self.max_bytes is not None or self.max_gaussians is not None


def finest_within(reader: IgsReader, bounds: Bounds) -> tuple[int, ...]:
    """Available levels within the bounds, finest first; at least one.

    Raises:
        InvalidArgument: even the coarsest level exceeds the bounds.
        TruncatedStream: the file has no complete level.
    """
    held = reader.available_lods
    if not held:
        raise TruncatedStream(f"{reader.name}: truncated at byte {reader.stored_size}, no LOD is complete")
    chosen = tuple(lod for lod in held if _fits(reader, lod, bounds))
    if not chosen:
        size, count = reader.prefix_size(held[-1]), _count(reader, held[-1])
        raise InvalidArgument(
            f"{reader.name}: no LOD is that small; the coarsest has {size} bytes and {count} Gaussians"
        )
    return chosen


def _fits(reader: IgsReader, lod: int, bounds: Bounds) -> bool:
    within_bytes = bounds.max_bytes is None or reader.prefix_size(lod) <= bounds.max_bytes
    return within_bytes and (bounds.max_gaussians is None or _count(reader, lod) <= bounds.max_gaussians)


def _count(reader: IgsReader, lod: int) -> int:
    return reader.count(lod)


def lod_for_size(reader: IgsReader, lods: Sequence[int], region: Region, size: tuple[int, int]) -> int:
    """Level of detail for a region shown at size (height, width), out of `lods`, finest first."""
    _, _, region_width, region_height = region
    if not _is_smaller(region, size, 2):
        return lods[0]
    share = region_width * region_height / (reader.grid.width * reader.grid.height)
    pixels = size[0] * size[1]
    return next(
        (lod for lod in reversed(lods) if _count(reader, lod) * share >= _wanted(reader, lod) * pixels), lods[0]
    )


def _wanted(reader: IgsReader, lod: int) -> float:
    """Gaussians per pixel that a level needs."""
    return GAUSSIANS_PER_PIXEL if reader.is_prefix(lod) else GAUSSIANS_PER_PIXEL_OF_SET


def thumbnail_lattice(region: Region, size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of points whose means form a thumbnail (height, width) of a region."""
    _, _, width, height = region
    rows = min(OVERSAMPLING * size[0], max(size[0], height))
    return rows, min(OVERSAMPLING * size[1], max(size[1], width))


def points_of(region: Region, size: tuple[int, int], *, thumbnail: bool) -> tuple[int, int]:
    """(rows, columns) of points to evaluate for a region shown at a size."""
    _, _, width, height = region
    return thumbnail_lattice(region, size) if thumbnail else (max(height, size[0]), max(width, size[1]))


def is_tiny(region: Region, size: tuple[int, int]) -> bool:
    """Whether even one map of a stack, shown at a size, is small enough to be sampled instead of averaged."""
    rows, columns = thumbnail_lattice(region, size)
    stored = region[2] * region[3]
    return stored > EXACT_PIXELS and stored >= OVERSAMPLING**2 * rows * columns


def is_much_smaller(region: Region, size: tuple[int, int]) -> bool:
    """Whether a region shown at a size is small enough to be sampled instead of averaged over all stored pixels."""
    return _is_smaller(region, size, OVERSAMPLING)


def _is_smaller(region: Region, size: tuple[int, int], times: int) -> bool:
    _, _, width, height = region
    return width * height > EXACT_PIXELS and width >= times * size[1] and height >= times * size[0]
