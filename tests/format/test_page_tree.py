"""The page tree: found pages are those of the page index, and little of the index is read."""

import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from random_contents import MakeContents
from synthetic import packed_contents

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import file_size, pack
from gscodec.errors import ChecksumMismatch, CorruptField, GsCodecError
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.crc32c import crc32c
from gscodec.format.layout import CODEC_DEFLATE, PAGE_ENTRY, PAGE_TREE
from gscodec.format.page_tree import TREE_FROM_BYTES, block_starts, choose_block_size
from gscodec.profiles.lattice import Lattice

COUNTS = (40, 333, 3000)
SIZE = (700, 900)


def contents_of(make_contents: MakeContents, profile: str) -> Contents:
    contents = make_contents(3000, 3, SIZE, COUNTS, page_size=3)
    contents.gaussians.inv_scales[:] = np.clip(contents.gaussians.inv_scales, 0.2, 2)
    if profile != "coded":
        return packed_contents(contents) if profile == "packed" else contents
    lattice = Lattice(
        4, 75, (1, 1, 3, 4, 6, 10, 15, 21, 29, 38, 48, 60), (6, 5, 4), np.full(3, 0.02, np.float32), np.eye(3)
    )
    return replace(contents, lattice=lattice)


@pytest.fixture(params=["f16", "coded", "packed"])
def data(request: pytest.FixtureRequest, make_contents: MakeContents) -> bytes:
    return pack(contents_of(make_contents, request.param))


def parts_of(data: bytes) -> tuple[dict[str, Any], list[StoredChunk]]:
    reader = IgsReader(data)
    chunks = [
        StoredChunk(c.fourcc, c.critical, c.codec, data[c.offset :][: c.stored_size], c.raw_size) for c in reader.chunks
    ]
    return asdict(reader.header), chunks


def rebuilt(data: bytes, change: Callable[[StoredChunk], StoredChunk | None]) -> bytes:
    """The file with some of its chunks changed or left out."""
    values, chunks = parts_of(data)
    return assemble(values, [new for new in map(change, chunks) if new is not None])


def same(one: IgsReader, other: IgsReader, rect: tuple[int, int, int, int], lod: int) -> bool:
    found, expected = one.read_region(lod, rect), other.read_region(lod, rect)
    return np.array_equal(found.means, expected.means) and np.array_equal(found.features, expected.features)


def test_long_indices_get_a_tree_and_short_ones_do_not(make_contents: MakeContents, data: bytes) -> None:
    reader = IgsReader(data)
    labels = [chunk.label for chunk in reader.chunks if chunk.label != "QUAN"]
    assert labels == ["CHAN", "LODS", "PAGT", "PAGI", "GAUS"]
    small = IgsReader(pack(make_contents(200, page_size=3)))
    assert [chunk.label for chunk in small.chunks] == ["CHAN", "LODS", "PAGI", "GAUS"]
    assert TREE_FROM_BYTES == 8192  # what the spec says


def test_sizes_are_foretold_with_a_tree(make_contents: MakeContents) -> None:
    for n in (2047, 2048, 2049, 3000):
        contents = make_contents(n, counts=(100, n), page_size=3)
        got = file_size(contents.grid, contents.groups, (100, n), None, None, page_size=3)
        assert got == len(pack(contents))


def test_regions_are_those_of_the_whole_index(data: bytes) -> None:
    def without_tree(chunk: StoredChunk) -> StoredChunk | None:
        return None if chunk.fourcc == b"PAGT" else chunk

    plain = IgsReader(rebuilt(data, without_tree))
    rng = np.random.default_rng(5)
    rows, columns = plain.grid.tiles_shape
    for _ in range(40):
        x, y = int(rng.integers(columns)), int(rng.integers(rows))
        rect = (x, y, int(rng.integers(x, columns + 1)), int(rng.integers(y, rows + 1)))
        fresh = IgsReader(data)
        assert same(fresh, plain, rect, int(rng.integers(3)))
        assert same(fresh, plain, rect, int(rng.integers(3)))  # what is held by now serves again
    for lod in range(3):
        assert np.array_equal(IgsReader(data).read(lod).means, plain.read(lod).means)
        assert IgsReader(data).prefix_size(lod) - IgsReader(data).data_offset == (
            plain.prefix_size(lod) - plain.data_offset
        )


def test_a_point_reads_a_small_part_of_the_index(data: bytes) -> None:
    reader = IgsReader(data)
    index = next(chunk for chunk in reader.chunks if chunk.label == "PAGI")
    opened = reader.traffic.n_bytes
    assert opened < reader.data_offset - index.stored_size / 2
    found = reader.read_region(0, (10, 10, 11, 11))
    assert len(found) < 300
    assert reader.traffic.n_bytes - opened < 0.75 * index.stored_size
    assert len(reader.pages) == reader.n_pages == index.stored_size // (16 if reader.header.profile == 2 else 12)


def test_blocks_hold_pages_of_one_generation() -> None:
    assert block_starts((10, 10, 31), 2, 3).tolist() == [0, 3, 5, 8, 11, 14, 16]
    assert block_starts((0,), 2, 3).tolist() == [0]
    assert [choose_block_size(n) for n in (1, 2000, 40_000, 1 << 20)] == [16, 16, 64, 256]


def damaged(data: bytes, label: str, at: int, change: int = 1) -> bytes:
    """The file with one byte of a chunk changed, and the chunk's CRC put right."""

    def flip(chunk: StoredChunk) -> StoredChunk:
        if chunk.fourcc != label.encode():
            return chunk
        stored = bytearray(chunk.stored)
        stored[at] ^= change
        return replace(chunk, stored=bytes(stored))

    return rebuilt(data, flip)


def test_damage_to_a_block_is_caught_where_it_is_read(data: bytes) -> None:
    bad = damaged(data, "PAGI", 8)  # the CRC of the first page
    with pytest.raises(ChecksumMismatch, match="block 0 of PAGI"):
        IgsReader(bad).read(2)
    assert {issue.where for issue in validate(bad)} >= {"PAGT"}
    assert IgsReader(bad).available_lods == (0, 1, 2)


def test_faults_of_the_tree(data: bytes) -> None:
    entry = PAGE_ENTRY.size
    for at, change in ((0, 0xFF), (2, 1), (PAGE_TREE.size, 0x80), (PAGE_TREE.size + 5, 0xFF)):
        with pytest.raises(CorruptField):
            IgsReader(damaged(data, "PAGT", at, change)).read(0)
    if IgsReader(data).header.profile == 2:
        with pytest.raises(CorruptField, match="blocks of"):
            IgsReader(damaged(data, "PAGT", PAGE_TREE.size + entry))
    too_small = damaged(data, "PAGT", PAGE_TREE.size + 4, IgsReader(data).pages.boxes[:, 2].max())
    if validate(too_small):
        assert {issue.where for issue in validate(too_small)} == {"PAGT"}


def test_a_tree_beside_a_compressed_index_is_refused(data: bytes) -> None:
    def squeezed(chunk: StoredChunk) -> StoredChunk:
        if chunk.fourcc != b"PAGI":
            return chunk
        return replace(chunk, codec=CODEC_DEFLATE, stored=zlib.compress(chunk.stored, 9))

    with pytest.raises(CorruptField, match="page tree"):
        IgsReader(rebuilt(data, squeezed))


def test_a_tree_of_another_length_is_refused(data: bytes) -> None:
    for cut in (-1, -12, 2, 0):

        def shorter(chunk: StoredChunk, cut: int = cut) -> StoredChunk:
            if chunk.fourcc != b"PAGT":
                return chunk
            return replace(chunk, stored=chunk.stored[:cut], raw_size=len(chunk.stored[:cut]))

        with pytest.raises(CorruptField, match="PAGT"):
            IgsReader(rebuilt(data, shorter))


def test_any_damaged_byte_of_tree_or_index_is_an_error_or_harmless(data: bytes) -> None:
    expected = IgsReader(data).read(0)
    rng = np.random.default_rng(11)
    chunks = [c for c in IgsReader(data).chunks if c.label in {"PAGT", "PAGI"}]
    for chunk in chunks:
        for at in rng.integers(0, chunk.stored_size, 40).tolist():
            bad = damaged(data, chunk.label, at, 1 << int(rng.integers(8)))
            assert crc32c(bad) != crc32c(data)
            try:
                got = IgsReader(bad).read(0)
            except GsCodecError:
                continue
            assert np.array_equal(got.means, expected.means)  # a box that is still whole, say
