"""`quality`: one pass that ends at the same slope of error over bytes, for pictures and profiles of any kind."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_pictures import draw_picture

from gscodec.container.validate import validate
from gscodec.encoding import whole
from gscodec.encoding.aims import SlopeAim
from gscodec.encoding.api import EncodeResult, Progress, encode
from gscodec.encoding.quality import DEFAULT_QUALITY, slope_of
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import InvalidArgument
from gscodec.fit.forecast import Detail, Forecast
from gscodec.image.arrays import from_array

PICTURE = draw_picture(64, 96)
NOISE = np.random.default_rng(4).normal(128, 20, (64, 96, 3)).clip(0, 255).astype(np.uint8)


def made(picture: Any, quality: float | None, **options: Any) -> EncodeResult:
    quick: dict[str, Any] = {"preset": "fast", "steps": 60, "threads": 1}
    result = encode(picture, quality=quality, **(quick | options))
    assert result.target_met
    assert not result.note
    assert validate(result.data) == []
    return result


def test_ten_points_halve_the_steps() -> None:
    slopes = [slope_of(quality) for quality in range(0, 101, 10)]
    assert all(before / after == pytest.approx(4.0) for before, after in pairwise(slopes))


def test_bytes_and_psnr_rise_with_quality() -> None:
    results = [made(PICTURE, quality) for quality in (0, 20, 40, 60, 80, 100)]
    assert [len(result.data) for result in results] == sorted(len(result.data) for result in results)
    assert [result.psnr for result in results] == sorted(result.psnr for result in results)
    assert len(results[0].data) < 300
    assert len(results[-1].data) > 20 * len(results[0].data)


def test_without_a_target_the_quality_is_the_default() -> None:
    plain = encode(PICTURE, preset="fast", steps=20, threads=1)
    assert plain.data == made(PICTURE, DEFAULT_QUALITY, steps=20).data
    settings = EncodeSettings()
    assert (settings.target, settings.chosen_quality, settings.target_value) == ("quality", DEFAULT_QUALITY, 60.0)
    assert EncodeSettings(bpp=1).chosen_quality is None


@pytest.mark.parametrize("wrong", [-1, 100.5, math.nan, "high", True])
def test_qualities_out_of_range_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"quality .* is not a number 0\.\.100"):
        EncodeSettings(quality=wrong)


def test_noise_gets_the_bytes_and_a_calm_picture_the_psnr() -> None:
    calm, noise = made(PICTURE, 60), made(NOISE, 60)
    assert len(noise.data) > 2 * len(calm.data)
    assert noise.psnr < calm.psnr - 3


def test_the_file_is_as_good_as_one_of_its_bytes() -> None:
    picture = draw_picture(128, 160, seed=3)
    seeds = range(3)
    by_quality = [made(picture, 70, seed=seed, steps=150) for seed in seeds]
    by_size = [
        encode(picture, size=len(file.data), preset="fast", steps=150, threads=1, seed=seed)
        for seed, file in zip(seeds, by_quality, strict=True)
    ]
    assert np.mean([file.psnr for file in by_quality]) > np.mean([file.psnr for file in by_size]) - 0.4


def test_it_is_one_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []
    fit = vars(whole)["fit_planes"]

    def counted(*arguments: Any, **options: Any) -> Any:
        fits.append(arguments[1])
        return fit(*arguments, **options)

    monkeypatch.setattr(whole, "fit_planes", counted)
    made(PICTURE, 90, profile="coded", lods=1)
    assert len(fits) == 1


@pytest.mark.parametrize("profile", ["coded", "packed", "f16", "small"])
def test_every_profile_ends_at_a_slope(profile: str) -> None:
    low, high = (made(PICTURE, quality, profile=profile) for quality in (30, 55))
    assert (low.profile, high.profile) == (profile, profile)
    assert len(low.data) < len(high.data)
    assert low.psnr < high.psnr


def test_larger_records_get_fewer_gaussians() -> None:
    coded, floats = (made(PICTURE, 70, profile=profile) for profile in ("coded", "f16"))
    assert floats.n_gaussians < coded.n_gaussians


def test_small_files_have_the_tiny_profile_unless_levels_are_wanted() -> None:
    assert made(PICTURE, 10).profile == "small"
    assert made(PICTURE, 10, lods=2).profile == "coded"
    assert made(NOISE, 80).profile == "coded"


@pytest.mark.parametrize(
    "picture",
    [
        np.full((24, 40, 3), 90, np.uint8),
        np.full((1, 1), 200, np.uint8),
        PICTURE[:1],
        PICTURE[:, :1],
        np.dstack([PICTURE, np.linspace(0, 255, 64 * 96).reshape(64, 96).astype(np.uint8)]),
        PICTURE.astype(np.float32) / 64,
        np.random.default_rng(5).random((8, 9, 40)).astype(np.float32),
    ],
    ids=["flat", "a pixel", "a row", "a column", "alpha", "HDR", "40 channels"],
)
def test_odd_pictures_have_a_quality(picture: np.ndarray) -> None:
    if picture.dtype == np.float32 and picture.max() > 1:
        picture = picture / picture.max()
    assert made(picture, 60, steps=12).psnr > 12


def test_blocks_end_at_the_slope_of_the_whole() -> None:
    picture = np.concatenate([draw_picture(128, 128), np.tile(NOISE[:, :64], (2, 2, 1))], axis=1)
    whole_file = made(picture, 50, profile="coded", tune="psnr")
    blocks = made(picture, 50, profile="coded", tune="psnr", block=64)
    assert 0.5 < len(blocks.data) / len(whole_file.data) < 2
    assert made(picture, 60, profile="coded", tune="psnr", block=64).psnr > blocks.psnr
    for profile in ("packed", "f16"):
        low, high = (made(picture, quality, profile=profile, block=64) for quality in (40, 60))
        assert len(low.data) < len(high.data)


def test_an_interrupted_encode_in_blocks_resumes(tmp_path: Path) -> None:
    picture, kept = draw_picture(128, 128), tmp_path / "kept"
    options: dict[str, Any] = {"block": 64, "steps": 12, "checkpoint": kept}

    def stop(state: Progress) -> None:
        if state.block == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(picture, 60, progress=stop, **options)
    assert kept.exists()
    assert made(picture, 60, **options).data == made(picture, 60, block=64, steps=12).data


def test_progress_estimates_the_size() -> None:
    seen: list[Progress] = []
    result = made(PICTURE, 85, progress=seen.append)
    assert seen[-1].bpp == pytest.approx(result.bpp, rel=0.35)
    assert seen[0].bpp < seen[-1].bpp


def test_a_time_budget_shortens_the_fit() -> None:
    assert made(PICTURE, 60, time_budget=0.3, steps=5000).steps < 5000


def test_the_count_is_that_at_which_the_slope_is_met() -> None:
    samples = from_array(PICTURE).samples
    forecast = Forecast(Detail.of(samples))
    counts = [SlopeAim(forecast, 6144, slope_of(quality), samples.size).count(40.0) for quality in (0, 40, 60, 100)]
    assert counts == sorted(counts)
    aim = SlopeAim(forecast, 6144, slope_of(60), samples.size)
    assert aim.slope_at(counts[2], 40.0) == pytest.approx(slope_of(60), rel=0.1)
    assert aim.count(80.0) < counts[2]
    assert SlopeAim(forecast, 50, 1e-12, samples.size).count(40.0) == 50
