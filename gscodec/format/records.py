"""Records of profile `packed`: fixed-size bit fields, so that any record can be read alone.

Every width is stored once per file (spec/igs.md, section 8). A record is one little-endian number, its values
from the least significant bit on: narrow, elongation, place, features.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

MAX_FIELD_BITS: Final = 24
"""Maximum bits of a field: features are binary32, which holds no more."""
MIN_PLACE_BITS: Final = 12
MAX_PLACE_BITS: Final = 31
"""Maximum bits of rotation (up to 12) and mean together."""

_WORD: Final = 64


@dataclass(frozen=True)
class RecordLayout:
    """Bit widths of the fields of records.

    Narrow scale, elongation and each feature are integers counted from their page's low, in steps of the page's scale.
    """

    place_bits: int  # rotation, then x, then y; their widths depend on the Gaussian's shape
    lows: tuple[int, ...]  # (2 + C,) minimum low over all pages, in scale steps and feature steps
    bits: tuple[int, ...]  # (2 + C,)

    @property
    def widths(self) -> tuple[int, ...]:
        """(3 + C) bits of narrow, elongation, place and features."""
        return (*self.bits[:2], self.place_bits, *self.bits[2:])

    @property
    def stride(self) -> int:
        """Size of a record in bytes."""
        return max(1, -(-sum(self.widths) // 8))


@dataclass(frozen=True)
class PageHeads:
    """Page heads: parameters common to all records of a page, for dequantising means and fields."""

    width: int  # of the picture, px; boxes lie inside it
    sizes: Int64Array  # (P,) records
    boxes: Int64Array  # (P, 4) x, y, width, height, px, in which the first record's mean lies
    slopes: Int64Array  # (P,) offset of x from one record to the next, in 1/256 px
    lows: Int64Array  # (P, 2 + C) in scale steps and feature steps
    scales: Int64Array  # (P, 2 + C) steps per field value

    def of_records(self, name: str) -> Int64Array:
        """The page field `name`, repeated for each record: first axis N instead of P."""
        return np.repeat(getattr(self, name), self.sizes, axis=0)

    def apart(self, which: Int64Array) -> "PageHeads":
        """Heads of selected records, as if each were the only record of its page."""
        boxes, lows, scales = self.record_boxes(), self.of_records("lows"), self.of_records("scales")
        ones = np.ones(len(which), np.int64)
        return PageHeads(self.width, ones, boxes[which], 0 * ones, lows[which], scales[which])

    def record_boxes(self) -> Int64Array:
        """(n, 4) x, y, width, height in px of the box of each record's mean; boxes advance along x within a page."""
        boxes = self.of_records("boxes")
        number = np.arange(len(boxes)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        x = boxes[:, 0] + ((number * self.of_records("slopes")) >> 8)
        boxes[:, 0] = np.minimum(x, self.width - boxes[:, 2])
        return boxes


def pack_fields(values: Int64Array, widths: tuple[int, ...], stride: int) -> Bytes:
    """(n, stride) uint8 records from (n, F) field values, each in 0..2^width - 1."""
    words = np.zeros((len(values), stride // 8 + 2), np.uint64)
    at = 0
    for column, width in zip(values.T.astype(np.uint64), widths, strict=True):
        word, shift = divmod(at, _WORD)
        words[:, word] |= column << np.uint64(shift)
        if shift + width > _WORD:
            words[:, word + 1] |= column >> np.uint64(_WORD - shift)
        at += width
    return words.astype("<u8").view(np.uint8)[:, :stride]
