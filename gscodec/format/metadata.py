"""Metadata of the source picture: the chunks TAGS, EXIF and XMP_. It never changes samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gscodec.errors import CorruptField, LimitExceeded
from gscodec.format.layout import ErrorClass
from gscodec.format.limits import MAX_EXIF_BYTES, MAX_TAGS_BYTES, MAX_XMP_BYTES
from gscodec.format.meta import pack_meta, unpack_meta
from gscodec.model.json_value import Json

_TIFF_STARTS: Final = (b"II\x2a\0", b"MM\0\x2a")
MAX_TEXTS: Final = 64
MAX_KEYWORD: Final = 79
"""Texts of a picture, and characters of a keyword, which is PNG's limit."""

_CONTROLS: Final = frozenset(map(chr, (*range(9), 11, 12, *range(14, 32), *range(127, 160))))
"""All but tab, line feed and carriage return."""

_LEAST_EXIF: Final = 14  # a TIFF header and an empty directory


@dataclass(frozen=True)
class Metadata:
    """Metadata of one picture; None means unknown."""

    density: tuple[float, float] | None = None  # pixels per inch, across and down
    cicp: tuple[int, int, int, int] | None = None  # ITU-T H.273: primaries, transfer, matrix, full range
    gamma: float | None = None  # encoding gamma: sample = light^gamma, as in PNG's gAMA
    chromaticities: tuple[float, ...] | None = None  # x, y of white, red, green and blue, as in PNG's cHRM
    mastering: tuple[int, ...] | None = None  # the ten numbers of PNG's mDCV, SMPTE ST 2086
    content_light: tuple[int, int] | None = None  # the two of PNG's cLLI
    exif: bytes | None = None  # Exif as a TIFF structure, orientation 1 (upright)
    xmp: bytes | None = None  # XMP packet in UTF-8
    texts: tuple[tuple[str, str], ...] | None = None  # keywords and texts, as PNG has them

    @property
    def tags(self) -> dict[str, Json]:
        """The members of the TAGS chunk."""
        return {name: _plain(getattr(self, name)) for name in _CHECKS if getattr(self, name) is not None}


NO_METADATA: Final = Metadata()


def _plain(value: Any) -> Json:
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _fixed(value: Json) -> Any:
    return tuple(_fixed(each) for each in value) if isinstance(value, list) else value


def pack_tags(metadata: Metadata, where: str, error: ErrorClass) -> bytes | None:
    """The TAGS chunk, or None if it would be empty.

    Raises:
        GsCodecError: `error`, if a value is invalid.
    """
    if not metadata.tags:
        return None
    data = pack_meta(metadata.tags, where, error)
    try:
        unpack_tags(data, where)
    except (CorruptField, LimitExceeded) as fault:
        raise error(str(fault)) from fault
    return data


def unpack_tags(data: bytes, name: str) -> Metadata:
    """The metadata in a TAGS chunk; unknown members are ignored.

    Raises:
        CorruptField: the chunk violates spec/igs.md, sections 5.5 and 5.7.
    """
    values = unpack_meta(data, name, "TAGS")
    tags: dict[str, Any] = {}
    for key, is_sound in _CHECKS.items():
        if key in values:
            if not is_sound(values[key]):
                raise CorruptField(f"{name}: chunk TAGS has a {key} that cannot be one")
            tags[key] = _fixed(values[key])
    return Metadata(**tags)


def exif_fault(data: bytes) -> str | None:
    """Why the bytes are not a valid EXIF chunk, or None."""
    if len(data) < _LEAST_EXIF or not data.startswith(_TIFF_STARTS):
        return "is not a TIFF structure"
    return None


def xmp_fault(data: bytes) -> str | None:
    """Why the bytes are not a valid XMP_ chunk, or None."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8"
    return None


def is_sound_tag(key: str, value: Any) -> bool:
    """Whether a value is valid for a member of the TAGS chunk."""
    return bool(_CHECKS[key](_plain(value)))


def check_metadata(metadata: Metadata, where: str, error: ErrorClass) -> None:
    """Refuse metadata that a file cannot hold.

    Raises:
        GsCodecError: `error`, if a chunk is invalid or too large.
    """
    for label, data, limit, fault_of in (
        ("EXIF", metadata.exif, MAX_EXIF_BYTES, exif_fault),
        ("XMP_", metadata.xmp, MAX_XMP_BYTES, xmp_fault),
    ):
        if data:
            fault = fault_of(data)
            if len(data) > limit:
                fault = f"takes {len(data)} bytes, the limit is {limit}"
            if fault:
                raise error(f"{where}: chunk {label} {fault}")
    tags = pack_tags(metadata, where, error)
    if tags and len(tags) > MAX_TAGS_BYTES:
        raise error(f"{where}: chunk TAGS takes {len(tags)} bytes, the limit is {MAX_TAGS_BYTES}")


def _numbers(count: int, low: float, high: float) -> Any:
    def is_sound(value: Json) -> bool:
        return isinstance(value, list) and len(value) == count and all(_is_number(each, low, high) for each in value)

    return is_sound


def _integers(highest: Sequence[int]) -> Any:
    def is_sound(value: Json) -> bool:
        return (
            isinstance(value, list)
            and len(value) == len(highest)
            and all(type(each) is int and 0 <= each <= top for each, top in zip(value, highest, strict=True))
        )

    return is_sound


def _is_number(value: Json, low: float, high: float) -> bool:
    return type(value) in {int, float} and low <= value <= high  # false for NaN, and exact for integers of any size


def text_fault(keyword: str, text: str) -> str | None:
    """Why a keyword and its text are not valid in the TAGS chunk, or None."""
    if not 1 <= len(keyword) <= MAX_KEYWORD or not all(" " <= c <= "~" or "\xa1" <= c <= "\xff" for c in keyword):
        return "has no keyword of 1 to 79 printable characters of Latin-1"
    if keyword != keyword.strip() or "  " in keyword:
        return "has a keyword with spaces at its ends or twice"
    return None if _CONTROLS.isdisjoint(text) else "has control characters"


def _are_texts(value: Json) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= MAX_TEXTS
        and all(
            isinstance(pair, list)
            and len(pair) == 2
            and isinstance(pair[0], str)
            and isinstance(pair[1], str)
            and text_fault(pair[0], pair[1]) is None
            for pair in value
        )
    )


_CHECKS: Final[dict[str, Any]] = {
    "density": _numbers(2, 1e-3, 1e6),
    "cicp": _integers((255, 255, 255, 1)),
    "gamma": lambda value: _is_number(value, 1e-3, 1e3),
    "chromaticities": _numbers(8, -100, 100),
    "mastering": _integers((*[65535] * 8, 2**32 - 1, 2**32 - 1)),
    "content_light": _integers((2**32 - 1, 2**32 - 1)),
    "texts": _are_texts,
}
