"""Every cut, every flipped bit, and bytes at random: one of the documented errors, or a good read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toc_fields import seal, toc_end

from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.errors import BadFile, CorruptField, GsCodecError, TruncatedStream, Unsupported
from gscodec.format.layout import SIGNATURE

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
BASE = (VECTORS / "rgb.igs").read_bytes()


def read_all(data: bytes) -> None:
    with IgsReader(data) as reader:
        describe(reader)
        for lod in range(len(reader.lods)):
            reader.read(lod)
            reader.read_region(lod, (0, 0, 2, 2))


def read_finest(data: bytes) -> None:
    """All bytes, each once."""
    with IgsReader(data) as reader:
        reader.read(0)
        reader.icc, reader.meta  # noqa: B018


def test_every_prefix_fails_cleanly_or_holds_its_lods() -> None:
    whole = IgsReader(BASE)
    sets = [whole.read(lod) for lod in range(3)]
    for size in range(len(BASE)):
        cut = BASE[:size]
        if size < whole.data_offset:
            with pytest.raises(TruncatedStream):
                IgsReader(cut)
            continue
        reader = IgsReader(cut)
        assert reader.truncated
        for lod in range(3):
            if size >= whole.prefix_size(lod):
                assert lod in reader.available_lods
                assert np.array_equal(reader.read(lod).means, sets[lod].means)
            else:
                assert lod not in reader.available_lods
                with pytest.raises(TruncatedStream):
                    reader.read(lod)


def test_every_prefix_is_an_issue() -> None:
    for size in range(0, len(BASE), 7):
        assert any(issue.severity == "error" for issue in validate(BASE[:size])), size


@pytest.mark.parametrize(
    "name", ["gray", "rgb", "made_deflated_tables", "coded_rgb", "packed_rgb", "small_rgb", "small_stack"]
)
def test_every_flipped_bit_is_caught(name: str) -> None:
    data = (VECTORS / f"{name}.igs").read_bytes()
    damaged = bytearray(data)
    whole = len(data) < 500  # of the larger files one bit of each byte, or of each fifth
    for at in range(0, len(data), 1 if len(data) < 2000 else 5):
        bits = range(8) if whole else [at % 8]
        for bit in bits:
            damaged[at] ^= 1 << bit
            with pytest.raises((BadFile, Unsupported)):
                read_finest(bytes(damaged))
            damaged[at] ^= 1 << bit


def test_every_flipped_bit_is_an_issue() -> None:
    damaged = bytearray(BASE)
    for at in range(0, len(BASE), 5):
        damaged[at] ^= 1 << at % 8
        assert any(issue.severity == "error" for issue in validate(bytes(damaged))), at
        damaged[at] ^= 1 << at % 8


@given(st.binary(min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_extra_bytes_are_refused(extra: bytes) -> None:
    with pytest.raises(CorruptField, match="follow the end"):
        IgsReader(BASE + extra)


@given(st.binary(max_size=400), st.booleans())
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_refused(data: bytes, signed: bool) -> None:
    data = SIGNATURE + data if signed else data
    with pytest.raises(GsCodecError):
        read_all(data)
    assert validate(data)


@given(st.lists(st.tuples(st.integers(0, toc_end(BASE) - 1), st.integers(0, 255)), max_size=4))
@settings(max_examples=250, deadline=None)
def test_header_bytes_at_random_behind_a_right_checksum(changes: list[tuple[int, int]]) -> None:
    data = bytearray(BASE)
    for at, value in changes:
        data[at] = value
    sealed = seal(bytes(data))
    try:
        read_all(sealed)
    except GsCodecError as fault:
        assert str(fault)  # noqa: PT017 - most changes are refused, a few are harmless
    validate(sealed)


@given(st.integers(64, len(BASE) - 1), st.binary(min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_overwritten_ranges_are_caught(at: int, junk: bytes) -> None:
    data = (BASE[:at] + junk + BASE[at + len(junk) :])[: len(BASE)]
    if data != BASE:
        with pytest.raises(GsCodecError):
            read_all(data)
