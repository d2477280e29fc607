import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from icc_profiles import make_profile
from PIL import Image

from gscodec.errors import SourceWarning
from gscodec.image.load import load_image
from gscodec.model.channels import AlphaMode, Role, Transfer

Noise = Callable[..., npt.NDArray[Any]]
Bytes = Callable[..., bytes]


def levels(data: bytes) -> tuple[npt.NDArray[np.int64], int]:
    """Integer levels (H, W, C) and the bit depth; a sample that is no level fails."""
    stack = load_image(data)
    (group,) = stack.groups
    top = 2**group.bit_depth - 1
    rounded = np.rint(stack.samples.astype(np.float64) * top)
    np.testing.assert_array_equal(stack.samples, (rounded / top).astype(np.float32))
    return rounded.astype(np.int64), group.bit_depth


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "BMP", "PPM"])
def test_colour_comes_through_unchanged(kind: str, noise: Noise, saved: Bytes) -> None:
    pixels = noise(3)
    options = {"lossless": True} if kind == "WEBP" else {}
    got, depth = levels(saved(Image.fromarray(pixels), kind, **options))
    np.testing.assert_array_equal(got, pixels)
    assert depth == 8


@pytest.mark.parametrize(("space", "transfer"), [(0, Transfer.SRGB), (1, Transfer.LINEAR)])
def test_the_colour_space_of_qoi_counts(space: int, transfer: Transfer) -> None:
    data = b"qoif" + struct.pack(">IIBB", 1, 1, 3, space) + b"\xfe\1\2\3" + bytes(7) + b"\1"
    assert load_image(data).groups[0].transfer is transfer


def test_qoi_is_read(noise: Noise) -> None:
    pixels = noise(3)
    coded = b"".join(b"\xfe" + bytes(pixel) for pixel in pixels.reshape(-1, 3))  # QOI_OP_RGB
    got, _ = levels(b"qoif" + struct.pack(">IIBB", 17, 13, 3, 0) + coded + bytes(7) + b"\1")
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize(("mode", "n_channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_groups_name_the_channels(mode: str, n_channels: int, noise: Noise, saved: Bytes) -> None:
    pixels = noise(n_channels)
    data = saved(Image.fromarray(pixels[:, :, 0] if n_channels == 1 else pixels, mode), "PNG")
    (group,) = load_image(data).groups
    assert (group.name, group.role, group.n_channels, group.bit_depth) == ("color", Role.COLOR, n_channels, 8)
    assert group.alpha is (AlphaMode.STRAIGHT if "A" in mode else AlphaMode.NONE)
    np.testing.assert_array_equal(levels(data)[0], pixels)


def test_jpeg_is_what_pillow_decodes(noise: Noise, saved: Bytes) -> None:
    data = saved(Image.fromarray(noise(3)), "JPEG")
    np.testing.assert_array_equal(levels(data)[0], np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("key", [None, 1])
def test_small_depths_and_their_transparent_level_are_kept(depth: int, key: int | None, png: Bytes) -> None:
    # one row of eight samples: 0, 1, 2 ... as far as the depth goes, then again
    row = np.arange(8) % 2**depth
    bits = "".join(f"{value:0{depth}b}" for value in row)
    packed = int(bits, 2).to_bytes(depth, "big")
    extra = () if key is None else ((b"tRNS", struct.pack(">H", key)),)
    got, found = levels(png(8, 1, depth, 0, b"\0" + packed, extra))
    assert found == depth
    np.testing.assert_array_equal(got[0, :, 0], row)
    if key is not None:
        np.testing.assert_array_equal(got[0, :, 1], np.where(row == key, 0, 2**depth - 1))


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
def test_16_bit_png_keeps_every_bit(n_channels: int, noise: Noise, deep_png: Bytes) -> None:
    pixels = noise(n_channels, np.uint16)
    got, depth = levels(deep_png(pixels))
    assert depth == 16
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_16_bit_transparent_colour_needs_all_its_bits(n_channels: int, deep_png: Bytes) -> None:
    pixels = np.full((1, 3, n_channels), 0x1234, np.uint16)
    pixels[0, 1, -1] = 0x1235
    key = struct.pack(f">{n_channels}H", *[0x1234] * n_channels)
    got, _ = levels(deep_png(pixels, (b"tRNS", key)))
    assert got[0, :, -1].tolist() == [0, 65535, 0]


def test_8_bit_transparent_colour_becomes_alpha(png: Bytes) -> None:
    data = png(2, 1, 8, 2, b"\0" + bytes([1, 2, 3, 1, 2, 4]), ((b"tRNS", struct.pack(">3H", 1, 2, 3)),))
    assert levels(data)[0].tolist() == [[[1, 2, 3, 0], [1, 2, 4, 255]]]


def test_palettes_become_colour(png: Bytes) -> None:
    palette = (b"PLTE", bytes([10, 20, 30, 40, 50, 60]))
    assert levels(png(2, 1, 1, 3, b"\0\x40", (palette,)))[0].tolist() == [[[10, 20, 30], [40, 50, 60]]]
    clear = (palette, (b"tRNS", b"\x80"))
    assert levels(png(2, 1, 1, 3, b"\0\x40", clear))[0].tolist() == [[[10, 20, 30, 128], [40, 50, 60, 255]]]


@pytest.mark.parametrize(
    ("order", "n_channels", "photometric"),
    [("<", 1, 1), (">", 1, 1), ("<", 1, 0), ("<", 3, 2), (">", 3, 2), ("<", 4, 2), (">", 4, 2)],
)
def test_16_bit_tiff_keeps_every_bit(order: str, n_channels: int, photometric: int, noise: Noise) -> None:
    pixels = noise(n_channels, np.uint16)
    extra = 2 if n_channels == 4 else None
    got, depth = levels(make_tiff(pixels, order, photometric, extra))
    assert depth == 16
    np.testing.assert_array_equal(got, 65535 - pixels.astype(int) if photometric == 0 else pixels)


def test_16_bit_associated_alpha_becomes_straight() -> None:
    pixels = np.array([[[100, 200, 300, 32768], [0, 0, 0, 0], [5, 6, 7, 65535]]], np.uint16)
    got, _ = levels(make_tiff(pixels, "<", 2, 1))
    assert got[0].tolist() == [[200, 400, 600, 32768], [0, 0, 0, 0], [5, 6, 7, 65535]]


def make_tiff(
    pixels: npt.NDArray[np.uint16], order: str, photometric: int, extra: int | None, planar: int = 1
) -> bytes:
    """A TIFF of one uncompressed strip, or of one per plane."""
    height, width, n_channels = pixels.shape
    planes = [pixels] if planar == 1 else [pixels[:, :, c] for c in range(n_channels)]
    strips = [plane.astype(f"{order}u2").tobytes() for plane in planes]
    data = bytearray((b"II\x2a\0" if order == "<" else b"MM\0\x2a") + bytes(4))
    offsets = []
    for strip in strips:
        offsets.append(len(data))
        data += strip
    fields = [
        (256, [width]),
        (257, [height]),
        (258, [16] * n_channels),
        (259, [1]),
        (262, [photometric]),
        (273, offsets),
        (277, [n_channels]),
        (278, [height]),
        (279, [len(strip) for strip in strips]),
        (284, [planar]),
        *([] if extra is None else [(338, [extra])]),
    ]
    directory = struct.pack(f"{order}H", len(fields))
    for tag, values in fields:
        packed = struct.pack(f"{order}{len(values)}H", *values)
        if len(packed) > 4:
            packed, place = b"", struct.pack(f"{order}I", len(data))
            data += struct.pack(f"{order}{len(values)}H", *values)
        else:
            place = packed.ljust(4, b"\0")
        directory += struct.pack(f"{order}HHI", tag, 3, len(values)) + place
    data[4:8] = struct.pack(f"{order}I", len(data))
    return bytes(data + directory + bytes(4))


def test_planar_16_bit_tiff_keeps_every_bit(noise: Noise) -> None:
    pixels = noise(3, np.uint16)
    got, depth = levels(make_tiff(pixels, "<", 2, None, planar=2))
    assert depth == 16
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("largest", [65535, 4095, 1000])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_deep_pnm_keeps_its_levels(largest: int, n_channels: int) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, largest, (4, 5, n_channels), np.uint16, endpoint=True)
    head = b"P%d\n# made here\n5 4\n%d\n" % (5 if n_channels == 1 else 6, largest)
    stack = load_image(head + pixels.astype(">u2").tobytes())
    assert stack.groups[0].bit_depth == largest.bit_length()
    np.testing.assert_array_equal(stack.samples, pixels.astype(np.float32) / np.float32(largest))


def test_exif_orientation_is_applied(saved: Bytes) -> None:
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: np.rot90(upright, 2),
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),  # stored turned left, shown turned right
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }
    for orientation, stored in turned.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind in ("PNG", "TIFF"):
            data = saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif)
            np.testing.assert_array_equal(levels(data)[0][:, :, 0], upright, err_msg=f"{kind} {orientation}")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_icc_profiles_are_kept(kind: str, noise: Noise, saved: Bytes) -> None:
    profile = make_profile(padding=200)
    assert load_image(saved(Image.fromarray(noise(3)), kind, icc_profile=profile)).icc == profile
    assert load_image(saved(Image.fromarray(noise(3)), kind)).icc is None


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animations_give_their_first_frame(kind: str, saved: Bytes) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with pytest.warns(SourceWarning, match="only the first"):
        got, _ = levels(data)
    assert (got == [255, 0, 0]).all()


def test_sources_may_be_paths_bytes_or_files(tmp_path: Path, noise: Noise, saved: Bytes) -> None:
    pixels = noise(3)
    data = saved(Image.fromarray(pixels), "PNG")
    path = tmp_path / "picture with no suffix"
    path.write_bytes(data)
    assert load_image(path).source_name == str(path)
    with path.open("rb") as file:
        stacks = [load_image(path), load_image(str(path)), load_image(data), load_image(file, "here")]
        assert not file.closed
    assert stacks[3].source_name == "here"
    for stack in stacks:
        np.testing.assert_array_equal(stack.samples, pixels.astype(np.float32) / 255)


def test_a_dash_reads_stdin(monkeypatch: pytest.MonkeyPatch, noise: Noise, deep_png: Bytes) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pixels = noise(3, np.uint16)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Pipe(deep_png(pixels))))
    stack = load_image("-")
    assert stack.source_name == "stdin"
    np.testing.assert_array_equal(stack.samples, pixels.astype(np.float32) / 65535)
