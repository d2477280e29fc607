"""Levels of detail that an encode writes: generations of the finest set, and coarser sets of smaller pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gscodec
from gscodec import encode
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.encoding import targets
from gscodec.encoding.job import Job
from gscodec.encoding.ladder import FOUR_LEVELS, MOST_SETS, PLACEHOLDER_BYTES, Ladder, shares_of
from gscodec.encoding.packing import Encoded
from gscodec.encoding.whole import encode_whole
from gscodec.fit.holes import empty_tiles
from gscodec.image.regions import RegionSource, StackRegions
from gscodec.image.stack import ImageStack
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer
from gscodec.model.constants import MAX_HALVES
from gscodec.model.gaussians import Float32Array
from gscodec.render.cpu import CpuRasterizer

QUICK: dict[str, Any] = {"preset": "fast", "steps": 12, "threads": 1}


@pytest.fixture(scope="module")
def pixels() -> npt.NDArray[np.uint8]:
    """(96, 160, 3) soft shapes."""
    y, x = np.mgrid[0:96, 0:160].astype(np.float64)
    waves = [np.sin(x / 9 + k) * np.cos(y / 13 - k) + 0.5 * (np.hypot(x - 60, y - 40) < 24 + 5 * k) for k in range(3)]
    return np.asarray(np.clip(120 + 60 * np.stack(waves, axis=2), 0, 255), np.uint8)


def shape_of(data: bytes) -> list[tuple[int, int, int]]:
    """For each set, the finest first, its levels, the side of its pixels and its Gaussians."""
    with IgsReader(data) as reader:
        return [
            (len(reader.lods_of(n)), reader.scale_of(n), reader.count(reader.lods_of(n)[0]))
            for n in range(reader.n_sets)
        ]


def test_ladders_have_the_levels_that_are_asked_for() -> None:
    for n_lods in range(1, 17):
        for halves in range(min(n_lods, MAX_HALVES + 1)):
            ladder = Ladder.of(n_lods, halves)
            assert ladder.generations + ladder.n_coarser == n_lods
            assert ladder.n_coarser <= MOST_SETS
            assert ladder.generations == 1 + halves or ladder.n_coarser == MOST_SETS
    for n_bytes in (3000, FOUR_LEVELS - 1, FOUR_LEVELS, 17_000, 250_000, 10**6, 10**9):
        ladder = Ladder.for_bytes(n_bytes, 1)
        shares = shares_of(n_bytes, ladder.n_coarser)
        assert (ladder.generations, len(shares)) == (2, ladder.n_coarser)
        assert ladder.n_coarser >= 3 or n_bytes < FOUR_LEVELS
        assert shares == sorted(shares, reverse=True)
        assert shares[-1] <= PLACEHOLDER_BYTES or ladder.n_coarser == MOST_SETS
        assert len(shares) <= 3 or shares[-2] > PLACEHOLDER_BYTES
        assert sum(shares) < 0.045 * n_bytes
    assert shares_of(1 << 20, 4) == [1 << 14, 1 << 12, 1 << 10, 1 << 8]
    assert shares_of(2100, 1, 3) < shares_of(2100, 1, 9)


def test_no_tile_of_a_coarser_level_is_empty(pixels: npt.NDArray[np.uint8]) -> None:
    with IgsReader(encode(pixels, size=6000, lods=4, **QUICK).data) as reader:
        for lod in range(reader.n_lods):
            assert not len(empty_tiles(CpuRasterizer(1), reader.read(lod), reader.grid))


def test_a_set_takes_one_fit(pixels: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    profiles: list[str] = []

    def counted(job: Job, *rest: Any, **named: Any) -> Encoded:
        profiles.append(job.profile)
        return encode_whole(job, *rest, **named)

    monkeypatch.setattr(targets, "encode_whole", counted)
    assert encode(pixels, size=6000, lods=2, **QUICK).target_met
    assert profiles.count("small") == 1


@pytest.mark.parametrize(("lods", "halves"), [(1, 0), (2, 0), (3, 2), (4, 1), (5, 0)])
@pytest.mark.parametrize("profile", ["coded", "packed", "f16"])
def test_a_file_has_its_levels_within_its_bytes(
    pixels: npt.NDArray[np.uint8], profile: str, lods: int, halves: int
) -> None:
    result = encode(pixels, size=6000, profile=profile, lods=lods, halves=halves, **QUICK)
    assert result.target_met
    assert 0.95 * 6000 <= len(result.data) <= 6000
    assert result.lods == lods
    assert validate(result.data) == []
    sets = shape_of(result.data)
    assert sets[0][0] == 1 + halves
    assert [scale for _, scale, _ in sets] == [1, 8, 16, 32, 64][: lods - halves]
    with gscodec.open(result.data, device="cpu") as image:
        errors = [float(np.square(image.render(lod).astype(float) - pixels).mean()) for lod in range(lods)]
        assert all(image.render(lod).shape == pixels.shape for lod in range(lods))
    assert errors[0] == min(errors)
    with IgsReader(result.data) as reader:
        for number in range(1, reader.n_sets):
            (lod,) = reader.lods_of(number)
            chunk = [chunk for chunk in reader.chunks if chunk.fourcc == b"CSET"][-number]
            share = shares_of(6000, reader.n_sets - 1)[number - 1]
            assert (chunk.n_lods, lod) == (1, halves + number)
            assert 0.6 * share <= chunk.stored_size <= share


def test_other_targets_have_levels_too(pixels: npt.NDArray[np.uint8]) -> None:
    by_count = encode(pixels, gaussians=600, **QUICK)
    assert (by_count.n_gaussians, by_count.lods) == (600, 2)
    assert shape_of(by_count.data)[0] == (1, 1, 600)
    halved = encode(pixels, gaussians=600, halves=2, **QUICK)
    assert (halved.n_gaussians, halved.lods) == (600, 4)
    assert shape_of(halved.data)[0] == (3, 1, 600)
    by_psnr = encode(pixels, psnr=27.0, **QUICK)
    with gscodec.open(by_psnr.data, device="cpu") as image:
        assert image.lods == by_psnr.lods
    assert not validate(by_psnr.data)
    flat = encode(np.full((40, 50, 3), 99, np.uint8), size=5000, **QUICK)
    assert flat.lods == 1


def test_the_same_call_gives_the_same_file_in_blocks_and_after_an_interruption(
    pixels: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    settings = QUICK | {"size": FOUR_LEVELS, "block": 64, "halves": 1}
    whole = encode(pixels, **settings)
    assert whole.lods == 5
    assert shape_of(whole.data)[1][:2] == (1, 8)
    kept = tmp_path / "kept"
    assert encode(pixels, checkpoint=kept, **settings).data == whole.data
    assert not kept.exists()


class _Parts(StackRegions):
    """A picture in memory that says it is read in parts."""


def test_a_picture_in_parts_gets_the_same_coarser_sets(pixels: npt.NDArray[np.uint8]) -> None:
    stack = ImageStack(pixels.astype(np.float32) / np.float32(255), (ChannelGroup("color", n_channels=3),))
    parts: RegionSource = _Parts(stack)
    in_parts = encode(parts, size=FOUR_LEVELS, **(QUICK | {"block": 64}))
    whole = encode(stack, size=FOUR_LEVELS, **(QUICK | {"block": 64}))
    with IgsReader(in_parts.data) as one, IgsReader(whole.data) as other:
        assert one.n_lods == other.n_lods == 4
        np.testing.assert_array_equal(one.read(3).means, other.read(3).means)


def test_maps_alpha_and_floats_have_levels(pixels: npt.NDArray[np.uint8]) -> None:
    unit = pixels.astype(np.float32) / np.float32(255)
    alpha = (unit[:, :, :1] > 0.3).astype(np.float32)
    groups = (
        ChannelGroup("albedo", Role.ALBEDO, 4, alpha=AlphaMode.STRAIGHT),
        ChannelGroup("height", Role.HEIGHT, 1, 16, SampleType.FLOAT, Transfer.ASINH, value_max=9.0, knee_log2=-2),
    )
    stack = ImageStack(np.concatenate([unit, alpha, unit[:, :, :1]], axis=2), groups)
    visible = np.ones(pixels.shape[:2], np.bool_)
    visible[:, 120:] = False
    weights = np.linspace(0, 1, pixels.shape[1])[None].repeat(len(pixels), 0)
    result = encode(stack, size=9000, mask=visible.astype(np.uint8), importance=weights, **QUICK)
    assert result.lods == 4
    assert not [issue for issue in validate(result.data) if issue.severity == "error"]
    with gscodec.open(result.data, device="cpu") as image:
        coarse: Float32Array = image.render(3, dtype=np.float32)
        fine: Float32Array = image.render(0, dtype=np.float32)
    seen = np.s_[:, :112]
    assert np.abs(coarse[seen] - fine[seen]).mean() < 0.25 * max(1.0, float(fine.max()))
