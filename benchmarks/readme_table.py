"""Puts the committed rate-distortion tables into the documents, between their markers: last step of `make bench`."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gscodec_bench.codecs import PICTURE_RIVALS
from gscodec_bench.suites.visual import summary
from gscodec_bench.tables import leads

Row = dict[str, str]

ROOT: Final = Path(__file__).parents[1]


def by_psnr(rows: Sequence[Row]) -> list[str]:
    """Differences of PSNR to the rivals at the bytes of our files."""
    ours = "gscodec:balanced"
    table = leads([row for row in rows if row["codec"] in {ours, *PICTURE_RIVALS}], "psnr", "bpp")
    return [line for line in table if line.startswith("|")]


def by_eye(rows: Sequence[Row]) -> list[str]:
    """Differences to AVIF, within the same bytes, before judges of what a person sees, at three of the rates."""
    few = [row for row in rows if row["rate"] in {"0.1", "0.2", "0.5"}]
    return summary(few, "gscodec:balanced", "avif", ["ssimulacra2", "butteraugli3", "psnr"])


TABLES: Final[Sequence[tuple[str, str, Callable[[Sequence[Row]], list[str]]]]] = (
    ("visual/visual.csv", "README.md", by_eye),
    ("pictures/rd.csv", "docs/figures.md", by_psnr),
    ("samples/rd.csv", "docs/figures.md", by_psnr),
)
"""Results, the documents that show them, and what is shown."""


def main() -> None:
    """Writes the tables between the marks that name their results."""
    for results, document, table_of in TABLES:
        path = f"benchmarks/results/{results}"
        with (ROOT / path).open(newline="", encoding="utf-8") as file:
            table = "".join(f"{line}\n" for line in table_of(list(csv.DictReader(file))))
        text = (ROOT / document).read_text(encoding="utf-8")
        before, begin, rest = text.partition(f"<!-- from {path} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        if not begin or not end:
            raise SystemExit(f"{document}: has no place for {path}")
        (ROOT / document).write_text(before + begin + table + end + after, encoding="utf-8")


if __name__ == "__main__":
    main()
