"""Files for timing decoders when no encoded picture is at hand: plausible Gaussians, drawn from a seed."""

import numpy as np
import numpy.typing as npt

from gscodec.format import AlphaMode, ChannelGroup, Contents, NormalConvention, Role, SampleType, Transfer, pack
from gscodec.gaussians import GaussianSet, Grid, LodTable


def rgb_group() -> ChannelGroup:
    """An 8-bit sRGB colour group."""
    return ChannelGroup(
        name="color",
        role=Role.COLOR,
        n_channels=3,
        bit_depth=8,
        sample_type=SampleType.UINT,
        transfer=Transfer.SRGB,
        alpha=AlphaMode.NONE,
        normal=NormalConvention.NONE,
        value_min=0.0,
        value_max=1.0,
        source="",
    )


def synthetic_file(height: int, width: int, n_gaussians: int, seed: int = 0) -> bytes:
    """An .igs file of one level: means spread over the picture, shapes and colours as fits have them.

    The narrow axis has a standard deviation near sqrt(pixels per Gaussian) / 3, the wide one up to four times that, as
    fitted Gaussians stretch along edges; colours are a few smooth waves plus a little noise.
    """
    draw = np.random.default_rng(seed)
    means = draw.uniform(0.0, 1.0, (n_gaussians, 2)) * (width, height)
    narrow = np.sqrt(height * width / max(n_gaussians, 1)) / 3.0 * draw.lognormal(0.0, 0.3, n_gaussians)
    sigmas = np.stack((narrow * draw.uniform(1.0, 4.0, n_gaussians), narrow), axis=1)
    gaussians = GaussianSet(
        means=means,
        inv_scales=1.0 / np.clip(sigmas, 0.25, None),
        rotations=draw.uniform(0.0, np.pi, n_gaussians),
        features=_colors(means / (width, height), draw),
    )
    grid = Grid(height, width, np.zeros(3, dtype=np.float32))
    return pack(Contents(grid, (rgb_group(),), LodTable.single(n_gaussians), gaussians))


def _colors(places: npt.NDArray[np.float64], draw: np.random.Generator) -> npt.NDArray[np.float32]:
    """(N, 3) colours of smooth waves at places (N, 2) in 0..1."""
    waves = draw.normal(0.0, 8.0, (2, 3))
    smooth = 0.5 + 0.4 * np.sin(places @ waves + draw.uniform(0.0, 2.0 * np.pi, 3))
    return np.asarray(np.clip(smooth + draw.normal(0.0, 0.05, smooth.shape), 0.0, 1.0), dtype=np.float32)
