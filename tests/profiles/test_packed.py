"""Profile `packed`: round trips, a second decoder written from the spec alone, and what records promise."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_contents import MakeContents
from synthetic import packed_contents

from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import file_size, pack, quantize
from gscodec.errors import CorruptField, GsCodecError, InvalidArgument, LimitExceeded
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.crc32c import crc32c_runs
from gscodec.format.pages import PAGE_DTYPE, page_starts
from gscodec.format.records import pack_fields
from gscodec.model.gaussians import Grid
from gscodec.profiles.page_heads import box_unit, mean_boxes
from gscodec.profiles.registry import PACKED

FIELDS = ("means", "inv_scales", "rotations", "features")
RECORD_AT = 25  # behind the head of a page of three channels


@pytest.mark.parametrize(
    ("n", "channels", "page_size"), [(100, 3, 16), (1, 1, 256), (300, 9, 512), (40, 64, 7), (0, 3, 8), (5, 2, 1)]
)
def test_what_is_packed_comes_back(make_contents: MakeContents, n: int, channels: int, page_size: int) -> None:
    contents = packed_contents(make_contents(n, channels, page_size=page_size))
    data = pack(contents)
    assert validate(data) == []
    expected = quantize(contents).gaussians
    with IgsReader(data) as reader:
        assert reader.header.profile == 1
        got = reader.read(0)
        gain = contents.lods.gain_vector(0).astype(np.float32).astype(np.float64)
        assert np.array_equal(got.means, expected.means)
        assert np.array_equal(got.inv_scales, expected.inv_scales * gain[:, None])
        assert np.array_equal(got.rotations, expected.rotations)
        assert np.array_equal(got.features, expected.features)
    assert pack(replace(contents, gaussians=expected)) == data  # what lies on the lattice stays there


def test_the_size_is_known_beforehand(make_contents: MakeContents) -> None:
    for n, channels, page_size in ((100, 3, 16), (3000, 5, 2), (1, 1, 64)):
        contents = packed_contents(make_contents(n, channels, page_size=page_size, icc=b"profile " * 9, meta={"a": 1}))
        assert contents.lattice is not None
        assert contents.lattice.records is not None
        data, stride = pack(contents), contents.lattice.records.stride
        predicted = file_size(
            contents.grid,
            contents.groups,
            contents.lods.counts,
            contents.icc,
            contents.meta,
            page_size,
            profile=PACKED,
            record_bytes=stride,
        )
        assert predicted == len(data)


def test_any_record_is_where_arithmetic_says_and_decodes_alone(make_contents: MakeContents) -> None:
    data = pack(packed_contents(make_contents(200, page_size=32, counts=(50, 90, 200))))
    with IgsReader(data) as reader:
        stride, whole = reader.record_bytes, reader.read(0)
        assert stride == 7  # (5 + 5 + 23 + 3 * 6) / 8
        sizes, at = np.diff(reader.pages.starts), reader.data_offset
        for page, size in enumerate(sizes.tolist()):
            assert at == reader.data_offset + reader.pages.edges[page]
            for i in {0, size // 2, size - 1}:
                head, record = data[at : at + RECORD_AT], data[at + RECORD_AT + i * stride :][:stride]
                x, y = place_of(head, record, i, reader)
                assert [x, y] == whole.means[reader.pages.starts[page] + i].tolist()
            at += RECORD_AT + size * stride


# A second decoder: plain Python, from the text of the spec.

M = [round(2 ** (30 - i / 32)) for i in range(32)]


def sine(v: int) -> int:
    t = (v * v) >> 15
    return min((v * (51465 - ((t * (21077 - ((t * 2382) >> 15))) >> 15))) >> 15, 32768)


def power(e: int) -> float:
    k = -(-e // 32)
    return float(M[32 * k - e]) * 2.0 ** (k - 30)


def decode_record(head: bytes, record: bytes, i: int, reader: IgsReader) -> tuple[float, float, float, float, float]:
    """X, y, both scales and the rotation of a record, and that its bits end where they should."""
    lattice = reader.stored_set(0).decoder.codec.lattice  # type: ignore[attr-defined]  # what the file says
    layout, width, height = lattice.records, reader.grid.width, reader.grid.height
    number = int.from_bytes(record, "little")
    values = []
    for bits in layout.widths:
        values.append(number & ((1 << bits) - 1))
        number >>= bits
    assert number == 0
    narrow, elongation, place = values[:3]
    for field in range(2):
        low = layout.lows[field] + int.from_bytes(head[10 + 3 * field : 12 + 3 * field], "little")
        values[field] = low + head[12 + 3 * field] * values[field]
    narrow, elongation = values[:2]
    r_bits = sum(first <= elongation for first in lattice.rotation_from)
    angle = (place & ((1 << r_bits) - 1)) << (16 - r_bits)
    high, low = narrow * lattice.scale_step, (narrow - elongation) * lattice.scale_step
    cos, sin = sine(abs(angle - 32768)), sine(32768 - abs(angle - 32768))
    d = 2 * (high - low)
    variance = (((M[d % 32] >> min(d // 32, 62)) * cos * cos) >> 30) + sin * sin + 1
    leading = 16 * (30 - (variance.bit_length() - 1)) - 8
    x, y, w, h, slope = (int.from_bytes(head[k : k + 2], "little") for k in range(0, 10, 2))
    u = 1 << max(0, max(width, height).bit_length() - 16)
    w, h = min(u * w, width - u * x), min(u * h, height - u * y)
    left = layout.place_bits - r_bits
    lean = low - high + 2 * leading + 16 * ((w * w).bit_length() - (h * h).bit_length())
    x_bits = min(max((32 * left + lean + 32) >> 6, 0), left)
    x_o, y_o = (place >> r_bits) % (1 << x_bits), place >> (r_bits + x_bits)
    x_i = min(u * x + ((i * slope * u) >> 8), width - w)
    return (
        x_i + (x_o + 0.5) * (w * 2.0**-x_bits),
        u * y + (y_o + 0.5) * (h * 2.0 ** (x_bits - left)),
        power(high),
        power(low),
        angle * (np.pi / 65536),
    )


def place_of(head: bytes, record: bytes, i: int, reader: IgsReader) -> tuple[float, float]:
    return decode_record(head, record, i, reader)[:2]


@pytest.mark.parametrize(("size", "n"), [((70, 100), 150), ((1, 300), 20), ((40, 70000), 90), ((70000, 3), 40)])
def test_a_decoder_from_the_spec_reads_the_same(make_contents: MakeContents, size: tuple[int, int], n: int) -> None:
    contents = make_contents(n, size=size, page_size=32, seed=n)
    contents = replace(contents, lods=replace(contents.lods, gains=((1.0,), (1.0, 1.0), (1.0, 1.0, 1.0))))
    data = pack(packed_contents(contents, (5, 6, 24)))
    with IgsReader(data) as reader:
        whole, edges, starts = reader.read(0), reader.pages.edges, reader.pages.starts
        assert (whole.means >= 0).all()
        assert (whole.means <= [size[1], size[0]]).all()
        stride = reader.record_bytes
        assert stride is not None
        for page in range(reader.n_pages):
            at = reader.data_offset + int(edges[page])
            for i in range(int(starts[page + 1] - starts[page])):
                record = data[at + RECORD_AT + i * stride :][:stride]
                found = decode_record(data[at : at + RECORD_AT], record, i, reader)
                row = int(starts[page]) + i
                expected = [*whole.means[row], *whole.inv_scales[row], whole.rotations[row]]
                assert list(found) == expected, (page, i)


def test_records_come_as_near_as_their_bits_say(make_contents: MakeContents) -> None:
    contents = make_contents(600, page_size=64, size=(300, 400))
    errors = []
    for place in (20, 24, 28):
        packed = packed_contents(contents, (8, 8, place), 10)
        near, given = quantize(packed).gaussians, packed.gaussians
        # The share of a page's range that 1/1023 is; some records lie beyond the ends of it.
        off = np.sort(np.abs(near.features - given.features).max(axis=1))
        assert off[int(0.9 * len(off))] < 2 * 1.4 / 1023
        errors.append(float(np.median(np.abs(near.means - given.means))))
    assert errors[1] < errors[0] / 3  # four bits, of which each axis gets two
    assert errors[2] < errors[1] / 3


def test_boxes_move_with_the_records(make_contents: MakeContents) -> None:
    contents = packed_contents(make_contents(4000, page_size=128, size=(900, 900), counts=(4000,)))
    starts = page_starts((4000,), 128)
    boxes, slopes = mean_boxes(contents.gaussians.means, starts, contents.grid)
    spans = np.maximum.reduceat(contents.gaussians.means[:, 0], starts[:-1])
    spans -= np.minimum.reduceat(contents.gaussians.means[:, 0], starts[:-1])
    assert (slopes > 0).all()
    assert np.mean(boxes[:, 2] / spans) < 0.4


def test_boxes_of_large_pictures_have_larger_units() -> None:
    background = np.zeros(1, np.float32)
    assert [box_unit(Grid(9, w, background)) for w in (1, 65535, 65536, 2**20)] == [1, 1, 2, 32]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_fields_lie_side_by_side_at_any_widths(data: st.DataObject) -> None:
    widths = tuple(data.draw(st.lists(st.integers(0, 31), min_size=1, max_size=9)))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    values: npt.NDArray[np.int64] = np.stack([rng.integers(0, 1 << width, 5) for width in widths], axis=1)
    stride = max(1, -(-sum(widths) // 8)) + data.draw(st.integers(0, 1))
    rows = pack_fields(values, widths, stride)
    number = [sum(v << sum(widths[:k]) for k, v in enumerate(row)) for row in values.tolist()]
    assert [int.from_bytes(row.tobytes(), "little") for row in rows] == number


def test_a_file_says_how_its_records_are_laid_out(make_contents: MakeContents) -> None:
    with IgsReader(pack(packed_contents(make_contents(50, page_size=16), (4, 5, 21), 6))) as reader:
        described = describe(reader)
    assert described["record_size"] == 6
    assert described["record_bits"] == {"narrow": 4, "elongation": 5, "place": 21, "features": [6, 6, 6]}
    with IgsReader(pack(make_contents(5))) as reader:
        assert describe(reader)["record_bits"] is None


def test_heads_of_other_pages_are_refused(make_contents: MakeContents) -> None:
    contents = packed_contents(make_contents(100, page_size=16))
    with pytest.raises(InvalidArgument, match="page heads"):
        pack(replace(contents, page_size=17))


def test_the_writer_pages_what_comes_without_heads(make_contents: MakeContents) -> None:
    contents = packed_contents(make_contents(100, page_size=16))
    assert contents.lattice is not None
    shuffled = np.concatenate(
        [np.random.default_rng(1).permutation(part) for part in np.split(np.arange(100), [25, 50])]
    )
    bare = replace(contents, gaussians=contents.gaussians[shuffled], lattice=replace(contents.lattice, pages=None))
    assert pack(bare) == pack(contents)


# Damage behind right checksums.


def parts(data: bytes) -> tuple[dict[str, Any], dict[bytes, StoredChunk]]:
    with IgsReader(data) as reader:
        chunks = [(c, data[c.offset :][: c.stored_size]) for c in reader.chunks]
        head = dict(reader.header.__dict__)
    return head, {c.fourcc: StoredChunk(c.fourcc, c.critical, c.codec, part, c.raw_size) for c, part in chunks}


def with_bytes(data: bytes, fourcc: bytes, at: int, value: bytes) -> bytes:
    """The file with some bytes of a chunk replaced; pages have the checksums that go with it."""
    head, chunks = parts(data)
    stored = bytearray(chunks[fourcc].stored)
    stored[at : at + len(value)] = value
    chunks[fourcc] = replace(chunks[fourcc], stored=bytes(stored), raw_size=len(stored))
    if fourcc == b"GAUS":
        with IgsReader(data) as reader:
            lengths = np.diff(reader.pages.edges)
        table = np.frombuffer(chunks[b"PAGI"].stored, PAGE_DTYPE).copy()
        table["crc"] = crc32c_runs(np.frombuffer(bytes(stored), np.uint8), lengths)
        chunks[b"PAGI"] = replace(chunks[b"PAGI"], stored=table.tobytes())
    return assemble(head, list(chunks.values()))


@pytest.fixture(scope="module")
def sample(make_contents: MakeContents) -> bytes:
    return pack(packed_contents(make_contents(60, page_size=16)))


WIDTHS_AT = 16 + 3 + 12 + 18  # three levels, three channels


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (2, b"\x01", "position_offset"),
        (17, b"\x01", "cell_log2"),
        (WIDTHS_AT, b"\x0b", "place_bits"),
        (WIDTHS_AT, b"\x20", "place_bits"),
        (WIDTHS_AT + 5, b"\x19", "bits"),
        (WIDTHS_AT, b"\x1f", "GAUS has"),  # records of other lengths no longer fill it
    ],
)
def test_a_fault_of_the_quantiser_is_named(sample: bytes, at: int, value: bytes, words: str) -> None:
    data = with_bytes(sample, b"QUAN", at, value)
    with pytest.raises(CorruptField, match=words):
        IgsReader(data)
    assert any(words in issue.message for issue in validate(data))


def test_a_quantiser_of_another_length_is_refused(sample: bytes) -> None:
    head, chunks = parts(sample)
    raw = chunks[b"QUAN"].stored
    for other in (raw[:10], raw[:-1], raw + b"\0", raw + bytes(9999)):
        chunks[b"QUAN"] = replace(chunks[b"QUAN"], stored=other, raw_size=len(other))
        with pytest.raises((CorruptField, LimitExceeded), match="QUAN"):
            IgsReader(assemble(head, list(chunks.values())))


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, b"\xff\xff", "box"),
        (2, b"\x46\x00", "box"),  # the picture is 70 px high
        (4, b"\x00\x00", "box"),
        (6, b"\x00\x00", "box"),
        (12, b"\x00", "mean nothing"),
        (10, b"\xff\xff", "mean nothing"),  # narrow scales beyond what arithmetic takes
        (13, b"\xff\xff", "mean nothing"),  # elongations
        (RECORD_AT + 6, b"\xff", "mean nothing"),  # bits behind the last value
    ],
)
def test_a_fault_of_a_page_is_named(sample: bytes, at: int, value: bytes, words: str) -> None:
    data = with_bytes(sample, b"GAUS", at, value)
    with IgsReader(data) as reader, pytest.raises(CorruptField, match=f"page 0 .*{words}"):
        reader.read(0)
    assert [issue.where for issue in validate(data)] == ["page 0"]


def test_records_at_random_decode_or_are_refused(sample: bytes) -> None:
    """Whatever the bits of a page are, means stay in the picture and all else in its range."""
    rng = np.random.default_rng(5)
    with IgsReader(sample) as reader:
        n_bytes = int(reader.pages.edges[-1])
        grid = reader.grid
    refused = 0
    for _ in range(150):
        at = int(rng.integers(0, n_bytes - 30))
        data = with_bytes(sample, b"GAUS", at, rng.integers(0, 256, int(rng.integers(1, 30)), np.uint8).tobytes())
        try:
            with IgsReader(data) as reader:
                got = reader.read(0)
        except GsCodecError:
            refused += 1
            continue
        assert (got.means >= 0).all()
        assert (got.means <= [grid.width, grid.height]).all()
        assert np.isfinite(got.features).all()
    assert 0 < refused < 150
