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


def all_steps(plan: FitPlan) -> list[Step]:
    return [step for segment in plan.segments for step in plan.steps(segment)]


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


def test_coarser_levels_take_turns_and_learn_their_gains() -> None:
    plan = plan_of("balanced", 512, 5, 4000)
    steps = all_steps(plan)
    coarse = [step for step in steps if not step.shows_all]
    assert len(steps) - len(coarse) == 4000, "every step updates all Gaussians"
    for step in coarse:
        assert step.n_shown == plan.counts[step.level]
        assert plan.learns_gains(step)
        assert not step.may_be_best
    whole = [step for step in steps if step.n_shown == 512]
    assert not any(plan.learns_gains(step) for step in whole)
    last = [step for step in steps[-1000:] if step.factor < 0.5]
    passes = [step.level for step in last if not step.shows_all]
    assert len(passes) == pytest.approx((len(last) - len(passes)) / plan.preset.coarse_every, abs=1)
    parts = [passes.count(level) / len(passes) for level in range(4)]
    np.testing.assert_allclose(parts, [1 / 8, 1 / 8, 1 / 4, 1 / 2], atol=0.02)


def test_every_coarser_level_is_seen_soon_after_another_has_become_the_finest() -> None:
    plan = plan_of("balanced", 512, 5, 4000)
    finest = 0
    for segment in plan.segments:
        steps = plan.steps(segment)
        level = steps[-1].level
        if level > finest:
            passes = [step.level for step in steps if not step.shows_all]
            assert passes[:level] == [*range(level - 1, -1, -1)]
            assert [step.shows_all for step in steps[: 2 * level]] == [False, True] * level
        finest = level
    assert finest == 4


def test_a_coarser_level_sees_every_pixel_in_turn_but_not_all_at_once() -> None:
    plan = FitPlan(PRESETS["balanced"], (100, 120, 3), lod_counts(256, 3), 2000, takes_subsets=True)
    steps = [step for step in all_steps(plan)[-500:] if not step.shows_all and step.level == 1]
    assert {step.subset.step for step in steps} == {2}
    assert {(step.subset.x, step.subset.y) for step in steps} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    needs_all = FitPlan(PRESETS["balanced"], (100, 120, 3), lod_counts(256, 3), 2000)
    assert {step.subset.step for step in all_steps(needs_all)} == {1}


def test_only_the_whole_set_late_in_the_fit_may_be_best() -> None:
    plan = plan_of("fast", 100, 3, 50)
    steps = all_steps(plan)
    for number, step in enumerate(step for step in steps if step.shows_all):
        assert step.may_be_best == (step.n_shown == 100 and number >= BEST_FROM * 50)
    assert not any(step.may_be_best for step in steps if not step.shows_all)


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
    for step in plan.steps(last):
        assert step.subset.step == stride
        assert not (step.may_be_best and stride > 1)


def test_all_pixels_are_seen_by_engines_and_losses_that_need_them() -> None:
    assert FitPlan(PRESETS["balanced"], (400, 400, 3), (10,), 30).stride(10) == 1
    assert FitPlan(PRESETS["paper"], (400, 400, 3), (10,), 30, takes_subsets=True).stride(10) == 1


def test_a_preset_takes_more_steps_where_each_sees_less() -> None:
    fast, cpu = PRESETS["fast"], CpuRasterizer(threads=1)
    assert plan_for((400, 400, 3), 360, fast, cpu, 1, None).n_steps == 525
    assert plan_for((400, 400, 3), 3000, fast, cpu, 1, None).n_steps == 350
    assert plan_for((400, 400, 3), 360, fast, ReferenceRasterizer(), 1, None).n_steps == 350, "it takes all pixels"
    assert plan_for((400, 400, 3), 360, fast, cpu, 1, 50).n_steps == 50, "asked for"
