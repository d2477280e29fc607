"""Input and output paths of commands."""

from collections.abc import Iterable
from pathlib import Path

from gscodec.cli._console import STREAM, refuse_terminal, say
from gscodec.io.streams import open_stdin
from gscodec.material import outputs


def output_path(
    source: str, output: str | None, suffix: str, overwrite: bool, *, inputs: Iterable[str | Path] = ()
) -> Path | None:
    """Path of the result, as `material.outputs.output_path`; None means stdout, which must not be a terminal.

    Raises:
        InvalidArgument: binary data would be written to a terminal.
        GsCodecError: as `material.outputs.output_path`.
    """
    path = outputs.output_path(source, output, suffix, overwrite, inputs=inputs, note=say)
    if path is None:
        refuse_terminal()
    return path


def igs_source(source: str) -> str | Path | bytes:
    """Argument for the readers of `.igs` files: path or URL, or for `-` the bytes of stdin up to the file's length."""
    if source == STREAM:
        from gscodec.format.opening import drain
        from gscodec.model.limits import DEFAULT_LIMITS

        return drain(open_stdin(), "stdin", DEFAULT_LIMITS)
    return source if outputs.is_url(source) else Path(source)
