"""One named fault per case. Checksums are right wherever the fault lies behind one."""

import json
import tracemalloc
import zlib
from typing import Any

import pytest
from faults import BASE, FAULTS, PAGES, RECORD, VECTORS, chunks, f32, header, meta, parts, table
from toc_fields import promising

from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.container.validate import Severity, validate
from gscodec.errors import BadFile, ChecksumMismatch, TruncatedStream
from gscodec.format.chunks import StoredChunk, assemble


def read_all(data: bytes) -> None:
    """Everything that a file holds."""
    with IgsReader(data) as reader:
        describe(reader)
        for lod in range(len(reader.lods)):
            reader.read(lod)
            reader.read_region(lod, (0, 0, 1, 1))


def test_the_base_file_is_good() -> None:
    read_all(BASE)
    assert validate(BASE) == []


def test_surgery_alone_changes_nothing() -> None:
    assert chunks(lambda _: None) == BASE
    assert header("width", 56) == BASE


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    make, error = FAULTS[name]
    data = make()
    with pytest.raises(error) as caught:
        read_all(data)
    assert type(caught.value) is error
    message = str(caught.value)
    assert message.startswith("(bytes): ")
    assert message.isprintable()
    issues = validate(data)
    assert [issue.number for issue in issues] == list(range(1, len(issues) + 1))
    assert any(issue.severity is Severity.ERROR for issue in issues)
    assert all(issue.message.isprintable() for issue in issues)


@pytest.mark.parametrize(
    "name", ["pages_without_end", "deflate_bomb", "icc_above_limit", "huge_n_gaussians", "meta_bottomless"]
)
def test_hostile_sizes_take_no_memory(name: str) -> None:
    data = FAULTS[name][0]()
    tracemalloc.start()
    try:
        with pytest.raises(BadFile):
            read_all(data)
        validate(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_a_cut_file_that_promises_a_gigabyte_opens_small() -> None:
    n = 1 << 26
    head, found = parts()
    lods = (0).to_bytes(4, "little") + f32(1) + n.to_bytes(4, "little") + f32(1) * 2
    n_pages = n // 4096
    found = {
        b"CHAN": found[b"CHAN"],
        b"LODS": StoredChunk.plain(b"LODS", lods),
        b"PAGI": StoredChunk(b"PAGI", True, 1, zlib.compress(bytes(n_pages * 12), 9), n_pages * 12),
        b"GAUS": StoredChunk.plain(b"GAUS", b""),
    }
    data = assemble({**head, "n_gaussians": n, "page_size": 4096, "lod_count": 2}, list(found.values()))
    tracemalloc.start()
    try:
        reader = IgsReader(promising(data, b"GAUS", n * RECORD))
        assert reader.available_lods == (1,)
        assert len(reader.read(1)) == 0
        with pytest.raises(TruncatedStream):
            reader.read(0)
        with pytest.raises(TruncatedStream):
            reader.read_region(0, (0, 0, 1, 1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_validator_finds_several_faults() -> None:
    data = bytearray(BASE)
    reader = IgsReader(BASE)
    offset = reader.data_offset
    data[offset] ^= 1  # page 0
    data[reader.prefix_size(0) - 1] ^= 1  # last page
    data[-1] ^= 1  # META
    issues = validate(bytes(data))
    assert [issue.where for issue in issues] == ["META", "page 0", f"page {len(reader.pages) - 1}"]
    assert all(issue.severity is Severity.ERROR for issue in issues)


def test_validator_finds_a_box_that_is_too_small() -> None:
    data = table(PAGES, lambda raw: raw.__setitem__(slice(0, 8), bytes(8)))
    read_all(data)  # readers need not check this
    assert [(issue.where, issue.severity) for issue in validate(data)] == [("page 0", Severity.WARNING)]


def test_validator_checks_unknown_chunks() -> None:
    data = bytearray((VECTORS / "made_unknown_ancillary.igs").read_bytes())
    data[-1] ^= 1
    assert [issue.where for issue in validate(bytes(data))] == ["tail"]
    read_all(bytes(data))  # skipped chunks are not looked at


def test_damage_to_metadata_leaves_the_picture() -> None:
    reader = IgsReader(BASE[:-1] + bytes([BASE[-1] ^ 1]))
    assert len(reader.read(0)) == 45
    with pytest.raises(ChecksumMismatch):
        reader.meta  # noqa: B018


def test_metadata_at_the_limits_is_read() -> None:
    deepest: Any = json.loads("[" * 63 + "]" * 63)
    assert IgsReader(meta(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}")).meta == {"a": deepest}
