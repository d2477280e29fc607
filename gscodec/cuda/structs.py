"""Structs that kernels take by value."""

from collections.abc import Mapping

import numpy as np


def packed(values: Mapping[str, float], kind: type[np.float32] | type[np.float64] = np.float32) -> np.void:
    """A struct of numbers of one type, with the names and order of its fields in the kernels."""
    struct = np.empty(1, [(name, kind) for name in values])
    struct[0] = tuple(values.values())
    scalar: np.void = struct[0]
    return scalar
