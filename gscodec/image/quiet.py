"""Suppresses messages that C libraries print in addition to their errors."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress

_KEPT_BYTES = 1 << 16


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Context that silences both standard streams of the process; suppressed messages are in the list at its end."""
    kept: list[tuple[int, int]] = []
    messages: list[str] = []
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), tempfile.TemporaryFile() as words:
        try:
            for stream in (1, 2):
                with suppress(OSError):  # no such stream
                    kept.append((os.dup(stream), stream))
                    os.dup2(words.fileno(), stream)
            yield messages
        finally:
            for copy, stream in kept:
                os.dup2(copy, stream)
                os.close(copy)
            words.seek(0)
            messages.append(words.read(_KEPT_BYTES).decode(errors="replace"))
