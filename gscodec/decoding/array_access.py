"""An open file as an array: the region that a slice needs, and the PNG that notebooks show."""

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gscodec.errors import GsCodecError

if TYPE_CHECKING:
    from gscodec.decoding.image import IgsImage

_NOTEBOOK_PX: Final = 800
"""Longest side, px, of the picture that a notebook shows."""

Axis = int | slice
Key = Axis | tuple[Any, ...]


class Selection(NamedTuple):
    """What a key selects: the region to render, and the index into the result."""

    region: tuple[int, int, int, int]  # x, y, width, height
    key: tuple[Axis, Axis, Axis]  # rows, columns, channels of that region


def indexed(image: "IgsImage", key: Key) -> Any:
    """`image.render()[key]`, of which only the region that the key needs is computed.

    Raises:
        IndexError: as `selection_of`.
        GsCodecError: as `IgsImage.render`.
    """
    selection = selection_of(key, image.shape)
    if 0 in selection.region[2:]:
        _, _, width, height = selection.region
        return np.empty((height, width, image.shape[2]), image.dtype)[selection.key]
    return image.render(region=selection.region)[selection.key]


def notebook_png(image: "IgsImage") -> bytes | None:
    """PNG of the picture, or of a stack's first map, at up to 800 px; None if the file has none to show."""
    from gscodec.image.save import encode_image

    entry = image.files[0]
    scale = min(1.0, _NOTEBOOK_PX / max(entry.height, entry.width))
    size = (max(1, round(entry.height * scale)), max(1, round(entry.width * scale)))
    try:
        (picture,) = image.render_files([entry.name], size=size).values()
        return encode_image(image.name, picture.samples, picture.groups, picture.icc, bit_depth=8, format_name="png")
    except GsCodecError:  # a truncated file, or channels that no PNG has
        return None


def selection_of(key: Key, shape: Sequence[int]) -> Selection:
    """Region and index that a NumPy key of integers, slices and an ellipsis stands for.

    Raises:
        IndexError: out of range, too many indices, or another kind of key.
    """
    axes = _three_axes(key)
    spans: list[tuple[int, int]] = []
    index: list[Axis] = []
    for axis, length in zip(axes, shape, strict=True):
        if isinstance(axis, slice):
            chosen = range(length)[axis]
            low = min(chosen[0], chosen[-1]) if chosen else 0
            high = max(chosen[0], chosen[-1]) + 1 if chosen else 0
            index.append(slice(None, None, chosen.step))
        else:
            try:
                low = range(length)[axis]
            except IndexError as fault:
                raise IndexError(f"index {axis} is out of range for {length} rows, columns or channels") from fault
            high = low + 1
            index.append(0)
        spans.append((low, high))
    (top, bottom), (left, right), (first, last) = spans
    channels = _moved(index[2], first, last)
    return Selection((left, top, right - left, bottom - top), (index[0], index[1], channels))


def _three_axes(key: Key) -> list[Axis]:
    """The key as one integer or slice each for rows, columns and channels."""
    items = list(key) if isinstance(key, tuple) else [key]
    places = [place for place, item in enumerate(items) if item is Ellipsis]
    missing = 3 - (len(items) - len(places))
    if len(places) > 1 or missing < 0:
        raise IndexError("give at most three indices, of rows, columns and channels, and one ellipsis")
    place = places[0] if places else len(items)
    items[place : place + len(places)] = [slice(None)] * missing
    try:
        return [item if isinstance(item, slice) else _integer(item) for item in items]
    except TypeError as fault:
        text = "rows, columns and channels are chosen by integers and slices; for other keys index image.render()"
        raise IndexError(text) from fault


def _integer(item: Any) -> int:
    if isinstance(item, bool | np.bool_):  # a mask in NumPy
        raise TypeError(item)
    return operator.index(item)


def _moved(axis: Axis, first: int, last: int) -> Axis:
    """An index within first..last, of an axis that is not cut to it."""
    if not isinstance(axis, slice):
        return first
    if first == last:
        return slice(0, 0)
    backward = axis.step < 0
    return slice(last - 1 if backward else first, (first - 1 if first else None) if backward else last, axis.step)
