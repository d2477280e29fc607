"""Field tables of the container, shared by reader, writer, validator and `info`.

Names, types, sizes, offsets, ranges and errors are those of the tables in spec/igs.md; a test compares the two.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from gscodec.errors import CorruptField, GsCodecError, LimitExceeded, UnsupportedChunk, UnsupportedVersion
from gscodec.format.profile_table import LAYOUTS, MAX_SMALL_BYTES, PAGED_CODES, SMALL
from gscodec.format.records import MAX_FIELD_BITS, MAX_PLACE_BITS, MIN_PLACE_BITS
from gscodec.model.constants import MAX_CHANNELS, MAX_DIMENSION, MAX_GAUSSIANS, MAX_LODS, MAX_TOP_K
from gscodec.model.grain import MAX_CORRELATION, N_STRENGTHS

_CODES: Final = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i16": "h", "i32": "i", "f16": "e", "f32": "f"}

ErrorClass = type[GsCodecError]


@dataclass(frozen=True)
class Field:
    """One field: name and type as in the spec, valid range, and the error for values outside it.

    A type is a scalar (`u16`), a fixed-size array (`f16[2]`, `u8[12]`), an array whose length is an earlier field
    (`f32[n_channels]`), or `varint`, an unsigned integer of 1 to 9 bytes. `low` and `high` are inclusive; None means
    that other rules apply.
    """

    name: str
    type: str
    low: float | None = None
    high: float | None = None
    below: ErrorClass = CorruptField
    above: ErrorClass = CorruptField

    @property
    def scalar(self) -> str:
        """The element type, without an array length."""
        return self.type.partition("[")[0]

    @property
    def count(self) -> int | None:
        """Number of elements, or None if it depends on another field or on the value."""
        if self.type == "varint":
            return None
        length = self.type.partition("[")[2].rstrip("]")
        return 1 if not length else int(length) if length.isdigit() else None

    @property
    def size(self) -> int | None:
        """Size in bytes, or None if it depends on another field or on the value."""
        return None if self.count is None else self.count * struct.calcsize("<" + _CODES[self.scalar])

    @property
    def struct_code(self) -> str:
        """Format of the field for the struct module; an array is one bytes value."""
        return f"{self.size}s" if self.count != 1 else _CODES[self.scalar]


@dataclass(frozen=True)
class Table:
    """Consecutive fields, little-endian, without padding. Variable-size fields come after all others."""

    name: str
    fields: tuple[Field, ...]

    @cached_property
    def fixed(self) -> tuple[Field, ...]:
        """The leading fixed-size fields."""
        sizes = [field.size for field in self.fields]
        return self.fields[: sizes.index(None) if None in sizes else len(sizes)]

    @cached_property
    def codec(self) -> struct.Struct:
        """Struct of the fixed-size fields."""
        return struct.Struct("<" + "".join(field.struct_code for field in self.fixed))

    @property
    def size(self) -> int:
        """Total size in bytes of the fixed-size fields."""
        return self.codec.size

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Offset in bytes of each fixed-size field, by name."""
        offsets, at = {}, 0
        for field in self.fixed:
            offsets[field.name] = at
            at += field.size or 0
        return offsets

    def unpack(self, data: bytes | memoryview, offset: int = 0) -> dict[str, Any]:
        """Values of the fixed-size fields by name. The caller guarantees that `data` is long enough."""
        return dict(zip((field.name for field in self.fixed), self.codec.unpack_from(data, offset), strict=True))

    def pack(self, values: Mapping[str, Any]) -> bytes:
        """The fixed-size fields as bytes; `values` must have been checked."""
        return self.codec.pack(*(values[field.name] for field in self.fixed))

    def check(self, values: Mapping[str, Any], where: str, error: ErrorClass | None = None) -> None:
        """Refuse the first value outside its range.

        Args:
            values: by field name; missing fields are not checked.
            where: prefix of the message, the file's name.
            error: raised instead of the field's own error (a writer's InvalidArgument).

        Raises:
            GsCodecError: of the class that the field names.
        """
        for field in self.fields:
            if field.name not in values or field.low is None or field.high is None:
                continue
            value = values[field.name]
            if not field.low <= value <= field.high:  # also true for NaN
                kind = error or (field.above if value > field.high else field.below)
                span = f"{field.low:g}" if field.low == field.high else f"{field.low:.10g}..{field.high:.10g}"
                raise kind(f"{where}: {self.name} field {field.name} is {value}, must be {span}")


SIGNATURE: Final = bytes.fromhex("AB494753203130BB0D0A1A0A")

VERSION: Final = (1, 0)
MAX_CHUNKS: Final = 64  # far more than there are chunk types
MAX_PAGE_SIZE: Final = 4096  # records; larger pages would make region reads inefficient
MAX_SCALE_LOG2: Final = 20  # the largest picture has then one pixel
MIN_GAIN: Final = 1 / 64
MAX_GAIN: Final = 64.0

HEADER: Final = Table(
    "Header",
    (
        Field("signature", "u8[12]"),
        Field("version_major", "u8", 1, 1, UnsupportedVersion, UnsupportedVersion),
        Field("version_minor", "u8", 0, 0, UnsupportedVersion, UnsupportedVersion),
        Field("profile", "u8", PAGED_CODES[0], PAGED_CODES[-1], UnsupportedChunk, UnsupportedChunk),
        Field("lod_count", "u8", 1, MAX_LODS, above=LimitExceeded),
        Field("file_size", "u64"),
        Field("width", "u32", 1, MAX_DIMENSION, above=LimitExceeded),
        Field("height", "u32", 1, MAX_DIMENSION, above=LimitExceeded),
        Field("n_gaussians", "u32", 0, MAX_GAUSSIANS, above=LimitExceeded),
        Field("n_channels", "u16", 1, MAX_CHANNELS, above=LimitExceeded),
        Field("top_k", "u8", 1, MAX_TOP_K, above=LimitExceeded),
        Field("chunk_count", "u8", 1, MAX_CHUNKS, above=LimitExceeded),
        Field("support_q", "f32", 1, 64),
        Field("page_size", "u16", 1, MAX_PAGE_SIZE, above=LimitExceeded),
        Field("toc_size", "u16"),
        Field("header_crc", "u32"),
    ),
)

TOC_ENTRY: Final = Table(
    "TOC entry",
    (
        Field("fourcc", "u8[4]"),
        Field("flags", "u8", 0, 63),
        Field("stored_size", "varint"),
        Field("raw_size", "varint"),
        Field("n_lods", "u8", 1, MAX_LODS),
        Field("scale_log2", "u8", 0, MAX_SCALE_LOG2),
        Field("crc", "u32"),
    ),
)

GROUP: Final = Table(
    "Channel group",
    (
        Field("n_channels", "u8", 1, MAX_CHANNELS),
        Field("role", "u8", 0, 10),
        Field("bit_depth", "u8", 1, 32),
        Field("sample_type", "u8", 0, 1),
        Field("transfer", "u8", 0, 3),
        Field("alpha", "u8", 0, 2),
        Field("normal", "u8", 0, 2),
        Field("knee", "u8", 0, 127),
        Field("value_min", "f32"),
        Field("value_max", "f32"),
        Field("background", "f32[n_channels]"),
        Field("name_len", "u8", 1, 255),
        Field("name", "u8[name_len]"),
        Field("source_len", "u8", 0, 255),
        Field("source", "u8[source_len]"),
    ),
)

LOD_ROW: Final = Table(
    "LOD row",
    (
        Field("count", "u32"),
        Field("gain", "f32[m+1]", MIN_GAIN, MAX_GAIN),
    ),
)

PAGE_ENTRY: Final = Table(
    "Page entry",
    (
        Field("tx_first", "u16"),
        Field("ty_first", "u16"),
        Field("tx_last", "u16"),
        Field("ty_last", "u16"),
        Field("crc", "u32"),
    ),
)

SIZED_PAGE_ENTRY: Final = Table("Sized page entry", (*PAGE_ENTRY.fields, Field("n_bytes", "u32")))

PAGE_TREE: Final = Table(
    "Page tree",
    (
        Field("block_size", "u16", 1, 4096),
        Field("reserved", "u16", 0, 0),
    ),
)

RECORD: Final = Table(
    "Record",
    (
        Field("x", "u16", 0, 65535),
        Field("y", "u16", 0, 65535),
        Field("inv_scale", "f16[2]", 2.0**-14, 64),
        Field("rotation", "u16", 0, 65535),
        Field("feature", "f16[C]", -65504, 65504),
    ),
)

QUANTISER: Final = Table(
    "Quantiser",
    (
        Field("scale_step", "u8", 1, 64),
        Field("feature_slope", "u8", 0, 64),
        Field("position_offset", "i16"),
        Field("rotation_from", "u8[12]"),
        Field("cell_log2", "u8[L]", 0, 20),
        Field("feature_step", "f32[C]"),
        Field("transform", "f16[T]"),
    ),
)

RECORD_WIDTHS: Final = Table("Record widths", (Field("place_bits", "u8", MIN_PLACE_BITS, MAX_PLACE_BITS),))

FIELD_WIDTH: Final = Table(
    "Field width",
    (
        Field("low", "i32"),
        Field("bits", "u8", 0, MAX_FIELD_BITS),
    ),
)

PAGE_HEAD: Final = Table(
    "Page head",
    (
        Field("x", "u16"),
        Field("y", "u16"),
        Field("width", "u16", 1, 65535),
        Field("height", "u16", 1, 65535),
        Field("slope", "u16"),
    ),
)

PAGE_FIELD: Final = Table(
    "Page field",
    (
        Field("low", "u16"),
        Field("scale", "u8", 1, 255),
    ),
)

MAX_SMALL_SIDE: Final = 65535
"""Maximum side in px of a picture of profile `small`: the header stores 16 bits."""

SMALL_HEADER: Final = Table(
    "Small header",
    (
        Field("signature", "u8[12]"),
        Field("version_major", "u8", 1, 1, UnsupportedVersion, UnsupportedVersion),
        Field("version_minor", "u8", 0, 0, UnsupportedVersion, UnsupportedVersion),
        Field("profile", "u8", SMALL.code, SMALL.code),
        Field("layout", "u8", 0, 8),
        Field("file_size", "u16"),
        Field("width", "u16", 1, MAX_SMALL_SIDE),
        Field("height", "u16", 1, MAX_SMALL_SIDE),
        Field("n_gaussians", "u16", 0, MAX_SMALL_BYTES, above=LimitExceeded),
        Field("n_extras", "u8", 0, 8),
        Field("scale_step", "u8", 1, 64),
        Field("position_offset", "u8", 0, 255),
        Field("turn", "u8", 0, 255),
        Field("colours", "u8", 0, 1),
        Field("feature_step", "u8[n_channels]", 0, 255),
    ),
)

SMALL_EXTRA: Final = Table(
    "Extra of a small file",
    (
        Field("fourcc", "u8[4]"),
        Field("codec", "u8", 0, 1),
        Field("stored_size", "u16"),
        Field("raw_size", "u16"),
    ),
)

SMALL_SET: Final = Table(
    "Small set",
    (
        Field("n_gaussians", "u16", 0, MAX_SMALL_BYTES, above=LimitExceeded),
        Field("scale_step", "u8", 1, 64),
        Field("position_offset", "u8", 0, 255),
        Field("turn", "u8", 0, 255),
        Field("colours", "u8", 0, 1),
        Field("feature_step", "u8[n_channels]", 0, 255),
    ),
)

GRAIN: Final = Table(
    "Grain",
    (
        Field("group", "u8", 0, MAX_CHANNELS - 1),
        Field("correlation", "u8", 0, MAX_CORRELATION),
        Field("independence", "u8", 0, 255),
        Field("strength", f"u8[{N_STRENGTHS}]"),
    ),
)

FLAG_CRITICAL: Final = 1
FLAG_SET: Final = 8
FLAG_CRC: Final = 16
FLAG_SMALL: Final = 32
"""Bits of an entry of the table of contents; bits 1 and 2 are the codec."""

CODEC_NONE: Final = 0
CODEC_DEFLATE: Final = 1

CHAN: Final = b"CHAN"
CSET: Final = b"CSET"
LODS: Final = b"LODS"
PAGT: Final = b"PAGT"
PAGI: Final = b"PAGI"
QUAN: Final = b"QUAN"
ICCP: Final = b"ICCP"
FILE: Final = b"FILE"
GAUS: Final = b"GAUS"
TAGS: Final = b"TAGS"
GRAN: Final = b"GRAN"
EXIF: Final = b"EXIF"
XMP: Final = b"XMP_"
META: Final = b"META"

KNOWN_CHUNKS: Final = {
    CHAN: True,
    FILE: False,
    ICCP: False,
    TAGS: False,
    GRAN: False,
    CSET: True,
    LODS: True,
    PAGT: False,
    QUAN: True,
    PAGI: True,
    GAUS: True,
    EXIF: False,
    XMP: False,
    META: False,
}
"""Chunk types of version 1.0, in the order they are written, and whether each is critical."""

SET_CHUNKS: Final = (LODS, PAGT, QUAN, PAGI, GAUS)
"""Chunks of one set of Gaussians: those of the finest are chunks of the file, those of a coarser one of its CSET."""


def required_chunks(profile: int, lod_count: int, *, coarser: bool = False) -> tuple[bytes, ...]:
    """Chunks that a file of such a profile and number of levels must have, or a coarser set in it.

    With one level, LODS is there only if its gain is not 1.
    """
    levels = (LODS,) if lod_count > 1 else ()
    quantiser = (QUAN,) if LAYOUTS[profile].has_quantiser else ()
    return (*(() if coarser else (CHAN,)), *levels, *quantiser, PAGI, GAUS)


def record_size(n_channels: int) -> int:
    """Bytes of one `f16` record."""
    return RECORD.size + 2 * n_channels


@dataclass(frozen=True)
class Header:
    """Values of the header; attributes have the names of the HEADER table."""

    signature: bytes
    version_major: int
    version_minor: int
    profile: int
    lod_count: int
    file_size: int
    width: int
    height: int
    n_gaussians: int
    n_channels: int
    top_k: int
    chunk_count: int
    support_q: float
    page_size: int
    toc_size: int
    header_crc: int
