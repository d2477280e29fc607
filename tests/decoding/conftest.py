from collections.abc import Callable, Sequence

import numpy as np
import pytest

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.model.channels import AlphaMode, ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable

Builder = Callable[..., bytes]


def build_file(
    height: int = 45,
    width: int = 70,
    n_gaussians: int = 90,
    n_channels: int = 3,
    lods: int = 3,
    bit_depth: int = 8,
    seed: int = 0,
    groups: Sequence[ChannelGroup] = (),
    icc: bytes | None = None,
) -> bytes:
    """A file of random Gaussians, a few px wide, with colours that leave 0..1 in places."""
    rng = np.random.default_rng([seed, height, width, n_gaussians])
    gaussians = GaussianSet(
        means=rng.uniform(0, [width, height], (n_gaussians, 2)),
        inv_scales=rng.uniform(0.08, 0.8, (n_gaussians, 2)),
        rotations=rng.uniform(0, np.pi, n_gaussians),
        features=rng.uniform(-0.1, 1.1, (n_gaussians, n_channels)).astype(np.float32),
    )
    counts = tuple(max(1, n_gaussians >> (lods - 1 - step)) for step in range(lods)) if n_gaussians else (0,)
    gains = tuple(tuple(0.7 ** (len(counts) - 1 - step) for _ in range(step + 1)) for step in range(len(counts)))
    alpha = AlphaMode.STRAIGHT if n_channels in {2, 4} else AlphaMode.NONE
    named = tuple(groups) or (ChannelGroup("color", n_channels=n_channels, bit_depth=bit_depth, alpha=alpha),)
    background = np.linspace(0.2, 0.9, n_channels, dtype=np.float32)
    grid = Grid(height, width, background, top_k=4)
    return pack(Contents(grid, named, LodTable(counts, gains), gaussians, icc, {"encoder": "by hand"}, page_size=8))


@pytest.fixture
def build() -> Builder:
    return build_file


@pytest.fixture(scope="session")
def igs() -> bytes:
    """45 x 70 px, RGB, 90 Gaussians, three LODs, pages of eight."""
    return build_file()


@pytest.fixture(scope="session", params=["reference", "cpu"])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)
