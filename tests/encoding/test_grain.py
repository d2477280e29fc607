"""The encoder finds the noise of a picture, and takes neither texture nor a clean picture for noise."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

import gscodec
from gscodec.encoding.api import encode
from gscodec.encoding.grain import measured_areas, source_grain
from gscodec.encoding.grain_estimate import GrainEstimate
from gscodec.encoding.settings import EncodeSettings
from gscodec.image.arrays import from_array
from gscodec.image.stack import ImageStack
from gscodec.metrics import psnr
from gscodec.model.channels import ChannelGroup, Role
from gscodec.model.grain import STRENGTH_UNIT

ROUGHNESS = (ChannelGroup("roughness", Role.ROUGHNESS),)
RGB = (ChannelGroup("color", n_channels=3),)
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def codes(picture: Floats) -> Pixels:
    return np.asarray(np.rint(255 * np.clip(picture, 0, 1)), np.uint8)


def ramp(height: int = 128, width: int = 192) -> Floats:
    """A smooth picture (height, width, 3) that spans most of the lumas."""
    y, x = np.mgrid[:height, :width]
    light = (0.15 + 0.7 * x / width)[:, :, None] + np.array([-0.05, 0.0, 0.05]) * (y / height)[:, :, None]
    return np.asarray(light)


def noise(shape: tuple[int, ...], deviation: float, *, side: int = 0, independence: float = 1.0) -> Floats:
    """White noise, or noise that is correlated as grain of correlation `side` is."""
    draw = np.random.default_rng(5)
    own, shared = draw.normal(size=shape), draw.normal(size=shape[:2])[:, :, None]
    result = np.sqrt(independence) * own + np.sqrt(1 - independence) * shared
    for axis in (0, 1):
        result = 16 * result + side * (np.roll(result, 1, axis) + np.roll(result, -1, axis))
    return np.asarray(deviation * result / (256 + 2 * side**2))


@pytest.fixture(scope="module")
def noisy() -> Pixels:
    return codes(ramp() + noise((128, 192, 3), 0.04))


@pytest.mark.parametrize(("side", "independence"), [(0, 1.0), (4, 0.5), (7, 0.1)])
def test_noise_is_measured(side: int, independence: float) -> None:
    estimate = GrainEstimate(RGB)
    rest = noise((256, 384, 3), 0.03, side=side, independence=independence)
    estimate.add(rest, ramp(256, 384))
    (grain,) = estimate.grains
    assert np.mean(grain.strengths) * STRENGTH_UNIT == pytest.approx(0.03, rel=0.13)
    assert abs(grain.correlation - side) <= 1
    assert grain.independence / 255 == pytest.approx(independence, abs=0.1)


def test_strength_follows_luma() -> None:
    shown = ramp(256, 384)
    estimate = GrainEstimate(RGB)
    estimate.add(noise(shown.shape, 0.08) * shown, shown)
    (grain,) = estimate.grains
    for node in (2, 3, 4, 5):
        assert grain.strengths[node] * STRENGTH_UNIT == pytest.approx(0.08 * node / 7, rel=0.2)


def _textures() -> dict[str, Floats]:
    y, x = np.mgrid[:256, :384]
    bricks = 0.5 + 0.2 * ((x // 3 + 7 * (y // 5)) % 4 < 2) - 0.2 * (y % 40 < 4)
    blobs = noise((256, 384, 1), 1.0)[..., 0]
    for _ in range(5):
        around = [np.roll(blobs, shift, axis) for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1), (0, 0))]
        blobs = np.mean(around, axis=0)
    patches = noise((256, 384, 1), 0.1)[..., 0] * (x < 100)
    return {"flat": np.full((256, 384), 0.4), "bricks": bricks, "blobs": 0.5 + blobs, "patches": 0.5 + patches}


@pytest.mark.parametrize("name", _textures())
def test_texture_is_no_noise(name: str) -> None:
    assert source_grain(from_array(codes(_textures()[name])[:, :, None].repeat(3, axis=2))) == ()


def test_a_noisy_picture_gets_grain_like_its_noise(noisy: Pixels) -> None:
    result = encode(noisy, size=2600, preset="fast", grain=True, steps=60, lods=1)
    assert result.target_met
    with gscodec.open(result.data) as image, gscodec.open(result.data, grain=False) as plain:
        (grain,) = image.grain
        shown, clean = image.render(), plain.render()
    assert np.mean(grain.strengths[2:6]) * STRENGTH_UNIT == pytest.approx(0.04, rel=0.15)
    assert psnr(clean, noisy) == pytest.approx(result.psnr, abs=1e-3)
    assert shown.mean() == pytest.approx(clean.mean(), abs=0.3)
    assert (shown.astype(float) - clean).std() / 255 == pytest.approx(0.04, rel=0.15)
    assert encode(noisy, size=2600, preset="fast", grain=True, steps=60, lods=1).data == result.data


def test_grain_is_stored_on_request_where_there_is_noise(noisy: Pixels) -> None:
    assert EncodeSettings().grain is False
    clean = codes(ramp())
    by_default = encode(noisy, size=2600, preset="fast", steps=5)
    on, off = (encode(clean, size=2600, preset="fast", steps=5, grain=grain) for grain in (True, False))
    assert on.n_gaussians == off.n_gaussians
    for result in (by_default, on, off):
        with gscodec.open(result.data) as image:
            assert image.grain == ()


def test_small_files_and_data_have_none(noisy: Pixels) -> None:
    small = encode(noisy, size=1500, preset="fast", grain=True, steps=5)
    assert small.profile == "small"
    data = encode(
        ImageStack(np.asarray(noisy / 255, np.float32), ROUGHNESS), size=2600, preset="fast", grain=True, steps=5
    )
    for result in (small, data):
        with gscodec.open(result.data) as image:
            assert image.grain == ()


def test_fixed_size_profiles_reserve_its_bytes(noisy: Pixels) -> None:
    for profile in ("f16", "packed"):
        result = encode(noisy, size=6000, preset="fast", grain=True, steps=20, profile=profile, lods=1)
        assert result.target_met
        with gscodec.open(result.data) as image:
            assert len(image.grain) == 1


def test_what_an_alpha_or_a_mask_hides_does_not_count(noisy: Pixels) -> None:
    opaque = np.full((128, 192, 1), 255, np.uint8)
    opaque[:, 100:] = 0
    covered = np.where(opaque > 0, noisy, 77)
    (grain,) = source_grain(from_array(np.concatenate([covered, opaque], axis=2)))
    assert np.mean(grain.strengths) * STRENGTH_UNIT == pytest.approx(0.04, rel=0.15)
    (masked,) = source_grain(replace(from_array(covered), visible=opaque[..., 0] > 0))
    assert masked == grain


def test_pictures_in_blocks_and_stacks_have_grain(noisy: Pixels) -> None:
    blocks = encode(noisy, size=6000, preset="fast", grain=True, steps=4, block=64)
    groups = (ChannelGroup("ao", Role.AO, 1), ChannelGroup("albedo", Role.ALBEDO, 3))
    samples = np.concatenate([np.full((128, 192, 1), 0.5), noisy / 255], axis=2).astype(np.float32)
    stack = encode(ImageStack(samples, groups), size=6000, preset="fast", grain=True, steps=4)
    for result, group in ((blocks, 0), (stack, 1)):
        with gscodec.open(result.data) as image:
            (grain,) = image.grain
            assert grain.group == group
            assert np.mean(grain.strengths) * STRENGTH_UNIT == pytest.approx(0.04, rel=0.2)
    with gscodec.open(stack.data) as image, gscodec.open(stack.data, grain=False) as plain:
        assert np.array_equal(image.render()[..., 0], plain.render()[..., 0])


def test_large_pictures_are_measured_in_areas_all_over_them() -> None:
    areas = list(measured_areas(5000, 300))
    assert [(area.x0, area.x1) for area in areas] == [(0, 300)] * 4
    assert areas[0].y0 == 0
    assert areas[-1].y1 == 5000
    assert sum(area.height for area in areas) < 1000
    (whole,) = measured_areas(512, 400)
    assert (whole.width, whole.height) == (400, 512)
