"""The fit: target planes in, Gaussians out."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gscodec.constants import MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.errors import InvalidArgument
from gscodec.gaussians import Float32Array, Float64Array, GaussianSet, Grid, LodTable, Window
from gscodec.raster.autograd import fit_loss, to_gaussians
from gscodec.raster.cpu import CpuRasterizer
from gscodec.train.optimizer import RowAdam
from gscodec.train.placement import box_blur, colours_at, draw_positions, gradient_magnitude, mix_with_uniform
from gscodec.train.presets import Preset
from gscodec.train.schedule import growth_schedule, lod_counts, rate_factor, step_shown

MIN_SIGMA_PX = 0.3
"""Narrower Gaussians fall between pixel centres and get no gradient."""

FEATURE_RANGE = (-0.5, 1.5)
"""Features may overshoot the samples' range, which sharpens edges, but not run away."""

LOG_GAIN_RANGE = (-3.0, 0.0)
"""A coarse level shows Gaussians as wide as stored or wider. Left free, gains follow the loss towards sharpness until
tiles are empty, which no gradient shows: an anime frame lost 7 dB at LOD 1 to holes."""

BEST_FROM = 0.7
"""Share of the steps after which the best state seen is kept."""


@dataclass(frozen=True)
class StepReport:
    """State of a fit after one step."""

    step: int
    total_steps: int
    n_gaussians: int
    psnr: float  # dB, of the unquantised blend at the last step that showed every Gaussian
    seconds: float


@dataclass(frozen=True)
class Fit:
    """Result of `fit`: features in the model's domain, not yet quantised."""

    gaussians: GaussianSet
    lods: LodTable
    psnr: float  # dB, of the unquantised blend
    steps: int


class _Trainee:
    """The parameters while they train: one row a Gaussian, columns x, y (px), two scales, rotation, C features."""

    def __init__(self, target: Float32Array, preset: Preset, counts: tuple[int, ...], seed: int) -> None:
        height, width, channels = target.shape
        self.target = target
        self.preset = preset
        self.counts = counts
        self.rng = np.random.default_rng(seed)
        p = preset
        rates = [p.rate_mean, p.rate_mean, p.rate_scale, p.rate_scale, p.rate_rotation] + [p.rate_feature] * channels
        self.adam = RowAdam(
            torch.zeros(0, 5 + channels), torch.tensor(rates), beta1=p.beta1, beta2=p.beta2, epsilon=p.epsilon
        )
        self.units = torch.zeros(0, 5 + channels)
        self.generation = torch.zeros(0, dtype=torch.long)
        shares = torch.tensor(counts, dtype=torch.float32) / counts[-1]
        self.log_gains = (p.gain_exponent * shares.log())[:, None].repeat(1, len(counts))
        self.gain_mean = torch.zeros_like(self.log_gains)
        self.gain_square = torch.zeros_like(self.log_gains)
        # A cap in px keeps smooth pictures from growing Gaussians over everything; few Gaussians need more to meet.
        self.max_sigma = max(p.max_sigma_px, 2.0 * math.sqrt(height * width / counts[-1]))
        # Adam does not see a common factor; this one keeps gradients clear of its epsilon at any picture size.
        self.grad_scale = float(height * width) if p.scale_parameter == "log" else 1.0

    def __len__(self) -> int:
        return len(self.adam.values)

    def add(self, count: int, density: Float64Array, uniform_share: float, sigma_px: float) -> None:
        """New isotropic Gaussians with the target's colours at positions drawn from a density over the pixels."""
        probability = mix_with_uniform(density, uniform_share)
        positions = draw_positions(self.rng, probability, count, self.preset.jitter)
        height, width, channels = self.target.shape
        rows = torch.zeros(count, 5 + channels)
        rows[:, :2] = torch.from_numpy(positions)
        rows[:, 2:4] = -math.log(sigma_px) if self.preset.scale_parameter == "log" else 1.0 / sigma_px
        rows[:, 5:] = torch.from_numpy(colours_at(self.target, positions))
        units = torch.ones_like(rows)
        units[:, :2] = (
            torch.tensor([width, height], dtype=torch.float32) if self.preset.position_unit == "image" else sigma_px
        )
        self.adam.append(rows)
        self.units = torch.cat([self.units, units])
        borders = torch.tensor(self.counts[:-1], dtype=torch.long)
        self.generation = torch.bucketize(torch.arange(len(self)), borders, right=True)

    def inverse_scales(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, 2:4].exp() if self.preset.scale_parameter == "log" else values[:, 2:4]

    def step_gains(self, level: int, grad: torch.Tensor, factor: float) -> None:
        """A sign-like step of one level's log gains: they are few, and the gradient's scale says little."""
        self.gain_mean[level].lerp_(grad, 0.1)
        self.gain_square[level].lerp_(grad * grad, 0.01)
        move = self.gain_mean[level] / (self.gain_square[level].sqrt() + 1e-12)
        self.log_gains[level] -= factor * self.preset.rate_gain * move
        self.log_gains[level].clamp_(*LOG_GAIN_RANGE)

    def gaussians_as_stored(self) -> GaussianSet:
        """All of them, gains not applied, within the container's limits."""
        values = self.adam.values
        inverse = self.inverse_scales(values).clamp(MIN_INV_SCALE, MAX_INV_SCALE)
        return to_gaussians(values[:, :2], inverse, values[:, 4], values[:, 5:])

    def lod_table(self) -> LodTable:
        """Counts and gains of every level."""
        rows = self.log_gains.exp().tolist()
        return LodTable(self.counts, tuple(tuple(row[: m + 1]) for m, row in enumerate(rows)))

    def gaussians(self) -> GaussianSet:
        """All of them with the gains of the level they complete."""
        values = self.adam.values
        gains = self.log_gains[step_shown(self.counts, len(self))][self.generation, None].exp()
        inverse = self.inverse_scales(values) * gains
        return to_gaussians(values[:, :2], inverse, values[:, 4], values[:, 5:])

    def clamp(self) -> None:
        """Keeps every parameter in its valid range (paper, Section 3.1)."""
        height, width, _ = self.target.shape
        values = self.adam.values
        values[:, 0].clamp_(0, width)
        values[:, 1].clamp_(0, height)
        low, high = 1.0 / self.max_sigma, 1.0 / MIN_SIGMA_PX
        if self.preset.scale_parameter == "log":
            low, high = math.log(low), math.log(high)
        values[:, 2:4].clamp_(low, high)
        values[:, 5:].clamp_(*FEATURE_RANGE)


def fit(
    target: Float32Array,
    n_gaussians: int,
    preset: Preset,
    *,
    rasterizer: CpuRasterizer,
    grid: Grid,
    lods: int = 1,
    seed: int = 0,
    steps: int | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> Fit:
    """Gaussians that paint `target`.

    The same arguments give the same result on the same machine, whatever the thread count.

    Args:
        target: float32 (H, W, C) in the model's domain.
        grid: its size, K, support and background.
        lods: levels of detail wanted; small sets get fewer.
        steps: optimisation steps; None is the preset's number.
        on_step: called after every step.
    Raises:
        InvalidArgument: a count is below 1.
    """
    steps = preset.steps if steps is None else steps
    if n_gaussians < 1 or steps < 1 or lods < 1:
        raise InvalidArgument(f"{n_gaussians} Gaussians, {steps} steps, {lods} LODs: each must be at least 1")
    counts = lod_counts(n_gaussians, lods)
    trainee = _Trainee(target, preset, counts, seed)
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(target, 2, 0)))
    schedule = growth_schedule(preset, steps, n_gaussians)
    started = time.perf_counter()
    best = (math.inf, trainee.adam.values, trainee.log_gains)
    mse = math.inf
    for step in range(steps):
        if step in schedule and schedule[step] > len(trainee):
            _grow(trainee, schedule[step], rasterizer, grid)
        n, level = len(trainee), step_shown(counts, len(trainee))
        if preset.joint_lods and level > 0 and trainee.rng.random() < preset.prefix_share:
            # Half of these steps go to the next coarser level, a quarter to the one below it, and so on.
            level = max(0, level - int(trainee.rng.geometric(0.5)))
            n = counts[level]
        grads = _gradients(trainee, n, level, planes, grid, rasterizer)
        if n == len(trainee):
            mse = grads.mse
            if n == n_gaussians and step >= BEST_FROM * steps and mse < best[0]:
                best = (mse, trainee.adam.values.clone(), trainee.log_gains.clone())
        _update(trainee, grads, level, rate_factor(preset, step / steps))
        if on_step is not None:
            on_step(StepReport(step + 1, steps, n, _psnr(mse), time.perf_counter() - started))
    final = _gradients(trainee, n_gaussians, len(counts) - 1, planes, grid, rasterizer)
    if final.mse > best[0]:
        mse, trainee.adam.values, trainee.log_gains = best
    else:
        mse = final.mse
    return Fit(trainee.gaussians_as_stored(), trainee.lod_table(), _psnr(mse), steps)


@dataclass(frozen=True)
class _Gradients:
    values: torch.Tensor  # (n, D)
    log_gains: torch.Tensor  # (levels,) of the level shown
    mse: float


def _gradients(
    trainee: _Trainee, n: int, level: int, planes: torch.Tensor, grid: Grid, rasterizer: CpuRasterizer
) -> _Gradients:
    """Gradients of the loss at level step `level`, which shows the first n Gaussians."""
    values = trainee.adam.values[:n].detach().requires_grad_()
    log_gains = trainee.log_gains[level].detach().requires_grad_()
    inverse = trainee.inverse_scales(values) * log_gains[trainee.generation[:n], None].exp()
    loss, mse = fit_loss(
        values[:, :2], inverse, values[:, 4], values[:, 5:], grid, planes, trainee.preset.loss, rasterizer
    )
    loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it untyped
    assert values.grad is not None
    assert log_gains.grad is not None
    return _Gradients(values.grad, log_gains.grad, mse)


def _update(trainee: _Trainee, grads: _Gradients, level: int, factor: float) -> None:
    """One optimiser step. Coarse levels also learn their gains; the finest shows its Gaussians as they are."""
    n, p = len(grads.values), trainee.preset
    trainee.adam.step(grads.values * trainee.grad_scale, factor, trainee.units[:n])
    if p.widening:
        trainee.adam.values[:n, 2:4] -= factor * p.rate_scale * p.widening
    trainee.clamp()
    if p.joint_lods and level < len(trainee.counts) - 1:
        trainee.step_gains(level, grads.log_gains * trainee.grad_scale, factor)


def _grow(trainee: _Trainee, count: int, rasterizer: CpuRasterizer, grid: Grid) -> None:
    """Adds Gaussians up to `count`: the first by the picture's gradient (Eq. 6), later ones by the error (Eq. 7)."""
    p, target = trainee.preset, trainee.target
    spacing = math.sqrt(grid.height * grid.width / count)
    unit = spacing if p.sigma_unit == "spacing" else 1.0
    if len(trainee) == 0:
        trainee.add(count, gradient_magnitude(target), p.uniform_share, p.start_sigma * unit)
        return
    shown = trainee.gaussians()
    image = rasterizer.forward(shown, grid, rasterizer.bin(shown, grid), Window.whole(grid))
    error = np.abs(image - target, dtype=np.float64)
    density = (error**p.error_power).sum(axis=2)
    trainee.add(count - len(trainee), box_blur(density, round(p.error_blur * spacing)), 0.0, p.growth_sigma * unit)


def _psnr(mse: float) -> float:
    return -10.0 * math.log10(max(mse, 1e-12))
