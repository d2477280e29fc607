import numpy as np
import pytest

from gscodec.fit.loop import plan_of as plan_for
from gscodec.fit.plan import BEST_FROM, FitPlan, Step
from gscodec.fit.presets import PRESETS
from gscodec.fit.schedule import lod_counts
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.reference import ReferenceRasterizer


def plan_of(name: str, n_gaussians: int, lods: int, steps: int) -> FitPlan:
    return FitPlan(PRESETS[name], (40, 60, 3), lod_counts(n_gaussians, lods), steps)


def all_steps(plan: FitPlan, seed: int = 0) -> list[Step]:
    rng = np.random.default_rng(seed)
    return [step for segment in plan.segments for step in plan.steps(segment, rng)]


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize(("n_gaussians", "steps"), [(1, 1), (5, 2), (300, 7), (64, 400)])
def test_segments_cover_every_step_and_end_with_the_whole_set(name: str, n_gaussians: int, steps: int) -> None:
    segments = list(plan_of(name, n_gaussians, 5, steps).segments)
    assert segments[0].first == 0
    assert [s.first for s in segments[1:]] == [s.last for s in segments[:-1]]
    assert segments[-1].last == steps
    present = [s.n_gaussians for s in segments]
    assert present == sorted(present)
    assert present[0] >= 1
    assert present[-1] == n_gaussians


def test_a_fit_without_joint_levels_shows_all_at_every_step() -> None:
    plan = plan_of("paper", 80, 4, 100)
    steps = all_steps(plan)
    assert len(steps) == 100
    assert all(step.shows_all and step.factor == 1.0 for step in steps)
    assert not any(plan.learns_gains(step) for step in steps)


def test_coarser_levels_get_their_share_and_their_gains() -> None:
    plan = plan_of("balanced", 512, 5, 4000)
    steps = all_steps(plan)
    coarse = [step for step in steps if not step.shows_all]
    assert 0.06 < len(coarse) / len(steps) < 0.09, "prefix_share is 0.08, level 0 has no coarser one"
    for step in coarse:
        assert step.n_shown == plan.counts[step.level]
        assert plan.learns_gains(step)
        assert not step.may_be_best
    whole = [step for step in steps if step.n_shown == 512]
    assert not any(plan.learns_gains(step) for step in whole)


def test_only_the_whole_set_late_in_the_fit_may_be_best() -> None:
    plan = plan_of("fast", 100, 3, 50)
    steps = all_steps(plan)
    for number, step in enumerate(steps):
        assert step.may_be_best == (step.n_shown == 100 and number >= BEST_FROM * 50)


def test_generations_change_at_the_counts() -> None:
    plan = plan_of("fast", 16, 3, 10)
    assert plan.counts == (4, 8, 16)
    assert plan.generations(10).tolist() == [0] * 4 + [1] * 4 + [2] * 2
    assert plan.generations(0).tolist() == []


def test_few_gaussians_may_grow_wide_enough_to_meet() -> None:
    assert plan_of("fast", 4, 1, 10).max_sigma_px == 64.0
    few = FitPlan(PRESETS["fast"], (2000, 3000, 3), (6,), 10)
    assert few.max_sigma_px == pytest.approx(2000.0)
    assert few.scale_range == pytest.approx((-np.log(2000.0), -np.log(0.3)))


@pytest.mark.parametrize(
    ("n_gaussians", "shape", "stride"),
    [
        (10, (400, 400, 3), 4),
        (360, (400, 400, 3), 2),
        (3000, (400, 400, 3), 1),
        (1, (40, 400, 3), 2),
        (1, (9, 9, 3), 1),
    ],
)
def test_steps_see_enough_pixels_a_gaussian(n_gaussians: int, shape: tuple[int, int, int], stride: int) -> None:
    plan = FitPlan(PRESETS["balanced"], shape, (n_gaussians,), 30, takes_subsets=True)
    assert plan.stride(n_gaussians) == stride
    *_, last = plan.segments
    for step in plan.steps(last, np.random.default_rng(0)):
        assert step.subset.step == stride
        assert not (step.may_be_best and stride > 1)


def test_all_pixels_are_seen_by_engines_and_losses_that_need_them() -> None:
    assert FitPlan(PRESETS["balanced"], (400, 400, 3), (10,), 30).stride(10) == 1
    assert FitPlan(PRESETS["paper"], (400, 400, 3), (10,), 30, takes_subsets=True).stride(10) == 1


def test_a_preset_takes_more_steps_where_each_sees_less() -> None:
    fast, cpu = PRESETS["fast"], CpuRasterizer(threads=1)
    assert plan_for((400, 400, 3), 360, fast, cpu, 1, None).n_steps == 750
    assert plan_for((400, 400, 3), 3000, fast, cpu, 1, None).n_steps == 500
    assert plan_for((400, 400, 3), 360, fast, ReferenceRasterizer(), 1, None).n_steps == 500, "it takes all pixels"
    assert plan_for((400, 400, 3), 360, fast, cpu, 1, 50).n_steps == 50, "asked for"
