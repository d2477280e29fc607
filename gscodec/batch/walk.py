"""Files below a folder: those that a batch processes, and a reason for each that it leaves out."""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gscodec.errors import BadImage, UnsupportedImage, file_access_error
from gscodec.image.file_types.base import HEAD_BYTES
from gscodec.image.file_types.registry import read_suffixes, type_of_content

_WEAK_START: Final = 2
"""Bytes of the signatures that text files may also begin with."""

_OTHER_SUFFIXES: Final = frozenset(
    [
        ".tga",
        ".pcx",
        ".sgi",
        ".rgb",
        ".dpx",
        ".cin",
        ".ico",
        ".icns",
        ".pic",
        ".pct",
        ".dib",
        ".xcf",
        ".kra",
        ".svg",
        ".svgz",
        ".psd",
        ".psb",
        ".dds",
        ".ktx",
        ".ktx2",
        ".jxl",
        ".avif",
        ".heic",
        ".heif",
        ".jp2",
        ".j2k",
        ".jpx",
        ".pfm",
        ".pam",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".dng",
        ".raf",
        ".rw2",
        ".orf",
    ]
)
"""Suffixes of unsupported picture types; some of them have no signature."""


@dataclass(frozen=True)
class Walk:
    """The files below a folder."""

    files: tuple[Path, ...]  # files to process, sorted by path
    left_out: tuple[str, ...]  # one line per file or folder that is not processed, with the reason


def pictures_below(root: Path) -> Walk:
    """Pictures at or below a folder, by suffix, without files and folders whose names begin with a dot.

    Links to files are followed, links to folders are not: they may be cyclic or lead out of the folder.

    Raises:
        FileAccessError: the folder cannot be read.
    """
    return _walk(root, read_suffixes(), sniff=True)


def igs_below(root: Path) -> Walk:
    """The `.igs` files at or below a folder, as `pictures_below`."""
    return _walk(root, frozenset({".igs"}), sniff=False)


def _walk(root: Path, suffixes: Collection[str], *, sniff: bool) -> Walk:
    files: list[Path] = []
    left_out: list[str] = []

    def unreadable(fault: OSError) -> None:
        folder = Path(fault.filename or root)
        if folder == root:
            raise file_access_error(f"{root}: cannot be read: {fault.strerror}", fault)
        left_out.append(f"{_below(folder, root)}: cannot be read: {fault.strerror}")

    for place, folders, names in os.walk(root, onerror=unreadable):
        folder = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        left_out += [
            f"{_below(folder / name, root)}: is a link to a folder; run a batch on it, or put the folder there"
            for name in folders
            if (folder / name).is_symlink()
        ]
        for name in sorted(names):
            if name.startswith("."):
                continue
            path = folder / name
            fault = _fault(path, suffixes, sniff=sniff)
            if fault is None:
                files.append(path)
            elif fault:
                left_out.append(f"{_below(path, root)}: {fault}")
    return Walk(tuple(sorted(files)), tuple(sorted(left_out)))


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _fault(path: Path, suffixes: Collection[str], *, sniff: bool) -> str | None:
    """Why a file is left out: None if it is processed, empty if no user would expect it to be."""
    is_wanted = path.suffix.lower() in suffixes
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as fault:
        return (fault.strerror or "cannot be read") + " (a link)" * path.is_symlink() if is_wanted else ""
    if is_wanted:
        return None if is_file else "is not a regular file"
    return _picture_type(path) if sniff and is_file else ""


def _picture_type(path: Path) -> str:
    """Reason for leaving out a file that is a picture by content but not by suffix; empty if it is not a picture."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ""
    try:
        kind = type_of_content(head, "")
    except UnsupportedImage as fault:
        text = str(fault).removeprefix(": ").partition(";")[0]
        return text if "pictures are not read" in text and "PDF" not in text else ""
    except BadImage:
        suffix = path.suffix.lower()
        return f"{suffix[1:].upper()} pictures are not read" if suffix in _OTHER_SUFFIXES else ""
    is_weak = max(map(len, kind.starts)) <= _WEAK_START
    return "" if is_weak else f"is {kind.title} by its content; rename it"
