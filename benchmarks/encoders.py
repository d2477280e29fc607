"""Record of the encoders that measured committed rows, results/encoders.csv, and whether one of them is today's.

Rows name the encoder by its fingerprint, which changes with every source file. What its files look like changes less
often: then the table of guarded fits, tests/encoding/quality.csv, changes as well. So an encoder counts as today's if
that table was the same when it measured.

    python benchmarks/encoders.py

adds the encoder of this checkout to the record; `make bench` does so at its end.
"""

import csv
import hashlib
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
RECORD: Final = ROOT / "benchmarks" / "results" / "encoders.csv"
GUARD: Final = ROOT / "tests" / "encoding" / "quality.csv"
FIELDS: Final = ("fingerprint", "commit", "guard")

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+\+([0-9a-f]{8,16})\b")


def guard() -> str:
    """16 hexadecimal digits, the SHA-256 of the table of guarded fits."""
    return hashlib.sha256(GUARD.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:16]


def known() -> dict[str, dict[str, str]]:
    """The record, by fingerprint."""
    with RECORD.open(newline="", encoding="utf-8") as file:
        return {row["fingerprint"]: row for row in csv.DictReader(file)}


def fingerprints(versions: Iterable[str]) -> set[str]:
    """Fingerprints of gscodec in a column of codec versions."""
    return {match[1] for version in versions if (match := _VERSION.match(version))}


def is_current(fingerprint: str) -> bool:
    """Whether the encoder's files look as today's."""
    row = known().get(fingerprint)
    return row is not None and row["guard"] == guard()


def main() -> None:
    """Adds the encoder of this checkout, unless it is there."""
    from gscodec.encoding.fingerprint import fingerprint

    rows = known()
    described = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, encoding="utf-8", check=True
    )
    rows.setdefault(fingerprint(), {"fingerprint": fingerprint(), "commit": described.stdout.strip(), "guard": guard()})
    with RECORD.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


if __name__ == "__main__":
    main()
