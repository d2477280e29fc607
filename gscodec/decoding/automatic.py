"""Which level of detail a request gets that names none, and how a much smaller picture is made of it.

Regions of up to EXACT_PIXELS are shown at the finest level, every stored pixel counted. Of larger ones, a request for
at most half of the stored size along both axes gets the coarsest level that still has GAUSSIANS_PER_PIXEL for each
pixel of the result. From a quarter on, each pixel is the mean of OVERSAMPLING^2 points and not of all the pixels it
covers, which for a thumbnail of a huge picture are millions (`gscodec.decoding.reduced`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gscodec.container.reader import IgsReader
from gscodec.errors import InvalidArgument, TruncatedStream

EXACT_PIXELS: Final = 1 << 20
GAUSSIANS_PER_PIXEL: Final = 0.5
"""Thumbnails of six pictures, an eighth of the size each way, have 33 to 61 dB against the average of all stored pixels
at 0.5 as at 1, and 1 to 6 dB less at 0.25; at a sixteenth 31 to 53, up to 2 dB more at 1, and some 2 less at 0.25."""
OVERSAMPLING: Final = 4

Region = tuple[int, int, int, int]
"""x, y, width, height in stored pixels."""


@dataclass(frozen=True)
class Bounds:
    """What a level may cost. None is no bound."""

    max_bytes: int | None = None  # of the file's beginning
    max_gaussians: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self.max_bytes is not None or self.max_gaussians is not None


def finest_within(reader: IgsReader, bounds: Bounds) -> tuple[int, ...]:
    """Levels that are there and cost no more than the bounds, finest first; at least one.

    Raises:
        InvalidArgument: even the coarsest costs more.
        TruncatedStream: the file holds no level.
    """
    held = reader.available_lods
    if not held:
        raise TruncatedStream(f"{reader.name}: cut at byte {reader.stored_size}, it holds no LOD")
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
    return reader.lods.count(lod)


def lod_for_size(reader: IgsReader, lods: Sequence[int], region: Region, size: tuple[int, int]) -> int:
    """The level for a region shown at size (height, width), of `lods`, finest first."""
    _, _, region_width, region_height = region
    if not _is_smaller(region, size, 2):
        return lods[0]
    share = region_width * region_height / (reader.grid.width * reader.grid.height)
    wanted = GAUSSIANS_PER_PIXEL * size[0] * size[1]
    return next((lod for lod in reversed(lods) if _count(reader, lod) * share >= wanted), lods[0])


def thumbnail_lattice(region: Region, size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of the points that a thumbnail (height, width) of a region is averaged of."""
    _, _, width, height = region
    rows = min(OVERSAMPLING * size[0], max(size[0], height))
    return rows, min(OVERSAMPLING * size[1], max(size[1], width))


def points_of(region: Region, size: tuple[int, int], *, thumbnail: bool) -> tuple[int, int]:
    """(rows, columns) of the points that are computed for a region shown at a size."""
    _, _, width, height = region
    return thumbnail_lattice(region, size) if thumbnail else (max(height, size[0]), max(width, size[1]))


def is_tiny(region: Region, size: tuple[int, int]) -> bool:
    """Whether a region shown at a size has more stored pixels than are worth looking at even for a map of a stack."""
    rows, columns = thumbnail_lattice(region, size)
    stored = region[2] * region[3]
    return stored > EXACT_PIXELS and stored >= OVERSAMPLING**2 * rows * columns


def is_much_smaller(region: Region, size: tuple[int, int]) -> bool:
    """Whether a region shown at a size has more stored pixels than are worth looking at."""
    return _is_smaller(region, size, OVERSAMPLING)


def _is_smaller(region: Region, size: tuple[int, int], times: int) -> bool:
    _, _, width, height = region
    return width * height > EXACT_PIXELS and width >= times * size[1] and height >= times * size[0]
