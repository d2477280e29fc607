import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gscodec_bench.colour import ciede2000, lab_of
from gscodec_bench.judges import ALL_METRICS, block_hue, block_luma, block_means, butteraugli
from scipy import ndimage
from skimage import color

from gscodec.model.channels import AlphaMode, ChannelGroup, Role, Transfer

Waves = Callable[..., npt.NDArray[np.uint8]]
Picture = npt.NDArray[np.float32]
COLOUR = (ChannelGroup("color"),)

# Sharma, Wu, Dalal 2005, Table 1: pairs of CIELAB values and their CIEDE2000
SHARMA = np.array(
    [
        [50, 2.6772, -79.7751, 50, 0, -82.7485, 2.0425],
        [50, 3.1571, -77.2803, 50, 0, -82.7485, 2.8615],
        [50, 2.8361, -74.0200, 50, 0, -82.7485, 3.4412],
        [50, -1.3802, -84.2814, 50, 0, -82.7485, 1.0000],
        [50, 0, 0, 50, -1, 2, 2.3669],
        [50, 2.49, -0.001, 50, -2.49, 0.0009, 7.1792],
        [50, 2.49, -0.001, 50, -2.49, 0.0011, 7.2195],
        [50, -0.001, 2.49, 50, 0.0009, -2.49, 4.8045],
        [50, -0.001, 2.49, 50, 0.0011, -2.49, 4.7461],
        [50, 2.5, 0, 50, 0, -2.5, 4.3065],
        [50, 2.5, 0, 73, 25, -18, 27.1492],
        [50, 2.5, 0, 61, -5, 29, 22.8977],
        [50, 2.5, 0, 50, 3.1736, 0.5854, 1.0000],
        [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
        [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
        [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
        [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
        [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
    ]
)


def picture(waves: Waves) -> Picture:
    return np.asarray(waves(70, 90, 3) / 255, np.float32)


def test_ciede2000_of_the_published_pairs() -> None:
    first, second, expected = SHARMA[:, :3], SHARMA[:, 3:6], SHARMA[:, 6]
    assert ciede2000(first, second) == pytest.approx(expected, abs=5e-5)
    assert ciede2000(second, first) == pytest.approx(expected, abs=5e-5)


def test_colours_are_those_of_skimage() -> None:
    first, second = np.random.default_rng(3).random((2, 50, 40, 3))
    assert lab_of(first) == pytest.approx(color.rgb2lab(first), abs=0.02)  # whose white point has fewer digits
    expected = color.deltaE_ciede2000(color.rgb2lab(first), color.rgb2lab(second))  # type: ignore[no-untyped-call]
    assert ciede2000(lab_of(first), lab_of(second)) == pytest.approx(expected, abs=0.02)


def test_means_of_blocks_that_do_not_divide_the_picture() -> None:
    samples = np.random.default_rng(0).random((35, 50, 3)).astype(np.float32)
    means = block_means(samples)
    assert means.shape == (3, 4, 3)
    assert means[1, 2] == pytest.approx(samples[16:32, 32:48].mean(axis=(0, 1)))
    assert means[2, 3] == pytest.approx(samples[32:, 48:].mean(axis=(0, 1)), abs=1e-6)


def test_block_means_see_areas_and_not_pixels(waves: Waves) -> None:
    clean = 0.25 + 0.5 * picture(waves)
    brighter = clean + 10 / 255
    assert block_luma(clean, brighter.astype(np.float32)) == pytest.approx(10, rel=1e-4)
    noise = np.random.default_rng(1).choice([-0.1, 0.1], clean.shape)
    noise -= np.kron(block_means(noise.astype(np.float32)), np.ones((16, 16, 1)))[:70, :90]
    noisy = (clean + noise).astype(np.float32)
    assert block_luma(clean, noisy) < 1e-3
    assert block_hue(clean, noisy) < 1e-3
    tinted = clean + np.array([0.06, -0.0306, 0], np.float32)  # of no luma
    assert block_luma(clean, tinted) < 0.01
    assert block_hue(clean, tinted) > 3


@pytest.mark.parametrize("name", ["butteraugli3", "cvvdp", "block_luma", "block_hue", "ssimulacra2"])
def test_every_judge_prefers_less_damage(waves: Waves, name: str) -> None:
    judge = ALL_METRICS[name]
    if reason := judge.missing():
        pytest.skip(reason)
    clean = picture(waves)
    hues = np.kron(np.random.default_rng(4).normal(0, 1, (5, 6, 3)), np.ones((16, 16, 1)))[:70, :90]
    for damage in (
        [clean, *(ndimage.gaussian_filter(clean, (sigma, sigma, 0)) for sigma in (1, 4))],
        [clean, *(np.clip(clean + step * hues, 0, 1).astype(np.float32) for step in (0.03, 0.15))],
    ):
        values = [judge.measure(clean, worse, COLOUR) for worse in damage]
        figures = [value if value is None or not judge.higher_is_better else -value for value in values]
        assert None not in figures
        assert figures == sorted(figures, key=lambda value: value or 0)
        assert figures[0] != figures[-1]
        assert values[0] == pytest.approx({"cvvdp": 10, "ssimulacra2": 100}.get(name, 0), abs=1e-6)


def test_judges_leave_out_what_is_not_seen(waves: Waves) -> None:
    heights = (ChannelGroup("height", Role.HEIGHT, 1, transfer=Transfer.LINEAR),)
    gray = picture(waves)[:, :, :1]
    small = picture(waves)[:7, :7]
    for name in ("butteraugli3", "cvvdp", "block_luma", "block_hue"):
        assert ALL_METRICS[name].measure(gray, gray, heights) is None
    for name in ("butteraugli3", "cvvdp"):
        assert ALL_METRICS[name].measure(small, small, COLOUR) is None
    assert ALL_METRICS["block_luma"].measure(gray, gray, (ChannelGroup("gray", n_channels=1),)) == 0
    covered = np.concatenate([picture(waves), np.zeros_like(gray)], axis=2)
    straight = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),)
    assert ALL_METRICS["block_hue"].measure(covered, covered[::-1].copy(), straight) == 0


def test_the_programs_3_norm_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waves: Waves) -> None:
    program = tmp_path / "butteraugli_main"
    program.write_text("#!/bin/sh\nhead -c 3 \"$1\" >&2\necho 5.19\necho '3-norm: 2.018255'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert butteraugli(picture(waves), picture(waves)) == 2.018255
    program.write_text("#!/bin/sh\necho 'no such picture' >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match="ended with 1: no such picture"):
        butteraugli(picture(waves), picture(waves))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert shutil.which("butteraugli_main") is None
    assert "libjxl-devtools" in str(ALL_METRICS["butteraugli3"].missing())
