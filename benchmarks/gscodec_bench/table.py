"""A CSV table that a long run fills row by row, and goes on with after it was stopped."""

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gscodec.errors import InvalidArgument
from gscodec.io.atomic import write_atomic

Row = dict[str, str]

STAMPS = ("source_sha256", "codec_version")
"""What a row was measured from. A row whose stamps differ from today's is measured again."""


class ResultTable:
    """Rows by key in a CSV file. Every row is on disk as soon as it is added.

    Args:
        path: the file; what is in it is read.
        fields: columns, key and stamps among them.
        key: columns that tell one row from another.

    A file of an earlier version may lack columns; they are added, empty.

    Raises:
        InvalidArgument: the file has other columns.
    """

    def __init__(self, path: Path, fields: Sequence[str], key: Sequence[str]) -> None:
        self.path = path
        self.fields = tuple(fields)
        self.key = tuple(key)
        self._rows: dict[tuple[str, ...], Row] = {}
        if path.exists():
            self._read(path.read_text(encoding="utf-8"))

    @property
    def rows(self) -> list[Row]:
        """All rows, sorted by key as a person would: 2 before 10."""
        return [self._rows[key] for key in sorted(self._rows, key=_natural)]

    def knows(self, key: Mapping[str, object], stamps: Mapping[str, str], any_version: bool = False) -> bool:
        """Whether there is a row with this key, measured from the same source and version.

        Args:
            any_version: take a row of another version of its codec for good, if the source is the same.
        """
        row = self._rows.get(self._key_of(key))
        names = STAMPS[:1] if any_version else STAMPS
        return row is not None and all(row[name] == stamps[name] for name in names)

    def add(self, row: Mapping[str, object]) -> None:
        """Append a row; one with the same key is forgotten."""
        text = {name: as_text(row.get(name)) for name in self.fields}
        fresh = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write((self._line(self.fields) if fresh else "") + self._line(text.values()))
            file.flush()
            os.fsync(file.fileno())
        self._rows[self._key_of(text)] = text

    def tidy(self) -> None:
        """Rewrite the file, sorted and without forgotten rows, so that two runs of the same give the same file."""
        if self._rows:
            lines = self._line(self.fields) + "".join(self._line(row.values()) for row in self.rows)
            write_atomic(self.path, lines.encode(), overwrite=True)

    def _key_of(self, row: Mapping[str, object]) -> tuple[str, ...]:
        return tuple(as_text(row[name]) for name in self.key)

    def _read(self, text: str) -> None:
        complete = text[: text.rfind("\n") + 1]  # a killed run can leave half a line
        reader = csv.DictReader(io.StringIO(complete, newline=""))
        found = tuple(reader.fieldnames or self.fields)
        if [name for name in self.fields if name in found] != list(found) or not {*self.key, *STAMPS} <= set(found):
            raise InvalidArgument(f"{self.path}: has other columns than this version writes; name another folder")
        for row in reader:
            if None not in row and None not in row.values():
                self._rows[self._key_of(row)] = {name: row.get(name, "") for name in self.fields}
        if found != self.fields:
            lines = self._line(self.fields) + "".join(self._line(row.values()) for row in self._rows.values())
            write_atomic(self.path, lines.encode(), overwrite=True)
        elif complete != text:
            write_atomic(self.path, complete.encode(), overwrite=True)

    def _line(self, values: Iterable[str]) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(values)
        return out.getvalue()


def as_text(value: Any) -> str:
    """A cell: nothing for None, floats with the digits they are worth."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def number(row: Mapping[str, str], name: str) -> float | None:
    """A cell as a number; None where it is empty."""
    return float(row[name]) if row.get(name) else None


def _natural(key: Sequence[str]) -> list[Any]:
    return [
        [(0, float(part), "") if re.fullmatch(r"\d+(\.\d+)?", part) else (1, 0.0, part) for part in _PARTS.split(text)]
        for text in key
    ]


_PARTS = re.compile(r"(\d+(?:\.\d+)?)")
