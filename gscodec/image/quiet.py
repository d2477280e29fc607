"""Libraries in C that print what they find wrong, beside raising it."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress

_KEPT_BYTES = 1 << 16


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Keep both streams of the process silent; what would have been printed is in the list when the context ends."""
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
