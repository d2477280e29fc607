"""Selects the picture of a TIFF file to read, and interprets its tags.

Source: TIFF Revision 6.0, Adobe 1992; TIFF Technical Note 1 and Photoshop Technical Notes 1995 and 2002; DNG 1.6.
"""

import io
import logging
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from gscodec.errors import UnsupportedImage

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it logs what is damaged; without one, to stderr

MAX_TIFF_PAGES: Final = 256
"""Maximum number of directories that are searched for the picture."""

UNSIGNED, SIGNED, FLOAT, VOID = 1, 2, 3, 4  # SampleFormat
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6  # PhotometricInterpretation
SEPARATE_PLANES: Final = 2  # PlanarConfiguration
ASSOCIATED, UNASSOCIATED = 1, 2  # ExtraSamples

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED: Final = 2  # SubfileType
_SUBFILE_TAG: Final = 255
_DNG_VERSION: Final = 50706

_REFUSED_PHOTOMETRIC: Final = {
    4: "a transparency mask alone is",
    8: "CIELAB pictures are",
    9: "CIELAB pictures are",
    10: "CIELAB pictures are",
    32803: "camera raw pictures are",
    32844: "LogL pictures are",
    32845: "LogLuv pictures are",
    34892: "camera raw pictures are",
}
_COMPRESSIONS: Final = {
    1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000
}  # fmt: skip
"""None, CCITT, LZW, JPEG old and new, Deflate, PackBits, LZMA and Zstandard: what Pillow's libtiff may read."""

_COMPRESSION_NAMES: Final = {
    34712: "JPEG 2000",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34887: "LERC",
    34892: "lossy JPEG",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


@dataclass(frozen=True)
class TiffLayout:
    """The picture of a TIFF file."""

    page: int  # number of its directory, as `find_pages` lists them
    offset: int  # of the directory, bytes
    height: int
    width: int
    n_samples: int  # per pixel
    bits: tuple[int, ...]  # of each sample, or of all
    sample_format: int
    photometric: int
    is_planar: bool  # a plane for each sample
    extra: tuple[int, ...]  # meaning of the samples beyond the colour
    orientation: int
    compression: int
    predictor: int
    icc: bytes | None
    subsampling: tuple[int, int]  # of chroma, across and down
    notes: tuple[str, ...]  # descriptions of what is not read

    @property
    def n_colours(self) -> int:
        """Number of samples of the photometric interpretation."""
        return {RGB: 3, SEPARATED: 4, YCBCR: 3}.get(self.photometric, 1)


def read_layout(file: BinaryIO, name: str) -> TiffLayout | None:
    """The first picture of full resolution in a TIFF, else the largest; None where the file is damaged.

    Thumbnails, levels of a pyramid and masks beside it are passed over.

    Raises:
        UnsupportedImage: a kind of picture that is not read.
    """
    import tifffile

    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            number, page, notes = choose_page(tiff)
            layout = _layout(number, page, notes)
            is_raw = page.tags.get(_DNG_VERSION) is not None
    except Exception:  # reported when the pixels are read
        return None
    _check(layout, is_raw, name)
    return layout


def choose_page(tiff: Any) -> tuple[int, Any, tuple[str, ...]]:
    """Index and directory of the picture in a `tifffile.TiffFile`, and descriptions of what is not read."""
    pages = find_pages(tiff)
    kinds = [_subfile_type(page) for page in pages]
    full = [number for number, kind in enumerate(kinds) if not kind & (_REDUCED | _MASK)]
    number = full[0] if full else max(range(len(pages)), key=lambda at: pages[at].imagelength * pages[at].imagewidth)
    notes = []
    if len(full) > 1:
        more = "+" if len(pages) == MAX_TIFF_PAGES else ""
        notes.append(f"only the first of {len(full)}{more} pictures is read")
    if any(kind & _MASK for kind in kinds):
        notes.append("its transparency mask is left out")
    return number, pages[number], tuple(notes)


def page_of(tiff: Any, layout: TiffLayout) -> Any:
    """The directory of a layout in a `tifffile.TiffFile` of the same file."""
    return find_pages(tiff)[layout.page]


def find_pages(tiff: Any) -> list[Any]:
    """The directories of the chain; where they hold no picture of full resolution, those in their SubIFDs behind them.

    Raises:
        ValueError: there is none.
    """
    pages: list[Any] = []
    for number in range(MAX_TIFF_PAGES):
        try:
            page = tiff.pages[number]
        except Exception:  # no more, or a chain that breaks off or goes in a circle
            break
        pages.append(page)
    if not pages:
        raise ValueError("no directory")
    if all(_subfile_type(page) & (_REDUCED | _MASK) for page in pages):
        for page in list(pages):
            inner = page.pages or ()
            pages += [inner[number] for number in range(min(len(inner), MAX_TIFF_PAGES - len(pages)))]
    return pages


def _subfile_type(page: Any) -> int:
    old = page.tags.get(_SUBFILE_TAG)
    reduced = old is not None and old.value == _OLD_REDUCED
    return int(page.subfiletype or 0) | (_REDUCED if reduced else 0)


def _layout(number: int, page: Any, notes: tuple[str, ...]) -> TiffLayout:
    bits = page.bitspersample
    orientation = page.tags.get("Orientation")
    icc = page.tags.get("InterColorProfile")
    return TiffLayout(
        number,
        int(page.offset),
        int(page.imagelength),
        int(page.imagewidth),
        int(page.samplesperpixel),
        tuple(int(each) for each in bits) if isinstance(bits, tuple) else (int(bits),),
        int(page.sampleformat),
        int(page.photometric),
        int(page.planarconfig) == SEPARATE_PLANES and int(page.samplesperpixel) > 1,
        tuple(int(each) for each in page.extrasamples),
        int(orientation.value) if orientation is not None else 1,
        int(page.compression),
        int(page.predictor),
        bytes(icc.value) if icc is not None else None,
        _subsampling(page),
        notes,
    )


def _subsampling(page: Any) -> tuple[int, int]:
    if int(page.photometric) != YCBCR:
        return 1, 1
    tag = page.tags.get("YCbCrSubSampling")
    return (2, 2) if tag is None else (int(tag.value[0]), int(tag.value[1]))


def from_page(file: BinaryIO, layout: TiffLayout) -> BinaryIO:
    """The file, in memory, the picture first: Pillow gives up at a directory that it does not read."""
    file.seek(0)
    data = bytearray(file.read())
    order = "<" if data[:2] == b"II" else ">"
    if bytes(data[:4]) in {b"II\x2b\0", b"MM\0\x2b"}:
        struct.pack_into(f"{order}Q", data, 8, layout.offset)
    else:
        struct.pack_into(f"{order}I", data, 4, layout.offset)
    return io.BytesIO(bytes(data))


def _check(layout: TiffLayout, is_raw: bool, name: str) -> None:
    bits = max(layout.bits)
    fact = None
    if is_raw:
        fact = "camera raw pictures are not read; develop it first"
    elif layout.photometric in _REFUSED_PHOTOMETRIC:
        fact = f"{_REFUSED_PHOTOMETRIC[layout.photometric]} not read; convert it to RGB"
    elif layout.sample_format == SIGNED:
        fact = f"{bits}-bit signed integer samples are not read; convert them to unsigned ones or to floats"
    elif layout.sample_format not in {UNSIGNED, FLOAT, VOID}:
        fact = "complex samples are not read; convert them to floats"
    elif layout.sample_format != FLOAT and bits > 16:
        fact = f"{bits}-bit integer samples are not read; convert them to 16 bits or to floats"
    elif len(set(layout.bits)) > 1:
        fact = f"samples of {'/'.join(map(str, layout.bits))} bits are not read; store them all alike"
    elif layout.compression == 1 and layout.subsampling != (1, 1):
        fact = "uncompressed YCbCr with subsampled chroma is not read; store it as RGB"
    elif layout.compression not in _COMPRESSIONS:
        fact = unread_compression(layout)
    if fact:
        raise UnsupportedImage(f"{name}: {fact}")


def unread_compression(layout: TiffLayout) -> str:
    """Error message for a compression that this build does not support."""
    compression = _COMPRESSION_NAMES.get(layout.compression, f"number {layout.compression}")
    return f"TIFF compression {compression} is not read here; store it as Deflate or LZW"
