"""Decoded pictures to files, in any format Pillow writes, and in 16-bit colour where the format has it."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, UnsupportedImage
from gscodec.format.metadata import Metadata
from gscodec.image.alpha import covers, in_mode
from gscodec.image.embed import embedded, fitting_metadata, pillow_options
from gscodec.image.kinds import warn_of_source
from gscodec.image.levels import check_channels, full_range, has_floats, native_dtype, to_native, to_values
from gscodec.image.normals import shown_normals
from gscodec.image.picture_names import MOST_IN_PNG
from gscodec.image.png import write_deep_png
from gscodec.image.pnm import write_deep_pnm
from gscodec.image.profiles import deep_rgb_of_inks, fitting_profile, is_srgb, srgb_of_inks
from gscodec.image.stack import is_cmyk, picture_groups
from gscodec.image.suffixes import PICTURE_SUFFIXES
from gscodec.image.tiff import write_deep_tiff
from gscodec.image.transfer import light_of_srgb, srgb_of_light
from gscodec.image.windows import displayed, report_shape_and_primaries
from gscodec.io.atomic import write_atomic
from gscodec.io.streams import write_stdout
from gscodec.model.channels import COLOURS, AlphaMode, ChannelGroup, Role, Transfer

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
    ".exr": "EXR",
    ".hdr": "HDR",
}
"""The usual ones, so that not all of Pillow's plugins are loaded to look them up."""

PICTURE_FILES: Final = PICTURE_SUFFIXES | set(_SUFFIXES) - {""}
"""Suffixes of files that may hold a picture, read or written."""

_ALPHA: Final = {"PNG", "TIFF", "WEBP", "TGA", "AVIF", "DDS", "JPEG2000", "QOI", "SGI"}
_REFUSED: Final = {"PDF", "EPS", "PALM", "MPO", "ICO", "ICNS"}  # written by Pillow, but not as these very pixels
_PROFILED: Final = {"PNG", "TIFF", "JPEG", "WEBP", "AVIF"}
_NO_GRAY: Final = {"WEBP", "AVIF"}  # gray is written as RGB
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
    exr: Mapping[str, Any] | None = None,
    metadata: Metadata | None = None,
) -> None:
    """Write a picture, whole or not at all.

    PNG, TIFF, BMP, PPM and WebP lose nothing; JPEG is written at quality 95 without chroma subsampling. Files get the
    ICC profile where their format has a place for it, and the profile is of the colour model that is written.

    Args:
        path: where to; `-` is stdout.
        array: (H, W, C) uint8 or uint16 over their full range, or floats in 0..1, clamped.
        groups: what the C channels are: one picture of 1 to 4 channels.
        icc: ICC profile to embed.
        bit_depth: 8 or 16; None is the depth of the groups, up to what the format has.
        format: Pillow's name for it or a suffix, in any case; None goes by the path's suffix, PNG without one.
        overwrite: whether an existing file may be replaced.
        exr: what an OpenEXR source had beside its samples (`FileEntry.exr`): for OpenEXR, and for the display window.
        metadata: pixel density, colour tags, Exif and XMP (`IgsImage.metadata`), as far as the file type has them.

    Raises:
        InvalidArgument: no such format, a depth or an alpha that the format does not have, or an array that does not
            fit the groups.
        UnsupportedImage: the groups are not one picture.
        OutputExists, FileAccessError: as `write_atomic`.

    Warns:
        SourceWarning: the file type has no place for the profile or for some metadata.
    """
    target = os.fspath(path)
    data = encode_image(target, array, groups, icc, bit_depth=bit_depth, format_name=format, exr=exr, metadata=metadata)
    if target != "-":
        write_atomic(target, data, overwrite)
        return
    write_stdout([data])


def encode_image(
    name: str,
    array: npt.NDArray[Any],
    groups: Sequence[ChannelGroup],
    icc: bytes | None,
    *,
    bit_depth: int | None,
    format_name: str | None,
    exr: Mapping[str, Any] | None = None,
    metadata: Metadata | None = None,
) -> bytes:
    """The bytes that `save_image` writes. `name` gives the format where `format_name` is None."""
    kind = _format(name, format_name)
    check_channels(array, groups)
    kept = fitting_metadata(metadata, kind, name)
    data = _picture_file(kind, array, groups, icc, bit_depth, exr or {}, pillow_options(kept, kind), name)
    return embedded(data, kind, kept)


def _picture_file(
    kind: str,
    array: npt.NDArray[Any],
    groups: Sequence[ChannelGroup],
    icc: bytes | None,
    bit_depth: int | None,
    exr: Mapping[str, Any],
    options: Mapping[str, Any],
    name: str,
) -> bytes:
    """The file; `options` are those of Pillow's writer."""
    if exr and kind != "EXR":
        array = displayed(array, exr, name)
        report_shape_and_primaries(exr, kind, name)
    if kind in {"EXR", "HDR"} or (kind == "TIFF" and array.dtype.kind == "f" and has_floats(groups)):
        return _float_file(kind, array, tuple(groups), exr, bit_depth, icc, name)
    if array.dtype.kind == "f" and has_floats(groups):
        array = _displayable(array, groups, name, kind)
        groups = picture_groups(array.shape[2], 16 if kind in _DEEP else 8)
    elif any(cover.mode is AlphaMode.PREMULTIPLIED for cover in covers(groups)):
        array, groups = in_mode(full_range(array, np.float32), groups, AlphaMode.STRAIGHT)
    if is_cmyk(groups):
        return _inks(array, kind, icc, bit_depth or groups[0].bit_depth, options, name)
    if kind == "TIFF" and len(groups) == 1 and groups[0].n_channels > MOST_IN_PNG:
        return _many_channels(array, groups, bit_depth, name)
    n_channels = _picture_channels(groups, name)
    deep_gray_alpha = kind == "TIFF" and n_channels == 2 and (bit_depth or native_dtype(groups).itemsize * 8) == 16
    icc = _profile(icc, kind, 4 if deep_gray_alpha else n_channels, name)
    has_alpha = n_channels in {2, 4}
    if has_alpha and kind not in _ALPHA:
        raise InvalidArgument(f"{name}: {kind} has no alpha channel; write PNG, TIFF or WebP")
    has_deep = kind in _DEEP
    if bit_depth not in {None, 8, 16} or (bit_depth == 16 and not has_deep):
        raise InvalidArgument(f"{name}: {kind} is not written at {bit_depth} bits; use 8, or 16 with PNG, TIFF or PPM")
    if bit_depth is None:
        array = to_native(array, groups)
        if groups[0].bit_depth == 1 and n_channels == 1 and kind in {"PNG", "TIFF", "BMP", "PPM"}:
            return _with_pillow(array, ("1",), kind, icc, options, name)
        bit_depth = 8 if native_dtype(groups) == np.uint8 or not has_deep else 16
    if bit_depth == 16:
        deep = full_range(array, np.uint16)
        if kind == "PPM":
            return write_deep_pnm(deep)
        if kind == "PNG":
            return write_deep_png(deep, icc)
        # few programs, Pillow not among them, read TIFFs of 16-bit gray with alpha
        return write_deep_tiff(deep[:, :, [0, 0, 0, 1]] if deep_gray_alpha else deep, icc)
    return _with_pillow(full_range(array, np.uint8), _MODES[n_channels], kind, icc, options, name)


def _float_file(
    kind: str,
    array: npt.NDArray[Any],
    groups: tuple[ChannelGroup, ...],
    exr: Mapping[str, Any],
    bit_depth: int | None,
    icc: bytes | None,
    name: str,
) -> bytes:
    """OpenEXR, Radiance HDR, or a TIFF of floats; integer colour is made linear light.

    OpenEXR has premultiplied colour, HDR the same, which is what there is over black, and TIFF either.
    """
    if bit_depth not in {None, 16, 32}:
        raise InvalidArgument(f"{name}: {kind} has samples of 16 or 32 bits, not {bit_depth}")
    if has_floats(groups):
        values = to_values(array, ())
    else:
        codes, groups = in_mode(full_range(array, np.float32), groups, AlphaMode.STRAIGHT)
        values = _light(codes, groups)
    icc = _profile(icc, kind, values.shape[2], name)
    if kind in {"EXR", "HDR"}:
        values, groups = in_mode(values, groups, AlphaMode.PREMULTIPLIED)
    if kind == "EXR":
        from gscodec.image.exr import write_exr

        return write_exr(values, groups, exr, bit_depth)
    if kind == "TIFF":
        from gscodec.image.float_tiff import write_float_tiff

        modes = {cover.mode for cover in covers(groups)}
        return write_float_tiff(
            values, bit_depth or max(group.bit_depth for group in groups), modes.pop() if modes else AlphaMode.NONE, icc
        )
    from gscodec.image.radiance import write_radiance

    if values.shape[2] not in {1, 3, 4}:
        raise InvalidArgument(f"{name}: Radiance HDR has three channels, not {values.shape[2]}; write OpenEXR")
    if values.shape[2] == 4:
        _report_alpha(values[:, :, 3], kind, name)
    return write_radiance(np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values[:, :, :3])


def _light(array: npt.NDArray[Any], groups: Sequence[ChannelGroup]) -> npt.NDArray[np.float32]:
    """Integer samples as floats in 0..1, colour of transfer srgb as linear light."""
    values = np.array(full_range(array, np.float32))
    at = 0
    for group in groups:
        last = at + group.n_channels - (group.alpha is not AlphaMode.NONE)
        if group.transfer is Transfer.SRGB and group.role in COLOURS:
            values[:, :, at:last] = light_of_srgb(values[:, :, at:last])
        at += group.n_channels
    return values


def _displayable(
    array: npt.NDArray[Any], groups: Sequence[ChannelGroup], name: str, kind: str
) -> npt.NDArray[np.float32]:
    """The first light among float samples, and its alpha, for a file of integers; a SourceWarning names the rest.

    Clipped to 0..1, light with the transfer of sRGB (IEC 61966-2-1). Where the file takes no alpha, colour is
    premultiplied: what there is over black.
    """
    takes_alpha = kind in _ALPHA
    mode = AlphaMode.STRAIGHT if takes_alpha else AlphaMode.PREMULTIPLIED
    values, groups = in_mode(array.astype(np.float32), groups, mode)
    starts = [0, *np.cumsum([group.n_channels for group in groups])]
    if groups[0].role is Role.NORMAL:
        _report_layers(groups[1:], kind, name)
        return np.clip(shown_normals(values[:, :, : groups[0].n_channels], groups[0]), 0, 1)
    usable = [k for k, group in enumerate(groups) if group.n_channels in {1, 3}]
    light = next((k for k in usable if groups[k].role in COLOURS), usable[0] if usable else None)
    if light is None:
        raise UnsupportedImage(f"{name}: {array.shape[2]} channels are not one gray or colour picture; write OpenEXR")
    shown = slice(starts[light], starts[light + 1])
    colour: npt.NDArray[np.float32] = np.clip(values[:, :, shown], 0, 1)
    if groups[light].role in COLOURS:
        colour = srgb_of_light(colour)
    cover = next((cover for cover in covers(groups) if cover.colour == shown), None)
    holder = light if cover is None else cover.holder
    _report_layers([group for k, group in enumerate(groups) if k not in {light, holder}], kind, name)
    if cover is None:
        return colour
    alpha = values[:, :, cover.alpha : cover.alpha + 1]
    if not takes_alpha:
        _report_alpha(alpha, kind, name)
        return colour
    return np.concatenate([colour, np.clip(alpha, 0, 1)], axis=2)


def _report_layers(groups: Sequence[ChannelGroup], kind: str, name: str) -> None:
    """One SourceWarning that names layers which a file of one picture leaves out."""
    if groups:
        names = ", ".join(group.name for group in groups)[:200]
        warn_of_source(f"{name}: {kind} holds one picture; left out: {names}; write OpenEXR, or export, to keep all")


def _report_alpha(alpha: npt.NDArray[Any], kind: str, name: str) -> None:
    """One SourceWarning where a file without an alpha shows what is not covered as black."""
    if float(alpha.min()) < 1:
        warn_of_source(f"{name}: {kind} has no alpha channel; colour is that over black")


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


def _many_channels(array: npt.NDArray[Any], groups: Sequence[ChannelGroup], bit_depth: int | None, name: str) -> bytes:
    """A TIFF of integers with more channels than RGB and alpha: gray, and ExtraSamples that say nothing of the rest."""
    import tifffile

    if bit_depth not in {None, 8, 16}:
        raise InvalidArgument(f"{name}: TIFF of integers is not written at {bit_depth} bits; use 8 or 16")
    levels = to_native(array, groups) if bit_depth is None else array
    is_deep = bit_depth == 16 or (bit_depth is None and native_dtype(groups) != np.uint8)
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        full_range(levels, np.uint16 if is_deep else np.uint8),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unspecified"] * (groups[0].n_channels - 1),
        compression="zlib",
        metadata=None,
    )
    return stream.getvalue()


def _picture_channels(groups: Sequence[ChannelGroup], name: str) -> int:
    """Channels of the one picture that the groups make up; an opacity group may be its alpha."""
    n_channels = sum(group.n_channels for group in groups)
    first = groups[0]
    # The channels of a map that is no colour stand where the file has those of gray or RGB, and an alpha.
    is_map = first.role not in COLOURS and first.transfer is Transfer.LINEAR
    is_picture = (n_channels in {2, 4}) == (first.alpha is not AlphaMode.NONE)
    if len(groups) == 1 and (is_map or is_picture) and n_channels <= 4:
        return n_channels
    opacity = len(groups) == 2 and groups[1].role is Role.OPACITY and groups[1].n_channels == 1
    if opacity and first.n_channels in {1, 3} and first.alpha is AlphaMode.NONE:
        return n_channels
    names = ", ".join(group.name for group in groups)
    remedy = "; write TIFF or OpenEXR" if len(groups) == 1 else ""
    raise UnsupportedImage(f"{name}: {n_channels} channels ({names}) are not one gray or colour picture{remedy}")


def _inks(
    array: npt.NDArray[Any], kind: str, icc: bytes | None, bit_depth: int, options: Mapping[str, Any], name: str
) -> bytes:
    """CMYK where the format has it, else sRGB: through the profile, or by the plain formula where there is none."""
    icc = fitting_profile(icc, "CMYK", name)
    if kind == "TIFF" and bit_depth == 16:
        return write_deep_tiff(full_range(array, np.uint16), icc, inks=True)
    if kind in {"PNG", "PPM"} and bit_depth == 16 and not icc:
        deep = deep_rgb_of_inks(full_range(array, np.uint16))
        return write_deep_png(deep, None) if kind == "PNG" else write_deep_pnm(deep)
    inks = full_range(array, np.uint8)
    if kind in {"TIFF", "JPEG"}:
        return _with_pillow(inks, ("CMYK",), kind, icc, options, name)
    return _with_pillow(srgb_of_inks(inks, icc, name), ("RGB",), kind, None, options, name)


def _profile(icc: bytes | None, kind: str, n_channels: int, name: str) -> bytes | None:
    """The profile for a file of gray or RGB, where the file type has one and it is of that model."""
    if icc and kind not in _PROFILED:
        if not is_srgb(icc):
            warn_of_source(f"{name}: {kind} has no place for the ICC profile; programs will take its colours as sRGB")
        return None
    return fitting_profile(icc, "GRAY" if n_channels <= 2 and kind not in _NO_GRAY else "RGB ", name)


def _with_pillow(
    array: npt.NDArray[np.uint8],
    modes: Sequence[str],
    kind: str,
    icc: bytes | None,
    more: Mapping[str, Any],
    name: str,
) -> bytes:
    """The file in the first of the modes that the format takes."""
    from PIL import Image

    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array, "CMYK" if modes[0] == "CMYK" else None)
    options = _OPTIONS.get(kind, {}) | dict(more)
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
