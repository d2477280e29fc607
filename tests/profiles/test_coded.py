"""Profile `coded`: round trips, a second decoder written from the spec alone, and what the lattice promises."""

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_contents import MakeContents

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import pack
from gscodec.errors import CorruptField, GsCodecError, LimitExceeded
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.crc32c import crc32c
from gscodec.format.limits import generations_of
from gscodec.format.pages import page_starts
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.profiles.coded import payload_bits, quantize_in_order
from gscodec.profiles.entropy import (
    CHANGE_BITS,
    GAP_SPLIT,
    MAX_WEIGHT,
    TOTAL,
    VALUE_SPLIT,
    TokenTable,
    coded_bits,
    fit_table,
    tokens_of,
)
from gscodec.profiles.lattice import Codes, Lattice, dequantize, power, quantize, rotation_bits
from gscodec.profiles.token_tables import MAX_TABLE_BYTES, pack_tables, unpack_tables


def lattice_of(contents: Contents, **fields: Any) -> Lattice:
    """Steps as an encoder might choose them."""
    n_channels = contents.gaussians.n_channels
    lattice = Lattice(
        scale_step=4,
        position_offset=80,
        rotation_from=(1, 1, 2, 4, 6, 10, 16, 22, 30, 40, 50, 60),
        cell_log2=(4,) * len(contents.lods),
        feature_steps=np.full(n_channels, 1 / 32, np.float32),
        transform=np.eye(n_channels),
    )
    return replace(lattice, **fields)


def coded(make_contents: MakeContents, **fields: Any) -> Contents:
    contents = make_contents(**fields)
    return replace(contents, lattice=lattice_of(contents))


def test_feature_steps_fall_with_the_area_as_the_specification_says(make_contents: MakeContents) -> None:
    contents = make_contents(n=200, channels=2)
    contents = replace(contents, lattice=lattice_of(contents, feature_slope=20))
    lattice = contents.lattice
    assert lattice is not None
    codes = in_order(contents, lattice)
    with IgsReader(pack(contents)) as reader:
        features = reader.read(0).features
    high, low = codes.narrow * 4, (codes.narrow - codes.elongation) * 4
    area = np.array([power(np.array([(20 * int(h + w)) >> 6]))[0] for h, w in zip(high, low, strict=True)])
    expected = (codes.features * (area[:, None] / 32)).astype(np.float32)
    assert np.array_equal(features, expected)
    shape = 1 / (np.exp2(high / 32) * np.exp2(low / 32))
    np.testing.assert_allclose(area, shape ** (-20 / 64), rtol=0.03)
    original = contents.gaussians.features
    assert np.abs(np.sort(features[:, 0]) - np.sort(original[:, 0])).max() <= area.max() / 64 + 1e-6


def in_order(contents: Contents, lattice: Lattice) -> Codes:
    return quantize_in_order(contents.gaussians, lattice, contents.grid, contents.lods.counts, contents.page_size)


@pytest.mark.parametrize(
    ("n", "channels", "page_size"), [(100, 3, 16), (1, 1, 256), (300, 9, 512), (40, 64, 7), (0, 3, 8)]
)
def test_what_is_packed_comes_back(make_contents: MakeContents, n: int, channels: int, page_size: int) -> None:
    contents = coded(make_contents, n=n, channels=channels, page_size=page_size)
    data = pack(contents)
    assert validate(data) == []
    assert contents.lattice is not None
    generations = generations_of(contents.lods.counts)
    codes = in_order(contents, contents.lattice)
    expected = dequantize(codes, contents.lattice, generations)
    with IgsReader(data) as reader:
        assert reader.header.profile == 2
        got = reader.read(0)
        gain = contents.lods.gain_vector(0).astype(np.float32).astype(np.float64)
        assert np.array_equal(got.means, expected.means)
        assert np.array_equal(got.inv_scales, expected.inv_scales * gain[:, None])
        assert np.array_equal(got.rotations, expected.rotations)
        assert np.array_equal(got.features, expected.features)
    assert pack(replace(contents, gaussians=GaussianSet(*(getattr(expected, f) for f in FIELDS)))) == data


FIELDS = ("means", "inv_scales", "rotations", "features")


def test_a_region_is_read_from_its_pages(make_contents: MakeContents) -> None:
    data = pack(coded(make_contents, n=400, page_size=16, size=(200, 300)))
    with IgsReader(data) as reader:
        whole, part = reader.read(0), reader.read_region(0, (2, 3, 5, 6))
        assert 0 < len(part) < len(whole)
        kept = {tuple(mean) for mean in whole.means}
        assert all(tuple(mean) in kept for mean in part.means)


def test_a_cut_file_keeps_its_levels(make_contents: MakeContents) -> None:
    data = pack(coded(make_contents, n=200, page_size=32))
    whole = IgsReader(data)
    for lod in range(3):
        cut = IgsReader(data[: whole.prefix_size(lod)])
        assert cut.available_lods[0] == lod
        assert np.array_equal(cut.read(lod).means, whole.read(lod).means)


def test_the_nearest_lattice_point_is_as_near_as_the_steps_say(make_contents: MakeContents) -> None:
    contents = coded(make_contents, n=500)
    gaussians, lattice = contents.gaussians, contents.lattice
    assert lattice is not None
    generations = generations_of(contents.lods.counts)
    near = dequantize(quantize(gaussians, lattice, contents.grid, generations), lattice, generations)
    assert np.abs(near.features - gaussians.features).max() <= 1 / 64 + 1e-6
    narrow, wide = (np.log2(near.inv_scales) - np.log2(np.sort(gaussians.inv_scales)[:, ::-1])).T
    assert max(np.abs(narrow).max(), np.abs(wide).max()) <= 2 / 32 + 1e-6
    # Means: within half a step of both directions of the lattice, in the ellipse's own metric.
    delta = near.means - gaussians.means
    cos, sin = np.cos(near.rotations), np.sin(near.rotations)
    u = near.inv_scales[:, 0] * (cos * delta[:, 0] + sin * delta[:, 1])
    v = near.inv_scales[:, 1] * (cos * delta[:, 1] - sin * delta[:, 0])
    inside = (gaussians.means > 2).all(axis=1) & (gaussians.means < [98, 68]).all(axis=1)
    assert np.sqrt(u**2 + v**2)[inside].max() <= 0.5


def test_quantising_again_changes_nothing(make_contents: MakeContents) -> None:
    contents = coded(make_contents, n=500, seed=3)
    assert contents.lattice is not None
    generations = generations_of(contents.lods.counts)
    codes = quantize(contents.gaussians, contents.lattice, contents.grid, generations)
    again = quantize(dequantize(codes, contents.lattice, generations), contents.lattice, contents.grid, generations)
    for field in codes.__dataclass_fields__:
        assert np.array_equal(getattr(codes, field), getattr(again, field)), field


def test_the_estimate_of_bits_is_that_of_the_coder(make_contents: MakeContents) -> None:
    contents = coded(make_contents, n=3000, page_size=256, size=(400, 400))
    assert contents.lattice is not None
    counts = contents.lods.counts
    generations = generations_of(counts)
    codes = in_order(contents, contents.lattice)
    guess = payload_bits(codes, contents.lattice, generations, page_starts(counts, 256))
    with IgsReader(pack(contents)) as reader:
        assert abs(guess / (8 * reader.pages.edges[-1]) - 1) < 0.005


def test_power_is_nearly_the_power() -> None:
    units = np.arange(-600, 300)
    assert np.abs(power(units) / 2.0 ** (units / 32) - 1).max() < 1e-8


# A second decoder: plain Python, from the text of the spec.

SPREADS = (16, 19, 23, 27)
M = [round(2 ** (30 - i / 32)) for i in range(32)]


def counts_of(weights: list[int]) -> list[int]:
    spread = [SPREADS[(k - 1) % 4] << ((k - 1) // 4) for k in weights]
    total = sum(spread)
    counts = [max(4096 * s // total, 1) for s in spread]
    while sum(counts) > 4096:
        counts[counts.index(max(counts))] -= 1
    counts[counts.index(max(counts))] += 4096 - sum(counts)
    return counts


def sine(v: int) -> int:
    t = (v * v) >> 15
    return min((v * (51465 - ((t * (21077 - ((t * 2382) >> 15))) >> 15))) >> 15, 32768)


class Bits:
    def __init__(self, data: bytes) -> None:
        self.number, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, n: int) -> int:
        assert n <= self.left
        value = self.number & ((1 << n) - 1)
        self.number >>= n
        self.left -= n
        return value


def decode_page(
    page: bytes, n: int, lattice: Lattice, tables: tuple[TokenTable, ...], cell_log2: int, side: int
) -> list[list[int]]:
    state, at = int.from_bytes(page[:4], "little"), 4
    streams = []
    for number, table in enumerate(tables):
        counts = counts_of(table.weights.tolist())
        tokens = []
        for _ in range(n - (number == 0)):
            slot, token, start = state % 4096, 0, 0
            while slot >= start + counts[token]:
                start += counts[token]
                token += 1
            state = counts[token] * (state >> 12) + slot - start
            if state < 1 << 16:
                state, at = (state << 16) | int.from_bytes(page[at : at + 2], "little"), at + 2
            tokens.append(token)
        streams.append(tokens)
    assert state == 1 << 16
    bits = Bits(page[at:])

    def value(stream: int, i: int) -> int:
        split, token = 4 if stream == 0 else 8, streams[stream][i]
        if token < 1 << split:
            return token + tables[stream].low
        octave, lead = split + (token - (1 << split)) // 4, (token - (1 << split)) % 4
        return ((4 + lead) << (octave - 2)) + bits.take(octave - 2) + tables[stream].low

    rows, cell = [], 0
    for i in range(n):
        narrow, elongation = value(1, i), value(2, i)
        r_bits = sum(first <= elongation for first in lattice.rotation_from)
        rotation = bits.take(r_bits)
        first_bits = 2 * ((side - 1) >> cell_log2).bit_length()
        cell = cell + value(0, i - 1) if i else bits.take(first_bits)
        high, low = narrow * lattice.scale_step, (narrow - elongation) * lattice.scale_step
        angle = rotation << (16 - r_bits)
        cos, sin = sine(abs(angle - 32768)), sine(32768 - abs(angle - 32768))
        d = 2 * (high - low)
        variance = (((M[d % 32] >> min(d // 32, 62)) * cos * cos) >> 30) + sin * sin + 1
        leading = 16 * (30 - (variance.bit_length() - 1)) - 8
        base = lattice.position_offset + 32 * cell_log2
        x = bits.take(min(max((base + low + leading) >> 5, 0), 16))
        y = bits.take(min(max((base + high - leading) >> 5, 0), 16))
        rows.append([cell, x, y, narrow, elongation, rotation, *(value(3 + c, i) for c in range(len(tables) - 3))])
    assert bits.left < 8
    assert bits.number == 0
    return rows


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_decoder_from_the_spec_reads_the_same(make_contents: MakeContents, channels: int) -> None:
    contents = coded(make_contents, n=150, channels=channels, page_size=40, size=(90, 130), seed=channels)
    lattice = contents.lattice
    assert lattice is not None
    # Features far apart, so that some values lie beyond the split.
    wild = (contents.gaussians.features * np.array([400.0] + [1.0] * (channels - 1))).astype(np.float32)
    contents = replace(contents, gaussians=replace(contents.gaussians, features=wild))
    codes = in_order(contents, lattice)
    columns = [codes.cells, codes.offsets, codes.narrow, codes.elongation, codes.rotations, codes.features]
    rows = np.column_stack(columns).tolist()
    data = pack(contents)
    with IgsReader(data) as reader:
        tables = reader.stored_set(0).decoder.codec.tables  # type: ignore[attr-defined]  # what the file says, not what went in
        for page in range(len(reader.pages)):
            first, last = reader.pages.starts[page : page + 2].tolist()
            begin, end = (reader.data_offset + reader.pages.edges[page : page + 2]).tolist()
            assert decode_page(data[begin:end], last - first, lattice, tables, 4, 130) == rows[first:last]


@given(st.lists(st.integers(1, 64), min_size=1, max_size=352))
@settings(max_examples=150, deadline=None)
def test_counts_of_a_table(weights: list[int]) -> None:
    counts = TokenTable(0, np.array(weights, np.uint8)).counts
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    assert counts.tolist() == counts_of(weights)


WEIGHTS = st.lists(st.integers(1, 64), min_size=1, max_size=352).map(lambda weights: np.array(weights, np.uint8))
TABLE = st.builds(TokenTable, st.integers(-(2**31) + 2, 2**31 - 2), WEIGHTS)


@given(st.lists(TABLE, min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_tables_come_back(tables: list[TokenTable]) -> None:
    data = pack_tables(tables)
    assert len(data) <= MAX_TABLE_BYTES * len(tables)
    for table, back in zip(tables, unpack_tables(data, len(tables), "test"), strict=True):
        assert back.low == table.low
        assert back.weights.tolist() == table.weights.tolist()


@given(st.binary(max_size=60), st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_tables_of_any_bytes_are_refused_or_within_range(data: bytes, n_tables: int) -> None:
    try:
        tables = unpack_tables(data, n_tables, "test")
    except CorruptField:
        return
    for table in tables:
        assert 1 <= len(table.weights) <= 352
        assert table.counts.sum() == TOTAL


def test_tables_of_few_values_are_coarse() -> None:
    """A table is worth what it saves: that of 300 values is coarse, that of 30,000 near to their histogram."""
    rng = np.random.default_rng(1)
    changes = []
    for n in (300, 30_000):
        values = np.round(rng.laplace(0, 12, n)).astype(np.int64)
        table = fit_table(values, VALUE_SPLIT)
        share = np.bincount(tokens_of(values - table.low, VALUE_SPLIT)[0]) / n
        least = -float((share[share > 0] * np.log2(share[share > 0])).sum()) * n
        assert coded_bits(values, table, VALUE_SPLIT) + table.bits < least + CHANGE_BITS * np.count_nonzero(share)
        together = 8 * len(pack_tables([table] * 6))  # as many as a picture has
        assert abs(together / (6 * table.bits) - 1) < 0.25
        changes.append(np.count_nonzero(np.diff(table.weights)))
    assert changes[0] < 12 < changes[1]


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=50), st.sampled_from([GAP_SPLIT, VALUE_SPLIT]))
@settings(max_examples=100, deadline=None)
def test_tokens_of_values(values: list[int], split: int) -> None:
    tokens, extra = tokens_of(np.array(values), split)
    for value, token, bits in zip(values, tokens.tolist(), extra.tolist(), strict=True):
        if value < 1 << split:
            assert (token, bits) == (value, 0)
        else:
            octave = value.bit_length() - 1
            assert (token, bits) == ((1 << split) + 4 * (octave - split) + (value >> (octave - 2)) % 4, octave - 2)
    table = fit_table(np.array(values), split)
    assert table.counts[tokens_of(np.array(values) - table.low, split)[0]].min() >= 1


def test_rotation_bits_grow_with_elongation(make_contents: MakeContents) -> None:
    bits = rotation_bits(lattice_of(make_contents(n=1)), np.arange(70))
    assert bits[0] == 0
    assert bits[1] == 2
    assert bits[-1] == 12
    assert (np.diff(bits) >= 0).all()


# Damage behind right checksums.


def parts(data: bytes) -> tuple[dict[str, Any], list[StoredChunk]]:
    """Values of the header, and the chunks."""
    with IgsReader(data) as reader:
        stored = [(c, data[c.offset :][: c.stored_size]) for c in reader.chunks]
        chunks = [StoredChunk(c.fourcc, c.critical, c.codec, part, c.raw_size) for c, part in stored]
        return dict(reader.header.__dict__), chunks


def with_chunk(data: bytes, fourcc: bytes, raw: bytes) -> bytes:
    """The file with the raw bytes of a chunk replaced."""
    head, chunks = parts(data)
    new = [StoredChunk(c.fourcc, c.critical, 0, raw, len(raw)) if c.fourcc == fourcc else c for c in chunks]
    return assemble(head, new)


def raw_chunk(data: bytes, fourcc: bytes) -> bytearray:
    with IgsReader(data) as reader:
        chunk = next(c for c in reader.chunks if c.fourcc == fourcc)
    stored = data[chunk.offset :][: chunk.stored_size]
    return bytearray(zlib.decompress(stored) if chunk.codec else stored)


def faulty(data: bytes, offset: int, value: bytes) -> bytes:
    raw = raw_chunk(data, b"QUAN")
    raw[offset : offset + len(value)] = value
    return with_chunk(data, b"QUAN", bytes(raw))


@pytest.fixture(scope="module")
def sample(make_contents: MakeContents) -> bytes:
    return pack(coded(make_contents, n=60, page_size=16))


NAN = np.float32("nan").tobytes()
TABLES_AT = 16 + 3 + 12 + 18  # three levels, three channels


@pytest.mark.parametrize(
    ("offset", "value", "error", "words"),
    [
        (0, b"\x00", CorruptField, "scale_step"),
        (0, b"\x41", CorruptField, "scale_step"),
        (1, b"\x41", CorruptField, "feature_slope"),
        (4, b"\x09\x08", CorruptField, "rotation_from"),
        (16, b"\x15", CorruptField, "cell_log2"),
        (19, NAN, CorruptField, "feature_step"),
        (19, bytes(4), CorruptField, "feature_step"),
        (31, b"\x00\x7c", CorruptField, "transform"),
        (TABLES_AT, b"\xff" * 12, CorruptField, "token tables have a value"),
    ],
)
def test_a_fault_of_the_quantiser_is_named(
    sample: bytes, offset: int, value: bytes, error: type[GsCodecError], words: str
) -> None:
    data = faulty(sample, offset, value)
    with pytest.raises(error, match=words):
        IgsReader(data)
    assert any("QUAN" in issue.message or words in issue.message for issue in validate(data))


def test_a_quantiser_of_another_length_is_refused(sample: bytes) -> None:
    raw = bytes(raw_chunk(sample, b"QUAN"))
    for other in (raw[:10], raw[: TABLES_AT - 1], raw + bytes(8)):
        with pytest.raises(CorruptField, match="QUAN"):
            IgsReader(with_chunk(sample, b"QUAN", other))
    with pytest.raises(LimitExceeded, match="QUAN"):
        IgsReader(with_chunk(sample, b"QUAN", raw + bytes(6 * MAX_TABLE_BYTES)))


def test_cells_too_small_for_the_picture_are_refused(make_contents: MakeContents) -> None:
    contents = make_contents(n=10, size=(20, 70_000))
    good = pack(replace(contents, lattice=lattice_of(contents)))
    raw = raw_chunk(good, b"QUAN")
    raw[16:19] = bytes(3)
    with pytest.raises(LimitExceeded, match="too small"):
        IgsReader(with_chunk(good, b"QUAN", bytes(raw)))


def test_the_quantiser_belongs_to_its_profile(sample: bytes, make_contents: MakeContents) -> None:
    head, chunks = parts(pack(make_contents(n=10)))
    quantiser = StoredChunk.plain(b"QUAN", bytes(raw_chunk(sample, b"QUAN")))
    with pytest.raises(CorruptField, match="QUAN is missing"):
        IgsReader(assemble({**head, "profile": 2}, chunks))
    with pytest.raises(CorruptField, match="QUAN does not belong"):
        IgsReader(assemble(head, [*chunks[:3], quantiser, *chunks[3:]]))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_pages_of_any_bytes_are_refused_or_within_range(sample: bytes, data: st.DataObject) -> None:
    whole = raw_chunk(sample, b"GAUS")
    with IgsReader(sample) as reader:
        page = data.draw(st.integers(0, len(reader.pages) - 1))
        begin, end = reader.pages.edges[page : page + 2].tolist()
    junk = data.draw(
        st.one_of(
            st.binary(min_size=end - begin, max_size=end - begin),
            st.tuples(st.integers(0, end - begin - 1), st.integers(0, 255)).map(
                lambda at: bytes(whole[begin : begin + at[0]]) + bytes([at[1]]) + bytes(whole[begin + at[0] + 1 : end])
            ),
        )
    )
    whole[begin:end] = junk
    index = raw_chunk(sample, b"PAGI")
    index[16 * page + 8 : 16 * page + 12] = crc32c(junk).to_bytes(4, "little")
    damaged = with_chunk(with_chunk(sample, b"GAUS", bytes(whole)), b"PAGI", bytes(index))
    with IgsReader(damaged) as reader:
        try:
            gaussians = reader.read(0)
        except CorruptField as fault:
            assert f"page {page}" in str(fault)  # noqa: PT017 - a changed bit may also be harmless
            return
    assert np.isfinite(gaussians.features).all()
    assert (gaussians.means >= 0).all()
    assert (gaussians.means <= [100, 70]).all()


@pytest.mark.parametrize("token", [127, 128, 240, 351])
def test_gaps_of_more_than_a_word_are_refused(make_contents: MakeContents, token: int) -> None:
    # Two Gaussians have one gap, whose token takes no bits of the page; here a page whose first token is another one.
    data = pack(coded(make_contents, n=2, channels=1, counts=(2,), size=(200, 300)))
    quan, index = raw_chunk(data, b"QUAN"), raw_chunk(data, b"PAGI")
    with IgsReader(data) as reader:
        tables = reader.stored_set(0).decoder.codec.tables  # type: ignore[attr-defined]
    table = TokenTable(0, np.array([1] * token + [MAX_WEIGHT], np.uint8))
    count, start = int(table.counts[-1]), TOTAL - int(table.counts[-1])
    page = bytes(raw_chunk(data, b"GAUS"))
    state, later = int.from_bytes(page[:4], "little"), b""
    if state >= count << 20:
        state, later = state >> 16, page[:2]
    state = (state // count << 12) + state % count + start
    page = state.to_bytes(4, "little") + later + page[4:] + bytes(64)
    quan = quan[: 16 + 1 + 4 + 2] + pack_tables((table, *tables[1:]))
    index[8:16] = crc32c(page).to_bytes(4, "little") + len(page).to_bytes(4, "little")
    head, chunks = parts(data)
    new = {b"QUAN": bytes(quan), b"PAGI": bytes(index), b"GAUS": page}
    plain = [StoredChunk.plain(c.fourcc, new[c.fourcc]) if c.fourcc in new else c for c in chunks]
    with IgsReader(assemble(head, plain)) as reader, pytest.raises(CorruptField, match="page 0"):
        reader.read(0)


def test_a_table_that_lacks_a_value_is_an_error_of_the_caller() -> None:
    from gscodec import _engine

    one = np.ones(4, np.int32)
    lattice = _engine.CodedLattice(
        4, 80, np.full(12, 255, np.uint8), np.full(4, TOTAL, np.uint16), np.cumsum(one).astype(np.int32), 0 * one
    )
    with pytest.raises(ValueError, match="outside its table"):
        _engine.encode_pages(lattice, np.full((2, 7), 3, np.int32), np.array([[2, 4, 8]]))


def test_groups_have_their_own_transform(make_contents: MakeContents) -> None:
    contents = make_contents(n=50, channels=4)
    groups = (ChannelGroup("a", n_channels=3), ChannelGroup("b", n_channels=1))
    turn = np.eye(4)
    turn[:2, :2] = [[0.5, 0.25], [-0.25, 0.5]]
    lattice = replace(lattice_of(contents), transform=turn)
    data = pack(replace(contents, groups=groups, lattice=lattice))
    with IgsReader(data) as reader:
        got = reader.read(0)
    assert sorted(np.round(got.features[:, 3] * 32).tolist()) == sorted(
        np.floor(contents.gaussians.features[:, 3] * 32 + 0.5).tolist()
    )
    assert np.abs(np.sort(got.features[:, 0]) - np.sort(contents.gaussians.features[:, 0])).max() < 1 / 32


def test_the_engine_s_geometry_is_that_of_the_lattice_to_the_bit(make_contents: MakeContents) -> None:
    contents = coded(make_contents, n=500, channels=3, page_size=64)
    assert contents.lattice is not None
    generations = generations_of(contents.lods.counts)
    codes = in_order(contents, contents.lattice)
    expected = dequantize(codes, contents.lattice, generations)
    with IgsReader(pack(replace(contents, lods=LodTable(contents.lods.counts, unit_gains(contents))))) as reader:
        got = reader.read(0)
    for name in ("means", "inv_scales", "rotations", "features"):
        assert np.array_equal(getattr(got, name), getattr(expected, name)), name


def unit_gains(contents: Contents) -> tuple[tuple[float, ...], ...]:
    return tuple((1.0,) * len(row) for row in contents.lods.gains)
