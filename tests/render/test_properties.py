"""Properties over random shapes, channel counts, K and N, drawn by Hypothesis and the same in every run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscodec.model.constants import MAX_CHANNELS, MAX_TOP_K
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import LossWeights
from gscodec.render.base import Rasterizer
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.reference import window_points

Scene = tuple[GaussianSet, Grid]
steady = settings(max_examples=40, deadline=None, derandomize=True)

cases = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "n": st.one_of(st.integers(0, 3), st.integers(0, 60)),
        "height": st.integers(1, 36),
        "width": st.integers(1, 36),
        "n_channels": st.one_of(st.integers(1, 5), st.integers(1, MAX_CHANNELS)),
        "top_k": st.integers(1, MAX_TOP_K),
        "support_q": st.sampled_from([1.0, 4.0, 9.0, 12.25, 64.0]),
    }
)


def draw(scene_of: Callable[..., Scene], case: dict[str, Any]) -> Scene:
    gaussians, grid = scene_of(**{**case, "n": max(case["n"], 1)})
    return gaussians[: case["n"]], grid


@steady
@given(case=cases)
def test_the_engine_is_the_oracle(
    isa: str,
    oracle: Rasterizer,
    scene_of: Callable[..., Scene],
    render_close: Callable[..., None],
    lists_equal: Callable[..., None],
    *,
    case: dict[str, Any],
) -> None:
    scene = draw(scene_of, case)
    engine = CpuRasterizer(threads=1, isa=isa)
    index = engine.bin(*scene)
    lists_equal(index, oracle.bin(*scene), scene, label=isa)
    points = window_points(Window.whole(scene[1]))
    values = engine.sample(*scene, index, points)
    render_close(values, scene, index, points, label=isa)
    assert np.array_equal(values.ravel(), engine.forward(*scene, index, Window.whole(scene[1])).ravel())
    if len(scene[0]):  # a blend lies between the features it blends
        low, high = scene[0].features.min(axis=0), scene[0].features.max(axis=0)
        low, high = np.minimum(low, scene[1].background), np.maximum(high, scene[1].background)
        assert ((values >= low - 1e-6) & (values <= high + 1e-6)).all()


@steady
@given(case=cases)
def test_gradients_keep_their_sums(
    isa: str,
    scene_of: Callable[..., Scene],
    case: dict[str, Any],
) -> None:
    """Weights sum to one at each covered pixel, so feature gradients sum to that of the covered pixels; and equal
    features leave no gradient to geometry, wherever the Gaussians lie."""
    gaussians, grid = draw(scene_of, case)
    height, width, n_channels = grid.height, grid.width, gaussians.n_channels
    engine = CpuRasterizer(threads=1, isa=isa)
    index = engine.bin(gaussians, grid)
    grad_image = np.random.default_rng(case["seed"]).random((height, width, n_channels), dtype=np.float32)
    grads = engine.backward(gaussians, grid, index, grad_image)
    filled = np.repeat(np.repeat(np.diff(index.offsets).reshape(grid.tiles_shape) > 0, 16, axis=0), 16, axis=1)
    covered = grad_image[filled[:height, :width]].sum(axis=0, dtype=np.float64)
    np.testing.assert_allclose(grads.features.sum(axis=0, dtype=np.float64), covered, rtol=1e-4, atol=1e-5)
    equal = GaussianSet(
        gaussians.means, gaussians.inv_scales, gaussians.rotations, np.full_like(gaussians.features, 0.5)
    )
    flat = engine.backward(equal, grid, index, grad_image)
    for array in (flat.means, flat.inv_scales, flat.rotations):
        assert np.abs(array).max(initial=0.0) <= 1e-4 * n_channels * (1 + height * width / 16)


@steady
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 6)),
    weights=st.builds(
        LossWeights, st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.1, 1.0])
    ),
)
def test_losses(isa: str, oracle: Rasterizer, seed: int, shape: tuple[int, int, int], weights: LossWeights) -> None:
    rng = np.random.default_rng(seed)
    image, target = rng.random(shape, dtype=np.float32), rng.random(shape, dtype=np.float32)
    value, grad = CpuRasterizer(threads=1, isa=isa).loss(image, target, weights)
    expected, expected_grad = oracle.loss(image, target, weights)
    assert value == pytest.approx(expected, rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-3, atol=1e-3 / image.size)
