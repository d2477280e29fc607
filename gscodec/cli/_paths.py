"""Where a command reads and writes: checks that cost nothing, made before the work that costs minutes."""

import errno
from collections.abc import Collection, Iterable
from pathlib import Path

from gscodec.cli._console import STREAM, refuse_terminal, say
from gscodec.errors import InvalidArgument, file_access_error
from gscodec.io.streams import is_stream, open_stdin


def output_path(
    source: str,
    output: str | None,
    suffix: str,
    overwrite: bool,
    *,
    inputs: Iterable[str | Path] = (),
    made_of: Collection[str] | None = None,
) -> Path | None:
    """Where the result goes; None is stdout.

    Args:
        source: the input path, or `-`.
        output: what the user asked for; None is the input's name with `suffix`, or stdout for stdin and pipes.
        suffix: with its dot.
        overwrite: whether an existing file may be replaced.
        inputs: other files that the command reads.
        made_of: of a decode, names of the pictures that the input was made of, see `default_file`; empty where it does
            not say. The result then never takes their place unasked.

    Raises:
        InvalidArgument: the output is the input, or bytes would go to a terminal.
        OutputExists: the file is there and `overwrite` is not set.
        FileAccessError: the output is a folder or its folder is missing.
    """
    from gscodec.material.outputs import default_file, refuse_inputs, taken

    if output is None:
        output = STREAM if source == STREAM or is_stream(source) else None
    if output == STREAM:
        refuse_terminal()
        return None
    kept_off = False
    if output is not None:
        path = Path(output)
    else:
        usual = usual_path(source, suffix)
        path = default_file(usual, made_of)
        kept_off = path != usual  # nobody's picture, as far as one can know
        if kept_off:
            say(f"{usual} may be the picture that {display_name(source)} was made of: the result goes to {path}")
    if is_stream(path):
        return path
    if path.is_dir():
        raise file_access_error(f"{path}: is a folder; name a file in it", errno.EISDIR, path)
    refuse_inputs([path], [name for name in (source, *inputs) if not is_url(str(name))])
    if path.exists():
        if not overwrite:
            raise taken(path, made_of or (None if kept_off else made_of), named=output is not None or kept_off)
    elif not path.parent.is_dir():
        raise file_access_error(f"{path}: its folder does not exist; make it first", errno.ENOENT, path)
    return path


def igs_source(source: str) -> str | Path | bytes:
    """What a reader of `.igs` files takes: the path or URL, or for `-` as much of stdin as its header says."""
    if source == STREAM:
        from gscodec.format.opening import drain
        from gscodec.model.limits import DEFAULT_LIMITS

        return drain(open_stdin(), "stdin", DEFAULT_LIMITS)
    return source if is_url(source) else Path(source)


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
    """How messages and results name an input; a URL without its secrets."""
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
