"""The launches behind tile lists one by one: sums, sorting, points by tile; and how many there are."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from host_runtime import SCHEDULES, HostRuntime, Schedule
from launches import launches_of

from gscodec.cuda import binning
from gscodec.cuda.binning import SORT_BITS, SORT_MEDIUM, SORT_SHORT, SORT_THREADS, WARP, Geometry, TileLists, sum_counts
from gscodec.cuda.blending import Lattice
from gscodec.cuda.runtime import Runtime
from gscodec.cuda.scenes import Renderer, bin_scene, render_window, upload_gaussians
from gscodec.model.constants import TILE_SIZE
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import TooManyPairs

LISTING = ["count_pairs", "scan_lists", "emit_pairs", "sort_lists"]
"""What makes tile lists, for up to LIST_SCAN Gaussians and tiles."""


def random_set(n: int, height: int, width: int, seed: int = 0) -> GaussianSet:
    rng = np.random.default_rng(seed)
    return GaussianSet(
        rng.uniform(0, [width, height], (n, 2)),
        rng.uniform(0.1, 0.5, (n, 2)),
        rng.uniform(0, np.pi, n),
        rng.random((n, 3), dtype=np.float32),
    )


@pytest.mark.parametrize("one_launch", [True, False])
@pytest.mark.parametrize("sizes", [(1, 1), (4095, 4096), (9000, 70), (70, 9000), (30_000, 17_000)])
def test_sums_of_both_counts(
    device_runtime: Runtime, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int], one_launch: bool
) -> None:
    monkeypatch.setattr(binning, "LIST_SCAN", 1 << 16 if one_launch else 0)
    rng = np.random.default_rng(1)
    n, n_tiles = sizes
    counts = rng.integers(0, 5, n, np.int32)
    tile_counts = np.bincount(rng.integers(0, n_tiles, counts.sum()), minlength=n_tiles).astype(np.int32)
    total = int(counts.sum())
    with device_runtime:
        geometry, lists = Geometry(device_runtime, n), TileLists(device_runtime, (0, 0, n_tiles, 1), 0)
        geometry.counts = device_runtime.upload(counts)
        lists.counts = device_runtime.upload(tile_counts)
        for capacity in (total, total - 1):
            needed = device_runtime.xp.zeros(1, np.int32)
            sum_counts(device_runtime, geometry, lists, capacity, needed)
            assert device_runtime.download(needed)[0] == total
            for found, values in ((geometry.starts, counts), (lists.offsets, tile_counts)):
                wanted = np.concatenate([[0], np.cumsum(values)])
                assert np.array_equal(device_runtime.download(found), wanted if capacity == total else 0 * wanted)


def test_a_total_beyond_an_int_is_told(device_runtime: Runtime) -> None:
    with device_runtime:
        geometry, lists = Geometry(device_runtime, 5000), TileLists(device_runtime, (0, 0, 3, 1), 0)
        geometry.counts = device_runtime.upload(np.full(5000, 1 << 20, np.int32))
        lists.counts.fill(0)
        needed = device_runtime.xp.zeros(1, np.int32)
        sum_counts(device_runtime, geometry, lists, 1 << 28, needed)
        assert device_runtime.download(needed)[0] == 2**31 - 1
        assert not device_runtime.download(geometry.starts).any()


def sort(runtime: Runtime, lengths: list[int], highest: int, seed: int) -> tuple[npt.NDArray[Any], ...]:
    """Random lists of those lengths, and what sort_lists makes of them: entries, offsets, indices, slots."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    owners = [np.unique(rng.integers(0, highest, 2 * n)) for n in lengths]
    owners = [rng.permutation(some)[:n] for some, n in zip(owners, lengths, strict=True)]
    entries = np.stack([rng.permutation(offsets[-1]), np.concatenate(owners)], axis=1).astype(np.int32)
    with runtime:
        indices, slots = (runtime.upload(np.full(offsets[-1], -1, np.int32)) for _ in range(2))
        runtime.kernel("tile_bin", "sort_lists", **binning.DEFINES)(
            -(-len(lengths) * WARP // SORT_THREADS),
            SORT_THREADS,
            np.int32(len(lengths)),
            runtime.upload(offsets),
            runtime.upload(entries),
            indices,
            slots,
        )
        return entries, offsets, runtime.download(indices), runtime.download(slots)


@pytest.mark.parametrize("highest", [8_000, 20 * SORT_BITS, 2**31 - 1])
def test_lists_of_every_length_are_sorted(device_runtime: Runtime, highest: int) -> None:
    """By a warp, by a block, and by bits in one range of owners or many, of which most are empty."""
    lengths = [0, 1, 2, 31, 32, 33, 64, 65, 127, SORT_SHORT - 1, SORT_SHORT, 0, SORT_SHORT + 1, SORT_MEDIUM]
    lengths += [SORT_MEDIUM + 1, 3, 2500]
    entries, offsets, indices, slots = sort(device_runtime, lengths, highest, 3)
    for first, end in pairwise(offsets):
        assert np.array_equal(indices[first:end], np.sort(entries[first:end, 1]))
    assert np.array_equal(indices[slots[entries[:, 0]]], entries[:, 1])


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_sorting_knows_no_order_of_threads(schedule: Schedule) -> None:
    entries, offsets, indices, slots = sort(HostRuntime(schedule), [40, 300, 1100, 5, 70], 3 * SORT_BITS, 4)
    for first, end in pairwise(offsets):
        assert np.array_equal(indices[first:end], np.sort(entries[first:end, 1]))
    assert np.array_equal(indices[slots[entries[:, 0]]], entries[:, 1])


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("window", "tiles"),
    [
        (Window(0.0, 0.0, 40, 56), (0, 0, 4, 3)),
        (Window(3.7, 16.0, 21, 300, 0.13, 1 / 3), (0, 0, 4, 3)),
        (Window(-50.0, -1e6, 9, 7, 31.0, 1e6), (1, 1, 4, 3)),
        (Window(16.0, 32.0, 1, 1), (0, 0, 9, 9)),
        (Window(1e12, 5.5, 3, 700, 1e-7, 0.01), (2, 0, 5, 2)),
        (Window(0.1, 0.1, 0, 5), (0, 0, 2, 2)),
        (Window(0.1, 0.1, 5, 0), (0, 0, 2, 2)),
    ],
    ids=str,
)
def test_points_lie_where_the_formula_says(
    device_runtime: Runtime, window: Window, tiles: tuple[int, int, int, int], real: Any
) -> None:
    """To the bit: start + (i + 0.5) step in float64, relative to the nearest tile's corner."""
    with device_runtime:
        lattice = Lattice.of(device_runtime, window, tiles, real)
    for axis, (start, step, n) in enumerate(
        [(window.x, window.step_x, window.width), (window.y, window.step_y, window.height)]
    ):
        begin, end = tiles[axis], tiles[axis + 2]
        position = start + (np.arange(n) + 0.5) * step
        tile = np.clip(np.floor(position / TILE_SIZE), begin, end - 1)
        starts, places = (lattice.column_starts, lattice.columns) if axis == 0 else (lattice.row_starts, lattice.rows)
        wanted = np.searchsorted(tile, np.arange(begin, end + 1))
        assert np.array_equal(device_runtime.download(starts), wanted)
        found = device_runtime.download(places)[:n]
        assert found.dtype == real
        assert np.array_equal(found, (position - tile * TILE_SIZE).astype(real))


def test_a_window_that_is_rendered_again_takes_one_launch(runtime: HostRuntime) -> None:
    """Its points are on the device already."""
    grid = Grid(40, 56, np.zeros(3, np.float32))
    scene = bin_scene(runtime, upload_gaussians(runtime, random_set(30, 40, 56)), grid)
    out, window = runtime.xp.empty((40, 56, 3), np.float32), Window.whole(grid)
    render_window(runtime, scene, window, out)
    first = runtime.download(out)
    assert launches_of(runtime, lambda: render_window(runtime, scene, window, out)) == ["blend_tiles"]
    render_window(runtime, scene, Window(4.5, 0.0, 30, 20), runtime.xp.empty((30, 20, 3), np.float32))
    render_window(runtime, scene, Window.whole(grid), out)
    assert np.array_equal(runtime.download(out), first)


def test_repeated_renders_are_five_launches_of_what_the_arrays_hold(runtime: HostRuntime) -> None:
    """Nothing is allocated, sent or read in them; pictures are those of a scene made anew, to the bit."""
    grid = Grid(40, 56, np.full(3, 0.25, np.float32))
    sets = [random_set(30, 40, 56, seed) for seed in range(3)]
    gaussians = upload_gaussians(runtime, sets[0])
    out, window = runtime.xp.empty((70, 90, 3), np.uint8), Window(1.5, 2.0, 70, 90, 0.5, 0.5)
    renderer = Renderer(runtime, gaussians, grid, window, out)
    for shown in (*sets, sets[0]):
        gaussians.means[...] = runtime.upload(shown.means)
        gaussians.inv_scales[...] = runtime.upload(shown.inv_scales)
        renderer.render()
        renderer.complete()
        changed = GaussianSet(shown.means, shown.inv_scales, sets[0].rotations, sets[0].features)
        wanted = runtime.xp.empty(out.shape, np.uint8)
        render_window(runtime, bin_scene(runtime, upload_gaussians(runtime, changed), grid), window, wanted)
        assert np.array_equal(runtime.download(out), runtime.download(wanted))
    assert renderer._replay.is_graph
    assert launches_of(runtime, renderer._launch) == [*LISTING, "blend_tiles"]


def test_a_render_without_room_is_made_again(device_runtime: Runtime) -> None:
    grid = Grid(40, 56, np.full(3, 0.25, np.float32))
    few, many = random_set(30, 40, 56), random_set(30, 40, 56)
    few.inv_scales[...] = 2.0
    gaussians = upload_gaussians(device_runtime, few)
    out = device_runtime.xp.empty((3, 40, 56), np.float32)
    pairs = int(
        device_runtime.download(bin_scene(device_runtime, upload_gaussians(device_runtime, many), grid).lists.offsets)[
            -1
        ]
    )
    renderer = Renderer(device_runtime, gaussians, grid, Window.whole(grid), out, planes=True, max_pairs=pairs)
    gaussians.inv_scales[...] = device_runtime.upload(many.inv_scales)
    renderer.render()
    assert (device_runtime.download(out) == 0.25).all()
    renderer.complete()
    wanted = device_runtime.xp.empty(out.shape, np.float32)
    scene = bin_scene(device_runtime, upload_gaussians(device_runtime, many), grid)
    render_window(device_runtime, scene, Window.whole(grid), wanted, planes=True)
    assert np.array_equal(device_runtime.download(out), device_runtime.download(wanted))
    gaussians.inv_scales[...] = device_runtime.upload(many.inv_scales / 3)
    renderer.render()
    with pytest.raises(TooManyPairs):
        renderer.complete()
