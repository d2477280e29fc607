"""Pictures with an alpha: what is hidden costs nothing, 0 and 1 come back exactly, and edges have no fringe."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest
from PIL import Image

import gscodec
from gscodec.encoding.api import encode
from gscodec.encoding.opacity import MARGIN, aimed, fit_weights, prepared
from gscodec.image.arrays import from_array
from gscodec.image.stack import ImageStack
from gscodec.material.restore import Restored
from gscodec.metrics.seen import seen_psnr
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer

Codes = npt.NDArray[np.uint8]

SIDE = 64
STRAIGHT = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),)


def sprite(hidden: str = "noise", softness: float = 10.0) -> Codes:
    """A shaded disc with a soft edge; where it is clear, whatever a program may have left there."""
    y, x = np.mgrid[:SIDE, :SIDE] - 0.5 * (SIDE - 1)
    alpha = np.clip((26 - np.hypot(x, y)) / softness + 0.5, 0, 1)
    colour = np.stack([150 + x, 110 + y, 90 + 0.5 * (x + y)], axis=2)
    behind = {
        "noise": np.random.default_rng(1).integers(0, 256, colour.shape),
        "black": np.zeros_like(colour),
        "white": np.full_like(colour, 255),
    }[hidden]
    colour = np.where((alpha > 0)[:, :, None], colour, behind)
    return np.asarray(np.rint(np.dstack([colour, 255 * alpha])), np.uint8)


def made(source: Any, **arguments: Any) -> tuple[Restored, gscodec.EncodeResult]:
    """A picture as its file decodes, and the encode."""
    settings: dict[str, Any] = {"preset": "fast", "steps": 120, "seed": 1}
    result = encode(source, **(settings | arguments))
    with gscodec.open(result.data) as image:
        (restored,) = image.render_files().values()
    return restored, result


def unit(codes: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.asarray(codes / 255, np.float32)


def over(codes: npt.NDArray[Any], behind: float) -> npt.NDArray[np.float64]:
    alpha = codes[:, :, 3:] / 255.0
    return codes[:, :, :3] * alpha + behind * (1 - alpha)


@pytest.mark.parametrize("profile", ["coded", "packed", "f16"])
@pytest.mark.parametrize("bpp", [2.0, 6.0])
def test_clear_and_opaque_come_back_exactly(bpp: float, profile: str) -> None:
    source = sprite()
    restored, _ = made(source, bpp=bpp, profile=profile)
    alpha = restored.samples[:, :, 3]
    assert (alpha[source[:, :, 3] == 0] == 0).mean() > 0.999
    assert (alpha[source[:, :, 3] == 255] == 255).mean() > 0.999
    soft = (source[:, :, 3] > 0) & (source[:, :, 3] < 255)
    assert np.abs(alpha[soft].astype(int) - source[:, :, 3][soft]).mean() < 8


def test_clear_and_opaque_stay_so_in_mips_and_levels() -> None:
    source = sprite()
    result = encode(source, bpp=6.0, preset="fast", steps=120, profile="coded", halves=1)
    y, x = np.mgrid[:SIDE, :SIDE] - 0.5 * (SIDE - 1)
    distance = np.hypot(x, y)
    with gscodec.open(result.data) as image:
        assert image.lods > 1
        for lod in range(2):
            alpha = image.render(lod=lod)[:, :, 3]
            assert (alpha[distance > 34] == 0).all(), lod
            assert (alpha[distance < 18] == 255).all(), lod
        small = image.render(lod=0, size=(SIDE // 2, SIDE // 2))[:, :, 3].astype(float)
        levels = list(image.mips(0))
    averaged = source[:, :, 3].reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3))
    assert np.abs(small - averaged).mean() < 2
    assert abs((small - averaged)[(averaged > 0) & (averaged < 255)].mean()) < 3, "averages of clamped samples"
    assert np.abs(levels[1][:, :, 3] - small).max() <= 1, "averages of the picture, whose samples are rounded"


def test_what_is_hidden_costs_nothing_and_does_not_show() -> None:
    shown = {hidden: made(sprite(hidden), bpp=3.0)[0].samples for hidden in ("noise", "black", "white")}
    assert np.array_equal(shown["noise"], shown["black"])
    assert np.array_equal(shown["noise"], shown["white"])


@pytest.mark.parametrize("behind", [0.0, 255.0])
def test_edges_have_no_fringe(behind: float) -> None:
    source = sprite("white", softness=3.0)
    restored, _ = made(source, bpp=6.0)
    error = np.abs(over(restored.samples, behind) - over(source, behind)).max(axis=2)
    assert error.mean() < 1.5
    edge = (source[:, :, 3] > 0) & (source[:, :, 3] < 255)
    assert error[edge].mean() < 12
    # The colour of the edge is that of the disc, not of what lay behind: about 90 to 180.
    seen = restored.samples[:, :, :3][edge & (restored.samples[:, :, 3] > 0)]
    assert seen.max() < 210


def test_colour_is_right_where_alpha_is_low() -> None:
    source = sprite()
    source[:, :, :3] = (188, 124, 89)
    restored, _ = made(source, bpp=4.0)
    seen = restored.samples[restored.samples[:, :, 3] > 0][:, :3].astype(int)
    assert np.abs(seen - (188, 124, 89)).mean() < 1.5
    assert np.abs(seen - (188, 124, 89)).max() <= 6


@pytest.mark.parametrize("n_channels", [2, 4])
def test_an_opaque_alpha_takes_no_channel(n_channels: int) -> None:
    source = sprite()[:, :, [0, 3] if n_channels == 2 else [0, 1, 2, 3]]
    source[:, :, -1] = 255
    restored, result = made(source, bpp=6.0)
    with gscodec.open(result.data) as image:
        assert image.shape[2] == n_channels - 1
    assert restored.samples.shape == source.shape
    assert restored.groups[0].alpha is AlphaMode.STRAIGHT
    assert (restored.samples[:, :, -1] == 255).all()


def test_an_opaque_picture_is_written_with_its_alpha(tmp_path: Path) -> None:
    source = sprite()
    source[:, :, 3] = 255
    Image.fromarray(source).save(tmp_path / "in.png")
    gscodec.encode(tmp_path / "in.png", tmp_path / "out.igs", bpp=4, preset="fast", steps=20)
    (file,) = gscodec.export(tmp_path / "out.igs", tmp_path / "textures", to="png")
    with Image.open(file.path) as image:
        assert (image.mode, np.asarray(image)[:, :, 3].min()) == ("RGBA", 255)


@pytest.mark.parametrize("level", [0, 255])
def test_one_alpha_all_over(level: int) -> None:
    source = sprite()
    source[:, :, 3] = level
    restored, _ = made(source, bpp=2.0)
    assert (restored.samples[:, :, 3] == level).all()


@pytest.mark.parametrize("bpp", [2.0, 5.0])
def test_a_cut_out_stays_one(bpp: float) -> None:
    source = sprite()
    source[:, :, 3] = np.where(source[:, :, 3] > 127, 255, 0)
    restored, result = made(source, bpp=bpp)
    alpha = restored.samples[:, :, 3]
    assert set(np.unique(alpha)) == {0, 255}
    assert (alpha != source[:, :, 3]).mean() < 0.02
    with gscodec.open(result.data) as image:
        assert [file.binary_alpha for file in image.files] == [True]
        (small,) = image.render_files(size=(9, 9)).values()
    assert set(np.unique(small.samples[:, :, 3])) == {0, 255}


def test_cut_outs_of_floats_stay_so_too(tmp_path: Path) -> None:
    source = sprite().astype(np.float32) / 255
    alpha = (source[:, :, 3] > 0.5).astype(np.float32)
    planes = {name: np.ascontiguousarray(source[:, :, k] * alpha) for k, name in enumerate("RGB")} | {"A": alpha}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, dict(planes)).write(str(tmp_path / "in.exr"))
    restored, _ = made(tmp_path / "in.exr", bpp=6.0)
    assert set(np.unique(restored.samples[:, :, 3])) == {0, 1}
    assert (restored.samples[:, :, :3][restored.samples[:, :, 3] == 0] == 0).all()


def test_a_glow_lights_nothing_where_there_is_none(tmp_path: Path) -> None:
    alpha = sprite()[:, :, 3].astype(np.float32) / 255
    planes = dict.fromkeys("RGB", 2 * alpha) | {"A": np.where(alpha == 1, alpha, 0)}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, dict(planes)).write(str(tmp_path / "in.exr"))
    restored, _ = made(tmp_path / "in.exr", bpp=8.0)
    assert restored.groups[1].alpha is AlphaMode.PREMULTIPLIED
    dark = alpha == 0
    assert (restored.samples[dark] == 0).mean() > 0.995
    glow = (alpha > 0.2) & (alpha < 1)
    assert np.abs(restored.samples[:, :, 0] - planes["R"])[glow].mean() < 0.15


def test_blocks_are_fitted_alike() -> None:
    source = np.tile(sprite(), (2, 2, 1))
    restored, result = made(source, bpp=4.0, block=64)
    alpha = restored.samples[:, :, 3]
    assert (alpha[source[:, :, 3] == 0] == 0).mean() > 0.99
    assert (alpha[source[:, :, 3] == 255] == 255).mean() > 0.99
    assert result.psnr == pytest.approx(seen_psnr(unit(source), unit(restored.samples), STRAIGHT), abs=0.01)


def test_psnr_is_of_what_is_seen() -> None:
    source = np.zeros((4, 4, 4), np.float32)
    source[:, 2:, 3] = 1.0
    decoded = source.copy()
    decoded[:, :2, :3] = 0.7  # hidden
    assert seen_psnr(source, decoded, STRAIGHT) == np.inf
    decoded[:, 2:, :3] = 0.1
    # 8 pixels of 3 colours are off by 0.1; the alphas of 16 pixels count too.
    assert seen_psnr(source, decoded, STRAIGHT) == pytest.approx(-10 * np.log10(0.01 * 24 / (24 + 16)))
    result = made(sprite(), bpp=3.0)[1]
    with gscodec.open(result.data) as image:
        assert result.psnr == pytest.approx(seen_psnr(unit(sprite()), unit(image.render()), STRAIGHT), abs=0.01)


def test_an_opaque_alpha_does_not_count() -> None:
    source = sprite()
    source[:, :, 3] = 255
    restored, result = made(source, bpp=3.0)
    assert result.psnr == pytest.approx(seen_psnr(unit(source), unit(restored.samples), STRAIGHT), abs=0.01)


def test_a_psnr_target_is_of_what_is_seen() -> None:
    result = made(sprite(), psnr=34.0)[1]
    assert result.target_met
    assert 34.0 <= result.psnr < 36.5


def test_aims_and_weights() -> None:
    alpha = np.array([[0.0, 0.25, 1.0]], np.float32)
    samples = np.dstack([np.full((1, 3, 3), 0.5, np.float32), alpha])
    aim = aimed(samples, STRAIGHT)
    np.testing.assert_array_equal(aim[:, :, :3], samples[:, :, :3])
    assert aim[0, :, 3] == pytest.approx([-MARGIN, 0.25, 1 + MARGIN])
    weights = fit_weights(samples, STRAIGHT)
    assert weights is not None
    assert weights.shape == (4, 1, 3)
    assert weights.mean() == pytest.approx(1)
    assert weights[0, 0, 1] / weights[3, 0, 1] == pytest.approx(0.25)
    plain = (ChannelGroup("color", n_channels=4, role=Role.DATA),)
    assert aimed(samples, plain) is samples
    assert fit_weights(samples, plain) is None
    unclamped = (
        ChannelGroup("color", Role.COLOR, 3, 16, SampleType.FLOAT, Transfer.ASINH),
        ChannelGroup("A", Role.OPACITY, 1, 16, SampleType.FLOAT, Transfer.LINEAR, AlphaMode.STRAIGHT),
    )
    np.testing.assert_array_equal(aimed(samples, unclamped), samples)


def test_the_maps_of_a_material_keep_their_files() -> None:
    groups = (ChannelGroup("leaf", Role.ALBEDO, 4, alpha=AlphaMode.STRAIGHT), ChannelGroup("rough", Role.ROUGHNESS, 1))
    source = unit(np.dstack([sprite(), sprite()[:, :, :1]]))
    stack = prepared(ImageStack(source, groups), "x.png")
    assert not stack.files
    assert np.array_equal(stack.samples[:, :, 3:], source[:, :, 3:])
    weights = fit_weights(stack.samples, groups)
    assert weights is not None
    assert (weights[3:] == weights[3, 0, 0]).all()
    assert from_array(sprite()).samples.shape == (SIDE, SIDE, 4)
