"""Pictures that come to the host strip by strip while the device goes on."""

from collections.abc import Callable

import numpy as np
import pytest
from host_runtime import HostRuntime, KernelFault

from gscodec.cuda.binning import DEFINES, SCAN_CHUNK, SCAN_THREADS
from gscodec.cuda.runtime import Array, PlainStaging, Runtime
from gscodec.cuda.transfer import LARGE_BYTES, STRIP_BYTES, row_strips, to_host, travelling
from gscodec.errors import InvalidArgument

WIDTH, CHANNELS = 5, 3


def numbers(first: int, last: int) -> np.ndarray:
    return np.arange(first * WIDTH * CHANNELS, last * WIDTH * CHANNELS, dtype=np.int32).reshape(-1, WIDTH, CHANNELS)


def fill_with(runtime: Runtime) -> Callable[[int, int, Array], None]:
    """Sums of ones up to each place, by the kernels that sum: value k of row `first` on is its place in the picture."""

    def fill(first: int, last: int, out: Array) -> None:
        assert out.shape == (last - first, WIDTH, CHANNELS)
        n = out.size - 1
        values = runtime.upload(np.ones(n, np.int32))
        chunks = n // SCAN_CHUNK + 1
        partials = runtime.xp.empty(chunks, np.int64)
        runtime.kernel("tile_bin", "sum_chunks", **DEFINES)(chunks, SCAN_THREADS, values, np.int32(n), partials)
        runtime.kernel("tile_bin", "scan_chunks", **DEFINES)(
            chunks, SCAN_THREADS, values, np.int32(n), partials, np.int32(chunks), np.int64(1 << 40), out, None
        )
        out += first * WIDTH * CHANNELS

    return fill


@pytest.mark.parametrize("n_rows", [0, 1, 6, 7, 20])
def test_strips_arrive_whole_and_in_order(device_runtime: Runtime, n_rows: int) -> None:
    strips = list(row_strips(n_rows, 60, 3 * 60))
    seen = []
    for first, rows in travelling(device_runtime, strips, (WIDTH, CHANNELS), np.int32, fill_with(device_runtime)):
        seen.append((first, rows.copy()))
    assert [(first, first + len(rows)) for first, rows in seen] == strips
    for first, rows in seen:
        assert np.array_equal(rows, numbers(first, first + len(rows)))


def test_the_next_strip_is_launched_before_the_last_is_waited_for(runtime: HostRuntime) -> None:
    launched: list[int] = []

    def fill(first: int, last: int, out: Array) -> None:
        launched.append(first)
        assert len(out) == last - first
        out.fill(first)

    travels = travelling(runtime, row_strips(6, 60, 60), (WIDTH, CHANNELS), np.int32, fill)
    for number, (first, rows) in enumerate(travels):
        assert launched == list(range(min(6, number + 2)))
        assert (rows == first).all()


def test_a_traveller_who_stops_leaves_nothing_under_way(runtime: HostRuntime) -> None:
    travels = travelling(runtime, row_strips(6, 60, 60), (WIDTH, CHANNELS), np.int32, fill_with(runtime))
    next(travels)
    assert len(runtime._under_way) == 1
    travels.close()  # type: ignore[attr-defined]
    assert not runtime._under_way


@pytest.mark.parametrize("rows", [7, LARGE_BYTES // (1 << 20) // 4 + 3])
def test_small_and_large_pictures_come_to_the_host(device_runtime: Runtime, rows: int) -> None:
    out = np.zeros((rows, 1 << 20, 1), np.int32) if rows > 7 else np.zeros((rows, WIDTH, CHANNELS), np.int32)
    parts = []

    def fill(first: int, last: int, part: Array) -> None:
        parts.append((first, last))
        for row in range(first, last):
            part[row - first].fill(row)

    to_host(device_runtime, out, fill)
    assert (out == np.arange(rows)[:, None, None]).all()
    assert len(parts) == 1 if rows == 7 else len(parts) > 1


def test_strips_are_cut_where_tiles_are() -> None:
    assert list(row_strips(40, 1, 20, align=16)) == [(0, 16), (16, 32), (32, 40)]
    assert list(row_strips(3, 1 << 40)) == [(0, 1), (1, 2), (2, 3)]
    assert list(row_strips(40, 1 << 40, align=16)) == [(0, 16), (16, 32), (32, 40)]
    assert list(row_strips(0, 5)) == []
    assert list(row_strips(9, STRIP_BYTES // 4)) == [(0, 4), (4, 8), (8, 9)]


def test_what_does_not_fit_is_not_sent(device_runtime: Runtime) -> None:
    with device_runtime:
        staging = device_runtime.staging(40)
        table = device_runtime.xp.zeros((4, 5), np.int32)
        for array in (table, table.T[:2]):
            with pytest.raises(InvalidArgument, match="is sent where 40 contiguous fit"):
                staging.send(array)
        staging.send(table[:2])
        assert staging.receive().shape == (2, 5)


def test_free_bytes_are_told(device_runtime: Runtime) -> None:
    assert device_runtime.free_bytes() > 1 << 20


def test_the_shim_finds_what_is_done_too_early(runtime: HostRuntime) -> None:
    ones = runtime.upload(np.ones(15, np.int32))
    staging, fill = runtime.staging(60), fill_with(runtime)
    with pytest.raises(KernelFault, match="was not sent"):
        staging.receive()
    staging.send(ones)
    with pytest.raises(KernelFault, match="written while a copy of it is on its way"):
        fill(0, 1, ones.reshape(1, WIDTH, CHANNELS))
    with pytest.raises(KernelFault, match="has not been received"):
        staging.send(ones)
    held = staging.receive()
    assert (held == 1).all()
    fill(0, 1, ones.reshape(1, WIDTH, CHANNELS))
    staging.send(ones)
    assert not (held == 1).any(), "what was received before is there still"
    ones.fill(7)
    assert (staging.receive() == 7).all(), "the copy was made early"


def test_plain_staging_copies_when_asked(runtime: HostRuntime) -> None:
    staging = PlainStaging(runtime.download)
    there = runtime.upload(np.arange(4, dtype=np.int32))
    staging.send(there)
    assert staging.receive().tolist() == [0, 1, 2, 3]
    staging.send(there)
    staging.close()
    with pytest.raises(IndexError):
        staging.receive()
