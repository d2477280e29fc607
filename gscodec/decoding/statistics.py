"""Cost of requests: bytes, pages, and Gaussians evaluated per point."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gscodec.decoding.work import points_by_tile, points_of_window
from gscodec.model.gaussians import Float64Array, Window
from gscodec.model.rendering import TileIndex

_MAP_TERMS = 6
"""Multiply-adds for q of one Gaussian at one point: two each for U and V, as affine functions of x and y, and two for
their squares."""


@dataclass(frozen=True)
class AccessStats:
    """Accumulated cost of the requests to an open file."""

    file_bytes: int  # of the whole file
    bytes_read: int
    reads: int  # spans of a local file, or requests to a server
    pages_read: int  # each counted as often as it was decoded
    n_pages: int  # of the whole file
    gaussians_read: int
    points: int  # pixels and samples computed; the next two are counted only with `count_work`
    candidates: int  # sum of the lengths of their tile lists
    blended: int  # sum of the numbers of Gaussians blended, at most K per point
    n_channels: int

    @property
    def candidates_per_point(self) -> float:
        """Mean number of Gaussians in a point's tile list."""
        return self.candidates / max(self.points, 1)

    @property
    def multiply_adds_per_point(self) -> float:
        """Mean number of multiply-adds per point: q of each candidate, then weights times features.

        An upper bound: engines skip candidates that are too far from several adjacent points at once.
        """
        return (_MAP_TERMS * self.candidates + (1 + self.n_channels) * self.blended) / max(self.points, 1)


class WorkTally:
    """Counts points and the lengths of their tile lists."""

    def __init__(self, top_k: int) -> None:
        self._top_k = top_k
        self.points = self.candidates = self.blended = 0

    def add_window(self, index: TileIndex, rect: tuple[int, int, int, int], window: Window) -> None:
        """Count the points of a window."""
        self._add(index, points_of_window(rect, window).reshape(-1))

    def add_points(self, index: TileIndex, rect: tuple[int, int, int, int], points: Float64Array) -> None:
        """Count points (M, 2) px."""
        self._add(index, points_by_tile(rect, points))

    def _add(self, index: TileIndex, points: npt.NDArray[np.int64]) -> None:
        lengths = np.diff(index.offsets)
        self.points += int(points.sum())
        self.candidates += int(points @ lengths)
        self.blended += int(points @ np.minimum(lengths, self._top_k))
