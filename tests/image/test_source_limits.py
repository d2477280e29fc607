"""Pictures that say they are huge are refused before they are decoded, whatever their file type."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gscodec.errors import GsCodecError, LimitExceeded
from gscodec.image.arrays import from_array
from gscodec.image.load import load_image
from gscodec.material.load_picture import load_picture
from gscodec.material.maps import load_source
from gscodec.model.limits import Limits

CASES = Path(__file__).parent / "cases"
SIDE = 60_000


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")


def tiff(kind: int = 1) -> bytes:
    tags = [(256, SIDE), (257, SIDE), (258, 8 * kind), (259, 1), (262, 1), (273, 8), (277, 1), (278, SIDE), (279, 4)]
    tags += [(339, 3)] if kind > 1 else []
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IIH", 12, 0, len(tags)) + entries + bytes(4)


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "jpeg")
    data = bytearray(stream.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", SIDE, SIDE)
    return bytes(data)


def bmp() -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 8, 1, 4, 0, 0, 1, 0)
    return b"BM" + struct.pack("<IHHI", 62, 0, 0, 58) + info + bytes(4) + b"\0\1\0\1"


def webp() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "webp", lossless=True)
    data = bytearray(stream.getvalue())
    at = data.index(b"VP8L") + 9
    largest = 10_000 - 1  # of more than 178 million pixels Pillow says so itself
    (bits,) = struct.unpack_from("<I", data, at)
    struct.pack_into("<I", data, at, (bits >> 28 << 28) | largest << 14 | largest)
    return bytes(data)


def exr() -> bytes:
    window = struct.pack("<4i", 0, 0, SIDE - 1, SIDE - 1)

    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<I", len(value)) + value

    channel = b"Y\0" + struct.pack("<iBxxxii", 1, 0, 1, 1) + b"\0"
    return (
        b"\x76\x2f\x31\x01\x02\0\0\0"
        + attribute(b"channels", b"chlist", channel)
        + attribute(b"compression", b"compression", b"\0")
        + attribute(b"dataWindow", b"box2i", window)
        + attribute(b"displayWindow", b"box2i", window)
        + attribute(b"lineOrder", b"lineOrder", b"\0")
        + attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1))
        + attribute(b"screenWindowCenter", b"v2f", bytes(8))
        + attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1))
        + b"\0"
    )


SOURCES: dict[str, Callable[[], bytes]] = {
    "png": png,
    "tiff": tiff,
    "float_tiff": lambda: tiff(4),
    "jpeg": jpeg,
    "bmp": bmp,
    "webp": webp,
    "exr": exr,
    "gif": (CASES / "small_frame_on_a_huge_canvas.gif").read_bytes,
    "ppm": lambda: f"P6 {SIDE} {SIDE} 255\n".encode() + bytes(100),
    "pgm16": lambda: f"P5 {SIDE} {SIDE} 65535\n".encode() + bytes(100),
    "qoi": lambda: b"qoif" + struct.pack(">IIBB", SIDE, SIDE, 3, 0) + b"\xfd" * 100 + bytes(7) + b"\1",
    "hdr": lambda: f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {SIDE} +X {SIDE}\n".encode() + bytes(100),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_huge_pictures_of_small_files(kind: str, tmp_path: Path) -> None:
    data = SOURCES[kind]()
    with pytest.raises(LimitExceeded, match=r"above the limit of 16777216 pixels for \d+ bytes.*--max-pixels"):
        load_image(data)
    path = tmp_path / "huge"
    path.write_bytes(data)
    for read in (load_picture, load_source):
        with pytest.raises(LimitExceeded, match="--max-pixels"):
            read([path])
    with pytest.raises(GsCodecError, match=r"--max-memory|cut off|damaged|header"):  # refused for another reason, then
        load_image(data, limits=Limits(max_pixels=1 << 40, max_memory=64 << 20))


def test_memory_is_estimated() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)).save(stream, "png")
    with pytest.raises(LimitExceeded, match=r"200x200 px takes about 1 MiB .*--max-memory"):
        load_image(stream.getvalue(), limits=Limits(max_memory=900_000))
    assert load_image(stream.getvalue(), limits=Limits(max_memory=1_000_000)).samples.shape == (200, 200, 3)


def test_flat_pictures_of_the_usual_kinds_are_read() -> None:
    """The least bytes that a picture of 5000 x 5000 px takes in each file type are enough."""
    kinds: dict[str, dict[str, Any]] = {
        "png": {"optimize": True},
        "tiff": {"compression": "tiff_adobe_deflate"},
        "jpeg": {},
    }
    for kind, options in kinds.items():
        stream = io.BytesIO()
        Image.new("L", (5000, 5000), 7).save(stream, kind, **options)
        assert load_image(stream.getvalue()).samples.shape[:2] == (5000, 5000)


def test_pictures_in_memory_have_no_file() -> None:
    assert from_array(np.zeros((3000, 6000), np.uint8)).samples.shape == (3000, 6000, 1)


def test_a_jpeg_of_very_many_scans() -> None:
    stream = io.BytesIO()
    Image.new("L", (64, 64)).save(stream, "jpeg", progressive=True)
    data = stream.getvalue()
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xc4", first)
    assert load_image(data).samples.shape == (64, 64, 1)
    with pytest.raises(LimitExceeded, match="scans"):
        load_image(data[:second] + data[first:second] * 300 + data[second:])
