"""Time budgets: the recipe that suits the steps that there is time for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gscodec.encoding import whole
from gscodec.encoding.api import encode
from gscodec.encoding.whole import HURRIED_STEPS, MOST_STEPS, recipe_for
from gscodec.fit.loop import Fit, StepReport, fit
from gscodec.fit.presets import PRESETS
from gscodec.model.gaussians import Float32Array


@pytest.fixture
def picture() -> Float32Array:
    y, x = np.mgrid[0:96, 0:128].astype(np.float32)
    return np.stack([x / 127, y / 95, ((x + y) % 16 < 8).astype(np.float32)], axis=2)


def test_few_steps_take_the_constants_of_a_faster_preset() -> None:
    best, fast = PRESETS["best"], PRESETS["fast"]
    assert recipe_for(best, MOST_STEPS["draft"]) == "draft"
    assert recipe_for(best, MOST_STEPS["draft"] + 1) == recipe_for(best, MOST_STEPS["fast"]) == "fast"
    assert recipe_for(best, MOST_STEPS["fast"] + 1) == "best"
    assert recipe_for(fast, 10) == "draft"
    assert recipe_for(fast, 300) == "fast"


def test_the_published_recipe_and_the_fastest_stay_what_they_are() -> None:
    for name in ("paper", "draft"):
        assert recipe_for(PRESETS[name], 10) == name


def test_a_short_time_ends_in_a_picture_all_the_same(
    picture: Float32Array, ticking_clock: Callable[[float], None]
) -> None:
    ticking_clock(0.01)
    hurried = encode(picture, size=2600, preset="best", time_budget=0.02)
    unfinished = encode(picture, size=2600, preset="best", steps=HURRIED_STEPS)
    assert hurried.steps >= HURRIED_STEPS
    assert hurried.psnr > unfinished.psnr + 1.0


def test_steps_that_are_asked_for_keep_their_preset(
    picture: Float32Array, ticking_clock: Callable[[float], None]
) -> None:
    ticking_clock(0.01)
    plain = encode(picture, size=2600, preset="balanced", steps=60)
    assert encode(picture, size=2600, preset="balanced", steps=60, time_budget=1e4).data == plain.data


def test_an_engine_that_reports_once_per_batch_of_steps_has_a_speed_too(
    picture: Float32Array, ticking_clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_batches(*args: Any, on_step: Callable[[StepReport], None], **options: Any) -> Fit:
        reports: list[StepReport] = []
        result = fit(*args, on_step=reports.append, **options)
        on_step(reports[-1])
        return result

    ticking_clock(0.01)
    monkeypatch.setattr(whole, "fit_planes", in_batches)
    assert encode(picture, size=2600, preset="best", time_budget=0.02).steps >= HURRIED_STEPS
