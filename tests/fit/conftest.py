"""Small pictures to fit."""

import numpy as np
import pytest

from gscodec.model.gaussians import Float32Array, Grid


def disc(height: int, width: int) -> Float32Array:
    """A soft orange disc on a blue ramp: smooth areas and one edge."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    radius = np.hypot(x - 0.55 * width, y - 0.4 * height) / min(height, width)
    inside = 1 / (1 + np.exp((radius - 0.3) * 60))
    ramp = np.stack([0.1 + 0 * x, 0.2 + 0.3 * y / height, 0.5 + 0.4 * x / width], axis=2)
    colour = np.array([0.9, 0.55, 0.1])
    picture: Float32Array = (ramp + inside[..., None] * (colour - ramp)).astype(np.float32)
    return picture


@pytest.fixture(scope="module")
def picture() -> Float32Array:
    return disc(48, 72)


@pytest.fixture(scope="module")
def grid(picture: Float32Array) -> Grid:
    return Grid(picture.shape[0], picture.shape[1], picture.mean(axis=(0, 1)))
