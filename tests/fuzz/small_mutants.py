"""Mutants of files of profile `small`, which have no chunks: fields, extras and bytes, size and checksum made right."""

from random import Random
from typing import Final

from gscodec.format.crc32c import crc32c
from gscodec.format.layout import SMALL_EXTRA, SMALL_HEADER, SMALL_SET, Table
from gscodec.format.profile_table import SMALL

_EDGES: Final = (0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 192, 254, 255)
_TYPES: Final = (b"CHAN", b"FILE", b"ICCP", b"META", b"GAUS", b"QUAN", b"none", b"n\0ne")


def is_small(data: bytes) -> bool:
    """Whether a good file has profile `small`."""
    at = SMALL_HEADER.offsets["profile"]
    return len(data) > SMALL_HEADER.size and data[at] == SMALL.code


def small_mutant(r: Random, data: bytes) -> bytes:
    """A mutant of such a file."""
    changed = bytearray(data[:-4])
    for _ in range(r.choice((1, 1, 2, 4))):
        r.choice((_field, _field, _byte, _bit, _insert, _remove, _extra))(r, changed)
    size = len(changed) + 4
    if r.random() < 0.95:
        at = SMALL_HEADER.offsets["file_size"]
        changed[at : at + 2] = (size & 0xFFFF).to_bytes(2, "little")
    crc = crc32c(bytes(changed)) if r.random() < 0.97 else r.getrandbits(32)
    changed += crc.to_bytes(4, "little")
    return bytes(changed[: r.randrange(size)] if r.random() < 0.02 else changed)


def small_set_mutant(r: Random, data: bytes) -> bytes:
    """A mutant of a coarser set in its short form."""
    changed, least = bytearray(data[:-4]), SMALL_SET.size
    for _ in range(r.choice((1, 1, 2, 4))):
        at = r.randrange(least, len(changed) + 1) if len(changed) >= least else 0
        match r.randrange(5):
            case 0 | 1 if len(changed) >= least:
                _set_field(r, changed, SMALL_SET, r.choice(SMALL_SET.fixed).name)
            case 2 if changed:
                changed[r.randrange(len(changed))] ^= 1 << r.randrange(8)
            case 3:
                changed[at:at] = r.choice((b"\0", b"\xff", r.randbytes(r.randrange(1, 40)), bytes(4000)))
            case _:
                del changed[at : at + r.choice((1, 2, 9, 1000))]
    crc = crc32c(bytes(changed)) if r.random() < 0.97 else r.getrandbits(32)
    return bytes(changed) + crc.to_bytes(4, "little")


def _field(r: Random, data: bytearray) -> None:
    names = ("version_major", "version_minor", "layout", "width", "height", "n_gaussians", "n_extras")
    _set_field(r, data, SMALL_HEADER, r.choice((*names, "scale_step", "position_offset", "turn", "colours")))


def _set_field(r: Random, data: bytearray, table: Table, name: str) -> None:
    at = table.offsets[name]
    size = next(field.size or 0 for field in table.fixed if field.name == name)
    value = (
        r.choice(_EDGES) if size == 1 or r.random() < 0.5 else r.choice((4095, 4096, 4097, 65535, r.getrandbits(16)))
    )
    data[at : at + size] = value.to_bytes(size, "little")


def _byte(r: Random, data: bytearray) -> None:
    data[r.randrange(SMALL_HEADER.size, len(data))] = r.choice((*_EDGES, r.getrandbits(8)))


def _bit(r: Random, data: bytearray) -> None:
    data[r.randrange(12, len(data))] ^= 1 << r.randrange(8)


def _insert(r: Random, data: bytearray) -> None:
    at = r.randrange(SMALL_HEADER.size, len(data) + 1)
    data[at:at] = r.choice((b"\0", b"\xff", r.randbytes(r.randrange(1, 40)), bytes(3000)))


def _remove(r: Random, data: bytearray) -> None:
    at = r.randrange(SMALL_HEADER.size, len(data))
    del data[at : at + r.choice((1, 2, 9, 1000))]
    data += bytes(max(0, SMALL_HEADER.size + 1 - len(data)))


def _extra(r: Random, data: bytearray) -> None:
    """One more extra, or one less than there are."""
    at = SMALL_HEADER.offsets["n_extras"]
    if r.random() < 0.2:
        data[at] = max(0, data[at] - 1)
        return
    raw = r.choice((b"", b"{}", b'{"a":1}', r.randbytes(20)))
    values = {"fourcc": r.choice(_TYPES), "codec": r.choice((0, 0, 0, 1)), "stored_size": len(raw)}
    entry = SMALL_EXTRA.pack({**values, "raw_size": len(raw) + r.choice((0, 0, 0, 1, 9000))})
    data[SMALL_HEADER.size : SMALL_HEADER.size] = entry + raw
    data[at] = (data[at] + 1) & 0xFF
