"""Chooses the level of detail of a request and checks its cost against the limits, before any work."""

import math
from collections.abc import Sequence
from typing import Final

from gscodec.container.reader import IgsReader
from gscodec.decoding.automatic import Bounds, Region, finest_within, is_much_smaller, is_tiny, lod_for_size, points_of
from gscodec.decoding.requests import checked_lod
from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.model.limits import CHANNELS_PER_PIXEL, Limits

_SAMPLE_BYTES: Final = 12
"""Peak memory per sample of a picture, bytes: the float32 blend, the sample, and intermediate results."""

NO_BOUNDS: Final = Bounds()


class Planner:
    """Levels and costs of the requests to an open file."""

    def __init__(self, reader: IgsReader, limits: Limits) -> None:
        self._reader, self._limits = reader, limits

    def level(self, lod: int | None, bounds: Bounds = NO_BOUNDS) -> int:
        """LOD `lod`, if it exists; None means the finest in the file within the bounds.

        Raises:
            InvalidArgument: the LOD does not exist, or none is within the bounds.
            TruncatedStream: lod is None, and the file has no complete LOD.
        """
        if lod is None:
            return finest_within(self._reader, bounds)[0]
        return checked_lod(lod, self._reader.n_lods, self._reader.name)

    def level_for_size(self, part: Region, shown: tuple[int, int], bounds: Bounds) -> int:
        """Level for a region at a size (height, width) if the request names none (`decoding.automatic`)."""
        return lod_for_size(self._reader, finest_within(self._reader, bounds), part, shown)

    def plan(
        self,
        lod: int | None,
        part: Region,
        shown: tuple[int, int],
        bounds: Bounds = NO_BOUNDS,
        *,
        by_caller: bool,
        in_memory: bool,
    ) -> tuple[int, bool]:
        """Level for a region at a size (height, width), as in `IgsImage.render`, and whether it is a thumbnail.

        Raises:
            GsCodecError: as `IgsImage.render`, if it costs too much; by_caller and in_memory as in `check_cost`.
        """
        level = lod if lod is None else self.level(lod)
        thumbnail = lod is None and (is_much_smaller(part, shown) or is_tiny(part, shown))
        self.check_cost([(part, shown, thumbnail)], by_caller=by_caller, in_memory=in_memory)
        return self.level_for_size(part, shown, bounds) if level is None else level, thumbnail

    def check_cost(
        self,
        parts: Sequence[tuple[Region, tuple[int, int], bool]],
        *,
        by_caller: bool = False,
        in_memory: bool = True,
    ) -> None:
        """Raise if pictures need too many points or too much memory.

        Args:
            parts: regions, sizes (height, width) to show them at, and whether they are sampled as thumbnails.
            by_caller: whether the caller chose the region or size; a result that is too large is then an
                InvalidArgument, not the file's fault.
            in_memory: whether the whole result is held in host memory at once.

        Raises:
            LimitExceeded, InvalidArgument: the cost exceeds the limits.
        """
        name, n_channels = self._reader.name, len(self._reader.grid.background)
        points = sum(math.prod(points_of(region, size, thumbnail=small)) for region, size, small in parts)
        pixels = -(-points * max(n_channels, CHANNELS_PER_PIXEL) // CHANNELS_PER_PIXEL)
        samples = sum(math.prod(size) for _, size, _ in parts) * n_channels
        if len(parts) == 1:
            ((_, _, width, height), (rows, columns), _) = parts[0]
            what = f"{name}: {columns}x{rows} px of {width}x{height} take {points} points"
        else:
            what = f"{name}: pictures of {len(parts)} sizes take {points} points"
        what += "," if pixels == points else f" of {n_channels} channels, which count as {pixels} pixels,"
        try:
            self._limits.check_pixels(pixels, self._reader.stored_size, what, whole=in_memory)
            if in_memory:
                self.check_samples(samples, f"{name}: a picture")
        except LimitExceeded as fault:
            if by_caller and points <= sum(math.prod(size) for _, size, _ in parts):
                raise InvalidArgument(str(fault)) from fault
            raise

    def check_samples(self, n_samples: int, what: str) -> None:
        """Raise if a number of samples needs too much memory; `what` begins the message.

        Raises:
            LimitExceeded: the memory exceeds the limit.
        """
        self._limits.check_memory(_SAMPLE_BYTES * n_samples, f"{what} of {n_samples} samples")
