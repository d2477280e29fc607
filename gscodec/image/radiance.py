"""Radiance HDR (RGBE) pictures: Ward, "Real Pixels", Graphics Gems II, 1991, and the Radiance file format."""

import re
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage, UnsupportedImage
from gscodec.format.channels import Role
from gscodec.format.files import FileEntry
from gscodec.image.floats import float_group, model_samples
from gscodec.image.stack import ImageStack, bare_name, check_dimensions

SIGNATURES: Final = (b"#?RADIANCE", b"#?RGBE")

_SIZE: Final = re.compile(rb"-Y +(\d{1,9}) +\+X +(\d{1,9})\n")
_HEADER_LIMIT: Final = 1 << 16
_RUN: Final = 128


def read_radiance(file: BinaryIO, name: str) -> ImageStack:
    """A colour picture of light in RGBE, run-length coded or flat, top row first.

    Raises:
        BadImage: damaged or cut off. UnsupportedImage: CIE XYZ, or another order of rows. LimitExceeded: too large.
    """
    content = file.read()
    end = content.find(b"\n\n", 0, _HEADER_LIMIT)
    if end < 0:
        raise BadImage(f"{name}: the Radiance header has no end")
    head = content[:end]
    if b"FORMAT=" in head and b"FORMAT=32-bit_rle_rgbe" not in head:
        raise UnsupportedImage(f"{name}: Radiance pictures in CIE XYZ are not read; convert it to RGBE")
    size = _SIZE.match(content, end + 2)
    if not size:
        raise UnsupportedImage(f"{name}: Radiance rows in another order than -Y +X are not read; flip it first")
    height, width = int(size[1]), int(size[2])
    if height < 1 or width < 1:
        raise BadImage(f"{name}: {width}x{height} px is not a picture")
    check_dimensions(height, width, name)
    values = _floats(_rgbe(content, size.end(), height, width, name))
    source = bare_name(name, ".hdr")
    group = float_group("color", values, Role.COLOR, 32, source)
    exr = {"channels": [{"name": each, "type": "half", "place": place} for place, each in enumerate("RGB")]}
    entry = FileEntry(source, width, height, 3, (group.name,), exr=exr)
    return ImageStack(model_samples(values, group), (group,), None, name, (entry,))


def _rgbe(content: bytes, at: int, height: int, width: int, name: str) -> npt.NDArray[np.uint8]:
    """(H, W, 4) mantissas and exponent."""
    rows = np.empty((height, 4, width), np.uint8)
    start = bytes([2, 2, width >> 8 & 255, width & 255])
    if not 8 <= width < 1 << 15 or content[at : at + 4] != start:
        flat = np.frombuffer(content, np.uint8, -1, at)
        if flat.size < height * width * 4:
            raise BadImage(f"{name}: the Radiance data is cut off")
        return flat[: height * width * 4].reshape(height, width, 4)
    for row in range(height):
        if content[at : at + 4] != start:
            raise BadImage(f"{name}: row {row} of the Radiance data is damaged or cut off")
        at += 4
        for channel in range(4):
            done = 0
            while done < width:
                if at + 2 > len(content):
                    raise BadImage(f"{name}: the Radiance data is cut off in row {row}")
                count = content[at]
                if count > _RUN:
                    count -= _RUN
                    rows[row, channel, done : done + count] = content[at + 1]
                    at += 2
                else:
                    part = content[at + 1 : at + 1 + count]
                    if not count or len(part) != count or done + count > width:
                        raise BadImage(f"{name}: row {row} of the Radiance data is damaged")
                    rows[row, channel, done : done + count] = np.frombuffer(part, np.uint8)
                    at += 1 + count
                done += count
            if done != width:
                raise BadImage(f"{name}: row {row} of the Radiance data is damaged")
    return rows.transpose(0, 2, 1)


def _floats(rgbe: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    exponents = rgbe[:, :, 3:].astype(np.int32)
    values = np.ldexp(rgbe[:, :, :3].astype(np.float32) + np.float32(0.5), exponents - (128 + 8))
    return np.where(exponents > 0, values, 0).astype(np.float32)


def write_radiance(values: npt.NDArray[np.float32]) -> bytes:
    """A flat RGBE file of light (H, W, 3); what is below 0 becomes 0."""
    height, width, _ = values.shape
    light = np.clip(values, 0, np.float32(2.0**126))
    largest = light.max(axis=2)
    mantissa, exponent = np.frexp(largest)
    scale = np.where(largest > 1e-32, mantissa * 256 / np.maximum(largest, 1e-38), 0)
    rgbe = np.empty((height, width, 4), np.uint8)
    rgbe[:, :, :3] = np.clip(light * scale[:, :, None], 0, 255)
    rgbe[:, :, 3] = np.where(largest > 1e-32, np.clip(exponent + 128, 0, 255), 0)
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode()
    return head + rgbe.tobytes()
