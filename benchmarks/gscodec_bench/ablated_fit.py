"""The paper's recipe with one of its parts taken out, for Table 1.

`fit_without(set())` is `gscodec.fit.fit` with the preset `paper`, to the bit; a test holds it to that. What is taken
out is not an option of the encoder, since it should always be used.
"""

import math
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import torch

from gscodec.container.contents import Contents
from gscodec.container.writer import file_size, quantize
from gscodec.fit.growth import new_rows
from gscodec.fit.optimizer import RowAdam
from gscodec.fit.plan import FEATURE_RANGE, MIN_SIGMA_PX, FitPlan
from gscodec.fit.presets import get_preset
from gscodec.image.stack import ImageStack
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, LodTable, Window
from gscodec.render.autograd import fit_loss, to_gaussians
from gscodec.render.cpu import CpuRasterizer
from gscodec_bench.additive import additive_image

Part = Literal["colour", "position", "inverse", "top-k"]
PARTS: Final[tuple[Part, ...]] = ("colour", "position", "inverse", "top-k")
"""What can be taken out.

- colour: new Gaussians take the target's colour; without it a random one.
- position: the first are drawn by the picture's gradient; without it evenly.
- inverse: what moves is the inverse scale; without it the scale in px, at the same rate.
- top-k: the nearest K are blended with weights that sum to one; without it all of a tile's add up as they are.
"""


@dataclass(frozen=True)
class Ablated:
    """A finished fit, as it would be stored."""

    image: Float32Array  # (H, W, C) of the quantised Gaussians, blended as they were trained
    n_bytes: int  # of a file with them
    mse: float  # of the fit before quantisation


def fit_without(
    stack: ImageStack,
    n_gaussians: int,
    parts: Set[Part],
    *,
    steps: int | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Ablated:
    """Fit a picture by the paper's recipe without some of its parts, on the CPU.

    Args:
        steps: optimisation steps; None is the paper's number.
    """
    fitted = _Fit(stack, n_gaussians, parts, steps, seed, threads)
    with torch_threads(threads):
        values, mse = fitted.run()
    gaussians = fitted.gaussians(values)
    contents = Contents(fitted.grid, stack.groups, LodTable.single(n_gaussians), gaussians)
    stored = quantize(contents).gaussians
    n_bytes = file_size(fitted.grid, stack.groups, (n_gaussians,), None, None)
    return Ablated(fitted.image(stored), n_bytes, mse)


class _Fit:
    """State of one fit: parameters in rows as in `gscodec.fit`, of which this repeats the loop for one level."""

    def __init__(
        self,
        stack: ImageStack,
        n_gaussians: int,
        parts: Set[Part],
        steps: int | None,
        seed: int,
        threads: int | None,
    ) -> None:
        preset = get_preset("paper")
        if "position" in parts:
            preset = replace(preset, uniform_share=1.0)  # Eq. 6 with lambda = 1
        target = stack.samples
        height, width, channels = target.shape
        self.parts = parts
        self.target = target
        background = target.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        self.grid = Grid(height, width, background, preset.top_k, preset.support_q)
        self.plan = FitPlan(preset, (height, width, channels), (n_gaussians,), steps or preset.steps)
        self.rasterizer = CpuRasterizer(threads)
        self.rng = np.random.default_rng(seed)
        self.colours = np.random.default_rng([seed, 1])  # apart, so that positions are those of the whole recipe
        self.adam = RowAdam(
            np.zeros((0, 5 + channels), np.float32),
            self.plan.rates,
            preset.adam,
            threads=self.rasterizer.threads,
        )
        self.units = np.zeros((0, 5 + channels), np.float32)
        self.planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(target, 2, 0)))

    def run(self) -> tuple[Float32Array, float]:
        """The best parameters, and their mean squared error."""
        best, best_mse = self.adam.values, math.inf
        for segment in self.plan.segments:
            self._grow(segment.n_gaussians)
            for step in self.plan.steps(segment):
                grad, mse = self._gradient()
                if step.may_be_best and mse < best_mse:
                    best, best_mse = self.adam.values.copy(), mse
                self.adam.step(grad * self.plan.grad_scale, step.factor, self.units)
                self._clamp()
        mse = self._gradient()[1]
        return (self.adam.values, mse) if mse <= best_mse else (best, best_mse)

    def gaussians(self, values: Float32Array) -> GaussianSet:
        """What rows of parameters stand for."""
        inverse = 1.0 / values[:, 2:4] if "inverse" in self.parts else values[:, 2:4]
        return GaussianSet.of_float32(values[:, :2], inverse, values[:, 4], values[:, 5:])

    def image(self, gaussians: GaussianSet) -> Float32Array:
        """(H, W, C) of a set, blended as this fit trains it."""
        index = self.rasterizer.bin(gaussians, self.grid)
        if "top-k" not in self.parts:
            return self.rasterizer.forward(gaussians, self.grid, index, Window.whole(self.grid))
        arrays = (gaussians.means, gaussians.inv_scales, gaussians.rotations, gaussians.features)
        tensors = [torch.from_numpy(np.asarray(array, np.float32)) for array in arrays]
        return np.asarray(additive_image(tensors, self.grid, index).numpy(), np.float32)

    def _inverse_scales(self, values: torch.Tensor) -> torch.Tensor:
        return 1.0 / values[:, 2:4] if "inverse" in self.parts else values[:, 2:4]

    def _grow(self, n_gaussians: int) -> None:
        present = len(self.adam.values)
        if n_gaussians <= present:
            return
        image = self.image(self.gaussians(self.adam.values)) if present else None
        rows, units = new_rows(self.plan, self.target, image, present, n_gaussians, self.rng)
        if "colour" in self.parts:
            rows[:, 5:] = self.colours.random(rows[:, 5:].shape)
        if "inverse" in self.parts:
            rows[:, 2:4] = 1.0 / rows[:, 2:4]
        self.adam.append(rows)
        self.units = np.concatenate([self.units, units])

    def _gradient(self) -> tuple[Float32Array, float]:
        values = torch.from_numpy(self.adam.values).requires_grad_()
        fields = (values[:, :2], self._inverse_scales(values), values[:, 4], values[:, 5:])
        weights = self.plan.preset.loss
        if "top-k" not in self.parts:
            loss, mse = fit_loss(*fields, self.grid, self.planes, weights, self.rasterizer)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it untyped
        else:
            index = self.rasterizer.bin(to_gaussians(*fields), self.grid)
            image = additive_image(fields, self.grid, index)
            samples = image.detach().numpy()
            _, grad_image = self.rasterizer.loss(samples, self.target, weights)
            image.backward(torch.from_numpy(np.ascontiguousarray(grad_image)))  # type: ignore[no-untyped-call]
            mse = torch.tensor(float(np.mean(np.square(samples - self.target, dtype=np.float64))))
        assert values.grad is not None
        grad: Float32Array = values.grad.numpy()
        return grad, float(mse)

    def _clamp(self) -> None:
        values = self.adam.values
        height, width, _ = self.plan.shape
        np.clip(values[:, 0], 0, width, out=values[:, 0])
        np.clip(values[:, 1], 0, height, out=values[:, 1])
        inverse = "inverse" in self.parts
        scales = (MIN_SIGMA_PX, self.plan.max_sigma_px) if inverse else self.plan.scale_range
        np.clip(values[:, 2:4], *scales, out=values[:, 2:4])
        np.clip(values[:, 5:], *FEATURE_RANGE, out=values[:, 5:])


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """As many threads for torch as for the engine: its own default spins on every core of a shared machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def names_of(parts: Set[Part]) -> str:
    """How a table calls a recipe without these parts."""
    return "full" if not parts else "no " + " + ".join(part for part in PARTS if part in parts)


def variants() -> Iterator[frozenset[Part]]:
    """The rows of Table 1."""
    yield frozenset()
    yield frozenset({"colour"})
    yield frozenset({"position"})
    yield frozenset({"colour", "position"})
    yield frozenset({"inverse"})
    yield frozenset({"top-k"})
