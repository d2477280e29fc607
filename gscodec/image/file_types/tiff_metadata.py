"""Metadata of TIFF files: tags of the picture's directory, and of those for Exif and GPS.

Source: TIFF Revision 6.0, Adobe 1992; CIPA DC-008 (Exif 2.32).
"""

import struct
from contextlib import suppress
from typing import BinaryIO, Final

from gscodec.format.metadata import NO_METADATA, Metadata
from gscodec.image.file_types.tiff_layout import find_pages
from gscodec.image.metadata import INCH_CM, kept_exif, kept_xmp, pixels_per_inch, report_left_out
from gscodec.image.source_errors import warn_of_source

_XMP, _EXIF_IFD, _GPS_IFD = 700, 34665, 34853
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_SOFTWARE: Final = 305
_DESCRIPTIVE: Final = (270, 271, 272, 306, 315, 316, 33432, 40091, 40092, 40093, 40094, 40095)
"""Tags of a TIFF's first directory to keep: description, camera, date, artist, host, copyright, and those of Windows;
not the software, which wrote the file and not the picture."""

_READ_ELSEWHERE: Final = frozenset(
    (
        *(*range(254, 270), *range(273, 305), *range(317, 348), *range(512, 534)),
        *(_XMP, _EXIF_IFD, 34675, _GPS_IFD, 40965, 50706),
    )
)
"""Tags that say how samples are stored, and those that are read in other ways."""

_GEO: Final = (33550, 33922, 34264, 34735, 34736, 34737)
_TIFF_NAMES: Final = dict.fromkeys(_GEO, "GeoTIFF") | {
    33723: "IPTC",
    34377: "Photoshop data",
    42112: "GDAL",
    42113: "GDAL",
}
_BIG_TIFF: Final = {b"II\x2b\0", b"MM\0\x2b"}
_BYTE, _SHORT, _LONG, _RATIONAL = 1, 3, 4, 5  # types of TIFF values
_POINTERS: Final = (_EXIF_IFD, _GPS_IFD)
"""Tags of a directory that are offsets of others."""

_STRUCTURE: Final = frozenset(
    (*range(254, 270), *range(273, 282), *range(284, 305), *range(317, 348), *range(512, 534))
)
"""Tags that say how samples are stored: those of the source are not those of this file."""


def metadata_of_tiff(file: BinaryIO, offset: int, name: str) -> Metadata:
    """The metadata of the directory at an offset of a TIFF file."""
    from PIL import Image

    file.seek(0)
    head = file.read(4)
    if head in _BIG_TIFF:
        return _metadata_of_big_tiff(file, offset, name)
    exif = Image.Exif()
    try:
        exif.endian = "<" if head[:2] == b"II" else ">"
        exif.load_from_fp(file, offset)
        tags = dict(exif)
        kept = Image.Exif()
        for tag in _DESCRIPTIVE:
            if tag in tags:
                kept[tag] = tags[tag]
        for tag in (_EXIF_IFD, _GPS_IFD):
            directory = exif.get_ifd(tag)
            if directory:
                kept[tag] = dict(directory)
        data = kept.tobytes() if len(kept) else None
    except Exception:  # damaged metadata, or a BigTIFF, which Pillow does not read so
        warn_of_source(f"{name}: its metadata is left out; it cannot be read")
        return NO_METADATA
    known = _READ_ELSEWHERE | set(_DESCRIPTIVE) | {_SOFTWARE}
    report_left_out((_TIFF_NAMES.get(tag, f"tag {tag}") for tag in sorted(tags) if tag not in known), name)
    unit = tags.get(_RESOLUTION_UNIT, 2)
    density = pixels_per_inch(tags.get(_X_RESOLUTION), tags.get(_Y_RESOLUTION), {2: 1.0, 3: INCH_CM}.get(unit))
    return Metadata(density, exif=kept_exif(data, name), xmp=kept_xmp(tags.get(_XMP), name))


def _metadata_of_big_tiff(file: BinaryIO, offset: int, name: str) -> Metadata:
    """As `metadata_of_tiff`, without Exif."""
    import tifffile

    try:
        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            page = next(page for page in find_pages(tiff) if page.offset == offset)
            tags = {tag.code: tag.value for tag in page.tags}
    except Exception:
        warn_of_source(f"{name}: its metadata is left out; it cannot be read")
        return NO_METADATA
    lost = [tag for tag in (*_DESCRIPTIVE, _EXIF_IFD, _GPS_IFD) if tag in tags]
    report_left_out(["Exif and descriptions"] if lost else [], name)
    known = _READ_ELSEWHERE | set(_DESCRIPTIVE) | {_SOFTWARE}
    report_left_out((_TIFF_NAMES.get(tag, f"tag {tag}") for tag in sorted(tags) if tag not in known), name)
    across, down = (tags.get(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    density = None
    if isinstance(across, tuple) and isinstance(down, tuple) and across[1] and down[1]:
        scale = {2: 1.0, 3: INCH_CM}.get(int(tags.get(_RESOLUTION_UNIT, 2)))
        density = pixels_per_inch(across[0] / across[1], down[0] / down[1], scale)
    return Metadata(density, xmp=kept_xmp(tags.get(_XMP), name))


def with_tiff_metadata(data: bytes, metadata: Metadata | None) -> bytes:
    """A classic little-endian TIFF of one directory with further tags, the directory moved to the end."""
    if metadata is None:
        return data
    first = struct.unpack_from("<I", data, 4)[0]
    (count,) = struct.unpack_from("<H", data, first)
    entries = {
        struct.unpack_from("<H", data, at)[0]: data[at : at + 12] for at in range(first + 2, first + 2 + 12 * count, 12)
    }
    end = bytearray(data + bytes(len(data) % 2))
    if metadata.density is not None:
        for tag, value in zip((_X_RESOLUTION, _Y_RESOLUTION), metadata.density, strict=True):
            _put(end, entries, tag, _RATIONAL, 1, struct.pack("<II", round(value * 10000), 10000))
        _put(end, entries, _RESOLUTION_UNIT, _SHORT, 1, struct.pack("<H", 2))
    if metadata.xmp:
        _put(end, entries, _XMP, _BYTE, len(metadata.xmp), metadata.xmp)
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
    table = tags.tobytes(len(end))
    (count,) = struct.unpack_from("<H", table)
    for at in range(2, 2 + 12 * count, 12):
        entries[struct.unpack_from("<H", table, at)[0]] = table[at : at + 12]
    end += table + bytes(len(table) % 2)
    for tag in _POINTERS:
        values = source.get_ifd(tag)
        if values:
            inner = ImageFileDirectory_v2(prefix=b"II")
            for key, value in values.items():
                inner[key] = value
            entries[tag] = struct.pack("<HHII", tag, _LONG, 1, len(end))
            data = inner.tobytes(len(end))
            end += data + bytes(len(data) % 2)
