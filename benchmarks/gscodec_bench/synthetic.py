"""Gaussians for timing when no encoded picture is at hand: plausible ones, drawn from a seed."""

import numpy as np
import numpy.typing as npt

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.image.stack import picture_groups
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid, LodTable


def synthetic_gaussians(height: int, width: int, n_gaussians: int, channels: int = 3, seed: int = 0) -> GaussianSet:
    """Means spread over the picture, shapes and colours as fits have them.

    The narrow axis has a standard deviation near sqrt(pixels per Gaussian) / 3, the wide one up to four times that, as
    fitted Gaussians stretch along edges; colours are a few smooth waves plus a little noise.
    """
    draw = np.random.default_rng(seed)
    means = draw.uniform(0.0, 1.0, (n_gaussians, 2)) * (width, height)
    narrow = np.sqrt(height * width / max(n_gaussians, 1)) / 3.0 * draw.lognormal(0.0, 0.3, n_gaussians)
    sigmas = np.stack((narrow * draw.uniform(1.0, 4.0, n_gaussians), narrow), axis=1)
    return GaussianSet(
        means=means,
        inv_scales=1.0 / np.clip(sigmas, 0.25, None),
        rotations=draw.uniform(0.0, np.pi, n_gaussians),
        features=_colours(means / (width, height), channels, draw),
    )


def synthetic_grid(height: int, width: int, channels: int = 3) -> Grid:
    """The grid of a picture of such Gaussians, its background black."""
    return Grid(height, width, np.zeros(channels, dtype=np.float32))


def synthetic_file(height: int, width: int, n_gaussians: int, seed: int = 0, channels: int = 3) -> bytes:
    """An .igs file of one level with such Gaussians."""
    gaussians = synthetic_gaussians(height, width, n_gaussians, channels, seed)
    grid = synthetic_grid(height, width, channels)
    return pack(Contents(grid, picture_groups(channels, 8), LodTable.single(n_gaussians), gaussians))


def synthetic_target(height: int, width: int, channels: int = 3, seed: int = 1) -> Float32Array:
    """float32 (height, width, channels) in 0..1: smooth waves and edges, something for a fit to be wrong about."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = []
    for _ in range(channels):
        a, b, c, d = draw.uniform(0.01, 0.2, 4).astype(np.float32)
        planes.append(0.5 + 0.3 * np.sin(a * x + b * y) + 0.2 * np.sign(np.sin(c * x - d * y)))
    return np.ascontiguousarray(np.clip(np.stack(planes, axis=2), 0, 1), np.float32)


def _colours(places: npt.NDArray[np.float64], channels: int, draw: np.random.Generator) -> Float32Array:
    """(N, channels) colours of smooth waves at places (N, 2) in 0..1."""
    waves = draw.normal(0.0, 8.0, (2, channels))
    smooth = 0.5 + 0.4 * np.sin(places @ waves + draw.uniform(0.0, 2.0 * np.pi, channels))
    return np.asarray(np.clip(smooth + draw.normal(0.0, 0.05, smooth.shape), 0.0, 1.0), dtype=np.float32)
