import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

PngMaker = Callable[..., bytes]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(
    width: int,
    height: int,
    depth: int,
    colour_type: int,
    rows: bytes = b"",
    extra: tuple[tuple[bytes, bytes], ...] = (),
) -> bytes:
    """A PNG written by hand: `rows` are packed samples, each row behind its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *(chunk(*pair) for pair in extra)]
    return b"".join([*parts, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")])


def deep_rows(samples: npt.NDArray[np.uint16]) -> bytes:
    """Unfiltered 16-bit rows (H, W, C)."""
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)


@pytest.fixture
def png() -> PngMaker:
    return make_png


@pytest.fixture
def deep_png() -> Callable[[npt.NDArray[np.uint16]], bytes]:
    def build(samples: npt.NDArray[np.uint16], *extra: tuple[bytes, bytes]) -> bytes:
        height, width, n_channels = samples.shape
        return make_png(width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[n_channels], deep_rows(samples), extra)

    return build


@pytest.fixture
def saved() -> Callable[..., bytes]:
    """The bytes Pillow writes for an image."""

    def build(image: Image.Image, kind: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        return stream.getvalue()

    return build


@pytest.fixture
def noise() -> Callable[..., npt.NDArray[Any]]:
    """Random samples over the whole range of a type, (13, 17, C)."""

    def build(n_channels: int, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        rng = np.random.default_rng(n_channels)
        return rng.integers(0, np.iinfo(dtype).max, (13, 17, n_channels), dtype, endpoint=True)

    return build
