"""Where results must not go: over an input of the same command, or over the picture that a file was made of."""

import os
import stat
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from gscodec.errors import InvalidArgument, OutputExists
from gscodec.io.streams import is_stream
from gscodec.model.file_names import file_key, refuse_link_out

STDIN = "-"


def refuse_inputs(outputs: Iterable[str | os.PathLike[str]], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse an output that is one of the inputs, by whatever name, whether it may be replaced or not.

    Files are compared by identity: hard and symbolic links and other spellings of a name count.

    Args:
        outputs: paths to be written.
        inputs: paths to be read; `-` is stdin.

    Raises:
        InvalidArgument: one is.
    """
    known: dict[tuple[int, int], str] = {}
    for path in inputs:
        identity = _identity(path)
        if identity is not None:
            known[identity] = os.fspath(path)
    for output in outputs:
        if is_stream(output):
            continue
        identity = _identity(output)
        if identity is not None and identity in known:
            name = "stdin" if known[identity] == STDIN else known[identity]
            what = "is the input" if name == os.fspath(output) else f"is the same file as the input {name}"
            raise InvalidArgument(f"{os.fspath(output)}: {what}; name another output")


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What all names of a regular file share; None for what is none."""
    try:
        found = os.fstat(sys.stdin.fileno()) if os.fspath(path) == STDIN else Path(path).stat()
    except (OSError, ValueError, AttributeError):  # not there, a NUL in the path, no stdin
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def default_file(path: Path, sources: Collection[str] | None) -> Path:
    """Where a result goes when nobody says: `photo.png`, or `photo.decoded.png` where that is or may be a source.

    Args:
        path: the usual place.
        sources: names of the pictures that the file was made of; empty where it does not say, so that any file in the
            usual place may be one; None where it was made of no pictures.

    Raises:
        FileAccessError: as `refuse_link_out`.
    """
    keys = {file_key(name) for name in sources or ()}
    if sources is not None and not sources and path.exists() and not is_stream(path):
        keys = {file_key(path.name)}
    chosen, tries = path, 1
    while file_key(chosen.name) in keys:
        mark = "decoded" if tries == 1 else f"decoded{tries}"
        chosen = path.with_name(f"{path.stem}.{mark}{path.suffix}")
        tries += 1
    refuse_link_out(chosen)
    return chosen


def default_folder(path: Path, sources: Collection[str], mark: str = "decoded") -> Path:
    """The folder that results go to when nobody says: `rock`, or `rock.decoded` where that has or may have the sources.

    Args:
        path: the usual place.
        sources: names of the pictures that the file was made of; empty where it does not say, so that any picture in
            the usual folder may be one.
        mark: what becomes of them.
    """
    from gscodec.image.file_types.registry import read_suffixes

    try:
        there = {file_key(file.name) for file in path.iterdir()}
    except OSError:
        return path
    if sources:
        meets = bool(there & {file_key(name) for name in sources})
    else:
        suffixes = read_suffixes()
        meets = any(Path(name).suffix.lower() in suffixes for name in there)
    return path.with_name(f"{path.name}.{mark}") if meets else path


def taken(path: str | os.PathLike[str], sources: Collection[str] | None, *, named: bool = True) -> OutputExists:
    """The error for an output that is there already.

    It speaks of `--overwrite` only where that cannot cost the picture that the input was made of.

    Args:
        sources: names of the pictures that the input was made of, none where it does not say; None where it is made of
            no pictures.
        named: whether the user named the output.
    """
    keys = None if sources is None else {file_key(name) for name in sources}
    if keys is None or (named and keys and file_key(Path(path).name) not in keys):
        remedy = "already; use --overwrite to replace it"
    else:
        remedy = "already, and may be a picture that the input was made of; name another output"
    return OutputExists(f"{os.fspath(path)}: exists {remedy}", filename=path)
