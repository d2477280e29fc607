"""Small scenes of random Gaussians, and any file's contents in profile `packed`."""

from dataclasses import replace

import numpy as np

from gscodec.container.contents import Contents
from gscodec.model.gaussians import GaussianSet, Grid
from gscodec.profiles.page_heads import fitting_lattice, page_order


def synthetic_gaussians(height: int, width: int, n_gaussians: int, channels: int = 3, seed: int = 0) -> GaussianSet:
    """Gaussians all over a picture, of which every pixel meets a few; features in 0..1."""
    rng = np.random.default_rng(seed)
    spacing_px = np.sqrt(height * width / max(n_gaussians, 1))
    sigmas = spacing_px * rng.uniform(0.2, 1.2, (n_gaussians, 2))
    return GaussianSet(
        means=rng.uniform(0.0, 1.0, (n_gaussians, 2)) * (width, height),
        inv_scales=1.0 / np.maximum(sigmas, 0.25),
        rotations=rng.uniform(0.0, np.pi, n_gaussians),
        features=rng.random((n_gaussians, channels), dtype=np.float32),
    )


def synthetic_grid(height: int, width: int, channels: int = 3) -> Grid:
    """A grid with a black background."""
    return Grid(height, width, np.zeros(channels, dtype=np.float32))


def packed_contents(
    contents: Contents, shape_bits: tuple[int, int, int] = (5, 5, 23), feature_bits: int = 6
) -> Contents:
    """The same in profile `packed`, in file order, on records of such widths.

    Args:
        shape_bits: of narrow scale, elongation and place.
    """
    gaussians, counts, page_size = contents.gaussians, contents.lods.counts, contents.page_size
    ordered = gaussians[page_order(gaussians, contents.grid, counts, page_size)]
    n_channels = gaussians.n_channels
    bits = (*shape_bits[:2], *(feature_bits,) * n_channels)
    rotation_from = (2, 4, 8, 16, 30, 52, 80, 110, 140, 170, 200, 230)
    lattice = fitting_lattice(
        ordered, np.eye(n_channels), rotation_from, shape_bits[2], bits, contents.grid, counts, page_size
    )
    return replace(contents, gaussians=ordered, lattice=lattice)
