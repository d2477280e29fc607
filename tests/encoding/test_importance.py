"""Encodes in which some pixels count more."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.encoding.api import encode
from gscodec.encoding.importance import pixel_weights
from gscodec.errors import FileAccessError, InvalidArgument
from gscodec.fit.growth import new_rows
from gscodec.fit.loop import fit
from gscodec.fit.plan import FitPlan
from gscodec.fit.presets import PRESETS
from gscodec.fit.upkeep import removal_cost
from gscodec.image.arrays import from_array
from gscodec.model.gaussians import Float32Array, Grid
from gscodec.render.cpu import CpuRasterizer


def noise(height: int = 64, width: int = 96) -> Float32Array:
    """As busy everywhere."""
    rng = np.random.default_rng(3)
    coarse = rng.random((height // 4, width // 4, 3))
    return np.kron(coarse, np.ones((4, 4, 1))).astype(np.float32)


def left_half(height: int = 64, width: int = 96) -> Float32Array:
    mask = np.zeros((height, width), np.float32)
    mask[:, : width // 2] = 1
    return mask


def test_weights_are_one_on_average_and_as_far_apart_as_the_strength() -> None:
    weights = pixel_weights(left_half(), 5.0, from_array(noise()))
    assert weights.dtype == np.float32
    assert weights.mean(dtype=np.float64) == pytest.approx(1.0, abs=1e-6)
    assert weights[0, 0] / weights[0, -1] == pytest.approx(5.0, rel=1e-5)
    half = pixel_weights(np.full((64, 96), 0.5, np.float32), 5.0, from_array(noise()))
    assert (half == 1).all()


@pytest.mark.parametrize("with_image", [False, True])
def test_new_gaussians_go_where_it_matters_and_a_tenth_anywhere(*, with_image: bool) -> None:
    target = noise()
    plan = FitPlan(PRESETS["fast"], target.shape, (400,), 10)
    importance = np.where(left_half() > 0, np.float32(2), np.float32(0))
    image = np.full_like(target, 0.5) if with_image else None
    rows, _ = new_rows(plan, target, image, 0, 400, np.random.default_rng(1), importance=importance)
    left = (rows[:, 0] < 48).mean()
    assert left == pytest.approx(0.95, abs=0.03), "nine tenths, and half of the last one"
    plain, _ = new_rows(plan, target, image, 0, 400, np.random.default_rng(1))
    assert (plain[:, 0] < 48).mean() == pytest.approx(0.5, abs=0.1)


def test_what_a_gaussian_carries_is_weighted() -> None:
    target, engine = noise(), CpuRasterizer(1)
    grid = Grid(64, 96, target.mean(axis=(0, 1)))
    gaussians = fit(target, 60, PRESETS["fast"], rasterizer=engine, grid=grid, steps=30).gaussians
    plain = removal_cost(engine, gaussians, grid)
    assert removal_cost(engine, gaussians, grid, np.ones((64, 96), np.float32)) == pytest.approx(plain, rel=1e-5)
    importance = 2 * left_half()
    cost = removal_cost(engine, gaussians, grid, importance)
    far_right, far_left = gaussians.means[:, 0] > 80, gaussians.means[:, 0] < 16
    assert (cost[far_right] < 0.5 * plain[far_right]).all()
    assert cost[far_left] == pytest.approx(2 * plain[far_left], rel=0.2)


@pytest.mark.parametrize(
    "options",
    [{"profile": "coded"}, {"profile": "packed"}, {"profile": "f16"}, {"preset": "paper"}, {"tune": "psnr"}],
    ids=str,
)
def test_the_important_half_gains_and_the_other_pays(options: dict[str, str]) -> None:
    pixels = np.round(noise() * 255).astype(np.uint8)
    kind = {"preset": "fast"} | options
    steps = 300 if kind["preset"] == "paper" else 80
    plain = encode(pixels, gaussians=150, steps=steps, **kind)  # type: ignore[arg-type]
    mine = encode(pixels, gaussians=150, steps=steps, importance=left_half(), **kind)  # type: ignore[arg-type]
    errors = []
    for result in (plain, mine):
        with gscodec.open(result.data) as image:
            errors.append(((image.render() / 255.0 - pixels / 255.0) ** 2).mean(axis=2))
    assert errors[1][:, :48].mean() < 0.85 * errors[0][:, :48].mean()
    assert errors[1][:, 48:].mean() > errors[0][:, 48:].mean()
    assert mine.psnr == pytest.approx(-10 * np.log10(errors[1].mean()), abs=1e-3), "reported unweighted"
    weights = pixel_weights(left_half(), 4.0, from_array(pixels))
    assert mine.importance_psnr == pytest.approx(-10 * np.log10((errors[1] * weights).mean()), abs=1e-3)
    assert plain.importance_psnr is None
    with IgsReader(mine.data) as reader:
        assert (reader.meta or {})["importance"] == "map x4"


def test_a_map_is_an_array_or_a_file_and_auto_needs_none(tmp_path: Path) -> None:
    pixels, path = np.round(noise() * 255).astype(np.uint8), tmp_path / "map.png"
    mask = (left_half() * 255).astype(np.uint8)
    Image.fromarray(np.dstack([mask] * 3 + [np.full_like(mask, 9)])).save(path)
    results = [
        encode(pixels, gaussians=50, preset="fast", steps=10, importance=i) for i in (path, str(path), left_half())
    ]
    assert len({result.data for result in results}) == 1
    auto = encode(pixels, gaussians=50, preset="fast", steps=10, importance="auto", importance_strength=2)
    again = encode(pixels, gaussians=50, preset="fast", steps=10, importance="auto", importance_strength=2)
    assert auto.data == again.data != results[0].data
    with IgsReader(auto.data) as reader:
        assert (reader.meta or {})["importance"] == "auto x2"


def test_a_psnr_target_is_met_without_weights() -> None:
    pixels = np.round(noise(32, 48) * 255).astype(np.uint8)
    result = encode(pixels, psnr=24.0, preset="fast", steps=40, importance=left_half(32, 48))
    assert result.target_met
    assert result.psnr >= 24


def test_what_is_no_map_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((8, 9, 3), np.uint8)

    def encoded(importance: object, **more: object) -> None:
        encode(pixels, gaussians=5, preset="fast", steps=2, importance=importance, **more)  # type: ignore[arg-type]

    with pytest.raises(InvalidArgument, match="importance: the importance map has 8x9 px, the picture 9x8"):
        encoded(np.zeros((9, 8)))
    with pytest.raises(InvalidArgument, match="within 0 and 1"):
        encoded(np.full((8, 9), 1.5))
    with pytest.raises(InvalidArgument, match="strength"):
        encoded(np.zeros((8, 9)), importance_strength=0.5)
    with pytest.raises(InvalidArgument, match="strength"):
        encoded(np.zeros((8, 9)), importance_strength=float("nan"))
    with pytest.raises(FileAccessError):
        encoded(tmp_path / "none.png")
    with pytest.raises(InvalidArgument, match="with blocks"):
        encode(np.zeros((8, 130)), gaussians=5, preset="fast", importance=np.zeros((8, 130)), block=64)
