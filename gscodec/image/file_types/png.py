"""PNG, through Pillow, and what Pillow leaves out: checksums of pixel data when reading, 16-bit colour when writing.

Source: PNG (Portable Network Graphics) Specification, Third Edition, W3C 2025, sections 5, 9 and 11.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage
from gscodec.format.metadata import MAX_TEXTS, Metadata, is_sound_tag, text_fault
from gscodec.image.file_types.base import IntegerPicture, SourceFile
from gscodec.image.file_types.pillow import PillowType
from gscodec.image.metadata import report_left_out

if TYPE_CHECKING:
    pass

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

_TAGS: Final = {b"cICP", b"gAMA", b"cHRM", b"sRGB", b"mDCV", b"cLLI"}
_TEXTS: Final = {b"tEXt", b"zTXt", b"iTXt"}
_READ_ELSEWHERE: Final = {
    *(b"iCCP", b"eXIf", b"pHYs", b"tRNS", b"acTL", b"fcTL", b"fdAT"),
    *(b"bKGD", b"hIST", b"sPLT", b"tIME"),
}
"""By Pillow; and what only says how another program would show or date the file."""

_TEXTS_KEPT: Final = frozenset({"XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1"})
"""Keywords of PNG texts that are kept as metadata."""

_TEXTS_OF_PROGRAMS: Final = frozenset(
    {"Software", "Creation Time", "date:create", "date:modify", "date:timestamp", "png:tIME"}
)
"""Keywords of what screenshot tools and ImageMagick write by themselves: their names, and the times of files."""

_START_BYTES: Final = 96
_MAX_LISTED: Final = 20
_MAX_TEXT_BYTES: Final = 3072
"""Bytes of all texts that are kept, as JSON: the chunk TAGS has 4096, and other tags in it."""

_READ_BYTES: Final = 1 << 20
_ROWS: Final = 64  # rows filtered at a time
_COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels
_HEADER_END: Final = len(SIGNATURE) + 25  # of IHDR
_INCHES_PER_METRE: Final = 1 / 0.0254
_SRGB_GAMMA: Final = 0.45455
_SRGB_PRIMARIES: Final = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # white first, as in PNG


class Png(PillowType):
    """PNG: all depths are read; 1, 8 and 16 bits are written, with ICC profile, Exif, XMP, density and colour tags."""

    name = "PNG"
    title = "PNG"
    starts = (SIGNATURE,)
    read_suffixes = (".png", ".apng")
    written_suffixes = (".png",)
    has_alpha = has_16_bits = has_bilevel = True
    keeps_profile = keeps_exif = keeps_density = keeps_colour_tags = keeps_texts = True

    def inspect(self, source: SourceFile) -> "PngExtras":
        """See `PillowType.inspect`.

        Raises:
            BadImage: as `check_chunks`.
        """
        return check_chunks(source.file, source.name)

    def with_inspected(self, metadata: Metadata, extras: object, source: SourceFile, *, has_icc: bool) -> Metadata:
        """See `PillowType.with_inspected`."""
        assert isinstance(extras, PngExtras)
        kept, dropped = _kept_texts(extras.texts)
        report_left_out([*(["text " + ", ".join(dropped)] if dropped else []), *extras.others], source.name)
        metadata = replace(metadata, texts=kept or None)
        return _with_colour_tags(metadata, extras.tags, has_icc=has_icc)

    def write(self, picture: IntegerPicture) -> bytes:
        """See `PictureType.write`."""
        is_deep = picture.samples.dtype == np.uint16
        plain = picture._replace(metadata=None)  # which goes in afterwards, whoever wrote the pixels
        data = write_deep_png(picture.samples, picture.icc) if is_deep else super().write(plain)
        return data if picture.metadata is None else _with_metadata(data, picture.metadata)


@dataclass(frozen=True)
class PngExtras:
    """Metadata of a PNG file."""

    tags: dict[bytes, bytes]  # data of short chunks that say how colours are meant
    texts: tuple[tuple[str, str | None], ...]  # keywords and texts; None where a text is damaged or very long
    others: tuple[str, ...]  # further types of chunks that a decoder may pass over


def check_chunks(file: BinaryIO, name: str) -> PngExtras:
    """Walk the chunks up to IEND and compare their CRCs. Pillow skips those of pixels. The position is not kept.

    Raises:
        BadImage: a chunk is cut off, too long, or was changed after it was written.
    """
    file.seek(len(SIGNATURE))
    tags: dict[bytes, bytes] = {}
    texts: list[tuple[str, str | None]] = []
    others: list[str] = []
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise BadImage(f"{name}: the PNG file is cut off; get a whole copy")
        length, kind = struct.unpack(">I4s", head)
        if length > 0x7FFFFFFF:
            raise BadImage(f"{name}: a PNG chunk says it has {length} bytes; the file is damaged")
        crc = zlib.crc32(kind)
        left = length
        start = b""
        while left:
            part = file.read(min(left, _READ_BYTES))
            if not part:
                raise BadImage(f"{name}: the PNG file is cut off inside its {_text(kind)} chunk; get a whole copy")
            crc = zlib.crc32(part, crc)
            left -= len(part)
            start = start or (part if kind in _TEXTS else part[:_START_BYTES])
        stored = file.read(4)
        if len(stored) < 4:
            raise BadImage(f"{name}: the PNG file is cut off inside its {_text(kind)} chunk; get a whole copy")
        if crc != int.from_bytes(stored, "big"):
            raise BadImage(f"{name}: the checksum of a PNG {_text(kind)} chunk is wrong; the file is damaged")
        if kind in _TAGS:
            tags.setdefault(kind, start)
        elif kind in _TEXTS and len(texts) < _MAX_LISTED:
            texts.append(_text_of(kind, start, is_whole=length <= _READ_BYTES))
        elif kind[0] & 32 and kind not in _READ_ELSEWHERE and len(others) < _MAX_LISTED:
            others.append(_text(kind))
        if kind == b"IEND":
            return PngExtras(tags, tuple(texts), tuple(others))


def _text_of(kind: bytes, data: bytes, *, is_whole: bool) -> tuple[str, str | None]:
    """Keyword and text of a text chunk (section 11.3.3)."""
    keyword, _, rest = data.partition(b"\0")
    is_packed = kind == b"zTXt"
    if kind == b"iTXt":
        is_packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif is_packed:
        rest = rest[1:]
    name = keyword[:_START_BYTES].decode("latin-1")
    if not is_whole:
        return name, None
    try:
        if is_packed:
            unpacker = zlib.decompressobj()
            rest = unpacker.decompress(rest, _MAX_TEXT_BYTES + 1)
        if len(rest) > _MAX_TEXT_BYTES:
            return name, None
        return name, rest.decode("utf-8" if kind == b"iTXt" else "latin-1")
    except (zlib.error, UnicodeDecodeError):
        return name, None


def _kept_texts(texts: Iterable[tuple[str, str | None]]) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    """Texts to be kept, and the keywords of others that a person may miss."""
    kept: list[tuple[str, str]] = []
    dropped = []
    room = _MAX_TEXT_BYTES
    for keyword, text in texts:
        if keyword in _TEXTS_KEPT | _TEXTS_OF_PROGRAMS:
            continue
        if text is None or text_fault(keyword, text) is not None:
            dropped.append(keyword)
            continue
        n_bytes = len(json.dumps([keyword, text], ensure_ascii=False).encode("utf-8")) + 1
        if n_bytes > room or len(kept) == MAX_TEXTS:
            dropped.append(keyword)
            continue
        room -= n_bytes
        kept.append((keyword, text))
    return tuple(kept), dropped


def _text(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalpha() else kind.hex()


def _with_colour_tags(metadata: Metadata, chunks: Mapping[bytes, bytes], *, has_icc: bool) -> Metadata:
    """Metadata with PNG's colour tags: cICP, else gAMA and cHRM where neither sRGB nor an ICC profile goes before them.

    Tags that say sRGB are left out: that is what a picture without tags is.

    Args:
        chunks: data of the first chunk of each type.
    """
    tags: dict[str, Any] = {}
    if len(chunks.get(b"cICP", b"")) == 4:
        tags["cicp"] = tuple(chunks[b"cICP"])
    if not has_icc and b"sRGB" not in chunks and "cicp" not in tags:
        if len(chunks.get(b"gAMA", b"")) == 4:
            tags["gamma"] = int.from_bytes(chunks[b"gAMA"], "big") / 100000
        if len(chunks.get(b"cHRM", b"")) == 32:
            tags["chromaticities"] = tuple(part / 100000 for part in struct.unpack(">8i", chunks[b"cHRM"]))
        if _is_srgb_gamma(tags.get("gamma", _SRGB_GAMMA)) and _is_srgb_primaries(tags.get("chromaticities")):
            tags = {}
    if len(chunks.get(b"mDCV", b"")) == 24:
        tags["mastering"] = struct.unpack(">8H2I", chunks[b"mDCV"])
    if len(chunks.get(b"cLLI", b"")) == 8:
        tags["content_light"] = struct.unpack(">2I", chunks[b"cLLI"])
    if tags.get("cicp") in {(1, 13, 0, 1), (2, 2, 0, 1)}:
        del tags["cicp"]
    return replace(metadata, **{key: value for key, value in tags.items() if is_sound_tag(key, value)})


def _with_metadata(data: bytes, metadata: Metadata) -> bytes:
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
    for keyword, text in metadata.texts or ():
        try:
            added.append((b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1")))
        except UnicodeEncodeError:
            added.append((b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")))
    if metadata.xmp:
        added.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp))
    chunks = b"".join(_chunk(kind, value) for kind, value in added)
    return data[:_HEADER_END] + chunks + data[_HEADER_END:]


def write_deep_png(samples: npt.NDArray[np.uint16], icc: bytes | None) -> bytes:
    """A PNG file of 16-bit samples (H, W, C): gray, gray and alpha, RGB, or RGB and alpha for C = 1 to 4."""
    height, width, n_channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[n_channels], 0, 0, 0)
    parts = [SIGNATURE, _chunk(b"IHDR", header)]
    if icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    packer = zlib.compressobj(6)
    rows = np.ascontiguousarray(samples.reshape(height, -1), ">u2").view(np.uint8)
    above = np.zeros((1, rows.shape[1]), np.uint8)
    for top in range(0, height, _ROWS):
        block = rows[top : top + _ROWS]
        filtered = _filtered(block, np.concatenate([above, block[:-1]]), 2 * n_channels)
        parts.append(_chunk(b"IDAT", packer.compress(filtered.tobytes())))
        above = block[-1:]
    parts += [_chunk(b"IDAT", packer.flush()), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _filtered(rows: npt.NDArray[np.uint8], up: npt.NDArray[np.uint8], pixel_bytes: int) -> npt.NDArray[np.uint8]:
    """(R, 1 + B) filter types and bytes: per row the filter with the least sum of absolute differences."""
    left = np.zeros_like(rows)
    left[:, pixel_bytes:] = rows[:, :-pixel_bytes]
    corner = np.zeros_like(rows)
    corner[:, pixel_bytes:] = up[:, :-pixel_bytes]
    options = np.stack([rows, rows - left, rows - up, rows - _paeth(left, up, corner)])
    cost = np.abs(options.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = cost.argmin(axis=0)
    chosen = options[best, np.arange(len(rows))]
    types = np.array([0, 1, 2, 4], np.uint8)[best]
    result: npt.NDArray[np.uint8] = np.concatenate([types[:, None], chosen], axis=1)
    return result


def _paeth(left: npt.NDArray[Any], up: npt.NDArray[Any], corner: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The neighbour nearest to left + up - corner; ties in that order (section 9.4)."""
    a, b, c = (part.astype(np.int16) for part in (left, up, corner))
    to_left, to_up, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    result: npt.NDArray[np.uint8] = np.where(
        (to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner)
    )
    return result


def _chunk(kind: bytes, data: bytes) -> bytes:
    if not data and kind == b"IDAT":  # the compressor has kept what it got
        return b""
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _is_srgb_gamma(gamma: float) -> bool:
    return abs(gamma - _SRGB_GAMMA) < 0.002


def _is_srgb_primaries(primaries: tuple[float, ...] | None) -> bool:
    return primaries is None or all(abs(a - b) < 0.002 for a, b in zip(primaries, _SRGB_PRIMARIES, strict=True))
