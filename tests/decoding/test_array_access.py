"""An open file used as an array."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gscodec.decoding.image import open_igs
from gscodec.model.channels import ChannelGroup, Role, SampleType, Transfer

Builder = Callable[..., bytes]

KEYS: list[Any] = [
    np.s_[3:20, 10:40],
    np.s_[3:20, 10:40, 1],
    np.s_[:],
    np.s_[...],
    np.s_[..., -1],
    np.s_[5],
    np.s_[-1, -1],
    np.s_[5, 6, 2],
    np.s_[np.int64(5), np.uint8(6)],
    np.s_[::2, ::3],
    np.s_[::-1, 40:10:-4, ::-1],
    np.s_[40:3:-1, ..., 0],
    np.s_[7:7, 3:9],
    np.s_[1000:, :5],
    np.s_[2:4, 60:1000, 5:],
    np.s_[..., 1:3, 0:2],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_slice_is_that_part_of_the_whole(igs: bytes, key: Any) -> None:
    with open_igs(igs) as image:
        part, expected = image[key], image.render()[key]
    np.testing.assert_array_equal(part, expected)
    assert np.asarray(part).dtype == expected.dtype


def test_a_slice_computes_its_own_region_alone(igs: bytes) -> None:
    with open_igs(igs, count_work=True) as image:
        image[3:8, 10:14]
        assert image.stats.points == 5 * 4


@pytest.mark.parametrize("key", [45, -46, np.s_[0, 70], np.s_[0, 0, 3], np.s_[0, 0, 0, 0], np.s_[..., 0, ...]], ids=str)
def test_an_index_out_of_range_is_an_index_error(igs: bytes, key: Any) -> None:
    with open_igs(igs) as image, pytest.raises(IndexError):
        image[key]


@pytest.mark.parametrize("key", [None, True, "y", [1, 2], np.array([True] * 45), 1.0], ids=repr)
def test_other_keys_are_refused_with_what_to_do(igs: bytes, key: Any) -> None:
    with open_igs(igs) as image, pytest.raises(IndexError, match=r"image\.render\(\)"):
        image[key]


def test_numpy_takes_an_open_file(igs: bytes) -> None:
    with open_igs(igs) as image:
        whole = image.render()
        np.testing.assert_array_equal(np.asarray(image), whole)
        np.testing.assert_array_equal(np.array(image, copy=True), whole)
        floats = np.asarray(image, np.float64)
        assert floats.dtype == np.float64
        np.testing.assert_array_equal(floats, whole)
        assert np.mean(image) == np.mean(whole)
        with pytest.raises(ValueError, match="copy=False"):
            image.__array__(copy=False)


def test_rows_come_from_the_top(igs: bytes) -> None:
    with open_igs(igs) as image:
        assert len(image) == 45
        np.testing.assert_array_equal(np.stack(list(image)), image.render())


@pytest.mark.parametrize(("bit_depth", "kind"), [(1, np.uint8), (8, np.uint8), (10, np.uint16), (16, np.uint16)])
def test_size_and_type_are_known_before_anything_is_read(build: Builder, bit_depth: int, kind: Any) -> None:
    with open_igs(build(bit_depth=bit_depth)) as image:
        read = image.stats.bytes_read
        assert (image.width, image.height, image.ndim, image.dtype) == (70, 45, 3, np.dtype(kind))
        assert image.stats.bytes_read == read
        assert image.render().dtype == image.dtype


def test_a_notebook_shows_a_png(igs: bytes) -> None:
    with open_igs(igs) as image:
        png = image._repr_png_()
        assert png is not None
        with Image.open(io.BytesIO(png)) as shown:
            np.testing.assert_array_equal(np.asarray(shown), image.render())


def test_a_notebook_shows_a_large_picture_at_800_px(build: Builder) -> None:
    with open_igs(build(height=1000, width=400)) as image:
        png = image._repr_png_()
        assert png is not None
        with Image.open(io.BytesIO(png)) as shown:
            assert shown.size == (320, 800)


def test_a_notebook_shows_light_as_codes(build: Builder) -> None:
    light = ChannelGroup(
        "color", n_channels=3, bit_depth=16, role=Role.COLOR, sample_type=SampleType.FLOAT, transfer=Transfer.LINEAR
    )
    with open_igs(build(groups=[light])) as image:
        png = image._repr_png_()
    assert png is not None
    with Image.open(io.BytesIO(png)) as shown:
        assert (shown.mode, shown.size) == ("RGB", (70, 45))


def test_a_file_without_a_whole_level_is_described_and_not_shown(igs: bytes) -> None:
    with open_igs(igs) as image:
        least = image.prefix_size(image.lods - 1)
    with open_igs(igs[: least - 1]) as image:
        assert image.shape == (45, 70, 3)
        assert "70x45 px" in repr(image)
        assert image._repr_png_() is None


def test_a_closed_file_says_so(igs: bytes) -> None:
    image = open_igs(igs)
    image.close()
    with pytest.raises(ValueError, match="is closed"):
        image[0]
