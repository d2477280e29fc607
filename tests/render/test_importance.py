"""Pixels that count differently in the loss, on every engine, against the oracle."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, Window
from gscodec.model.rendering import LossWeights, Subset
from gscodec.render.autograd import fit_loss
from gscodec.render.base import Rasterizer
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.reference import ReferenceRasterizer

Scene = tuple[GaussianSet, Grid]
LOSSES = [
    LossWeights(l1=0.7),
    LossWeights(l2=1.0),
    LossWeights(means=1.0),
    LossWeights(ssim=1.0),
    LossWeights(l1=0.3, l2=0.6, means=0.5),
    LossWeights(l1=0.3, l2=0.6, ssim=0.5),
]
SIZES = [(1, 1), (33, 47), (21, 300)]


def pair(size: tuple[int, int], channels: int = 3) -> tuple[Float32Array, Float32Array]:
    rng = np.random.default_rng(size)
    target = rng.random((*size, channels), dtype=np.float32)
    return target + 0.1 * rng.standard_normal(target.shape).astype(np.float32), target


def map_of(size: tuple[int, int], channels: int = 0) -> Float32Array:
    """Values of 0 to 3, some of them 0: one for each pixel, or with channels (C, height, width)."""
    rng = np.random.default_rng(9)
    shape = (channels, *size) if channels else size
    values = 3.0 * rng.random(shape, dtype=np.float32)
    return np.where(rng.random(shape) < 0.2, np.float32(0), values)


@pytest.mark.parametrize("planes", [0, 3])
@pytest.mark.parametrize("weights", LOSSES)
@pytest.mark.parametrize("size", SIZES)
def test_value_and_gradient_are_the_oracle_s(
    engine: Rasterizer, oracle: Rasterizer, size: tuple[int, int], weights: LossWeights, planes: int
) -> None:
    image, target = pair(size)
    value, grad = engine.loss(image, target, weights, map_of(size, planes))
    wanted, wanted_grad = oracle.loss(image, target, weights, map_of(size, planes))
    assert value == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(grad, wanted_grad, atol=2e-4 * np.abs(wanted_grad).max() + 1e-12)


@pytest.mark.parametrize("planes", [0, 2])
@pytest.mark.parametrize("weights", LOSSES)
def test_the_oracle_s_gradient_is_that_of_its_value(weights: LossWeights, planes: int) -> None:
    image, target = pair((14, 15), 2)
    engine, importance = ReferenceRasterizer(), map_of((14, 15), planes)
    _, grad = engine.loss(image, target, weights, importance)
    for place in [(0, 0, 0), (7, 7, 1), (13, 2, 0)]:
        ends = []
        for step in (1e-3, -1e-3):
            moved = image.copy()
            moved[place] += np.float32(step)
            ends.append(engine.loss(moved, target, weights, importance)[0] / (2 * abs(step)))
        assert grad[place] == pytest.approx(ends[0] - ends[1], rel=0.02, abs=2e-5)


@pytest.mark.parametrize("shape", [(33, 47), (1, 33, 47), (3, 33, 47)])
@pytest.mark.parametrize("weights", LOSSES)
def test_a_map_of_ones_changes_nothing(engine: Rasterizer, weights: LossWeights, shape: tuple[int, ...]) -> None:
    image, target = pair((33, 47))
    value, grad = engine.loss(image, target, weights)
    weighted, weighted_grad = engine.loss(image, target, weights, np.ones(shape, np.float32))
    assert weighted == pytest.approx(value, rel=1e-6)
    assert np.array_equal(weighted_grad, grad)


@pytest.mark.parametrize("planes", [0, 3])
@pytest.mark.parametrize(
    "weights", [LossWeights(l2=1.0), LossWeights(l2=0.5, means=2.0), LossWeights(l1=0.9, l2=0.5, ssim=0.1)]
)
def test_a_weighted_step_is_forward_loss_and_backward(
    isa: str, scene_of: Callable[..., Scene], weights: LossWeights, planes: int
) -> None:
    gaussians, grid = scene_of(31, 160, 45, 58)
    image_of, importance = CpuRasterizer(threads=2, isa=isa), map_of((45, 58), planes)
    target = np.random.default_rng(4).random((45, 58, 3), dtype=np.float32)
    index = image_of.bin(gaussians, grid)
    image = np.asarray(image_of.forward(gaussians, grid, index, Window.whole(grid)), np.float32)
    value, grad = image_of.loss(image, target, weights, importance)
    expected = image_of.backward(gaussians, grid, index, grad)
    target_planes = np.ascontiguousarray(np.moveaxis(target, 2, 0))
    step = image_of.fit_step(gaussians, grid, index, target_planes, weights, importance=importance)
    assert step.loss == pytest.approx(value, rel=1e-6)
    assert step.mse == pytest.approx(float(((image.astype(np.float64) - target) ** 2).mean()), rel=1e-5), "plain"
    for kind, wanted in vars(expected).items():
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(getattr(step.grads, kind), wanted, rtol=1e-4, atol=1e-5 * scale, err_msg=kind)


@pytest.mark.parametrize("maps", [0, 5])
@pytest.mark.parametrize("subset", [Subset(2, 1, 0), Subset(4, 3, 2)])
def test_a_subset_s_pixels_count_as_the_map_has_them(
    isa: str, scene_of: Callable[..., Scene], subset: Subset, maps: int
) -> None:
    weights, size = LossWeights(l1=0.5, l2=1.0), (35, 43)
    gaussians, grid = scene_of(6, 70, *size, 5)
    engine, importance = CpuRasterizer(threads=2, isa=isa), map_of(size, maps)
    index = engine.bin(gaussians, grid)
    target = np.random.default_rng(6).random((*size, 5), dtype=np.float32)
    planes = np.ascontiguousarray(np.moveaxis(target, 2, 0))
    step = engine.fit_step(gaussians, grid, index, planes, weights, subset, importance)
    there = np.s_[subset.y :: subset.step, subset.x :: subset.step]
    image = np.asarray(engine.forward(gaussians, grid, index, Window.whole(grid)), np.float32)
    value, grad = engine.loss(image[there], target[there], weights, np.ascontiguousarray(importance[(..., *there)]))
    spread = np.zeros_like(image)
    spread[there] = grad
    wanted = engine.backward(gaussians, grid, index, spread)
    assert step.loss == pytest.approx(value, rel=1e-5)
    for kind, expected in vars(wanted).items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(getattr(step.grads, kind), expected, rtol=1e-4, atol=1e-5 * scale, err_msg=kind)


@pytest.mark.parametrize("maps", [0, 3])
@pytest.mark.parametrize(
    "weights", [LossWeights(l2=1.0), LossWeights(l2=1.0, means=2.0), LossWeights(l2=1.0, ssim=0.1)]
)
def test_torch_takes_the_same_step_through_every_engine(
    engine: Rasterizer, oracle: Rasterizer, scene_of: Callable[..., Scene], weights: LossWeights, maps: int
) -> None:
    gaussians, grid = scene_of(2, 12, 20, 30)
    fields = (gaussians.means, gaussians.inv_scales, gaussians.rotations, gaussians.features)
    planes = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1))
    importance = torch.from_numpy(map_of((20, 30), maps))
    results = []
    for which in (engine, oracle):
        means, scales, rotations, features = tensors = [torch.from_numpy(f).requires_grad_() for f in fields]
        loss, _ = fit_loss(means, scales, rotations, features, grid, planes, weights, which, importance=importance)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it untyped
        results.append((float(loss.detach()), [t.grad.numpy() for t in tensors if t.grad is not None]))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-4)
    for ours, theirs in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3 * np.abs(theirs).max())


def test_maps_of_another_shape_or_type_are_refused(engine: Rasterizer, oracle: Rasterizer) -> None:
    image, target = pair((8, 9))
    for wrong in (
        np.ones((9, 8), np.float32),
        np.ones((8, 9)),
        np.ones((8, 18), np.float32)[:, ::2],
        np.ones((2, 8, 9), np.float32),
    ):
        for which in (engine, oracle):
            with pytest.raises(InvalidArgument, match="importance"):
                which.loss(image, target, LossWeights(l2=1.0), wrong)  # type: ignore[arg-type]  # one is float64
