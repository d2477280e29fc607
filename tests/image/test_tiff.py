"""TIFF files: which picture of a file is read, and the tags that change how."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from gscodec.errors import BadImage, SourceWarning, UnsupportedImage
from gscodec.image.file_types import tiff_large
from gscodec.image.levels import to_values
from gscodec.image.load import load_image
from gscodec.image.picture_names import usual_suffix
from gscodec.image.save import save_image
from gscodec.material.restore import plain_files
from gscodec.model.channels import AlphaMode

Noise = Callable[..., npt.NDArray[Any]]
FLOATS = np.random.default_rng(7).uniform(0.1, 0.9, (9, 12, 3)).astype(np.float32)


def tiff(pixels: npt.NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **({"photometric": "minisblack", "metadata": None} | options))
    return stream.getvalue()


def pages(*pictures: tuple[npt.NDArray[Any], dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for pixels, options in pictures:
            writer.write(pixels, **({"photometric": "rgb", "metadata": None} | options))
    return stream.getvalue()


def levels(data: bytes) -> tuple[npt.NDArray[np.int64], int]:
    stack = load_image(data)
    depth = stack.groups[0].bit_depth
    return np.rint(stack.samples.astype(np.float64) * (2**depth - 1)).astype(np.int64), depth


def values(data: bytes) -> npt.NDArray[np.float32]:
    stack = load_image(data)
    return to_values(stack.samples, stack.groups)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_thumbnails_before_the_picture_are_passed_over(dtype: type, noise: Noise) -> None:
    picture: npt.NDArray[Any] = noise(3, np.uint8).astype(dtype)
    data = pages(
        (picture[:4, :5], {"subfiletype": 1}), (picture, {"subfiletype": 0}), (picture[:2, :2], {"subfiletype": 1})
    )
    assert load_image(data).samples.shape == picture.shape


def test_a_subfile_type_of_old_counts_as_well(noise: Noise) -> None:
    picture = noise(3)
    old = [(255, "H", 1, 2, True)]
    data = pages((picture[:4, :5], {"extratags": old}), (picture, {}))
    np.testing.assert_array_equal(levels(data)[0], picture)


def test_where_all_are_reduced_the_largest_is_the_picture(noise: Noise) -> None:
    picture = noise(3)
    data = pages((picture[:4, :5], {"subfiletype": 1}), (picture, {"subfiletype": 1}))
    assert load_image(data).samples.shape == picture.shape


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_picture_inside_the_directory_of_its_thumbnail_is_found(dtype: type, noise: Noise) -> None:
    picture: npt.NDArray[Any] = noise(3).astype(dtype)
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        small: dict[str, Any] = {"photometric": "rgb", "metadata": None, "subfiletype": 1}
        writer.write(picture[:4, :5], subifds=2, **small)
        writer.write(picture, photometric="rgb", metadata=None)
        writer.write(picture[:2, :2], **small)
    got = load_image(stream.getvalue())
    assert got.samples.shape == picture.shape
    scale = 1 if dtype is np.float32 else np.iinfo(dtype).max
    np.testing.assert_allclose(to_values(got.samples, got.groups) * scale, picture, atol=0.5)


def test_levels_inside_the_directory_of_a_picture_are_passed_over(noise: Noise) -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(noise(3), subifds=1, photometric="rgb", metadata=None)
        writer.write(noise(3)[:6, :8], photometric="rgb", metadata=None, subfiletype=1)
    assert load_image(stream.getvalue()).samples.shape == (13, 17, 3)


def test_masks_are_no_pictures_and_are_reported(noise: Noise) -> None:
    picture = noise(3)
    mask = np.zeros((13, 17), bool)
    data = pages((mask, {"subfiletype": 4, "photometric": "minisblack"}), (picture, {}))
    with pytest.warns(SourceWarning, match="mask"):
        np.testing.assert_array_equal(levels(data)[0], picture)


def test_further_pages_are_reported(noise: Noise) -> None:
    picture = noise(3)
    with pytest.warns(SourceWarning, match="first of 3 pictures"):
        np.testing.assert_array_equal(levels(pages(*[(picture + n, {}) for n in range(3)]))[0], picture)


def test_a_chain_in_a_circle_ends(noise: Noise) -> None:
    data = bytearray(pages((noise(3), {}), (noise(3), {})))
    first = struct.unpack_from("<I", data, 4)[0]
    n_tags = struct.unpack_from("<H", data, first)[0]
    second = struct.unpack_from("<I", data, first + 2 + 12 * n_tags)[0]
    n_tags = struct.unpack_from("<H", data, second)[0]
    struct.pack_into("<I", data, second + 2 + 12 * n_tags, first)
    with pytest.warns(SourceWarning):
        assert load_image(bytes(data)).samples.shape == (13, 17, 3)


def test_large_tiffs_choose_the_same_picture(noise: Noise, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(pages((noise(3)[:4, :5], {"subfiletype": 1}), (noise(3), {})))
    source = tiff_large.open_large_tiff(path, least_pixels=10)
    assert source is not None
    with source:
        assert source.shape == (13, 17, 3)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_inks_keep_every_bit(compression: str | None, order: str, noise: Noise, tmp_path: Path) -> None:
    inks = noise(4, np.uint16)
    data = tiff(inks, photometric="separated", compression=compression, byteorder=order)
    got, depth = levels(data)
    assert depth == 16
    np.testing.assert_array_equal(got, inks)
    stack = load_image(data)
    save_image(tmp_path / "a.tif", stack.samples, stack.groups)
    with tifffile.TiffFile(tmp_path / "a.tif") as again:
        page: Any = again.pages[0]
        assert page.photometric.name == "SEPARATED"
        np.testing.assert_array_equal(page.asarray(), inks)


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
def test_16_bit_gray_with_alpha(extra: str, noise: Noise) -> None:
    pixels = noise(2, np.uint16)
    pixels[:, :, 0] = np.minimum(pixels[:, :, 0], pixels[:, :, 1])
    data = tiff(pixels, extrasamples=[extra], planarconfig="contig")
    got, depth = levels(data)
    assert depth == 16
    assert load_image(data).groups[0].alpha is AlphaMode.STRAIGHT
    np.testing.assert_array_equal(got[:, :, 1], pixels[:, :, 1])
    back = got[:, :, 0] * got[:, :, 1] / 65535 if extra == "assocalpha" else got[:, :, 0]
    np.testing.assert_allclose(back, pixels[:, :, 0], atol=0.51 if extra == "assocalpha" else 0)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_signed_samples_are_called_signed(dtype: type) -> None:
    bits = np.dtype(dtype).itemsize * 8
    with pytest.raises(UnsupportedImage, match=f"{bits}-bit signed integer"):
        load_image(tiff(np.zeros((4, 5), dtype)))


@pytest.mark.parametrize("n_channels", [1, 3])
def test_32_bit_integers_are_named(n_channels: int) -> None:
    shape = (4, 5) if n_channels == 1 else (4, 5, 3)
    with pytest.raises(UnsupportedImage, match="32-bit integer samples"):
        load_image(tiff(np.zeros(shape, np.uint32), photometric="rgb" if n_channels == 3 else "minisblack"))


def test_complex_and_lab_and_raw_are_named() -> None:
    with pytest.raises(UnsupportedImage, match="complex"):
        load_image(tiff(np.zeros((4, 5), np.complex64)))
    with pytest.raises(UnsupportedImage, match="CIELAB"):
        load_image(tiff(np.zeros((4, 5, 3), np.uint16), photometric="cielab"))
    with pytest.raises(UnsupportedImage, match="camera raw"):
        load_image(tiff(np.zeros((4, 5), np.uint16), photometric=32803, extratags=[(33421, "H", 2, (2, 2), True)]))
    with pytest.raises(UnsupportedImage, match="camera raw"):
        load_image(tiff(np.zeros((4, 5), np.uint16), extratags=[(50706, "B", 4, (1, 4, 0, 0), True)]))


@pytest.mark.parametrize(("number", "word"), [(50001, "WebP"), (34887, "LERC"), (34712, "JPEG 2000"), (12345, "12345")])
def test_a_compression_that_is_not_read_is_one_line(number: int, word: str, tmp_path: Path) -> None:
    data = bytearray(tiff(np.zeros((40, 56, 3), np.uint8), photometric="rgb", compression="zlib"))
    at = data.find(struct.pack("<HHIH", 259, 3, 1, 8))
    struct.pack_into("<H", data, at + 8, number)
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(data))
    command = [sys.executable, "-m", "gscodec", "encode", str(path), str(tmp_path / "a.igs"), "--bpp", "1"]
    outcome = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (outcome.returncode, outcome.stderr.count("\n")) == (5, 1)
    assert word in outcome.stderr


def test_damaged_strips_are_one_line(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(stream, "TIFF", compression="jpeg")
    data = stream.getvalue()
    path = tmp_path / "a.tif"
    path.write_bytes(data[:8] + bytes(200) + data[208:])
    command = [sys.executable, "-m", "gscodec", "encode", str(path), str(tmp_path / "a.igs"), "--bpp", "1"]
    outcome = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (outcome.returncode, outcome.stderr.count("\n")) == (3, 1), outcome.stderr


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_depths_between_8_and_16(bits: int, n_channels: int) -> None:
    rng = np.random.default_rng(bits)
    shape = (5, 8) if n_channels == 1 else (5, 8, 3)
    pixels = rng.integers(0, 2**bits, shape, np.uint16)
    data = tiff(pixels, bitspersample=bits, photometric="rgb" if n_channels == 3 else "minisblack")
    got, depth = levels(data)
    assert depth == bits
    np.testing.assert_array_equal(got, pixels.reshape(5, 8, n_channels))


def test_gray_with_several_channels_is_data(noise: Noise) -> None:
    pixels = noise(6, np.uint16)
    data = tiff(pixels, planarconfig="contig", extrasamples=[0] * 5)
    np.testing.assert_array_equal(levels(data)[0], pixels)


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, None), (np.uint16, None), (np.uint8, 16)])
def test_many_channels_come_back_as_tiff(dtype: type, bits: int | None, noise: Noise, tmp_path: Path) -> None:
    stack = load_image(tiff(noise(6, dtype), planarconfig="contig", extrasamples=[0] * 5))
    assert usual_suffix(plain_files(stack.groups, *stack.samples.shape[:2])[0]) == ".tif"
    save_image(tmp_path / "out.tif", stack.samples, stack.groups, bit_depth=bits)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        (page,) = file.pages
        assert page.asarray().dtype == (np.uint16 if bits else dtype)
        assert [int(kind) for kind in page.extrasamples] == [0] * 5  # type: ignore[union-attr]
    np.testing.assert_array_equal(load_image(tmp_path / "out.tif").samples, stack.samples)
    with pytest.raises(UnsupportedImage, match="write TIFF or OpenEXR"):
        save_image(tmp_path / "out.png", stack.samples, stack.groups)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_channels_that_are_left_out_are_reported(dtype: type, noise: Noise) -> None:
    pixels = noise(5, dtype)
    data = tiff(pixels, photometric="rgb", extrasamples=[2, 0])
    with pytest.warns(SourceWarning, match="left out"):
        np.testing.assert_array_equal(levels(data)[0], pixels[:, :, :4])
    with pytest.warns(SourceWarning, match="left out"):
        np.testing.assert_array_equal(
            levels(tiff(pixels[:, :, :4], photometric="rgb", extrasamples=[0]))[0], pixels[:, :, :3]
        )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_orientation_is_applied_to_every_sample_type(orientation: int, dtype: type) -> None:
    upright: npt.NDArray[Any] = np.arange(6).reshape(2, 3).astype(dtype)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: np.rot90(upright, 2),
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    data = tiff(np.ascontiguousarray(stored), extratags=[(274, "H", 1, orientation, True)])
    got = values(data) if dtype is np.float32 else levels(data)[0]
    np.testing.assert_allclose(got[:, :, 0], upright, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"planarconfig": "separate"}, {"compression": "zlib", "predictor": 3}, {"byteorder": ">"}]
)
def test_float_layouts(options: dict[str, Any]) -> None:
    pixels = np.moveaxis(FLOATS, 2, 0) if "planarconfig" in options else FLOATS
    np.testing.assert_allclose(values(tiff(pixels, photometric="rgb", **options)), FLOATS, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_depths(dtype: type) -> None:
    np.testing.assert_allclose(values(tiff(FLOATS.astype(dtype), photometric="rgb")), FLOATS, rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_white_is_zero_in_every_sample_type(dtype: type) -> None:
    stored: npt.NDArray[Any] = np.array([[0, 1]], dtype)
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    data = tiff(stored, photometric="miniswhite")
    got = values(data) if dtype is np.float32 else levels(data)[0]
    np.testing.assert_allclose(got[0, :, 0], [top, top - 1], atol=1e-6)


def test_float_profiles_are_kept(tmp_path: Path) -> None:
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stack = load_image(tiff(FLOATS, photometric="rgb", iccprofile=icc))
    assert stack.icc == icc
    save_image(tmp_path / "a.tif", to_values(stack.samples, stack.groups), stack.groups, stack.icc)
    with tifffile.TiffFile(tmp_path / "a.tif") as again:
        page: Any = again.pages[0]
        assert page.tags["InterColorProfile"].value == icc


def test_a_palette_of_16_bits() -> None:
    table = np.random.default_rng(0).integers(0, 65536, (3, 65536), np.uint16)
    indices = np.array([[0, 300], [65535, 7]], np.uint16)
    got, depth = levels(tiff(indices, photometric="palette", colormap=table))
    assert depth == 16
    np.testing.assert_array_equal(got, np.moveaxis(table[:, indices], 0, 2))


def test_jpeg_in_tiff_is_colour() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 40, 90)).save(stream, "TIFF", compression="jpeg")
    got, _ = levels(stream.getvalue())
    np.testing.assert_allclose(got, np.broadcast_to((200, 40, 90), got.shape), atol=4)


def test_a_file_without_directories_is_damaged() -> None:
    with pytest.raises(BadImage):
        load_image(b"II\x2a\0" + bytes(4))


def ycbcr(compression: int, subsampling: tuple[int, int]) -> bytes:
    """8 x 8 px of RGB (200, 40, 90) as YCbCr, each unit its luminance samples and then Cb and Cr."""
    across, down = subsampling
    units = (bytes([93] * (across * down)) + bytes([126, 204])) * (64 // (across * down))
    body = units if compression == 1 else zlib.compress(units)
    fields = [(256, 3, 8), (257, 3, 8), (258, 3, None), (259, 3, compression), (262, 3, 6), (273, 4, 8), (277, 3, 3)]
    fields += [(278, 3, 8), (279, 4, len(body)), (530, 3, across | down << 16)]
    data = bytearray(b"II\x2a\0" + struct.pack("<I", 8 + len(body)) + body)
    entries = b"".join(
        struct.pack("<HHII", tag, kind, {258: 3, 530: 2}.get(tag, 1), 0 if value is None else value)
        for tag, kind, value in fields
    )
    bits_at = len(data) + 2 + len(entries) + 4
    entries = entries.replace(struct.pack("<HHII", 258, 3, 3, 0), struct.pack("<HHII", 258, 3, 3, bits_at))
    return bytes(data + struct.pack("<H", len(fields)) + entries + bytes(4) + struct.pack("<3H", 8, 8, 8))


@pytest.mark.parametrize(("compression", "subsampling"), [(1, (1, 1)), (8, (1, 1)), (8, (2, 2))])
def test_luminance_and_chroma_become_rgb(compression: int, subsampling: tuple[int, int], tmp_path: Path) -> None:
    data = ycbcr(compression, subsampling)
    got, _ = levels(data)
    np.testing.assert_allclose(got, np.broadcast_to((200, 40, 90), (8, 8, 3)), atol=2)
    (tmp_path / "a.tif").write_bytes(data)
    assert tiff_large.open_large_tiff(tmp_path / "a.tif", least_pixels=1) is None  # left to the reader that converts


@pytest.mark.parametrize("subsampling", [(2, 2), (2, 1)])
def test_what_would_come_out_in_wrong_colours_is_refused(subsampling: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedImage, match="subsampled chroma"):
        load_image(ycbcr(1, subsampling))


def test_16_bit_inks_become_16_bit_rgb(tmp_path: Path) -> None:
    inks = np.array([[[65535, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 65535], [256, 0, 0, 0]]], np.uint16)
    stack = load_image(tiff(inks, photometric="separated"))
    save_image(tmp_path / "a.png", stack.samples, stack.groups)
    got, depth = levels((tmp_path / "a.png").read_bytes())
    assert depth == 16
    assert got[0].tolist() == [[0, 65535, 65535], [65535] * 3, [0] * 3, [65279, 65535, 65535]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("tag", [256, 257])
def test_a_picture_without_pixels_is_damaged(dtype: type, tag: int) -> None:
    data = bytearray(tiff(np.zeros((4, 5, 2), dtype), planarconfig="contig", extrasamples=[2]))
    at = max(data.find(struct.pack("<HHI", tag, kind, 1)) for kind in (3, 4))
    struct.pack_into("<I", data, at + 8, 0)
    with pytest.raises(BadImage):
        load_image(bytes(data))
