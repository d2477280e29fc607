"""Arguments the CPU engine must refuse with InvalidArgument: none may reach the kernels, which trust what they get."""

import numpy as np
import pytest

from gscodec.errors import BackendUnavailable, InvalidArgument
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import LossWeights, TileIndex
from gscodec.render.cpu import CpuRasterizer, available_isas
from gscodec.render.engines import get_backend


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


@pytest.mark.parametrize(
    "grid",
    [
        Grid(0, 20, np.zeros(3, np.float32)),
        Grid(16, -1, np.zeros(3, np.float32)),
        Grid(16, 20, np.zeros(2, np.float32)),
        Grid(16, 20, np.zeros((1, 3), np.float32)),
        Grid(16, 20, np.zeros(3, np.float32), top_k=0),
        Grid(16, 20, np.zeros(3, np.float32), top_k=33),
        Grid(16, 20, np.zeros(3, np.float32), support_q=0.0),
        Grid(16, 20, np.zeros(3, np.float32), support_q=-1.0),
        Grid(16, 20, np.zeros(3, np.float32), support_q=float("nan")),
        Grid(16, 20, np.zeros(3, np.float32), support_q=float("inf")),
    ],
)
def test_grids_without_an_image(grid: Grid) -> None:
    with pytest.raises(InvalidArgument):
        CpuRasterizer().bin(one(), grid)
    if grid.support_q == GRID.support_q:  # the cutoff matters to binning alone
        with pytest.raises(InvalidArgument):
            CpuRasterizer().forward(one(), grid, CpuRasterizer().bin(one(), GRID), Window(0, 0, 4, 4))


@pytest.mark.parametrize("n_channels", [0, 65])
def test_channel_counts_out_of_range(n_channels: int) -> None:
    gaussians = GaussianSet(np.ones((1, 2)), np.ones((1, 2)), np.zeros(1), np.zeros((1, n_channels), np.float32))
    with pytest.raises(InvalidArgument):
        CpuRasterizer().bin(gaussians, Grid(8, 8, np.zeros(n_channels, np.float32)))


@pytest.mark.parametrize("tiles", [(0, 0, 0, 1), (1, 0, 0, 1), (-1, 0, 1, 1), (0, 0, 3, 1), (0, 0, 2, 2)])
def test_rectangles_outside_the_grid(tiles: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidArgument):
        CpuRasterizer().bin(one(), GRID, tiles)


@pytest.mark.parametrize(
    "window",
    [
        Window(float("nan"), 0, 4, 4),
        Window(0, float("inf"), 4, 4),
        Window(0, 0, -1, 4),
        Window(0, 0, 4, -4),
        Window(0, 0, 4, 4, 0.0, 1.0),
        Window(0, 0, 4, 4, 1.0, -1.0),
        Window(0, 0, 4, 4, float("nan"), 1.0),
        Window(0, 0, 4, 4, 1.0, float("inf")),
    ],
)
def test_windows_that_are_no_lattice(window: Window) -> None:
    engine = CpuRasterizer()
    with pytest.raises(InvalidArgument):
        engine.forward(one(), GRID, engine.bin(one(), GRID), window)


def test_an_output_type_that_does_not_exist() -> None:
    engine = CpuRasterizer()
    with pytest.raises(InvalidArgument):
        engine.forward(one(), GRID, engine.bin(one(), GRID), Window.whole(GRID), "int8")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "points",
    [np.array([[np.nan, 1.0]]), np.array([[1.0, -np.inf]]), np.zeros((2, 3)), np.zeros(4), np.zeros((1, 2, 2))],
)
def test_points_that_are_no_positions(points: np.ndarray) -> None:
    engine = CpuRasterizer()
    with pytest.raises(InvalidArgument):
        engine.sample(one(), GRID, engine.bin(one(), GRID), points)


@pytest.mark.parametrize("shape", [(16, 20), (16, 20, 2), (15, 20, 3), (20, 16, 3), (0, 0, 3)])
def test_gradient_images_of_another_shape(shape: tuple[int, ...]) -> None:
    engine = CpuRasterizer()
    with pytest.raises(InvalidArgument):
        engine.backward(one(), GRID, engine.bin(one(), GRID), np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(16, 20), (3, 16, 19), (2, 16, 20), (16, 20, 3)])
def test_targets_of_another_shape(shape: tuple[int, ...]) -> None:
    engine = CpuRasterizer()
    with pytest.raises(InvalidArgument):
        engine.fit_step(one(), GRID, engine.bin(one(), GRID), np.zeros(shape, np.float32), LossWeights(l2=1.0))


@pytest.mark.parametrize(
    ("image", "target"), [((4, 4, 3), (4, 5, 3)), ((4, 4), (4, 4)), ((0, 4, 3), (0, 4, 3)), ((4, 4, 3), (4, 4, 1))]
)
def test_losses_of_images_that_do_not_match(image: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument):
        CpuRasterizer().loss(np.zeros(image, np.float32), np.zeros(target, np.float32), LossWeights(l1=1.0))


def test_an_index_of_another_grid_or_set() -> None:
    engine = CpuRasterizer()
    index = engine.bin(one(), GRID)
    with pytest.raises(InvalidArgument):
        engine.forward(one(), Grid(16, 10, GRID.background), index, Window(0, 0, 4, 4))
    with pytest.raises(InvalidArgument):
        engine.forward(one()[:1], GRID, index, Window(0, 0, 4, 4))
    broken = TileIndex(index.offsets, index.indices - 1, index.tiles)
    with pytest.raises(InvalidArgument):
        engine.forward(one(), GRID, broken, Window(0, 0, 4, 4))
    broken = TileIndex(np.array([0, 4, 2], np.int64), index.indices[:2], index.tiles)
    with pytest.raises(InvalidArgument):
        engine.forward(one(), GRID, broken, Window(0, 0, 4, 4))


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
