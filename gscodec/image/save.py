"""Decoded pictures to files, in any format Pillow writes, and in 16-bit colour where the format has it."""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import FileAccessError, InvalidArgument, UnsupportedImage
from gscodec.format import write_atomic
from gscodec.format.channels import AlphaMode, ChannelGroup, Role
from gscodec.image.levels import check_channels, full_range, native_dtype, to_native
from gscodec.image.png import write_deep_png
from gscodec.image.pnm import write_deep_pnm
from gscodec.image.tiff import write_deep_tiff

_DEEP: Final = {"PNG", "TIFF", "PPM"}
_SUFFIXES: Final = {
    "": "PNG",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".pnm": "PPM",
    ".tga": "TGA",
}
"""The usual ones, so that not all of Pillow's plugins are loaded to look them up."""

_ALPHA: Final = {"PNG", "TIFF", "WEBP", "TGA", "AVIF", "DDS", "JPEG2000", "QOI", "SGI"}
_REFUSED: Final = {"PDF", "EPS", "PALM", "MPO", "ICO", "ICNS"}  # written by Pillow, but not as these very pixels
_MODES: Final = {1: ("L", "RGB"), 2: ("LA", "RGBA"), 3: ("RGB",), 4: ("RGBA",)}
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "JPEG": {"quality": 95, "subsampling": 0},  # the picture has been through one lossy codec already
    "WEBP": {"lossless": True, "exact": True},  # exact: colour under clear alpha too
    "TIFF": {"compression": "tiff_adobe_deflate"},
}


def save_image(
    path: str | os.PathLike[str],
    array: npt.NDArray[Any],
    groups: Sequence[ChannelGroup],
    icc: bytes | None = None,
    *,
    bit_depth: int | None = None,
    format: str | None = None,  # noqa: A002 - the word that Pillow and everyone uses
    overwrite: bool = False,
) -> None:
    """Write a picture, whole or not at all.

    PNG, TIFF, BMP, PPM and WebP lose nothing; JPEG is written at quality 95 without chroma subsampling. Files get the
    ICC profile where their format has a place for it.

    Args:
        path: where to; `-` is stdout.
        array: (H, W, C) uint8 or uint16 over their full range, or floats in 0..1, clamped.
        groups: what the C channels are: one picture of 1 to 4 channels.
        icc: ICC profile to embed.
        bit_depth: 8 or 16; None is the depth of the groups, up to what the format has.
        format: Pillow's name for it or a suffix, in any case; None goes by the path's suffix, PNG without one.
        overwrite: whether an existing file may be replaced.

    Raises:
        InvalidArgument: no such format, a depth or an alpha that the format does not have, or an array that does not
            fit the groups.
        UnsupportedImage: the groups are not one picture.
        OutputExists, FileAccessError: as `write_atomic`.
    """
    target = os.fspath(path)
    data = encode_image(target, array, groups, icc, bit_depth=bit_depth, format_name=format)
    if target != "-":
        write_atomic(target, data, overwrite)
        return
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # a reader that has had enough is not a fault
        raise
    except OSError as fault:
        raise FileAccessError(f"stdout: cannot be written: {fault.strerror or fault}") from fault


def encode_image(
    name: str,
    array: npt.NDArray[Any],
    groups: Sequence[ChannelGroup],
    icc: bytes | None,
    *,
    bit_depth: int | None,
    format_name: str | None,
) -> bytes:
    """The bytes that `save_image` writes. `name` gives the format where `format_name` is None."""
    kind = _format(name, format_name)
    check_channels(array, groups)
    n_channels = _picture_channels(groups, name)
    has_alpha = n_channels in {2, 4}
    if has_alpha and kind not in _ALPHA:
        raise InvalidArgument(f"{name}: {kind} has no alpha channel; write PNG, TIFF or WebP")
    has_deep = kind in _DEEP
    if bit_depth not in {None, 8, 16} or (bit_depth == 16 and not has_deep):
        raise InvalidArgument(f"{name}: {kind} is not written at {bit_depth} bits; use 8, or 16 with PNG, TIFF or PPM")
    if bit_depth is None:
        array = to_native(array, groups)
        if groups[0].bit_depth == 1 and n_channels == 1 and kind in {"PNG", "TIFF", "BMP", "PPM"}:
            return _with_pillow(array, ("1",), kind, icc, name)
        bit_depth = 8 if native_dtype(groups) == np.uint8 or not has_deep else 16
    if bit_depth == 16:
        deep = full_range(array, np.uint16)
        if kind == "PPM":
            return write_deep_pnm(deep)
        if kind == "PNG":
            return write_deep_png(deep, icc)
        # few programs, Pillow not among them, read TIFFs of 16-bit gray with alpha
        return write_deep_tiff(deep[:, :, [0, 0, 0, 1]] if n_channels == 2 else deep, icc)
    return _with_pillow(full_range(array, np.uint8), _MODES[n_channels], kind, icc, name)


def _format(name: str, format_name: str | None) -> str:
    """Pillow's name of the format asked for."""
    if format_name is None:
        suffix = "" if name == "-" else PurePath(name).suffix.lower()
    else:
        suffix = f".{format_name.lower().removeprefix('.')}"
    if suffix in _SUFFIXES and not (format_name is not None and suffix == "."):
        return _SUFFIXES[suffix]
    from PIL import Image

    kind = Image.registered_extensions().get(suffix, suffix[1:].upper())
    if kind not in Image.SAVE or kind in _REFUSED:
        asked = format_name if format_name is not None else f"*{suffix}"
        raise InvalidArgument(f"{name}: pictures are not written as {asked}; use png, tiff, webp, jpeg, bmp or ppm")
    return kind


def _picture_channels(groups: Sequence[ChannelGroup], name: str) -> int:
    """Channels of the one picture that the groups make up; an opacity group may be its alpha."""
    n_channels = sum(group.n_channels for group in groups)
    first = groups[0]
    if len(groups) == 1 and (n_channels in {2, 4}) == (first.alpha is not AlphaMode.NONE) and n_channels <= 4:
        return n_channels
    opacity = len(groups) == 2 and groups[1].role is Role.OPACITY and groups[1].n_channels == 1
    if opacity and first.n_channels in {1, 3} and first.alpha is AlphaMode.NONE:
        return n_channels
    names = ", ".join(group.name for group in groups)
    raise UnsupportedImage(f"{name}: {n_channels} channels ({names}) are not one gray or colour picture")


def _with_pillow(array: npt.NDArray[np.uint8], modes: Sequence[str], kind: str, icc: bytes | None, name: str) -> bytes:
    """The file in the first of the modes that the format takes."""
    from PIL import Image

    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    options = dict(_OPTIONS.get(kind, {}))
    if icc:
        options["icc_profile"] = icc
    fault: Exception | None = None
    for mode in modes:
        stream: BinaryIO = io.BytesIO()
        try:
            image.convert(mode, dither=Image.Dither.NONE).save(stream, kind, **options)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, SystemError) as error:
            fault = fault or error
            continue
        stream.seek(0)
        return stream.read()
    height, width = array.shape[:2]
    reason = " ".join(str(fault).split())
    raise InvalidArgument(f"{name}: {width}x{height} px cannot be written as {kind} ({reason}); write PNG") from fault
