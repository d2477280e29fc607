"""The mip trick: a fixed-rate GPU format reaches low rates by storing a smaller picture (paper, Section 4.5).

A setting ends in `/mipN` for a picture reduced N times by two with a box filter; it is brought back by bilinear
interpolation between texel centres, edges repeated, as a sampler does it.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

Samples = npt.NDArray[np.uint8]


def mip_of(setting: str) -> tuple[str, int]:
    """The setting without its mip, and the mip."""
    head, _, tail = setting.rpartition("mip")
    return (head.rstrip("/"), int(tail)) if tail.isdigit() else (setting, 0)


def shrink(samples: Samples, mip: int) -> Samples:
    """(H, W, C) reduced 2^mip times, sides rounded up: every new sample the mean of what it covers."""
    if mip == 0:
        return samples
    height, width = (-(-side // 2**mip) for side in samples.shape[:2])
    return _resized(samples, height, width, Image.Resampling.BOX)


def enlarge(samples: Samples, height: int, width: int) -> Samples:
    """(h, w, C) brought to height x width by bilinear interpolation."""
    if samples.shape[:2] == (height, width):
        return samples
    return _resized(samples, height, width, Image.Resampling.BILINEAR)


def _resized(samples: Samples, height: int, width: int, filtering: Image.Resampling) -> Samples:
    planes = [
        np.asarray(Image.fromarray(samples[:, :, c]).resize((width, height), filtering))
        for c in range(samples.shape[2])
    ]
    return np.stack(planes, axis=2)
