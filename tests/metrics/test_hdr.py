"""Metrics of light beside their definitions written out again."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from gscodec.errors import InvalidArgument
from gscodec.image.levels import to_unit
from gscodec.metrics import METRICS, flip_map, hdr_flip, log_psnr
from gscodec.metrics.hdr import LOG_EPSILON, LOG_RANGE, exposures
from gscodec.model.channels import ChannelGroup, Role, SampleType, Transfer

Light = npt.NDArray[np.float32]


def light(height: int = 40, width: int = 52) -> tuple[Light, Light]:
    """Colour over twelve stops, and a copy that is off in places."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:height, 0:width]
    stops = np.stack([4 * np.sin(x / 9 + c) + 3 * np.cos(y / 7 - c) for c in range(3)], axis=2)
    clean = np.exp2(stops).astype(np.float32)
    return clean, (clean * np.exp2(rng.normal(0, 0.3, clean.shape))).astype(np.float32)


def aces(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Narkowicz's curve behind a factor of 0.6, as FLIP has it."""
    scaled = 0.6 * x
    result = scaled * (2.51 * scaled + 0.03) / (scaled * (2.43 * scaled + 0.59) + 0.14)
    return np.clip(result, 0, 1)


def srgb(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def test_log_psnr_agrees_with_logarithms_taken_one_by_one() -> None:
    a, b = light(6, 7)
    pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    squares = [(math.log2(2**-14 + first) - math.log2(2**-14 + second)) ** 2 for first, second in pairs]
    peak = math.log2(2**-14 + 65504) + 14
    assert log_psnr(a, b) == pytest.approx(20 * math.log10(peak / math.sqrt(sum(squares) / len(squares))), rel=1e-9)


def test_a_ratio_counts_the_same_at_any_brightness() -> None:
    dim, bright = np.full((4, 4), 0.5), np.full((4, 4), 10_000.0)
    wanted = 20 * math.log10(LOG_RANGE / math.log2(1.01))
    for values in (dim, bright, -dim):
        assert log_psnr(values, values * 1.01) == pytest.approx(wanted, abs=2e-3)
    assert log_psnr(dim, dim) == math.inf
    assert pytest.approx(30, abs=1e-3) == LOG_RANGE
    assert log_psnr(np.zeros((1, 1)), np.full((1, 1), 65504.0)) == pytest.approx(0, abs=1e-9)
    sides = log_psnr(np.full((1, 1), -LOG_EPSILON), np.full((1, 1), LOG_EPSILON))
    assert sides == pytest.approx(20 * math.log10(LOG_RANGE / 2))


def test_what_is_not_light_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="not linear light"):
        log_psnr(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    with pytest.raises(InvalidArgument, match="finite"):
        hdr_flip(np.full((2, 2), np.nan), np.zeros((2, 2)))
    with pytest.raises(InvalidArgument, match="2 channels"):
        hdr_flip(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)))


def test_hdr_flip_is_the_most_that_ldr_flip_shows_at_any_exposure() -> None:
    a, b = light()
    start, stop = exposures(a)
    count = max(2, math.ceil(stop - start))
    maps = []
    for exposure in np.linspace(start, stop, count):
        shown = [srgb(aces(picture.astype(np.float64) * 2**exposure)) for picture in (a, b)]
        maps.append(flip_map(*(picture.astype(np.float32) for picture in shown)))
    assert hdr_flip(a, b) == pytest.approx(float(np.max(maps, axis=0).mean()), abs=1e-4)


def test_exposures_are_those_the_package_finds() -> None:
    import flip_evaluator

    a, b = light()
    _, mean, found = flip_evaluator.evaluate(a, b, "HDR", applyMagma=False)
    assert exposures(a) == pytest.approx((found["startExposure"], found["stopExposure"]), abs=2e-3)
    assert hdr_flip(a, b) == pytest.approx(mean, abs=1e-4)


def test_brightness_of_the_whole_does_not_matter() -> None:
    a, b = light()
    assert hdr_flip(a * 1e6, b * 1e6) == pytest.approx(hdr_flip(a, b), abs=1e-5)


def test_pictures_without_range_are_measured_too() -> None:
    a, b = light(20, 20)
    black, gray = np.zeros_like(a), np.full_like(a, 3.0)
    half_black = np.where(np.arange(20)[:, None, None] < 15, 0, a).astype(np.float32)
    for picture in (black, gray, half_black, -a):
        assert hdr_flip(picture, picture) == 0.0
        assert 0 < hdr_flip(picture, b) <= 1
    assert hdr_flip(gray[:, :, 0], gray[:, :, 0] * 2) == hdr_flip(gray, gray * 2) > 0.1


def test_tables_get_light_in_the_units_of_its_file() -> None:
    a, b = light()
    depth = np.full((40, 52, 1), 7.0, np.float32)
    groups = (
        ChannelGroup("Z", Role.DATA, 1, 32, SampleType.FLOAT, Transfer.LINEAR, value_min=0.0, value_max=8.0),
        ChannelGroup(
            "color", Role.COLOR, 3, 16, SampleType.FLOAT, Transfer.ASINH, value_min=0.0, value_max=512.0, knee_log2=-6
        ),
    )
    first, second = (to_unit(np.concatenate([depth, picture], axis=2), groups) for picture in (a, b))
    assert METRICS["hdr_flip"].measure(first, second, groups) == pytest.approx(hdr_flip(a, b), abs=1e-4)
    stacked = log_psnr(np.concatenate([depth, a], axis=2), np.concatenate([depth, b], axis=2))
    assert METRICS["log_psnr"].measure(first, second, groups) == pytest.approx(stacked, abs=1e-3)
    assert METRICS["flip"].measure(first[:, :, 1:], second[:, :, 1:], groups[1:]) is None
    integers = (ChannelGroup("color"),)
    for name in ("log_psnr", "hdr_flip"):
        assert METRICS[name].measure(first[:, :, 1:], second[:, :, 1:], integers) is None
