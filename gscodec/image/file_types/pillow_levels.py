"""Integer levels of pictures that Pillow opens, including 16-bit colour, which Pillow reduces to 8 bits.

Pillow has no 16-bit colour mode: its unpackers for 16-bit colour keep one byte of each sample. Which byte depends on
the byte order they are passed. So the picture is decoded twice, once in each order: the first gives the high bytes, the
second the low ones. Raw modes are those of Pillow's manual, "Writing your own image plugin".
"""

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import UnsupportedImage
from gscodec.image.alpha import straight_levels
from gscodec.image.profiles import sound_profile
from gscodec.image.stack import ImageStack, cmyk_groups, picture_groups, upright
from gscodec.model.channels import ChannelGroup

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

Levels = npt.NDArray[Any]

_PACKED: Final = {"L;2": 3, "L;4": 15}  # raw modes and their largest level, which Pillow spreads over 0..255
_ORIENTATION: Final = 0x0112  # Exif
_REFUSED_MODES: Final = {
    "LAB": "CIELAB pictures are not read; convert it to RGB",
    "HSV": "HSV pictures are not read; convert it to RGB",
    "I": "32-bit integer samples are not read; convert it to 16 bits",
}
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
        samples[:, :, :3] = straight_levels(samples[:, :, :3], samples[:, :, 3:], 65535)
    return samples


def _decode(image: "ImageFile", mode: str) -> npt.NDArray[np.uint8]:
    """Pixels of a freshly opened picture, its samples unpacked another way."""
    image.tile = [
        tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode) for tile in image.tile
    ]
    return np.asarray(image)


def levels_of(image: "Image", name: str) -> tuple[Levels, int]:
    """(H, W, C) integer levels, and the largest there can be."""
    packed = raw_mode(image)
    mode = image.mode
    if mode in _REFUSED_MODES:
        raise UnsupportedImage(f"{name}: {_REFUSED_MODES[mode]}")
    if mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[:, :, None], 65535
    if mode in {"P", "PA"}:
        image.load()  # an animation's first frame gets its palette here
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif mode not in {"1", "L", "LA", "RGB", "RGBA", "CMYK"}:  # RGBX, YCbCr, La, RGBa
        image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, "RGB"))
    samples = np.asarray(image)
    if image.mode == "1":
        return samples.astype(np.uint8)[:, :, None], 1
    samples = samples[:, :, None] if samples.ndim == 2 else samples
    largest = next((largest for start, largest in _PACKED.items() if packed.startswith(start)), 255)
    return samples // (255 // largest), largest


def _with_key(levels: Levels, largest: int, image: "Image") -> Levels:
    """Levels, and an alpha of 0 for the one colour that a file may declare transparent."""
    key = image.info.get("transparency")
    if levels.shape[2] not in {1, 3} or not isinstance(key, int | tuple):
        return levels
    if image.mode == "1":
        key = min(key, 1) if isinstance(key, int) else 0  # Pillow says 255 for white
    clear = (levels == np.asarray(key, dtype=np.int64)).all(axis=2, keepdims=True)
    return np.concatenate([levels, np.where(clear, 0, largest).astype(levels.dtype)], axis=2)


def stack_of_image(image: "Image", levels: Levels, largest: int, name: str) -> ImageStack:
    """The upright stack of an image's (H, W, C) integer levels, which may be deeper than Pillow's."""
    if image.mode not in {"P", "PA"}:  # a palette has its transparency by now
        levels = _with_key(levels, largest, image)
    groups = cmyk_groups(largest.bit_length()) if image.mode == "CMYK" else None
    return stack_of_levels(upright(levels, orientation_of(image)), largest, groups, image.info.get("icc_profile"), name)


def stack_of_levels(
    levels: Levels, largest: int, groups: tuple[ChannelGroup, ...] | None, icc: bytes | None, name: str
) -> ImageStack:
    """The stack of upright levels; without groups, an ordinary picture."""
    samples = levels.astype(np.float32)
    samples /= np.float32(largest)
    groups = groups or picture_groups(samples.shape[2], largest.bit_length())
    return ImageStack(np.ascontiguousarray(samples), groups, sound_profile(icc, groups, name), name)


def orientation_of(image: "Image") -> int:
    """Orientation, as Exif has it. Of TIFF, Pillow has turned the picture and removed the tag."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata does not stop a picture from being read
        return 1
