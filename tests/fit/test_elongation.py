"""Needles are kept where a picture has edges, and get rounder where it is noise."""

import math

import numpy as np
import pytest

from gscodec.fit.elongation import ELSEWHERE, IN_NOISE, limited, limits_of
from gscodec.fit.loop import fit
from gscodec.fit.presets import PRESETS
from gscodec.material.noise import CELL
from gscodec.model.gaussians import Float32Array, Grid
from gscodec.render.cpu import CpuRasterizer


def scene() -> Float32Array:
    """A slanted edge on the left, gravel on the right."""
    y, x = np.mgrid[0:64, 0:128]
    picture = 0.2 + 0.6 * (x > 30 + 0.2 * y)
    picture[:, 64:] = 0.5 + np.random.default_rng(2).normal(0, 0.15, (64, 64))
    return np.asarray(np.clip(picture, 0, 1)[:, :, None], np.float32)


def test_limits_are_those_of_noise_where_it_lies() -> None:
    limits = limits_of(scene())
    assert limits.shape == (64 // CELL, 128 // CELL)
    assert np.median(limits[:, 20:]) == pytest.approx(math.log(IN_NOISE), abs=0.05)
    np.testing.assert_allclose(limits[:, :13], math.log(ELSEWHERE), rtol=1e-5)


def test_what_is_too_elongated_gets_rounder_and_keeps_its_area() -> None:
    limits = np.log(np.array([[2.0, 8.0]], np.float32))
    means = np.array([[1.0, 1.0], [6.0, 2.0], [1.0, 3.0], [-5.0, 99.0]], np.float32)
    logs = np.log(np.array([[1.0, 16.0], [1.0, 16.0], [1.0, 1.5], [16.0, 1.0]], np.float32))
    result = np.exp(limited(means, logs, limits))
    np.testing.assert_allclose(result.prod(axis=1), [16, 16, 1.5, 16], rtol=1e-5)
    np.testing.assert_allclose(result[:, 1] / result[:, 0], [2, 8, 1.5, 0.5], rtol=1e-5)


def test_a_fit_has_no_needles_in_noise() -> None:
    picture = scene()
    grid, engine = Grid(64, 128, picture.mean(axis=(0, 1))), CpuRasterizer(1)
    ratios = []
    for limits_elongation in (False, True):
        gaussians = fit(
            picture,
            80,
            PRESETS["fast"],
            rasterizer=engine,
            grid=grid,
            steps=150,
            limits_elongation=limits_elongation,
        ).gaussians
        inside = gaussians.inv_scales[gaussians.means[:, 0] > 84]
        ratios.append((inside.max(axis=1) / inside.min(axis=1)).max())
    assert ratios[0] > 1.5 * IN_NOISE
    assert ratios[1] < 1.2 * IN_NOISE
