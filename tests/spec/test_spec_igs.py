"""The spec's tables, limits, enums and example, read from its text and held against the code."""

import re
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest
from coded_example import blended, decode, dump, example_file, written

from gscodec import errors
from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.small import CRC_BYTES
from gscodec.container.validate import validate
from gscodec.container.writer import pack
from gscodec.decoding.image import open_igs
from gscodec.format.layout import (
    FIELD_WIDTH,
    GRAIN,
    GROUP,
    HEADER,
    KNOWN_CHUNKS,
    LOD_ROW,
    MAX_CHUNKS,
    MAX_PAGE_SIZE,
    PAGE_ENTRY,
    PAGE_FIELD,
    PAGE_HEAD,
    PAGE_TREE,
    QUANTISER,
    RECORD,
    RECORD_WIDTHS,
    SIGNATURE,
    SIZED_PAGE_ENTRY,
    SMALL_EXTRA,
    SMALL_HEADER,
    SMALL_SET,
    TOC_ENTRY,
    Header,
    Table,
    record_size,
)
from gscodec.format.limits import MAX_CHAN_BYTES, MAX_ICC_BYTES, MAX_META_BYTES, MAX_META_DEPTH, MAX_PAGES, lods_bytes
from gscodec.format.profile_table import MAX_SMALL_BYTES
from gscodec.format.toc import MAX_VARINT_BYTES
from gscodec.model.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.profiles.packed import quan_bytes

SPEC = Path(__file__).parents[2] / "spec"
TEXT = (SPEC / "igs.md").read_text(encoding="utf-8")

SECTIONS = {
    "4.2": HEADER,
    "4.3": TOC_ENTRY,
    "5.1": GROUP,
    "6.1": LOD_ROW,
    "6.3": PAGE_ENTRY,
    "6.4": PAGE_TREE,
    "7": RECORD,
    "6.6": QUANTISER,
    "8.1": RECORD_WIDTHS,
    "8.2": FIELD_WIDTH,
    "8.3": PAGE_HEAD,
    "8.4": PAGE_FIELD,
    "10.1": SMALL_HEADER,
    "10.2": SMALL_EXTRA,
    "10.5": SMALL_SET,
    "5.6": GRAIN,
}


def section(number: str) -> str:
    """Text of a section, without its subsections."""
    found = re.search(rf"^##+ {re.escape(number)}\.? [^\n]*\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found, number
    return found[1]


def tables(text: str) -> list[list[list[str]]]:
    """Markdown tables as rows of cells, without the ruler."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.strip().splitlines()]
        found.append([rows[0], *rows[2:]])
    return found


def number(text: str) -> float:
    """A number as the spec writes it: 64, 2^20, -65504, 1/64."""
    if "/" in text:
        over, under = text.split("/")
        return float(over) / float(under)
    base, _, power = text.partition("^")
    return float(base) ** float(power) if power else float(base)


@pytest.mark.parametrize("place", SECTIONS)
def test_field_tables_are_the_code_s(place: str) -> None:
    table: Table = SECTIONS[place]
    head, *rows = tables(section(place))[0]
    assert head == ["Offset", "Size", "Type", "Name", "Meaning", "Valid range", "Error when not"]
    assert [(row[3], row[2]) for row in rows] == [(field.name, field.type) for field in table.fields]
    for row, field in zip(rows, table.fields, strict=True):
        if field.name in table.offsets:
            assert int(row[0]) == table.offsets[field.name], field.name
            assert int(row[1]) == field.size, field.name
        if row[5] == "-":
            assert field.low is None, field.name
            assert field.high is None, field.name
            assert row[6] == "-", field.name
            continue
        low, high = (number(part) for part in row[5].split(".."))
        assert (field.low, field.high) == (low, high), field.name
        named = re.findall(r"`(\w+)`", row[6])
        assert [field.below.__name__, field.above.__name__] == [named[0], named[-1]], field.name


def test_sizes_in_the_text() -> None:
    layout = section("4.1")
    assert re.search(rf"header; +// +{HEADER.size} bytes", layout)
    assert f"`varint` is an unsigned integer of 1 to {MAX_VARINT_BYTES} bytes" in section("2.3")
    assert f"{PAGE_ENTRY.size} P bytes" in section("6.3")
    assert f"{SIZED_PAGE_ENTRY.size} P bytes" in section("6.3")
    assert "10 + 2 C" in section("7")
    assert f"{PAGE_HEAD.size} + {PAGE_FIELD.size} (2 + C) + n R" in section("8")
    assert "27 + L + 9 C + 2 T bytes" in section("8.2")
    assert quan_bytes(3, (ChannelGroup("a", n_channels=4),)) == 27 + 3 + 9 * 4 + 2 * 16
    small = section("10.1")
    assert re.search(rf"header; +// +{SMALL_HEADER.size} bytes", small)
    assert f"each {SMALL_EXTRA.size} bytes and its data" in small
    assert f"{SMALL_SET.size + CRC_BYTES} to {MAX_SMALL_BYTES}" in section("10.5")
    assert record_size(5) == RECORD.size + 2 * 5 == 20
    assert "4 L + 2 L (L + 1) bytes" in section("6.1")
    assert [lods_bytes(n) for n in (1, 2, 16)] == [4 * n + 2 * n * (n + 1) for n in (1, 2, 16)]


def test_header_class_has_the_fields_of_the_table() -> None:
    assert list(Header.__dataclass_fields__) == [field.name for field in HEADER.fields]


def test_signature() -> None:
    written = re.search(r"`((?:[0-9A-F]{2} ){11}[0-9A-F]{2})`", section("4.2"))
    assert written
    assert bytes.fromhex(written[1]) == SIGNATURE


def test_chunks() -> None:
    written = re.findall(r"^([A-Z_]{4})  (critical|ancillary) ", section("4.1"), re.MULTILINE)
    assert {name.encode(): kind == "critical" for name, kind in written} == KNOWN_CHUNKS
    assert [name.encode() for name, _ in written] == list(KNOWN_CHUNKS)


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("role", Role),
        ("sample_type", SampleType),
        ("transfer", Transfer),
        ("alpha", AlphaMode),
        ("normal", NormalConvention),
    ],
)
def test_enum_codes(field: str, kind: type[StrEnum]) -> None:
    codes = tables(section("5.1"))[1]
    row = next(row for row in codes if row[0] == field)
    assert [cell for cell in row[1:] if cell] == [member.value for member in kind]
    entry = next(entry for entry in GROUP.fields if entry.name == field)
    assert entry.high == len(kind) - 1


def test_limits() -> None:
    header = {field.name: field.high for field in HEADER.fields}
    written = {row[0]: row[1] for row in tables(section("12"))[0][1:]}

    def leading(name: str) -> float:
        return number(written[name].split()[0].rstrip(",").replace(",", ""))

    assert leading("width, height") == header["width"] == header["height"]
    assert leading("n_gaussians") == header["n_gaussians"]
    assert leading("n_channels, groups") == header["n_channels"]
    assert leading("top_k") == header["top_k"]
    assert leading("lod_count, of all sets together") == header["lod_count"]
    assert leading("chunk_count") == header["chunk_count"] == MAX_CHUNKS
    assert leading("page_size") == header["page_size"] == MAX_PAGE_SIZE
    assert leading("pages") == MAX_PAGES
    assert leading("file of profile `small`") == MAX_SMALL_BYTES
    assert leading("CHAN, raw") == MAX_CHAN_BYTES
    assert leading("ICCP, raw") * 2**20 == MAX_ICC_BYTES
    assert written["META, raw"] == f"{MAX_META_BYTES >> 20} MiB, {MAX_META_DEPTH} levels deep"


def test_errors_are_classes() -> None:
    named = [row[0].strip("`") for row in tables(section("13.1"))[0][1:]]
    mentioned = set(re.findall(r"`([A-Z]\w+[a-z]\w*)`", TEXT))
    assert mentioned <= set(named)
    for name in named:
        assert issubclass(getattr(errors, name), errors.GsCodecError)


def test_sections_are_numbered_in_order() -> None:
    major = minor = 0
    for rank, number in re.findall(r"^(##|###) (\S+) ", re.sub(r"^```.*?^```", "", TEXT, flags=re.DOTALL | re.M), re.M):
        major, minor = (major + 1, 0) if rank == "##" else (major, minor + 1)
        assert number == (f"{major}." if rank == "##" else f"{major}.{minor}")


def test_version_has_an_entry_in_the_changes() -> None:
    version = re.search(r"^Version (\d+\.\d+), (\d{4}-\d\d-\d\d)\.", TEXT, re.MULTILINE)
    assert version
    assert f"## {version[1]}, {version[2]}" in (SPEC / "CHANGES.md").read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    headings = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", TEXT, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target[1:] in headings if target.startswith("#") else (SPEC / target).is_file(), target


def example() -> bytes:
    dump = re.search(r"```hexdump\n(.*?)```", TEXT, re.DOTALL)
    assert dump
    data = bytearray()
    for line in dump[1].splitlines():
        assert int(line[:8], 16) == len(data)
        row = bytes.fromhex(line[10:57])
        assert line[60:-1] == "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        data += row
    return bytes(data)


def test_the_example_decodes() -> None:
    data = example()
    assert validate(data) == []
    reader = IgsReader(data)
    assert (reader.grid.width, reader.grid.height, reader.grid.top_k, reader.grid.support_q) == (20, 12, 10, 9.0)
    assert reader.groups == (ChannelGroup("gray", n_channels=1),)
    assert reader.lods == LodTable((1, 3), ((0.75,), (1.0, 1.0)))
    coarse, fine = reader.read(1), reader.read(0)
    assert coarse.inv_scales.tolist() == [[0.09375, 0.1875]]
    assert np.abs(fine.means - [[10, 6], [4, 3], [16, 9]]).max() <= 20 / 65535
    assert fine.inv_scales.tolist() == [[0.125, 0.25], [0.5, 0.5], [0.25, 1.0]]
    assert fine.rotations.tolist() == [0, 0, np.pi / 4]
    assert fine.features.tolist() == [[0.5], [1.0], [0.25]]


def test_the_example_is_what_the_writer_writes() -> None:
    gaussians = GaussianSet(
        np.array([[10.0, 6.0], [4.0, 3.0], [16.0, 9.0]]),
        np.array([[0.125, 0.25], [0.5, 0.5], [0.25, 1.0]]),
        np.array([0.0, 0.0, np.pi / 4]),
        np.array([[0.5], [1.0], [0.25]], np.float32),
    )
    grid = Grid(12, 20, np.array([0.5], np.float32), support_q=9.0)
    lods = LodTable((1, 3), ((0.75,), (1.0, 1.0)))
    assert pack(Contents(grid, (ChannelGroup("gray", n_channels=1),), lods, gaussians, page_size=2)) == example()


def test_the_example_s_map_is_right() -> None:
    reader = IgsReader(example())
    text = section("17.1")
    assert f"file_size {reader.file_size}" in text
    assert f"toc_size {reader.header.toc_size}" in text
    for chunk in reader.chunks:
        line = f"| {chunk.offset:03x} - {chunk.offset + chunk.stored_size - 1:03x} | {chunk.label}:"
        assert line in text


def coded_example_bytes() -> bytes:
    """The bytes of the annotated dump."""
    dump = re.search(r"```annotated\n(.*?)```", TEXT, re.DOTALL)
    assert dump
    data = bytearray()
    for line in dump[1].splitlines():
        if found := re.match(r"([0-9a-f]{3})  ((?:[0-9a-f]{2} ?)+)", line):
            assert int(found[1], 16) == len(data)
            data += bytes.fromhex(found[2])
    return bytes(data)


def test_the_coded_example_is_what_its_script_writes() -> None:
    assert written(TEXT) == TEXT


def test_the_coded_example_decodes_to_what_it_says() -> None:
    data = coded_example_bytes()
    assert data == example_file()
    assert validate(data) == []
    _, values, tables = dump(data)
    listed = np.array(decode(values, tables).gaussians)
    with open_igs(data, device="reference") as image:
        gaussians = IgsReader(data).read(0)
        np.testing.assert_array_equal(gaussians.means, listed[:, :2])
        np.testing.assert_array_equal(gaussians.inv_scales, listed[:, 2:4])
        np.testing.assert_array_equal(gaussians.rotations, listed[:, 4])
        np.testing.assert_array_equal(gaussians.features[:, 0], listed[:, 5])
        (value,) = image.sample(np.array([[12.5, 6.5]]))[0]
        assert abs(value - blended([tuple(row) for row in listed.tolist()], 12.5, 6.5)) < 1e-6
        assert f"the feature {value:.6f}, and the code {image.render(dtype=np.uint8)[6, 12, 0]}." in TEXT
