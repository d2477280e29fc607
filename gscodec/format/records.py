"""Records of profile `packed`: integers side by side at fixed places, so that any record is read alone.

Every width stands once in the file (spec/igs.md, "Packed pages"). A record is one little-endian number, its values
from the least significant bit on: narrow, elongation, place, features.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

MAX_FIELD_BITS: Final = 24
"""Features are binary32: more bits would be lost."""
MIN_PLACE_BITS: Final = 12
MAX_PLACE_BITS: Final = 31
"""Of rotation, which takes up to 12, and mean together."""

_WORD: Final = 64


@dataclass(frozen=True)
class RecordLayout:
    """How wide the values of records are.

    Narrow scale, elongation and each feature are fields: integers from the low of their page on, in steps of its scale.
    """

    place_bits: int  # rotation, then x, then y: each as long as the Gaussian's shape says
    lows: tuple[int, ...]  # (2 + C,) least low of any page, in scale steps and feature steps
    bits: tuple[int, ...]  # (2 + C,)

    @property
    def widths(self) -> tuple[int, ...]:
        """(3 + C) bits of narrow, elongation, place and features."""
        return (*self.bits[:2], self.place_bits, *self.bits[2:])

    @property
    def stride(self) -> int:
        """Bytes of a record."""
        return max(1, -(-sum(self.widths) // 8))


@dataclass(frozen=True)
class PageHeads:
    """What pages say of all their records: where means lie, and what the values of fields stand for."""

    width: int  # of the picture, px, which no box sticks out of
    sizes: Int64Array  # (P,) records
    boxes: Int64Array  # (P, 4) x, y, width, height, px, in which the first record's mean lies
    slopes: Int64Array  # (P,) by how much x moves from one record to the next, 1/256 px
    lows: Int64Array  # (P, 2 + C) in scale steps and feature steps
    scales: Int64Array  # (P, 2 + C) such steps from one value to the next

    def of_records(self, name: str) -> Int64Array:
        """A field for each record."""
        return np.repeat(getattr(self, name), self.sizes, axis=0)

    def apart(self, which: Int64Array) -> "PageHeads":
        """Heads of some records, each of which is then the one record of a page."""
        boxes, lows, scales = self.record_boxes(), self.of_records("lows"), self.of_records("scales")
        ones = np.ones(len(which), np.int64)
        return PageHeads(self.width, ones, boxes[which], 0 * ones, lows[which], scales[which])

    def record_boxes(self) -> Int64Array:
        """(n, 4) x, y, width, height, px, in which each record's mean lies: they move along x in a page."""
        boxes = self.of_records("boxes")
        number = np.arange(len(boxes)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        x = boxes[:, 0] + ((number * self.of_records("slopes")) >> 8)
        boxes[:, 0] = np.minimum(x, self.width - boxes[:, 2])
        return boxes


def pack_fields(values: Int64Array, widths: tuple[int, ...], stride: int) -> Bytes:
    """(n, stride) records of (n, F) values, each from 0 to 2^width - 1."""
    words = np.zeros((len(values), stride // 8 + 2), np.uint64)
    at = 0
    for column, width in zip(values.T.astype(np.uint64), widths, strict=True):
        word, shift = divmod(at, _WORD)
        words[:, word] |= column << np.uint64(shift)
        if shift + width > _WORD:
            words[:, word + 1] |= column >> np.uint64(_WORD - shift)
        at += width
    return words.astype("<u8").view(np.uint8)[:, :stride]
