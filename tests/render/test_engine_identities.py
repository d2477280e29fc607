"""What must hold to the bit: a sample is its pixel, a region is its crop, and the thread count changes nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import LossWeights, OutputDtype, Subset
from gscodec.render.base import FitTarget, Rasterizer
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.reference import window_points

Scene = tuple[GaussianSet, Grid]
THREADS = (1, 2, 3, 8)


def scenes(scene_of: Callable[..., Scene], extreme_scene_of: Callable[..., Scene]) -> list[tuple[str, Scene]]:
    return [
        ("RGB", scene_of(1, 220, 59, 78, elongation=8.0)),
        ("one channel, K 1", scene_of(2, 60, 35, 40, 1, top_k=1)),
        ("seven channels, K 32", scene_of(3, 150, 33, 50, 7, top_k=32, sigma_px=(3.0, 8.0))),
        ("fewer Gaussians than K", scene_of(4, 6, 40, 40, 4)),
        ("extreme", extreme_scene_of(5)),
    ]


def test_a_sample_is_its_pixel(
    engine: Rasterizer, scene_of: Callable[..., Scene], extreme_scene_of: Callable[..., Scene]
) -> None:
    rng = np.random.default_rng(0)
    for name, (gaussians, grid) in scenes(scene_of, extreme_scene_of):
        index = engine.bin(gaussians, grid)
        image = engine.forward(gaussians, grid, index, Window.whole(grid)).reshape(-1, gaussians.n_channels)
        points = window_points(Window.whole(grid))
        for count in (1, 5, len(points)):  # batches of every fill, in an order of their own
            some = rng.permutation(len(points))[:count]
            assert np.array_equal(engine.sample(gaussians, grid, index, points[some]), image[some]), (
                f"{engine.name}, {name}"
            )


@pytest.mark.parametrize("dtype", ["float32", "uint8", "uint16"])
def test_a_region_is_its_crop(
    engine: Rasterizer, scene_of: Callable[..., Scene], extreme_scene_of: Callable[..., Scene], dtype: OutputDtype
) -> None:
    rng = np.random.default_rng(1)
    for name, (gaussians, grid) in scenes(scene_of, extreme_scene_of):
        index = engine.bin(gaussians, grid)
        image = engine.forward(gaussians, grid, index, Window.whole(grid), dtype)
        for _ in range(12):
            x0, x1 = np.sort(rng.integers(0, grid.width + 1, 2))
            y0, y1 = np.sort(rng.integers(0, grid.height + 1, 2))
            part = engine.forward(gaussians, grid, index, Window(x0, y0, int(y1 - y0), int(x1 - x0)), dtype)
            assert np.array_equal(part, image[y0:y1, x0:x1]), f"{engine.name}, {name}: {x0}:{x1}, {y0}:{y1}"


def test_a_lattice_is_its_samples(
    engine: Rasterizer, scene_of: Callable[..., Scene], extreme_scene_of: Callable[..., Scene]
) -> None:
    for name, (gaussians, grid) in scenes(scene_of, extreme_scene_of):
        index = engine.bin(gaussians, grid)
        window = Window(-2.3, 1.7, 50, 41, 1.37, 0.83)
        image = engine.forward(gaussians, grid, index, window).reshape(-1, gaussians.n_channels)
        assert np.array_equal(engine.sample(gaussians, grid, index, window_points(window)), image), (
            f"{engine.name}, {name}"
        )


def test_the_oracle_keeps_the_same_identities(oracle: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(1, 80, 39, 48)
    index = oracle.bin(gaussians, grid)
    image = oracle.forward(gaussians, grid, index, Window.whole(grid))
    assert np.array_equal(
        oracle.sample(gaussians, grid, index, window_points(Window.whole(grid))), image.reshape(-1, 3)
    )
    assert np.array_equal(oracle.forward(gaussians, grid, index, Window(5, 7, 20, 30)), image[7:27, 5:35])


def test_thread_count_does_not_change_a_byte(
    isa: str, scene_of: Callable[..., Scene], extreme_scene_of: Callable[..., Scene]
) -> None:
    weights = LossWeights(l1=0.5, l2=0.25, ssim=0.25)
    for name, (gaussians, grid) in [*scenes(scene_of, extreme_scene_of), ("many", scene_of(9, 1500, 90, 130))]:
        rng = np.random.default_rng(8)
        shape = (grid.height, grid.width, gaussians.n_channels)
        target, grad_image = rng.random(shape, dtype=np.float32), rng.standard_normal(shape, dtype=np.float32)
        points = rng.uniform(-5, 100, (300, 2))
        results = []
        for threads in THREADS:
            engine = CpuRasterizer(threads=threads, isa=isa)
            index = engine.bin(gaussians, grid)
            image = engine.forward(gaussians, grid, index, Window.whole(grid))
            codes = engine.forward(gaussians, grid, index, Window.whole(grid), "uint8")
            grads = engine.backward(gaussians, grid, index, grad_image)
            value, grad = engine.loss(np.asarray(image, np.float32), target, weights)
            arrays = {
                "offsets": index.offsets,
                "indices": index.indices,
                "forward": image,
                "codes": codes,
                "sample": engine.sample(gaussians, grid, index, points),
                "loss gradient": np.ascontiguousarray(grad),
                "loss": np.array(value),
                **{f"gradient of {kind}": array for kind, array in vars(grads).items()},
            }
            results.append({what: array.tobytes() for what, array in arrays.items()})
        for threads, result in zip(THREADS, results, strict=True):
            for what, data in result.items():
                assert data == results[0][what], f"{isa}, {name}: {what} with {threads} threads"


def test_calls_leave_their_arguments_alone(isa: str, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(1, 50, 30, 30)
    target = np.random.default_rng(0).random((30, 30, 3), dtype=np.float32)
    arrays = [*vars(gaussians).values(), grid.background, target]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    engine = CpuRasterizer(threads=2, isa=isa)
    index = engine.bin(gaussians, grid)
    engine.forward(gaussians, grid, index, Window.whole(grid))
    engine.backward(gaussians, grid, index, target)
    engine.loss(target, target, LossWeights(l1=1.0, ssim=1.0))
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))


@pytest.mark.parametrize(
    "weights",
    [LossWeights(l2=1.0), LossWeights(l1=0.6, l2=0.4), LossWeights(l2=0.4, means=2.0), LossWeights(l1=0.9, ssim=0.1)],
)
def test_a_fit_step_is_forward_loss_and_backward(
    isa: str, scene_of: Callable[..., Scene], weights: LossWeights
) -> None:
    for n in (0, 5, 160):
        gaussians, grid = scene_of(31, max(n, 1), 45, 58)
        gaussians = gaussians[:n]
        target = np.random.default_rng(n).random((45, 58, 3), dtype=np.float32)
        engine = CpuRasterizer(threads=2, isa=isa)
        index = engine.bin(gaussians, grid)
        image = np.asarray(engine.forward(gaussians, grid, index, Window.whole(grid)), np.float32)
        value, grad = engine.loss(image, target, weights)
        expected = engine.backward(gaussians, grid, index, grad)
        step = engine.fit_step(gaussians, grid, index, np.ascontiguousarray(np.moveaxis(target, 2, 0)), weights)
        assert step.loss == pytest.approx(value, rel=1e-6)
        assert step.mse == pytest.approx(float(((image.astype(np.float64) - target) ** 2).mean()), rel=1e-5)
        for kind, wanted in vars(expected).items():
            scale = np.abs(wanted).max(initial=0.0)
            np.testing.assert_allclose(
                getattr(step.grads, kind), wanted, rtol=1e-4, atol=1e-5 * scale, err_msg=f"{isa}, N {n}: {kind}"
            )


@pytest.mark.parametrize("weights", [LossWeights(l2=0.4, means=2.0), LossWeights(l1=0.9, ssim=0.1)])
@pytest.mark.parametrize("n_beside", [None, 0, 40])
def test_a_step_of_rows_is_lists_and_a_fit_step(
    isa: str, scene_of: Callable[..., Scene], weights: LossWeights, n_beside: int | None
) -> None:
    gaussians, grid = scene_of(37, 160, 45, 58)
    n = len(gaussians) - (n_beside or 0)
    own = gaussians[:n]
    rows = np.concatenate([own.means, np.full((n, 2), 9.0), own.rotations[:, None], own.features], 1, dtype=np.float32)
    inverse = own.inv_scales.astype(np.float32)
    target = np.random.default_rng(8).random((45, 58, 3), dtype=np.float32)
    engine = CpuRasterizer(threads=2, isa=isa)
    beside = None if n_beside is None else gaussians[n:]
    step = engine.fit_rows(rows, inverse, beside, grid, engine.fit_target(target), weights)
    expected = Rasterizer.fit_rows(engine, rows, inverse, beside, grid, FitTarget(target, None), weights)
    assert (step.loss, step.mse) == (expected.loss, expected.mse)
    np.testing.assert_array_equal(step.rows, expected.rows)


def test_rows_that_are_no_gaussians_are_refused(scene_of: Callable[..., Scene]) -> None:
    own, grid = scene_of(38, 9, 20, 20)
    rows = np.concatenate([own.means, own.inv_scales, own.rotations[:, None], own.features], 1, dtype=np.float32)
    target, inverse = FitTarget(np.zeros((20, 20, 3), np.float32), None), np.ones((9, 2), np.float32)
    inverse[4, 1] = 0.0
    with pytest.raises(InvalidArgument, match="Gaussian 4: inverse scale is not positive"):
        CpuRasterizer().fit_rows(rows, inverse, None, grid, target, LossWeights(l2=1.0))
    rows[4, 1] = np.nan
    with pytest.raises(InvalidArgument, match="Gaussian 4: mean is not finite"):
        CpuRasterizer().fit_rows(rows, np.ones((9, 2), np.float32), None, grid, target, LossWeights(l2=1.0))
    with pytest.raises(InvalidArgument, match="do not match rows"):
        CpuRasterizer().fit_rows(rows, np.ones((8, 2), np.float32), None, grid, target, LossWeights(l2=1.0))


@pytest.mark.parametrize("weighted", [None, "pixels", "samples"])
@pytest.mark.parametrize("n_channels", [1, 3, 5])
def test_costs_of_removal_follow_from_gradients_of_features(
    isa: str, scene_of: Callable[..., Scene], n_channels: int, weighted: str | None
) -> None:
    gaussians, grid = scene_of(39, 120, 45, 58, n_channels)
    size = (45, 58) if weighted == "pixels" else (n_channels, 45, 58)
    importance = None if weighted is None else np.random.default_rng(3).random(size, dtype=np.float32)
    engine = CpuRasterizer(threads=2, isa=isa)
    index = engine.bin(gaussians, grid)
    found = engine.removal_costs(gaussians, grid, index, importance)
    expected = Rasterizer.removal_costs(engine, gaussians, grid, index, importance)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())


@pytest.mark.parametrize("has_importance", [False, True])
@pytest.mark.parametrize("subset", [Subset(1), Subset(2), Subset(2, 1, 0), Subset(4, 3, 2)])
@pytest.mark.parametrize("size", [(35, 43), (16, 16), (5, 4)])
def test_block_means_are_of_the_pixels_of_the_subset(
    isa: str, scene_of: Callable[..., Scene], subset: Subset, size: tuple[int, int], has_importance: bool
) -> None:
    gaussians, grid = scene_of(6, 70, *size, 3)
    rng = np.random.default_rng(6)
    engine = CpuRasterizer(threads=2, isa=isa)
    index = engine.bin(gaussians, grid)
    target = rng.random((*size, 3), dtype=np.float32)
    importance = rng.random(size, dtype=np.float32) if has_importance else None
    planes = np.ascontiguousarray(np.moveaxis(target, 2, 0))
    step = engine.fit_step(gaussians, grid, index, planes, LossWeights(means=2.0), subset, importance)
    image = np.asarray(engine.forward(gaussians, grid, index, Window.whole(grid)), np.float64)
    slope, total, count = np.zeros(image.shape), 0.0, 0
    for y in range(0, size[0], 4):
        for x in range(0, size[1], 4):
            there = np.s_[y + subset.y : y + 4 : subset.step, x + subset.x : x + 4 : subset.step]
            errors = (image - target)[there]
            count += errors.size
            if errors.size and subset.step < 4:
                weight = 1.0 if importance is None else float(importance[there].mean())
                mean = errors.mean(axis=(0, 1))
                slope[there] = weight * mean
                total += errors[:, :, 0].size * weight * float((mean**2).sum())
    assert step.loss == pytest.approx(2.0 * total / count, rel=1e-5)
    wanted = engine.backward(gaussians, grid, index, (4.0 * slope / count).astype(np.float32))
    for kind in ("means", "inv_scales", "rotations", "features"):
        expected = getattr(wanted, kind)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(getattr(step.grads, kind), expected, rtol=1e-4, atol=1e-5 * scale, err_msg=kind)


@pytest.mark.parametrize("subset", [Subset(2), Subset(2, 1, 0), Subset(2, 0, 1), Subset(4, 3, 2)])
@pytest.mark.parametrize("size", [(35, 43), (16, 16), (5, 4)])
def test_a_subset_of_pixels_steps_by_their_gradient_alone(
    isa: str, scene_of: Callable[..., Scene], subset: Subset, size: tuple[int, int]
) -> None:
    gaussians, grid = scene_of(6, 70, *size, 5)
    engine = CpuRasterizer(threads=2, isa=isa)
    index = engine.bin(gaussians, grid)
    target = np.random.default_rng(6).random((*size, 5), dtype=np.float32)
    planes = np.ascontiguousarray(np.moveaxis(target, 2, 0))
    step = engine.fit_step(gaussians, grid, index, planes, LossWeights(l1=0.5, l2=1.0), subset)
    there = np.s_[subset.y :: subset.step, subset.x :: subset.step]
    image = np.asarray(engine.forward(gaussians, grid, index, Window.whole(grid)), np.float32)
    value, grad = engine.loss(image[there], target[there], LossWeights(l1=0.5, l2=1.0))
    spread = np.zeros_like(image)
    spread[there] = grad
    wanted = engine.backward(gaussians, grid, index, spread)
    assert step.loss == pytest.approx(value, rel=1e-5)
    for kind in ("means", "inv_scales", "rotations", "features"):
        expected = getattr(wanted, kind)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(getattr(step.grads, kind), expected, rtol=1e-4, atol=1e-5 * scale, err_msg=kind)


def test_subsets_without_pixels_or_with_ssim_are_refused(scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(6, 20, 5, 1)
    engine = CpuRasterizer(threads=1)
    index = engine.bin(gaussians, grid)
    planes = np.zeros((3, 5, 1), np.float32)
    for subset, weights in [
        (Subset(3), LossWeights(l2=1.0)),
        (Subset(2, 2, 0), LossWeights(l2=1.0)),
        (Subset(2, 1, 0), LossWeights(l2=1.0)),
        (Subset(2), LossWeights(l2=1.0, ssim=0.1)),
    ]:
        with pytest.raises(InvalidArgument):
            engine.fit_step(gaussians, grid, index, planes, weights, subset)


def test_the_same_call_twice_gives_the_same_bytes(engine: Rasterizer, scene_of: Callable[..., Scene]) -> None:
    """Scratch memory is kept between calls, so a large scene in between must leave no trace."""
    gaussians, grid = scene_of(14, 70, 40, 47, 5)
    index = engine.bin(gaussians, grid)
    first = engine.forward(gaussians, grid, index, Window.whole(grid))
    large, large_grid = scene_of(15, 900, 60, 60, 12)
    engine.forward(large, large_grid, engine.bin(large, large_grid), Window.whole(large_grid))
    assert np.array_equal(engine.forward(gaussians, grid, index, Window.whole(grid)), first)


def test_a_strided_or_float32_argument_means_the_same(isa: str, scene_of: Callable[..., Scene]) -> None:
    gaussians, grid = scene_of(16, 50, 30, 30)
    engine = CpuRasterizer(threads=1, isa=isa)
    index = engine.bin(gaussians, grid)
    grad_image = np.random.default_rng(0).standard_normal((30, 30, 3), dtype=np.float32)
    spread = GaussianSet(*(np.repeat(array, 2, axis=0)[::2] for array in vars(gaussians).values()))
    image = engine.forward(gaussians, grid, index, Window.whole(grid))
    assert np.array_equal(engine.forward(spread, grid, index, Window.whole(grid)), image)
    transposed = np.asfortranarray(grad_image)
    grads, same = (engine.backward(gaussians, grid, index, g) for g in (grad_image, transposed))
    assert np.array_equal(grads.means, same.means)
