"""Entries of the table of contents: fields that do not apply are left out, and sizes take as many bytes as they need.

The layout is that of spec/igs.md, section 4.3.
"""

from dataclasses import dataclass
from typing import Final

from gscodec.errors import CorruptField
from gscodec.format.layout import CODEC_NONE, CSET, FLAG_CRC, FLAG_CRITICAL, FLAG_SET, FLAG_SMALL, GAUS, TOC_ENTRY

MAX_VARINT_BYTES: Final = 9
"""Maximum bytes of a `varint`, 63 bits."""

HAVE_NO_CRC: Final = frozenset({CSET, GAUS})
"""Chunks whose parts have checksums of their own."""

_CODEC_SHIFT: Final = 1
_CODEC_MASK: Final = 3
_CRC_BYTES: Final = 4


@dataclass(frozen=True)
class ChunkEntry:
    """One entry of the table of contents, with the chunk's offset computed from the entries before it."""

    fourcc: bytes
    critical: bool  # a reader that does not know the chunk must refuse the file
    codec: int
    offset: int
    stored_size: int
    raw_size: int
    crc: int | None = None  # None for chunks whose parts have their own
    n_lods: int = 0  # of a coarser set
    scale_log2: int = 0  # of a coarser set: binary logarithm of the side of its pixels, px of the picture
    is_small: bool = False  # whether it is a coarser set of profile `small`, in its short form

    @property
    def label(self) -> str:
        """The chunk type as four characters, for messages."""
        return self.fourcc.decode("ascii")


def pack_varint(value: int) -> bytes:
    """An unsigned integer below 2^63 in groups of 7 bits, the least significant first."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def pack_entry(chunk: ChunkEntry) -> bytes:
    """The entry of a chunk; its offset is not stored."""
    is_set, has_crc = chunk.fourcc == CSET, chunk.fourcc not in HAVE_NO_CRC
    flags = FLAG_CRITICAL * chunk.critical | chunk.codec << _CODEC_SHIFT
    flags |= FLAG_SET * is_set | FLAG_CRC * has_crc | FLAG_SMALL * chunk.is_small
    entry = TOC_ENTRY.pack({"fourcc": chunk.fourcc, "flags": flags}) + pack_varint(chunk.stored_size)
    if chunk.codec != CODEC_NONE:
        entry += pack_varint(chunk.raw_size)
    if is_set:
        entry += bytes([chunk.n_lods, chunk.scale_log2])
    if has_crc:
        entry += (chunk.crc or 0).to_bytes(_CRC_BYTES, "little")
    return entry


def entry_bytes(fourcc: bytes, size: int) -> int:
    """Bytes of the entry of an uncompressed chunk other than CSET."""
    return len(pack_entry(ChunkEntry(fourcc, False, CODEC_NONE, 0, size, size)))


class EntryParser:
    """Parser of a table of contents, entry by entry.

    Args:
        toc: its bytes. offset: of the first chunk in the file. name: of the file, in messages.
    """

    def __init__(self, toc: bytes, offset: int, name: str) -> None:
        self._toc, self._offset, self._name = toc, offset, name
        self._at = 0

    @property
    def end(self) -> int:
        """Offset of the end of the last chunk so far."""
        return self._offset

    def entry(self) -> ChunkEntry:
        """The next entry, whose fields are looked at one by one.

        Raises:
            CorruptField: a field is outside its range, or does not go with the type.
        """
        name = self._name
        values = TOC_ENTRY.unpack(self._take(TOC_ENTRY.size))
        fourcc, flags = values["fourcc"], values["flags"]
        if not all(0x20 <= byte <= 0x7E for byte in fourcc):
            raise CorruptField(f"{name}: chunk type {fourcc!r} is not four printable ASCII characters")
        TOC_ENTRY.check(values, name)
        label = fourcc.decode("ascii")
        if bool(flags & FLAG_SET) != (fourcc == CSET) or bool(flags & FLAG_CRC) == (fourcc in HAVE_NO_CRC):
            raise CorruptField(f"{name}: chunk {label} has flags {flags:#04x}, which do not go with its type")
        is_small = bool(flags & FLAG_SMALL)
        if is_small and fourcc != CSET:
            raise CorruptField(f"{name}: chunk {label} has flags {flags:#04x}, but is no coarser set")
        codec = flags >> _CODEC_SHIFT & _CODEC_MASK
        stored_size = self._varint()
        raw_size = stored_size if codec == CODEC_NONE else self._varint()
        about = {"n_lods": 0, "scale_log2": 0}
        if fourcc == CSET:
            about = dict(zip(about, self._take(2), strict=True))
            TOC_ENTRY.check(about, name)
            if is_small and about["n_lods"] != 1:
                raise CorruptField(f"{name}: a coarser set of profile small has {about['n_lods']} levels, must be 1")
        crc = int.from_bytes(self._take(_CRC_BYTES), "little") if flags & FLAG_CRC else None
        offset = self._offset
        self._offset += stored_size
        critical = bool(flags & FLAG_CRITICAL)
        return ChunkEntry(fourcc, critical, codec, offset, stored_size, raw_size, crc, **about, is_small=is_small)

    def finish(self) -> None:
        """Check that nothing follows the last entry.

        Raises:
            CorruptField: bytes are left.
        """
        if self._at != len(self._toc):
            raise CorruptField(
                f"{self._name}: the table of contents has {len(self._toc)} bytes, its entries take {self._at}"
            )

    def _take(self, n_bytes: int) -> bytes:
        part = self._toc[self._at : self._at + n_bytes]
        if len(part) < n_bytes:
            raise CorruptField(f"{self._name}: the table of contents ends within an entry")
        self._at += n_bytes
        return part

    def _varint(self) -> int:
        value = 0
        for place in range(MAX_VARINT_BYTES):
            (byte,) = self._take(1)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if place and not byte:
                    raise CorruptField(f"{self._name}: a size in the table of contents has more bytes than it needs")
                return value
        raise CorruptField(f"{self._name}: a size in the table of contents has more than {MAX_VARINT_BYTES} bytes")
