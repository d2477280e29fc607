"""What counts more and what does not count: weights of maps, and hidden texels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.encoding.api import encode
from gscodec.errors import InvalidArgument
from gscodec.image.levels import to_unit
from gscodec.image.stack import ImageStack
from gscodec.material.tile_folder import TileFolder, find_tiles
from gscodec.model.channels import ChannelGroup, Role
from gscodec.model.gaussians import Float32Array

SIDE = 96
GROUPS = (ChannelGroup("colour", Role.DATA, 3, 8), ChannelGroup("rough", Role.ROUGHNESS, 1, 8))


def smooth_noise(seed: int, channels: int) -> Float32Array:
    spectrum = np.random.default_rng(seed).normal(size=(SIDE, SIDE, channels))
    reach = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))[:, :, None]
    values = np.fft.ifft2(np.fft.fft2(spectrum, axes=(0, 1)) / (0.04 + reach) ** 2, axes=(0, 1)).real
    low, high = values.min(axis=(0, 1)), values.max(axis=(0, 1))
    return np.asarray((values - low) / (high - low), np.float32)


@pytest.fixture(scope="module")
def stack() -> ImageStack:
    return ImageStack(np.concatenate([smooth_noise(1, 3), smooth_noise(2, 1)], axis=2), GROUPS, None, "rock")


def errors(data: bytes, stack: ImageStack) -> tuple[float, float]:
    """Mean squares of colour and roughness."""
    with gscodec.open(data, device="cpu") as image:
        squares = (to_unit(image.render(), stack.groups) - stack.samples) ** 2
    return float(squares[:, :, :3].mean()), float(squares[:, :, 3].mean())


@pytest.mark.parametrize("profile", ["f16", "coded"])
@pytest.mark.parametrize("block", [None, 64])
def test_a_map_of_more_weight_is_nearer_and_the_others_pay(stack: ImageStack, profile: str, block: int | None) -> None:
    def encoded(weights: dict[str, float] | None) -> bytes:
        return encode(
            stack, size=2400, preset="fast", steps=120, profile=profile, weights=weights, block=block, device="cpu"
        ).data

    colour, rough = errors(encoded(None), stack)
    colour_after, rough_after = errors(encoded({"roughness": 30.0}), stack)
    assert rough_after < 0.8 * rough
    assert colour_after > colour


def hidden_half() -> tuple[np.ndarray, np.ndarray]:
    """A picture whose right half is noise in hidden texels, and the mask that hides them."""
    picture = np.round(255 * smooth_noise(3, 3)).astype(np.uint8)
    picture[:, SIDE // 2 :] = np.random.default_rng(4).integers(0, 256, (SIDE, SIDE // 2, 3))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, : SIDE // 2] = 255
    return picture, mask


@pytest.mark.parametrize("profile", ["f16", "coded"])
@pytest.mark.parametrize("block", [None, 64])
def test_what_nobody_sees_costs_nothing(profile: str, block: int | None) -> None:
    picture, mask = hidden_half()
    arguments = {"size": 4000, "preset": "fast", "steps": 150, "profile": profile, "block": block, "device": "cpu"}
    plain, masked = encode(picture, **arguments), encode(picture, mask=mask, **arguments)  # type: ignore[arg-type]  # all of them fit

    def seen(data: bytes) -> float:
        with gscodec.open(data, device="cpu") as image:
            decoded = image.render()[:, : SIDE // 2].astype(np.float64)
        return float(-10 * np.log10(np.mean((decoded - picture[:, : SIDE // 2]) ** 2) / 255**2))

    assert masked.target_met
    assert seen(masked.data) > seen(plain.data) + (3 if profile == "coded" else 1.5)
    assert masked.psnr == pytest.approx(seen(masked.data), abs=0.01), "PSNR is of what is seen"
    if block is None:
        with IgsReader(masked.data) as reader:
            assert np.mean(reader.read(0).means[:, 0] < SIDE // 2 + 2) > 0.9


def test_a_mask_is_a_path_or_numbers(tmp_path: Path) -> None:
    picture, mask = hidden_half()
    Image.fromarray(mask).save(tmp_path / "mask.png")
    by_path = encode(picture, gaussians=40, preset="fast", steps=10, mask=tmp_path / "mask.png")
    assert by_path.data == encode(picture, gaussians=40, preset="fast", steps=10, mask=mask).data


def test_sources_in_parts_take_neither(tmp_path: Path) -> None:
    for name in ("t_0_0.png", "t_1_0.png"):
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / name)
    found = find_tiles(tmp_path)
    assert found is not None
    with TileFolder(found, "tiles") as source, pytest.raises(InvalidArgument, match="cannot have a mask or weights"):
        encode(source, bpp=1.0, preset="fast", steps=1, mask=np.ones((64, 128)))
