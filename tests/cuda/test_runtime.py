"""What launch code may rely on, wherever kernels run: the host shim, and the GPU where there is one."""

import devices
import numpy as np
import pytest

from gscodec.cuda.binning import DEFINES, SCAN_CHUNK, SCAN_THREADS
from gscodec.cuda.runtime import Runtime
from gscodec.errors import BackendUnavailable, MissingExtra, OutOfDeviceMemory


def scan(runtime: Runtime, values: object, n: int, sums: object, needed: object) -> None:
    """Sums of n values up to each; two kernels of tile_bin.cu, which need no other data."""
    chunks = n // SCAN_CHUNK + 1
    partials = runtime.xp.empty(chunks, np.int64)
    runtime.kernel("tile_bin", "sum_chunks", **DEFINES)(chunks, SCAN_THREADS, values, np.int32(n), partials)
    runtime.kernel("tile_bin", "scan_chunks", **DEFINES)(
        chunks, SCAN_THREADS, values, np.int32(n), partials, np.int32(chunks), np.int64(1 << 40), sums, needed
    )


def test_upload_launch_download(device_runtime: Runtime) -> None:
    values = np.random.default_rng(0).integers(0, 9, 5000, np.int32)
    with device_runtime:
        sums, needed = device_runtime.xp.empty(len(values) + 1, np.int32), device_runtime.xp.zeros(1, np.int32)
        scan(device_runtime, device_runtime.upload(values), len(values), sums, needed)
    assert np.array_equal(device_runtime.download(sums), np.concatenate([[0], np.cumsum(values)]))
    assert device_runtime.download(needed)[0] == values.sum()


def test_a_view_passes_its_own_start_and_none_is_null(device_runtime: Runtime) -> None:
    with device_runtime:
        values = device_runtime.upload(np.arange(100, dtype=np.int32))
        sums = device_runtime.xp.zeros(64, np.int32)
        scan(device_runtime, values[90:], 10, sums[20:31], None)
    found = device_runtime.download(sums)
    assert np.array_equal(found[20:31], np.concatenate([[0], np.cumsum(np.arange(90, 100))]))
    assert not found[:20].any()
    assert not found[31:].any()


def test_a_recorded_step_can_be_repeated(device_runtime: Runtime) -> None:
    """It reads what its arrays hold then, not what they held when it was recorded."""
    n = 1000
    with device_runtime:
        values, sums = device_runtime.xp.zeros(n, np.int32), device_runtime.xp.empty(n + 1, np.int32)
        partials, repeats = device_runtime.xp.empty(1, np.int64), device_runtime.xp.zeros(1, np.int32)
        total = device_runtime.kernel("tile_bin", "sum_chunks", **DEFINES)
        accumulate = device_runtime.kernel("tile_bin", "scan_chunks", **DEFINES)
        ends = np.int32(n), partials, np.int32(1), np.int64(1 << 40)

        def step() -> None:
            total(1, SCAN_THREADS, values, np.int32(n), partials)
            accumulate(1, SCAN_THREADS, values, *ends, sums, repeats)

        replay = device_runtime.record(step)
        for value in range(5):
            values.fill(value)
            replay()
            assert np.array_equal(device_runtime.download(sums), value * np.arange(n + 1))
            assert replay.is_graph == (value > 0)
    assert device_runtime.download(repeats)[0] == 4 * n


def test_arrays_know_no_other_memory(device_runtime: Runtime) -> None:
    """NumPy arrays do not mix with the device's, and one element is an array still."""
    with device_runtime:
        there = device_runtime.upload(np.arange(6, dtype=np.float32))
        with pytest.raises(TypeError):
            there + np.ones(6, np.float32)
        assert there[2].shape == ()
        assert float(there[2]) == 2
        assert there.sum().shape == ()
        assert float(device_runtime.xp.square(there).sum()) == 55
        assert device_runtime.xp.concatenate([there, there[:2]]).shape == (8,)


def test_download_is_a_copy(device_runtime: Runtime) -> None:
    with device_runtime:
        there = device_runtime.xp.arange(5, dtype=np.int32)
        here = device_runtime.download(there)
        there[0] = 9
    assert here[0] == 0
    assert type(here) is np.ndarray


def test_unknown_kernels_are_refused(device_runtime: Runtime) -> None:
    with pytest.raises(KeyError):
        device_runtime.kernel("tile_bin", "no_such")
    with pytest.raises(KeyError):
        device_runtime.kernel("no_such", "sum_chunks")


def test_nested_entering(device_runtime: Runtime) -> None:
    with device_runtime, device_runtime:
        device_runtime.xp.zeros(1, np.int32)
    device_runtime.synchronize()


@pytest.mark.parametrize("fault", [BackendUnavailable, MissingExtra, OutOfDeviceMemory])
def test_a_gpu_that_is_needed_fails_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def refuse(_: str) -> None:
        raise fault("device cuda: no NVIDIA driver is installed; use --device cpu")

    monkeypatch.setattr(devices, "open_runtime", refuse)
    monkeypatch.delenv(devices.NEEDED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no NVIDIA driver"):
        devices.open_device("cuda")
    monkeypatch.setenv(devices.NEEDED, "1")
    with pytest.raises(pytest.fail.Exception, match=r"no NVIDIA driver.*GSCODEC_NEED_GPU is set"):
        devices.open_device("cuda")
    assert devices.open_device("host").name == "host"
