"""Where a verb reads and writes: checks that cost nothing, made before the work that costs minutes."""

import errno
from pathlib import Path

from gscodec.cli._console import STREAM, read_stdin, refuse_terminal
from gscodec.errors import InvalidArgument, OutputExists, file_access_error
from gscodec.streams import is_stream


def output_path(source: str, output: str | None, suffix: str, overwrite: bool) -> Path | None:
    """Where the result goes; None is stdout.

    Args:
        source: the input path, or `-`.
        output: what the user asked for; None is the input's name with `suffix`, or stdout for stdin and pipes.
        suffix: with its dot.
        overwrite: whether an existing file may be replaced.

    Raises:
        InvalidArgument: the output is the input, or bytes would go to a terminal.
        OutputExists: the file is there and `overwrite` is not set.
        FileAccessError: the output is a folder or its folder is missing.
    """
    if output is None:
        output = STREAM if source == STREAM or is_stream(source) else str(stem_of(source).with_suffix(suffix))
    if output == STREAM:
        refuse_terminal()
        return None
    path = Path(output)
    if is_stream(path):
        return path
    if path.is_dir():
        raise file_access_error(f"{path}: is a folder; name a file in it", errno.EISDIR, path)
    if path.exists():
        if source != STREAM and not is_url(source) and Path(source).exists() and path.samefile(source):
            raise InvalidArgument(f"{path}: is the input; name another output")
        if not overwrite:
            raise OutputExists(f"{path}: exists already; use --overwrite to replace it", filename=path)
    elif not path.parent.is_dir():
        raise file_access_error(f"{path}: its folder does not exist; make it first", errno.ENOENT, path)
    return path


def igs_source(source: str) -> str | Path | bytes:
    """What a reader of `.igs` files takes: the path or URL, or all of stdin for `-`."""
    if source == STREAM:
        return read_stdin()
    return source if is_url(source) else Path(source)


def stem_of(source: str) -> Path:
    """The path that a result is named after: the input's, or the last part of a URL's in the current folder."""
    if not is_url(source):
        return Path(source)
    name = source.partition("?")[0].rstrip("/").rpartition("/")[2]
    return Path(name or "picture.igs")


def display_name(source: str) -> str:
    """How messages and results name an input; a URL without its secrets."""
    if not is_url(source):
        return "stdin" if source == STREAM else source
    from gscodec.format.source import source_name

    return source_name(source)


def is_url(source: str) -> bool:
    """Whether an input is a URL; without a look at what reads it, which takes NumPy to load."""
    if "://" not in source:
        return False
    from gscodec.format.source import is_url as looks_like_url

    return looks_like_url(source)
