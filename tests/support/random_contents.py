"""Contents of files, at random."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gscodec.container.contents import Contents
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable

MakeContents = Callable[..., Contents]


def random_contents(
    n: int = 100,
    channels: int = 3,
    size: tuple[int, int] = (70, 100),
    counts: Sequence[int] | None = None,
    seed: int = 0,
    **fields: Any,
) -> Contents:
    """Random contents: n Gaussians on a grid of size (height, width), in levels of detail of `counts`.

    Args:
        fields: further fields of Contents by name.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    counts = tuple(counts if counts is not None else (n // 4, n // 2, n))
    gaussians = GaussianSet(
        rng.uniform(0, 1, (n, 2)) * [width, height],
        np.exp(rng.uniform(-4, 1, (n, 2))),
        rng.uniform(-7, 7, n),
        rng.uniform(-0.2, 1.2, (n, channels)).astype(np.float32),
    )
    gains = tuple(tuple(rng.uniform(0.4, 1.0, step + 1).tolist()) for step in range(len(counts)))
    groups = (ChannelGroup("image", n_channels=channels),)
    grid = Grid(height, width, rng.uniform(0, 1, channels).astype(np.float32))
    return Contents(grid, groups, LodTable(counts, gains), gaussians, **fields)
