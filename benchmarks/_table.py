"""A CSV table that a long benchmark fills row by row and can go on with after a stop."""

import csv
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


class ResumableTable:
    """Rows appended to a CSV file as they are measured; rows whose key is there already are known and not redone."""

    def __init__(self, path: Path, fields: Sequence[str], key: Sequence[str]) -> None:
        self.path = path
        self.fields = tuple(fields)
        self.key = tuple(key)
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                if tuple(reader.fieldnames or ()) != self.fields:
                    raise SystemExit(f"{path}: has other columns; name another file")
                self.rows = list(reader)
        self._known = {tuple(row[name] for name in self.key) for row in self.rows}

    def knows(self, **key: object) -> bool:
        """Whether a row with this key was measured before."""
        return tuple(str(key[name]) for name in self.key) in self._known

    def add(self, row: Mapping[str, object]) -> None:
        """Append a row to the file at once, so that a stop loses only the measurement under way."""
        text = {name: str(row[name]) for name in self.fields}
        fresh = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.fields, lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerow(text)
        self.rows.append(text)
        self._known.add(tuple(text[name] for name in self.key))
        print(" ".join(f"{name}={value}" for name, value in text.items()), flush=True)

    def write_markdown(self, path: Path, title: str) -> None:
        """The whole table as Markdown, after a line that names the machine."""
        lines = [f"# {title}", "", machine(), "", *markdown_rows(self.fields, self.rows), ""]
        path.write_text("\n".join(lines), encoding="utf-8")


def markdown_rows(fields: Sequence[str], rows: Iterable[Mapping[str, str]]) -> list[str]:
    """Lines of a Markdown table."""
    body = ["| " + " | ".join(row[name] for name in fields) + " |" for row in rows]
    return ["| " + " | ".join(fields) + " |", "|" + "---|" * len(fields), *body]


def machine() -> str:
    """Processor and cores in one line, for figures to be read beside."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"
