"""Which file types are read, told by content alone, and opening one without decoding its pixels."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from gscodec.errors import BadImage, GsCodecError, LimitExceeded, SourceWarning, UnsupportedImage, file_access_error
from gscodec.format.layout import SIGNATURE
from gscodec.image import png
from gscodec.image.stack import DimensionCheck, check_dimensions

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

_READ: Final = {
    "PNG": (png.SIGNATURE,),
    "JPEG": (b"\xff\xd8\xff",),
    "TIFF": (b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b"),
    "WEBP": (b"RIFF",),
    "BMP": (b"BM",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "PPM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
    "QOI": (b"qoif",),
}
"""First bytes of what is read, by Pillow's name. Other types that Pillow knows stay closed: each is one more parser to
trust, and some run programs."""

_MODULES: Final = {kind: "WebP" if kind == "WEBP" else kind.title() for kind in _READ}

_KNOWN: Final = {
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
"""First bytes of pictures that are not read, so that the message can say what they are."""

_MAX_SCANS: Final = 256
"""Scans of a JPEG; progressive ones have about ten."""


def open_pillow(file: BinaryIO, name: str, check: DimensionCheck = check_dimensions) -> "ImageFile":
    """The picture in a file, header parsed, pixels not decoded, dimensions checked. Reading starts at byte 0.

    Raises:
        UnsupportedImage: a known type that is not read.
        BadImage: no picture at all, or one without pixels.
        LimitExceeded: as `check`; or a JPEG of very many scans, each of which goes over all of the picture.
        Exception: whatever Pillow raises on a damaged header; see `one_line_errors`.
    """
    file.seek(0)
    kind = file_type(file.read(16), name)
    file.seek(0)
    importlib.import_module(f"PIL.{_MODULES[kind]}ImagePlugin")
    from PIL import Image

    # The plugin is called without Image.open: that tries every plugin, and has one pixel limit for the whole process.
    try:
        image = Image.OPEN[kind][0](file, "")
    except SyntaxError as fault:
        if "unknown pixel mode" in str(fault):  # a sound TIFF, of float or odd-sized samples mostly
            raise UnsupportedImage(f"{name}: this kind of {kind} is not read; convert it to 8 or 16-bit RGB") from fault
        raise BadImage(f"{name}: the {kind} header is damaged ({_one_line(fault)})") from fault
    width, height = image.size
    if width < 1 or height < 1:
        raise BadImage(f"{name}: {width}x{height} px is not a picture")
    check(height, width, name, len(image.getbands()))
    if kind == "JPEG":
        _check_scans(file, name)
    return image


def _check_scans(file: BinaryIO, name: str) -> None:
    """Count the markers that begin a scan; inside one, a byte 0xFF is never followed by that."""
    at = file.tell()
    file.seek(0)
    scans, last = 0, b""
    while scans <= _MAX_SCANS and (block := file.read(1 << 20)):
        scans += (last + block).count(b"\xff\xda")
        last = block[-1:] if block.endswith(b"\xff") else b""
    file.seek(at)
    if scans > _MAX_SCANS:
        raise LimitExceeded(f"{name}: a JPEG of more than {_MAX_SCANS} scans; store it again with the usual ten or so")


def file_type(head: bytes, name: str) -> str:
    """Pillow's name of the file type that the first 16 bytes of a file show.

    Raises:
        BadImage: no known type. UnsupportedImage: a known one that is not read.
    """
    if not head:
        raise BadImage(f"{name}: is empty")
    if head.startswith(SIGNATURE[:4]):
        raise UnsupportedImage(f"{name}: is an .igs file already; decode it first")
    for kind, starts in _READ.items():
        if head.startswith(starts) and (kind != "WEBP" or head[8:12] == b"WEBP") and (kind != "PPM" or _is_pnm(head)):
            return kind
    known = next((what for start, what in _KNOWN.items() if head.startswith(start)), None)
    if head[4:8] == b"ftyp":
        known = "AVIF or HEIF"
    if known:
        raise UnsupportedImage(f"{name}: {known} pictures are not read; convert it to PNG or TIFF")
    raise BadImage(
        f"{name}: is not a picture of a known type; PNG, JPEG, TIFF, WebP, BMP, PPM, GIF, QOI, OpenEXR and HDR are"
    )


def _is_pnm(head: bytes) -> bool:
    return head[2:3] in {b" ", b"\t", b"\r", b"\n", b"#"}


def warn_of_frames(image: "Image", name: str) -> None:
    """Say that an animation, or a file of several pictures, is read only in part."""
    if getattr(image, "is_animated", False):
        warn_of_source(f"{name}: only the first of its pictures or frames is read")


@contextmanager
def one_line_errors(name: str) -> Iterator[None]:
    """Turn whatever a picture's decoder raises into one of our errors, in one line that names the file.

    Decoders meet hostile bytes with exceptions of any kind (OSError, SyntaxError, struct.error, KeyError ...), so all
    kinds are caught. Their warnings are about metadata, and silenced; ours (`warn_of_source`) come when all is read.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", SourceWarning)
            yield
    except GsCodecError:
        raise
    except MemoryError as fault:
        raise LimitExceeded(f"{name}: does not fit into memory; scale the picture down") from fault
    except OSError as fault:
        if fault.errno is not None:
            raise file_access_error(f"{name}: cannot be read: {fault.strerror}", fault) from fault
        raise BadImage(f"{name}: damaged or cut off ({_one_line(fault)})") from fault
    except Exception as fault:
        if type(fault).__name__ == "DecompressionBombError":  # Pillow's own limit, inside a plugin
            raise LimitExceeded(f"{name}: {_one_line(fault)}") from fault
        raise BadImage(f"{name}: damaged or not a picture ({_one_line(fault)})") from fault
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        warn_of_source(text)


def warn_of_source(text: str) -> None:
    """Say in one line what of a source is not kept, or how it was understood."""
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(text.split()))
    warnings.warn(line, SourceWarning, stacklevel=2)


def _one_line(fault: Exception) -> str:
    text = " ".join(str(fault).split())
    return (text if text.isprintable() else ascii(text))[:160] or type(fault).__name__
