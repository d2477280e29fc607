"""A folder of tiles as one picture.

The name of a tile ends in two numbers separated by `_`, `-` or `x`: `map_3_7.png`. Letters may say which is which,
`x3_y7`, `r7_c3`, `row7_col3`; without them the column comes first, as in Deep Zoom folders. Numbers count tiles or
pixels, from anywhere: only their order matters. All pictures of the folder are tiles, share what stands before the
numbers, fill the whole grid and do not overlap; those of a row have one height, those of a column one width.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.image.file_types.registry import read_suffixes
from gscodec.image.load import load_image, picture_size
from gscodec.image.regions import Rect, RegionSource
from gscodec.material.roles import map_name
from gscodec.model.constants import LARGE_PIXELS, MAX_DIMENSION

_NAME: Final = re.compile(
    r"(?P<prefix>.*?)(?P<first>x|y|r|c|row|col|column)?[_-]?(?P<a>\d+)"
    r"[_x-]?(?P<second>x|y|r|c|row|col|column)?[_-]?(?P<b>\d+)",
    re.IGNORECASE,
)
_COLUMNS: Final = {"x", "c", "col", "column"}

_CACHED_BYTES: Final = 1 << 28
"""Bytes of decoded tiles kept in the cache."""

Places = dict[tuple[int, int], Path]
"""Tiles by row and column, both from 0."""


def find_tiles(folder: Path) -> Places | None:
    """The tiles of a folder; None where its pictures are something else.

    Raises:
        InvalidArgument: tiles are missing or duplicated.
    """
    try:
        suffixes = read_suffixes()
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    except OSError:
        return None
    files = [path for path in files if not path.name.startswith(".")]
    parsed = [(path, *_numbers(path.stem)) for path in files]
    if len(parsed) < 2 or any(key is None for _, key, _, _ in parsed) or len({key for _, key, _, _ in parsed}) > 1:
        return None
    if any(map_name(path) is not None for path in files if not _is_lettered(path.stem)):
        return None
    rows = {number: place for place, number in enumerate(sorted({row for _, _, row, _ in parsed}))}
    columns = {number: place for place, number in enumerate(sorted({column for _, _, _, column in parsed}))}
    places: Places = {}
    for path, _, row, column in parsed:
        place = rows[row], columns[column]
        if place in places:
            raise InvalidArgument(f"{folder}: {places[place].name} and {path.name} are the same tile; remove one")
        places[place] = path
    missing = len(rows) * len(columns) - len(places)
    if missing > len(places):
        return None  # numbers that do not form a grid
    if missing:
        row, column = next((r, c) for r in rows for c in columns if (rows[r], columns[c]) not in places)
        raise InvalidArgument(f"{folder}: {missing} tiles are missing, the first at row {row}, column {column}")
    return places


def common_name(places: Places) -> str:
    """Common part of the tiles' names before their numbers: the name of the picture."""
    match = _NAME.fullmatch(places[0, 0].stem)
    if match is None:
        return ""
    label = "" if match["second"] else match["first"] or ""  # the end of a word, not a label
    return f"{match['prefix']}{label}"


def _is_lettered(stem: str) -> bool:
    """Whether both numbers are labelled as row and column: `row3-col1` is not a colour map."""
    match = _NAME.fullmatch(stem)
    return match is not None and bool(match["first"] and match["second"])


def _numbers(stem: str) -> tuple[str | None, int, int]:
    """(prefix, row, column) of a tile's name; the prefix is None for other names."""
    match = _NAME.fullmatch(stem)
    if match is None or (match["second"] is None and not re.search(r"\d[_x-]\d+$", stem, re.IGNORECASE)):
        return None, 0, 0
    a, b = int(match["a"]), int(match["b"])
    first, second = (match["first"] or "").lower(), (match["second"] or "").lower()
    if bool(first) != bool(second) and second:
        return None, 0, 0
    labelled = bool(first and second)
    if labelled and (first in _COLUMNS) == (second in _COLUMNS):
        return None, 0, 0
    is_column_first = first in _COLUMNS if labelled else True
    key = f"{match['prefix']}|{first}|{second}" if labelled else match["prefix"] + first
    return key, *((b, a) if is_column_first else (a, b))


class TileFolder(RegionSource):
    """A picture made up of tiles, which are decoded one by one when needed.

    Args:
        places: result of `find_tiles`.

    Raises:
        InvalidArgument: the tiles' sizes do not form a grid.
        LimitExceeded: a tile, or a side of the whole, is too large.
        GsCodecError: as `load_image`.
    """

    def __init__(self, places: Places, name: str) -> None:
        n_rows, n_columns = (1 + max(place[axis] for place in places) for axis in (0, 1))
        sizes = {place: _size(path) for place, path in places.items()}
        for (row, column), (height, width) in sizes.items():
            if height != sizes[row, 0][0] or width != sizes[0, column][1]:
                raise InvalidArgument(
                    f"{places[row, column]}: {width}x{height} px does not fit its row or column of tiles"
                )
        self._rows = np.cumsum([0, *(sizes[row, 0][0] for row in range(n_rows))])
        self._columns = np.cumsum([0, *(sizes[0, column][1] for column in range(n_columns))])
        height, width = int(self._rows[-1]), int(self._columns[-1])
        if max(height, width) > MAX_DIMENSION:
            raise LimitExceeded(f"{name}: {width}x{height} px is above the limit of {MAX_DIMENSION} px a side")
        first = load_image(places[0, 0])
        if first.files or len(first.groups) > 1 or first.groups[0].bit_depth not in {8, 16}:
            raise InvalidArgument(f"{places[0, 0]}: tiles must have 8 or 16-bit samples")
        super().__init__((height, width, first.samples.shape[2]), first.groups, first.icc)
        self._places = places
        self._tile_groups = first.groups
        self._cached: OrderedDict[tuple[int, int], npt.NDArray[Any]] = OrderedDict()

    def levels(self, area: Rect) -> npt.NDArray[Any]:
        """See `RegionSource.levels`."""
        dtype = np.uint8 if self.largest < 256 else np.uint16
        result = np.empty((area.height, area.width, self.shape[2]), dtype)
        for row in _meeting(self._rows, area.y0, area.y1):
            for column in _meeting(self._columns, area.x0, area.x1):
                place = Rect(
                    *(int(v) for v in (self._columns[column], self._rows[row])),
                    *(int(v) for v in (self._columns[column + 1], self._rows[row + 1])),
                )
                shared = place.overlap(area)
                result[shared.slices(area)] = self._tile(row, column)[shared.slices(place)]
        return result

    def _tile(self, row: int, column: int) -> npt.NDArray[Any]:
        key = row, column
        if key in self._cached:
            self._cached.move_to_end(key)
            return self._cached[key]
        path = self._places[key]
        stack = load_image(path)
        size = self._rows[row + 1] - self._rows[row], self._columns[column + 1] - self._columns[column]
        if stack.groups != self._tile_groups or stack.samples.shape[:2] != size:
            raise InvalidArgument(f"{path}: has other channels, another depth or size than the tiles around it")
        levels = np.rint(stack.samples * self.largest).astype(np.uint8 if self.largest < 256 else np.uint16)
        self._cached[key] = levels
        while len(self._cached) > 1 and sum(tile.nbytes for tile in self._cached.values()) > _CACHED_BYTES:
            self._cached.popitem(last=False)
        return levels

    def close(self) -> None:
        """Release the decoded tiles."""
        self._cached.clear()


def _meeting(edges: npt.NDArray[np.int64], first: int, last: int) -> Iterator[int]:
    """Indices of the intervals between edges that overlap [first, last)."""
    start = int(np.searchsorted(edges, first, side="right")) - 1
    while start < len(edges) - 1 and edges[start] < last:
        yield start
        start += 1


def _size(path: Path) -> tuple[int, int]:
    """(height, width), upright, of a tile."""
    height, width = picture_size(path)
    if height * width > LARGE_PIXELS:
        raise LimitExceeded(f"{path}: a tile of {width}x{height} px is above the limit of {LARGE_PIXELS} pixels")
    return height, width
