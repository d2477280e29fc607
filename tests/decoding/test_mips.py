"""Levels of mip chains: of light, of vectors and of values, for open files and for the commands alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.decoding import mips
from gscodec.decoding.image import open_igs
from gscodec.decoding.mips import mip_levels, mip_sizes
from gscodec.format.files import FileEntry
from gscodec.image.normals import Meaning, unit_z_of
from gscodec.image.transfer import light_of_srgb, srgb_of_light
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer

Builder = Callable[..., bytes]
Samples = npt.NDArray[np.float32]

ALBEDO = ChannelGroup("albedo", Role.ALBEDO, 3)
LEAF = ChannelGroup("leaf", Role.ALBEDO, 4, alpha=AlphaMode.STRAIGHT)
NORMAL = ChannelGroup("normal", Role.NORMAL, 3, transfer=Transfer.LINEAR)
XY = ChannelGroup("normal", Role.NORMAL, 2, transfer=Transfer.LINEAR)
DATA = ChannelGroup("data", Role.DATA, 1, transfer=Transfer.LINEAR)


def chain(samples: Samples, *groups: ChannelGroup) -> list[Samples]:
    return list(mip_levels(samples, groups))


def random(height: int, width: int, channels: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).random((height, width, channels), dtype=np.float32)


def unit_vectors(side: int, seed: int = 1) -> npt.NDArray[Any]:
    vectors = random(side, side, 3, seed) - 0.5
    return np.asarray(vectors / np.linalg.norm(vectors, axis=2, keepdims=True), np.float32)


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_level_has_half_the_sides_and_the_same_mean(height: int, width: int) -> None:
    samples = random(height, width, 1)
    levels = chain(samples, DATA)
    assert len(levels) == max(height, width).bit_length()
    assert levels[0] is samples
    for number, level in enumerate(levels):
        assert level.shape == (max(1, height >> number), max(1, width >> number), 1)
        assert level.mean() == pytest.approx(samples.mean(), abs=2e-6)


def test_a_texel_of_an_odd_side_is_the_mean_of_the_area_it_covers() -> None:
    column = np.arange(11, dtype=np.float32).reshape(11, 1, 1)
    levels = chain(column, DATA)
    # Each of two texels covers 5.5 of the finest level, whatever lies in between.
    assert levels[2].ravel() == pytest.approx([(10 + 2.5) / 5.5, (2.5 + 40) / 5.5])


def test_colour_is_averaged_as_light() -> None:
    checks = np.zeros((2, 2, 3), np.float32)
    checks[0, 0] = checks[1, 1] = 1
    assert chain(checks, ALBEDO)[1].ravel() == pytest.approx([0.735357] * 3, abs=1e-6)


def test_colour_of_float_samples_is_light_already() -> None:
    group = ChannelGroup("light", Role.COLOR, 1, 16, SampleType.FLOAT, Transfer.ASINH, value_max=8.0)
    assert chain(np.array([[[0.0], [8.0]]], np.float32), group)[1].ravel() == pytest.approx([4.0])


def test_integers_of_linear_light_are_averaged_as_they_are() -> None:
    group = ChannelGroup("light", Role.COLOR, 1, transfer=Transfer.LINEAR)
    assert chain(np.array([[[0.0], [1.0]]], np.float32), group)[1].ravel() == pytest.approx([0.5])


def test_normals_keep_length_one_and_level_two_is_the_mean_of_level_zero() -> None:
    vectors = unit_vectors(4)
    levels = chain(np.asarray(0.5 + 0.5 * vectors, np.float32), NORMAL)
    for level in levels:
        assert np.linalg.norm(2 * level - 1, axis=2) == pytest.approx(1, abs=1e-5)
    mean = vectors.mean(axis=(0, 1))
    assert 2 * levels[2][0, 0] - 1 == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_signed_vectors_have_length_one() -> None:
    group = ChannelGroup("n", Role.NORMAL, 3, 16, SampleType.FLOAT, Transfer.LINEAR, value_min=-1.0)
    for level in chain(unit_vectors(9), group):
        assert np.linalg.norm(level, axis=2) == pytest.approx(1, abs=1e-5)


def test_normals_that_cancel_become_flat() -> None:
    opposite = np.array([[[1.0, 0.5, 0.5], [0.0, 0.5, 0.5]]], np.float32)
    assert chain(opposite, NORMAL)[1].ravel() == pytest.approx([0.5, 0.5, 1.0])


def test_x_and_y_of_unit_vectors_are_those_of_the_mean_vector() -> None:
    vectors = unit_vectors(8)
    vectors[:, :, 2] = np.abs(vectors[:, :, 2])
    codes = np.asarray(0.5 + 0.5 * vectors, np.float32)
    whole = list(mip_levels(codes, (NORMAL,)))
    flat = list(mip_levels(np.ascontiguousarray(codes[:, :, :2]), (XY,), [Meaning.UNIT]))
    for expected, level in zip(whole, flat, strict=True):
        np.testing.assert_allclose(level, expected[:, :, :2], atol=2e-5)
    alone = chain(np.ascontiguousarray(codes[:, :, :2]), XY)[-1].ravel()
    assert alone == pytest.approx(codes[:, :, :2].mean(axis=(0, 1)), abs=1e-6), "X and Y that stand for no vector"


def test_clear_texels_do_not_bleed_their_colour() -> None:
    samples = np.array([[[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]], np.float32)
    assert chain(samples, LEAF)[1].ravel() == pytest.approx([0, 1, 0, 0.5], abs=1e-6)
    apart = ChannelGroup("leaf", Role.ALBEDO, 3), ChannelGroup("a", Role.OPACITY, 1, alpha=AlphaMode.STRAIGHT)
    assert chain(samples, *apart)[1].ravel() == pytest.approx([0, 1, 0, 0.5], abs=1e-6)


def test_under_clear_texels_alone_the_plain_mean_stays() -> None:
    samples = np.array([[[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]], np.float32)
    assert chain(samples, LEAF)[1].ravel() == pytest.approx([1, 0, 0, 0], abs=1e-6)


def test_premultiplied_codes_are_averaged_as_they_are() -> None:
    group = ChannelGroup("glow", Role.COLOR, 4, alpha=AlphaMode.PREMULTIPLIED)
    samples = random(6, 5, 4)
    assert chain(samples, group)[-1].ravel() == pytest.approx(samples.mean(axis=(0, 1)), abs=1e-6)


def test_groups_beside_each_other_are_averaged_each_in_its_way() -> None:
    groups = (DATA, LEAF, NORMAL, XY, ALBEDO)
    parts = [random(13, 10, group.n_channels, seed) for seed, group in enumerate(groups)]
    meanings = [None, None, Meaning.VECTOR, Meaning.UNIT, None]
    together = list(mip_levels(np.concatenate(parts, axis=2), groups, meanings))
    alone = [
        list(mip_levels(part, (group,), [meaning]))
        for part, group, meaning in zip(parts, groups, meanings, strict=True)
    ]
    for number, level in enumerate(together):
        np.testing.assert_allclose(level, np.concatenate([levels[number] for levels in alone], axis=2), atol=1e-6)


def test_strips_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = random(23, 10, 4)
    whole = chain(samples, LEAF)
    monkeypatch.setattr(mips, "_STRIP_SAMPLES", 10 * 4 * 3)
    for expected, level in zip(whole, chain(samples, LEAF), strict=True):
        np.testing.assert_array_equal(level, expected)


def test_light_and_codes_are_inverses() -> None:
    codes = np.linspace(0, 1, 1001, dtype=np.float32)
    assert np.abs(srgb_of_light(light_of_srgb(codes)) - codes).max() < 1e-6


@pytest.mark.parametrize(("height", "width"), [(64, 128), (45, 70), (1, 9), (33, 65)])
def test_levels_of_an_open_file_are_averages_of_its_picture(build: Builder, height: int, width: int) -> None:
    with open_igs(build(height, width)) as image:
        codes, whole = list(image.mips(1)), image.render(1)
        values = list(image.mips(1, np.float32))
        np.testing.assert_array_equal(values[0], image.render(1, dtype=np.float32))
    np.testing.assert_array_equal(codes[0], whole)
    assert [level.shape[:2] for level in codes] == [level.shape[:2] for level in values] == mip_sizes(height, width)
    assert {level.dtype for level in codes} == {np.dtype(np.uint8)}
    light = light_of_srgb(whole.astype(np.float32) / 255)
    np.testing.assert_allclose(codes[-1][0, 0], 255 * srgb_of_light(light.mean(axis=(0, 1))), atol=0.51)
    for rows, columns in {(height // 2, width // 2)} & {(32, 64)}:
        means = light.reshape(rows, 2, columns, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(codes[1], 255 * srgb_of_light(means), atol=0.51)


def test_maps_of_two_sizes_have_chains_of_their_own(build: Builder) -> None:
    groups = (
        ChannelGroup("color", n_channels=3, source="c.png"),
        ChannelGroup("ao", Role.AO, 1, source="ao.png"),
    )
    base = build(45, 70, n_channels=4, groups=groups)
    with IgsReader(base) as reader:
        files = (FileEntry("c.png", 70, 45, 3, ("color",)), FileEntry("ao.png", 20, 10, 1, ("ao",)))
        data = pack(Contents(reader.grid, groups, reader.lods, reader.read(0), files=files))
    with open_igs(data) as image:
        levels = list(image.mip_files())
        for name, restored in image.render_files().items():
            np.testing.assert_array_equal(levels[0][name].samples, restored.samples)
    assert [level["c.png"].samples.shape[:2] for level in levels] == mip_sizes(45, 70)
    assert [level["ao.png"].samples.shape[:2] for level in levels if "ao.png" in level] == mip_sizes(10, 20)


def test_normals_without_z_are_averaged_as_vectors(build: Builder) -> None:
    base = build(32, 48, n_channels=2, groups=(XY,))
    with IgsReader(base) as reader:
        files = (FileEntry("n.png", 48, 32, 3, ("normal",), unit_z=True),)
        data = pack(Contents(reader.grid, (XY,), reader.lods, reader.read(0), files=files))
    with open_igs(data) as image:
        maps, stored = [level["n.png"].samples for level in image.mip_files()], list(image.mips())
    for whole, flat in zip(maps, stored, strict=True):
        assert np.abs(whole[:, :, :2].astype(int) - flat).max() <= 1
    for level in maps[1:]:
        vectors = 2 * level.astype(np.float64) / 255 - 1
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=0.02)
        z = unit_z_of((level[:, :, :2] / 255).astype(np.float32))
        np.testing.assert_allclose(level[:, :, 2] / 255, z, atol=0.03)
