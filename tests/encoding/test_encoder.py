from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.encoding.api import Progress, encode
from gscodec.errors import InvalidArgument, OutputExists, TargetWarning
from gscodec.image.arrays import from_array
from gscodec.metrics import psnr
from gscodec.model.gaussians import Float32Array
from gscodec.profiles.packed import record_bytes_range

Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def pixels(picture: Float32Array) -> Pixels:
    return np.round(picture * 255).astype(np.uint8)


@pytest.mark.parametrize("lods", [1, 5])
@pytest.mark.parametrize("bpp", [1.5, 4.0])
def test_rates_are_met_and_never_exceeded(pixels: Pixels, bpp: float, lods: int) -> None:
    result = encode(pixels, bpp=bpp, preset="fast", steps=3, lods=lods)
    assert result.target_met
    assert 0.95 * bpp <= result.bpp <= bpp
    assert result.bpp == pytest.approx(8 * len(result.data) / (48 * 72))


def test_size_bppc_and_count_say_the_same(pixels: Pixels) -> None:
    by_size = encode(pixels, size=1500, preset="fast", steps=3)
    by_bppc = encode(pixels, bppc=1500 * 8 / pixels.size, preset="fast", steps=3)
    assert by_size.data == by_bppc.data
    assert 0.95 * 1500 <= len(by_size.data) <= 1500
    assert encode(pixels, gaussians=37, preset="fast", steps=3).n_gaussians == 37


def test_a_bound_below_the_smallest_file_gives_that_file_and_says_so(pixels: Pixels) -> None:
    result = encode(pixels, bpp=0.01, preset="fast", steps=3)
    assert not result.target_met
    assert result.n_gaussians == 1
    with gscodec.open(result.data) as image:
        assert image.render().shape == (48, 72, 3)


def test_psnr_is_that_of_the_decoded_file(pixels: Pixels) -> None:
    result = encode(pixels, gaussians=50, preset="fast", steps=60)
    with gscodec.open(result.data) as image:
        assert psnr(image.render(), pixels) == pytest.approx(result.psnr, abs=1e-3)
        assert image.info["meta"]["psnr"] == pytest.approx(result.psnr, abs=0.006)


@pytest.mark.parametrize("profile", ["coded", "f16"])
def test_a_psnr_target_is_met_by_a_file_not_much_better(pixels: Pixels, profile: str) -> None:
    result = encode(pixels, psnr=38.0, preset="fast", steps=80, profile=profile)
    assert result.target_met
    assert 38 <= result.psnr < 40, "each of some 20 Gaussians is worth half a decibel"
    again = encode(pixels, psnr=38.0, preset="fast", steps=80, profile=profile)
    assert again.data == result.data


@pytest.mark.parametrize("wanted", [24.0, 26.0, 28.0])
def test_a_psnr_target_of_a_few_gaussians_is_met(pixels: Pixels, wanted: float) -> None:
    """Fits of a handful scatter by decibels, and more of them may have less."""
    result = encode(pixels, psnr=wanted, preset="fast", steps=80, profile="f16")
    assert result.target_met
    assert result.psnr >= wanted


def test_a_psnr_target_out_of_reach_says_so() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with pytest.warns(TargetWarning, match="90 dB are out of reach"):
        result = encode(noise, psnr=90.0, preset="fast", steps=5)
    assert not result.target_met
    assert result.data


def test_the_same_arguments_give_the_same_bytes(pixels: Pixels) -> None:
    first = encode(pixels, gaussians=30, preset="fast", steps=10, seed=4, threads=1)
    second = encode(pixels, gaussians=30, preset="fast", steps=10, seed=4, threads=2)
    assert first.data == second.data
    assert first.data != encode(pixels, gaussians=30, preset="fast", steps=10, seed=5).data


def test_progress_tells_steps_rate_and_time(pixels: Pixels) -> None:
    seen: list[Progress] = []
    result = encode(pixels, gaussians=40, preset="fast", steps=12, profile="f16", progress=seen.append)
    assert [p.step for p in seen if p.phase == "fit"] == list(range(1, 13))
    assert {p.phase for p in seen} == {"fit", "pack"}
    assert seen[-1].bpp <= result.bpp
    assert (seen[-1].fraction, seen[-1].seconds_left) == (1, 0)
    assert all(np.isfinite(p.psnr) or p.step == 1 for p in seen)


def test_progress_counts_all_fits_of_a_small_file(pixels: Pixels) -> None:
    seen: list[Progress] = []
    encode(pixels, size=300, preset="fast", steps=12, progress=seen.append)
    assert [p.step for p in seen if p.phase != "pack"] == list(range(1, 4 * 14 + 1))
    assert {p.total_steps for p in seen} == {4 * 14}
    assert seen[-1].seconds_left == 0


def test_progress_names_its_phases_and_never_falls(pixels: Pixels) -> None:
    seen: list[Progress] = []
    encode(pixels, size=4000, lods=3, preset="fast", steps=12, progress=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < 0.1
    assert fractions[-1] == 1
    own = ["fit", "quantise", "pack"]
    levels = [f"level {k} of 2: {phase}" for k in (1, 2) for phase in own]
    assert list(dict.fromkeys(p.phase for p in seen)) == levels + own
    assert all(p.seconds_left >= 0 for p in seen)


def test_progress_counts_the_steps_on_the_lattice(pixels: Pixels) -> None:
    seen: list[Progress] = []
    result = encode(pixels, bpp=3.0, profile="coded", preset="fast", steps=12, progress=seen.append)
    assert [p.step for p in seen] == [*range(1, 15), 14]
    assert {p.total_steps for p in seen} == {14}
    assert result.steps == 14
    assert seen[-1].n_gaussians == result.n_gaussians
    assert abs(seen[-1].bpp / result.bpp - 1) < 0.3


def test_profiles(pixels: Pixels) -> None:
    coded = encode(pixels, gaussians=60, preset="fast", steps=8)
    plain = encode(pixels, gaussians=60, preset="fast", steps=8, profile="f16")
    with IgsReader(coded.data) as one, IgsReader(plain.data) as other:
        assert (one.header.profile, other.header.profile) == (2, 0)
        assert one.pages.edges[-1] < 0.5 * other.pages.edges[-1]
    with IgsReader(encode(pixels, gaussians=60, preset="paper", steps=8).data) as reader:
        assert reader.header.profile == 0
    with pytest.raises(InvalidArgument, match="profile 'zip' is not known: use coded, packed, f16"):
        encode(pixels, gaussians=60, profile="zip")


def test_a_psnr_target_of_packed_records(pixels: Pixels) -> None:
    result = encode(pixels, psnr=31.0, preset="fast", steps=30, profile="packed")
    assert result.target_met
    assert 31 <= result.psnr < 33, "records are as long as they are, and each Gaussian is worth half a decibel"


def test_packed_records_are_fixed_size_and_fine_tuned(pixels: Pixels) -> None:
    for asked, stride in ((None, 6), (5, 5), (8, 8)):
        result = encode(pixels, size=1500, preset="fast", steps=60, profile="packed", record_bytes=asked)
        assert result.target_met
        assert 1500 - 45 <= len(result.data) <= 1500  # a Gaussian more may need a page more
        with IgsReader(result.data) as reader:
            assert (reader.header.profile, reader.record_bytes) == (1, stride)
    tuned = encode(pixels, gaussians=60, preset="fast", steps=60, profile="packed")
    floats = encode(pixels, gaussians=60, preset="fast", steps=60, profile="f16")
    assert tuned.psnr > floats.psnr - 1.0


@pytest.mark.parametrize(
    ("profile", "record_bytes", "words"),
    [("coded", 6, "need profile packed, not coded"), ("packed", 2, "use 3"), ("packed", 99, "use 3..11")],
)
def test_records_that_cannot_be_are_refused(pixels: Pixels, profile: str, record_bytes: int, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        encode(pixels, gaussians=60, profile=profile, record_bytes=record_bytes)


@pytest.mark.parametrize("channels", [1, 2, 9])
def test_packed_files_of_any_channels(channels: int) -> None:
    y, x = np.mgrid[0:40, 0:56]
    planes = np.stack([0.5 + 0.4 * np.sin(x / (4 + k) + y / 9) for k in range(channels)], axis=2).astype(np.float32)
    stack = from_array(planes)
    for record_bytes in (None, *record_bytes_range(channels)):
        result = encode(stack, gaussians=30, preset="fast", steps=20, profile="packed", record_bytes=record_bytes)
        with IgsReader(result.data) as reader:
            assert record_bytes in {None, reader.record_bytes}
            assert len(reader.read(0)) == 30


def test_a_flat_white_picture_stays_white() -> None:
    """Nothing but Gaussians can go where a flat picture is to have fewer bytes: its features cost next to none."""
    white = np.full((128, 128), 255, np.uint8)
    result = encode(white, preset="fast", bpp=0.5)
    assert result.target_met
    with gscodec.open(result.data) as image:
        assert image.render().min() >= 254


def test_a_failed_encode_leaves_the_old_file(pixels: Pixels, tmp_path: Path) -> None:
    path = tmp_path / "out.igs"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        encode(pixels, path, gaussians=5, preset="fast", steps=2)

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(pixels, path, gaussians=5, preset="fast", steps=2, overwrite=True, progress=interrupt)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]
    encode(pixels, path, gaussians=5, preset="fast", steps=2, overwrite=True)
    assert path.read_bytes().startswith(b"\xabIGS")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bpp": 1.0, "size": 100}, "at most one"),
        ({"bpp": 1.0, "quality": 50.0}, "at most one"),
        ({"quality": 101.0}, "quality"),
        ({"bpp": 0.0}, "positive"),
        ({"bpp": float("nan")}, "positive"),
        ({"gaussians": -3}, "at least 1"),
        ({"gaussians": 3, "lods": 0}, "lods"),
        ({"gaussians": 3, "lods": 17}, "lods"),
        ({"gaussians": 3, "preset": "slow"}, "preset"),
        ({"gaussians": 3, "device": "tpu"}, "device"),
        ({"gaussians": 3, "threads": 0}, "threads"),
    ],
)
def test_bad_arguments_are_one_clear_line(pixels: Pixels, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument, match=text) as caught:
        encode(pixels, **arguments)
    assert "\n" not in str(caught.value)
