"""Chooses output paths, and refuses those of inputs and of the pictures that a file was made of.

Checks that cost nothing, made before the work that costs minutes.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from gscodec.errors import InvalidArgument, OutputExists, file_access_error
from gscodec.io.streams import is_stream
from gscodec.model.file_names import file_key, path_in_folder, refuse_link_out

STREAM: Final = "-"
"""Stdin as an input, stdout as an output."""

Note = Callable[[str], None]
"""Takes a line for the user."""


def silent(_: str) -> None:
    """Takes a note and drops it."""


def output_path(
    source: str | None,
    output: str | None,
    suffix: str,
    overwrite: bool,
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    made_of: Collection[str] | None = None,
    note: Note = silent,
) -> Path | None:
    """Path of a result that is a single file; None means stdout.

    Args:
        source: the input: a path or URL, or `-` for stdin; None has no name, and `output` must be named.
        output: what the user asked for; None is the input's name with `suffix`, or stdout for stdin and pipes.
        suffix: with its dot.
        overwrite: whether an existing file may be replaced.
        inputs: other files that are read.
        made_of: of a decode, names of the pictures that the input was made of, see `default_file`; empty where it does
            not say. The result then never takes their place unasked.
        note: called with a message if the result goes to another path than the usual one.

    Raises:
        InvalidArgument: the output is the input.
        OutputExists: the file is there and `overwrite` is not set.
        FileAccessError: the output is a folder or its folder is missing.
    """
    if output is None and (source is None or source == STREAM or is_stream(source)):
        output = STREAM
    if output == STREAM:
        return None
    avoids_source = False
    if output is not None:
        path = Path(output)
    else:
        assert source is not None
        usual = usual_path(source, suffix)
        path = default_file(usual, made_of)
        avoids_source = path != usual  # a file at the usual path may be a source picture
        if avoids_source:
            note(f"{usual} may be the picture that {display_name(source)} was made of: the result goes to {path}")
    if is_stream(path):
        return path
    if path.is_dir():
        raise file_access_error(f"{path}: is a folder; name a file in it", errno.EISDIR, path)
    refuse_inputs([path], [name for name in (source, *inputs) if name is not None and not is_url(os.fspath(name))])
    if path.exists():
        if not overwrite:
            raise taken(
                path, made_of or (None if avoids_source else made_of), named=output is not None or avoids_source
            )
    elif not path.parent.is_dir():
        raise file_access_error(f"{path}: its folder does not exist; make it first", errno.ENOENT, path)
    return path


def stem_of(source: str) -> Path:
    """The path that a result is named after: the input's, or the last part of a URL's in the current folder."""
    if not is_url(source):
        return Path(source)
    from gscodec.io.source import name_of_url
    from gscodec.model.file_names import safe_file_name

    return Path(safe_file_name(name_of_url(source)))


def usual_path(source: str, suffix: str) -> Path:
    """The input's name with another suffix; a folder's keeps all of its own name."""
    path = stem_of(source)
    if path.name in {"", ".."}:  # the folder one is in, or above it
        path = path.resolve()
    if not path.name:
        raise InvalidArgument(f"{source}: has no name to derive the output's from; name an output")
    return path.with_name(path.name + suffix) if path.is_dir() else path.with_suffix(suffix)


def display_name(source: str) -> str:
    """Name of an input in messages and results; a URL without its secrets."""
    if not is_url(source):
        return "stdin" if source == STREAM else source
    from gscodec.io.source import source_name

    return source_name(source)


def is_url(source: str) -> bool:
    """Whether an input is a URL; without a look at what reads it, which takes NumPy to load."""
    if "://" not in source:
        return False
    from gscodec.io.source import is_url as looks_like_url

    return looks_like_url(source)


def check_outputs(
    paths: Sequence[Path],
    inputs: Iterable[str | os.PathLike[str]],
    made_of: Collection[str] | None,
    *,
    overwrite: bool,
    folder: Path | None = None,
) -> None:
    """Refuse files to be written, before the first is, that would cost another file.

    Args:
        paths: all of them.
        inputs: files that are read.
        made_of: names of the pictures that the input was made of, see `taken`.
        overwrite: whether existing files may be replaced.
        folder: that they all lie in and that no link may lead out of.

    Raises:
        InvalidArgument: one is an input.
        OutputExists: one is there and must not be replaced.
        FileAccessError: a link leads out of the folder.
    """
    if folder is not None:
        for path in paths:
            path_in_folder(folder, path.name)
    refuse_inputs(paths, inputs)
    for path in paths:
        if path.exists() and not overwrite and not is_stream(path):
            raise taken(path, made_of)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing.

    Raises:
        FileAccessError: the operating system refused.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise file_access_error(f"{folder}: cannot be made: {fault.strerror}", fault) from fault


def refuse_inputs(outputs: Iterable[str | os.PathLike[str]], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse an output that is one of the inputs, even with `--overwrite`.

    Files are compared by identity: hard and symbolic links and other spellings of a name count.

    Args:
        outputs: paths to be written.
        inputs: paths to be read; `-` is stdin.

    Raises:
        InvalidArgument: an output is an input.
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
            name = "stdin" if known[identity] == STREAM else known[identity]
            what = "is the input" if name == os.fspath(output) else f"is the same file as the input {name}"
            raise InvalidArgument(f"{os.fspath(output)}: {what}; name another output")


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """(device, inode) of a regular file; None for anything else."""
    try:
        status = os.fstat(sys.stdin.fileno()) if os.fspath(path) == STREAM else Path(path).stat()
    except (OSError, ValueError, AttributeError):  # not there, a NUL in the path, no stdin
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def default_file(path: Path, sources: Collection[str] | None) -> Path:
    """Default output path: `photo.png`, or `photo.decoded.png` if the former is or may be a source picture.

    Args:
        path: preferred path.
        sources: names of the source pictures; empty if the file does not record them, so that any file at `path` may
            be one; None if it has no source pictures.

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
    """Default output folder: `rock`, or `rock.decoded` if the former contains or may contain the source pictures.

    Args:
        path: preferred folder.
        sources: names of the source pictures; empty if the file does not record them, so that any picture in the
            folder may be one.
        mark: inserted into the name of the alternative folder.
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
    """The error for an output that already exists.

    It suggests `--overwrite` only if that cannot replace a source picture of the input.

    Args:
        sources: names of the input's source pictures, empty if it does not record them; None if it has none.
        named: whether the user named the output.
    """
    keys = None if sources is None else {file_key(name) for name in sources}
    if keys is None or (named and keys and file_key(Path(path).name) not in keys):
        remedy = "already; use --overwrite to replace it"
    else:
        remedy = "already, and may be a source picture of the input; name another output"
    return OutputExists(f"{os.fspath(path)}: exists {remedy}", filename=path)
