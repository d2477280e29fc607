"""Profile `small`: what is packed comes back, in few bytes."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscodec import _engine
from gscodec.container.contents import Contents
from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.container.small import standard_groups
from gscodec.container.validate import validate
from gscodec.container.writer import pack, packed_size, quantize
from gscodec.errors import InvalidArgument, TruncatedStream
from gscodec.fit.lattices import rotation_from as thresholds
from gscodec.format.profile_table import MAX_SMALL_BYTES
from gscodec.model.channels import AlphaMode, ChannelGroup, Role
from gscodec.model.constants import MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.profiles.small_codec import lattice_of, rotation_from
from gscodec.profiles.small_steps import SmallSteps


def contents_of(n: int, groups: tuple[ChannelGroup, ...], size: tuple[int, int] = (48, 64), seed: int = 0) -> Contents:
    draw = np.random.default_rng(seed)
    height, width = size
    n_channels = sum(group.n_channels for group in groups)
    gaussians = GaussianSet(
        draw.uniform(0, 1, (n, 2)) * [width, height],
        np.exp(draw.uniform(-4, 0, (n, 2))),
        draw.uniform(0, np.pi, n),
        draw.uniform(0, 1, (n, n_channels)).astype(np.float32),
    )
    grid = Grid(height, width, draw.uniform(0, 1, n_channels).astype(np.float32))
    steps = SmallSteps(6, 80, 133, 1, (32,) * n_channels)
    return Contents(grid, groups, LodTable.single(n), gaussians, lattice=lattice_of(steps, grid, n, groups))


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(-(1 << 20), 1 << 20), st.integers(0, 9)), max_size=300))
@settings(max_examples=60, deadline=None)
def test_numbers_and_bits_come_back(parts: list[tuple[int, int, int]]) -> None:
    values = np.array([part[:2] for part in parts], np.int64).reshape(-1, 2)
    n_bits = np.array([part[2] for part in parts], np.int64)
    ones = (1 << n_bits) - 1
    columns = np.array([1, 0], np.int32), np.array([0, 1], np.uint8)
    encoder = _engine.BitEncoder(2)
    encoder.rows(values, *columns)
    encoder.raw(ones, n_bits)
    decoder = _engine.BitDecoder(encoder.bytes(), 2)
    np.testing.assert_array_equal(decoder.rows(len(parts), *columns), values)
    np.testing.assert_array_equal(decoder.raw(n_bits), ones)
    assert decoder.at_end


@given(st.lists(st.integers(0, 62), max_size=60))
@settings(max_examples=60, deadline=None)
def test_carries_reach_the_bytes_before(lengths: list[int]) -> None:
    """Runs of ones end at the top of the interval, where the next one carries."""
    n_bits = np.array(lengths, np.int64)
    ones = (1 << n_bits) - 1
    encoder = _engine.BitEncoder(0)
    encoder.raw(ones, n_bits)
    data = encoder.bytes()
    assert len(data) <= n_bits.sum() / 8 + 1
    np.testing.assert_array_equal(_engine.BitDecoder(data, 0).raw(n_bits), ones)


def test_what_is_likely_takes_few_bits() -> None:
    encoder = _engine.BitEncoder(1)
    encoder.rows((np.arange(1000) % 50 == 0).astype(np.int64)[:, None], np.zeros(1, np.int32), np.zeros(1, np.uint8))
    assert len(encoder.bytes()) < 1000 * 0.25 / 8  # entropy of 1 in 50 is 0.14


def test_values_of_more_than_31_bits_have_no_place() -> None:
    unsigned = np.zeros(1, np.int32), np.zeros(1, np.uint8)
    for value in (1 << 31, -1):
        with pytest.raises(ValueError, match="a value"):
            _engine.BitEncoder(1).rows(np.array([[value]], np.int64), *unsigned)
    with pytest.raises(ValueError, match="2\\^31"):
        _engine.BitDecoder(b"\xff" * 40, 1).rows(1, *unsigned)


@pytest.mark.parametrize("layout", range(1, 9))
def test_gaussians_come_back_on_their_lattice(layout: int) -> None:
    contents = contents_of(40, standard_groups(layout))
    data = pack(contents)
    assert len(data) == packed_size(contents) < 37 + 8 * 40
    assert validate(data) == []
    expected = quantize(contents).gaussians
    with IgsReader(data) as reader:
        assert reader.groups == contents.groups
        assert (reader.header.profile, reader.file_size) == (3, len(data))
        found = reader.read()
        for field in ("means", "inv_scales", "rotations", "features"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
        assert np.abs(reader.grid.background - contents.grid.background).max() < 0.06
        assert describe(reader)["profile"] == "small"
        region = reader.read_region(0, (1, 1, 2, 2))
        np.testing.assert_array_equal(region.means, found.means)


def test_what_other_files_say_in_chunks_comes_as_extras() -> None:
    groups = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT), ChannelGroup("ao", Role.AO, 1, 4))
    contents = replace(contents_of(9, groups), icc=b"profile " * 20, meta={"key": "0123456789abcdef"})
    with IgsReader(pack(contents)) as reader:
        assert reader.groups == groups
        assert reader.icc == contents.icc
        assert reader.meta == contents.meta
        np.testing.assert_array_equal(reader.grid.background, contents.grid.background)


@pytest.mark.parametrize("size", [(1, 1), (1, 65535), (65535, 3), (16, 16), (4000, 5000)], ids=str)
@pytest.mark.parametrize("n", [0, 1, 3, 300])
def test_pictures_of_any_shape(size: tuple[int, int], n: int) -> None:
    contents = contents_of(n, standard_groups(3), size, seed=n)
    data = pack(contents)
    assert validate(data) == []
    with IgsReader(data) as reader:
        np.testing.assert_array_equal(reader.read().means, quantize(contents).gaussians.means)


def test_extreme_gaussians_come_back() -> None:
    contents = contents_of(4, standard_groups(1))
    wild = replace(
        contents.gaussians,
        inv_scales=np.array([[MIN_INV_SCALE, MAX_INV_SCALE], [64, 64], [MIN_INV_SCALE] * 2, [1, 2]], np.float64),
        features=np.array([[-60000], [60000], [0], [1e-9]], np.float32),
    )
    data = pack(replace(contents, gaussians=wild))
    assert validate(data) == []


def test_a_cut_file_is_told_and_a_pipe_is_read() -> None:
    data = pack(contents_of(20, standard_groups(3)))
    for size in range(len(data)):
        with pytest.raises(TruncatedStream):
            IgsReader(data[:size])

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with IgsReader(Pipe(data)) as reader:
        assert len(reader.read()) == 20


def test_what_no_small_file_holds_is_refused() -> None:
    contents = contents_of(1200, standard_groups(3))
    assert packed_size(contents) > MAX_SMALL_BYTES
    with pytest.raises(InvalidArgument, match="at most 4096"):
        pack(contents)
    few = contents_of(4, standard_groups(3))
    with pytest.raises(InvalidArgument, match="one level"):
        pack(replace(few, lods=LodTable((2, 4), ((1.0,), (1.0, 1.0)))))
    with pytest.raises(InvalidArgument, match="one level"):
        pack(replace(few, grid=replace(few.grid, top_k=4)))


@pytest.mark.parametrize("share", [0.05, 0.25, 0.8])
@pytest.mark.parametrize("scale_step", [2, 6, 12])
def test_rotations_have_the_bits_of_other_files(scale_step: int, share: float) -> None:
    turn = round(32 * (np.log2(np.pi / share) + 0.5))
    expected = np.array(thresholds(scale_step, share))
    assert np.abs(np.array(rotation_from(scale_step, min(turn, 255))) - expected).max() <= 1
