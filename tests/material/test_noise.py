"""Noise is fine and without direction; edges, ramps, faint grain and broad shapes are not noise."""

import numpy as np
import pytest

from gscodec.material.noise import CELL, noise_of, variance_of_cells
from gscodec.model.gaussians import Float32Array

SIDE = 96


def gray(kind: str) -> Float32Array:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    rng = np.random.default_rng(5)
    pictures = {
        "flat": np.full((SIDE, SIDE), 0.4),
        "ramp": x / SIDE,
        "edge": (x > SIDE / 2) * 0.8,
        "stripes": 0.5 + 0.4 * np.sin(1.2 * x + 0.4 * y),
        "blobs": 0.5 + 0.3 * np.sin(0.3 * x) * np.sin(0.3 * y),
        "faint grain": 0.5 + 0.01 * rng.normal(size=(SIDE, SIDE)),
        "gravel": 0.5 + 0.15 * rng.normal(size=(SIDE, SIDE)),
    }
    return np.asarray(np.clip(pictures[kind], 0, 1), np.float32)


@pytest.mark.parametrize("kind", ["flat", "ramp", "edge", "stripes", "blobs", "faint grain"])
def test_what_is_not_noise(kind: str) -> None:
    assert noise_of(gray(kind)).max() < 0.1


def test_gravel_is_noise_where_it_lies() -> None:
    picture = gray("gravel")
    picture[:, : SIDE // 2] = 0.5
    noise = noise_of(picture)
    assert noise.shape == (SIDE // CELL, SIDE // CELL)
    assert noise[:, 15:].mean() > 0.9
    assert noise[:, :9].max() < 0.1


def test_cells_average_fine_variation_away() -> None:
    assert variance_of_cells(gray("gravel")).mean() < 0.1 * gray("gravel").var()
    assert variance_of_cells(gray("blobs")).mean() > 0.5 * gray("blobs").var()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (17, 4)])
def test_small_and_odd_pictures_have_cells_too(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)
    cells = -(-shape[0] // CELL), -(-shape[1] // CELL)
    for values in (noise_of(picture), variance_of_cells(picture)):
        assert values.shape == cells
        assert np.isfinite(values).all()
        assert values.min() >= 0


def test_noise_that_differs_from_channel_to_channel_is_noise() -> None:
    rng = np.random.default_rng(6)
    planes = [np.asarray(0.5 + 0.06 * rng.normal(size=(SIDE, SIDE)), np.float32) for _ in range(3)]
    mean = np.asarray(sum(planes) / 3, np.float32)
    assert noise_of(*planes).mean() > 0.9
    assert noise_of(mean).mean() < 0.8, "which the mean of the channels shows less"
    edge = gray("edge")
    assert noise_of(edge, edge, edge).max() < 0.1
