"""A target PSNR: met closely from above in a fit or two, or called out of reach before the fit."""

import math
from typing import Any

import numpy as np
import pytest
from small_pictures import draw_picture

from gscodec.encoding import to_psnr
from gscodec.encoding.api import encode
from gscodec.encoding.to_psnr import MORE_FITS, MOST_FITS, WITHIN_DB, next_count
from gscodec.errors import TargetWarning
from gscodec.fit.qat import EXCESS_DB, just_enough
from gscodec.profiles.lattice import Lattice

QUICK: dict[str, Any] = {"preset": "fast", "steps": 100, "threads": 1}
Y, X = np.mgrid[0:96, 0:128]
WAVES = 40 * np.sin(X / 2.5 + np.sin(Y / 11)) * np.sin(Y / 3.1)
PICTURE = (0.6 * draw_picture(96, 128) + 50 + WAVES[..., None]).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("wanted", [26.0, 32.0])
@pytest.mark.parametrize("profile", ["coded", "packed", "f16", None])
def test_targets_are_met_closely_in_few_fits(
    monkeypatch: pytest.MonkeyPatch, profile: str | None, wanted: float
) -> None:
    fits: list[int] = []
    fit = vars(to_psnr)["fit"]

    def counted(*arguments: Any, **options: Any) -> Any:
        fits.append(arguments[1])
        return fit(*arguments, **options)

    monkeypatch.setattr(to_psnr, "fit", counted)
    result = encode(PICTURE, psnr=wanted, profile=profile, **QUICK)
    assert result.target_met
    assert wanted <= result.psnr <= wanted + (WITHIN_DB if profile == "coded" else 1.0)
    assert 1 <= len(fits) <= MOST_FITS + MORE_FITS


def test_higher_targets_take_more_bytes() -> None:
    sizes = [len(encode(PICTURE, psnr=wanted, **QUICK).data) for wanted in (22.0, 27.0, 32.0)]
    assert sizes == sorted(sizes)


def test_pictures_in_blocks_meet_a_target() -> None:
    result = encode(PICTURE, psnr=26.0, block=64, **QUICK)
    assert result.target_met
    assert 26.0 <= result.psnr <= 28.5


def test_a_target_out_of_reach_is_said_before_the_fit() -> None:
    noise = np.random.default_rng(7).integers(0, 256, (80, 80, 3), np.uint8)
    with pytest.warns(TargetWarning, match=r"90 dB are out of reach: about \d+ dB are expected") as caught:
        result = encode(noise, psnr=90.0, preset="fast", steps=8, threads=1)
    assert len(caught) == 1
    assert not result.target_met
    assert "the best file found has" in result.note


def test_no_warning_where_the_target_is_within_reach(recwarn: pytest.WarningsRecorder) -> None:
    assert encode(PICTURE, psnr=30.0, **QUICK).target_met
    assert not [one for one in recwarn if issubclass(one.category, TargetWarning)]


def test_the_next_count_goes_by_the_slope_of_the_fit_and_then_by_two_fits() -> None:
    assert next_count([(1000, 30.0, 3.0)], 33.0, 10**6) == 2000
    assert next_count([(1000, 30.0, 3.0)], 27.0, 10**6) == 500
    assert next_count([(1000, 30.0, 3.0), (2000, 32.0, 3.0)], 33.0, 10**6) == round(2000 * math.sqrt(2))
    assert next_count([(1000, 30.0, 3.0), (1010, 29.0, 3.0)], 33.0, 10**6) == 2000  # too near each other
    assert next_count([(1000, 30.0, 3.0)], 60.0, 3000) == 3000
    assert next_count([(1, 30.0, 3.0)], 10.0, 3000) == 1


@pytest.mark.parametrize("at_one", [-8.0, -1.0, 0.05, 3.0, 12.0])
def test_feature_steps_are_the_coarsest_that_are_enough(at_one: float) -> None:
    lattice = Lattice(4, 100, (1, 2), (3,), np.full(3, 0.04, np.float32), np.eye(3))
    tried: list[float] = []

    def excess(on: Lattice) -> float:
        tried.append(float(on.feature_steps[0]) / 0.04)
        return at_one - 3.0 * math.log2(tried[-1])

    found = float(just_enough(lattice, excess).feature_steps[0]) / 0.04
    assert len(tried) <= 9
    left = at_one - 3.0 * math.log2(found)
    assert left >= 0
    assert left <= EXCESS_DB or found == pytest.approx(4.0)
