"""Pictures of `.igs` files as Blender's images have them: four floats per pixel, bottom row first. Knows no `bpy`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

import gscodec
from gscodec.errors import UnsupportedImage
from gscodec.image.alpha import covers
from gscodec.image.levels import has_floats
from gscodec.image.stack import is_cmyk
from gscodec.image.transfer import light_of_srgb
from gscodec.material.restore import Restored
from gscodec.model.channels import COLOURS, AlphaMode, ChannelGroup, NormalConvention, Role, Transfer

ColourSpace = Literal["srgb", "linear", "data"]
BlenderAlpha = Literal["STRAIGHT", "PREMUL", "CHANNEL_PACKED", "NONE"]

_BYTE_BITS: Final = 8
_CHANNELS: Final = 4


@dataclass(frozen=True)
class BlenderPicture:
    """A picture for `bpy.data.images.new`."""

    name: str
    height: int  # px
    width: int
    pixels: npt.NDArray[np.float32] = field(repr=False)  # (height * width * 4,), bottom row first, RGBA
    is_float: bool  # float buffer: more than 8 bits, or floats
    colour_space: ColourSpace  # srgb: codes; linear: light; data: no colour
    alpha: BlenderAlpha


@dataclass(frozen=True)
class Level:
    """A level of detail of a file."""

    lod: int
    n_bytes: int  # of the prefix of the file that holds it


def levels(path: str | os.PathLike[str]) -> list[Level]:
    """Levels of detail of a file, the finest first.

    Raises:
        GsCodecError: the file cannot be read.
    """
    with gscodec.open(path, device="cpu") as image:
        return [Level(lod, image.prefix_size(lod)) for lod in range(image.lods)]


def read_pictures(
    path: str | os.PathLike[str], *, lod: int | None = None, reduction: int = 1, only: Sequence[str] | None = None
) -> list[BlenderPicture]:
    """The pictures of a file: one, or the maps of a material.

    Colour of up to 8 bits stays in codes of sRGB; deeper colour and floats become linear light, since Blender takes
    float buffers so. All other maps are data. Green of normal maps points up, as Blender has it. ICC profiles are not
    applied.

    Args:
        path: of the `.igs` file.
        lod: level of detail, 0 the finest; beyond the coarsest, the coarsest. None chooses it by the size.
        reduction: divides the sides.
        only: names of maps, as in `IgsImage.render_files`; None means all.

    Raises:
        UnsupportedImage: a picture that Blender has no image for: inks, or more than four channels.
        GsCodecError: the file is damaged or cannot be read.
    """
    pictures = []
    with gscodec.open(path) as image:
        level = None if lod is None else min(lod, image.lods - 1)
        entries = image.select(only)
        for entry in entries:
            groups = [group for group in image.groups if group.name in entry.groups]
            is_deep = any(group.bit_depth > _BYTE_BITS for group in groups)
            size = (-(-entry.height // reduction), -(-entry.width // reduction))
            shown = image.render_files([entry.name], level, size=size, dtype=np.uint16 if is_deep else np.uint8)
            stem = PurePath(path).stem
            name = stem if len(image.files) == 1 else f"{stem}_{PurePath(entry.name).stem}"
            pictures.append(to_blender(shown[entry.name], name))
    return pictures


def to_blender(picture: Restored, name: str) -> BlenderPicture:
    """A decoded picture as Blender has it.

    Args:
        picture: samples (H, W, C) of uint8, uint16 or floats, with their groups.
        name: of the image.

    Raises:
        UnsupportedImage: inks, or more than four channels.
    """
    samples, groups = picture.samples, picture.groups
    height, width, n_channels = samples.shape
    if is_cmyk(groups) or n_channels > _CHANNELS:
        what = "is a picture of inks (CMYK)" if is_cmyk(groups) else f"has {n_channels} channels"
        raise UnsupportedImage(f"{name}: {what}, which Blender has no image for; export it with gscodec decode")
    group, is_byte = groups[0], samples.dtype.itemsize == 1
    values = samples.astype(np.float32)
    if not has_floats(groups):
        values /= np.float32(np.iinfo(samples.dtype).max)
    if group.role is Role.NORMAL and group.normal is NormalConvention.DX and n_channels > 1:
        low, high = (group.value_min, group.value_max) if has_floats(groups) else (0.0, 1.0)
        values[:, :, 1] = low + high - values[:, :, 1]
    cover = next((one for one in covers(groups) if (one.colour.start, one.alpha) == (0, n_channels - 1)), None)
    space = _space(group, is_byte=is_byte)
    colour = values if cover is None else values[:, :, :-1]
    is_code = group.transfer is Transfer.SRGB and not has_floats(groups)
    is_straight = cover is not None and cover.mode is AlphaMode.STRAIGHT
    if cover is not None and not is_straight and (is_byte or is_code):
        colour[...], is_straight = _straight(colour, values[:, :, -1:]), True
    if space == "linear" and is_code:
        colour[...] = light_of_srgb(colour)
    if is_straight and not is_byte:  # Blender's buffers of floats are multiplied by alpha, those of bytes are not
        colour *= values[:, :, -1:]
    alpha: BlenderAlpha = "NONE" if n_channels < _CHANNELS else "CHANNEL_PACKED"
    if cover is not None:
        alpha = "STRAIGHT" if is_byte else "PREMUL"
    pixels = np.ascontiguousarray(_four(values, has_alpha=cover is not None)[::-1]).reshape(-1)
    return BlenderPicture(name, height, width, pixels, not is_byte, space, alpha)


def _space(group: ChannelGroup, *, is_byte: bool) -> ColourSpace:
    if group.role not in COLOURS:
        return "data"
    return "srgb" if is_byte and group.transfer is Transfer.SRGB else "linear"


def _straight(colour: npt.NDArray[np.float32], alpha: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Straight colour of colour multiplied by alpha; 0 where nothing is covered."""
    return np.where(alpha > 0, np.minimum(colour / np.where(alpha > 0, alpha, 1), 1), 0)


def _four(values: npt.NDArray[np.float32], *, has_alpha: bool) -> npt.NDArray[Any]:
    """(H, W, 4): gray in three channels, missing channels 0, missing alpha 1."""
    height, width, n_channels = values.shape
    result = np.zeros((height, width, _CHANNELS), np.float32)
    result[:, :, 3] = 1
    n_colours = n_channels - 1 if has_alpha else n_channels
    result[:, :, :3] = values[:, :, :1] if n_colours == 1 else 0
    if n_colours > 1:
        result[:, :, :n_colours] = values[:, :, :n_colours]
    if has_alpha:
        result[:, :, 3] = values[:, :, -1]
    return result
