"""Reads source pictures from files at their own bit depth."""

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from gscodec.errors import GsCodecError, InvalidArgument, LimitExceeded, file_access_error
from gscodec.image.file_types.base import HEAD_BYTES, SourceFile
from gscodec.image.file_types.registry import type_of_content
from gscodec.image.metadata import as_tagged, metadata_of
from gscodec.image.source_errors import one_line_errors
from gscodec.image.stack import ImageStack, check_dimensions, check_for
from gscodec.io.streams import open_stdin
from gscodec.model.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from PIL.Image import Image

    from gscodec.image.regions import RegionSource

MAX_STREAM_BYTES: Final = 1 << 32
"""Maximum bytes of a picture from a pipe, which is kept in memory."""


def load_image(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    name: str | None = None,
    *,
    part: str | None = None,
    nan: str = "error",
    limits: Limits = DEFAULT_LIMITS,
) -> ImageStack:
    """The picture in a file: gray or RGB, with alpha where the file has transparency; of an animation, the first frame.

    PNG, JPEG, TIFF, WebP, BMP, PBM/PGM/PPM, GIF, QOI, OpenEXR and Radiance HDR are recognised by content. Samples keep
    their depth of 1, 2, 4, 8, 12 or 16 bits, or stay floats; palettes become RGB, CMYK stays CMYK. EXIF orientation is
    applied. Alpha is straight. Colour is interpreted as sRGB or by the ICC profile, which is kept and not applied.

    Args:
        source: a path, `-` for stdin, the bytes of a file, or an open binary file, which stays open.
        name: what messages call it; the path where none is given.
        part: of an OpenEXR file that has several, by name or number.
        nan: what becomes of NaN and infinities: `error`, `zero`, or `hole`, which fills them from around.
        limits: what it may cost.

    Raises:
        FileAccessError: the operating system refused.
        BadImage: damaged, cut off, or no picture.
        UnsupportedImage: a picture of a kind that is not read (CIELAB, deep OpenEXR ...).
        LimitExceeded: more pixels than its bytes stand for, or more memory than the limits allow; none was taken.
    """
    if isinstance(source, bytes):
        return _load(io.BytesIO(source), name or "(bytes)", part, nan, limits)
    if not isinstance(source, str | os.PathLike):
        return _load(_seekable(source, name or "(stream)"), name or "(stream)", part, nan, limits)
    if os.fspath(source) == "-":
        return _load(_seekable(open_stdin(), name or "stdin"), name or "stdin", part, nan, limits)
    name = name or os.fspath(source)
    try:
        file = Path(source).open("rb")  # noqa: SIM115 - closed below
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
        raise file_access_error(
            f"{name}: cannot be opened: {getattr(fault, 'strerror', None) or fault}", fault
        ) from fault
    with file:
        return _load(_seekable(file, name), name, part, nan, limits)


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) px of the picture in a file, upright, from its header.

    Raises:
        GsCodecError: as `load_image`.
    """
    name = os.fspath(path)
    with one_line_errors(name), path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        return type_of_content(head, name).size(SourceFile(file, head, name))


def open_in_parts(path: Path, least_pixels: int, limits: Limits = DEFAULT_LIMITS) -> "RegionSource | None":
    """A picture of more than `least_pixels`, to be read in parts; None if it is read as a whole or is unreadable.

    Raises:
        GsCodecError: as `PictureType.open_in_parts`.
    """
    try:
        with path.open("rb") as file:
            kind = type_of_content(file.read(HEAD_BYTES), os.fspath(path))
    except (OSError, ValueError, GsCodecError):  # `load_image` raises the error
        return None
    return kind.open_in_parts(path, least_pixels, limits)


def from_pillow(image: "Image", name: str) -> ImageStack:
    """A stack of an open Pillow image as Pillow converts it: 16-bit colour is reduced to 8 bits.

    Raises:
        GsCodecError: as `load_image`.
    """
    from gscodec.image.file_types.pillow_levels import levels_of, stack_of_image

    with one_line_errors(name):
        check_dimensions(image.height, image.width, name)
        levels, largest = levels_of(image, name)
        metadata = metadata_of(image, name)
        stack = stack_of_image(image, levels, largest, name)
        return replace(stack, metadata=metadata, groups=as_tagged(stack.groups, metadata))


def _seekable(file: BinaryIO, name: str) -> BinaryIO:
    try:
        if file.seekable():
            return file
        head = file.read(HEAD_BYTES)
        type_of_content(head, name)  # an endless stream of something else is not read to its end
        data = head + file.read(MAX_STREAM_BYTES + 1 - len(head))
    except OSError as fault:
        raise file_access_error(f"{name}: cannot be read: {fault.strerror or fault}", fault) from fault
    if len(data) > MAX_STREAM_BYTES:
        raise LimitExceeded(f"{name}: gives more than {MAX_STREAM_BYTES} bytes; save it as a file and name that")
    return io.BytesIO(data)


def _load(file: BinaryIO, name: str, part: str | None, nan: str, limits: Limits) -> ImageStack:
    with one_line_errors(name):
        check = check_for(file, limits)
        file.seek(0)
        head = file.read(HEAD_BYTES)
        file.seek(0)
        kind = type_of_content(head, name)
        if part is not None and not kind.has_parts:
            raise InvalidArgument(f"{name}: has no parts; only OpenEXR files have")
        return kind.read(SourceFile(file, head, name, check, part, nan))
