"""How much of a source's metadata a file keeps."""

import zlib
from dataclasses import replace
from typing import Final, Literal, get_args

from gscodec.errors import InvalidArgument
from gscodec.format.files import FileEntry, pack_files
from gscodec.format.metadata import Metadata
from gscodec.format.writer import metadata_bytes
from gscodec.image import ImageStack
from gscodec.image.kinds import warn_of_source
from gscodec.image.regions import RegionSource

MetadataPolicy = Literal["all", "none"]

METADATA_SHARE: Final = 0.05
"""Share of a budget in bytes that metadata may take. What says how colours are meant is kept whatever it takes."""


def kept_metadata(
    stack: ImageStack | RegionSource, policy: str, budget: int | None
) -> tuple[ImageStack | RegionSource, Metadata]:
    """The picture and the metadata that its file keeps.

    Of `all`, what takes more than its share of a budget is left out with a SourceWarning: XMP first, then Exif,
    attributes of OpenEXR, and the pixel density. `none` keeps colour tags alone.

    Raises:
        InvalidArgument: no such policy.
    """
    if policy not in get_args(MetadataPolicy):
        raise InvalidArgument(f"metadata {policy!r} is not known: use {', '.join(get_args(MetadataPolicy))}")
    metadata = stack.metadata
    if policy == "none":
        return _without_attributes(stack), replace(metadata, exif=None, xmp=None, density=None)
    if budget is None:
        return stack, metadata
    left_out = []
    room = METADATA_SHARE * budget
    attributes = _attribute_bytes(stack.files)
    for key, words in (("xmp", "XMP"), ("exif", "Exif"), ("", "OpenEXR attributes"), ("density", "pixel density")):
        if attributes + metadata_bytes(metadata) <= room:
            break
        if key and getattr(metadata, key) is not None:
            left_out.append(words)
            metadata = replace(metadata, **{key: None})
        elif not key and attributes:
            left_out.append(words)
            stack, attributes = _without_attributes(stack), 0
    if left_out:
        name = stack.source_name if isinstance(stack, ImageStack) and stack.source_name else "the picture"
        warn_of_source(
            f"{name}: metadata is left out: {', '.join(left_out)}, more than {METADATA_SHARE:.0%} of {budget} bytes"
        )
    return stack, metadata


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
