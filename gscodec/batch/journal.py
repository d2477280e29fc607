"""Append-only notes of batches in a folder, shared by runs and shards that work at the same time.

The first line identifies the file; every other line is a JSON object with a `name`. Whole lines are appended under a
lock; truncated or invalid lines are skipped. When most lines are outdated, the file is rewritten with the last notes of
each name. Notes are hints and not trusted: whoever reads one verifies it.
"""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gscodec.errors import GsCodecError, file_access_error
from gscodec.io.atomic import locked, write_atomic

Note = dict[str, Any]

KEPT: Final = 8
"""Notes kept per name: concurrent runs may append notes and write files in different orders, so one is not enough."""

MAX_LINE_BYTES: Final = 1 << 20
MAX_BYTES: Final = 1 << 30

_VERSION: Final = 2


class Journal:
    """The notes in one file. Any fault of the file is reported to `warn` in one line and costs only time.

    Args:
        kind: subject of the notes; a file of another kind is not read.
        warn: called with one line of text for the user.
    """

    def __init__(self, path: Path, kind: str, warn: Callable[[str], None] = lambda _: None) -> None:
        self._path, self._warn = path, warn
        self._head = json.dumps({"gscodec": kind, "version": _VERSION}).encode() + b"\n"
        self._is_usable = True

    def read(self, *, tidy: bool = True) -> dict[str, list[Note]]:
        """The last notes of each name, up to KEPT, the newest last.

        Args:
            tidy: rewrite the file if most of its lines are outdated.
        """
        notes: dict[str, list[Note]] = {}
        n_lines, n_bad = 0, 0
        try:
            descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            return notes
        except OSError as fault:
            self._unusable(f"cannot be read: {fault.strerror}")
            return notes
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size > MAX_BYTES:
            os.close(descriptor)
            self._unusable("is not a file of notes")
            return notes
        with os.fdopen(descriptor, "rb") as file:
            head = file.readline(MAX_LINE_BYTES)
            if head != self._head:
                if head:
                    self._warn(f"{self._path}: is damaged or of another version and is not used")
                    if tidy:
                        self._replace({})
                return notes
            while line := file.readline(MAX_LINE_BYTES):
                n_lines += 1
                note = _parsed(line)
                if note is None:
                    n_bad += 1
                else:
                    _keep(notes, note)
        if n_bad:
            self._warn(f"{self._path}: {n_bad} of {n_lines} notes are damaged and skipped")
        if tidy and (n_bad or n_lines > 2 * sum(map(len, notes.values())) + 100):
            self._tidy()
        return notes

    def add(self, note: Note, *, durable: bool = False) -> None:
        """Append a note, which has a `name`.

        Args:
            durable: flushed to disk before this returns.

        Raises:
            FileAccessError: durable is set and the note cannot be written.
        """
        if not self._is_usable:
            return
        line = json.dumps(note, separators=(",", ":")).encode() + b"\n"
        try:
            with locked(self._path) as descriptor:
                size = os.fstat(descriptor).st_size
                if size == 0:
                    line = self._head + line
                else:
                    os.lseek(descriptor, -1, os.SEEK_END)
                    if os.read(descriptor, 1) != b"\n":  # last line truncated by a kill
                        line = b"\n" + line
                os.write(descriptor, line)
                if durable:
                    os.fsync(descriptor)
        except OSError as fault:
            if durable:
                fact = f"cannot store notes, without which no file may be replaced: {fault.strerror or fault}"
                raise file_access_error(f"{self._path}: {fact}; remove it", fault, self._path) from fault
            self._unusable(f"cannot be written: {fault.strerror}")

    def _tidy(self) -> None:
        """Rewrite the file with the last notes of each name, including notes that other runs added meanwhile."""
        try:
            with locked(self._path) as descriptor, open(os.dup(descriptor), "rb") as file:  # noqa: PTH123
                file.seek(len(self._head))
                notes: dict[str, list[Note]] = {}
                while line := file.readline(MAX_LINE_BYTES):
                    note = _parsed(line)
                    if note is not None:
                        _keep(notes, note)
                self._replace(notes)
        except OSError:
            return

    def _replace(self, notes: dict[str, list[Note]]) -> None:
        lines = [json.dumps(note, separators=(",", ":")).encode() + b"\n" for of in notes.values() for note in of]
        try:
            write_atomic(self._path, b"".join([self._head, *lines]), overwrite=True)
        except GsCodecError as fault:
            self._unusable(" ".join(str(fault).split()))

    def _unusable(self, fact: str) -> None:
        if self._is_usable:
            self._warn(f"{self._path}: {fact}; nothing is remembered from run to run")
        self._is_usable = False


def _keep(notes: dict[str, list[Note]], note: Note) -> None:
    of = notes.setdefault(note["name"], [])
    of.append(note)
    del of[:-KEPT]


def _parsed(line: bytes) -> Note | None:
    """The note in a line, or None if the line is not a valid note."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("name"), str) else None
