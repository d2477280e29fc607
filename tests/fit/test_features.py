"""Features by least squares: against dense algebra on weights of the oracle, and rounding against nearest rounding."""

from dataclasses import replace

import numpy as np
import pytest

from gscodec.fit.features import MEAN_WEIGHT, Features, features_of
from gscodec.fit.lattices import Steps, make_lattice, snap, with_slope
from gscodec.fit.presets import FAST
from gscodec.fit.qat_task import QatTask
from gscodec.format.limits import generations_of
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float64Array, GaussianSet, Grid, LodTable, Window
from gscodec.profiles.entropy import VALUE_SPLIT, coded_bits, fit_table
from gscodec.profiles.lattice import feature_steps_of, quantize
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.reference import ReferenceRasterizer

HEIGHT, WIDTH, N = 37, 52, 40


def made(n_channels: int = 3, seed: int = 1) -> GaussianSet:
    rng = np.random.default_rng(seed)
    return GaussianSet(
        rng.uniform(0, (WIDTH, HEIGHT), (N, 2)),
        np.exp(rng.uniform(-2.2, -0.7, (N, 2))),
        rng.uniform(0, np.pi, N),
        rng.uniform(0, 1, (N, n_channels)).astype(np.float32),
    )


def task_of(
    gaussians: GaussianSet, counts: tuple[int, ...] = (N,), importance: np.ndarray | None = None, seed: int = 2
) -> QatTask:
    rng = np.random.default_rng(seed)
    channels = gaussians.n_channels
    grid = Grid(HEIGHT, WIDTH, np.full(channels, 0.5, np.float32))
    target = rng.uniform(0, 1, (HEIGHT, WIDTH, channels)).astype(np.float32)
    gains = tuple(
        tuple(0.8 if level + 1 < len(counts) else 1.0 for _ in range(level + 1)) for level in range(len(counts))
    )
    groups = (ChannelGroup("color", n_channels=channels),)
    engine = CpuRasterizer(2)
    return QatTask(target, grid, groups, FAST, LodTable(counts, gains), engine, 0, importance=importance)


def weights_of(gaussians: GaussianSet, grid: Grid) -> Float64Array:
    """(H W, n) blending weights: what the oracle renders of unit features, one Gaussian after the other."""
    oracle, plain = ReferenceRasterizer(), replace(grid, background=np.zeros(1, np.float32))
    columns = []
    for i in range(len(gaussians)):
        unit = np.zeros((len(gaussians), 1), np.float32)
        unit[i] = 1
        one = replace(gaussians, features=unit)
        columns.append(oracle.forward(one, plain, oracle.bin(one, plain), Window.whole(plain)).ravel())
    return np.stack(columns, axis=1).astype(np.float64)


def means_of(rows: Float64Array) -> Float64Array:
    """(blocks, n) means of (H W, n) over blocks of 4x4 px, times the root of MEAN_WEIGHT for each pixel of a block."""
    planes = rows.reshape(HEIGHT, WIDTH, -1)
    edges = np.arange(0, HEIGHT, 4), np.arange(0, WIDTH, 4)
    sums = np.add.reduceat(np.add.reduceat(planes, edges[0], axis=0), edges[1], axis=1)
    counts = np.outer(np.diff(edges[0], append=HEIGHT), np.diff(edges[1], append=WIDTH))
    return np.asarray((sums / np.sqrt(counts / MEAN_WEIGHT)[:, :, None]).reshape(-1, rows.shape[1]), np.float64)


@pytest.mark.parametrize("kind", ["none", "pixels", "channels"])
def test_solved_features_are_those_of_dense_least_squares(kind: str) -> None:
    gaussians = made()
    rng = np.random.default_rng(3)
    shape = {"none": None, "pixels": (HEIGHT, WIDTH), "channels": (3, HEIGHT, WIDTH)}[kind]
    importance = None if shape is None else rng.uniform(0.1, 1, shape).astype(np.float32)
    task = task_of(gaussians, importance=importance)
    blend = weights_of(gaussians, task.grid)
    covered = blend.sum(axis=1) > 0.5
    for channel, solved in enumerate(features_of(task, gaussians).solved().features.T):
        counts = np.ones(HEIGHT * WIDTH)
        if importance is not None:
            counts = (importance if importance.ndim == 2 else importance[channel]).ravel().astype(np.float64)
        root = np.sqrt(np.where(covered, counts, 0.0))[:, None]
        target = task.target[:, :, channel].reshape(-1, 1).astype(np.float64)
        mean_root = np.sqrt(means_of(np.where(covered, counts, 0.0)[:, None]) / means_of(np.ones((len(counts), 1))))
        rows, values = (
            np.concatenate([root * part, mean_root * means_of(np.where(covered[:, None], part, 0.0))])
            for part in (blend, target)
        )
        damped = np.concatenate([rows, np.sqrt(1e-3) * np.eye(N)])
        start = gaussians.features[:, channel].astype(np.float64)
        expected = np.linalg.lstsq(damped, np.concatenate([values[:, 0], np.sqrt(1e-3) * start]), rcond=None)[0]
        np.testing.assert_allclose(solved, expected, atol=0.03)  # of 40 iterations; what is left costs no error
        least, reached = (np.square(rows @ f[:, None] - values).sum() for f in (expected, solved))
        assert reached <= 1.0001 * least


def test_the_error_of_the_form_is_that_of_the_picture() -> None:
    gaussians = made()
    task = task_of(gaussians)
    engine = CpuRasterizer(1)
    index = engine.bin(gaussians, task.grid)
    image = engine.forward(gaussians, task.grid, index, Window.whole(task.grid))
    covered = np.repeat(np.repeat(np.diff(index.offsets).reshape(3, 4) > 0, 16, 0), 16, 1)[:HEIGHT, :WIDTH]
    error = np.where(covered[:, :, None], image - task.target, 0.0).reshape(HEIGHT * WIDTH, -1).astype(np.float64)
    expected = np.square(error).sum() + np.square(means_of(error)).sum()
    form = features_of(task, gaussians)
    assert form.system.error(gaussians.features.astype(np.float64)) == pytest.approx(expected, rel=1e-4)


def test_coarser_levels_of_detail_count_too() -> None:
    gaussians = made()
    alone, both = (features_of(task_of(gaussians, counts), gaussians).solved() for counts in ((N,), (N // 4, N)))
    assert np.abs(alone.features[: N // 4] - both.features[: N // 4]).max() > 1e-3

    def coarse_error(candidate: GaussianSet) -> float:
        task = task_of(gaussians, (N // 4, N))
        shown = replace(candidate[: N // 4], inv_scales=0.8 * candidate.inv_scales[: N // 4])
        engine = CpuRasterizer(1)
        image = engine.forward(shown, task.grid, engine.bin(shown, task.grid), Window.whole(task.grid))
        return float(np.square(image - task.target).mean())

    assert coarse_error(both) < coarse_error(alone)


def rounding(slope: int) -> tuple[Features, GaussianSet, GaussianSet, GaussianSet, Float64Array]:
    """The form, the solved features, those rounded together, those rounded each to its nearest, and the steps."""
    gaussians = made()
    task = task_of(gaussians)
    generations = generations_of((N,))
    lattice = with_slope(make_lattice(Steps(), np.eye(3), task.grid, (N,)), slope, gaussians.inv_scales)
    shapes = snap(gaussians, lattice, task.grid, generations)
    form = features_of(task, replace(shapes, features=gaussians.features))
    solved = form.solved()
    together = form.rounded(solved, lattice, 1e9)
    apart = snap(solved, lattice, task.grid, generations)
    codes = quantize(solved, lattice, task.grid, generations)
    return form, solved, together, apart, feature_steps_of(lattice, codes.narrow, codes.elongation)


@pytest.mark.parametrize("slope", [0, 20, 32])
def test_features_rounded_together_are_better_than_each_to_its_nearest(slope: int) -> None:
    form, solved, together, apart, steps = rounding(slope)
    least, chosen, nearest = (
        form.system.error(candidate.features.astype(np.float64)) for candidate in (solved, together, apart)
    )
    assert least < chosen < nearest
    integers = together.features / steps
    np.testing.assert_allclose(integers, np.round(integers), atol=1e-3)


def test_a_slope_gives_wide_gaussians_finer_steps_and_keeps_their_mean() -> None:
    steps = {slope: rounding(slope)[4][:, 0] for slope in (0, 32)}
    assert np.ptp(steps[0]) == 0
    area = 1 / made().inv_scales.prod(axis=1)
    assert np.corrcoef(np.log(area), np.log(steps[32]))[0, 1] < -0.99
    assert np.log2(steps[32]).mean() == pytest.approx(np.log2(steps[0]).mean(), abs=0.1)


def bits_of(codes: np.ndarray) -> float:
    """Bits of the integers of each channel and of a table for them."""
    tables = [fit_table(column, VALUE_SPLIT) for column in codes.T]
    return sum(
        coded_bits(column, table, VALUE_SPLIT) + table.bits for column, table in zip(codes.T, tables, strict=True)
    )


def test_a_price_of_bits_takes_fewer_of_them() -> None:
    gaussians = made()
    task = task_of(gaussians)
    lattice = make_lattice(Steps(feature=0.01), np.eye(3), task.grid, (N,))
    shapes = replace(snap(gaussians, lattice, task.grid, generations_of((N,))), features=gaussians.features)
    form = features_of(task, shapes)
    solved = form.solved()
    free, priced = (
        bits_of(np.round(form.rounded(solved, lattice, n_bits).features / 0.01).astype(np.int64))
        for n_bits in (1e9, 300.0)
    )
    assert priced < free


def test_the_result_does_not_depend_on_the_threads() -> None:
    gaussians = made()
    task = task_of(gaussians)
    one, three = (
        features_of(replace(task, rasterizer=CpuRasterizer(threads)), gaussians).solved() for threads in (1, 3)
    )
    np.testing.assert_array_equal(one.features, three.features)
