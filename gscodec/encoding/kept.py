"""Decides how much of a source's metadata a file keeps."""

import zlib
from dataclasses import replace
from typing import Final, Literal, get_args

from gscodec.container.writer import icc_bytes, metadata_bytes
from gscodec.errors import InvalidArgument
from gscodec.format.files import FileEntry, pack_files
from gscodec.format.metadata import Metadata
from gscodec.image.profiles import is_srgb
from gscodec.image.regions import RegionSource
from gscodec.image.source_errors import warn_of_source
from gscodec.image.stack import ImageStack

MetadataPolicy = Literal["all", "none"]

METADATA_SHARE: Final = 0.05
"""Maximum fraction of a byte budget for metadata, and for an ICC profile that is equivalent to sRGB. Other data that
defines colours is kept regardless of its size."""

_DROPPED_IN_ORDER: Final = {
    "xmp": "XMP",
    "exif": "Exif",
    "": "OpenEXR attributes",
    "texts": "texts",
    "density": "pixel density",
}
"""Metadata that a small budget has no room for, by field of `Metadata`, the first to go first."""


def kept_metadata(
    stack: ImageStack | RegionSource, policy: str, budget: int | None
) -> tuple[ImageStack | RegionSource, Metadata]:
    """The picture, and the metadata that its file keeps.

    An ICC profile of sRGB, which is also the default without a profile, is dropped with a SourceWarning if it takes
    more than its share of a budget. With `all`, so is metadata that takes more: XMP first, then Exif, OpenEXR
    attributes, texts, and the pixel density. `none` keeps colour tags only.

    Raises:
        InvalidArgument: the policy does not exist.
    """
    if policy not in get_args(MetadataPolicy):
        raise InvalidArgument(f"metadata {policy!r} is not known: use {', '.join(get_args(MetadataPolicy))}")
    metadata = stack.metadata
    stack = _without_srgb(stack, budget)
    if policy == "none":
        return _without_attributes(stack), replace(metadata, exif=None, xmp=None, density=None, texts=None)
    if budget is None:
        return stack, metadata
    left_out = []
    room = METADATA_SHARE * budget
    attributes = _attribute_bytes(stack.files)
    for key, words in _DROPPED_IN_ORDER.items():
        if attributes + metadata_bytes(metadata) <= room:
            break
        if key and getattr(metadata, key) is not None:
            left_out.append(words)
            metadata = replace(metadata, **{key: None})
        elif not key and attributes:
            left_out.append(words)
            stack, attributes = _without_attributes(stack), 0
    if left_out:
        fact = f"{', '.join(left_out)}, more than {METADATA_SHARE:.0%} of {budget} bytes"
        warn_of_source(f"{_name(stack)}: metadata is left out: {fact}")
    return stack, metadata


def _without_srgb(stack: ImageStack | RegionSource, budget: int | None) -> ImageStack | RegionSource:
    """The picture without an ICC profile that is equivalent to sRGB and takes more than its share of the budget."""
    if budget is None or not isinstance(stack, ImageStack) or not stack.icc:
        return stack
    size = icc_bytes(stack.icc)
    if size <= METADATA_SHARE * budget or not is_srgb(stack.icc):
        return stack
    warn_of_source(
        f"{_name(stack)}: its ICC profile is left out, it is sRGB as without one: {size} bytes are more than "
        f"{METADATA_SHARE:.0%} of {budget}"
    )
    return replace(stack, icc=None, files=tuple(replace(entry, icc=None) for entry in stack.files))


def _name(stack: ImageStack | RegionSource) -> str:
    return stack.source_name if isinstance(stack, ImageStack) and stack.source_name else "the picture"


def _without_attributes(stack: ImageStack | RegionSource) -> ImageStack | RegionSource:
    if not isinstance(stack, ImageStack) or not _attribute_bytes(stack.files):
        return stack
    return replace(stack, files=tuple(_bare(entry) for entry in stack.files))


def _bare(entry: FileEntry) -> FileEntry:
    return replace(entry, exr={key: value for key, value in entry.exr.items() if key != "attributes"})


def _attribute_bytes(files: tuple[FileEntry, ...]) -> int:
    """Bytes that the attributes of OpenEXR headers add to the FILE chunk."""
    if not any("attributes" in entry.exr for entry in files):
        return 0
    with_them, without = (
        len(zlib.compress(pack_files(entries, "cannot pack", InvalidArgument), 9))
        for entries in (files, [_bare(entry) for entry in files])
    )
    return max(1, with_them - without)
