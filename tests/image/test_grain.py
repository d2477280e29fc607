"""Grain is the noise that spec/igs.md states: its hash, its strength, and nothing beyond the range of the samples."""

import re
from pathlib import Path

import numpy as np
import pytest
from grain_oracle import grained as expected_of
from grain_oracle import hash_noise

from gscodec.image.grain import GrainGrid, add_grain, add_grain_at
from gscodec.model.channels import AlphaMode, ChannelGroup, Role
from gscodec.model.grain import Grain

SPEC = Path(__file__).parents[2] / "spec" / "igs.md"
RGB = (ChannelGroup("color", n_channels=3),)


def flat(level: float, height: int = 256, width: int = 256, channels: int = 3) -> np.ndarray:
    return np.full((height, width, channels), level, np.float32)


def grained(
    grain: Grain, values: np.ndarray, grid: GrainGrid | None = None, groups: tuple[ChannelGroup, ...] = RGB
) -> np.ndarray:
    result = values.copy()
    add_grain(result, [grain], groups, grid or GrainGrid(), 0)
    return result


def test_the_hash_is_that_of_the_specification() -> None:
    text = SPEC.read_text(encoding="utf-8")
    stated = re.findall(r"hash\((-?\d+), (-?\d+), (\d+)\) is\s+0x([0-9A-F]{8})", text)
    assert len(stated) == 5
    for x, y, k, word in stated:
        expected = sum(bytes.fromhex(word)) - 510
        assert hash_noise(np.array([int(x)]), np.array([int(y)]), int(k)) == expected, (x, y, k)


@pytest.mark.parametrize("correlation", [0, 4, 8, 16])
@pytest.mark.parametrize("independence", [0, 100, 255])
def test_strength_and_correlation_are_those_asked_for(correlation: int, independence: int) -> None:
    noise = grained(Grain(0, correlation, independence, (40,) * 8), flat(0.5)) - 0.5
    assert noise.std() == pytest.approx(40 / 1024, rel=0.04)
    assert abs(noise.mean()) < 1.2e-3  # three standard deviations of the mean of correlated noise
    across = np.mean(noise[:, 1:] * noise[:, :-1]) / np.mean(noise**2)
    assert across == pytest.approx(2 * 16 * correlation / (256 + 2 * correlation**2), abs=0.03)
    between = np.mean(noise[..., 0] * noise[..., 2]) / np.mean(noise**2)
    assert between == pytest.approx(1 - independence / 255, abs=0.03)


def test_strength_follows_luma() -> None:
    grain = Grain(0, 0, 255, (0, 10, 20, 30, 40, 50, 60, 70))
    for level in (0.2, 0.45, 0.8):
        assert (grained(grain, flat(level)) - level).std() == pytest.approx(70 * level / 1024, rel=0.04)


@pytest.mark.parametrize("correlation", [0, 4, 8])
@pytest.mark.parametrize("step", [2, 3, 4, 8])
def test_a_reduced_picture_has_the_noise_that_averages_leave(correlation: int, step: int) -> None:
    grain = Grain(0, correlation, 80, (60,) * 8)
    side = 48 * step
    whole = grained(grain, flat(0.5, side, side)) - 0.5
    averages = whole.reshape(48, step, 48, step, 3).mean(axis=(1, 3))
    reduced = grained(grain, flat(0.5, 48, 48), GrainGrid(0, 0, float(step), float(step))) - 0.5
    assert reduced.std() == pytest.approx(averages.std(), rel=0.2)


@pytest.mark.parametrize("level", [0.0, 0.01, 0.03, 0.99, 1.0])
def test_noise_stays_within_the_range_and_leaves_the_mean(level: float) -> None:
    values = grained(Grain(0, 2, 200, (50,) * 8), flat(level))
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.mean() == pytest.approx(level, abs=3e-4)
    beyond = flat(1.2)
    assert np.array_equal(grained(Grain(0, 2, 200, (50,) * 8), beyond), beyond)


def test_parts_have_the_noise_of_the_whole() -> None:
    grain, draw = Grain(0, 5, 90, (30, 60) * 4), np.random.default_rng(1)
    values = draw.random((70, 90, 3)).astype(np.float32)
    whole = grained(grain, values)
    part = values[13:50, 20:77].copy()
    add_grain(part, [grain], RGB, GrainGrid(20, 3), 10)
    assert np.array_equal(part, whole[13:50, 20:77])
    points = draw.uniform(0, [90, 70], (500, 2))
    columns, rows = points.astype(int).T
    there = values[rows, columns]
    add_grain_at(there, points, [grain], RGB)
    assert np.array_equal(there, whole[rows, columns])


@pytest.mark.parametrize("side", [0, 5, 16])
@pytest.mark.parametrize("independence", [0, 90, 255])
@pytest.mark.parametrize("steps", [(1.0, 1.0), (0.4, 1.0), (3.0, 1.5)])
def test_grain_is_the_oracle_s(side: int, independence: int, steps: tuple[float, float]) -> None:
    groups = (ChannelGroup("data", Role.DATA, 1), ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT))
    draw = np.random.default_rng(side)
    grain = Grain(1, side, independence, (0, 255, 30, 90, 10, 160, 40, 80))
    values = draw.uniform(-0.1, 1.1, (70, 45, 5)).astype(np.float32)
    grid = GrainGrid(-3, 2**32 - 30, *steps)
    found = grained(grain, values, grid, groups)
    rows, columns = np.mgrid[:70, :45].reshape(2, -1)
    expected = expected_of(
        values.reshape(-1, 5).astype(float), columns + grid.column, rows + grid.row, grain, [1, 2, 3], steps
    )
    np.testing.assert_allclose(found.reshape(-1, 5), expected, atol=2e-6)
    strided = np.repeat(values, 2, axis=1)[:, ::2]
    add_grain(strided, [grain], groups, grid, 0)
    assert np.array_equal(strided, found)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_matter(threads: int) -> None:
    values = flat(0.4, 130, 33)
    result = values.copy()
    add_grain(result, [Grain(0, 3, 90, (60,) * 8)], RGB, GrainGrid(), 0, threads)
    assert np.array_equal(result, grained(Grain(0, 3, 90, (60,) * 8), values))


def test_regions_of_other_sizes_lie_on_the_grid_of_the_whole() -> None:
    assert GrainGrid.of((0, 0, 90, 70), (140, 180)) == GrainGrid(0, 0, 0.5, 0.5)
    assert GrainGrid.of((20, 10, 30, 40), (80, 60)) == GrainGrid(40, 20, 0.5, 0.5)
    assert GrainGrid.of((20, 10, 30, 40), (20, 15)) == GrainGrid(10, 5, 2.0, 2.0)


def test_alpha_and_other_groups_stay() -> None:
    groups = (ChannelGroup("a", n_channels=3), ChannelGroup("b", n_channels=2, alpha=AlphaMode.STRAIGHT))
    values = flat(0.5, channels=5)
    changed = grained(Grain(1, 0, 0, (30,) * 8), values, groups=groups) != values
    assert changed[..., 3].mean() > 0.9
    assert not changed[..., [0, 1, 2, 4]].any()
