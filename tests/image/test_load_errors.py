import io
import os
import struct
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gscodec.errors import (
    BadFile,
    BadImage,
    FileAccessError,
    GsCodecError,
    LimitExceeded,
    OutOfMemory,
    SourceWarning,
    UnsupportedImage,
)
from gscodec.image.load import load_image

Noise = Callable[..., npt.NDArray[Any]]
Bytes = Callable[..., bytes]


def refusal(data: bytes, kind: type[GsCodecError]) -> str:
    """The message, which must be one line that names the file."""
    with pytest.raises(kind) as caught:
        load_image(data, "here.png")
    assert type(caught.value) is kind
    message = str(caught.value)
    assert message.startswith("here.png: ")
    assert message.isprintable()
    return message


def test_a_huge_header_takes_no_memory(png: Bytes) -> None:
    tracemalloc.start()
    message = refusal(png(60000, 60000, 8, 2, b"\0"), LimitExceeded)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "60000x60000" in message
    assert peak < 4 << 20


@pytest.mark.parametrize(
    "data",
    [
        b"P6 60000 60000 255\n",
        b"P5 60000 60000 65535\n",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 1, 1, 0, 0),
        b"qoif" + struct.pack(">IIBB", 60000, 60000, 3, 0),
        b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 0, 0, 0) + b",\0\0\0\0" + struct.pack("<HHB", 60000, 60000, 0),
    ],
)
def test_huge_headers_of_other_types_are_refused(data: bytes) -> None:
    refusal(data + bytes(64), LimitExceeded)


def test_a_long_side_is_refused(png: Bytes) -> None:
    refusal(png((1 << 20) + 1, 1, 1, 0, b"\0"), LimitExceeded)


def test_pictures_beyond_pillows_own_limit_are_read(
    monkeypatch: pytest.MonkeyPatch, noise: Noise, saved: Bytes
) -> None:
    data = saved(Image.fromarray(noise(3)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert load_image(data).samples.shape == (13, 17, 3)


def test_every_prefix_of_a_png_is_refused(noise: Noise, saved: Bytes) -> None:
    data = saved(Image.fromarray(noise(3)), "PNG")
    for length in [*range(60), *range(60, len(data), 23), len(data) - 1]:
        refusal(data[:length], BadImage)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "BMP", "PPM", "GIF", "WEBP"])
def test_half_a_picture_is_refused(kind: str, noise: Noise, saved: Bytes) -> None:
    data = saved(Image.fromarray(noise(3)), kind)
    refusal(data[: len(data) // 2], BadImage)


def test_half_a_deep_pgm_is_refused() -> None:
    refusal(b"P5 4 4 65535\n" + bytes(31), BadImage)
    refusal(b"P5 1 1 300\n\xff\xff", BadImage)


@pytest.mark.parametrize("offset", [0, 4, 200])
def test_changed_pixels_of_a_png_are_noticed(offset: int, noise: Noise, saved: Bytes) -> None:
    data = bytearray(saved(Image.fromarray(noise(3)), "PNG"))
    data[data.index(b"IDAT") + offset] ^= 1
    refusal(bytes(data), BadImage)


def test_changed_metadata_behind_the_pixels_is_noticed(png: Bytes) -> None:
    data = png(1, 1, 8, 0, b"\0\7")
    chunk = b"\0\0\0\3tEXta\0b" + bytes(4)
    assert "tEXt" in refusal(data[:-12] + chunk + data[-12:], BadImage)


def test_unreadable_exif_does_not_matter(png: Bytes) -> None:
    broken = png(1, 1, 8, 0, b"\0\x07", ((b"eXIf", b"II\x2a\0 not really"),))
    with pytest.warns(SourceWarning, match="Exif is left out"):
        assert load_image(broken).samples.shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", BadImage, "empty"),
        (b"this is no picture", BadImage, "not a picture"),
        (b"\x89PNG\r\n\x1a\n", BadImage, "PNG"),
        (b"P6 0 4 255\n", BadImage, "PPM"),
        (b"\x76\x2f\x31\x01" + bytes(20), BadImage, "OpenEXR"),
        (b"#?RADIANCE\n", BadImage, "Radiance"),
        (b"\0\0\0\x1cftypavif", UnsupportedImage, "AVIF"),
        (bytes.fromhex("AB494753203130BB0D0A1A0A"), UnsupportedImage, "decode it first"),
        (b"P3 1 1 65535\n1 2 3\n", UnsupportedImage, "binary"),
        (b"Pf\n1 1\n-1.0\n" + bytes(4), UnsupportedImage, "PFM"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, kind: type[GsCodecError], words: str) -> None:
    assert words in refusal(data, kind)


def test_zero_width_is_refused(png: Bytes) -> None:
    refusal(png(0, 4, 8, 2), BadImage)


@pytest.mark.parametrize(("depth", "colour_type"), [(8, 1), (99, 2), (3, 2), (0, 2), (8, 9)])
def test_impossible_png_headers_are_refused(depth: int, colour_type: int, png: Bytes) -> None:
    refusal(png(4, 4, depth, colour_type, bytes(80)), BadImage)


def test_a_png_without_pixels_is_refused(png: Bytes) -> None:
    whole = png(4, 4, 8, 0, bytes(20))
    refusal(whole[: whole.index(b"IDAT") - 4] + whole[whole.index(b"IEND") - 4 :], BadImage)
    refusal(png(4, 4, 8, 0, bytes(7)), BadImage)


def test_a_palette_index_out_of_range_does_no_harm(png: Bytes) -> None:
    data = png(2, 1, 8, 3, b"\0\x00\xff", ((b"PLTE", bytes([1, 2, 3])),))
    assert load_image(data).samples.shape == (1, 2, 3)


@pytest.mark.parametrize(("mode", "word"), [("LAB", "LAB"), ("I", "32-bit")])
def test_modes_without_a_place_here_are_refused(mode: str, word: str, saved: Bytes) -> None:
    assert word in refusal(saved(Image.new(mode, (3, 2)), "TIFF"), UnsupportedImage)


def test_an_oversized_profile_is_refused(monkeypatch: pytest.MonkeyPatch, saved: Bytes) -> None:
    monkeypatch.setattr("gscodec.image.profiles.MAX_ICC_BYTES", 99)
    refusal(saved(Image.new("L", (2, 2)), "PNG", icc_profile=bytes(100)), LimitExceeded)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.png", tmp_path, "a\0b"):
        with pytest.raises(FileAccessError) as caught:
            load_image(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_a_failing_read_is_not_called_damage() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, os.strerror(5), size)

    with pytest.raises(FileAccessError, match="Input/output"):
        load_image(Broken(), "here")


def test_running_out_of_memory_is_a_limit(monkeypatch: pytest.MonkeyPatch, saved: Bytes) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    data = saved(Image.new("L", (2, 2)), "PNG")
    monkeypatch.setattr("gscodec.image.file_types.pillow_levels.stack_of_image", fail)
    assert issubclass(OutOfMemory, LimitExceeded)
    refusal(data, OutOfMemory)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_anywhere_is_an_error_or_a_picture(data: st.DataObject, saved: Bytes) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM"]))
    damaged = bytearray(saved(Image.linear_gradient("L").resize((19, 7)).convert("RGB"), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, min(len(damaged), 300) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SourceWarning)  # ours; those of libraries do not get through
        try:
            stack = load_image(bytes(damaged))
        except (BadFile, UnsupportedImage):
            return
    assert np.isfinite(stack.samples).all()
