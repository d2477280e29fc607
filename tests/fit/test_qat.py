import math

import numpy as np
import pytest

from gscodec.fit.lattices import bits_of, snap
from gscodec.fit.loop import Fit, fit
from gscodec.fit.presets import PRESETS
from gscodec.fit.qat import COARSEST_FEATURES, MOST_PRUNED, FineTuned, _affordable, _least, fine_tune
from gscodec.fit.qat_task import QatTask
from gscodec.format.limits import generations_of
from gscodec.image.arrays import from_array
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid
from gscodec.profiles.lattice import Lattice
from gscodec.render.cpu import CpuRasterizer

ENGINE = CpuRasterizer(1)
PAGE = 512


@pytest.fixture(scope="module")
def groups(picture: Float32Array) -> tuple[ChannelGroup, ...]:
    return from_array(picture).groups


@pytest.fixture(scope="module")
def finished(picture: Float32Array, grid: Grid) -> Fit:
    return fit(picture, 120, PRESETS["fast"], rasterizer=ENGINE, grid=grid, lods=3, steps=120)


@pytest.fixture(scope="module")
def task(picture: Float32Array, grid: Grid, finished: Fit, groups: tuple[ChannelGroup, ...]) -> QatTask:
    return QatTask(picture, grid, groups, PRESETS["fast"], finished.lods, ENGINE, seed=3)


def size_of(task: QatTask, gaussians: GaussianSet, lattice: Lattice) -> int:
    counts = task.lods.ending_at(len(gaussians)).counts
    return math.ceil(bits_of(gaussians, lattice, task.grid, counts, PAGE) / 8)


def tuned_at(task: QatTask, finished: Fit, budget: int | None) -> FineTuned:
    return fine_tune(task, finished.gaussians, 30, size_of=lambda g, on: size_of(task, g, on), budget=budget)


def same(first: GaussianSet, second: GaussianSet) -> bool:
    return all(np.array_equal(getattr(first, k), getattr(second, k)) for k in first.__dataclass_fields__)


@pytest.mark.parametrize("bits", [28, 40, 64])
def test_a_budget_is_used_up_and_never_exceeded(task: QatTask, finished: Fit, bits: int) -> None:
    budget = bits * 120 // 8
    result = tuned_at(task, finished, budget)
    assert 0.95 * budget < size_of(task, result.gaussians, result.lattice) <= budget


@pytest.mark.parametrize("budget", [None, 600])
def test_fine_tuned_values_lie_on_the_lattice(task: QatTask, finished: Fit, budget: int | None) -> None:
    result = tuned_at(task, finished, budget)
    generations = generations_of(task.lods.ending_at(len(result.gaussians)).counts)
    again = snap(result.gaussians, result.lattice, task.grid, generations)
    np.testing.assert_allclose(again.means, result.gaussians.means)
    np.testing.assert_allclose(again.inv_scales, result.gaussians.inv_scales)
    np.testing.assert_allclose(again.features, result.gaussians.features, atol=1e-6)


def test_the_same_task_gives_the_same_gaussians(task: QatTask, finished: Fit) -> None:
    assert same(tuned_at(task, finished, 600).gaussians, tuned_at(task, finished, 600).gaussians)


def test_where_the_last_values_cost_more_than_thought_the_least_needed_of_the_finest_go(
    task: QatTask, finished: Fit
) -> None:
    """Here every Gaussian takes ten bytes on any lattice, so that steps alone meet no budget."""
    tuned = [
        fine_tune(task, finished.gaussians, 30, size_of=lambda g, _: 10 * len(g), budget=budget).gaussians
        for budget in (1175, 1199, 1200)
    ]
    assert [len(part) for part in tuned] == [117, 119, 120]
    fewer, more = (
        _affordable(task, tuned[-1], budget, lambda part: 10 * len(part), MOST_PRUNED) for budget in (1175, 1199)
    )
    assert fewer is not None
    assert more is not None
    assert set(range(task.lods.counts[-2])) < set(fewer.tolist()) < set(more.tolist())
    assert (len(fewer), len(more)) == (117, 119)


def test_more_than_a_twentieth_goes_only_where_coarser_features_do_not_suffice(task: QatTask, finished: Fit) -> None:
    fewer = fine_tune(task, finished.gaussians, 30, size_of=lambda g, _: 10 * len(g), budget=700)
    assert len(fewer.gaussians) == 70

    def size_with_features(gaussians: GaussianSet, lattice: Lattice) -> int:
        return int(len(gaussians) * (5 + 0.2 / lattice.feature_steps.max()))

    coarser = fine_tune(task, finished.gaussians, 30, size_of=size_with_features, budget=700)
    assert len(coarser.gaussians) == 120
    assert size_with_features(coarser.gaussians, coarser.lattice) <= 700
    assert coarser.lattice.feature_steps.max() <= COARSEST_FEATURES


@pytest.mark.parametrize("guess", [0.005, 0.02])
@pytest.mark.parametrize("steepness", [100.0, 3000.0])
@pytest.mark.parametrize("jump", [0, 200])
def test_steps_that_fit_are_found_with_few_looks(steepness: float, jump: int, guess: float) -> None:
    """Sizes fall with logarithms, here also by a jump, as where a step of scales is a whole number."""
    looks: list[float] = []

    def size_at(value: float) -> int:
        looks.append(value)
        return round(20000 - steepness * math.log(value)) + (jump if value < 0.04 else 0)

    for wanted in (3e-4, 0.0399, 0.0401, 1.7):
        looks.clear()
        budget = size_at(wanted)
        found = _least(size_at, budget, 1e-4, 3.0, guess)
        assert 0.998 * budget - jump <= size_at(found) <= budget
        assert len(looks) - 2 <= (12 if jump else 6), "two are of this test"
        assert found >= 0.98 * wanted
    assert _least(size_at, 10, 1e-4, 3.0, 0.02) == 3.0
    assert _least(size_at, 10**6, 1e-4, 3.0, 0.02) < 1.01e-4
