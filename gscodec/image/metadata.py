"""Metadata of picture files: Exif, XMP, pixel density and PNG's colour tags; and which of it is dropped.

Sources: CIPA DC-008 (Exif 2.32), ISO 16684-1 (XMP), PNG Third Edition sections 11.3.2 and 11.3.3, TIFF 6.0.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gscodec.format.limits import MAX_EXIF_BYTES, MAX_XMP_BYTES
from gscodec.format.metadata import Metadata, exif_fault, is_sound_tag, xmp_fault
from gscodec.image.source_errors import warn_of_source
from gscodec.model.channels import COLOURS, ChannelGroup, SampleType, Transfer

if TYPE_CHECKING:
    from PIL.Image import Image

    from gscodec.image.file_types.base import PictureType

_ORIENTATION: Final = 274
_THUMBNAIL_AT, _THUMBNAIL_SIZE = 513, 514
_ORIENTATION_IN_XMP: Final = re.compile(rb"(tiff:Orientation(?:=[\"']|>)\s*)[2-8](?=\s*(?:[\"']|</))")
INCH_CM: Final = 2.54
_COLOUR_TAGS: Final = ("cicp", "gamma", "chromaticities", "mastering", "content_light")

_SRGB_LIKE: Final = {0, 1, 2, 4, 5, 6, 11, 12, 13, 14, 15}
"""Transfers of H.273 that are interpreted as sRGB's: those of television, gamma 2.2 and 2.8, and unknown ones."""


def metadata_of(image: "Image", name: str) -> Metadata:
    """The metadata of a loaded Pillow image of any type but TIFF; a SourceWarning lists what is not kept."""
    info = image.info
    metadata = Metadata(_density_of(image), exif=kept_exif(info.get("exif"), name), xmp=kept_xmp(info.get("xmp"), name))
    left_out = []
    if 0x0404 in (info.get("photoshop") or {}):
        left_out.append("IPTC")
    elif info.get("photoshop"):
        left_out.append("Photoshop data")
    if info.get("comment"):
        left_out.append("comment")
    if any(segment == "APP11" for segment, _ in getattr(image, "applist", ())):
        left_out.append("JUMBF (APP11)")
    report_left_out(left_out, name)
    return metadata


def as_tagged(groups: tuple[ChannelGroup, ...], metadata: Metadata) -> tuple[ChannelGroup, ...]:
    """Groups whose integer colours have transfer linear if the tags say that they are not sRGB codes."""
    if is_srgb_like(metadata):
        return groups
    return tuple(
        replace(group, transfer=Transfer.LINEAR)
        if group.role in COLOURS and group.sample_type is SampleType.UINT
        else group
        for group in groups
    )


def is_srgb_like(metadata: Metadata) -> bool:
    """Whether samples can be interpreted as sRGB codes."""
    if metadata.cicp is not None:
        return metadata.cicp[1] in _SRGB_LIKE
    return metadata.gamma is None or metadata.gamma < 0.72  # halfway between the exponents of sRGB and of light


def colour_words(metadata: Metadata) -> str:
    """The colour tags for a message; empty where there are none."""
    if metadata.cicp is not None:
        known = {16: "PQ", 18: "HLG", 8: "linear"}
        words = "/".join(map(str, metadata.cicp))
        return f"cICP {words}" + (f" ({known[metadata.cicp[1]]})" if metadata.cicp[1] in known else "")
    names = [] if metadata.gamma is None else [f"gamma {metadata.gamma:g}"]
    return " and ".join(names + (["primaries"] if metadata.chromaticities is not None else []))


def fitting_metadata(metadata: Metadata | None, kind: "PictureType", name: str) -> Metadata | None:
    """The metadata that a file type supports; a SourceWarning lists the rest."""
    if metadata is None:
        return None
    lost = []
    values: dict[str, Any] = {}
    places = (("exif", "Exif", kind.keeps_exif), ("xmp", "XMP", kind.keeps_exif))
    for key, word, is_kept in (*places, ("density", "pixel density", kind.keeps_density)):
        value = getattr(metadata, key)
        most = kind.metadata_bytes if isinstance(value, bytes) else None
        if value is not None and is_kept and (most is None or len(value) <= most):
            values[key] = value
        elif value is not None:
            lost.append(word)
    if kind.keeps_colour_tags:
        values |= {key: getattr(metadata, key) for key in _COLOUR_TAGS}
    elif colour_words(metadata):
        words = colour_words(metadata)
        how = "" if is_srgb_like(metadata) else ", which are not converted"
        warn_of_source(f"{name}: {kind.name} has no place for {words}; programs will take its colours as sRGB{how}")
    if metadata.texts is not None and kind.keeps_texts:
        values["texts"] = metadata.texts
    elif metadata.texts is not None:
        lost.append("text " + ", ".join(keyword for keyword, _ in metadata.texts))
    if lost:
        warn_of_source(f"{name}: {kind.name} has no place for {', '.join(lost)}")
    return Metadata(**values)


def report_left_out(what: Iterable[str], name: str) -> None:
    """Warn once about the parts of a file's metadata that are not kept."""
    words = ", ".join(dict.fromkeys(what))
    if words:
        words = words if words.isprintable() else ascii(words)[1:-1]
        warn_of_source(f"{name}: metadata is left out: {words[:200]}")


def _density_of(image: "Image") -> tuple[float, float] | None:
    info = image.info
    if image.format in {"JPEG", "MPO"}:
        scale = {1: 1.0, 2: INCH_CM}.get(info.get("jfif_unit", 0))
        across, down = info.get("jfif_density") or (None, None)
        return pixels_per_inch(across, down, scale)
    across, down = info.get("dpi") or (None, None)
    density = pixels_per_inch(across, down, 1.0)
    if image.format == "BMP" and density is not None and {round(each) for each in density} <= {72, 96}:
        return None  # default of writers without a density
    return density


def pixels_per_inch(across: Any, down: Any, scale: float | None) -> tuple[float, float] | None:
    """Pixels per inch from two numbers of any type; None if they are invalid."""
    try:
        density = round(float(across) * (scale or 0), 4), round(float(down) * (scale or 0), 4)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return density if is_sound_tag("density", density) else None


def kept_exif(data: Any, name: str) -> bytes | None:
    """Exif as stored: with Orientation 1, without a thumbnail."""
    if not isinstance(data, bytes) or not data:
        return None
    data = data.removeprefix(b"Exif\0\0")
    try:
        exif = upright_exif(data) if exif_fault(data) is None else None
    except (struct.error, ValueError, IndexError):
        exif = None
    if exif is None or len(exif) > MAX_EXIF_BYTES:
        warn_of_source(f"{name}: its Exif is left out; it is {'damaged' if exif is None else 'too long'}")
        return None
    return exif


def upright_exif(data: bytes) -> bytes:
    """Exif with Orientation 1, if it has that tag, and without its thumbnail, which would be that of another picture.

    Raises:
        struct.error, ValueError: damaged.
    """
    order = "<" if data[:2] == b"II" else ">"
    edited = bytearray(data)
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, first)
    for at in range(first + 2, first + 2 + 12 * count, 12):
        tag, kind, n_values = struct.unpack_from(f"{order}HHI", data, at)
        if tag == _ORIENTATION and n_values == 1 and kind in {3, 4}:
            struct.pack_into(f"{order}{'H' if kind == 3 else 'I'}", edited, at + 8, 1)
    end = first + 2 + 12 * count
    if end + 4 > len(data):
        return bytes(edited)
    (second,) = struct.unpack_from(f"{order}I", data, end)
    struct.pack_into(f"{order}I", edited, end, 0)
    return bytes(edited[: _thumbnail_start(data, order, second)])


def _thumbnail_start(data: bytes, order: str, directory: int) -> int:
    """Offset of a thumbnail at the end of the data; the length of the data if there is none."""
    tags = {}
    try:
        (count,) = struct.unpack_from(f"{order}H", data, directory)
        for at in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHII", data, at)
            tags[tag] = value
    except struct.error:
        return len(data)
    start, size = tags.get(_THUMBNAIL_AT, 0), tags.get(_THUMBNAIL_SIZE, 0)
    is_last = directory and start > directory and len(data) - 2 <= start + size <= len(data)
    return start if is_last else len(data)


def kept_xmp(data: Any, name: str) -> bytes | None:
    """XMP as stored: with Orientation 1."""
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")
    elif isinstance(data, tuple):  # of TIFF, as numbers
        data = bytes(each & 255 for each in data if isinstance(each, int))
    if not isinstance(data, bytes) or not data.strip(b"\0 \r\n\t"):
        return None
    packet = _ORIENTATION_IN_XMP.sub(rb"\g<1>1", bytes(data).rstrip(b"\0"))
    if xmp_fault(packet) or len(packet) > MAX_XMP_BYTES:
        warn_of_source(f"{name}: its XMP is left out; it is {'not UTF-8' if xmp_fault(packet) else 'too long'}")
        return None
    return packet
