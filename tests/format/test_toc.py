"""Entries of the table of contents: each value comes back, and nothing but the shortest form of it is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gscodec.errors import CorruptField
from gscodec.format.layout import CODEC_NONE, CSET, GAUS, MAX_CHUNKS
from gscodec.format.toc import (
    HAVE_NO_CRC,
    MAX_VARINT_BYTES,
    ChunkEntry,
    EntryParser,
    entry_bytes,
    pack_entry,
    pack_varint,
)

LONGEST = ChunkEntry(b"xxxx", False, 3, 0, 2**63 - 1, 2**63 - 1, 2**32 - 1)
SIZES = st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1))


@st.composite
def entries(draw: st.DrawFn) -> ChunkEntry:
    fourcc = draw(st.sampled_from([b"CHAN", b"GAUS", b"CSET", b"xNEW"]))
    codec, stored_size = draw(st.integers(0, 3)), draw(SIZES)
    raw_size = stored_size if codec == CODEC_NONE else draw(SIZES)
    crc = None if fourcc in HAVE_NO_CRC else draw(st.integers(0, 2**32 - 1))
    is_small = fourcc == CSET and draw(st.booleans())
    n_lods = 0 if fourcc != CSET else 1 if is_small else draw(st.integers(1, 16))
    scale_log2 = draw(st.integers(0, 20)) if fourcc == CSET else 0
    return ChunkEntry(
        fourcc, draw(st.booleans()), codec, 0, stored_size, raw_size, crc, n_lods, scale_log2, is_small=is_small
    )


def parsed(toc: bytes, n: int) -> list[ChunkEntry]:
    parser = EntryParser(toc, 0, "x")
    found = [parser.entry() for _ in range(n)]
    parser.finish()
    return found


@given(st.lists(entries(), max_size=4))
def test_entries_come_back(chunks: list[ChunkEntry]) -> None:
    toc, at = b"".join(map(pack_entry, chunks)), 0
    for found, chunk in zip(parsed(toc, len(chunks)), chunks, strict=True):
        assert found == ChunkEntry(**{**vars(chunk), "offset": at})
        at += chunk.stored_size


@given(entries())
def test_an_entry_that_is_cut_or_longer_is_refused(chunk: ChunkEntry) -> None:
    data = pack_entry(chunk)
    for size in range(len(data)):
        with pytest.raises(CorruptField, match="ends within an entry"):
            parsed(data[:size], 1)
    with pytest.raises(CorruptField, match=f"has {len(data) + 1} bytes, its entries take {len(data)}"):
        parsed(data + b"\0", 1)


@given(SIZES)
def test_sizes_are_as_short_as_they_can_be(size: int) -> None:
    data = pack_varint(size)
    assert len(data) == max(1, -(-size.bit_length() // 7)) <= MAX_VARINT_BYTES
    assert entry_bytes(GAUS, size) == 5 + len(data)
    longer = data[:-1] + bytes([data[-1] | 0x80, 0])
    entry = pack_entry(ChunkEntry(GAUS, True, 0, 0, size, size))[:5]
    with pytest.raises(CorruptField, match=r"more bytes than it needs|more than 9 bytes"):
        parsed(entry + longer, 1)


def test_the_longest_table_fits_its_size() -> None:
    assert len(pack_entry(LONGEST)) == 27
    assert 27 * MAX_CHUNKS < 1 << 16
