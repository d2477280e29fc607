"""The two streams of the program: results on stdout, everything else on stderr.

Nothing here is imported for its looks: rich costs more to load than a small decode takes, so only a progress bar on a
real terminal brings it in.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from gscodec.errors import file_access_error

if TYPE_CHECKING:
    from gscodec.encoder import Progress

STREAM = "-"
"""The path that means stdin or stdout."""


def emit(text: str) -> None:
    """Write one result line, or several, to stdout."""
    sys.stdout.write(text + "\n")


def emit_json(value: Any) -> None:
    """Write a result to stdout as JSON: indented, keys in the order given, no NaN or infinity."""
    import json

    emit(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def compact_json(value: Any) -> str:
    """A JSON value in one line; a string as it is."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def emit_bytes(data: bytes) -> None:
    """Write a file to stdout.

    Raises:
        InvalidArgument: stdout is a terminal, which bytes would garble.
    """
    refuse_terminal()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def refuse_terminal() -> None:
    """Check that stdout takes bytes.

    Raises:
        InvalidArgument: stdout is a terminal.
    """
    from gscodec.errors import InvalidArgument

    if sys.stdout.isatty():
        raise InvalidArgument("stdout is a terminal: redirect it to a file or a pipe, or name an output file")


def read_stdin() -> bytes:
    """Everything on stdin."""
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise file_access_error(f"stdin: {error.strerror}", error) from error


def say(text: str) -> None:
    """Write a line of talk to stderr."""
    sys.stderr.write(text + "\n")


def say_error(text: str) -> None:
    """Write the one line an error gets to stderr."""
    say(f"gscodec: error: {text}")


def debugging() -> bool:
    """Whether tracebacks were asked for with GSCODEC_DEBUG=1."""
    return os.environ.get("GSCODEC_DEBUG", "") not in ("", "0")


def hush_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush into a closed pipe does not complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # stdout is not a real file: nothing will be flushed into a pipe
    finally:
        os.close(null)


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator["Callable[[Progress], None] | None"]:
    """A callback that draws the encoder's progress on stderr, or None where nobody would see it.

    Args:
        label: what is being encoded, shown at the left.
        quiet: draw nothing even on a terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress
    from rich.console import Console
    from rich.markup import escape

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=None),
        progress.TextColumn("{task.completed:.0f}/{task.total:.0f} steps  {task.fields[figures]}"),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[left]}"),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as bar:
        task = bar.add_task(escape(label), total=1, figures="", left="")

        def show(now: "Progress") -> None:
            of_blocks = f"block {now.block}/{now.n_blocks}  " if now.n_blocks > 1 else ""
            bar.update(
                task,
                completed=now.step,
                total=max(now.total_steps, 1),
                figures=f"{of_blocks}{now.n_gaussians} Gaussians  {now.psnr:.2f} dB  {now.bpp:.3f} bpp",
                left=f"{duration(now.seconds_left)} left",
            )

        yield show


def duration(seconds: float) -> str:
    """Seconds as a person says them: `42 s`, `3 min 05 s`."""
    whole = max(0, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def fail(code: int, text: str) -> typer.Exit:
    """The exception that ends the process with a code after one line on stderr."""
    say_error(text)
    return typer.Exit(int(code))
