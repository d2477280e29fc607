"""Pages unpacked on the device against the CPU's decoders: every bit, and features of sums to the last place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_runtime import SCHEDULES, HostRuntime

from gscodec.container.reader import IgsReader
from gscodec.cuda.runtime import Runtime
from gscodec.cuda.unpacking import unpack_pages
from gscodec.errors import CorruptField
from gscodec.format.pages import PageRefs, page_starts
from gscodec.model.constants import MAX_CHANNELS
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.profiles.base import StoredPages
from gscodec.profiles.f16 import F16PageDecoder, Records, check_records, dequantize_records

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
QUANTISED = (
    "coded_rgb",
    "coded_stack",
    "coded_sloped",
    "packed_rgb",
    "packed_stack",
    "ladder_coded",
    "ladder_packed",
)

LODS = LodTable((3, 7, 20), ((0.5,), (0.7, 1.1), (1.0 / 3.0, 0.1, 64.0)))


def valid_records(n: int, n_channels: int, seed: int = 0) -> Records:
    """Any words that a file may hold, features of every exponent among them."""
    rng = np.random.default_rng(seed)
    records = rng.integers(0, 1 << 16, (n, 5 + n_channels), np.uint16, endpoint=False)
    low, high = (int(np.float16(limit).view(np.uint16)) for limit in (2.0**-14, 64.0))
    records[:, 2:4] = rng.integers(low, high + 1, (n, 2))
    features = records[:, 5:]
    features[features & 0x7C00 == 0x7C00] ^= 0x4000
    check_records(records, "test")
    return records


def assert_same_bits(runtime: Runtime, records: Records, lods: LodTable, lod: int, height: int, width: int) -> None:
    step = len(lods) - 1 - lod
    counts, n_channels = lods.counts[: step + 1], records.shape[1] - 5
    starts = page_starts(counts, 5)
    sizes = np.diff(starts)
    grid = Grid(height, width, np.zeros(n_channels, np.float32))
    refs = PageRefs(np.arange(len(sizes)), starts[:-1], sizes, 0 * sizes, 0 * sizes, sizes.astype(np.uint32))
    generations = np.searchsorted(np.array(counts), starts[:-1], side="right")
    decoder = F16PageDecoder(grid, n_channels, counts, "test")
    data = records[: counts[-1]].astype("<u2").view(np.uint8).reshape(-1)
    found = unpack_pages(
        runtime, StoredPages(decoder, data, refs, generations, np.array(lods.gains[step])[generations], grid)
    )
    assert found is not None
    expected = lods.select(dequantize_records(records, height, width), lod)
    assert runtime.download(found.n_shown).tolist() == [len(expected)]
    assert len(found) == len(expected)
    assert found.feature_stride == found.n_channels == expected.n_channels
    for name in ("means", "inv_scales", "rotations", "features"):
        ours, theirs = runtime.download(getattr(found, name)), getattr(expected, name)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), name
        assert ours.tobytes() == np.ascontiguousarray(theirs).tobytes(), name


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 9, MAX_CHANNELS])
@pytest.mark.parametrize("lod", [0, 1, 2])
def test_every_level_has_the_bits_of_the_cpu(device_runtime: Runtime, lod: int, n_channels: int) -> None:
    assert_same_bits(device_runtime, valid_records(20, n_channels, n_channels), LODS, lod, 1023, 4099)


def test_every_half_there_is(device_runtime: Runtime) -> None:
    """As a feature, all finite ones: zeros of both signs, denormals and the largest among them."""
    halves = np.arange(1 << 16, dtype=np.uint16)
    halves = halves[halves & 0x7C00 != 0x7C00]
    records = valid_records(len(halves) // MAX_CHANNELS, MAX_CHANNELS)
    records[:, 5:] = halves.reshape(records[:, 5:].shape)
    assert_same_bits(device_runtime, records, LodTable.single(len(records)), 0, 16, 16)


def test_every_inverse_scale_mean_and_rotation_there_is(device_runtime: Runtime) -> None:
    words = np.arange(1 << 16, dtype=np.uint16)
    records = valid_records(1 << 16, 1)
    records[:, 0], records[:, 1], records[:, 4] = words, words[::-1], words
    low, high = (int(np.float16(limit).view(np.uint16)) for limit in (2.0**-14, 64.0))
    records[:, 2] = low + words % (high - low + 1)
    counts = (10, 1 << 16)
    assert_same_bits(device_runtime, records, LodTable(counts, ((1.0,), (0.3, 0.9))), 0, 777, 1 << 20)


def test_one_gaussian_and_none(device_runtime: Runtime) -> None:
    assert_same_bits(device_runtime, valid_records(1, 3), LodTable.single(1), 0, 1, 1)
    assert_same_bits(device_runtime, valid_records(0, 3), LodTable.single(0), 0, 1, 1)


def test_order_of_threads_does_not_show(runtime: HostRuntime) -> None:
    records = valid_records(20, 3)
    for schedule in SCHEDULES:
        with runtime.scheduled(schedule):
            assert_same_bits(runtime, records, LODS, 0, 100, 200)


@pytest.mark.parametrize("name", QUANTISED)
def test_every_level_and_region_is_the_host_s(device_runtime: Runtime, name: str) -> None:
    with IgsReader(VECTORS / f"{name}.igs") as reader:
        on_host = 1 if reader.n_sets > 1 else 0  # the coarsest set is of profile `small`
        for lod in reader.available_lods[: reader.n_lods - on_host]:
            for tiles in (None, (0, 0, 1, 1)):
                pages = reader.stored_pages(lod, tiles)
                assert len(pages.refs)
                assert_same(device_runtime, pages, pages.unpack())


@pytest.mark.parametrize("name", QUANTISED)
def test_pages_in_any_order_of_threads(runtime: HostRuntime, name: str) -> None:
    with IgsReader(VECTORS / f"{name}.igs") as reader:
        pages = reader.stored_pages()
    for schedule in SCHEDULES:
        with runtime.scheduled(schedule):
            assert_same(runtime, pages, pages.unpack())


@pytest.mark.parametrize("name", QUANTISED)
def test_changed_bytes_are_what_the_host_makes_of_them(device_runtime: Runtime, name: str) -> None:
    """The shim notices what is read or written beyond the arrays."""
    rng = np.random.default_rng(5)
    with IgsReader(VECTORS / f"{name}.igs") as reader:
        pages = reader.stored_pages()
    outcomes = set()
    for number in range(60):
        data = pages.data.copy()
        for at in rng.integers(0, len(data), 1 + number % 3):
            data[at] ^= 1 << rng.integers(0, 8)
        if number >= 50:
            data[:] = rng.integers(0, 256, len(data))
        changed = replace(pages, data=data)
        try:
            expected = changed.unpack()
        except CorruptField:
            assert unpack_pages(device_runtime, changed) is None
            outcomes.add("refused")
        else:
            assert_same(device_runtime, changed, expected)
            outcomes.add("read")
    assert "refused" in outcomes


@pytest.mark.parametrize("name", ["coded_rgb", "coded_stack", "coded_sloped"])
def test_pages_of_other_lengths_are_refused(device_runtime: Runtime, name: str) -> None:
    """If the last page is truncated, the shim detects reads beyond it."""
    with IgsReader(VECTORS / f"{name}.igs") as reader:
        pages = reader.stored_pages()
    before = int(pages.refs.lengths[:-1].sum())
    for kept in range(int(pages.refs.lengths[-1])):
        lengths = np.append(pages.refs.lengths[:-1], kept)
        short = replace(pages, refs=replace(pages.refs, lengths=lengths), data=pages.data[: before + kept])
        with pytest.raises(CorruptField):
            short.unpack()
        assert unpack_pages(device_runtime, short) is None
    data = np.append(pages.data, np.uint8(0))
    long = replace(pages, refs=replace(pages.refs, lengths=np.append(lengths[:-1], len(data) - before)), data=data)
    assert unpack_pages(device_runtime, long) is None


def test_small_files_are_left_to_the_host(device_runtime: Runtime) -> None:
    with IgsReader(VECTORS / "small_rgb.igs") as reader:
        assert unpack_pages(device_runtime, reader.stored_pages()) is None


def assert_same(runtime: Runtime, pages: StoredPages, expected: GaussianSet) -> None:
    found = unpack_pages(runtime, pages)
    assert found is not None
    assert len(found) == len(expected)
    for name in ("means", "inv_scales", "rotations"):
        assert np.array_equal(runtime.download(getattr(found, name)), getattr(expected, name)), name
    ours = runtime.download(found.features)
    np.testing.assert_allclose(ours, expected.features, rtol=1.2e-7, atol=1e-9)
