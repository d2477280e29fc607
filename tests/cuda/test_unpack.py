"""unpack.cu against the CPU's dequantisation: every bit."""

import numpy as np
import pytest
from host_runtime import SCHEDULES, HostRuntime

from gscodec.constants import MAX_CHANNELS
from gscodec.cuda.runtime import Runtime
from gscodec.cuda.unpacking import unpack_f16
from gscodec.errors import InvalidArgument
from gscodec.format.quantize import Records, check_records, dequantize_records
from gscodec.gaussians import LodTable

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
    found = unpack_f16(runtime, records, lods, lod, height, width)
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


def test_levels_that_are_not_there_are_refused(device_runtime: Runtime) -> None:
    records = valid_records(20, 3)
    for lod in (-1, 3):
        with pytest.raises(InvalidArgument, match="LOD"):
            unpack_f16(device_runtime, records, LODS, lod, 8, 8)
    with pytest.raises(InvalidArgument, match="records"):
        unpack_f16(device_runtime, records[:19], LODS, 0, 8, 8)
    with pytest.raises(InvalidArgument, match="records"):
        unpack_f16(device_runtime, records.astype(np.int32), LODS, 0, 8, 8)
