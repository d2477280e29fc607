from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gscodec.fit.presets import PRESETS
from gscodec.fit.schedule import growth_schedule, lod_counts, rate_factor, step_shown, subset_of
from gscodec.model.rendering import Subset


@given(st.integers(1, 10**6), st.integers(1, 16))
def test_levels_halve_and_end_with_the_whole_set(n: int, lods: int) -> None:
    counts = lod_counts(n, lods)
    assert counts[-1] == n
    assert len(counts) <= lods
    assert all(0 < a < b for a, b in pairwise(counts))
    assert all(abs(b - 2 * a) <= 1 for a, b in pairwise(counts))


@given(st.integers(1, 10**5), st.sampled_from(sorted(PRESETS)), st.integers(1, 5000))
def test_growth_never_shrinks_and_completes_in_time(n: int, name: str, steps: int) -> None:
    schedule = growth_schedule(PRESETS[name], steps, n)
    counts = [schedule[step] for step in sorted(schedule)]
    assert min(schedule) == 0
    assert counts == sorted(counts)
    assert counts[-1] == n
    assert max(schedule) <= steps * PRESETS[name].growth_until


def test_the_paper_grows_by_eighths_every_500_steps() -> None:
    paper = PRESETS["paper"]
    assert growth_schedule(paper, paper.steps, 800) == {0: 400, 500: 500, 1000: 600, 1500: 700, 2000: 800}


def test_the_paper_s_constants_are_those_of_its_section_4_1() -> None:
    paper = PRESETS["paper"]
    assert (paper.steps, paper.top_k, paper.uniform_share) == (5000, 10, 0.3)
    assert (paper.rate_mean, paper.rate_feature, paper.rate_scale, paper.rate_rotation) == (5e-4, 5e-3, 2e-3, 2e-3)
    assert (paper.loss.l1, paper.loss.l2, paper.loss.ssim) == (1.0, 0.0, 0.1)
    assert (paper.start_sigma, paper.sigma_unit, paper.scale_parameter) == (5.0, "px", "inverse")
    assert {rate_factor(paper, k / 100) for k in range(100)} == {1.0}


@pytest.mark.parametrize("name", ["fast", "balanced", "best"])
def test_rates_fall_smoothly_to_their_end(name: str) -> None:
    preset = PRESETS[name]
    factors = [rate_factor(preset, k / 1000) for k in range(1001)]
    assert factors[0] == 1.0
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(preset.decay_to)


def test_the_level_of_a_partial_set_is_the_one_it_is_filling() -> None:
    assert [step_shown((5, 10, 20), n) for n in (1, 5, 6, 10, 11, 20)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_subsets_cover_every_pixel_once_a_round(stride: int) -> None:
    round_ = [subset_of(step, stride) for step in range(7 * stride**2, 8 * stride**2)]
    assert {(s.x, s.y) for s in round_} == {(x, y) for x in range(stride) for y in range(stride)}
    assert subset_of(0, stride) == subset_of(stride**2, stride) == Subset(stride)


def test_subsets_spread_before_they_fill() -> None:
    """The first four of a round of sixteen are one in every quarter of the cell."""
    first = [subset_of(step, 4) for step in range(4)]
    assert {(s.x // 2, s.y // 2) for s in first} == {(0, 0), (1, 0), (0, 1), (1, 1)}
