"""What the viewer should show of a file: features of the engine at pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import gscodec
from gscodec.image.levels import to_unit

Float32Array = npt.NDArray[np.float32]


def available_lods(path: Path) -> tuple[int, ...]:
    """Levels that a file holds, which may be cut."""
    with gscodec.open(path, device="cpu") as image:
        return image.available_lods


def features(path: Path, lod: int, region: tuple[int, int, int, int] | None = None) -> Float32Array:
    """Samples (height, width, C) without grain at the pixels of a region (x, y, width, height), integers in 0..1."""
    with gscodec.open(path, device="cpu", grain=False) as image:
        x, y, width, height = region or (0, 0, image.shape[1], image.shape[0])
        rows, columns = np.mgrid[y : y + height, x : x + width] + 0.5
        points = np.stack([columns.ravel(), rows.ravel()], axis=1)
        return image.sample(points, lod=lod).reshape(height, width, -1)


def in_codes(values: Float32Array, reference: Float32Array, path: Path, channels: Sequence[int]) -> Float32Array:
    """Differences, in codes of 8 bits, between the viewer's samples and the engine's.

    Args:
        values: (H, W, 4) of the viewer.
        reference: (H, W, C) of `features`.
        channels: which channels of the file the viewer's are; -1 where there is none.
    """
    with gscodec.open(path, device="cpu") as image:
        groups = image.groups
        shown = np.array(reference)
        for i, channel in enumerate(channels):
            if channel >= 0:
                shown[:, :, channel] = values[:, :, i]
        units = [np.clip(to_unit(array, groups), 0, 1) for array in (shown, reference)]
    difference: Float32Array = 255 * np.abs(units[0] - units[1])
    return difference
