"""Targets: met within both bounds, or said why not; nothing crashes on pictures that hardly are any."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from icc_profiles import make_profile
from PIL import ImageCms

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import icc_bytes
from gscodec.encoding.api import EncodeResult, encode
from gscodec.errors import InvalidArgument, SourceWarning
from gscodec.image.arrays import from_array
from gscodec.model.gaussians import Float32Array

Pixels = npt.NDArray[np.uint8]
QUICK = {"preset": "fast", "steps": 12, "threads": 1}
DRAW = np.random.default_rng(3)
Y, X = np.mgrid[0:32, 0:48]
DOT = np.zeros((40, 40), np.uint8)
DOT[20, 20] = 255

ODD: dict[str, npt.NDArray[np.generic]] = {
    "flat": np.full((32, 48, 3), 77, np.uint8),
    "black": np.zeros((40, 40, 3), np.uint8),
    "one pixel": np.full((1, 1, 3), 200, np.uint8),
    "a row": DRAW.integers(0, 256, (1, 40, 3)).astype(np.uint8),
    "a column": DRAW.integers(0, 256, (40, 1)).astype(np.uint8),
    "two values": ((X // 8 + Y // 8) % 2 * 255).astype(np.uint8),
    "a dot": DOT,
    "ramps": np.stack([X * 5, Y * 7, X + Y], axis=2).astype(np.uint8),
    "noise": DRAW.integers(0, 256, (24, 24, 3)).astype(np.uint8),
    "transparent": np.zeros((16, 16, 4), np.uint8),
    "16 bits": (DRAW.integers(0, 65536, (9, 7, 3))).astype(np.uint16),
    "many channels": DRAW.random((8, 8, 64)).astype(np.float32),
}
PROFILES = (None, "coded", "packed", "f16", "small")


def check(result: EncodeResult, budget: float) -> None:
    """A file is what was asked for, or is said to be something else."""
    assert validate(result.data) == []
    used = len(result.data) / budget
    if 0.95 <= used <= 1:
        assert result.target_met
    elif used > 1:
        assert not result.target_met
        assert (
            f"the smallest file of this picture in profile {result.profile} has {len(result.data)} bytes" in result.note
        )
    else:
        assert f"{len(result.data)} of {int(budget)} bytes are used: " in result.note
        saturated = math.isinf(result.psnr) or "for every pixel" in result.note
        assert result.target_met == saturated


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_meet_sizes_or_say_why_not(name: str, profile: str | None) -> None:
    for size in (1, 120, 450):
        check(encode(ODD[name], size=size, profile=profile, **QUICK), size)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::gscodec.errors.TargetWarning")
@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("name", ["flat", "one pixel", "a row", "a column", "transparent"])
def test_odd_pictures_meet_other_targets_or_say_why_not(name: str, profile: str | None) -> None:
    picture = ODD[name]
    pixels = picture.shape[0] * picture.shape[1]
    check(encode(picture, bpp=64.0, profile=profile, **QUICK), 8 * pixels)  # type: ignore[arg-type]
    check(encode(picture, bpp=1e-9, profile=profile, **QUICK), 1e-3)  # type: ignore[arg-type]
    for wanted in (20.0, 200.0):
        result = encode(picture, psnr=wanted, profile=profile, **QUICK)  # type: ignore[arg-type]
        assert result.target_met == (result.psnr >= wanted)
        assert bool(result.note) != result.target_met
    counted = encode(picture, gaussians=3, profile=profile, **QUICK)  # type: ignore[arg-type]
    assert (counted.n_gaussians, counted.target_met) == (3, True)


@pytest.mark.parametrize("size", [120, 137, 150, 200, 300, 450, 700, 1000, 2000])
def test_small_sizes_are_used(picture: Float32Array, size: int) -> None:
    pixels = np.round(picture * 255).astype(np.uint8)
    result = encode(pixels, size=size, **QUICK)  # type: ignore[arg-type]
    assert result.target_met
    assert 0.95 * size <= len(result.data) <= size
    assert result.profile == "small"
    assert result.lods == 1
    with gscodec.open(result.data) as image:
        assert image.render().shape == pixels.shape


def test_a_kilobyte_is_a_picture(picture: Float32Array) -> None:
    pixels = np.round(picture * 255).astype(np.uint8)
    placeholder = encode(pixels, size=150, preset="fast", steps=150)
    icon = encode(pixels, size=450, preset="fast", steps=150)
    assert placeholder.psnr > 22
    assert icon.psnr > 26
    assert encode(pixels, size=450, preset="fast", steps=150).data == icon.data


@pytest.mark.parametrize("value", [0, 255])
def test_a_single_pixel_is_a_file(value: int) -> None:
    pixel = np.full((1, 1, 3), value, np.uint8)
    result = encode(pixel, size=200)
    with gscodec.open(result.data) as image:
        np.testing.assert_array_equal(image.render(), pixel)


def test_a_constant_picture_takes_the_smallest_file_at_any_target() -> None:
    flat = ODD["flat"]
    for target in ({"psnr": 36.0}, {"bpp": 2.0}, {"size": 450}, {"size": 100}):
        result = encode(flat, **target, **QUICK)  # type: ignore[arg-type]
        assert result.target_met
        assert len(result.data) < 64
        assert math.isinf(result.psnr)
        with gscodec.open(result.data) as image:
            np.testing.assert_array_equal(image.render(), flat)
    assert "decodes exactly" in encode(flat, bpp=2.0, **QUICK).note  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", ["coded", "packed", "f16"])
def test_other_profiles_hold_constants_too(profile: str) -> None:
    result = encode(ODD["flat"], bpp=9.0, profile=profile, **QUICK)  # type: ignore[arg-type]
    assert (result.n_gaussians, result.target_met) == (1, True)
    assert math.isinf(result.psnr)


def test_blocks_without_gaussians_are_blocks_too() -> None:
    black = np.zeros((320, 320, 3), np.uint8)
    for target in ({"psnr": 36.0}, {"bpp": 0.2}, {"gaussians": 30}):
        result = encode(black, block=64, **target, **QUICK)  # type: ignore[arg-type]
        assert validate(result.data) == []
        assert math.isinf(result.psnr)
        assert result.target_met or result.note


def test_a_mask_of_one_texel_and_importance_of_nothing(picture: Float32Array) -> None:
    mask = np.zeros(picture.shape[:2])
    mask[20, 30] = 1
    hidden = encode(picture, size=300, mask=mask, **QUICK)  # type: ignore[arg-type]
    assert validate(hidden.data) == []
    assert hidden.n_gaussians == 1
    nothing = np.zeros(picture.shape[:2], np.float32)
    assert encode(picture, size=300, importance=nothing, **QUICK).target_met  # type: ignore[arg-type]


def test_a_millisecond_is_a_time_budget(picture: Float32Array, ticking_clock: Callable[[float], None]) -> None:
    ticking_clock(0.01)
    result = encode(picture, size=450, preset="fast", time_budget=0.001)
    check(result, 450)


def test_a_profile_of_srgb_does_not_eat_a_small_target(picture: Float32Array) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stack = from_array(np.round(picture * 255).astype(np.uint8), icc=srgb, source_name="a.png")
    with pytest.warns(SourceWarning, match=r"a.png: its ICC profile is left out, it is sRGB .* more than 5% of 400"):
        small = encode(stack, size=400, **QUICK)  # type: ignore[arg-type]
    assert small.target_met
    assert IgsReader(small.data).icc is None
    for more in ({"size": 20 * icc_bytes(srgb)}, {"gaussians": 9}):
        result = encode(stack, **more, **QUICK)  # type: ignore[arg-type]
        assert IgsReader(result.data).icc == srgb


def test_a_profile_of_other_colours_stays_and_a_missed_size_names_it(picture: Float32Array) -> None:
    icc = make_profile(padding=100) + DRAW.bytes(300)
    result = encode(from_array(np.round(picture * 255).astype(np.uint8), icc=icc), size=400, **QUICK)  # type: ignore[arg-type]
    assert not result.target_met
    assert IgsReader(result.data).icc == icc
    assert f"{icc_bytes(icc)} of them for its ICC profile" in result.note
    assert len(result.data) > icc_bytes(icc) > 300


@pytest.mark.parametrize(("size", "channels"), [(400, 3), (500, 3), (1200, 3), (1500, 8)])
def test_blocks_keep_small_sizes(size: int, channels: int) -> None:
    y, x = np.mgrid[0:130, 0:192]
    waves = [128 + 100 * np.sin(x / (9 + k) + k) * np.cos(y / (7 + k)) for k in range(channels)]
    result = encode(np.stack(waves, axis=2).astype(np.uint8), size=size, block=64, tune="psnr", **QUICK)  # type: ignore[arg-type]
    assert result.target_met
    assert 0.95 * size <= len(result.data) <= size
    assert result.n_gaussians > 6


@pytest.mark.parametrize("bpp", [0.5, 1])
def test_a_cut_out_uses_its_bytes_and_keeps_its_outline(bpp: float) -> None:
    y, x = np.mgrid[0:64, 0:64]
    inside = np.hypot(x - 31.5, y - 31.5) < 24
    pixels = np.stack([200 + x // 2, 60 + y * 2, 255 - 2 * x, 0 * x + 255], axis=2).astype(np.uint8) * inside[..., None]
    result = encode(pixels, bpp=bpp, preset="fast", steps=60, threads=1)
    budget = bpp * 64 * 64 / 8
    assert result.target_met
    assert 0.95 * budget <= len(result.data) <= budget
    with gscodec.open(result.data) as image:
        alpha = image.render()[:, :, 3]
    assert ((alpha > 127) == inside).mean() > 0.97
    assert alpha[:4].max() == 0
    assert alpha[24:40, 24:40].min() > 250


def test_a_list_of_levels_has_its_say(picture: Float32Array) -> None:
    pixels = np.round(picture * 255).astype(np.uint8)
    asked = encode(pixels, size=1500, lods=5, **QUICK)  # type: ignore[arg-type]
    assert (asked.profile, asked.lods) == ("coded", 5)
    assert encode(pixels, size=1200, profile="coded", **QUICK).lods == 1  # type: ignore[arg-type]
    halved = encode(pixels, size=1500, halves=2, **QUICK)  # type: ignore[arg-type]
    assert (halved.profile, halved.lods) == ("coded", 3)
    for levels in ({"lods": 2}, {"halves": 1}):
        with pytest.raises(InvalidArgument, match="single level"):
            encode(pixels, size=450, profile="small", **levels)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="2 of 2 levels"):
        encode(pixels, size=4500, lods=2, halves=2)
    with pytest.raises(InvalidArgument, match="cannot encode in blocks"):
        encode(pixels, size=450, profile="small", block=64)


def test_notes_are_all_that_a_small_file_says_of_its_making(picture: Float32Array) -> None:
    noted = encode(picture, size=300, meta={"key": "k"}, **QUICK)  # type: ignore[arg-type]
    with IgsReader(noted.data) as reader:
        assert reader.meta == {"psnr": pytest.approx(noted.psnr, abs=0.006), "key": "k"}
    with IgsReader(encode(picture, size=300, **QUICK).data) as reader:  # type: ignore[arg-type]
        assert reader.meta is None


@pytest.mark.parametrize("shape", [(1, 70_000), (2, 131_073), (70_000, 1)])
@pytest.mark.parametrize("target", [{"gaussians": 4}, {"size": 1000}])
def test_stripes_longer_than_the_cells_of_a_grid(shape: tuple[int, int], target: dict[str, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    result = encode(pixels, **QUICK, **target)  # type: ignore[arg-type]
    with gscodec.open(result.data) as image:
        assert image.render().shape == (*shape, 1)
    with pytest.raises(InvalidArgument, match="too narrow for its length"):
        encode(pixels, profile="coded", **QUICK, **target)  # type: ignore[arg-type]


def test_more_gaussians_than_any_use_are_not_made() -> None:
    from gscodec.encoding import targets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "FREE_COUNT", 100)
        result = encode(ODD["ramps"][:8, :8], gaussians=10**12, **QUICK)  # type: ignore[arg-type]
    assert (result.n_gaussians, result.target_met) == (100, False)


@pytest.mark.parametrize("wrong", [{"gaussians": 1.5}, {"gaussians": 4, "seed": -1}])
def test_counts_are_whole_numbers(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument, match="is not a whole number"):
        encode(ODD["ramps"], **QUICK, **wrong)  # type: ignore[arg-type]
