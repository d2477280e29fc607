"""Scenes and results that exceed what a buffer may hold are rendered in parts, with the same values."""

import numpy as np
import numpy.typing as npt
import pytest
from software_gpu import software_gpu

from gscodec.errors import BackendUnavailable, OutOfDeviceMemory
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import TileIndex
from gscodec.render.reference import ReferenceRasterizer
from gscodec.webgpu.scenes import ScenePart, places


@pytest.fixture(scope="module")
def scene() -> tuple[GaussianSet, Grid, TileIndex]:
    rng = np.random.default_rng(11)
    n, n_channels = 400, 5
    gaussians = GaussianSet(
        rng.uniform(0, (90, 70), (n, 2)),
        1 / rng.uniform(0.3, 2, (n, 2)),
        rng.uniform(0, np.pi, n),
        rng.random((n, n_channels), np.float32),
    )
    grid = Grid(70, 90, rng.random(n_channels, np.float32))
    return gaussians, grid, ReferenceRasterizer().bin(gaussians, grid)


@pytest.mark.parametrize("most_bytes", [20000, 8000, 4000])
def test_parts_give_the_same_values(scene: tuple[GaussianSet, Grid, TileIndex], most_bytes: int) -> None:
    window = Window(3.25, 1.5, 61, 70, 1.1, 0.7)
    points = np.random.default_rng(2).uniform(-5, 95, (500, 2))
    whole, parts = software_gpu(), software_gpu(most_bytes)
    for kind in ("float32", "uint8", "uint16"):
        np.testing.assert_array_equal(parts.forward(*scene, window, kind), whole.forward(*scene, window, kind))
    np.testing.assert_array_equal(parts.sample(*scene, points), whole.sample(*scene, points))


def test_long_launches_are_divided(scene: tuple[GaussianSet, Grid, TileIndex], monkeypatch: pytest.MonkeyPatch) -> None:
    engine, window = software_gpu(), Window.whole(scene[1])
    points = np.random.default_rng(2).uniform(0, 70, (300, 2))
    expected, sampled = engine.forward(*scene, window), engine.sample(*scene, points)
    monkeypatch.setattr("gscodec.render.webgpu.WORK_CANDIDATES", 20000)
    np.testing.assert_array_equal(engine.forward(*scene, window), expected)
    np.testing.assert_array_equal(engine.sample(*scene, points), sampled)


def test_a_tile_that_does_not_fit_is_an_error(scene: tuple[GaussianSet, Grid, TileIndex]) -> None:
    parts = software_gpu(200)
    with pytest.raises(OutOfDeviceMemory, match=r"need a buffer of \d+ bytes, 200 are allowed; use --device cpu"):
        parts.forward(*scene, Window.whole(scene[1]))
    with pytest.raises(OutOfDeviceMemory, match="Gaussians of a tile"):
        parts.sample(*scene, np.array([[20.0, 20.0]]))


def test_faults_of_the_gpu_are_errors(
    scene: tuple[GaussianSet, Grid, TileIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    import wgpu

    engine, faults = software_gpu(), [wgpu.GPUOutOfMemoryError("no more"), wgpu.GPUInternalError("lost\nmore lines")]

    def fail(*_: object, **__: object) -> npt.NDArray[np.float32]:
        raise faults.pop(0)

    monkeypatch.setattr(engine._blender, "_buffer", fail)
    with pytest.raises(OutOfDeviceMemory, match="does not suffice; decode a smaller region"):
        engine.forward(*scene, Window.whole(scene[1]))
    with pytest.raises(BackendUnavailable, match="fails: lost; use --device cpu"):
        engine.forward(*scene, Window.whole(scene[1]))


def test_the_part_around_places_has_the_lists_of_their_tiles(scene: tuple[GaussianSet, Grid, TileIndex]) -> None:
    gaussians, grid, index = scene
    rows, columns = grid.tiles_shape
    whole = ScenePart(gaussians, index, (0, 0, columns, rows))
    part = whole.around(places(np.array([20.0, 50.0]), 0, columns), places(np.array([33.0]), 0, rows))
    assert part.tiles == (1, 2, 4, 3)
    for i, tile in enumerate(range(2 * columns + 1, 2 * columns + 4)):
        expected = gaussians.means[index.indices[index.offsets[tile] : index.offsets[tile + 1]]]
        got = part.index.indices[part.index.offsets[i] : part.index.offsets[i + 1]]
        np.testing.assert_array_equal(part.gaussians.means[got], expected)


def test_an_engine_without_gradients_says_so(scene: tuple[GaussianSet, Grid, TileIndex]) -> None:
    gaussians, grid, index = scene
    engine = software_gpu()
    assert not engine.trains
    with pytest.raises(NotImplementedError, match="the gpu engine has no backward"):
        engine.backward(gaussians, grid, index, np.zeros((70, 90, 5), np.float32))
