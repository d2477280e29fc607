"""Binning, blending and gradients on a device, where the renderer interface does not reach: schedules, capacities,
layouts, prefixes, double precision, poisoned parameters. Parity with the oracle is tests/render's."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from devices import DEVICES, open_device
from host_runtime import SCHEDULES, HostRuntime, Schedule

from gscodec.cuda import blending
from gscodec.cuda.binning import Geometry, TileLists, count_pairs, list_tiles
from gscodec.cuda.blending import MOMENTS, Scene, Strides
from gscodec.cuda.runtime import Runtime
from gscodec.cuda.scenes import bin_scene, device_gaussians, render_window
from gscodec.errors import InvalidArgument
from gscodec.fit.device_pass import LossPass, moments_of
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import N_POINTWISE_TERMS, LossWeights
from gscodec.render.gpu import CudaRasterizer
from gscodec.render.reference import ReferenceRasterizer, blend_points, window_points

HEIGHT, WIDTH, CHANNELS = 37, 53, 3


@pytest.fixture(scope="module", params=DEVICES)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return open_device(request.param)


def picture(seed: int, n: int = 90, channels: int = CHANNELS, top_k: int = 10) -> tuple[GaussianSet, Grid]:
    rng = np.random.default_rng(seed)
    gaussians = GaussianSet(
        rng.uniform(-3, [WIDTH + 3, HEIGHT + 3], (n, 2)),
        1 / np.exp(rng.uniform(0, 2, (n, 2))),
        rng.uniform(0, np.pi, n),
        rng.random((n, channels), dtype=np.float32),
    )
    return gaussians, Grid(HEIGHT, WIDTH, rng.random(channels, dtype=np.float32), top_k=top_k, support_q=9.0)


def on(runtime: Runtime, gaussians: GaussianSet, n_shown: int | None = None) -> Any:
    up = runtime.upload
    arrays = (gaussians.means, gaussians.inv_scales, gaussians.rotations, gaussians.features)
    uploaded = device_gaussians(runtime, *(up(array) for array in arrays))
    return uploaded if n_shown is None else replace(uploaded, n_shown=up(np.array([n_shown], np.int32)))


def step(
    runtime: Runtime,
    scene: Scene,
    target: npt.NDArray[np.float32],
    strides: Strides,
    weights: LossWeights,
    importance: npt.NDArray[np.float32] | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Gradients (N, MOMENTS + C) and per-tile loss sums of a fused step."""
    xp, width = runtime.xp, MOMENTS + scene.gaussians.n_channels
    moments = xp.empty((max(scene.lists.capacity, 1), width), scene.real)
    partials = xp.empty((scene.lists.n_tiles, N_POINTWISE_TERMS + (importance is not None)), np.float32)
    grads = xp.zeros((len(scene.gaussians), width), scene.real)
    blending.backward(
        runtime,
        scene,
        (HEIGHT, WIDTH),
        strides,
        grad_image=None,
        target=runtime.upload(target),
        weights=weights,
        loss_partials=partials,
        moments=moments,
        importance=None if importance is None else runtime.upload(importance),
    )
    blending.gather(runtime, scene, moments, grads)
    return runtime.download(grads), runtime.download(partials)


@pytest.mark.parametrize("schedule", SCHEDULES[1:], ids=str)
def test_results_do_not_hang_on_the_order_of_threads_and_blocks(schedule: Schedule) -> None:
    results = []
    for order in (SCHEDULES[0], schedule):
        gaussians, grid = picture(1, n=150)
        runtime = HostRuntime(order)
        scene = bin_scene(runtime, on(runtime, gaussians), grid)
        image = runtime.xp.empty((HEIGHT, WIDTH, CHANNELS), np.float32)
        render_window(runtime, scene, Window.whole(grid), image)
        target = np.random.default_rng(2).random((CHANNELS, HEIGHT, WIDTH), dtype=np.float32)
        grads, partials = step(runtime, scene, target, Strides.planes(HEIGHT, WIDTH), LossWeights(l1=0.5, l2=1.0))
        points = runtime.upload(np.random.default_rng(3).uniform(0, 40, (100, 2)))
        sampled = runtime.xp.empty((100, CHANNELS), np.float32)
        blending.sample(runtime, scene, points, sampled)
        lists = (scene.lists.offsets, scene.lists.indices, scene.lists.slots, scene.geometry.starts)
        results.append([a.tobytes() for a in (*map(runtime.download, (*lists, image, sampled)), grads, partials)])
    assert results[0] == results[1]


def test_long_lists_are_sorted_whatever_the_order_of_arrival() -> None:
    """2,500 Gaussians in one tile do not fit the shared memory of the sort."""
    rng = np.random.default_rng(4)
    n = 2500
    gaussians = GaussianSet(
        rng.uniform(4, 10, (n, 2)), np.full((n, 2), 1.0), np.zeros(n), rng.random((n, 1), dtype=np.float32)
    )
    grid = Grid(16, 32, np.zeros(1, np.float32), support_q=9.0)
    for schedule in (Schedule("reverse"), Schedule("random", 5)):
        runtime = HostRuntime(schedule)
        lists = bin_scene(runtime, on(runtime, gaussians), grid).lists
        offsets, indices = runtime.download(lists.offsets), runtime.download(lists.indices)
        assert (np.diff(indices[: offsets[1]]) > 0).all()
        assert offsets[1] > 2000


def test_too_small_a_capacity_leaves_empty_lists_and_says_what_is_needed(runtime: Runtime) -> None:
    gaussians, grid = picture(5)
    uploaded = on(runtime, gaussians)
    tiles = (0, 0, *grid.tiles_shape[::-1])
    pairs = len(CudaRasterizer(runtime).bin(gaussians, grid).indices)
    for capacity, shown in ((pairs, pairs), (pairs - 1, 0), (0, 0)):
        geometry, needed = Geometry(runtime, len(gaussians)), runtime.xp.zeros(1, np.int32)
        lists = TileLists(runtime, tiles, capacity)
        count_pairs(runtime, uploaded, geometry, lists, grid.support_q, capacity, needed)
        list_tiles(runtime, uploaded, geometry, lists, grid.support_q)
        assert runtime.download(needed)[0] == pairs
        assert runtime.download(lists.offsets)[-1] == shown
    background = runtime.upload(np.asarray(grid.background))
    scene = Scene(uploaded, geometry, lists, background, grid.top_k)
    target = np.zeros((CHANNELS, HEIGHT, WIDTH), np.float32)
    grads, _ = step(runtime, scene, target, Strides.planes(HEIGHT, WIDTH), LossWeights(l2=1.0))
    assert not grads.any()


def test_a_prefix_is_the_set_of_its_gaussians(runtime: Runtime) -> None:
    gaussians, grid = picture(6)
    for n in (0, 1, 37, len(gaussians)):
        images = []
        for uploaded in (on(runtime, gaussians, n), on(runtime, gaussians[:n])):
            scene = bin_scene(runtime, uploaded, grid)
            out = runtime.xp.empty((HEIGHT, WIDTH, CHANNELS), np.float32)
            render_window(runtime, scene, Window.whole(grid), out)
            images.append(runtime.download(out))
        assert np.array_equal(images[0], images[1]), n


FUSED = [LossWeights(l1=0.3, l2=0.7), LossWeights(l2=0.7, means=1.5)]


def value_of(partials: npt.NDArray[np.float32], weights: LossWeights, n_samples: int) -> float:
    """The loss of per-tile sums."""
    sums = partials.sum(axis=0, dtype=np.float64)[:N_POINTWISE_TERMS]
    return float(np.dot(weights.values[:N_POINTWISE_TERMS], sums)) / n_samples


@pytest.mark.parametrize("weights", FUSED)
@pytest.mark.parametrize("channels", [1, 3, 8, 11])
def test_the_fused_loss_is_the_loss_and_its_gradient(runtime: Runtime, channels: int, weights: LossWeights) -> None:
    """And planes are interleaved pixels: the same gradients to the bit."""
    gaussians, grid = picture(7, channels=channels)
    target = np.random.default_rng(8).random((HEIGHT, WIDTH, channels), dtype=np.float32)
    oracle = ReferenceRasterizer()
    index = oracle.bin(gaussians, grid)
    image = np.asarray(oracle.forward(gaussians, grid, index, Window.whole(grid)), np.float32)
    value, grad_image = oracle.loss(image, target, weights)
    wanted = oracle.backward(gaussians, grid, index, grad_image)
    scene = bin_scene(runtime, on(runtime, gaussians), grid)
    grads, partials = step(runtime, scene, target, Strides.interleaved(WIDTH, channels), weights)
    assert value_of(partials, weights, target.size) == pytest.approx(value, rel=1e-5)
    columns: dict[str, Any] = {
        "means": np.s_[:, :2],
        "inv_scales": np.s_[:, 2:4],
        "rotations": np.s_[:, 4],
        "features": np.s_[:, 5:],
    }
    for kind, where in columns.items():
        expected = np.asarray(getattr(wanted, kind), np.float64)
        error = np.abs(grads[where] - expected).max()
        assert error <= 2e-3 * np.abs(expected).max() + 1e-9, f"{kind}: {error:.3g}"
    planes = np.ascontiguousarray(np.moveaxis(target, 2, 0))
    again, sums_again = step(runtime, scene, planes, Strides.planes(HEIGHT, WIDTH), weights)
    assert grads.tobytes() == again.tobytes()
    assert partials.tobytes() == sums_again.tobytes()


@pytest.mark.parametrize("weights", FUSED)
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("channels", [3, 11])
def test_pixels_of_the_fused_loss_may_count_differently(
    runtime: Runtime, channels: int, weights: LossWeights, *, each: bool
) -> None:
    gaussians, grid = picture(7, channels=channels)
    rng = np.random.default_rng(8)
    target = rng.random((HEIGHT, WIDTH, channels), dtype=np.float32)
    importance = 3 * rng.random((channels, HEIGHT, WIDTH) if each else (HEIGHT, WIDTH), dtype=np.float32)
    oracle = ReferenceRasterizer()
    index = oracle.bin(gaussians, grid)
    image = np.asarray(oracle.forward(gaussians, grid, index, Window.whole(grid)), np.float32)
    value, grad_image = oracle.loss(image, target, weights, importance)
    wanted = oracle.backward(gaussians, grid, index, grad_image)
    scene = bin_scene(runtime, on(runtime, gaussians), grid)
    grads, partials = step(runtime, scene, target, Strides.interleaved(WIDTH, channels), weights, importance)
    assert value_of(partials, weights, target.size) == pytest.approx(value, rel=1e-5)
    plain_square = partials[:, -1].sum(dtype=np.float64) / target.size
    assert plain_square == pytest.approx(np.square(image - target).mean(dtype=np.float64), rel=1e-5)
    expected = np.concatenate(
        [wanted.means, wanted.inv_scales, wanted.rotations[:, None], wanted.features.astype(np.float64)], axis=1
    )
    error = np.abs(grads - expected).max(axis=0)
    assert (error <= 2e-3 * np.abs(expected).max(axis=0) + 1e-9).all(), error
    plain, _ = step(runtime, scene, target, Strides.interleaved(WIDTH, channels), weights)
    ones, _ = step(runtime, scene, target, Strides.interleaved(WIDTH, channels), weights, np.ones_like(importance))
    assert plain.tobytes() == ones.tobytes()


@pytest.mark.parametrize("channels", [3, 10])
def test_double_precision_agrees_with_the_oracle_and_with_differences(runtime: Runtime, channels: int) -> None:
    gaussians, grid = picture(9, n=9, channels=channels)  # N <= K: no choice that a step could change
    engine, oracle = CudaRasterizer(runtime, np.float64), ReferenceRasterizer()
    index = oracle.bin(gaussians, grid)
    points = window_points(Window.whole(grid))
    exact = blend_points(gaussians, grid, index, points)
    image = engine.forward(gaussians, grid, index, Window.whole(grid))
    assert image.dtype == np.float64
    np.testing.assert_allclose(image.reshape(exact.shape), exact, rtol=1e-11, atol=1e-13)
    grad_image = np.random.default_rng(10).standard_normal(image.shape).astype(np.float32)
    got, wanted = (e.backward(gaussians, grid, index, grad_image) for e in (engine, oracle))
    flat = grad_image.reshape(exact.shape).astype(np.float64)
    rng = np.random.default_rng(11)
    for kind in ("means", "inv_scales", "rotations"):
        expected = np.asarray(getattr(wanted, kind))
        np.testing.assert_allclose(getattr(got, kind), expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())
        for entry in rng.choice(expected.size, 5, replace=False):
            ends = []
            for sign in (1, -1):
                moved = np.array(getattr(gaussians, kind))
                moved.flat[entry] += sign * 1e-5
                ends.append(
                    float((blend_points(replace(gaussians, **{kind: moved}), grid, index, points) * flat).sum())
                )
            slope = (ends[0] - ends[1]) / 2e-5
            scale = np.abs(expected).max()
            assert np.asarray(getattr(got, kind)).flat[entry] == pytest.approx(slope, rel=1e-6, abs=1e-6 * scale)
    np.testing.assert_allclose(got.features, wanted.features, rtol=1e-6)


@pytest.mark.parametrize(
    "window", [Window(8, 5, 40, 44, 0.13, 0.21), Window(-30, -9, 25, 30, 3.1, 2.3), Window(3, 2, 33, 47)]
)
@pytest.mark.parametrize(("n", "top_k"), [(60, 10), (700, 10), (700, 3), (300, 32)])
def test_a_warp_leaves_out_nothing_that_a_point_needs(runtime: Runtime, window: Window, n: int, top_k: int) -> None:
    """A sample asks every Gaussian of its tile, a pixel those of its warp's shortlist: the same bits, on points
    that lie close, far apart, and outside of the grid; lists of several batches among them; thin and huge Gaussians."""
    gaussians, grid = picture(14, n, top_k=top_k)
    rng = np.random.default_rng(15)
    inv_scales = np.array(gaussians.inv_scales)
    inv_scales[::7, 0] = rng.uniform(20, 40, len(inv_scales[::7]))
    inv_scales[1::7] = rng.uniform(1e-6, 1e-3, (len(inv_scales[1::7]), 2))
    gaussians = replace(gaussians, inv_scales=inv_scales)
    scene = bin_scene(runtime, on(runtime, gaussians), grid)
    out = runtime.xp.empty((window.height, window.width, CHANNELS), np.float32)
    render_window(runtime, scene, window, out)
    sampled = runtime.xp.empty((window.height * window.width, CHANNELS), np.float32)
    blending.sample(runtime, scene, runtime.upload(window_points(window)), sampled)
    assert runtime.download(out).reshape(-1, CHANNELS).tobytes() == runtime.download(sampled).tobytes()


def tied(n: int) -> tuple[GaussianSet, Grid]:
    """A picture whose every Gaussian there is n / 4 times, over all of it."""
    gaussians, grid = picture(16, n)
    same = np.arange(n) % 4
    return replace(
        gaussians,
        means=gaussians.means[same],
        inv_scales=gaussians.inv_scales[same] / 8,
        rotations=gaussians.rotations[same],
    ), grid


@pytest.mark.parametrize(
    ("made", "real"),
    [
        (picture(18), np.float32),
        (picture(18, n=9), np.float32),
        (picture(18, n=700, channels=11), np.float32),
        (picture(18, n=700, top_k=32, channels=1), np.float32),
        (picture(18, n=200), np.float64),
        (tied(48), np.float32),
        (tied(100), np.float32),
        (tied(300), np.float32),
    ],
    ids=["plain", "fewer than K", "long, 11 channels", "K 32", "double", "ties", "ties, two batches", "ties, many"],
)
def test_a_gradient_from_choices_is_that_of_a_second_blend(
    runtime: Runtime, made: tuple[GaussianSet, Grid], real: blending.Real
) -> None:
    """To the bit, moments of each pair included; and the picture is what it is without them."""
    gaussians, grid = made
    scene, c, xp = bin_scene(runtime, on(runtime, gaussians), grid, real=real), gaussians.n_channels, runtime.xp
    strides, lattice = Strides.planes(HEIGHT, WIDTH), scene.lattice(runtime, Window.whole(grid))
    pictures = [xp.zeros((c, HEIGHT, WIDTH), real) for _ in range(2)]
    choices = blending.choices_of(runtime, scene.lists.n_tiles, real)
    choices.fill(np.nan)
    blending.render(runtime, scene, lattice, pictures[0], strides)
    blending.render(runtime, scene, lattice, pictures[1], strides, choices)
    assert runtime.download(pictures[0]).tobytes() == runtime.download(pictures[1]).tobytes()
    grad = runtime.upload(np.random.default_rng(19).standard_normal((c, HEIGHT, WIDTH)).astype(np.float32))
    twice, once = (xp.zeros((scene.lists.capacity, MOMENTS + c), real) for _ in range(2))
    blending.backward(
        runtime,
        scene,
        (HEIGHT, WIDTH),
        strides,
        grad_image=grad,
        moments=twice,
    )
    blending.backward_again(
        runtime,
        scene,
        (HEIGHT, WIDTH),
        strides,
        grad_image=grad,
        picture=pictures[1],
        choices=choices,
        moments=once,
    )
    expected = runtime.download(twice)
    assert np.isfinite(expected).all()
    assert np.abs(expected).max() > 0
    assert runtime.download(once).tobytes() == expected.tobytes()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_step_that_compares_first_is_the_one_that_does_not(runtime: Runtime, channels: int) -> None:
    """An SSIM weight too small to move any gradient gives moments and losses of the fused step; so does, in both, an
    importance of ones."""
    gaussians, grid = picture(20, channels=channels)
    scene = bin_scene(runtime, on(runtime, gaussians), grid)
    target = runtime.upload(np.random.default_rng(21).random((channels, HEIGHT, WIDTH), dtype=np.float32))
    ones = runtime.xp.zeros((HEIGHT, WIDTH), np.float32) + np.float32(1)
    moments, sums = [], []
    for weights in (LossWeights(l1=0.3, l2=0.7, ssim=1e-30), LossWeights(l1=0.3, l2=0.7)):
        for importance in (None, ones):
            made = LossPass(runtime, grid, target, weights, importance)
            room = moments_of(runtime, scene.lists.capacity, channels)
            room.fill(np.nan)
            sums.append(runtime.download(made.backward(scene, room)).sum(axis=0, dtype=np.float64)[:2])
            moments.append(runtime.download(room))
    assert np.isfinite(moments[0]).all()
    for other, total in zip(moments[1:], sums[1:], strict=True):
        assert other.tobytes() == moments[0].tobytes()
        np.testing.assert_allclose(total, sums[0], rtol=1e-6)


@pytest.mark.parametrize("n", [48, 300])
def test_of_equal_distances_the_lower_indices_are_blended(runtime: Runtime, n: int) -> None:
    """Also in gradients, and where the list takes several batches."""
    gaussians, grid = tied(n)
    engine, oracle = CudaRasterizer(runtime), ReferenceRasterizer()
    index = oracle.bin(gaussians, grid)
    assert np.diff(index.offsets).max() == n
    wanted = oracle.forward(gaussians, grid, index, Window.whole(grid))
    image = engine.forward(gaussians, grid, index, Window.whole(grid))
    # Four groups compete: where two are nearly as far, float32 may choose the other.
    assert (np.abs(image - wanted) < 1e-4).mean() > 0.99
    points = window_points(Window.whole(grid))
    assert engine.sample(gaussians, grid, index, points).tobytes() == image.tobytes()
    grad_image = np.random.default_rng(17).standard_normal(image.shape).astype(np.float32)
    exact = oracle.backward(gaussians, grid, index, grad_image).features
    found = engine.backward(gaussians, grid, index, grad_image).features
    assert not exact[40:].any(), "ten of each group are enough"
    assert not found[40:].any()
    np.testing.assert_allclose(found, exact, rtol=1e-2, atol=1e-2 * np.abs(exact).max())


@pytest.mark.parametrize("field", ["means", "inv_scales", "rotations"])
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e300])
def test_poisoned_parameters_reach_no_memory_and_no_neighbour(runtime: Runtime, field: str, poison: float) -> None:
    """A fit that diverges must not crash the device; the interface refuses such sets before they get there."""
    gaussians, grid = picture(12, n=30)
    array = np.array(getattr(gaussians, field))
    array[3:5] = poison
    poisoned = replace(gaussians, **{field: array})
    scene = bin_scene(runtime, on(runtime, poisoned), grid)
    out = runtime.xp.empty((HEIGHT, WIDTH, CHANNELS), np.float32)
    render_window(runtime, scene, Window.whole(grid), out)
    image = runtime.download(out)
    if field == "means" or not np.isfinite(poison):
        offsets, indices = runtime.download(scene.lists.offsets), runtime.download(scene.lists.indices)
        assert not np.isin(indices[: offsets[-1]], (3, 4)).any()
        assert np.isfinite(image).all()
    if not np.isfinite(poison):
        with pytest.raises(InvalidArgument, match="not finite"):
            CudaRasterizer(runtime).bin(poisoned, grid)


def test_buffers_that_do_not_fit_are_refused_before_a_launch(runtime: Runtime) -> None:
    gaussians, grid = picture(13, n=20)
    scene = bin_scene(runtime, on(runtime, gaussians), grid)
    small = runtime.xp.empty((HEIGHT, WIDTH - 1, CHANNELS), np.float32)
    with pytest.raises(InvalidArgument, match="out"):
        render_window(runtime, scene, Window.whole(grid), small)
    with pytest.raises(InvalidArgument, match="dtype"):
        render_window(runtime, scene, Window.whole(grid), runtime.xp.empty((HEIGHT, WIDTH, CHANNELS), np.int64))
    whole = runtime.xp.empty((HEIGHT, WIDTH, CHANNELS), np.float32)
    strides, lattice = Strides.interleaved(WIDTH, CHANNELS), scene.lattice(runtime, Window.whole(grid))
    with pytest.raises(InvalidArgument, match="choices"):
        blending.render(runtime, scene, lattice, whole, strides, blending.choices_of(runtime, scene.lists.n_tiles - 1))
    part, choices = Window(0, 0, 20, WIDTH), blending.choices_of(runtime, scene.lists.n_tiles)
    with pytest.raises(InvalidArgument, match=r"choices: \(20, 53\) px are not what tiles"):
        blending.render(runtime, scene, scene.lattice(runtime, part), whole, strides, choices)
    with pytest.raises(InvalidArgument, match="out: float32 is not float64"):
        blending.render(runtime, replace(scene, real=np.float64), lattice, whole, strides)
    broken = replace(scene.gaussians, means=runtime.upload(np.zeros((20, 2), np.float32)))
    with pytest.raises(InvalidArgument, match="means"):
        bin_scene(runtime, broken, grid)
