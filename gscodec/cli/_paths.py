"""Where a verb reads and writes: checks that cost nothing, made before the work that costs minutes."""

from pathlib import Path

from gscodec.cli._console import STREAM, read_stdin, refuse_terminal
from gscodec.errors import FileAccessError, InvalidArgument, OutputExists


def output_path(source: str, output: str | None, suffix: str, overwrite: bool) -> Path | None:
    """Where the result goes; None is stdout.

    Args:
        source: the input path, or `-`.
        output: what the user asked for; None is the input's name with `suffix`, or stdout for stdin.
        suffix: with its dot.
        overwrite: whether an existing file may be replaced.

    Raises:
        InvalidArgument: the output is the input, or bytes would go to a terminal.
        OutputExists: the file is there and `overwrite` is not set.
        FileAccessError: the output is a folder or its folder is missing.
    """
    if output is None:
        output = STREAM if source == STREAM else str(Path(source).with_suffix(suffix))
    if output == STREAM:
        refuse_terminal()
        return None
    path = Path(output)
    if path.is_dir():
        raise FileAccessError(f"{path}: is a folder; name a file in it")
    if path.exists():
        if source != STREAM and Path(source).exists() and path.samefile(source):
            raise InvalidArgument(f"{path}: is the input; name another output")
        if not overwrite:
            raise OutputExists(f"{path}: exists already; use --overwrite to replace it")
    elif not path.parent.is_dir():
        raise FileAccessError(f"{path}: its folder does not exist; make it first")
    return path


def igs_source(source: str) -> Path | bytes:
    """What a reader of `.igs` files takes: the path, or all of stdin for `-`."""
    return read_stdin() if source == STREAM else Path(source)


def display_name(source: str) -> str:
    """How messages and results name an input."""
    return "stdin" if source == STREAM else source
