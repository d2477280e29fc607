"""Faults of files by name, each a small file with the error that readers report."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from toc_fields import promising, seal, toc_of, with_entry, with_toc

from gscodec.container.reader import IgsReader
from gscodec.errors import (
    BadMagic,
    ChecksumMismatch,
    CorruptField,
    GsCodecError,
    LimitExceeded,
    TruncatedStream,
    UnsupportedChunk,
    UnsupportedVersion,
)
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.crc32c import crc32c
from gscodec.format.layout import FLAG_CRC, FLAG_CRITICAL, FLAG_SET, FLAG_SMALL, GROUP, HEADER, PAGE_ENTRY

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
BASE = (VECTORS / "rgb.igs").read_bytes()  # 45 Gaussians, 3 channels, 3 LODs, ICC and metadata
TOC_SIZE = HEADER.unpack(BASE)["toc_size"]
RECORD = 16


def header(field: str, value: Any) -> bytes:
    """The base file with one header field changed."""
    values = HEADER.unpack(BASE)
    return seal(HEADER.pack({**values, field: value}) + BASE[HEADER.size :])


def toc(kind: bytes, field: str, value: Any) -> bytes:
    """The base file with one field of the first entry of such a type in the table of contents changed."""
    return with_entry(BASE, kind, lambda entry: replace(entry, **{field: value}))


def flag(kind: bytes, bit: int) -> bytes:
    """The base file with a bit of the flags of such an entry changed."""
    return with_entry(BASE, kind, lambda entry: replace(entry, flags=entry.flags ^ bit, n_lods=1))


def codec(kind: bytes, number: int) -> bytes:
    """The base file with another codec of a chunk in the table of contents."""
    return with_entry(BASE, kind, lambda entry: entry.with_codec(number))


def toc_bytes(kind: bytes, offset: int, old: bytes, new: bytes) -> bytes:
    """The base file with other bytes in an entry of the table of contents."""
    entries = toc_of(BASE)
    packed = [entry.pack() for entry in entries]
    at = [entry.fourcc for entry in entries].index(kind)
    assert packed[at][offset:].startswith(old)
    packed[at] = packed[at][:offset] + new + packed[at][offset + len(old) :]
    return with_toc(BASE, packed)


def parts(data: bytes = BASE) -> tuple[dict[str, Any], dict[bytes, StoredChunk]]:
    reader = IgsReader(data)
    chunks = {
        chunk.fourcc: StoredChunk(
            chunk.fourcc, chunk.critical, chunk.codec, data[chunk.offset :][: chunk.stored_size], chunk.raw_size
        )
        for chunk in reader.chunks
    }
    return asdict(reader.header), chunks


def chunks(edit: Callable[[dict[bytes, StoredChunk]], object], **values: Any) -> bytes:
    """The base file with its chunks edited and put together anew."""
    head, found = parts()
    edit(found)
    return assemble({**head, **values}, list(found.values()))


def table(fourcc: bytes, edit: Callable[[bytearray], object]) -> bytes:
    """The base file with the raw bytes of a chunk edited."""
    head, found = parts()
    chunk = found[fourcc]
    raw = bytearray(zlib.decompress(chunk.stored) if chunk.codec else chunk.stored)
    edit(raw)
    found[fourcc] = StoredChunk(fourcc, chunk.critical, 0, bytes(raw), len(raw))
    return assemble(head, list(found.values()))


def put(offset: int, value: bytes) -> Callable[[bytearray], None]:
    def edit(raw: bytearray) -> None:
        raw[offset : offset + len(value)] = value

    return edit


def f32(value: float) -> bytes:
    return struct.pack("<f", value)


def record(offset: int, value: bytes) -> bytes:
    """The base file with bytes of the first record changed and its page's checksum made right."""
    head, found = parts()
    data = bytearray(found[b"GAUS"].stored)
    data[offset : offset + len(value)] = value
    pages = bytearray(found[b"PAGI"].stored)
    pages[8:12] = crc32c(bytes(data[: 8 * RECORD])).to_bytes(4, "little")  # generation 0 has one page of 8
    found[b"GAUS"] = replace(found[b"GAUS"], stored=bytes(data))
    found[b"PAGI"] = replace(found[b"PAGI"], stored=bytes(pages))
    return assemble(head, list(found.values()))


def replaced(fourcc: bytes, raw: bytes, *, raw_size: int | None = None, codec: int = 1) -> bytes:
    """The base file with a chunk replaced by other stored bytes."""
    stored = zlib.compress(raw, 9) if codec else raw
    size = len(raw) if raw_size is None else raw_size
    return chunks(lambda c: c.update({fourcc: replace(c[fourcc], codec=codec, stored=stored, raw_size=size)}))


def text_group(name: bytes = b"image", source: bytes = b"") -> bytes:
    """The base file with other texts in its only channel group."""
    tail = bytes([len(name)]) + name + bytes([len(source)]) + source
    return table(b"CHAN", lambda raw: raw.__setitem__(slice(1 + GROUP.size + 12, None), tail))


def meta(raw: bytes) -> bytes:
    return replaced(b"META", raw, codec=0)


def two_groups() -> bytes:
    """The base file with one name for two groups."""
    _, found = parts()
    whole = found[b"CHAN"].stored
    one = bytes([1]) + whole[2 : 1 + GROUP.size] + f32(0) + b"\x05image\x00"
    two = bytes([2]) + whole[2 : 1 + GROUP.size] + f32(0) * 2 + b"\x05image\x00"
    return table(b"CHAN", lambda raw: raw.__setitem__(slice(None), b"\x02" + one + two))


def many_groups() -> bytes:
    return table(b"CHAN", lambda raw: raw.__setitem__(slice(None), b"\x41" + bytes(raw[1:]) * 65))


def many_pages(cut: bool) -> bytes:
    """Sixty million pages of one record promised by a header; all but the tables may be cut away."""
    n = 60_000_000
    head, found = parts()
    found[b"PAGI"] = StoredChunk(b"PAGI", True, 1, zlib.compress(bytes(1 << 20)), n * PAGE_ENTRY.size)
    del found[b"ICCP"], found[b"META"], found[b"LODS"]
    data = assemble({**head, "n_gaussians": n, "page_size": 1, "lod_count": 1}, list(found.values()))
    whole = promising(data, b"GAUS", n * RECORD)
    return whole[: len(whole) - len(found[b"GAUS"].stored)] if cut else whole


PAGES = b"PAGI"
FAULTS: dict[str, tuple[Callable[[], bytes], type[GsCodecError]]] = {
    "empty_file": (lambda: b"", TruncatedStream),
    "other_signature": (lambda: b"\x89PNG\r\n\x1a\n" + BASE[8:], BadMagic),
    "line_ends_changed": (lambda: BASE.replace(b"\r\n", b"\n"), BadMagic),
    "iges_text": (lambda: b" " * 72 + b"S      1\r\n", BadMagic),
    "signature_only": (lambda: BASE[:12], TruncatedStream),
    "half_a_header": (lambda: BASE[:40], TruncatedStream),
    "half_a_toc": (lambda: BASE[:100], TruncatedStream),
    "cut_before_data": (lambda: BASE[: IgsReader(BASE).data_offset - 1], TruncatedStream),
    "cut_at_data": (lambda: BASE[: IgsReader(BASE).data_offset], TruncatedStream),
    "extra_byte": (lambda: BASE + b"\0", CorruptField),
    "version_0": (lambda: header("version_major", 0), UnsupportedVersion),
    "version_2": (lambda: header("version_major", 2), UnsupportedVersion),
    "unknown_profile": (lambda: header("profile", 4), UnsupportedChunk),
    "no_lods": (lambda: header("lod_count", 0), CorruptField),
    "too_many_lods": (lambda: header("lod_count", 17), LimitExceeded),
    "other_lod_count": (lambda: header("lod_count", 4), CorruptField),
    "file_size_too_small": (lambda: header("file_size", len(BASE) - 1), CorruptField),
    "file_size_too_large": (lambda: header("file_size", 2**64 - 1), CorruptField),
    "no_width": (lambda: header("width", 0), CorruptField),
    "no_height": (lambda: header("height", 0), CorruptField),
    "huge_width": (lambda: header("width", 2**32 - 1), LimitExceeded),
    "huge_height": (lambda: header("height", 2**20 + 1), LimitExceeded),
    "grid_smaller_than_boxes": (lambda: header("width", 16), CorruptField),
    "huge_n_gaussians": (lambda: header("n_gaussians", 2**32 - 1), LimitExceeded),
    "n_gaussians_one_more": (lambda: header("n_gaussians", 46), CorruptField),
    "no_channels": (lambda: header("n_channels", 0), CorruptField),
    "too_many_channels": (lambda: header("n_channels", 65535), LimitExceeded),
    "other_channel_count": (lambda: header("n_channels", 4), CorruptField),
    "no_top_k": (lambda: header("top_k", 0), CorruptField),
    "huge_top_k": (lambda: header("top_k", 33), LimitExceeded),
    "no_chunks": (lambda: header("chunk_count", 0), CorruptField),
    "too_many_chunks": (lambda: header("chunk_count", 65), LimitExceeded),
    "support_q_nan": (lambda: header("support_q", float("nan")), CorruptField),
    "support_q_infinite": (lambda: header("support_q", float("inf")), CorruptField),
    "support_q_zero": (lambda: header("support_q", 0.0), CorruptField),
    "support_q_negative": (lambda: header("support_q", -9.0), CorruptField),
    "no_page_size": (lambda: header("page_size", 0), CorruptField),
    "huge_page_size": (lambda: header("page_size", 4097), LimitExceeded),
    "other_page_size": (lambda: header("page_size", 7), CorruptField),
    "toc_size_a_byte_less": (lambda: header("toc_size", TOC_SIZE - 1), CorruptField),
    "toc_size_a_byte_more": (lambda: header("toc_size", TOC_SIZE + 1), CorruptField),
    "toc_size_0": (lambda: header("toc_size", 0), CorruptField),
    "toc_size_beyond_the_file": (lambda: header("toc_size", 65535), TruncatedStream),
    "chunk_count_one_less": (lambda: header("chunk_count", BASE[39] - 1), CorruptField),
    "chunk_count_one_more": (lambda: header("chunk_count", BASE[39] + 1), CorruptField),
    "header_crc_wrong": (lambda: BASE[:48] + bytes(4) + BASE[52:], ChecksumMismatch),
    "toc_bit_flipped": (lambda: BASE[:90] + bytes([BASE[90] ^ 1]) + BASE[91:], ChecksumMismatch),
    "fourcc_not_ascii": (lambda: toc(b"CHAN", "fourcc", b"CH\0N"), CorruptField),
    "fourcc_unknown_critical": (lambda: toc(b"CHAN", "fourcc", b"CHAX"), UnsupportedChunk),
    "flags_reserved_bit": (lambda: flag(b"CHAN", 64), CorruptField),
    "flags_last_reserved_bit": (lambda: flag(b"CHAN", 128), CorruptField),
    "critical_chunk_marked_ancillary": (lambda: flag(b"CHAN", FLAG_CRITICAL), CorruptField),
    "ancillary_chunk_marked_critical": (lambda: flag(b"ICCP", FLAG_CRITICAL), CorruptField),
    "levels_of_no_coarser_set": (lambda: flag(b"PAGI", FLAG_SET), CorruptField),
    "small_set_that_is_none": (lambda: flag(b"PAGI", FLAG_SMALL), CorruptField),
    "unknown_codec": (lambda: codec(b"LODS", 2), UnsupportedChunk),
    "gaus_deflated": (lambda: codec(b"GAUS", 1), UnsupportedChunk),
    "chan_without_crc": (lambda: flag(b"CHAN", FLAG_CRC), CorruptField),
    "gaus_with_crc": (lambda: flag(b"GAUS", FLAG_CRC), CorruptField),
    "stored_size_overflows": (lambda: toc(b"GAUS", "stored_size", 2**63 - 1), CorruptField),
    "stored_size_of_10_bytes": (lambda: toc_bytes(b"LODS", 5, b"\x24", b"\xa4" + b"\x80" * 8 + b"\0"), CorruptField),
    "stored_size_not_minimal": (lambda: toc_bytes(b"LODS", 5, b"\x24", b"\xa4\0"), CorruptField),
    "raw_size_not_larger": (lambda: codec(b"LODS", 1), CorruptField),
    "gaus_smaller": (lambda: toc(b"GAUS", "stored_size", 16), CorruptField),
    "duplicate_chunk": (lambda: toc(b"LODS", "fourcc", b"CHAN"), CorruptField),
    "duplicate_gaus": (
        lambda: with_entry(BASE, b"LODS", lambda entry: replace(entry, fourcc=b"GAUS", flags=FLAG_CRITICAL)),
        CorruptField,
    ),
    "missing_chan": (lambda: chunks(lambda c: c.pop(b"CHAN")), CorruptField),
    "missing_lods": (lambda: chunks(lambda c: c.pop(b"LODS")), CorruptField),
    "missing_pagi": (lambda: chunks(lambda c: c.pop(b"PAGI")), CorruptField),
    "critical_after_gaus": (lambda: chunks(lambda c: c.update({b"CHAN": c.pop(b"CHAN")})), CorruptField),
    "unknown_critical_chunk": (
        lambda: chunks(lambda c: c.update({b"RECT": StoredChunk(b"RECT", True, 0, b"", 0)})),
        UnsupportedChunk,
    ),
    "chan_crc": (lambda: toc(b"CHAN", "crc", 0), ChecksumMismatch),
    "lods_crc": (lambda: toc(b"LODS", "crc", 0), ChecksumMismatch),
    "pagi_crc": (lambda: toc(b"PAGI", "crc", 0), ChecksumMismatch),
    "icc_crc": (lambda: toc(b"ICCP", "crc", 0), ChecksumMismatch),
    "meta_crc": (lambda: toc(b"META", "crc", 0), ChecksumMismatch),
    "page_crc": (lambda: table(PAGES, put(8, bytes(4))), ChecksumMismatch),
    "group_count_zero": (lambda: table(b"CHAN", put(0, b"\0")), CorruptField),
    "group_count_two": (lambda: table(b"CHAN", put(0, b"\2")), CorruptField),
    "group_count_above_limit": (many_groups, LimitExceeded),
    "group_without_channels": (lambda: table(b"CHAN", put(1, b"\0")), CorruptField),
    "group_with_more_channels": (lambda: table(b"CHAN", put(1, b"\4")), CorruptField),
    "group_with_huge_channels": (lambda: table(b"CHAN", put(1, b"\xff")), CorruptField),
    "role_unknown": (lambda: table(b"CHAN", put(2, b"\x0b")), CorruptField),
    "bit_depth_zero": (lambda: table(b"CHAN", put(3, b"\0")), CorruptField),
    "bit_depth_17": (lambda: table(b"CHAN", put(3, b"\x11")), CorruptField),
    "bit_depth_33": (lambda: table(b"CHAN", put(3, b"\x21")), CorruptField),
    "float_with_8_bits": (lambda: table(b"CHAN", put(4, b"\1")), CorruptField),
    "sample_type_unknown": (lambda: table(b"CHAN", put(4, b"\2")), CorruptField),
    "transfer_unknown": (lambda: table(b"CHAN", put(5, b"\3")), CorruptField),
    "alpha_unknown": (lambda: table(b"CHAN", put(6, b"\3")), CorruptField),
    "normal_unknown": (lambda: table(b"CHAN", put(7, b"\3")), CorruptField),
    "group_reserved_set": (lambda: table(b"CHAN", put(8, b"\1")), CorruptField),
    "value_min_nan": (lambda: table(b"CHAN", put(9, f32(np.nan))), CorruptField),
    "value_min_signalling_nan": (lambda: table(b"CHAN", put(9, bytes.fromhex("0100807f"))), CorruptField),
    "value_max_infinite": (lambda: table(b"CHAN", put(13, f32(np.inf))), CorruptField),
    "value_range_empty": (lambda: table(b"CHAN", put(13, f32(0))), CorruptField),
    "background_nan": (lambda: table(b"CHAN", put(17, f32(np.nan))), CorruptField),
    "background_signalling_nan": (lambda: table(b"CHAN", put(17, bytes.fromhex("0100807f"))), CorruptField),
    "background_infinite": (lambda: table(b"CHAN", put(25, f32(-np.inf))), CorruptField),
    "name_missing": (lambda: text_group(b""), CorruptField),
    "name_not_utf8": (lambda: text_group(b"\xff\xfe"), CorruptField),
    "name_with_surrogate": (lambda: text_group(b"\xed\xa0\x80"), CorruptField),
    "name_with_escape": (lambda: text_group(b"\x1b[2J"), CorruptField),
    "name_with_c1_control": (lambda: text_group("\x9b".encode()), CorruptField),
    "name_longer_than_chunk": (lambda: table(b"CHAN", put(29, b"\xff")), CorruptField),
    "name_twice": (two_groups, CorruptField),
    "source_goes_up": (lambda: text_group(source=b"../../etc/passwd"), CorruptField),
    "source_is_dot_dot": (lambda: text_group(source=b".."), CorruptField),
    "source_with_backslash": (lambda: text_group(source=b"C:\\boot.ini"), CorruptField),
    "source_with_nul": (lambda: text_group(source=b"a\0b"), CorruptField),
    "chan_with_a_byte_more": (lambda: table(b"CHAN", lambda raw: raw.append(0)), CorruptField),
    "chan_with_a_byte_less": (lambda: table(b"CHAN", lambda raw: raw.pop()), CorruptField),
    "chan_empty": (lambda: table(b"CHAN", lambda raw: raw.clear()), CorruptField),
    "chan_above_limit": (lambda: table(b"CHAN", lambda raw: raw.extend(bytes(40_000))), LimitExceeded),
    "lods_with_a_row_less": (lambda: table(b"LODS", lambda raw: raw.__delitem__(slice(16, None))), CorruptField),
    "lod_counts_fall": (lambda: table(b"LODS", put(0, (30).to_bytes(4, "little"))), CorruptField),
    "lod_count_above_n": (lambda: table(b"LODS", put(20, (46).to_bytes(4, "little"))), CorruptField),
    "lod_count_below_n": (lambda: table(b"LODS", put(20, (44).to_bytes(4, "little"))), CorruptField),
    "gain_zero": (lambda: table(b"LODS", put(4, f32(0))), CorruptField),
    "gain_negative": (lambda: table(b"LODS", put(4, f32(-1))), CorruptField),
    "gain_nan": (lambda: table(b"LODS", put(4, f32(np.nan))), CorruptField),
    "gain_infinite": (lambda: table(b"LODS", put(12, f32(np.inf))), CorruptField),
    "gain_above_64": (lambda: table(b"LODS", put(24, f32(64.5))), CorruptField),
    "page_box_reversed": (lambda: table(PAGES, put(0, b"\2\0\0\0\1\0")), CorruptField),
    "page_box_outside_the_grid": (lambda: table(PAGES, put(4, b"\xff\xff")), CorruptField),
    "page_entry_missing": (lambda: table(PAGES, lambda raw: raw.__delitem__(slice(12))), CorruptField),
    "page_entry_too_many": (lambda: table(PAGES, lambda raw: raw.extend(bytes(12))), CorruptField),
    "inv_scale_zero": (lambda: record(4, b"\0\0"), CorruptField),
    "inv_scale_denormal": (lambda: record(4, b"\xff\x03"), CorruptField),
    "inv_scale_negative": (lambda: record(6, b"\0\xbc"), CorruptField),
    "inv_scale_above_64": (lambda: record(6, b"\1\x54"), CorruptField),
    "inv_scale_infinite": (lambda: record(4, b"\0\x7c"), CorruptField),
    "inv_scale_nan": (lambda: record(4, b"\0\x7e"), CorruptField),
    "feature_infinite": (lambda: record(10, b"\0\xfc"), CorruptField),
    "feature_nan": (lambda: record(12, b"\0\x7e"), CorruptField),
    "feature_signalling_nan": (lambda: record(14, b"\1\x7c"), CorruptField),
    "deflate_too_long": (lambda: replaced(b"ICCP", bytes(5000), raw_size=4999), CorruptField),
    "deflate_too_short": (lambda: replaced(b"ICCP", bytes(5000), raw_size=5001), CorruptField),
    "deflate_bomb": (lambda: replaced(b"ICCP", bytes(1 << 24), raw_size=1 << 20), CorruptField),
    "deflate_not_smaller": (lambda: replaced(b"ICCP", b"ab"), CorruptField),
    "icc_above_limit": (lambda: replaced(b"ICCP", b"x" * 1000, raw_size=(1 << 24) + 1), LimitExceeded),
    "meta_above_limit": (lambda: replaced(b"META", b" " * 1000, raw_size=(1 << 20) + 1), LimitExceeded),
    "meta_not_json": (lambda: meta(b"{"), CorruptField),
    "meta_not_an_object": (lambda: meta(b"[]"), CorruptField),
    "meta_not_utf8": (lambda: meta(b'{"a":"\xff"}'), CorruptField),
    "meta_with_byte_order_mark": (lambda: meta(b"\xef\xbb\xbf{}"), CorruptField),
    "meta_nan": (lambda: meta(b'{"a":NaN}'), CorruptField),
    "meta_number_too_large": (lambda: meta(b'{"a":1e999}'), CorruptField),
    "meta_integer_too_long": (lambda: meta(b'{"a":' + b"1" * 9999 + b"}"), CorruptField),
    "meta_lone_surrogate": (lambda: meta(b'{"a":"\\ud800"}'), CorruptField),
    "meta_lone_surrogate_key": (lambda: meta(b'{"\\ud800":1}'), CorruptField),
    "meta_key_twice": (lambda: meta(b'{"a":1,"a":2}'), CorruptField),
    "meta_65_deep": (lambda: meta(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"), CorruptField),
    "meta_bottomless": (lambda: meta(b'{"a":' + b"[" * 500_000), CorruptField),
    "meta_empty": (lambda: meta(b""), CorruptField),
    "pages_without_end": (lambda: many_pages(cut=True), LimitExceeded),
}


def deflate_damaged() -> bytes:
    stored = bytearray(zlib.compress(bytes(5000), 9))
    stored[0] = 0
    return chunks(lambda c: c.update({b"ICCP": replace(c[b"ICCP"], codec=1, stored=bytes(stored), raw_size=5000)}))


def deflate_with_a_tail() -> bytes:
    stored = zlib.compress(bytes(5000), 9) + b"tail"
    return chunks(lambda c: c.update({b"ICCP": replace(c[b"ICCP"], codec=1, stored=stored, raw_size=5000)}))


def deflate_cut() -> bytes:
    stored = zlib.compress(bytes(5000), 9)[:-3]
    return chunks(lambda c: c.update({b"ICCP": replace(c[b"ICCP"], codec=1, stored=stored, raw_size=5000)}))


FAULTS["deflate_garbage"] = (deflate_damaged, CorruptField)
FAULTS["deflate_with_a_tail"] = (deflate_with_a_tail, CorruptField)
FAULTS["deflate_cut"] = (deflate_cut, CorruptField)
