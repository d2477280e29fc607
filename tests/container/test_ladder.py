"""Files with several sets of Gaussians: each level is read from its set alone."""

from dataclasses import replace

import numpy as np
import pytest
from random_contents import MakeContents
from toc_fields import seal

from gscodec.container.contents import Contents
from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.container.rewrite import CoarserSet, chunks_of, coarser_set, with_coarser
from gscodec.container.validate import Severity, validate
from gscodec.container.writer import pack
from gscodec.decoding.image import open_igs
from gscodec.errors import CorruptField, GsCodecError, LimitExceeded, TruncatedStream, UnsupportedVersion
from gscodec.format.chunks import assemble
from gscodec.format.layout import CHAN, CSET, HEADER, LODS
from gscodec.model.gaussians import LodTable, Window
from gscodec.profiles.small_codec import lattice_of
from gscodec.profiles.small_steps import SmallSteps
from gscodec.render.reference import ReferenceRasterizer


def coarser_of(make_contents: MakeContents, contents: Contents, scale_log2: int, n: int, seed: int) -> Contents:
    """Contents of a coarser set, with two levels."""
    side, grid = 1 << scale_log2, contents.grid
    size = -(-grid.height // side), -(-grid.width // side)
    part: Contents = make_contents(n, 3, size, (n // 2, n), seed, page_size=5)
    return replace(part, grid=replace(part.grid, background=grid.background), groups=contents.groups)


@pytest.fixture(name="parts")
def parts_(make_contents: MakeContents) -> tuple[Contents, Contents, Contents]:
    """The finest set, of three levels, and two coarser ones, of two and one; the last of profile `small`."""
    finest: Contents = make_contents(300, 3, (170, 230), page_size=16)
    middle = coarser_of(make_contents, finest, 1, 60, 1)
    least = coarser_of(make_contents, finest, 3, 14, 2)
    steps = SmallSteps(4, 60, 20, 0, (5, 5, 5))
    least = replace(least, lods=LodTable.single(14), lattice=lattice_of(steps, least.grid, 14, least.groups))
    return finest, middle, least


@pytest.fixture(name="sets")
def sets_(parts: tuple[Contents, Contents, Contents]) -> list[CoarserSet]:
    """The coarser sets."""
    return [coarser_set(pack(parts[2]), 3), coarser_set(pack(parts[1]), 1)]


@pytest.fixture(name="data")
def data_(parts: tuple[Contents, Contents, Contents], sets: list[CoarserSet]) -> bytes:
    """A file of all three."""
    return with_coarser(pack(replace(parts[0], meta={"a": 1})), sets)


def test_each_level_is_that_of_its_set_on_the_grid_of_the_file(
    parts: tuple[Contents, Contents, Contents], sets: list[CoarserSet], data: bytes
) -> None:
    alone = pack(replace(parts[0], meta={"a": 1}))
    assert len(data) == len(alone) + sum(part.n_bytes for part in sets)
    assert with_coarser(data, []) == alone
    assert with_coarser(alone, []) == alone
    assert validate(data) == []
    reader = IgsReader(data)
    assert (reader.n_lods, reader.available_lods, reader.n_sets) == (6, tuple(range(6)), 3)
    assert [reader.count(lod) for lod in range(6)] == [300, 150, 75, 60, 30, 14]
    readers = [IgsReader(pack(part)) for part in parts]
    for lod, (number, own, scale) in enumerate([(0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 0, 2), (1, 1, 2), (2, 0, 8)]):
        found, expected = reader.read(lod), readers[number].read(own)
        np.testing.assert_array_equal(found.means, expected.means * scale)
        np.testing.assert_array_equal(found.inv_scales, expected.inv_scales / scale)
        np.testing.assert_array_equal(found.features, expected.features)
    sizes = [reader.prefix_size(lod) for lod in range(6)]
    assert sizes == sorted(sizes, reverse=True)
    levels = describe(reader)["lods"]
    assert [(level["set"], level["width"], level["height"]) for level in levels[2:]] == [
        (0, 230, 170),
        (1, 115, 85),
        (1, 115, 85),
        (2, 29, 22),
    ]


def test_a_region_is_that_of_the_whole_and_reads_one_set(data: bytes) -> None:
    oracle = ReferenceRasterizer()
    for lod in range(6):
        with open_igs(data, device="reference") as image:
            region = image.render(lod, (70, 50, 40, 30), dtype=np.float32)
            reader = image._reader
            assert len(reader._sets) == 1
            assert reader.pages_read <= reader.n_pages
            gaussians, grid = reader.read(lod), reader.grid
            expected = oracle.forward(gaussians, grid, oracle.bin(gaussians, grid), Window.whole(grid))
        np.testing.assert_allclose(region, expected[50:80, 70:110], rtol=0, atol=1e-5)


def test_every_cut_shows_the_levels_that_have_arrived(data: bytes) -> None:
    reader = IgsReader(data)
    ends = [reader.prefix_size(lod) for lod in range(6)]
    first = next(chunk.offset for chunk in reader.chunks if chunk.fourcc == CSET)
    for size in {*range(0, len(data), 29), *(end + step for end in ends for step in (-1, 0)), first - 1, first}:
        if size < first:
            with pytest.raises(TruncatedStream):
                IgsReader(data[:size])
            continue
        cut = IgsReader(data[:size])
        assert cut.available_lods == tuple(lod for lod in range(6) if ends[lod] <= size)
        describe(cut)
        for lod in range(6):
            if lod in cut.available_lods:
                np.testing.assert_array_equal(cut.read(lod).means, reader.read(lod).means)
            else:
                with pytest.raises(TruncatedStream, match=f"LOD {lod} ends at"):
                    cut.read(lod)


def test_faults_of_a_coarser_set_are_its_own(data: bytes) -> None:
    reader = IgsReader(data)
    chunk = [chunk for chunk in reader.chunks if chunk.fourcc == CSET][1]
    changed = bytearray(data)
    changed[chunk.offset + chunk.stored_size - 1] ^= 1  # the last page of LOD 3
    damaged = IgsReader(bytes(changed))
    np.testing.assert_array_equal(damaged.read(0).means, reader.read(0).means)
    np.testing.assert_array_equal(damaged.read(4).means, reader.read(4).means)
    with pytest.raises(GsCodecError, match="coarser set 1: page 11 does not match"):
        damaged.read(3)
    issues = validate(bytes(changed))
    assert [(issue.severity, issue.where) for issue in issues] == [(Severity.ERROR, "set 1 page 11")]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("behind LODS", CorruptField),
        ("before CHAN", CorruptField),
        ("17 levels", LimitExceeded),
        ("another scale", CorruptField),
        ("another number of levels", CorruptField),
        ("with CHAN", CorruptField),
        ("in itself", CorruptField),
        ("short", CorruptField),
        ("another profile", CorruptField),
    ],
)
def test_sets_that_do_not_fit_are_refused(
    parts: tuple[Contents, Contents, Contents], data: bytes, fault: str, error: type[GsCodecError]
) -> None:
    values, chunks = chunks_of(data)
    own, inner = chunks_of(pack(parts[1]))
    kinds = [chunk.fourcc for chunk in chunks]
    at = len(kinds) - 1 - kinds[::-1].index(CSET)
    match fault:
        case "behind LODS":
            chunks.insert(kinds.index(LODS), chunks.pop(at))
        case "before CHAN":
            chunks.insert(kinds.index(CHAN), chunks.pop(at))
        case "17 levels":
            chunks[at] = replace(chunks[at], n_lods=13)
        case "another scale":
            chunks[at] = replace(chunks[at], scale_log2=2)
        case "another number of levels":
            chunks[at] = replace(chunks[at], n_lods=1)
        case "with CHAN":
            stored = pack(parts[1])
            chunks[at] = replace(chunks[at], stored=stored, raw_size=len(stored))
        case "in itself":
            stored = assemble(own, [chunks[at], *inner[1:]])
            chunks[at] = replace(chunks[at], stored=stored, raw_size=len(stored))
        case "short":
            stored = chunks[at].stored + b"x"
            chunks[at] = replace(chunks[at], stored=stored, raw_size=len(stored))
        case "another profile":
            changed = bytearray(chunks[at].stored)
            changed[HEADER.offsets["profile"]] = 1
            chunks[at] = replace(chunks[at], stored=seal(bytes(changed)))
    made = assemble(values, chunks)
    with pytest.raises(error):
        IgsReader(made).read(3)
    assert any(issue.severity is Severity.ERROR for issue in validate(made))


def test_drafts_are_refused_by_name(data: bytes) -> None:
    for whole in (with_coarser(data, []), data):
        draft = bytearray(whole)
        draft[HEADER.offsets["version_minor"]] = 5
        with pytest.raises(UnsupportedVersion, match=r"old\.igs: version 1\.5 is a draft .* encode the picture again"):
            IgsReader(bytes(draft), "old.igs")


def test_a_truncated_file_with_a_damaged_set_shows_the_others(data: bytes) -> None:
    whole = IgsReader(data)
    chunk = [chunk for chunk in whole.chunks if chunk.fourcc == CSET][1]
    changed = bytearray(data[: whole.prefix_size(4)])
    changed[chunk.offset + HEADER.offsets["header_crc"]] ^= 1
    damaged = IgsReader(bytes(changed))
    assert damaged.available_lods == (5,)
    np.testing.assert_array_equal(damaged.read(5).means, whole.read(5).means)
    with pytest.raises(GsCodecError, match="coarser set 1: the header does not match"):
        damaged.read(4)
