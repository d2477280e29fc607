from dataclasses import replace

import numpy as np
import pytest

from gscodec.fit.coarse import FURTHER, RENEWED, CoarseGradients, worth_of
from gscodec.fit.loop import Fit, fit
from gscodec.fit.presets import PRESETS
from gscodec.format.limits import generations_of
from gscodec.model.gaussians import Float32Array, Grid, Window
from gscodec.render.cpu import CpuRasterizer

BALANCED = PRESETS["balanced"]


def test_every_step_adds_what_is_kept_by_the_worth_of_its_level_and_the_ratio_of_the_losses() -> None:
    coarse = CoarseGradients(BALANCED)
    coarse.renew(1, np.full((4, 2), 3.0, np.float32), 0.4)
    coarse.renew(0, np.full((2, 2), 5.0, np.float32), 0.8)
    grad = np.ones((6, 2), np.float32)
    coarse.add_to(grad, 2, 0.2)
    w = BALANCED.coarse_worth
    next_coarser, coarsest = w * 0.2 / 0.4 * 3.0, w * FURTHER * 0.2 / 0.8 * 5.0
    expected = [1 + next_coarser + coarsest] * 2 + [1 + next_coarser] * 2 + [1.0] * 2
    np.testing.assert_allclose(grad, np.repeat(expected, 2).reshape(6, 2), rtol=1e-6)
    grad = np.zeros((6, 2), np.float32)
    coarse.add_to(grad, 2, 4.0)
    assert grad[3, 0] == pytest.approx(3.0 * w), "a level that is better than the whole weighs no more than its worth"
    coarse.clear()
    grad = np.zeros((6, 2), np.float32)
    coarse.add_to(grad, 2, 0.2)
    assert not grad.any()


def test_a_new_gradient_and_loss_are_blended_with_those_before() -> None:
    coarse = CoarseGradients(BALANCED)
    for value in (1.0, 2.0):
        coarse.renew(0, np.full((1, 1), value, np.float32), value)
    grad = np.zeros((1, 1), np.float32)
    coarse.add_to(grad, 1, 1.0)
    blend = 1.0 + RENEWED
    assert grad[0, 0] == pytest.approx(worth_of(BALANCED, 1) * blend / blend)


def level_errors(picture: Float32Array, grid: Grid, found: Fit) -> list[float]:
    """Mean squared error of every level, the coarsest first."""
    engine, errors = CpuRasterizer(1), []
    for level, count in enumerate(found.lods.counts):
        gains = np.asarray(found.lods.gains[level])[generations_of(found.lods.counts)[:count]]
        part = found.gaussians[np.arange(count)]
        part = replace(part, inv_scales=part.inv_scales * gains[:, None])
        image = engine.forward(part, grid, engine.bin(part, grid), Window.whole(grid))
        errors.append(float(np.square(image - picture).mean()))
    return errors


def test_what_a_level_is_worth_shows_in_its_error(picture: Float32Array, grid: Grid) -> None:
    errors = []
    for worth in (0.0, 0.3):
        preset = replace(BALANCED, coarse_worth=worth)
        found = fit(picture, 60, preset, rasterizer=CpuRasterizer(1), grid=grid, lods=3, steps=150)
        errors.append(level_errors(picture, grid, found))
    assert errors[1][1] < 0.8 * errors[0][1]
    assert errors[1][0] < errors[0][0]
