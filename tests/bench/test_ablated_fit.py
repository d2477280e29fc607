from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from gscodec_bench.ablated_fit import PARTS, fit_without, names_of, variants
from gscodec_bench.additive import additive_image

from gscodec.container.contents import Contents
from gscodec.container.writer import pack, quantize
from gscodec.fit.loop import fit
from gscodec.fit.presets import get_preset
from gscodec.image.arrays import from_array
from gscodec.image.stack import ImageStack
from gscodec.metrics import psnr
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.render.cpu import CpuRasterizer


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors here are tiny: torch's threads would spend their time on each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def stack(waves: Callable[..., npt.NDArray[np.uint8]]) -> ImageStack:
    return from_array(waves(50, 44, 3))


def test_the_whole_recipe_is_the_encoders(stack: ImageStack) -> None:
    preset, rasterizer = get_preset("paper"), CpuRasterizer(1)
    height, width, _ = stack.samples.shape
    background = stack.samples.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    grid = Grid(height, width, background, preset.top_k, preset.support_q)
    expected = fit(stack.samples, 30, preset, rasterizer=rasterizer, grid=grid, steps=40)
    stored = quantize(Contents(grid, stack.groups, expected.lods, expected.gaussians)).gaussians
    image = rasterizer.forward(stored, grid, rasterizer.bin(stored, grid), Window.whole(grid))
    ours = fit_without(stack, 30, frozenset(), steps=40, threads=1)
    assert np.array_equal(ours.image, image)
    assert ours.n_bytes == len(pack(Contents(grid, stack.groups, expected.lods, expected.gaussians)))
    assert -10 * np.log10(ours.mse) == pytest.approx(expected.psnr, abs=1e-6)  # torch's error is a float32


@pytest.mark.parametrize("parts", list(variants()), ids=names_of)
def test_every_variant_learns(parts: Any, stack: ImageStack) -> None:
    few, more = (fit_without(stack, 40, parts, steps=steps, threads=1) for steps in (2, 60))
    assert more.mse < few.mse
    assert psnr(stack.samples, np.clip(more.image, 0, 1)) > 8
    again = fit_without(stack, 40, parts, steps=2, threads=1)
    assert np.array_equal(again.image, few.image)


def test_variants_differ_and_have_names(stack: ImageStack) -> None:
    half_flat = stack.samples.copy()
    half_flat[:25] = 0.5  # so that where the gradient is says something
    halved = replace(stack, samples=half_flat)
    images = [fit_without(halved, 20, parts, steps=3, threads=1).image for parts in variants()]
    assert len({image.tobytes() for image in images}) == len(images)
    assert [names_of(parts) for parts in variants()] == [
        "full",
        "no colour",
        "no position",
        "no colour + position",
        "no inverse",
        "no top-k",
    ]
    assert set().union(*variants()) == set(PARTS)


def some_gaussians(n: int) -> GaussianSet:
    rng = np.random.default_rng(3)
    return GaussianSet(
        means=rng.uniform(0, 40, (n, 2)),
        inv_scales=rng.uniform(0.1, 0.6, (n, 2)),
        rotations=rng.uniform(0, np.pi, n),
        features=rng.random((n, 2)).astype(np.float32),
    )


def tensors_of(gaussians: GaussianSet, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    arrays = (gaussians.means, gaussians.inv_scales, gaussians.rotations, gaussians.features)
    return [torch.from_numpy(np.asarray(array)).to(dtype) for array in arrays]


def test_without_normalisation_gaussians_add_up() -> None:
    gaussians, grid = some_gaussians(9), Grid(37, 41, np.zeros(2, np.float32), 10, 25.0)
    index = CpuRasterizer(1).bin(gaussians, grid)
    image = additive_image(tensors_of(gaussians), grid, index).numpy()
    y, x = np.mgrid[0:37, 0:41] + 0.5
    expected = np.zeros((37, 41, 2))
    for g in range(9):
        c, s = np.cos(gaussians.rotations[g]), np.sin(gaussians.rotations[g])
        dx, dy = x - gaussians.means[g, 0], y - gaussians.means[g, 1]
        q = (gaussians.inv_scales[g, 0] * (c * dx + s * dy)) ** 2 + (
            gaussians.inv_scales[g, 1] * (c * dy - s * dx)
        ) ** 2
        rows, columns = grid.tiles_shape
        listed = np.zeros((rows, columns), bool)
        for tile in range(rows * columns):
            listed.flat[tile] = g in index.indices[index.offsets[tile] : index.offsets[tile + 1]]
        inside = np.kron(listed, np.ones((16, 16)))[:37, :41]
        expected += (np.exp(-q / 2) * inside)[:, :, None] * gaussians.features[g]
    assert np.abs(image - expected).max() < 1e-5


def test_its_gradient_is_that_of_torch() -> None:
    gaussians, grid = some_gaussians(4), Grid(20, 18, np.zeros(2, np.float32), 10, 25.0)
    index = CpuRasterizer(1).bin(gaussians, grid)
    fields = [field.requires_grad_() for field in tensors_of(gaussians, torch.float64)]
    assert torch.autograd.gradcheck(lambda *f: additive_image(f, grid, index), fields, eps=1e-6, atol=1e-6)
