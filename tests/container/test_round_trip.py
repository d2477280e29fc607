import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_contents import MakeContents

from gscodec.container.contents import Contents
from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import file_size, pack, quantize
from gscodec.errors import InvalidArgument
from gscodec.format.tables import lods_chunks
from gscodec.model.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer
from gscodec.model.gaussians import GaussianSet, LodTable


def assert_equal_sets(one: GaussianSet, other: GaussianSet) -> None:
    for field in ("means", "inv_scales", "rotations", "features"):
        mine, theirs = getattr(one, field), getattr(other, field)
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs), field


def assert_reads_back(contents: Contents) -> IgsReader:
    data = pack(contents)
    expected = quantize(contents)
    reader = IgsReader(data)
    assert reader.groups == expected.groups
    assert reader.lods == expected.lods
    assert reader.grid.background.tolist() == expected.grid.background.tolist()
    assert replace(reader.grid, background=None) == replace(expected.grid, background=None)  # type: ignore[arg-type]
    assert reader.icc == expected.icc
    assert reader.meta == expected.meta
    for lod in range(len(reader.lods)):
        assert_equal_sets(reader.read(lod), expected.lods.select(expected.gaussians, lod))
    icc, meta = contents.icc, contents.meta
    size = file_size(contents.grid, contents.groups, contents.lods.counts, icc, meta, contents.page_size)
    if len(reader.lods) == 1:  # without a gain of 1
        size += sum(chunk.n_bytes for chunk in lods_chunks(expected.lods))
    assert len(data) == size == reader.file_size
    assert [issue for issue in validate(data) if issue.severity != "warning"] == []
    assert pack(expected) == data  # nothing is lost twice
    return reader


@given(
    st.integers(1, 64),
    st.lists(st.integers(0, 60), min_size=1, max_size=16),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 70),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_any_shape_reads_back(
    make_contents: MakeContents, channels: int, sizes: list[int], height: int, width: int, page_size: int, seed: int
) -> None:
    counts = np.cumsum(sizes).tolist()
    contents = make_contents(counts[-1], channels, (height, width), counts, seed, page_size=page_size)
    assert_reads_back(contents)


def test_empty_set(make_contents: MakeContents) -> None:
    reader = assert_reads_back(make_contents(0, counts=(0, 0)))
    assert len(reader.read_region(0, (0, 0, 9, 9))) == 0
    assert reader.available_lods == (0, 1)


def test_every_field_of_a_stack_reads_back(make_contents: MakeContents) -> None:
    groups = (
        ChannelGroup("albedo", Role.ALBEDO, 4, 16, alpha=AlphaMode.PREMULTIPLIED, source="Rock Ünïcode.png"),
        ChannelGroup("nrm", Role.NORMAL, 3, 8, transfer=Transfer.LINEAR, normal=NormalConvention.DX),
        ChannelGroup("height", Role.HEIGHT, 1, 32, SampleType.FLOAT, Transfer.LOG, value_min=-0.1, value_max=2.7),
        ChannelGroup("x" * 255, Role.DATA, 1, 1, source="y" * 255),
        ChannelGroup("leaf", Role.EMISSIVE, 1, 16),
        ChannelGroup("leaf.A", Role.OPACITY, 1, 16, alpha=AlphaMode.STRAIGHT),
    )
    contents = replace(
        make_contents(30, 11), groups=groups, icc=bytes(range(256)) * 20, meta={"a": [1, 2.5, None, {"é": True}]}
    )
    reader = assert_reads_back(contents)
    assert reader.groups[2].value_max == float(np.float32(2.7))
    assert [chunk.label for chunk in reader.chunks] == ["CHAN", "ICCP", "LODS", "PAGI", "GAUS", "META"]


@pytest.mark.parametrize(
    "before",
    [
        ChannelGroup("a", Role.DATA, 1),
        ChannelGroup("a", Role.COLOR, 2, alpha=AlphaMode.STRAIGHT),
        ChannelGroup("a", Role.COLOR, 5),
        ChannelGroup("a", Role.OPACITY, 1),
    ],
)
def test_an_alpha_of_its_own_needs_a_colour_before_it(before: ChannelGroup, make_contents: MakeContents) -> None:
    groups = (before, ChannelGroup("b", Role.OPACITY, 1, alpha=AlphaMode.STRAIGHT))
    n_channels = before.n_channels + 1
    with pytest.raises(InvalidArgument, match="no colour before it"):
        pack(replace(make_contents(5, n_channels), groups=groups))
    coloured = (replace(before, role=Role.ALBEDO, n_channels=1, alpha=AlphaMode.NONE), groups[1])
    assert_reads_back(replace(make_contents(5, 2), groups=coloured))


def test_grid_constants_read_back(make_contents: MakeContents) -> None:
    contents = make_contents(5)
    contents = replace(contents, grid=replace(contents.grid, top_k=32, support_q=12.3))
    assert assert_reads_back(contents).grid.support_q == float(np.float32(12.3))


def test_generations_stay_apart(make_contents: MakeContents) -> None:
    contents = make_contents(200, 1, counts=(3, 50, 200))
    packed = quantize(contents).gaussians
    for generation in range(3):
        first, last = contents.lods.bounds(generation)
        before = {round(float(v), 2) for v in contents.gaussians.features[first:last, 0]}
        assert {round(float(v), 2) for v in packed.features[first:last, 0]} <= before | {
            round(v + step, 2) for v in before for step in (-0.01, 0.01)
        }


def test_describe_tells_everything(make_contents: MakeContents) -> None:
    reader = IgsReader(pack(make_contents(meta={"encoder": "test"}, icc=b"profile")))
    described = describe(reader)
    assert (described["width"], described["height"]) == (100, 70)
    assert (described["n_channels"], described["n_gaussians"]) == (3, 100)
    assert described["bpp"] == pytest.approx(8 * reader.file_size / 7000)
    assert described["bppc"] == pytest.approx(described["bpp"] / 3)
    assert [level["n_gaussians"] for level in described["lods"]] == [100, 50, 25]
    assert described["lods"][0]["bytes"] == reader.chunks[-1].offset
    assert described["meta"] == {"encoder": "test"}
    assert described["icc_bytes"] == 7


def _with_group(contents: Contents, **fields: object) -> Contents:
    return replace(contents, groups=(replace(contents.groups[0], **fields),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: replace(c, grid=replace(c.grid, width=0)),
        lambda c: replace(c, grid=replace(c.grid, height=(1 << 20) + 1)),
        lambda c: replace(c, grid=replace(c.grid, top_k=33)),
        lambda c: replace(c, grid=replace(c.grid, support_q=float("nan"))),
        lambda c: replace(c, grid=replace(c.grid, background=np.zeros(2, np.float32))),
        lambda c: replace(c, grid=replace(c.grid, background=np.full(3, np.inf, np.float32))),
        lambda c: replace(c, page_size=0),
        lambda c: replace(c, page_size=4097),
        lambda c: replace(c, groups=()),
        lambda c: replace(c, groups=(c.groups[0], c.groups[0])),
        lambda c: _with_group(c, name=""),
        lambda c: _with_group(c, name="a\nb"),
        lambda c: _with_group(c, name="x" * 256),
        lambda c: _with_group(c, name="\ud800"),
        lambda c: _with_group(c, source="../up"),
        lambda c: _with_group(c, source=".."),
        lambda c: _with_group(c, source="a\\b"),
        lambda c: _with_group(c, bit_depth=17),
        lambda c: _with_group(c, bit_depth=0),
        lambda c: _with_group(c, sample_type=SampleType.FLOAT, bit_depth=24),
        lambda c: _with_group(c, value_min=1.0),
        lambda c: _with_group(c, value_max=float("inf")),
        lambda c: _with_group(c, n_channels=2),
        lambda c: replace(c, lods=LodTable((50, 25, 100), ((1.0,), (1.0, 1.0), (1.0, 1.0, 1.0)))),
        lambda c: replace(c, lods=LodTable.single(99)),
        lambda c: replace(c, lods=LodTable((100,), ((65.0,),))),
        lambda c: replace(c, lods=LodTable((100,), ((float("nan"),),))),
        lambda c: replace(c, lods=LodTable((100,) * 17, tuple((1.0,) * n for n in range(1, 18)))),
        lambda c: replace(c, gaussians=replace(c.gaussians, means=np.full((100, 2), np.nan))),
        lambda c: replace(c, gaussians=replace(c.gaussians, features=np.full((100, 3), np.inf, np.float32))),
        lambda c: replace(c, meta={"a": float("nan")}),
        lambda c: replace(c, meta={"a": {1, 2}}),
        lambda c: replace(c, meta={"a": "\ud800"}),
        lambda c: replace(c, meta={"a": "x" * (1 << 20)}),
        lambda c: replace(c, meta=[]),
        lambda c: replace(c, icc=bytes((16 << 20) + 1)),
    ],
)
def test_what_no_file_may_hold_is_not_packed(
    make_contents: MakeContents, spoil: Callable[[Contents], Contents]
) -> None:
    with pytest.raises(InvalidArgument, match="cannot pack"):
        pack(spoil(make_contents()))


def test_import_needs_only_numpy_and_the_standard_library() -> None:
    script = (
        "import sys, numpy; before = set(sys.modules); import gscodec.container.reader, gscodec.container.writer; "
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}; "
        "print(sorted(new - sys.stdlib_module_names))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert result.stdout.strip() == "['gscodec', 'numpy']"
