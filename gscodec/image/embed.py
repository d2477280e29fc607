"""Metadata into written picture files, as each file type has it."""

import struct
import zlib
from contextlib import suppress
from typing import Any, Final

from gscodec.format.metadata import Metadata
from gscodec.image.kinds import warn_of_source
from gscodec.image.metadata import colour_words, is_srgb_like

_INCHES_PER_METRE: Final = 1 / 0.0254
_JPEG_SEGMENT: Final = 65533 - 29  # of one APP1, less the longest name in front
_PNG_TAGS: Final = ("cicp", "gamma", "chromaticities", "mastering", "content_light")
_WITH_EXIF: Final = {"PNG", "JPEG", "TIFF", "WEBP", "AVIF"}
_WITH_DENSITY: Final = {"PNG", "JPEG", "TIFF", "BMP"}
_BYTE, _SHORT, _LONG, _RATIONAL = 1, 3, 4, 5  # types of TIFF values
_POINTERS: Final = (34665, 34853)
"""Tags of a directory that are offsets of others: Exif and GPS."""

_STRUCTURE: Final = frozenset(
    (*range(254, 270), *range(273, 282), *range(284, 305), *range(317, 348), *range(512, 534))
)
"""Tags that say how samples are stored: those of the source are not those of this file."""


def fitting_metadata(metadata: Metadata | None, kind: str, name: str) -> Metadata | None:
    """The metadata that a file type has a place for; what it has none for is one SourceWarning.

    Args:
        kind: Pillow's name of the file type, or EXR or HDR.
    """
    if metadata is None:
        return None
    lost = []
    values: dict[str, Any] = {}
    for key, is_kept in (("exif", kind in _WITH_EXIF), ("xmp", kind in _WITH_EXIF), ("density", kind in _WITH_DENSITY)):
        value = getattr(metadata, key)
        too_long = kind == "JPEG" and isinstance(value, bytes) and len(value) > _JPEG_SEGMENT
        if value is not None and is_kept and not too_long:
            values[key] = value
        elif value is not None:
            lost.append({"exif": "Exif", "xmp": "XMP", "density": "pixel density"}[key])
    if kind == "PNG":
        values |= {key: getattr(metadata, key) for key in _PNG_TAGS}
    elif colour_words(metadata):
        words = colour_words(metadata)
        how = "" if is_srgb_like(metadata) else ", which are not converted"
        warn_of_source(f"{name}: {kind} has no place for {words}; programs will take its colours as sRGB{how}")
    if lost:
        warn_of_source(f"{name}: {kind} has no place for {', '.join(lost)}")
    return Metadata(**values)


def pillow_options(metadata: Metadata | None, kind: str) -> dict[str, Any]:
    """Options of Pillow's writers of JPEG, WebP, AVIF and BMP."""
    options: dict[str, Any] = {}
    if metadata is None or kind in {"PNG", "TIFF"}:
        return options
    if metadata.density is not None:
        whole = tuple(max(1, min(65535, round(each))) for each in metadata.density)
        options["dpi"] = whole if kind == "JPEG" else metadata.density
    if metadata.exif:
        options["exif"] = b"Exif\0\0" + metadata.exif
    if metadata.xmp:
        options["xmp"] = metadata.xmp
    return options


def embedded(data: bytes, kind: str, metadata: Metadata | None) -> bytes:
    """A PNG or TIFF file with metadata; other types have got it by `pillow_options`."""
    if metadata is None:
        return data
    if kind == "PNG":
        return _in_png(data, metadata)
    return _in_tiff(data, metadata) if kind == "TIFF" else data


def _in_png(data: bytes, metadata: Metadata) -> bytes:
    """Chunks right behind IHDR, where all of these may stand (PNG Third Edition, section 5.6)."""
    added = []
    if metadata.cicp is not None:
        added.append((b"cICP", bytes(metadata.cicp)))
    has_profile = b"iCCP" in data[:64]
    if metadata.gamma is not None and not has_profile:
        added.append((b"gAMA", struct.pack(">I", max(1, round(100000 * metadata.gamma)))))
    if metadata.chromaticities is not None and not has_profile:
        added.append((b"cHRM", struct.pack(">8i", *(round(100000 * each) for each in metadata.chromaticities))))
    if metadata.mastering is not None:
        added.append((b"mDCV", struct.pack(">8H2I", *metadata.mastering)))
    if metadata.content_light is not None:
        added.append((b"cLLI", struct.pack(">2I", *metadata.content_light)))
    if metadata.density is not None:
        density = [min(0x7FFFFFFF, max(1, round(each * _INCHES_PER_METRE))) for each in metadata.density]
        added.append((b"pHYs", struct.pack(">IIB", *density, 1)))
    if metadata.exif:
        added.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        added.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp))
    chunks = b"".join(
        struct.pack(">I4s", len(value), kind) + value + struct.pack(">I", zlib.crc32(value, zlib.crc32(kind)))
        for kind, value in added
    )
    return data[:33] + chunks + data[33:]


def _in_tiff(data: bytes, metadata: Metadata) -> bytes:
    """A classic little-endian TIFF of one directory with further tags, the directory moved to the end."""
    first = struct.unpack_from("<I", data, 4)[0]
    (count,) = struct.unpack_from("<H", data, first)
    entries = {
        struct.unpack_from("<H", data, at)[0]: data[at : at + 12] for at in range(first + 2, first + 2 + 12 * count, 12)
    }
    end = bytearray(data + bytes(len(data) % 2))
    if metadata.density is not None:
        for tag, value in zip((282, 283), metadata.density, strict=True):
            _put(end, entries, tag, _RATIONAL, 1, struct.pack("<II", round(value * 10000), 10000))
        _put(end, entries, 296, _SHORT, 1, struct.pack("<H", 2))
    if metadata.xmp:
        _put(end, entries, 700, _BYTE, len(metadata.xmp), metadata.xmp)
    if metadata.exif:
        with suppress(Exception):  # damaged, or values that Pillow does not write; the picture itself is sound
            _put_exif(end, entries, metadata.exif)
    directory = struct.pack("<H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    struct.pack_into("<I", end, 4, len(end))
    return bytes(end + directory)


def _put(end: bytearray, entries: dict[int, bytes], tag: int, kind: int, n_values: int, value: bytes) -> None:
    """Add an entry; a value of more than four bytes goes to the end of the file."""
    if len(value) > 4:
        place = struct.pack("<I", len(end))
        end += value + bytes(len(value) % 2)
    else:
        place = value.ljust(4, b"\0")
    entries[tag] = struct.pack("<HHI", tag, kind, n_values) + place


def _put_exif(end: bytearray, entries: dict[int, bytes], exif: bytes) -> None:
    """Add the entries of Exif's first directory, and its other directories, rewritten for their place in the file."""
    from PIL import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    source = Image.Exif()
    source.load(b"Exif\0\0" + exif)
    tags = ImageFileDirectory_v2(prefix=b"II")
    for tag, value in source.items():
        if (
            tag not in entries and tag not in _POINTERS and tag not in _STRUCTURE
        ):  # what the picture says of itself stays
            tags[tag] = value
    found = tags.tobytes(len(end))
    (count,) = struct.unpack_from("<H", found)
    for at in range(2, 2 + 12 * count, 12):
        entries[struct.unpack_from("<H", found, at)[0]] = found[at : at + 12]
    end += found + bytes(len(found) % 2)
    for tag in _POINTERS:
        values = source.get_ifd(tag)
        if values:
            inner = ImageFileDirectory_v2(prefix=b"II")
            for key, value in values.items():
                inner[key] = value
            entries[tag] = struct.pack("<HHII", tag, _LONG, 1, len(end))
            data = inner.tobytes(len(end))
            end += data + bytes(len(data) % 2)
