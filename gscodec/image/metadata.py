"""What picture files say beside their samples: Exif, XMP, pixel density and PNG's colour tags; and what is left out.

Sources: CIPA DC-008 (Exif 2.32), ISO 16684-1 (XMP), PNG Third Edition sections 11.3.2 and 11.3.3, TIFF 6.0.
"""

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from gscodec.format.limits import MAX_EXIF_BYTES, MAX_XMP_BYTES
from gscodec.format.metadata import NO_METADATA, Metadata, exif_fault, is_sound_tag, xmp_fault
from gscodec.image.kinds import warn_of_source
from gscodec.image.tiff_layout import find_pages
from gscodec.model.channels import COLOURS, ChannelGroup, SampleType, Transfer

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION, _XMP, _EXIF_IFD, _GPS_IFD = 274, 700, 34665, 34853
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_THUMBNAIL_AT, _THUMBNAIL_SIZE = 513, 514
_SOFTWARE: Final = 305
_DESCRIPTIVE: Final = (270, 271, 272, 306, 315, 316, 33432, 40091, 40092, 40093, 40094, 40095)
"""Of a TIFF's first directory: description, camera, date, artist, host, copyright, and Windows' own; not the software,
which made the file and not the picture."""

_TIFF_STRUCTURE: Final = frozenset(
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
_ORIENTATION_IN_XMP: Final = re.compile(rb"(tiff:Orientation(?:=[\"']|>)\s*)[2-8](?=\s*(?:[\"']|</))")
_INCH_CM: Final = 2.54
_BIG_TIFF: Final = {b"II\x2b\0", b"MM\0\x2b"}
_SRGB_GAMMA: Final = 0.45455
_SRGB_PRIMARIES: Final = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # white first, as in PNG

_SRGB_LIKE: Final = {0, 1, 2, 4, 5, 6, 11, 12, 13, 14, 15}
"""Transfers of H.273 that are taken as sRGB's: those of television, gamma 2.2 and 2.8, and unknown ones."""


def metadata_of(image: "Image", name: str) -> Metadata:
    """The metadata of a loaded Pillow image that is no TIFF file; what is not kept is one SourceWarning."""
    info = image.info
    metadata = Metadata(_density_of(image), exif=_exif(info.get("exif"), name), xmp=_xmp(info.get("xmp"), name))
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
    known = _TIFF_STRUCTURE | set(_DESCRIPTIVE) | {_SOFTWARE}
    report_left_out((_TIFF_NAMES.get(tag, f"tag {tag}") for tag in sorted(tags) if tag not in known), name)
    unit = tags.get(_RESOLUTION_UNIT, 2)
    density = _density(tags.get(_X_RESOLUTION), tags.get(_Y_RESOLUTION), {2: 1.0, 3: _INCH_CM}.get(unit))
    return Metadata(density, exif=_exif(data, name), xmp=_xmp(tags.get(_XMP), name))


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
    known = _TIFF_STRUCTURE | set(_DESCRIPTIVE) | {_SOFTWARE}
    report_left_out((_TIFF_NAMES.get(tag, f"tag {tag}") for tag in sorted(tags) if tag not in known), name)
    across, down = (tags.get(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    density = None
    if isinstance(across, tuple) and isinstance(down, tuple) and across[1] and down[1]:
        scale = {2: 1.0, 3: _INCH_CM}.get(int(tags.get(_RESOLUTION_UNIT, 2)))
        density = _density(across[0] / across[1], down[0] / down[1], scale)
    return Metadata(density, xmp=_xmp(tags.get(_XMP), name))


def with_png_tags(metadata: Metadata, chunks: Mapping[bytes, bytes], *, has_icc: bool) -> Metadata:
    """Metadata with PNG's colour tags: cICP, else gAMA and cHRM where neither sRGB nor an ICC profile goes before them.

    Tags that say sRGB are left out: that is what a picture without tags is.

    Args:
        chunks: data of the first chunk of each type.
    """
    found: dict[str, Any] = {}
    if len(chunks.get(b"cICP", b"")) == 4:
        found["cicp"] = tuple(chunks[b"cICP"])
    if not has_icc and b"sRGB" not in chunks and "cicp" not in found:
        if len(chunks.get(b"gAMA", b"")) == 4:
            found["gamma"] = int.from_bytes(chunks[b"gAMA"], "big") / 100000
        if len(chunks.get(b"cHRM", b"")) == 32:
            found["chromaticities"] = tuple(part / 100000 for part in struct.unpack(">8i", chunks[b"cHRM"]))
        if _is_srgb_gamma(found.get("gamma", _SRGB_GAMMA)) and _is_srgb_primaries(found.get("chromaticities")):
            found = {}
    if len(chunks.get(b"mDCV", b"")) == 24:
        found["mastering"] = struct.unpack(">8H2I", chunks[b"mDCV"])
    if len(chunks.get(b"cLLI", b"")) == 8:
        found["content_light"] = struct.unpack(">2I", chunks[b"cLLI"])
    if found.get("cicp") in {(1, 13, 0, 1), (2, 2, 0, 1)}:
        del found["cicp"]
    return replace(metadata, **{key: value for key, value in found.items() if is_sound_tag(key, value)})


def as_tagged(groups: tuple[ChannelGroup, ...], metadata: Metadata) -> tuple[ChannelGroup, ...]:
    """Groups whose integer colours have transfer linear where the tags say that they are no sRGB codes."""
    if is_srgb_like(metadata):
        return groups
    return tuple(
        replace(group, transfer=Transfer.LINEAR)
        if group.role in COLOURS and group.sample_type is SampleType.UINT
        else group
        for group in groups
    )


def is_srgb_like(metadata: Metadata) -> bool:
    """Whether samples may be taken for sRGB codes."""
    if metadata.cicp is not None:
        return metadata.cicp[1] in _SRGB_LIKE
    return metadata.gamma is None or metadata.gamma < 0.72  # halfway between the exponents of sRGB and of light


def colour_words(metadata: Metadata) -> str:
    """The colour tags for a message; empty where there are none."""
    if metadata.cicp is not None:
        known = {16: "PQ", 18: "HLG", 8: "linear"}
        words = "/".join(map(str, metadata.cicp))
        return f"cICP {words}" + (f" ({known[metadata.cicp[1]]})" if metadata.cicp[1] in known else "")
    said = [] if metadata.gamma is None else [f"gamma {metadata.gamma:g}"]
    return " and ".join(said + (["primaries"] if metadata.chromaticities is not None else []))


def report_left_out(what: Iterable[str], name: str) -> None:
    """One SourceWarning that names what of a file's metadata is not kept."""
    words = ", ".join(dict.fromkeys(what))
    if words:
        words = words if words.isprintable() else ascii(words)[1:-1]
        warn_of_source(f"{name}: metadata is left out: {words[:200]}")


def _density_of(image: "Image") -> tuple[float, float] | None:
    info = image.info
    if image.format in {"JPEG", "MPO"}:
        scale = {1: 1.0, 2: _INCH_CM}.get(info.get("jfif_unit", 0))
        across, down = info.get("jfif_density") or (None, None)
        return _density(across, down, scale)
    across, down = info.get("dpi") or (None, None)
    density = _density(across, down, 1.0)
    if image.format == "BMP" and density is not None and {round(each) for each in density} <= {72, 96}:
        return None  # what writers put there who know nothing
    return density


def _density(across: Any, down: Any, scale: float | None) -> tuple[float, float] | None:
    """Pixels per inch of two numbers of any type; None where they say nothing."""
    try:
        density = round(float(across) * (scale or 0), 4), round(float(down) * (scale or 0), 4)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return density if is_sound_tag("density", density) else None


def _exif(data: Any, name: str) -> bytes | None:
    """Exif as it is kept: upright, without a thumbnail."""
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
    """Where a thumbnail that ends the data begins; the length of the data where there is none."""
    found = {}
    try:
        (count,) = struct.unpack_from(f"{order}H", data, directory)
        for at in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHII", data, at)
            found[tag] = value
    except struct.error:
        return len(data)
    start, size = found.get(_THUMBNAIL_AT, 0), found.get(_THUMBNAIL_SIZE, 0)
    is_last = directory and start > directory and len(data) - 2 <= start + size <= len(data)
    return start if is_last else len(data)


def _xmp(data: Any, name: str) -> bytes | None:
    """XMP as it is kept: upright."""
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


def _is_srgb_gamma(gamma: float) -> bool:
    return abs(gamma - _SRGB_GAMMA) < 0.002


def _is_srgb_primaries(found: tuple[float, ...] | None) -> bool:
    return found is None or all(abs(a - b) < 0.002 for a, b in zip(found, _SRGB_PRIMARIES, strict=True))
