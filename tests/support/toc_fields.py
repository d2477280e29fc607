"""Entries of the table of contents as fields that can be changed one by one, whether they then go together or not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gscodec.errors import CorruptField
from gscodec.format.chunks import header_crc
from gscodec.format.layout import FLAG_CRC, FLAG_CRITICAL, FLAG_SET, FLAG_SMALL, HEADER
from gscodec.format.toc import pack_varint

CODEC: Final = 6
"""Bits of the codec in the flags."""


@dataclass(frozen=True)
class TocFields:
    """Fields of an entry. Which of the last four are stored follows from the flags."""

    fourcc: bytes
    flags: int
    stored_size: int
    raw_size: int = 0
    n_lods: int = 0
    scale_log2: int = 0
    crc: int = 0

    @property
    def codec(self) -> int:
        """How the bytes are stored."""
        return (self.flags & CODEC) >> 1

    @property
    def critical(self) -> bool:
        """Whether the critical bit is set."""
        return bool(self.flags & FLAG_CRITICAL)

    @property
    def is_small(self) -> bool:
        """Whether the bit of small sets is set."""
        return bool(self.flags & FLAG_SMALL)

    def with_codec(self, codec: int) -> "TocFields":
        """The same with another codec."""
        return replace(self, flags=self.flags & ~CODEC | codec << 1, raw_size=self.raw_size or self.stored_size)

    def pack(self) -> bytes:
        """The entry; values that a field cannot hold are cut off."""
        data = self.fourcc + bytes([self.flags & 255]) + pack_varint(self.stored_size)
        if self.flags & CODEC:
            data += pack_varint(self.raw_size)
        if self.flags & FLAG_SET:
            data += bytes([self.n_lods & 255, self.scale_log2 & 255])
        if self.flags & FLAG_CRC:
            data += (self.crc & 0xFFFFFFFF).to_bytes(4, "little")
        return data


def toc_end(data: bytes) -> int:
    """Offset of the first chunk."""
    return HEADER.size + int(HEADER.unpack(data)["toc_size"])


def toc_of(data: bytes) -> list[TocFields]:
    """Entries of the table of contents of a file whose table is sound.

    Raises:
        CorruptField: it ends early.
    """
    return [fields for fields, _ in _parsed(data)]


def toc_spans(data: bytes) -> list[tuple[int, int]]:
    """Offset and length of each entry in a file."""
    return [span for _, span in _parsed(data)]


def _parsed(data: bytes) -> list[tuple[TocFields, tuple[int, int]]]:
    at, end, found = HEADER.size, min(toc_end(data), len(data)), []

    def take(n_bytes: int) -> bytes:
        nonlocal at
        part = data[at : min(at + n_bytes, end)]
        if len(part) < n_bytes:
            raise CorruptField("the table of contents ends early")
        at += n_bytes
        return part

    def varint() -> int:
        value = shift = 0
        while True:
            (byte,) = take(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    for _ in range(HEADER.unpack(data)["chunk_count"]):
        first, fourcc, flags = at, take(4), take(1)[0]
        stored_size = varint()
        raw_size = varint() if flags & CODEC else stored_size
        n_lods, scale_log2 = take(2) if flags & FLAG_SET else (0, 0)
        crc = int.from_bytes(take(4), "little") if flags & FLAG_CRC else 0
        found.append((TocFields(fourcc, flags, stored_size, raw_size, n_lods, scale_log2, crc), (first, at - first)))
    return found


def seal(data: bytes) -> bytes:
    """The same file with the header's checksum made right."""
    at = HEADER.offsets["header_crc"]
    crc = header_crc(data[: HEADER.size], data[HEADER.size : toc_end(data)])
    return data[:at] + crc.to_bytes(4, "little") + data[at + 4 :]


def with_toc(data: bytes, entries: Sequence[bytes], **header: Any) -> bytes:
    """A file with another table of contents: toc_size and file_size go along, then fields of the header are set."""
    toc, end = b"".join(entries), toc_end(data)
    values = HEADER.unpack(data)
    sizes = {"toc_size": len(toc), "file_size": values["file_size"] + HEADER.size + len(toc) - end}
    return seal(HEADER.pack({**values, **sizes, **header}) + toc + data[end:])


def with_entry(data: bytes, kind: bytes, edit: Callable[[TocFields], TocFields]) -> bytes:
    """A file with the first entry of a type in its table of contents changed."""
    entries = toc_of(data)
    number = [entry.fourcc for entry in entries].index(kind)
    entries[number] = edit(entries[number])
    return with_toc(data, [entry.pack() for entry in entries])


def promising(data: bytes, kind: bytes, n_bytes: int) -> bytes:
    """A file whose first chunk of a type has another stored_size, which file_size agrees with; its bytes stay."""
    old = next(entry.stored_size for entry in toc_of(data) if entry.fourcc == kind)
    changed = with_entry(data, kind, lambda entry: replace(entry, stored_size=n_bytes))
    entries = [entry.pack() for entry in toc_of(changed)]
    return with_toc(changed, entries, file_size=HEADER.unpack(changed)["file_size"] + n_bytes - old)
