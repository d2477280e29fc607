"""Writes decoded pictures to files: converts samples to a form that the file type supports, and encodes them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, UnsupportedImage
from gscodec.format.metadata import Metadata
from gscodec.image.alpha import covers, in_mode, report_lost_alpha
from gscodec.image.file_types.base import FloatPicture, IntegerPicture, PictureType, StripPicture
from gscodec.image.file_types.registry import type_to_write
from gscodec.image.levels import check_channels, full_range, has_floats, native_dtype, to_native, to_values
from gscodec.image.metadata import fitting_metadata
from gscodec.image.normals import shown_normals
from gscodec.image.picture_names import MOST_IN_PNG
from gscodec.image.profiles import deep_rgb_of_inks, fitting_profile, is_srgb, srgb_of_inks
from gscodec.image.source_errors import warn_of_source
from gscodec.image.stack import is_cmyk, picture_groups
from gscodec.image.transfer import light_of_srgb, srgb_of_light
from gscodec.image.windows import displayed, report_shape_and_primaries
from gscodec.io.atomic import write_atomic
from gscodec.io.streams import write_stdout
from gscodec.model.channels import (
    COLOURS,
    AlphaMode,
    ChannelGroup,
    Role,
    Transfer,
    channel_spans,
    count_channels,
    has_srgb_codes,
)


def save_image(
    path: str | os.PathLike[str],
    array: npt.NDArray[Any],
    groups: Sequence[ChannelGroup],
    icc: bytes | None = None,
    *,
    bit_depth: int | None = None,
    format: str | None = None,  # noqa: A002 - the word that Pillow uses
    overwrite: bool = False,
    exr: Mapping[str, Any] | None = None,
    metadata: Metadata | None = None,
) -> None:
    """Write a picture; the file is complete or not written at all.

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
    """The bytes that `save_image` writes. `name` decides the format if `format_name` is None."""
    kind = type_to_write(name, format_name)
    check_channels(array, groups)
    metadata = fitting_metadata(metadata, kind, name)
    exr = exr or {}
    if exr and not kind.keeps_windows:
        array = displayed(array, exr, name)
        report_shape_and_primaries(exr, kind.name, name)
    is_float = array.dtype.kind == "f" and has_floats(groups)
    if not kind.has_integers or (kind.has_floats and is_float):
        return kind.write_floats(_floats(kind, array, tuple(groups), exr, bit_depth, icc, metadata, name))
    return kind.write(_integers(kind, array, groups, icc, bit_depth, name)._replace(metadata=metadata))


def as_integers(
    array: npt.NDArray[Any], groups: Sequence[ChannelGroup], icc: bytes | None, name: str, bit_depth: int
) -> IntegerPicture:
    """What a file of integers would hold: gray, RGB or CMYK, with straight alpha; floats as sRGB within 0..1.

    Args:
        bit_depth: 8 or 16.

    Raises:
        UnsupportedImage: the channels are not one picture.
    """
    return _integers(type_to_write("-", "tiff"), array, groups, icc, bit_depth, name)


def _integers(
    kind: PictureType,
    array: npt.NDArray[Any],
    groups: Sequence[ChannelGroup],
    icc: bytes | None,
    bit_depth: int | None,
    name: str,
) -> IntegerPicture:
    if array.dtype.kind == "f" and has_floats(groups):
        array = _displayable(array, groups, name, kind)
        groups = picture_groups(array.shape[2], 16 if kind.has_16_bits else 8)
    elif any(cover.mode is AlphaMode.PREMULTIPLIED for cover in covers(groups)):
        array, groups = in_mode(full_range(array, np.float32), groups, AlphaMode.STRAIGHT)
    if is_cmyk(groups):
        return _inks(kind, array, icc, bit_depth or groups[0].bit_depth, name)
    if kind.has_many_channels and len(groups) == 1 and groups[0].n_channels > MOST_IN_PNG:
        return _many_channels(kind, array, groups, bit_depth, name)
    return _gray_or_colour(kind, array, groups, icc, bit_depth, name)


def is_written_in_strips(name: str, format_name: str | None) -> bool:
    """Whether `save_strips` supports the type named by `format_name`, or by the suffix of `name` if that is None.

    Raises:
        InvalidArgument: a type that is not written.
    """
    return type_to_write(name, format_name).has_strips


def save_strips(
    path: str | os.PathLike[str],
    strips: Iterable[tuple[int, npt.NDArray[Any]]],
    size: tuple[int, int],
    dtype: npt.DTypeLike,
    groups: Sequence[ChannelGroup],
    icc: bytes | None,
    *,
    overwrite: bool,
    format: str | None = None,  # noqa: A002 - as `save_image`
    metadata: Metadata | None = None,
) -> None:
    """Write a picture from top to bottom, in memory that does not grow with it; complete or not at all.

    Args:
        path: where to.
        strips: first row and (h, W, C) of `dtype`, in order.
        size: (H, W).
        dtype: uint8, uint16 or float32.
        groups: what the C channels are.
        format: as `save_image`, of a type that `is_written_in_strips`.

    Raises:
        InvalidArgument: no such format. UnsupportedImage: several groups of channels.
        OutputExists, FileAccessError: as `write_atomic`.
    """
    name = os.fspath(path)
    kind = type_to_write(name, format)
    metadata = fitting_metadata(metadata, kind, name)
    picture = StripPicture(strips, size, np.dtype(dtype), tuple(groups), icc, metadata)
    kind.write_strips(path, picture, overwrite=overwrite)


def _gray_or_colour(
    kind: PictureType,
    array: npt.NDArray[Any],
    groups: Sequence[ChannelGroup],
    icc: bytes | None,
    bit_depth: int | None,
    name: str,
) -> IntegerPicture:
    n_channels = _picture_channels(groups, name)
    is_deep = (bit_depth or native_dtype(groups).itemsize * 8) == 16
    is_gray = n_channels == 1 or (n_channels == 2 and (kind.has_deep_gray_alpha or not is_deep))
    icc = _profile(icc, kind, is_gray, name)
    if n_channels in {2, 4} and not kind.has_alpha:
        raise InvalidArgument(f"{name}: {kind.name} has no alpha channel; write PNG, TIFF or WebP")
    if bit_depth not in {None, 8, 16} or (bit_depth == 16 and not kind.has_16_bits):
        raise InvalidArgument(
            f"{name}: {kind.name} is not written at {bit_depth} bits; use 8, or 16 with PNG, TIFF or PPM"
        )
    if bit_depth is None:
        array = to_native(array, groups)
        if groups[0].bit_depth == 1 and n_channels == 1 and kind.has_bilevel:
            return IntegerPicture(full_range(array, np.uint8), name, icc, is_bilevel=True)
        bit_depth = 8 if native_dtype(groups) == np.uint8 or not kind.has_16_bits else 16
    return IntegerPicture(full_range(array, np.uint16 if bit_depth == 16 else np.uint8), name, icc)


def _floats(
    kind: PictureType,
    array: npt.NDArray[Any],
    groups: tuple[ChannelGroup, ...],
    exr: Mapping[str, Any],
    bit_depth: int | None,
    icc: bytes | None,
    metadata: Metadata | None,
    name: str,
) -> FloatPicture:
    """A picture for a float file: integer colour as linear light, and alpha in the type's convention."""
    if bit_depth not in {None, 16, 32}:
        raise InvalidArgument(f"{name}: {kind.name} has samples of 16 or 32 bits, not {bit_depth}")
    if has_floats(groups):
        values = to_values(array, ())
    else:
        codes, groups = in_mode(full_range(array, np.float32), groups, AlphaMode.STRAIGHT)
        values = _light(codes, groups)
    icc = _profile(icc, kind, values.shape[2] <= 2, name)
    if kind.float_alpha is not None:
        values, groups = in_mode(values, groups, kind.float_alpha)
    return FloatPicture(values, groups, name, bit_depth, exr, icc, metadata)


def _light(array: npt.NDArray[Any], groups: Sequence[ChannelGroup]) -> npt.NDArray[np.float32]:
    """Integer samples as floats in 0..1; colour of transfer srgb becomes linear light."""
    values = np.array(full_range(array, np.float32))
    for group, channels in channel_spans(groups):
        if has_srgb_codes(group):
            colour = slice(channels.start, channels.stop - (group.alpha is not AlphaMode.NONE))
            values[:, :, colour] = light_of_srgb(values[:, :, colour])
    return values


def _displayable(
    array: npt.NDArray[Any], groups: Sequence[ChannelGroup], name: str, kind: PictureType
) -> npt.NDArray[np.float32]:
    """The first colour group among float samples, and its alpha, for an integer file; a SourceWarning lists the rest.

    Clipped to 0..1, light with the transfer of sRGB (IEC 61966-2-1). Where the file takes no alpha, colour is
    premultiplied: what there is over black.
    """
    takes_alpha = kind.has_alpha
    mode = AlphaMode.STRAIGHT if takes_alpha else AlphaMode.PREMULTIPLIED
    values, groups = in_mode(array.astype(np.float32), groups, mode)
    spans = [channels for _, channels in channel_spans(groups)]
    if groups[0].role is Role.NORMAL:
        _report_layers(groups[1:], kind.name, name)
        return np.clip(shown_normals(values[:, :, : groups[0].n_channels], groups[0]), 0, 1)
    usable = [k for k, group in enumerate(groups) if group.n_channels in {1, 3}]
    light = next((k for k in usable if groups[k].role in COLOURS), usable[0] if usable else None)
    if light is None:
        raise UnsupportedImage(f"{name}: {array.shape[2]} channels are not one gray or colour picture; write OpenEXR")
    shown = spans[light]
    colour: npt.NDArray[np.float32] = np.clip(values[:, :, shown], 0, 1)
    if groups[light].role in COLOURS:
        colour = srgb_of_light(colour)
    cover = next((cover for cover in covers(groups) if cover.colour == shown), None)
    holder = light if cover is None else cover.holder
    _report_layers([group for k, group in enumerate(groups) if k not in {light, holder}], kind.name, name)
    if cover is None:
        return colour
    alpha = values[:, :, cover.alpha : cover.alpha + 1]
    if not takes_alpha:
        report_lost_alpha(alpha, kind.name, name)
        return colour
    return np.concatenate([colour, np.clip(alpha, 0, 1)], axis=2)


def _report_layers(groups: Sequence[ChannelGroup], kind: str, name: str) -> None:
    """Warn about layers that a file with a single picture leaves out."""
    if groups:
        names = ", ".join(group.name for group in groups)[:200]
        warn_of_source(f"{name}: {kind} holds one picture; left out: {names}; write OpenEXR, or export, to keep all")


def _many_channels(
    kind: PictureType, array: npt.NDArray[Any], groups: Sequence[ChannelGroup], bit_depth: int | None, name: str
) -> IntegerPicture:
    """Whether there are more channels than RGB and alpha."""
    if bit_depth not in {None, 8, 16}:
        raise InvalidArgument(f"{name}: {kind.name} of integers is not written at {bit_depth} bits; use 8 or 16")
    levels = to_native(array, groups) if bit_depth is None else array
    is_deep = bit_depth == 16 or (bit_depth is None and native_dtype(groups) != np.uint8)
    return IntegerPicture(full_range(levels, np.uint16 if is_deep else np.uint8), name)


def _picture_channels(groups: Sequence[ChannelGroup], name: str) -> int:
    """Channels of the single picture that the groups form; an opacity group may be its alpha."""
    n_channels = count_channels(groups)
    first = groups[0]
    # The channels of a map that is not a colour take the places of gray or RGB, and alpha.
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


def _inks(kind: PictureType, array: npt.NDArray[Any], icc: bytes | None, bit_depth: int, name: str) -> IntegerPicture:
    """CMYK if the type supports it, else sRGB: through the profile, or by the plain formula without one."""
    icc = fitting_profile(icc, "CMYK", name)
    if bit_depth == 16 and 16 in kind.ink_bits:
        return IntegerPicture(full_range(array, np.uint16), name, icc, is_inks=True)
    if kind.ink_bits:
        return IntegerPicture(full_range(array, np.uint8), name, icc, is_inks=True)
    if bit_depth == 16 and kind.has_16_bits and not icc:
        return IntegerPicture(deep_rgb_of_inks(full_range(array, np.uint16)), name)
    return IntegerPicture(srgb_of_inks(full_range(array, np.uint8), icc, name), name)


def _profile(icc: bytes | None, kind: PictureType, is_gray: bool, name: str) -> bytes | None:
    """The profile for a gray or RGB file, if the file type supports profiles and the model matches."""
    if icc and not kind.keeps_profile:
        if not is_srgb(icc):
            warn_of_source(
                f"{name}: {kind.name} has no place for the ICC profile; programs will take its colours as sRGB"
            )
        return None
    return fitting_profile(icc, "GRAY" if is_gray and kind.has_gray else "RGB ", name)
