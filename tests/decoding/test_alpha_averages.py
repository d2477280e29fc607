"""Smaller pictures of colour under straight alpha: each pixel counts by its alpha, and what is hidden never shows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.decoding import scaled
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.image.averages import SampleAverage
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer
from gscodec.model.gaussians import GaussianSet, Grid, LodTable

GREEN, RED = (0.1, 0.8, 0.3), (0.9, 0.05, 0.6)
RGBA = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),)
APART = (ChannelGroup("leaf", Role.ALBEDO, 3), ChannelGroup("mask", Role.OPACITY, 1, alpha=AlphaMode.STRAIGHT))
NAMED = (ChannelGroup("color", n_channels=3), ChannelGroup("opacity", Role.OPACITY, 1))
LIGHT = (
    ChannelGroup("color", n_channels=3, sample_type=SampleType.FLOAT, transfer=Transfer.LINEAR, bit_depth=32),
    ChannelGroup("A", Role.OPACITY, 1, 32, SampleType.FLOAT, Transfer.LINEAR, alpha=AlphaMode.STRAIGHT),
)
PREMULTIPLIED = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.PREMULTIPLIED),)
STRAIGHT = {"rgba": RGBA, "apart": APART, "named": NAMED, "light": LIGHT}

SIZES = [(45, 35), (44, 69), (9, 14), (15, 70), (45, 1), (2, 3), (1, 1)]


def leaves(groups: tuple[ChannelGroup, ...], height: int = 45, width: int = 70, n: int = 5) -> bytes:
    """Green of any alpha on clear red: what no Gaussian reaches is the background, and that alone."""
    rng = np.random.default_rng(n)
    features = np.column_stack([np.tile(GREEN, (n, 1)), rng.uniform(0.05, 1, n)]).astype(np.float32)
    gaussians = GaussianSet(
        rng.uniform(0, [width, height], (n, 2)),
        rng.uniform(3, 8, (n, 2)),  # tiles that none of them reaches are clear
        rng.uniform(0, np.pi, n),
        features,
    )
    grid = Grid(height, width, np.array([*RED, 0], np.float32), top_k=4)
    return pack(Contents(grid, groups, LodTable((n,), ((1.0,),)), gaussians, page_size=8))


def weighted(whole: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """(height, width, 4) from the definition: colour by alpha, alpha plainly."""
    weights = [box_weights(n, m) for n, m in zip(whole.shape[:2], size, strict=True)]
    cover = np.einsum("ah,bw,hw->ab", *weights, whole[:, :, 3])
    colour = np.einsum("ah,bw,hwc->abc", *weights, whole[:, :, :3] * whole[:, :, 3:])
    return np.dstack([colour / np.maximum(cover, 1e-30)[:, :, None], cover])


def box_weights(n: int, m: int) -> npt.NDArray[np.float64]:
    """(m, n) shares of n cells in m outputs."""
    edges = np.arange(m + 1) * n / m
    cells = np.arange(n)
    met = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.asarray(np.maximum(met, 0) * m / n, np.float64)


@pytest.mark.parametrize("groups", STRAIGHT.values(), ids=STRAIGHT.keys())
@pytest.mark.parametrize("size", SIZES)
def test_the_colour_that_is_seen_is_the_one_that_comes_back(
    groups: tuple[ChannelGroup, ...], size: tuple[int, int]
) -> None:
    with open_igs(leaves(groups)) as image:
        whole = image.render(dtype=np.float32)
        assert (whole[:, :, 3] < 0.01).mean() > 0.2, "some is clear"
        small = image.render(0, size=size, dtype=np.float32)
    assert small[:, :, 3].max() > 0
    seen = small[:, :, 3] > 1e-6
    np.testing.assert_allclose(small[seen][:, :3], np.tile(GREEN, (seen.sum(), 1)), atol=2e-3)  # features are halves
    np.testing.assert_allclose(small[~seen][:, :3], np.tile(RED, ((~seen).sum(), 1)), atol=2e-3)
    expected = weighted(whole.clip(0, 1), size)
    np.testing.assert_allclose(small[:, :, 3], expected[:, :, 3], atol=1e-6)
    np.testing.assert_allclose(small[seen], expected[seen], atol=2e-6)


def _thumbnail(image: IgsImage) -> npt.NDArray[Any]:
    return image.render(size=(40, 30), dtype=np.float32)


def _strips(image: IgsImage) -> npt.NDArray[Any]:
    return np.concatenate([rows for _, rows in image.strips(size=(300, 301), dtype=np.float32)])


def _region(image: IgsImage) -> npt.NDArray[Any]:
    return image.render(0, (13, 5, 700, 600), (99, 200), np.float32)


def _mips(image: IgsImage) -> npt.NDArray[Any]:
    return np.concatenate([level.reshape(-1, 4) for level in image.mips(dtype=np.float32)])


@pytest.mark.parametrize("way", [_thumbnail, _strips, _region, _mips])
def test_hidden_colour_shows_on_no_way_to_a_smaller_picture(
    way: Callable[[IgsImage], npt.NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaled, "_STRIP_SAMPLES", 100_000)
    with open_igs(leaves(RGBA, 1100, 1000, 30)) as image:
        values = way(image)
    seen = values[..., 3] > 1e-6
    assert seen.any()
    assert not seen.all()
    np.testing.assert_allclose(values[seen][:, :3], np.tile(GREEN, (seen.sum(), 1)), atol=2e-3)


def test_premultiplied_colour_is_averaged_plainly() -> None:
    with open_igs(leaves(PREMULTIPLIED)) as image:
        whole = image.render(dtype=np.float32).clip(0, 1)
        small = image.render(0, size=(9, 14), dtype=np.float32)
    weights = [box_weights(n, m) for n, m in ((45, 9), (70, 14))]
    np.testing.assert_allclose(small, np.einsum("ah,bw,hwc->abc", *weights, whole), atol=1e-6)


def test_an_average_of_one_sample_is_that_sample() -> None:
    samples = np.random.default_rng(0).uniform(0, 1, (5, 6, 4)).astype(np.float32)
    samples[0, :, 3] = 0
    for groups in [*STRAIGHT.values(), PREMULTIPLIED]:
        averaging = SampleAverage(groups)
        np.testing.assert_allclose(averaging.back(averaging.forward(samples)), samples, rtol=3e-7)


def test_under_clear_samples_alone_the_plain_mean_stays() -> None:
    averaging = SampleAverage(RGBA)
    samples = np.array([[1.0, 0.25, 0.0, 0.0], [0.0, 0.75, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(averaging.back(averaging.forward(samples).mean(axis=0)), [0.5, 0.5, 0, 0], rtol=1e-6)


def test_groups_are_averaged_each_in_its_way() -> None:
    data = ChannelGroup("data", Role.DATA, 2, transfer=Transfer.LINEAR)
    kinds = [RGBA, (data,), LIGHT, PREMULTIPLIED, APART]
    samples = [
        np.random.default_rng(7).uniform(-0.3, 1.3, (6, 5, sum(group.n_channels for group in groups)))
        for groups in kinds
    ]
    together = SampleAverage([group for groups in kinds for group in groups])
    forward = together.forward(np.concatenate(samples, axis=2).astype(np.float32))
    assert forward.shape == (6, 5, together.n_channels)
    means = together.back(forward.mean(axis=0))
    at = 0
    for groups, part in zip(kinds, samples, strict=True):
        n = part.shape[2]
        alone = SampleAverage(groups)
        expected = alone.back(alone.forward(part.astype(np.float32)).mean(axis=0))
        np.testing.assert_array_equal(means[:, at : at + n], expected)
        if groups is not PREMULTIPLIED and n == 4:
            limit = np.inf if groups is LIGHT else 1  # an alpha of floats is averaged as it is
            alpha = np.clip(part[:, :, 3], -limit if groups is LIGHT else 0, limit)
            weight = np.clip(part[:, :, 3:], 0, 1)
            colour = (part[:, :, :3] * weight).sum(axis=0) / weight.sum(axis=0)
            np.testing.assert_allclose(expected, np.column_stack([colour, alpha.mean(axis=0)]), atol=1e-5)
        at += n
