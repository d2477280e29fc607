from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@pytest.fixture
def pictures() -> Pair:
    """A smooth colour picture of odd size and a noisy, shifted copy, uint8 (67, 83, 3)."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:67, 0:83]
    waves = [127 + 100 * np.sin(x / (4 + c) + y / (7 - c)) for c in range(3)]
    clean = np.stack(waves, axis=2)
    noisy = np.roll(clean, 1, axis=1) + rng.normal(0, 12, clean.shape)
    return clean.astype(np.uint8), np.clip(noisy, 0, 255).astype(np.uint8)
