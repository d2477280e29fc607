"""Codecs under test, ours and the rivals', behind one interface."""

from collections.abc import Callable, Iterable
from typing import Final

from gscodec.errors import InvalidArgument
from gscodec_bench.codecs.base import Codec, Layout, join, split
from gscodec_bench.codecs.blocks import Bc1, Bc7
from gscodec_bench.codecs.igs import PRESET_NAMES, Igs, parse
from gscodec_bench.codecs.jpegxl import JpegXl
from gscodec_bench.codecs.neural import parse_neural
from gscodec_bench.codecs.pillow import Avif, Jpeg, WebP
from gscodec_bench.codecs.programs import Astc, Basis
from gscodec_bench.codecs.progressive_jxl import ProgressiveJxl

__all__ = [
    "PICTURE_RIVALS",
    "TEXTURE_RIVALS",
    "Codec",
    "Igs",
    "Layout",
    "codec_names",
    "get_codec",
    "join",
    "split",
    "split_available",
]

_RIVALS: Final[dict[str, Callable[[], Codec]]] = {
    rival().name: rival for rival in (Jpeg, WebP, Avif, JpegXl, ProgressiveJxl, Astc, Bc1, Bc7, Basis)
}
PICTURE_RIVALS: Final = ("jpeg", "webp", "avif", "jxl")
"""Codecs for pictures on disk."""
TEXTURE_RIVALS: Final = ("astc", "bc1", "bc7", "basis")
"""Formats that a GPU samples from memory."""


def codec_names() -> list[str]:
    """Names of all codecs, ours in every preset first."""
    return [f"gscodec:{preset}" for preset in PRESET_NAMES] + list(_RIVALS)


def get_codec(name: str, device: str = "auto", threads: int | None = None) -> Codec:
    """The codec of a name; device is for ours, threads also for `neural:MODEL`.

    Raises:
        InvalidArgument: there is none.
    """
    if name == "gscodec" or name.startswith("gscodec:"):
        return parse(name, device, threads)
    if name.startswith("avif:"):
        return Avif(name.removeprefix("avif:"))
    if name.startswith("neural:"):
        return parse_neural(name, threads)
    if name not in _RIVALS:
        raise InvalidArgument(f"codec {name!r} is not known: use {', '.join(codec_names())}")
    return _RIVALS[name]()


def split_available(codecs: Iterable[Codec]) -> tuple[list[Codec], dict[str, str]]:
    """Codecs that run here, and the reasons of those that do not, by name."""
    here: list[Codec] = []
    reasons: dict[str, str] = {}
    for codec in codecs:
        reason = codec.available()
        if reason is None:
            here.append(codec)
        else:
            reasons[codec.name] = reason
    return here, reasons
