"""Arrays of Gaussians from files that may hold anything, checked and brought into the format's ranges."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage, SourceWarning
from gscodec.model.constants import MAX_CHANNELS, MAX_FEATURE, MAX_GAUSSIANS, MAX_INV_SCALE, MIN_INV_SCALE
from gscodec.model.gaussians import GaussianSet, Grid
from gscodec.model.limits import Limits

Array = npt.NDArray[Any]

_ROUNDING_PX = 0.01
"""Distance from the picture that rounding to float32 explains."""


_BYTES_PER_VALUE = 32
"""Memory that a value takes until it is packed: it may come in 8 bytes, and is widened, clipped and compared."""


def check_shapes(shapes: dict[str, Sequence[int]], name: str, limits: Limits) -> None:
    """Refuse arrays that are not N means (N, 2), inverse scales (N, 2), rotations (N,) and features (N, C).

    Args:
        shapes: by these four roles, in this order; the keys are what the file calls them.
        name: of the file, in messages.

    Raises:
        BadImage: shapes or counts are others. LimitExceeded: they take more memory than allowed.
    """
    keys = list(shapes)
    n = shapes[keys[0]][0] if shapes[keys[0]] else 0
    for key, wanted in zip(keys[:3], ((n, 2), (n, 2), (n,)), strict=True):
        if tuple(shapes[key]) != wanted:
            raise BadImage(f"{name}: {key} has the shape {_shape(shapes[key])}, expected {_shape(wanted)}")
    features = shapes[keys[3]]
    if len(features) != 2 or features[0] != n or not 1 <= features[1] <= MAX_CHANNELS:
        raise BadImage(
            f"{name}: {keys[3]} has the shape {_shape(features)}, expected ({n}, C) with 1 to {MAX_CHANNELS} channels"
        )
    if n > MAX_GAUSSIANS:
        raise BadImage(f"{name}: has {n} Gaussians, at most {MAX_GAUSSIANS} are possible")
    limits.check_memory(_BYTES_PER_VALUE * n * (5 + features[1]), f"{name}: {n} Gaussians of {features[1]} channels")


def checked(means: Array, inv_scales: Array, rotations: Array, features: Array, grid: Grid, name: str) -> GaussianSet:
    """The Gaussians of arrays whose shapes were checked.

    Args:
        means: (N, 2) px. inv_scales: (N, 2) 1/px. rotations: (N,) rad. features: (N, C).
        grid: of the picture.
        name: of the file, in messages.

    Raises:
        BadImage: values are not finite, or an inverse scale is not above 0.

    Warns:
        SourceWarning: values are outside what files can hold and are moved to the nearest that they can.
    """
    for label, array in zip(
        ("means", "inverse scales", "rotations", "features"), (means, inv_scales, rotations, features), strict=True
    ):
        if not np.isfinite(array).all():
            row = int(np.argmin(np.isfinite(array.reshape(len(array), -1)).all(axis=1)))
            raise BadImage(f"{name}: {label} of Gaussian {row} are not finite")
    if (inv_scales <= 0).any():
        row = int(np.argmax((inv_scales <= 0).any(axis=1)))
        raise BadImage(f"{name}: an inverse scale of Gaussian {row} is not above 0")
    size = np.array([grid.width, grid.height], np.float64)
    moved = {
        "lie outside the picture": ((means < -_ROUNDING_PX) | (means > size + _ROUNDING_PX)).any(axis=1),
        "are wider or narrower than files hold": ((inv_scales < MIN_INV_SCALE) | (inv_scales > MAX_INV_SCALE)).any(
            axis=1
        ),
        "have features beyond what files hold": (np.abs(features) > MAX_FEATURE).any(axis=1),
    }
    for what, rows in moved.items():
        if rows.any():
            text = f"{name}: {int(rows.sum())} of {len(means)} Gaussians {what} and are moved to the nearest value"
            warnings.warn(text, SourceWarning, stacklevel=2)
    return GaussianSet(
        np.clip(means.astype(np.float64), 0, size),
        np.clip(inv_scales.astype(np.float64), MIN_INV_SCALE, MAX_INV_SCALE),
        np.mod(rotations.astype(np.float64), np.pi),
        np.ascontiguousarray(np.clip(features, -MAX_FEATURE, MAX_FEATURE).astype(np.float32)),
    )


def short_reason(fault: BaseException) -> str:
    """The text of an error about a file that may hold anything, on one line of at most 120 characters."""
    return " ".join(str(fault).split())[:120] or type(fault).__name__


def _shape(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
