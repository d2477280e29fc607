"""The forecast of a fit: by what planes leave of a picture, corrected by the errors of the fit while it grows."""

import math

import numpy as np
import pytest

from gscodec.fit.forecast import Detail, Forecast, Growth
from gscodec.fit.loop import StepReport, fit
from gscodec.fit.presets import get_preset
from gscodec.model.gaussians import Float32Array, Grid
from gscodec.render.cpu import CpuRasterizer

DRAW = np.random.default_rng(2)
Y, X = np.mgrid[0:96, 0:128].astype(np.float32)
PICTURES: dict[str, Float32Array] = {
    "waves": np.stack([0.5 + 0.4 * np.sin(X / 9) * np.cos(Y / 7)] * 3, axis=2).astype(np.float32),
    "disc": np.repeat(((X - 60) ** 2 + (Y - 50) ** 2 < 900).astype(np.float32)[..., None], 3, axis=2),
    "noise": np.float32(0.5) + np.float32(0.1) * DRAW.standard_normal((96, 128, 3)).astype(np.float32),
}


@pytest.mark.parametrize("name", PICTURES)
def test_more_gaussians_are_expected_to_have_more_psnr(name: str) -> None:
    forecast = Forecast(Detail.of(PICTURES[name]))
    psnrs = [forecast.psnr(n) for n in (1, 10, 50, 200, 1000, 4000, 12288)]
    assert psnrs == sorted(psnrs)
    assert all(forecast.slope(n) > 0.5 for n in (1, 100, 12288))


def test_a_calm_picture_is_expected_to_have_more_psnr_than_noise() -> None:
    waves, noise = (Forecast(Detail.of(PICTURES[name])) for name in ("waves", "noise"))
    assert waves.psnr(200) > noise.psnr(200) + 5
    assert waves.slope(200) > noise.slope(200)


def test_the_detail_of_parts_adds_up_to_that_of_the_whole() -> None:
    picture = PICTURES["waves"]
    parts = Detail.of(picture[:, :64]) + Detail.of(picture[:, 64:])
    whole = Detail.of(picture)
    assert parts.n_pixels == whole.n_pixels
    assert parts.sums == pytest.approx(whole.sums, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (40, 1, 2), (7, 5, 64), (64, 64, 1)])
def test_pictures_of_any_shape_have_a_forecast(shape: tuple[int, int, int]) -> None:
    forecast = Forecast(Detail.of(DRAW.random(shape).astype(np.float32)))
    assert all(math.isfinite(forecast.psnr(n)) for n in (1, shape[0] * shape[1]))


def test_a_flat_picture_is_expected_to_be_exact_to_eight_bits() -> None:
    assert Forecast(Detail.of(np.full((64, 64, 3), 0.3, np.float32))).psnr(1) > 50


def test_steps_that_show_a_coarser_level_do_not_count_as_growth() -> None:
    growth = Growth()
    assert growth.likely() is None
    for n, psnr in ((10, 20.0), (20, 22.0), (10, 15.0), (40, 24.0), (20, 16.0), (40, math.inf)):
        growth.note(n, psnr)
    likely = growth.likely()
    assert likely is not None
    assert likely == pytest.approx((40, 24.0 + 1.5 * 2.0))
    assert growth.slope_after(80, 29.0) == pytest.approx(0.75 + 0.6 * 5.0)
    assert Growth().slope_after(80, 29.0) > 0


def test_a_growing_fit_corrects_the_forecast_by_half() -> None:
    forecast = Forecast(Detail.of(PICTURES["waves"]))
    growth = Growth()
    assert forecast.after(growth) == forecast
    for n in (10, 20, 40):
        growth.note(n, forecast.psnr(40) + 6.0)  # does not gain any more
    assert forecast.after(growth).psnr(40) == pytest.approx(forecast.psnr(40) + 3.0)


@pytest.mark.parametrize("name", ["waves", "noise"])
def test_the_corrected_forecast_is_near_the_fit(name: str) -> None:
    picture, growth, n = PICTURES[name], Growth(), 150
    seen: list[Forecast] = []

    def note(state: StepReport) -> None:
        if not seen:
            growth.note(state.n_gaussians, state.psnr)

    def recount(*_: object) -> int:
        seen[:] = [Forecast(Detail.of(picture)).after(growth)]
        return n

    made = fit(
        picture,
        n,
        get_preset("fast"),
        rasterizer=CpuRasterizer(1),
        grid=Grid(96, 128, picture.mean(axis=(0, 1))),
        steps=120,
        on_step=note,
        recount=recount,
    )
    assert seen[0].psnr(n) == pytest.approx(made.psnr, abs=4)
