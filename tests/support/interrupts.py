"""A program on a terminal, interrupted once it has shown a text; with a deadline for everything that is waited for."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Final

DEADLINE_SECONDS: Final = 120.0
"""After it, what is waited for does not come."""

_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
_COLUMNS: Final = "200"


class OnTerminal:
    """A running program whose stderr is a terminal and whose stdout is a pipe."""

    def __init__(self, process: "subprocess.Popen[bytes]", terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self._bytes = b""
        self._deadline = time.monotonic() + DEADLINE_SECONDS

    @property
    def shown(self) -> str:
        """What the terminal got, without control sequences."""
        return _CONTROL.sub("", self._bytes.decode(errors="replace"))

    def until(self, text: str) -> None:
        """Wait until the terminal got a text that is not among what earlier calls waited for."""
        seen = len(self.shown)
        while text not in self.shown[seen:]:
            assert self._read(), f"ended without {text!r}: {self.shown}"

    def interrupt(self) -> tuple[int, bytes, str]:
        """Send SIGINT, wait for the end, and return the exit status, stdout and what the terminal got."""
        self._process.send_signal(signal.SIGINT)
        while self._read():
            pass
        output, _ = self._process.communicate(timeout=DEADLINE_SECONDS)
        return self._process.returncode, output, self.shown

    def _read(self) -> bool:
        """Read what there is; False at the end, which Linux reports as an error."""
        ready, _, _ = select.select([self._terminal], [], [], max(self._deadline - time.monotonic(), 0.0))
        assert ready, f"nothing new within {DEADLINE_SECONDS} s: {self.shown}"
        try:
            part = os.read(self._terminal, 4096)
        except OSError:
            return False
        self._bytes += part
        return bool(part)


@contextlib.contextmanager
def on_terminal(command: Sequence[str]) -> Iterator[OnTerminal]:
    """Start a program that can be interrupted even where SIGINT is ignored, as in a background job."""
    controller, terminal = pty.openpty()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=terminal, env={**os.environ, "COLUMNS": _COLUMNS}
        )
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(terminal)
    try:
        yield OnTerminal(process, controller)
    finally:
        process.kill()
        process.communicate()
        os.close(controller)
