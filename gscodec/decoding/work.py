"""Cost of a request in evaluated Gaussians, computed from tile lists before any pixel is."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gscodec.errors import LimitExceeded
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import Float64Array, Window
from gscodec.model.limits import FREE_CANDIDATES, Limits
from gscodec.model.rendering import TileIndex

TileRect = tuple[int, int, int, int]
"""Half-open rectangle (tx0, ty0, tx1, ty1) of tiles."""

Counts = npt.NDArray[np.int64]


class WorkBudget:
    """Remaining number of Gaussians that a request may evaluate."""

    def __init__(self, limits: Limits, name: str) -> None:
        self._limits, self._name = limits, name
        self.restart()

    def restart(self) -> None:
        """Reset the count: the request starts again, in narrower bands or on another engine."""
        self._free = FREE_CANDIDATES
        self._points = self._candidates = 0

    def spend(self, longest: int, n_points: int, candidates: Callable[[], int]) -> None:
        """Charge points that are about to be computed.

        Args:
            longest: length of the longest tile list. n_points: number of points. candidates: returns the sum of the
                lengths of their lists.

        Raises:
            LimitExceeded: the cost exceeds the limits.
        """
        if longest <= self._limits.max_candidates:
            return
        n_candidates = candidates()
        self._points += n_points
        self._candidates += n_candidates
        self._free -= max(0, n_candidates - n_points * self._limits.max_candidates)
        if self._free < 0:
            mean = self._candidates // self._points
            raise LimitExceeded(
                f"{self._name}: about {mean} Gaussians must be evaluated per pixel, above the limit of "
                f"{self._limits.max_candidates}; decode a smaller region or a coarser LOD, or raise it with "
                "--max-candidates (Limits.max_candidates)"
            )


class TileLengths:
    """Lengths of the tile lists of a rectangle of tiles."""

    def __init__(self, index: TileIndex, rect: TileRect) -> None:
        self._rect = rect
        self._lengths: Counts = np.diff(index.offsets)
        self.longest = int(self._lengths.max(initial=0))

    def of_window(self, window: Window) -> int:
        """Sum of the lengths over the points of a window."""
        return int(points_of_window(self._rect, window).reshape(-1) @ self._lengths)

    def of_points(self, points: Float64Array) -> int:
        """Sum of the lengths over points (M, 2) px."""
        return int(points_by_tile(self._rect, points) @ self._lengths)


def points_of_window(rect: TileRect, window: Window) -> Counts:
    """(rows, columns) number of points of a window in each tile of a rectangle."""
    x0, y0, x1, y1 = rect
    columns = _per_tile(window.x, window.step_x, window.width, x0, x1)
    return np.outer(_per_tile(window.y, window.step_y, window.height, y0, y1), columns)


def points_by_tile(rect: TileRect, points: Float64Array) -> Counts:
    """(tiles,) number of points (M, 2) px in each tile of a rectangle."""
    x0, y0, x1, y1 = rect
    tiles = np.clip((points / TILE_SIZE).astype(np.int64), [x0, y0], [x1 - 1, y1 - 1]) - [x0, y0]
    return np.bincount(tiles[:, 1] * (x1 - x0) + tiles[:, 0], minlength=(x1 - x0) * (y1 - y0))


def _per_tile(start: float, step: float, n: int, first: int, last: int) -> Counts:
    """Number of points of one axis of a window in each of the tiles first .. last - 1."""
    tiles = np.floor((start + (np.arange(n) + 0.5) * step) / TILE_SIZE).astype(np.int64)
    return np.bincount(np.clip(tiles, first, last - 1) - first, minlength=last - first)
