"""New rows against committed ones: does a change lose quality or bytes?"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gscodec.errors import FileAccessError, InvalidArgument
from gscodec_bench.table import Row, number

MAX_LOSS_DB: Final = 0.1
MAX_GROWTH: Final = 0.01  # of the bytes


@dataclass(frozen=True)
class Change:
    """A row beside the one it is held to."""

    label: str
    psnr_db: float  # new less old
    bytes_share: float  # new over old, less one
    encode_ratio: float | None  # new time over old: shown, never judged

    @property
    def lost(self) -> bool:
        """Whether it lost more than is allowed."""
        # The limits themselves are allowed; a table's rounding and binary fractions must not cross them.
        return self.psnr_db < -MAX_LOSS_DB - 5e-4 or self.bytes_share > MAX_GROWTH + 1e-9

    def __str__(self) -> str:
        """One line for people."""
        time = "" if self.encode_ratio is None else f", encode time x{self.encode_ratio:.2f}"
        verdict = "LOST" if self.lost else "ok"
        return f"{verdict}: {self.label}: {self.psnr_db:+.3f} dB, bytes {100 * self.bytes_share:+.2f} %{time}"


def compare(new: Iterable[Row], committed: Path, key: Sequence[str]) -> tuple[list[Change], list[str]]:
    """Every row that is in both, and the names of committed rows that were not measured again.

    Raises:
        FileAccessError, InvalidArgument: the committed table cannot be read or has other columns.
    """
    try:
        with committed.open(newline="", encoding="utf-8") as file:
            old = list(csv.DictReader(file))
    except OSError as error:
        raise FileAccessError(f"{committed}: cannot be read: {error.strerror}") from error
    if not old or any(name not in old[0] for name in (*key, "psnr", "bytes")):
        raise InvalidArgument(f"{committed}: is not a table of results with {', '.join(key)}, psnr and bytes")
    measured = {tuple(row[name] for name in key): row for row in new}
    changes, missing = [], []
    for row in old:
        now = measured.get(tuple(row[name] for name in key))
        label = " ".join(row[name] for name in key)
        if now is None:
            missing.append(label)
        else:
            changes.append(_change(label, row, now))
    return changes, missing


def _change(label: str, old: Row, new: Row) -> Change:
    before, after = number(old, "encode_s"), number(new, "encode_s")
    return Change(
        label=label,
        psnr_db=float(new["psnr"]) - float(old["psnr"]),
        bytes_share=float(new["bytes"]) / float(old["bytes"]) - 1,
        encode_ratio=after / before if before and after else None,
    )
