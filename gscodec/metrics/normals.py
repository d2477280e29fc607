"""Angular error of a normal map."""

from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.metrics._samples import Float64Array, check_pair


def normal_error_deg(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Mean angle in degrees, 0..180, between the unit vectors of two normal maps.

    A sample v in 0..1 stands for the component 2 v - 1. Vectors are normalised first, as in shaders; a zero
    vector counts as (0, 0, 1), the flat surface.

    Args:
        first: (H, W, 3) unsigned integers, or floats in 0..1.
        second: the same shape and type.

    Raises:
        InvalidArgument: shapes differ, or not three channels.
    """
    first, second, top = check_pair(first, second, None)
    if first.shape[2] != 3:
        raise InvalidArgument(f"a normal map has 3 channels, not {first.shape[2]}")
    a, b = _vectors(first, top), _vectors(second, top)
    # Twice the arctangent keeps its precision at small angles, where the arccosine of a dot product loses it.
    angle = 2 * np.arctan2(np.linalg.norm(a - b, axis=2), np.linalg.norm(a + b, axis=2))
    return float(np.degrees(angle).mean())


def _vectors(picture: npt.NDArray[Any], top: float) -> Float64Array:
    vectors = picture.astype(np.float64) * (2 / top) - 1
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Float64Array = np.where(length > 1e-9, vectors / length, (0.0, 0.0, 1.0))
    return result
