"""Scenes and judgements shared by the renderer tests. Every scene comes from a seed that the failure text shows."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pytest
from devices import DEVICES, open_device
from software_gpu import software_gpu

from gscodec.model.constants import TOP_K
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid
from gscodec.model.rendering import TileIndex
from gscodec.render.base import Rasterizer
from gscodec.render.cpu import CpuRasterizer, available_isas
from gscodec.render.gpu import CudaRasterizer
from gscodec.render.reference import (
    ReferenceRasterizer,
    blend_points,
    mahalanobis_q,
    smallest_q_per_tile,
    tile_of_points,
)
from gscodec.render.webgpu import WebGpuRasterizer

Scene = tuple[GaussianSet, Grid]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that takes `isa` once per instruction set this machine can execute."""
    if "isa" in metafunc.fixturenames:
        metafunc.parametrize("isa", available_isas())
    if "engine" in metafunc.fixturenames:
        blends_alone = ["gpu"] if metafunc.module.__name__.endswith("test_parity_render") else []
        metafunc.parametrize("engine", [*ENGINES, *blends_alone], indirect=True, scope="session")


def make_scene(
    seed: int,
    n: int = 60,
    height: int = 37,
    width: int = 45,
    n_channels: int = 3,
    *,
    top_k: int = TOP_K,
    support_q: float = 9.0,
    sigma_px: tuple[float, float] = (1.0, 6.0),
    elongation: float = 4.0,
    margin_px: float = 4.0,
) -> Scene:
    """N random Gaussians on a grid: log-uniform widths, one axis up to `elongation` times the other, means up to
    `margin_px` outside the image, features in 0..1."""
    rng = np.random.default_rng(seed)
    means = np.stack([rng.uniform(-margin_px, size + margin_px, n) for size in (width, height)], axis=1)
    narrow = np.exp(rng.uniform(np.log(sigma_px[0]), np.log(sigma_px[1]), n))
    wide = narrow * np.exp(rng.uniform(0.0, np.log(elongation), n))
    gaussians = GaussianSet(
        means,
        1.0 / np.stack([narrow, wide], axis=1),
        rng.uniform(0.0, np.pi, n),
        rng.random((n, n_channels), dtype=np.float32),
    )
    background = rng.random(n_channels, dtype=np.float32)
    return gaussians, Grid(height, width, background, top_k=top_k, support_q=support_q)


def extreme_scene(seed: int, n: int = 80, height: int = 83, width: int = 70, n_channels: int = 3) -> Scene:
    """Widths over the whole legal range, axis ratios up to 1e4, means on and beyond the image border."""
    rng = np.random.default_rng(seed)
    gaussians, grid = make_scene(seed, n, height, width, n_channels, sigma_px=(1 / 64, 300.0), margin_px=40.0)
    ratio = np.exp(rng.uniform(0.0, np.log(1e4), n))
    inv_scales = np.clip(gaussians.inv_scales[:, :1] * np.stack([np.ones(n), 1.0 / ratio], axis=1), 2.0**-14, 64.0)
    inv_scales = np.where(rng.random((n, 1)) < 0.5, inv_scales, inv_scales[:, ::-1])
    means = gaussians.means.copy()
    edges = np.array([0.0, 16.0, 64.0, 0.5, 15.5])
    snap = rng.random(means.shape) < 0.25
    means[snap] = rng.choice(edges, int(snap.sum()))
    border = rng.random(n) < 0.1
    means[border] = (width, height)
    rotations = np.where(rng.random(n) < 0.2, rng.choice([0.0, np.pi / 4, np.pi / 2], n), gaussians.rotations)
    return GaussianSet(means, inv_scales, rotations, gaussians.features), grid


def q_error(gaussians: GaussianSet, i: npt.NDArray[np.int32], points: Float64Array, q: Float64Array) -> Float64Array:
    """Error of q that float32 arithmetic may make: relative rounding, and that of offsets from the tile's corner."""
    distance = np.hypot(points[:, 0, None] - gaussians.means[i, 0], points[:, 1, None] - gaussians.means[i, 1])
    length = gaussians.inv_scales[i].max(axis=-1) * (distance + 23.0) * 2.0**-22
    return np.asarray(2e-6 * q + 2.0 * np.sqrt(q) * length + length**2)


def assert_render_close(
    actual: npt.NDArray[np.generic],
    scene: Scene,
    index: TileIndex,
    points: Float64Array,
    *,
    label: str,
    extreme: bool = False,
) -> None:
    """Hold float32 values (M, C) at points to the oracle.

    Every point must be within 1e-5, except where the K-th and the next Gaussian are equally far to a relative 1e-5:
    there the other may have been taken, which moves the value by at most what the K-th weights can. Those points are
    counted, and their mean error must show no bias. `extreme` widens both by the float32 error of q itself.
    """
    gaussians, grid = scene
    expected = blend_points(gaussians, grid, index, points)
    signed_error = np.asarray(actual, np.float64) - expected
    error = np.abs(signed_error).max(axis=1)
    tolerance = np.full(len(points), 1e-5)
    at_cutoff = np.zeros(len(points), dtype=bool)
    tiles = tile_of_points(grid, index, points)
    for tile in np.unique(tiles):
        candidates = index.indices[index.offsets[tile] : index.offsets[tile + 1]]
        which = np.flatnonzero(tiles == tile)
        if not len(candidates):
            continue
        here = points[which]
        q = mahalanobis_q(gaussians, candidates[None, :], here[:, 0, None], here[:, 1, None])
        wrong = q_error(gaussians, candidates[None, :], here, q) if extreme else 1e-5 * q
        weight = np.exp(-0.5 * (q - q.min(axis=1, keepdims=True)))
        spread = np.ptp(gaussians.features[candidates], axis=0).max()
        if extreme:
            nearest = np.argsort(q, axis=1, kind="stable")[:, : grid.top_k]
            share = np.take_along_axis(weight / weight.sum(axis=1, keepdims=True), nearest, axis=1)
            tolerance[which] += spread * (share * np.take_along_axis(wrong, nearest, axis=1)).sum(axis=1)
        if len(candidates) > grid.top_k:
            kth = np.sort(q, axis=1)[:, grid.top_k - 1, None]
            tied = np.abs(q - kth) <= wrong + np.take_along_axis(
                wrong, np.argsort(q, axis=1, kind="stable")[:, grid.top_k - 1, None], axis=1
            )
            at_cutoff[which] = tied.sum(axis=1) > 1
            tolerance[which] += np.where(at_cutoff[which], spread * (weight * tied).sum(axis=1), 0.0)
    bad = np.flatnonzero(error > tolerance)
    assert not len(bad), (
        f"{label}: {len(bad)} of {len(points)} points differ, worst {error[bad].max():.3g} at {points[bad[0]]} px "
        f"(allowed {tolerance[bad[0]]:.3g})"
    )
    flips = at_cutoff & (error > 1e-5)
    if not extreme and flips.any():
        signed = signed_error[flips]
        assert flips.mean() <= 0.002 + 2 / len(points), f"{label}: {flips.sum()} flips at the K-th distance"
        standard_error = signed.std() / np.sqrt(flips.sum()) + np.abs(signed).max() * (flips.sum() < 8)
        assert abs(signed.mean()) <= 4.0 * standard_error, f"{label}: flips are biased by {signed.mean():.3g}"


def assert_lists_equal(actual: TileIndex, expected: TileIndex, scene: Scene, *, label: str) -> None:
    """Hold tile lists to the oracle's: equal, except pairs whose smallest q is the cutoff to a relative 1e-9."""
    gaussians, grid = scene
    n_tiles = grid.tiles_shape[0] * grid.tiles_shape[1]
    assert actual.offsets.dtype == np.int64, label
    assert actual.indices.dtype == np.int32, label
    assert actual.offsets.shape == (n_tiles + 1,), label
    assert actual.offsets[0] == 0, label
    assert actual.offsets[-1] == len(actual.indices), label
    for t in range(n_tiles):
        got = actual.indices[actual.offsets[t] : actual.offsets[t + 1]]
        wanted = expected.indices[expected.offsets[t] : expected.offsets[t + 1]]
        assert (np.diff(got) > 0).all(), f"{label}: tile {t} is not in ascending order"
        for i in np.setxor1d(got, wanted):
            smallest = smallest_q_per_tile(gaussians, int(i), grid)[t]
            assert abs(smallest - grid.support_q) <= 1e-9 * grid.support_q, (
                f"{label}: tile {t} and Gaussian {i}: smallest q {smallest!r} against Q {grid.support_q}"
            )


def finite_difference(
    value: Callable[[GaussianSet], float], gaussians: GaussianSet, kind: str, step: float, which: npt.NDArray[np.intp]
) -> Float64Array:
    """Central differences of value(gaussians) to the flat entries `which` of one field."""
    fields = {
        name: np.asarray(getattr(gaussians, name), np.float64)
        for name in ("means", "inv_scales", "rotations", "features")
    }
    slopes = []
    for entry in which:
        ends = []
        for sign in (1.0, -1.0):
            moved = fields[kind].copy()
            moved.flat[entry] += sign * step
            # The oracle computes in the precision it is given, so float64 features keep the differences exact.
            ends.append(value(GaussianSet(**{**fields, kind: moved})))  # type: ignore[arg-type]
        slopes.append((ends[0] - ends[1]) / (2.0 * step))
    return np.array(slopes)


@pytest.fixture(scope="session")
def oracle() -> Rasterizer:
    return ReferenceRasterizer()


@pytest.fixture(scope="session")
def scene_of() -> Callable[..., Scene]:
    return make_scene


@pytest.fixture(scope="session")
def extreme_scene_of() -> Callable[..., Scene]:
    return extreme_scene


@pytest.fixture(scope="session")
def render_close() -> Callable[..., None]:
    return assert_render_close


@pytest.fixture(scope="session")
def lists_equal() -> Callable[..., None]:
    return assert_lists_equal


@pytest.fixture(scope="session")
def differences() -> Callable[..., Float64Array]:
    return finite_difference


ENGINES = [*available_isas(), *DEVICES]


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Rasterizer:
    if request.param in available_isas():
        return CpuRasterizer(threads=2, isa=request.param)
    if request.param == WebGpuRasterizer.name:
        return software_gpu()
    return CudaRasterizer(open_device(request.param))


@pytest.fixture(scope="session")
def thinned(engine: Rasterizer) -> Callable[[Iterable[int]], Iterable[int]]:
    """A sweep's values: all of them, or a few for engines that compile for each."""
    return lambda values: values if engine.name == "cpu" else [v for v in values if v in {1, 2, 9, 10, 11, 32}]
