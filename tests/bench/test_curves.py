import math
import warnings

import bjontegaard
import numpy as np
import pytest
from gscodec_bench.curves import Curve, bd_quality, bd_rate, curve, curves_of, mean_curve

# Two encodings of a test sequence at four rates each, in the manner of VCEG-M33.
ANCHOR = curve([(686.76, 40.28), (309.58, 37.18), (157.11, 34.24), (85.95, 31.42)])
TEST = curve([(893.34, 40.39), (407.8, 37.21), (204.93, 34.17), (112.75, 31.24)])


def random_curve(rng: np.random.Generator, n: int) -> Curve:
    return Curve(
        tuple(np.cumsum(rng.uniform(0.02, 0.4, n)).tolist()), tuple((25 + np.cumsum(rng.uniform(0.1, 3, n))).tolist())
    )


def test_a_curve_shifted_in_rate_or_quality_has_that_delta() -> None:
    costlier = Curve(tuple(1.1 * rate for rate in ANCHOR.rates), ANCHOR.qualities)
    assert bd_rate(ANCHOR, costlier) == pytest.approx(10.0)
    assert bd_rate(costlier, ANCHOR) == pytest.approx(100 * (1 / 1.1 - 1))
    better = Curve(ANCHOR.rates, tuple(quality + 0.7 for quality in ANCHOR.qualities))
    assert bd_quality(ANCHOR, better) == pytest.approx(0.7)
    assert bd_rate(ANCHOR, ANCHOR) == bd_quality(ANCHOR, ANCHOR) == 0.0


def test_agrees_with_the_bjontegaard_package() -> None:
    rng = np.random.default_rng(5)
    pairs = [(ANCHOR, TEST), *((random_curve(rng, 5), random_curve(rng, int(n))) for n in rng.integers(3, 9, 20))]
    checked = 0
    for anchor, test in pairs:
        arguments = (anchor.rates, anchor.qualities, test.rates, test.qualities)
        options = {"method": "pchip", "require_matching_points": False, "min_overlap": 0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of small overlaps, which are answered with None here
            rate, quality = bjontegaard.bd_rate(*arguments, **options), bjontegaard.bd_psnr(*arguments, **options)
        ours = bd_rate(anchor, test), bd_quality(anchor, test)
        checked += sum(value is not None for value in ours)
        assert ours[0] is None or ours[0] == pytest.approx(rate, rel=1e-9, abs=1e-9)
        assert ours[1] is None or ours[1] == pytest.approx(quality, rel=1e-9, abs=1e-9)
    assert checked > 20


def test_is_near_the_cubic_of_vceg_m33() -> None:
    arguments = (ANCHOR.rates, ANCHOR.qualities, TEST.rates, TEST.qualities)
    assert bd_rate(ANCHOR, TEST) == pytest.approx(bjontegaard.bd_rate(*arguments, method="cubic"), abs=0.3)
    assert bd_quality(ANCHOR, TEST) == pytest.approx(bjontegaard.bd_psnr(*arguments, method="cubic"), abs=0.02)


def test_curves_without_enough_in_common_have_no_delta() -> None:
    above = Curve(ANCHOR.rates, tuple(quality + 8.5 for quality in ANCHOR.qualities))
    assert bd_rate(ANCHOR, above) is None
    assert bd_quality(ANCHOR, above) == pytest.approx(8.5)
    assert bd_rate(ANCHOR, curve([(100, 35)])) is None
    far = Curve(tuple(7.9 * rate for rate in ANCHOR.rates), ANCHOR.qualities)
    assert bd_quality(ANCHOR, far) is None


def test_points_that_cost_more_and_look_worse_are_left_out() -> None:
    made = curve([(0.2, 30.0), (0.1, 25.0), (0.4, 29.0), (0.8, 33.0), (0.2, 31.0)])
    assert made == Curve((0.1, 0.2, 0.8), (25.0, 30.0, 33.0), dropped=2)


def test_a_curve_answers_at_its_points_between_them_and_nowhere_else() -> None:
    made = curve([(0.1, 20.0), (0.2, 24.0), (0.4, 26.0)])
    assert [made.at(rate) for rate in made.rates] == pytest.approx(made.qualities)
    between = made.at(0.15)
    assert between is not None
    assert 20 < between < 24
    assert made.at(0.0985) == 20.0  # within the slack at the end
    assert made.at(0.095) is None
    assert made.at(0.42) is None
    assert curve([(0.1, 20.0)]).at(0.1) == 20.0
    straight = curve([(0.1, 20.0), (0.4, 30.0)])
    assert straight.at(0.2) == pytest.approx(25.0)


def test_a_mean_curve_covers_what_all_have() -> None:
    a, b = curve([(0.1, 20.0), (1.6, 40.0)]), curve([(0.2, 30.0), (3.2, 50.0)])
    mean = mean_curve([a, b])
    assert mean is not None
    assert (mean.rates[0], mean.rates[-1]) == pytest.approx((0.2, 1.6))
    assert mean.qualities[0] == pytest.approx((25.0 + 30.0) / 2)
    assert mean.at(math.sqrt(0.2 * 1.6)) == pytest.approx((20 + 20 * 2.5 / 4 + 30 + 20 * 1.5 / 4) / 2)
    assert mean_curve([a]) == a
    assert mean_curve([]) is None
    assert mean_curve([curve([(0.1, 20.0), (0.2, 21.0)]), curve([(0.5, 20.0), (0.8, 21.0)])]) is None


def test_curves_come_from_rows() -> None:
    rows = [
        {"image": "a", "codec": "x", "bpp": "0.2", "psnr": "30", "flip": "0.1"},
        {"image": "a", "codec": "x", "bpp": "0.4", "psnr": "32", "flip": ""},
        {"image": "a", "codec": "y", "bpp": "0.4", "psnr": "inf", "flip": "0"},
    ]
    assert curves_of(rows, "psnr", "bpp") == {("a", "x"): Curve((0.2, 0.4), (30.0, 32.0))}
    assert curves_of(rows, "flip", "bpp", sign=-1)["a", "x"] == Curve((0.2,), (-0.1,))
