"""File names of decoded pictures: safe on every system, each with the suffix of a writable file type."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

from gscodec.format.files import FileEntry
from gscodec.image.file_types.registry import restored_suffixes, type_of_suffix
from gscodec.model.file_names import MAX_NAME_BYTES, distinct_file_names, file_key, safe_file_name

MOST_IN_PNG: Final = 4
"""Maximum number of channels of a PNG file."""

_MIP_BYTES: Final = len(".mip20")


def usual_suffix(entry: FileEntry) -> str:
    """Default suffix of a picture, by its source file's type and number of channels."""
    kind = type_of_suffix(PurePath(entry.name).suffix.lower())
    if entry.exr or (kind is not None and not kind.has_integers):
        return ".exr"
    return ".png" if entry.n_channels <= MOST_IN_PNG else ".tif"


def picture_names(entries: Sequence[FileEntry], format_name: str | None = None) -> list[str]:
    """A file name for each picture, in their order: its own, made safe, with a suffix that is written.

    No two are the same file on any system, and their mip chains (`rock.mip1.png`) have room for their names.

    Args:
        format_name: suffix of all of them, with or without its dot; None is each picture's own.
    """
    forced = None if format_name is None else f".{format_name.lower().removeprefix('.')}"
    names = [_name(entry, forced, keep=False) for entry in entries]
    if len({file_key(name) for name in names}) < len(names):  # rock.png beside rock.jpg: both keep their suffix
        names = [_name(entry, forced, keep=True) for entry in entries]
    return distinct_file_names(names, max_bytes=MAX_NAME_BYTES - _MIP_BYTES)


def _name(entry: FileEntry, forced: str | None, *, keep: bool) -> str:
    path = PurePath(safe_file_name(entry.name))
    if forced is None and path.suffix.lower() in restored_suffixes():
        return path.name
    suffix = forced or usual_suffix(entry)
    return safe_file_name(path.name if keep and path.suffix.lower() != suffix else path.stem, suffix=suffix)
