"""All picture file types. A new one is a file beside this one, and its entry here."""

from pathlib import PurePath
from typing import Final

from gscodec.errors import BadImage, InvalidArgument, UnsupportedImage
from gscodec.format.layout import SIGNATURE
from gscodec.image.file_types.base import PictureType
from gscodec.image.file_types.bmp import Bmp
from gscodec.image.file_types.exr import OpenExr
from gscodec.image.file_types.gif import Gif
from gscodec.image.file_types.jpeg import Jpeg
from gscodec.image.file_types.pillow import PillowType
from gscodec.image.file_types.png import Png
from gscodec.image.file_types.pnm import Pnm
from gscodec.image.file_types.qoi import Qoi
from gscodec.image.file_types.radiance import Radiance
from gscodec.image.file_types.tiff import Tiff
from gscodec.image.file_types.webp import WebP
from gscodec.image.file_types.written_only import Avif, Dds, Jpeg2000, OtherPillowType, Sgi, Tga

_TYPES: Final[list[PictureType]] = [
    Png(),
    Jpeg(),
    Tiff(),
    WebP(),
    Bmp(),
    Pnm(),
    Gif(),
    Qoi(),
    OpenExr(),
    Radiance(),
    Tga(),
    Avif(),
    Dds(),
    Jpeg2000(),
    Sgi(),
]
"""File types in the order in which content and suffixes are compared. Other types that Pillow reads are refused:
each is one more parser to trust, and some run programs."""

_NOT_READ: Final = {
    b"PF\n": "PFM",
    b"Pf\n": "PFM",
    b"DDS ": "DDS",
    b"\xabKTX": "KTX",
    b"8BPS": "Photoshop",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"P7\n": "PAM",
}
"""First bytes of unsupported picture files, so that the message can name their type."""

_NOT_WRITTEN: Final = frozenset({"PDF", "EPS", "PALM", "MPO", "ICO", "ICNS", "IGS"})
"""Types that Pillow writes, but not losslessly; IGS is what `gscodec.pillow` adds."""


def picture_types() -> tuple[PictureType, ...]:
    """All types, in order."""
    return tuple(_TYPES)


def register(kind: PictureType) -> None:
    """Add a type after the others.

    Raises:
        InvalidArgument: a type of the name is there already.
    """
    if any(each.name == kind.name for each in _TYPES):
        raise InvalidArgument(f"a picture file type {kind.name} is registered already")
    _TYPES.append(kind)


def unregister(kind: PictureType) -> None:
    """Remove a type."""
    _TYPES.remove(kind)


def read_suffixes() -> frozenset[str]:
    """Suffixes, in lower case, under which pictures are looked for in folders; what a file is its content tells."""
    return frozenset(suffix for kind in _TYPES for suffix in kind.read_suffixes)


def restored_suffixes() -> frozenset[str]:
    """Suffixes of sources that a decode can write again; others come back as PNG, floats as OpenEXR."""
    return frozenset(suffix for kind in _TYPES for suffix in kind.restored_suffixes)


def known_suffixes() -> frozenset[str]:
    """Suffixes of files that may hold a picture, read or written."""
    return read_suffixes() | {suffix for kind in _TYPES for suffix in kind.written_suffixes}


def type_of_content(head: bytes, name: str) -> PictureType:
    """The type of a file that begins with these HEAD_BYTES.

    Raises:
        BadImage: no known type. UnsupportedImage: a known one that is not read.
    """
    if not head:
        raise BadImage(f"{name}: is empty")
    if head.startswith(SIGNATURE[:4]):
        raise UnsupportedImage(f"{name}: is an .igs file already; decode it first")
    for kind in _TYPES:
        if kind.recognises(head):
            return kind
    known = next((what for start, what in _NOT_READ.items() if head.startswith(start)), None)
    if head[4:8] == b"ftyp":
        known = "AVIF or HEIF"
    if known:
        raise UnsupportedImage(f"{name}: {known} pictures are not read; convert it to PNG or TIFF")
    *titles, last = [kind.title for kind in _TYPES if kind.starts]
    raise BadImage(f"{name}: is not a picture of a known type; {', '.join(titles)} and {last} are")


def type_of_suffix(suffix: str) -> PictureType | None:
    """The type that files with a suffix are read or written as; None if no registered type has it."""
    return next((kind for kind in _TYPES if suffix in (*kind.read_suffixes, *kind.written_suffixes)), None)


def type_to_write(name: str, format_name: str | None = None) -> PictureType:
    """The type of a file that is to be written.

    Args:
        name: path; PNG where it has no suffix, or is `-`. Used where `format_name` is None.
        format_name: a suffix, with or without its dot, or a type's name, in any case.

    Raises:
        InvalidArgument: no such type, or one that is not written.
    """
    if format_name is None:
        suffix = (PurePath(name).suffix.lower() if name != "-" else "") or ".png"
    else:
        suffix = f".{format_name.lower().removeprefix('.')}"
    kind = next((kind for kind in _TYPES if suffix in kind.written_suffixes), None)
    if kind is not None:
        return kind
    from PIL import Image  # whose plugins are all loaded only for what none of the types above takes

    pillow_name = Image.registered_extensions().get(suffix, suffix[1:].upper())
    if pillow_name not in Image.SAVE or pillow_name in _NOT_WRITTEN:
        asked = format_name if format_name is not None else f"*{suffix}"
        raise InvalidArgument(f"{name}: pictures are not written as {asked}; use png, tiff, webp, jpeg, bmp or ppm")
    known = (kind for kind in _TYPES if isinstance(kind, PillowType) and kind.name == pillow_name)
    return next(known, OtherPillowType(pillow_name))
