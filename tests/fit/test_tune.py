from dataclasses import replace

import numpy as np
import pytest

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.encoding.api import encode
from gscodec.errors import InvalidArgument
from gscodec.fit.loop import fit
from gscodec.fit.plan import FitPlan
from gscodec.fit.presets import PRESETS
from gscodec.fit.tune import tuned
from gscodec.metrics import ssim
from gscodec.model.choices import TUNE_NAMES, TuneName
from gscodec.model.gaussians import Float32Array, Grid, Window
from gscodec.model.rendering import LossWeights
from gscodec.render.cpu import CpuRasterizer


def texture(height: int, width: int) -> Float32Array:
    """Faint fine waves beside a strong edge, which is what squared errors are about."""
    y, x = np.mgrid[0:height, 0:width]
    waves = 0.5 + 0.06 * np.sin(0.9 * x + 0.5 * y)
    picture = np.where(x < width // 2, waves, np.where((x // 12 + y // 12) % 2, 0.9, 0.1))
    return np.ascontiguousarray(picture[:, :, None], np.float32)


def test_psnr_is_the_preset_itself_and_paper_has_no_other() -> None:
    for preset in PRESETS.values():
        assert tuned(preset, "psnr") is preset
        if preset.name != "paper":
            assert tuned(preset, "visual") is preset  # its weights are those of pixels
        assert preset.last_loss == preset.loss
    with pytest.raises(InvalidArgument, match="published loss"):
        tuned(PRESETS["paper"], "ssim")
    with pytest.raises(InvalidArgument, match="psnr, visual, ssim, balanced"):
        tuned(PRESETS["fast"], "vmaf")


@pytest.mark.parametrize("tune", ["ssim", "balanced"])
def test_the_late_loss_begins_with_a_segment_and_sees_every_pixel(tune: str) -> None:
    preset = tuned(PRESETS["fast"], tune)
    plan = FitPlan(preset, (512, 512, 3), (50, 100), 200, takes_subsets=True)
    rng = np.random.default_rng(0)
    steps = [step for segment in plan.segments for step in plan.steps(segment, rng)]
    assert [step.late for step in steps] == [n >= preset.late_from * 200 for n in range(200)]
    assert {step.subset.step for step in steps if step.late} == {1}
    assert {step.subset.step for step in steps if not step.late} == {4}
    assert all(step.late for step in steps if step.may_be_best)
    assert any(step.may_be_best for step in steps)
    for segment in plan.segments:
        assert len({step.late for step in plan.steps(segment, rng)}) == 1
    assert plan.loss(late=True).ssim > 0 == plan.loss(late=False).ssim


def test_ssim_gains_ssim_and_balanced_lies_between() -> None:
    picture = texture(64, 96)
    grid, engine = Grid(64, 96, picture.mean(axis=(0, 1))), CpuRasterizer(1)
    found = {}
    for tune in TUNE_NAMES:
        preset = replace(tuned(PRESETS["fast"], tune), samples_per_gaussian=0.0)
        gaussians = fit(picture, 110, preset, rasterizer=engine, grid=grid, steps=200).gaussians
        image = engine.forward(gaussians, grid, engine.bin(gaussians, grid), Window.whole(grid))
        found[tune] = ssim(np.asarray(image, np.float32), picture)
    assert found["psnr"] < found["balanced"] < found["ssim"]


def test_the_state_of_least_loss_is_kept() -> None:
    picture = texture(32, 48)
    preset = replace(PRESETS["fast"], late_loss=LossWeights(ssim=1.0), late_from=0.5, best_by="loss")
    grid, engine = Grid(32, 48, picture.mean(axis=(0, 1))), CpuRasterizer(1)
    made = fit(picture, 30, preset, rasterizer=engine, grid=grid, steps=60)
    image = np.asarray(
        engine.forward(made.gaussians, grid, engine.bin(made.gaussians, grid), Window.whole(grid)), np.float32
    )
    assert made.psnr == pytest.approx(-10 * np.log10(np.square(image - picture).mean(dtype=np.float64)), abs=0.05)


def test_files_say_what_they_were_tuned_for_and_psnr_is_the_default() -> None:
    picture = texture(40, 48)
    plain, same, other = (
        encode(picture, gaussians=40, preset="fast", steps=20, **options)
        for options in ({}, {"tune": "psnr", "importance": None}, {"tune": "balanced"})
    )
    assert plain.data == same.data
    assert plain.data != other.data
    metas = []
    for result in (plain, other):
        with IgsReader(result.data) as reader:
            metas.append(reader.meta or {})
    assert "tune" not in metas[0]
    assert metas[1]["tune"] == "balanced"


def test_visual_moves_error_from_flat_areas_into_texture() -> None:
    rng = np.random.default_rng(4)
    picture = np.full((96, 128, 3), 0.5, np.float32)
    picture[:, :64] += np.linspace(-0.2, 0.2, 96, dtype=np.float32)[:, None, None] ** 2
    picture[:, 64:] += rng.normal(0, 0.15, (96, 64, 1)).astype(np.float32)
    picture = np.clip(picture, 0, 1)
    flat, noisy, flat_visual, noisy_visual = (
        float(error[:, columns].mean())
        for error in (_squared_error(picture, "psnr"), _squared_error(picture, "visual"))
        for columns in (slice(56), slice(72, None))
    )
    assert flat_visual < 0.9 * flat
    assert noisy_visual > noisy


def _squared_error(picture: Float32Array, tune: TuneName) -> Float32Array:
    result = encode(picture, gaussians=150, preset="fast", steps=120, tune=tune, lods=1, seed=1)
    with gscodec.open(result.data) as image:
        return np.asarray(np.square(image.render(dtype=np.float32) - picture), np.float32)


def test_blocks_are_tuned_too() -> None:
    picture = texture(128, 128)
    tunes: tuple[TuneName, ...] = ("psnr", "ssim", "visual")
    plain, other, visual = (encode(picture, gaussians=80, preset="fast", steps=15, block=64, tune=t) for t in tunes)
    assert len({plain.data, other.data, visual.data}) == 3
    assert other.psnr > 10
