"""16-bit colour, which Pillow decodes but hands out at 8 bits.

Pillow has no colour mode of 16 bits: its unpackers for 16-bit colour keep one byte of each sample. Which byte depends
on the byte order they are told. So the picture is decoded twice, once in either order: the first gives the high bytes,
the second the low ones, and nothing is lost. Raw modes are those of Pillow's manual, "Writing your own image plugin".
"""

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.image.tiff_pixels import straight

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

_DEEP_COLOUR: Final = re.compile(r"(RGB|RGBX|RGBA|RGBa|CMYK|LA);16([LBN])")


def raw_mode(image: "Image") -> str:
    """Layout of the stored samples in Pillow's terms; nothing once the pixels are loaded, or without a file."""
    tiles = getattr(image, "tile", None)
    args: Any = tiles[0].args if tiles else None
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def is_deep_colour(image: "ImageFile") -> bool:
    """Whether a freshly opened picture has 16-bit colour, or 16-bit gray with alpha."""
    return _DEEP_COLOUR.fullmatch(raw_mode(image)) is not None


def read_deep_colour(image: "ImageFile", reopen: "Callable[[], ImageFile]") -> npt.NDArray[np.uint16]:
    """(H, W, C) samples of a picture with 16-bit colour; alpha, if there is one, is straight and last.

    Args:
        image: freshly opened, and `is_deep_colour`.
        reopen: opens the same file once more.

    Raises:
        Exception: whatever Pillow raises on damaged data.
    """
    match = _DEEP_COLOUR.fullmatch(raw_mode(image))
    assert match is not None
    layout, order = match.groups()
    if layout == "LA":  # only PNG: two big-endian samples pass as the four bytes of another mode
        pairs: npt.NDArray[np.uint8] = np.ascontiguousarray(_decode(image, "RGBA"))
        return pairs.view(">u2").astype(np.uint16)
    if order == "N":
        order = "L" if sys.byteorder == "little" else "B"
    stored = layout.replace("a", "A")  # Pillow would divide by alpha at 8 bits
    high = _decode(image, f"{stored};16{order}")
    low = _decode(reopen(), f"{stored};16{'B' if order == 'L' else 'L'}")
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= low
    if layout == "RGBa":
        samples[:, :, :3] = straight(samples[:, :, :3], samples[:, :, 3:], 65535)
    return samples


def _decode(image: "ImageFile", mode: str) -> npt.NDArray[np.uint8]:
    """Pixels of a freshly opened picture, its samples unpacked another way."""
    image.tile = [
        tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode) for tile in image.tile
    ]
    return np.asarray(image)
