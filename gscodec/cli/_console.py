"""Output streams of the program: results on stdout, everything else on stderr.

Text for people goes through `emit` and `say`, which escape control characters (`gscodec.io.text`): names, metadata and
exceptions of libraries may contain terminal escape sequences. Characters that the stream's encoding lacks are escaped.
A stdout that cannot be written is an I/O error in one line; a stderr that cannot be written is ignored.

rich takes longer to load than a small decode, so it is imported only for a progress bar on a terminal.
"""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import typer

from gscodec.errors import file_access_error
from gscodec.io.streams import write_stdout

if TYPE_CHECKING:
    from gscodec.encoding.api import Progress

STREAM = "-"
"""The path that means stdin or stdout."""

_LONGEST_LINE: Final = 8192
"""Maximum number of characters of a line on stderr; a path may take half of it."""


def emit(line: str) -> None:
    """Write one result line to stdout.

    Raises:
        FileAccessError: stdout is closed or full, or its reader has exited.
    """
    _write_text(shown(line) + "\n")


def emit_json(value: Any) -> None:
    """Write a result to stdout as JSON: indented, keys in the order given, no NaN or infinity.

    Raises:
        FileAccessError: as `emit`.
    """
    from gscodec.io.text import json_text

    _write_text(json_text(value, indent=2, encoding=getattr(sys.stdout, "encoding", None) or "ascii") + "\n")


def compact_json(value: Any) -> str:
    """A JSON value in one line; a string without quotes."""
    from gscodec.io.text import json_text

    return value if isinstance(value, str) else json_text(value)


def emit_file(text: str) -> None:
    """Write a generated text file to stdout, as UTF-8 and without escapes, for programs.

    Raises:
        FileAccessError: as `emit`.
    """
    write_stdout([text.encode("utf-8", "surrogateescape")])


def emit_bytes(data: bytes) -> None:
    """Write binary data to stdout.

    Raises:
        InvalidArgument: stdout is a terminal.
        FileAccessError: as `emit`.
    """
    refuse_terminal()
    write_stdout([data])


def refuse_terminal() -> None:
    """Check that stdout can take binary data.

    Raises:
        InvalidArgument: stdout is a terminal.
        FileAccessError: stdout is closed.
    """
    from gscodec.errors import InvalidArgument

    if isinstance(getattr(getattr(sys.stdout, "buffer", None), "raw", None), _Closed):
        raise file_access_error("stdout: is closed: name an output file")
    if sys.stdout is not None and sys.stdout.isatty():
        raise InvalidArgument("stdout is a terminal: redirect it to a file or a pipe, or name an output file")


def say(line: str) -> None:
    """Write one line to stderr, truncated if quoted text makes it too long.

    A stderr that is closed or full is ignored.
    """
    if len(line) > _LONGEST_LINE:
        line = f"{line[:_LONGEST_LINE]} ... ({len(line) - _LONGEST_LINE} more characters)"
    _SafeStderr().write(shown(line) + "\n")


def say_error(text: str) -> None:
    """Write an error message to stderr, in one line."""
    say(f"gscodec: error: {text}")


def say_lines(lines: Iterable[str]) -> None:
    """Write lines to stderr; line feeds inside a line are escaped."""
    for line in lines:
        say(line)


def shown(text: str) -> str:
    """`gscodec.io.text.shown`, without importing it for plain text."""
    if text.isascii() and text.isprintable():
        return text
    from gscodec.io.text import shown as show

    return show(text)


def debugging() -> bool:
    """Whether GSCODEC_DEBUG=1 requests tracebacks."""
    return os.environ.get("GSCODEC_DEBUG", "") not in ("", "0")


def stderr_is_terminal() -> bool:
    """Whether a progress bar would be visible."""
    return _SafeStderr().isatty()


def rich_console() -> Any:
    """A rich console on stderr that ignores write errors, as `say` does."""
    from rich.console import Console

    return Console(file=cast(TextIO, _SafeStderr()))


def flush_stdout() -> None:
    """Flush stdout.

    Raises:
        FileAccessError: as `emit`.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as fault:
        raise _stdout_error(fault) from fault


@contextmanager
def standard_streams() -> Iterator[None]:
    """Context of the program: opens closed standard descriptors, and drops output that cannot be flushed at the end.

    If one of the descriptors 0 to 2 is closed, the next file opened would get its number and receive whatever is
    printed. A closed stdout is replaced by one whose writes fail.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    stdout, stderr = sys.stdout, sys.stderr
    policy = getattr(stdout, "errors", None)
    _set_errors(stdout, "backslashreplace")  # for what typer and rich write themselves
    if stdout is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Closed()), write_through=True)
    try:
        yield
    finally:
        if stdout is None:
            with suppress(OSError, ValueError):
                sys.stdout.close()
        _set_errors(stdout, policy)
        sys.stdout, sys.stderr = stdout, stderr  # typer wraps them after a broken pipe
        for stream in (stdout, stderr):
            try:
                if stream is not None:
                    stream.flush()
            except (OSError, ValueError):
                _hush(stream)


def _set_errors(stream: TextIO | None, policy: str | None) -> None:
    with suppress(AttributeError, ValueError, OSError):  # no stream, another kind of stream, or a full one
        stream.reconfigure(errors=policy)  # type: ignore[union-attr]


def _write_text(text: str) -> None:
    try:
        _write_encoded(sys.stdout, text)
    except (OSError, ValueError) as fault:
        raise _stdout_error(fault) from fault


def _write_encoded(stream: TextIO, text: str) -> None:
    """Write text, with escapes for characters that the stream's encoding lacks."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _stdout_error(fault: Exception) -> Exception:
    # without its errno: typer handles EPIPE itself
    return file_access_error(f"stdout: cannot be written: {getattr(fault, 'strerror', None) or fault}")


def _hush(stream: TextIO) -> None:
    """Redirect a stream to /dev/null, so that the interpreter's last flush does not fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, stream.fileno())
    except (OSError, ValueError):
        pass  # not a real file, so nothing can fail at exit
    finally:
        os.close(null)


class _Closed(io.RawIOBase):
    """A stream whose writes fail."""

    def writable(self) -> bool:
        return True

    def write(self, _data: object) -> int:
        raise OSError(errno.EBADF, "is closed")


class _SafeStderr:
    """Stderr with write errors suppressed; has the methods that rich needs, which puts a proxy in its place."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                _write_encoded(self._stream, text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            self._stream.flush()

    def isatty(self) -> bool:
        with suppress(ValueError, OSError):
            return self._stream is not None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        return self._stream.fileno()


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator["Callable[[Progress], None] | None"]:
    """A callback that draws the encoder's progress on stderr, or None if it would not be visible.

    Args:
        label: name of the item, shown at the left.
        quiet: draw nothing even on a terminal.
    """
    if quiet or not stderr_is_terminal():
        yield None
        return
    from rich import progress
    from rich.markup import escape

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=None),
        progress.TextColumn("{task.fields[figures]}"),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[left]}"),
    )
    with progress.Progress(*columns, console=rich_console(), transient=True, refresh_per_second=4) as bar:
        task = bar.add_task(escape(shown(label)), total=1, figures="reading", left="")

        def show(now: "Progress") -> None:
            of_blocks = f"block {now.block}/{now.n_blocks}  " if now.n_blocks > 1 else ""
            steps = f"{now.phase} {now.step}/{now.total_steps}" if now.total_steps else now.phase
            bar.update(
                task,
                completed=now.fraction,
                figures=f"{of_blocks}{steps}  {now.n_gaussians} Gaussians  {now.psnr:.2f} dB  {now.bpp:.3f} bpp",
                left=f"{duration(now.seconds_left)} left",
            )

        yield show


def duration(seconds: float) -> str:
    """A duration as text: `42 s`, `3 min 05 s`, `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole // 60 % 60:02d} min"


def fail(code: int, text: str) -> typer.Exit:
    """Exception that ends the process with an exit code after one line on stderr."""
    say_error(text)
    return typer.Exit(int(code))
