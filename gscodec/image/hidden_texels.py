"""Fills hidden texels: outside the UV charts of an atlas a picture may hold any values, which should take no bytes.

They are replaced by the smoothest continuation of the visible texels, which has no detail to store and suits filters
that read beyond a chart's edge.
"""

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    pass

Samples = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SWEEPS: Final = 12
"""Iterations of averaging at each size. The coarser sizes have already propagated values over long distances."""


def filled(samples: Samples, visible: Mask, sweeps: int = SWEEPS) -> Samples:
    """float32 (H, W, C) with a smooth continuation where `visible` (H, W) is false.

    Args:
        sweeps: iterations of averaging at each size.
    """
    height, width, n_channels = samples.shape
    if visible.all() or max(height, width) == 1:
        return samples
    rows, columns = math.ceil(height / 2), math.ceil(width / 2)
    pad = ((0, 2 * rows - height), (0, 2 * columns - width))
    weight = np.pad(visible.astype(np.float32), pad).reshape(rows, 2, columns, 2).sum(axis=(1, 3))
    known = np.pad(np.where(visible[:, :, None], samples, 0), (*pad, (0, 0)))
    total = known.reshape(rows, 2, columns, 2, n_channels).sum(axis=(1, 3))
    coarse = filled((total / np.maximum(weight, 1)[:, :, None]).astype(np.float32), weight > 0, sweeps)
    around = np.empty((height + 2, width + 2, n_channels), np.float32)
    result = around[1:-1, 1:-1]
    result[:] = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[:height, :width]
    np.copyto(result, samples, where=visible[:, :, None])
    hidden = ~visible[:, :, None]
    mean = np.empty_like(result)
    for _ in range(sweeps):
        around[0, 1:-1], around[-1, 1:-1] = result[0], result[-1]
        around[1:-1, 0], around[1:-1, -1] = result[:, 0], result[:, -1]
        np.add(around[:-2, 1:-1], around[2:, 1:-1], out=mean)
        mean += around[1:-1, :-2]
        mean += around[1:-1, 2:]
        mean *= np.float32(0.25)
        np.copyto(result, mean, where=hidden)
    return np.ascontiguousarray(result)
