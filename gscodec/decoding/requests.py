"""Checks arguments of requests to an open picture: levels, regions, sizes and points."""

import operator
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import Float64Array, Grid


def checked_lod(lod: int, lods: int, name: str) -> int:
    """The level of detail, if it exists."""
    level = _integer(lod, "lod")
    if not 0 <= level < lods:
        raise InvalidArgument(f"{name}: LOD {level} does not exist, there are 0 to {lods - 1}")
    return level


def checked_region(region: Sequence[int] | None, grid: Grid, name: str) -> tuple[int, int, int, int]:
    """The region (x, y, width, height), if it lies inside the picture; None means the whole picture."""
    if region is None:
        return 0, 0, grid.width, grid.height
    if len(region) != 4:
        raise InvalidArgument(f"region {tuple(region)} is not (x, y, width, height)")
    x, y, width, height = (_integer(value, "region") for value in region)
    if not (0 <= x < x + width <= grid.width and 0 <= y < y + height <= grid.height):
        raise InvalidArgument(
            f"{name}: region {x},{y},{width},{height} is not a part of the {grid.width}x{grid.height} px"
        )
    return x, y, width, height


def checked_size(size: Sequence[int]) -> tuple[int, int]:
    """(height, width), if both are at least one pixel."""
    if len(size) != 2:
        raise InvalidArgument(f"size {tuple(size)} is not (height, width)")
    height, width = (_integer(value, "size") for value in size)
    if height < 1 or width < 1:
        raise InvalidArgument(f"size {height}, {width} is not (height, width) of at least one pixel")
    return height, width


def checked_points(points: npt.ArrayLike, grid: Grid, name: str) -> Float64Array:
    """(M, 2) float64 points, if all lie inside the picture, its right and bottom edges included."""
    try:
        place = np.asarray(points, np.float64)
    except (TypeError, ValueError) as fault:
        raise InvalidArgument("points are not (M, 2) numbers") from fault
    if place.size == 0:
        return np.zeros((0, 2))
    if place.ndim != 2 or place.shape[1] != 2:
        raise InvalidArgument(f"points of shape {place.shape} are not (M, 2)")
    if not ((place.min(axis=0) >= 0) & (place.max(axis=0) <= [grid.width, grid.height])).all():  # true for NaN
        inside = ((place >= 0) & (place <= [grid.width, grid.height])).all(axis=1)
        x, y = place[np.argmin(inside)]
        raise InvalidArgument(f"{name}: point {x:g},{y:g} is outside the {grid.width}x{grid.height} px")
    return place


def _integer(value: object, what: str) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]  # the except clause handles other types
    except TypeError as fault:
        raise InvalidArgument(f"{what} {value!r} is not an integer") from fault
