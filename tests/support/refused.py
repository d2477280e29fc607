"""Files that every reader refuses, by name: how each is made, its error, and what is wrong with it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from coded_example import example_file
from faults import FAULTS, f32, header, replaced
from toc_fields import TocFields, promising, with_entry
from vectors import VECTORS

from gscodec import _engine
from gscodec.container.rewrite import chunks_of
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.crc32c import crc32c
from gscodec.format.layout import FLAG_SMALL

Refused = tuple[Callable[[], bytes], str, str]

PACKED_PAGE: Final = 10 + 3 * 5 + 20 * 6
"""Bytes of the first page of packed_rgb.igs: a head, and 20 records of 6 bytes."""

PACKED_WIDTHS: Final = 16 + 3 + 4 * 3 + 2 * 9
"""Offset of place_bits in its QUAN."""

_OF_FAULTS: Final = {
    "other_signature": "the signature of PNG",
    "line_ends_changed": "CR LF of the signature became LF",
    "signature_only": "cut after the signature",
    "half_a_toc": "cut inside the table of contents",
    "cut_before_data": "cut a byte before GAUS",
    "extra_byte": "a byte after the end",
    "version_2": "version_major is 2",
    "unknown_profile": "profile is 4",
    "no_lods": "lod_count is 0",
    "too_many_lods": "lod_count is 17",
    "file_size_too_small": "file_size is a byte less",
    "huge_width": "width is 2^32 - 1",
    "no_height": "height is 0",
    "n_gaussians_one_more": "n_gaussians is not the last count",
    "no_top_k": "top_k is 0",
    "huge_top_k": "top_k is 33",
    "no_chunks": "chunk_count is 0",
    "too_many_chunks": "chunk_count is 65",
    "support_q_nan": "support_q is NaN",
    "huge_page_size": "page_size is 4097",
    "toc_size_a_byte_less": "toc_size is a byte less than the entries take",
    "toc_size_a_byte_more": "toc_size is a byte more than the entries take",
    "toc_size_beyond_the_file": "toc_size is 65535",
    "chunk_count_one_more": "chunk_count is one more than there are entries",
    "header_crc_wrong": "header_crc is 0",
    "fourcc_not_ascii": "a fourcc with a NUL",
    "fourcc_unknown_critical": "a critical chunk CHAX",
    "flags_reserved_bit": "a reserved flag is set",
    "critical_chunk_marked_ancillary": "CHAN is not critical",
    "levels_of_no_coarser_set": "PAGI is flagged as a coarser set",
    "small_set_that_is_none": "PAGI is flagged as a set of profile small",
    "unknown_codec": "codec of LODS is 2",
    "gaus_deflated": "codec of GAUS is 1",
    "chan_without_crc": "CHAN is not flagged to have a crc",
    "gaus_with_crc": "GAUS is flagged to have a crc",
    "raw_size_not_larger": "a raw_size that is the stored_size, with codec 1",
    "stored_size_overflows": "stored_size of GAUS is 2^63 - 1",
    "stored_size_of_10_bytes": "a stored_size that takes 10 bytes",
    "stored_size_not_minimal": "a stored_size whose last byte is 0",
    "duplicate_chunk": "CHAN twice",
    "missing_lods": "no LODS",
    "critical_after_gaus": "CHAN follows GAUS",
    "chan_crc": "crc of CHAN is 0",
    "page_crc": "crc of a page is 0",
    "bit_depth_17": "17 bits of integers",
    "value_range_empty": "value_min is value_max",
    "background_nan": "a background of NaN",
    "name_missing": "a name of no bytes",
    "name_not_utf8": "a name that is not UTF-8",
    "name_with_escape": "a name with an escape sequence",
    "name_twice": "two groups with one name",
    "source_goes_up": "a source that leads out of a folder",
    "chan_with_a_byte_more": "a byte after the last group",
    "lod_counts_fall": "counts that fall",
    "gain_nan": "a gain of NaN",
    "gain_above_64": "a gain of 64.5",
    "page_box_reversed": "a tile box whose first column follows its last one",
    "page_box_outside_the_grid": "a tile box beyond the grid",
    "page_entry_missing": "an entry of PAGI less",
    "inv_scale_zero": "an inverse scale of 0",
    "inv_scale_above_64": "an inverse scale above 64",
    "feature_nan": "a feature of NaN",
}


def coded(chunk: bytes, offset: int, value: bytes, **fields: Any) -> bytes:
    """The coded file of the specification with bytes of a chunk and fields of the header changed, under right CRCs."""
    return edited(example_file(), {chunk: (offset, value)}, **fields)


def edited(data: bytes, edits: Mapping[bytes, tuple[int, bytes]], page_bytes: int = 0, **fields: Any) -> bytes:
    """A file with bytes of chunks and fields of the header changed; of GAUS in the first page, 0 for all of it."""
    values, chunks = chunks_of(data)
    found = {chunk.fourcc: chunk for chunk in chunks}
    for fourcc, (offset, value) in edits.items():
        raw = bytearray(found[fourcc].raw("refused"))
        raw[offset : offset + len(value)] = value
        found[fourcc] = StoredChunk.plain(fourcc, bytes(raw))
    if b"GAUS" in edits:
        index = bytearray(found[b"PAGI"].raw("refused"))
        index[8:12] = crc32c(found[b"GAUS"].stored[: page_bytes or None]).to_bytes(4, "little")
        found[b"PAGI"] = StoredChunk.plain(b"PAGI", bytes(index))
    return assemble({**values, **fields}, list(found.values()))


def tabled(head: tuple[int, int, int, int] = (0, 3, 7, 0), *changes: tuple[int, int], tail: bytes = b"") -> bytes:
    """The coded file of the specification with token tables of which the first is this one."""
    values, chunks = chunks_of(example_file())
    bits = _engine.BitEncoder(6)
    none = np.zeros((0, 2), np.int64)
    for first, rows in [(head, np.array(changes, np.int64).reshape(-1, 2)), *[((0, 3, 7, 0), none)] * 3]:
        bits.rows(np.array([first], np.int64), np.arange(4, dtype=np.int32), np.array([1, 0, 0, 0], np.uint8))
        bits.rows(rows, np.array([4, 5], np.int32), np.array([0, 1], np.uint8))
    quan = next(chunk for chunk in chunks if chunk.fourcc == b"QUAN").raw("refused")[:23] + bits.bytes() + tail
    return assemble(values, [StoredChunk.plain(b"QUAN", quan) if c.fourcc == b"QUAN" else c for c in chunks])


def packed(chunk: bytes, offset: int, value: bytes) -> bytes:
    """A file of profile `packed` with bytes of a chunk changed, under right CRCs: of GAUS, in the first page."""
    return edited((VECTORS / "packed_rgb.igs").read_bytes(), {chunk: (offset, value)}, PACKED_PAGE)


def small(offset: int, value: bytes, tail: bytes = b"") -> bytes:
    """The file small_rgb.igs with bytes changed, and more of them before its checksum, which is right."""
    data = bytearray((VECTORS / "small_rgb.igs").read_bytes()[:-4])
    data[offset : offset + len(value)] = value
    data += tail
    if tail:
        data[16:18] = (len(data) + 4).to_bytes(2, "little")
    return bytes(data) + crc32c(bytes(data)).to_bytes(4, "little")


def small_extra(fourcc: bytes) -> bytes:
    """The same with an empty extra."""
    data = (VECTORS / "small_rgb.igs").read_bytes()[:-4]
    changed = bytearray(data[:29] + fourcc + bytes(5) + data[29:])
    changed[24] = 1
    changed[16:18] = (len(changed) + 4).to_bytes(2, "little")
    return bytes(changed) + crc32c(bytes(changed)).to_bytes(4, "little")


def ladder(edit: Callable[[TocFields], TocFields]) -> bytes:
    """The file ladder_packed.igs with the first CSET, which is small, changed in the table of contents."""
    return with_entry((VECTORS / "ladder_packed.igs").read_bytes(), b"CSET", edit)


def small_set(edit: Callable[[bytes], bytes], *, sealed: bool = True, **fields: Any) -> bytes:
    """The same with other bytes of this set before its checksum, and fields of the header changed."""
    values, chunks = chunks_of((VECTORS / "ladder_packed.igs").read_bytes())
    at = [chunk.fourcc for chunk in chunks].index(b"CSET")
    data = edit(chunks[at].stored[:-4] if sealed else chunks[at].stored)
    if sealed:
        data += crc32c(data).to_bytes(4, "little")
    chunks[at] = replace(chunks[at], stored=data, raw_size=len(data))
    return assemble({**values, **fields}, chunks)


def small_set_field(offset: int, value: bytes) -> bytes:
    """The same with a field of the set changed."""
    return small_set(lambda data: data[:offset] + value + data[offset + len(value) :])


def lods_of_one_level() -> bytes:
    """The coded file of the specification with a chunk LODS that says what a file without it has."""
    values, chunks = chunks_of(example_file())
    return assemble(values, [chunks[0], StoredChunk.plain(b"LODS", (3).to_bytes(4, "little") + f32(1)), *chunks[1:]])


def ladder_in_other_order() -> bytes:
    """The same with a coarser set behind LODS."""
    values, chunks = chunks_of((VECTORS / "ladder_packed.igs").read_bytes())
    kinds = [chunk.fourcc for chunk in chunks]
    moved = chunks.pop(kinds.index(b"CSET"))
    chunks.insert(kinds.index(b"LODS"), moved)
    return assemble(values, chunks)


REFUSED: Final[dict[str, Refused]] = {
    name: (FAULTS[name][0], FAULTS[name][1].__name__, about) for name, about in _OF_FAULTS.items()
} | {
    "draft_1_5": (lambda: header("version_minor", 5), "UnsupportedVersion", "version_minor is 5, as drafts had it"),
    "chan_above_limit": (
        lambda: replaced(b"CHAN", bytes(34050)),
        "LimitExceeded",
        "a CHAN of more than 34,049 bytes",
    ),
    "coded_scale_step_0": (lambda: coded(b"QUAN", 0, b"\0"), "CorruptField", "scale_step is 0"),
    "coded_feature_slope_65": (lambda: coded(b"QUAN", 1, b"\x41"), "CorruptField", "feature_slope is 65"),
    "coded_rotation_from_falls": (lambda: coded(b"QUAN", 4, b"\xff"), "CorruptField", "rotation_from falls"),
    "coded_cell_log2_21": (lambda: coded(b"QUAN", 16, b"\x15"), "CorruptField", "cell_log2 is 21"),
    "coded_feature_step_nan": (
        lambda: coded(b"QUAN", 17, b"\0\0\xc0\x7f"),
        "CorruptField",
        "a feature_step of NaN",
    ),
    "coded_transform_infinite": (lambda: coded(b"QUAN", 21, b"\0\x7c"), "CorruptField", "a transform of infinity"),
    "coded_cells_too_small": (
        lambda: coded(b"QUAN", 16, b"\0", width=1 << 20),
        "LimitExceeded",
        "2^20 columns of cells",
    ),
    "coded_353_tokens": (lambda: tabled((0, 352, 0, 0)), "CorruptField", "a token table of 353 tokens"),
    "coded_weight_65": (lambda: tabled((0, 3, 64, 0)), "CorruptField", "a weight of 65"),
    "coded_weight_0": (lambda: tabled((0, 3, 7, 1), (1, -8)), "CorruptField", "a weight of 0"),
    "coded_too_many_changes": (
        lambda: tabled((0, 1, 7, 2), (0, 1), (0, 1)),
        "CorruptField",
        "two changes of weight among two tokens",
    ),
    "coded_late_change": (
        lambda: tabled((0, 3, 7, 1), (3, 1)),
        "CorruptField",
        "a change of weight after the last token",
    ),
    "coded_low_too_large": (lambda: coded(b"QUAN", 23, b"\xff" * 11), "CorruptField", "a low of more than 31 bits"),
    "coded_tables_longer": (lambda: tabled(tail=b"\0\1"), "CorruptField", "bytes after the last token table"),
    "coded_first_state": (lambda: coded(b"GAUS", 0, b"\xff\xff\0\0"), "CorruptField", "a page begins below 2^16"),
    "coded_last_state": (lambda: coded(b"GAUS", 0, b"\x37"), "CorruptField", "another last state than 2^16"),
    "coded_bits_left": (lambda: coded(b"GAUS", 9, b"\xff"), "CorruptField", "unused bits of the last byte are 1"),
    "coded_too_dense": (
        lambda: edited(example_file(), {}, n_gaussians=200, page_size=4096),
        "CorruptField",
        "200 Gaussians in a page of 10 bytes",
    ),
    "coded_no_bytes": (lambda: coded(b"PAGI", 12, bytes(4)), "CorruptField", "a page of no bytes"),
    "packed_place_bits_11": (lambda: packed(b"QUAN", PACKED_WIDTHS, b"\x0b"), "CorruptField", "place_bits is 11"),
    "packed_field_bits_25": (
        lambda: packed(b"QUAN", PACKED_WIDTHS + 5, b"\x19"),
        "CorruptField",
        "a field of 25 bits",
    ),
    "packed_box_without_width": (lambda: packed(b"GAUS", 4, b"\0\0"), "CorruptField", "a box of no width"),
    "packed_scale_0": (lambda: packed(b"GAUS", 12, b"\0"), "CorruptField", "a scale of 0"),
    "small_crc": (lambda: (VECTORS / "small_rgb.igs").read_bytes()[:-1] + b"\0", "ChecksumMismatch", "another crc"),
    "small_cut": (lambda: (VECTORS / "small_rgb.igs").read_bytes()[:-1], "TruncatedStream", "cut by a byte"),
    "small_longer": (lambda: (VECTORS / "small_rgb.igs").read_bytes() + b"\0", "CorruptField", "a byte after the end"),
    "small_of_4097_bytes": (lambda: small(16, b"\x01\x10"), "LimitExceeded", "file_size is 4097"),
    "small_of_32_bytes": (lambda: small(16, b"\x20\0"), "CorruptField", "file_size is 32"),
    "small_layout_9": (lambda: small(15, b"\x09"), "CorruptField", "layout is 9"),
    "small_layout_0": (lambda: small(15, b"\0"), "CorruptField", "layout 0 without CHAN"),
    "small_no_width": (lambda: small(18, b"\0\0"), "CorruptField", "width is 0"),
    "small_5000_gaussians": (lambda: small(22, b"\x88\x13"), "LimitExceeded", "n_gaussians is 5000"),
    "small_colours_2": (lambda: small(28, b"\x02"), "CorruptField", "colours is 2"),
    "small_with_lods": (lambda: small_extra(b"LODS"), "CorruptField", "an extra LODS"),
    "small_goes_on": (lambda: small(0, b"", bytes(9)), "CorruptField", "bytes after the last Gaussian"),
    "sets_of_17_levels": (
        lambda: ladder(lambda entry: replace(entry, flags=entry.flags & ~FLAG_SMALL, n_lods=16)),
        "LimitExceeded",
        "more than 16 levels of all sets",
    ),
    "set_without_levels": (
        lambda: ladder(lambda entry: replace(entry, n_lods=0)),
        "CorruptField",
        "n_lods of CSET is 0",
    ),
    "set_behind_lods": (ladder_in_other_order, "CorruptField", "CSET follows LODS"),
    "lods_of_one_level": (lods_of_one_level, "CorruptField", "LODS of one level with a gain of 1"),
    "small_set_of_two_levels": (
        lambda: ladder(lambda entry: replace(entry, n_lods=2)),
        "CorruptField",
        "n_lods of a set of profile small is 2",
    ),
}

COARSEST: Final = 4
"""The level of the small set of ladder_packed.igs."""

REFUSED_SETS: Final[dict[str, Refused]] = {
    "small_set_cut": (
        lambda: small_set(lambda data: data[:-1], sealed=False),
        "ChecksumMismatch",
        "a set of profile small that is cut by a byte",
    ),
    "small_set_of_9_bytes": (
        lambda: small_set(lambda data: data[:9], sealed=False),
        "CorruptField",
        "a set of profile small that is cut to 9 bytes",
    ),
    "small_set_of_4097_bytes": (
        lambda: promising((VECTORS / "ladder_packed.igs").read_bytes(), b"CSET", 4097),
        "LimitExceeded",
        "a set of profile small of 4097 bytes",
    ),
    "small_set_without_steps": (
        lambda: small_set(lambda data: data[:8]),
        "CorruptField",
        "a set of profile small with two of three values of feature_step",
    ),
    "small_set_of_4097_gaussians": (
        lambda: small_set_field(0, b"\x01\x10"),
        "LimitExceeded",
        "n_gaussians of a set of profile small is 4097",
    ),
    "small_set_scale_step_0": (
        lambda: small_set_field(2, b"\0"),
        "CorruptField",
        "scale_step of a set of profile small is 0",
    ),
    "small_set_colours_2": (
        lambda: small_set_field(5, b"\2"),
        "CorruptField",
        "colours of a set of profile small is 2",
    ),
    "small_set_goes_on": (
        lambda: small_set(lambda data: data + bytes(9)),
        "CorruptField",
        "bytes after the last Gaussian of a set of profile small",
    ),
    "small_set_of_other_k": (
        lambda: small_set(lambda data: data, top_k=9),
        "CorruptField",
        "a set of profile small in a file with K = 9",
    ),
    "small_set_of_a_wide_picture": (
        lambda: small_set(lambda data: data, width=1 << 20),
        "CorruptField",
        "a set of profile small of 2^17 x 6 px",
    ),
    "small_set_in_the_long_form": (
        lambda: small_set(lambda _: (VECTORS / "small_rgb.igs").read_bytes(), sealed=False),
        "LimitExceeded",
        "a whole file of profile small as a set of the profile",
    ),
    "small_set_that_is_not_flagged": (
        lambda: ladder(lambda entry: replace(entry, flags=entry.flags & ~FLAG_SMALL)),
        "BadMagic",
        "a set of profile small without its flag",
    ),
}
"""The same for files of which the level COARSEST is refused, while others are sound."""
