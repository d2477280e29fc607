"""Arguments the CPU engine must refuse with InvalidArgument: none may reach the kernels, which trust what they get."""

import numpy as np
import pytest

from gscodec.errors import BackendUnavailable, InvalidArgument
from gscodec.gaussians import GaussianSet, Grid, Window
from gscodec.raster.base import get_backend
from gscodec.raster.cpu import CpuRasterizer, available_isas


def one(**changes: object) -> GaussianSet:
    fields = {
        "means": np.array([[5.0, 5.0], [7.0, 3.0]]),
        "inv_scales": np.full((2, 2), 0.5),
        "rotations": np.zeros(2),
        "features": np.zeros((2, 3), np.float32),
    }
    for name, value in changes.items():
        fields[name].flat[-1] = value
    return GaussianSet(**fields)


GRID = Grid(16, 20, np.zeros(3, np.float32))


@pytest.mark.parametrize("field", ["means", "inv_scales", "rotations", "features"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(field: str, value: float) -> None:
    with pytest.raises(InvalidArgument, match="Gaussian 1"):
        CpuRasterizer().bin(one(**{field: value}), GRID)


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0, -1e-300])
def test_inverse_scales_that_are_not_positive(value: float) -> None:
    with pytest.raises(InvalidArgument, match="Gaussian 1"):
        CpuRasterizer().bin(one(inv_scales=value), GRID)


@pytest.mark.parametrize("value", [5e-324, 1e-310, 1e-160, 1e160, 1e308])
def test_numbers_beyond_any_picture_do_not_crash(isa: str, value: float) -> None:
    engine = CpuRasterizer(threads=1, isa=isa)
    for field in ("means", "inv_scales", "rotations", "features"):
        gaussians = one(**{field: min(value, 3e38) if field == "features" else value})
        index = engine.bin(gaussians, GRID)
        assert engine.forward(gaussians, GRID, index, Window.whole(GRID)).shape == (16, 20, 3)
        engine.backward(gaussians, GRID, index, np.ones((16, 20, 3), np.float32))


def test_engines_by_name() -> None:
    assert get_backend("cpu").name == "cpu"
    assert get_backend("auto").name == "cpu"
    with pytest.raises(BackendUnavailable):
        get_backend("cuda:0")
    with pytest.raises(InvalidArgument):
        get_backend("abacus")
    with pytest.raises(BackendUnavailable):
        CpuRasterizer(isa="avx1024")
    with pytest.raises(InvalidArgument):
        CpuRasterizer(threads=0)
    assert available_isas()[0] == "baseline"
