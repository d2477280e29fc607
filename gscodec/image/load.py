"""Source pictures from files, through Pillow, at the bit depth they have."""

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage, InvalidArgument, LimitExceeded, UnsupportedImage, file_access_error
from gscodec.format.metadata import Metadata
from gscodec.image import exr, float_tiff, png, radiance
from gscodec.image.deep import is_deep_colour, raw_mode, read_deep_colour
from gscodec.image.kinds import file_type, one_line_errors, open_pillow, warn_of_frames, warn_of_source
from gscodec.image.metadata import as_tagged, metadata_of, metadata_of_tiff, report_left_out, with_png_tags
from gscodec.image.pnm import is_deep_pnm, read_deep_pnm
from gscodec.image.profiles import sound_profile
from gscodec.image.quiet import quiet
from gscodec.image.stack import (
    DimensionCheck,
    ImageStack,
    check_dimensions,
    check_for,
    cmyk_groups,
    picture_groups,
    upright,
)
from gscodec.image.tiff_layout import (
    FLOAT,
    SEPARATED,
    WHITE_IS_ZERO,
    TiffLayout,
    from_page,
    read_layout,
    unread_compression,
)
from gscodec.image.tiff_layout import SIGNATURES as TIFF_SIGNATURES
from gscodec.image.tiff_pixels import is_for_tifffile, read_levels
from gscodec.io.streams import open_stdin
from gscodec.model.channels import ChannelGroup
from gscodec.model.constants import MAX_CHANNELS
from gscodec.model.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from PIL.Image import Image

Levels = npt.NDArray[Any]

MAX_STREAM_BYTES: Final = 1 << 32
"""Most bytes of a picture from a pipe, which is kept in memory."""

_PACKED: Final = {"L;2": 3, "L;4": 15}  # raw modes and their largest level, which Pillow spreads over 0..255
HEAD_BYTES: Final = 16
"""Of a file, which say its type, and of QOI what its codes are."""

_QOI_SPACE_AT: Final = 13
_ORIENTATION_TAG: Final = 0x0112
_TEXTS_KEPT: Final = frozenset({"XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1"})
"""Keywords of PNG texts that are kept as metadata."""

_TEXTS_OF_PROGRAMS: Final = frozenset(
    {"Software", "Creation Time", "date:create", "date:modify", "date:timestamp", "png:tIME"}
)
"""Keywords of what screenshot tools and ImageMagick write by themselves: their names, and the times of files."""

_REFUSED_MODES: Final = {
    "LAB": "CIELAB pictures are not read; convert it to RGB",
    "HSV": "HSV pictures are not read; convert it to RGB",
    "I": "32-bit integer samples are not read; convert it to 16 bits",
}


def load_image(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    name: str | None = None,
    *,
    part: str | None = None,
    nan: str = "error",
    limits: Limits = DEFAULT_LIMITS,
) -> ImageStack:
    """The picture in a file: gray or RGB, with alpha where the file has transparency; of an animation, the first frame.

    PNG, JPEG, TIFF, WebP, BMP, PBM/PGM/PPM, GIF, QOI, OpenEXR and Radiance HDR are told by content. Samples keep their
    depth of 1, 2, 4, 8, 12 or 16 bits, or stay floats; palettes become RGB, CMYK stays CMYK. EXIF orientation is
    applied. Alpha is straight. Colour is taken as sRGB or whatever the ICC profile says, which is kept and not applied.

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


def from_pillow(image: "Image", name: str) -> ImageStack:
    """A stack of an open Pillow image, as Pillow presents it: 16-bit colour has 8 bits there.

    Raises:
        GsCodecError: as `load_image`.
    """
    with one_line_errors(name):
        check_dimensions(image.height, image.width, name)
        levels, largest = _levels(image, name)
        return _tagged(_stack(image, levels, largest, name), metadata_of(image, name))


def _seekable(file: BinaryIO, name: str) -> BinaryIO:
    try:
        if file.seekable():
            return file
        head = file.read(16)
        if not head.startswith((exr.SIGNATURE, *radiance.SIGNATURES)):
            file_type(head, name)  # an endless stream of something else is not read to its end
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
        if head.startswith(exr.SIGNATURE):
            return exr.read_exr(file, name, part, nan, check)
        if part is not None:
            raise InvalidArgument(f"{name}: has no parts; only OpenEXR files have")
        if head.startswith(radiance.SIGNATURES):
            return radiance.read_radiance(file, name, check)
        if head[:4] in TIFF_SIGNATURES:
            return _load_tiff(file, name, nan, check)
        image = open_pillow(file, name, check)
        extras = None
        if image.format == "PNG":
            extras = png.check_chunks(file, name)
            image = open_pillow(file, name, check)
        if is_deep_pnm(image):
            levels, largest = read_deep_pnm(file, image, name)
        elif is_deep_colour(image):
            levels, largest = read_deep_colour(image, lambda: open_pillow(file, name, check)), 65535
        else:
            levels, largest = _levels(image, name)
        stack = _stack(image, levels, largest, name)
        return _tagged(stack, tags_of(image, head, extras, name, has_icc=stack.icc is not None))


def tags_of(image: "Image", head: bytes, extras: png.PngExtras | None, name: str, *, has_icc: bool) -> Metadata:
    """The metadata of a file that Pillow reads.

    Args:
        head: first bytes of the file.
        extras: of a PNG file, what stands beside its pixels.
        has_icc: whether the picture keeps an ICC profile.

    Warns:
        SourceWarning: what of it is not kept, and further frames.
    """
    warn_of_frames(image, name)
    metadata = metadata_of(image, name)
    if image.format == "QOI" and head[_QOI_SPACE_AT] == 1:  # all channels linear
        metadata = replace(metadata, gamma=1.0)
    if extras is None:
        return metadata
    texts = [text for text in extras.texts if text not in _TEXTS_KEPT | _TEXTS_OF_PROGRAMS]
    report_left_out([*(["text " + ", ".join(texts)] if texts else []), *extras.others], name)
    return with_png_tags(metadata, extras.tags, has_icc=has_icc)


def _tagged(stack: ImageStack, metadata: Metadata) -> ImageStack:
    return replace(stack, metadata=metadata, groups=as_tagged(stack.groups, metadata))


def _load_tiff(file: BinaryIO, name: str, nan: str, check: DimensionCheck) -> ImageStack:
    """The picture of a TIFF file by whichever reader keeps all of it."""
    layout = read_layout(file, name)
    if layout is None:  # damaged: Pillow says how, or reads what it can
        return _through_pillow(file, None, name, check)
    if min(layout.height, layout.width, layout.n_samples) < 1:
        raise BadImage(f"{name}: {layout.width}x{layout.height} px is not a picture")
    check(layout.height, layout.width, name, layout.n_samples)
    for note in layout.notes:
        warn_of_source(f"{name}: {note}")
    if layout.sample_format == FLOAT:
        return replace(
            float_tiff.read_float_tiff(file, layout, name, nan), metadata=metadata_of_tiff(file, layout.offset, name)
        )
    if not is_for_tifffile(layout):
        stack = _through_pillow(file, layout, name, check)
        return replace(stack, metadata=metadata_of_tiff(file, layout.offset, name))
    if layout.n_samples > MAX_CHANNELS:
        raise LimitExceeded(f"{name}: {layout.n_samples} channels are above the limit of {MAX_CHANNELS}")
    levels, notes = read_levels(file, layout, name)
    for note in notes:
        warn_of_source(f"{name}: {note}")
    largest = (1 << max(layout.bits)) - 1
    groups = cmyk_groups(max(layout.bits)) if layout.photometric == SEPARATED else None
    stack = _stack_of(upright(levels, layout.orientation), largest, groups, layout.icc, name)
    return replace(stack, metadata=metadata_of_tiff(file, layout.offset, name))


def _through_pillow(file: BinaryIO, layout: TiffLayout | None, name: str, check: DimensionCheck) -> ImageStack:
    """The picture of a TIFF file as Pillow reads it, at its own depth."""
    failure: OSError | None = None
    stack: ImageStack | None = None
    if layout is not None and layout.page:
        file = from_page(file, layout)
    with quiet() as said:
        try:
            image = open_pillow(file, name, check)
            if is_deep_colour(image):
                levels, largest = read_deep_colour(image, lambda: open_pillow(file, name, check)), 65535
            else:
                is_deep_gray = image.mode.startswith("I;16")
                levels, largest = _levels(image, name)
                if layout is not None and is_deep_gray:
                    largest = (1 << max(layout.bits)) - 1
                    if layout.photometric == WHITE_IS_ZERO:  # Pillow turns that over up to 8 bits
                        levels = largest - levels
            stack = _stack(image, levels, largest, name)
        except OSError as fault:
            failure = fault
    if failure is not None:
        if layout is not None and "not configured" in said[0]:
            raise UnsupportedImage(f"{name}: {unread_compression(layout)}") from failure
        raise failure
    assert stack is not None
    n_channels = stack.samples.shape[2]
    if layout is not None and layout.n_samples - layout.n_colours > (layout.n_colours < n_channels in {2, 4}):
        warn_of_source(f"{name}: channels beyond the colour that are no alpha are left out")
    return stack


def _levels(image: "Image", name: str) -> tuple[Levels, int]:
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


def _stack(image: "Image", levels: Levels, largest: int, name: str) -> ImageStack:
    if image.mode not in {"P", "PA"}:  # a palette has its transparency by now
        levels = _with_key(levels, largest, image)
    groups = cmyk_groups(largest.bit_length()) if image.mode == "CMYK" else None
    return _stack_of(upright(levels, _orientation(image)), largest, groups, image.info.get("icc_profile"), name)


def _stack_of(
    levels: Levels, largest: int, groups: tuple[ChannelGroup, ...] | None, icc: bytes | None, name: str
) -> ImageStack:
    """The stack of upright levels; without groups, an ordinary picture."""
    samples = levels.astype(np.float32)
    samples /= np.float32(largest)
    groups = groups or picture_groups(samples.shape[2], largest.bit_length())
    return ImageStack(np.ascontiguousarray(samples), groups, sound_profile(icc, groups, name), name)


def _orientation(image: "Image") -> int:
    """What EXIF says of the way up. Of TIFF, Pillow has turned the picture and removed the tag."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged metadata does not stop a picture from being read
        return 1
