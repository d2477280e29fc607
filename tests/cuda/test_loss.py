"""loss.cu against the oracle's loss, at every size of edge and in every order of threads."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from host_runtime import SCHEDULES, HostRuntime

from gscodec.cuda.losses import SSIM_ROWS, LossBuffers, code_errors, launch_loss, loss_planes, ssim_rows
from gscodec.cuda.runtime import Runtime
from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.model.gaussians import Float32Array
from gscodec.model.rendering import LossWeights
from gscodec.render.reference_loss import photometric_loss

SSIM_ONLY = LossWeights(ssim=1.0)
PAPER = LossWeights(l1=1.0, ssim=0.1)
MIXED = LossWeights(l1=0.3, l2=0.6, ssim=0.5)
MEANS = LossWeights(l1=0.3, l2=0.6, means=0.5)
WEIGHTS = [LossWeights(), LossWeights(l1=1.0), LossWeights(l2=1.0), MEANS, SSIM_ONLY, PAPER, MIXED]

# (C, H, W): no neighbours along an axis; as many columns as a strip has, one less and one more; rows likewise.
SHAPES = [
    (1, 1, 1),
    (2, 1, 300),
    (1, 77, 1),
    (3, 11, 11),
    (1, 31, 117),
    (2, 32, 118),
    (1, 33, 119),
    (1, 70, 240),
    (2, 65, 45),
]


def pair(shape: tuple[int, int, int], noise: float = 0.1, seed: int = 1) -> tuple[Float32Array, Float32Array]:
    """A target with smooth, flat and busy parts, and an image near it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[1], : shape[2]]
    smooth = 0.5 + 0.4 * np.sin(x / 9.0) * np.cos(y / 7.0)
    target = np.where(x % 40 < 20, smooth, np.where(x % 40 < 28, 1.0, rng.random(shape)))
    return (target + noise * rng.standard_normal(shape)).astype(np.float32), target.astype(np.float32)


def oracle_loss(image: Float32Array, target: Float32Array, weights: LossWeights) -> tuple[float, Any]:
    value, grad = photometric_loss(
        np.moveaxis(image, 0, 2).astype(np.float64), np.moveaxis(target, 0, 2).astype(np.float64), weights
    )
    return value, np.moveaxis(grad, 2, 0)


def loss_of(
    runtime: Runtime, image: Float32Array, target: Float32Array, weights: LossWeights
) -> tuple[float, Float32Array]:
    value, grad = loss_planes(runtime, runtime.upload(image), runtime.upload(target), weights)
    return value, runtime.download(grad)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradient(device_runtime: Runtime, shape: tuple[int, int, int], weights: LossWeights) -> None:
    image, target = pair(shape)
    value, grad = loss_of(device_runtime, image, target, weights)
    expected, expected_grad = oracle_loss(image, target, weights)
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert grad.dtype == np.float32
    assert np.linalg.norm(grad - expected_grad) <= 1e-5 * np.linalg.norm(expected_grad)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-4, atol=1e-4 * np.abs(expected_grad).max())


@pytest.mark.parametrize("n_channels", [*range(1, 10), 64])
def test_planes_do_not_touch_each_other(device_runtime: Runtime, n_channels: int) -> None:
    image, target = pair((n_channels, 9, 13))
    value, grad = loss_of(device_runtime, image, target, MIXED)
    alone = [loss_of(device_runtime, image[c : c + 1], target[c : c + 1], MIXED) for c in range(n_channels)]
    assert value == pytest.approx(np.mean([part[0] for part in alone]), rel=1e-6)
    for c, (_, part) in enumerate(alone):
        np.testing.assert_allclose(grad[c] * n_channels, part[0], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("noise", [1e-4, 1e-2, 1.0])
def test_the_gradient_keeps_its_digits_near_and_far(device_runtime: Runtime, noise: float) -> None:
    """Sums and differences: the CPU engine's form is good for 1e-3 of an L1 gradient, whatever is left of the error."""
    image, target = pair((2, 40, 150), noise)
    value, grad = loss_of(device_runtime, image, target, SSIM_ONLY)
    expected, expected_grad = oracle_loss(image, target, SSIM_ONLY)
    assert value == pytest.approx(expected, rel=1e-4)
    error = np.linalg.norm(grad - expected_grad) / np.linalg.norm(expected_grad)
    assert error < 1e-4


@pytest.mark.parametrize("level", [0.0, 0.25, 0.75, 1.0])
def test_flat_pictures(device_runtime: Runtime, level: float) -> None:
    target = np.full((1, 25, 33), 0.75, np.float32)
    image = np.full_like(target, level)
    value, grad = loss_of(device_runtime, image, target, MIXED)
    expected, expected_grad = oracle_loss(image, target, MIXED)
    assert value == pytest.approx(expected, rel=1e-4, abs=1e-12)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-3, atol=1e-3 / target.size)


def test_equal_pictures_lose_nothing_at_all(device_runtime: Runtime) -> None:
    image, _ = pair((2, 40, 125))
    value, grad = loss_of(device_runtime, image, image.copy(), MIXED)
    assert value == 0.0
    assert not grad.any()


@pytest.mark.parametrize("weights", [PAPER, LossWeights(l1=1.0, l2=1.0)])
def test_order_of_threads_and_blocks_does_not_show(runtime: HostRuntime, weights: LossWeights) -> None:
    image, target = pair((2, 45, 130))
    results = []
    for schedule in SCHEDULES:
        with runtime.scheduled(schedule):
            value, grad = loss_of(runtime, image, target, weights)
        results.append((value, grad.tobytes()))
    assert len(set(results)) == 1


def test_where_blocks_begin_does_not_show_in_the_gradient(device_runtime: Runtime) -> None:
    image, target = (device_runtime.upload(part) for part in pair((1, 300, 130)))
    grads, sums = [], []
    for rows in SSIM_ROWS:
        made = LossBuffers.of(device_runtime, image.shape, PAPER)
        blocks = 2 * -(-300 // rows)
        buffers = replace(made, partials=device_runtime.xp.empty((blocks, 4), np.float32), rows=rows)
        launch_loss(device_runtime, image, target, PAPER, buffers)
        grads.append(device_runtime.download(buffers.grad).tobytes())
        sums.append(device_runtime.download(buffers.partials).sum(axis=0, dtype=np.float64))
    assert len(set(grads)) == 1
    np.testing.assert_allclose(sums, np.broadcast_to(sums[0], (len(sums), 4)), rtol=1e-6)


def test_large_pictures_get_longer_strips() -> None:
    assert ssim_rows((1, 64, 64)) == SSIM_ROWS[-1]
    assert ssim_rows((3, 2048, 2048)) == 128
    assert ssim_rows((3, 8192, 8192)) == SSIM_ROWS[0]
    assert all(rows % 2 == 0 for rows in SSIM_ROWS), "the kernel goes down two rows at a time"


@pytest.mark.parametrize("weights", [LossWeights(l1=1.0), LossWeights(l2=1.0), SSIM_ONLY, PAPER])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("in_target", [False, True])
def test_what_is_not_finite_comes_to_light(
    device_runtime: Runtime, weights: LossWeights, poison: float, *, in_target: bool
) -> None:
    image, target = pair((2, 50, 140))
    (target if in_target else image)[1, 20, 70] = poison
    value, grad = loss_of(device_runtime, image, target, weights)
    assert not np.isfinite(value)
    assert not np.isfinite(grad[1, 20, 70]) or (np.isinf(poison) and weights.l2 == weights.ssim == 0)
    assert np.isfinite(grad[0]).all(), "another plane"
    beyond = np.ones(grad.shape[1:], bool)
    beyond[10:31, 60:81] = False
    assert np.isfinite(grad[1][beyond]).all(), "further than the window reaches twice"


@pytest.mark.parametrize(
    ("image", "target"),
    [
        (np.zeros((1, 4, 5), np.float32), np.zeros((1, 5, 4), np.float32)),
        (np.zeros((1, 4, 5), np.float64), np.zeros((1, 4, 5), np.float64)),
        (np.zeros((4, 5), np.float32), np.zeros((4, 5), np.float32)),
        (np.zeros((1, 0, 5), np.float32), np.zeros((1, 0, 5), np.float32)),
    ],
)
def test_other_shapes_and_types_are_refused(device_runtime: Runtime, image: Any, target: Any) -> None:
    with pytest.raises(InvalidArgument):
        loss_planes(device_runtime, device_runtime.upload(image), device_runtime.upload(target), PAPER)


def test_buffers_fit_one_shape_and_kind_of_loss(device_runtime: Runtime) -> None:
    image = device_runtime.upload(np.zeros((2, 8, 8), np.float32))
    buffers = LossBuffers.of(device_runtime, (2, 8, 8), PAPER)
    with pytest.raises(InvalidArgument, match="SSIM"):
        launch_loss(device_runtime, image, image, LossWeights(l1=1.0), buffers)
    with pytest.raises(InvalidArgument, match="not contiguous"):
        launch_loss(device_runtime, image[:, ::2], image[:, ::2], PAPER, buffers)
    with pytest.raises(LimitExceeded):
        LossBuffers.of(device_runtime, (1, 1 << 20, 1 << 11), PAPER)


def test_a_step_allocates_nothing(runtime: HostRuntime) -> None:
    image, target = (runtime.upload(part) for part in pair((1, 20, 20)))
    buffers = LossBuffers.of(runtime, image.shape, PAPER)
    launch_loss(runtime, image, target, PAPER, buffers)
    replay = runtime.record(lambda: launch_loss(runtime, image, target, PAPER, buffers))
    first = runtime.download(buffers.grad)
    replay()
    np.testing.assert_array_equal(runtime.download(buffers.grad), first)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (37, 61, 3), (80, 64, 5)])
def test_the_error_of_codes(
    device_runtime: Runtime, dtype: type[np.unsignedinteger[Any]], shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(shape[0])
    peak = np.iinfo(dtype).max
    codes, target = rng.integers(0, peak, shape, dtype, endpoint=True), rng.random(shape, np.float32)
    counts = rng.random(shape[:2], np.float32)
    squares = np.square(codes.astype(np.float64) / peak - target)
    up = device_runtime.upload
    with device_runtime:
        planes = up(np.moveaxis(target, 2, 0))
        assert code_errors(device_runtime, up(codes), planes) == pytest.approx((squares.mean(), 0), rel=1e-6)
        expected = squares.mean(), (squares * counts[:, :, None]).mean()
        assert code_errors(device_runtime, up(codes), planes, up(counts)) == pytest.approx(expected, rel=1e-6)
        exact = up(np.moveaxis(codes.astype(np.float32) / np.float32(peak), 2, 0))
        assert code_errors(device_runtime, up(codes), exact, up(counts)) == (0, 0)


def test_errors_of_codes_and_targets_that_do_not_match_are_refused(device_runtime: Runtime) -> None:
    up = device_runtime.upload
    with device_runtime:
        codes, target = up(np.zeros((5, 4, 3), np.uint8)), up(np.zeros((3, 5, 4), np.float32))
        wrong: tuple[tuple[Any, ...], ...] = (
            (codes, target[:, :, ::-1]),
            (codes, up(np.zeros((3, 5, 4)))),
            (codes, up(np.zeros((3, 4, 5), np.float32))),
            (up(np.zeros((5, 4, 3), np.int32)), target),
            (codes, target, up(np.zeros((4, 5), np.float32))),
            (codes, target, up(np.zeros((5, 4), np.float64))),
        )
        for arrays in wrong:
            with pytest.raises(InvalidArgument, match="do not match"):
                code_errors(device_runtime, *arrays)
