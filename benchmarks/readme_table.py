"""Puts the committed rate-distortion tables into the documents, between their markers: last step of `make bench`."""

import csv
from pathlib import Path

from gscodec_bench.codecs import PICTURE_RIVALS
from gscodec_bench.tables import leads

ROOT = Path(__file__).parents[1]
OURS = "gscodec:balanced"
TABLES = {"pictures": "README.md", "samples": "docs/figures.md"}
"""Documents, by the results whose table they show."""


def main() -> None:
    for name, document in TABLES.items():
        path = f"benchmarks/results/{name}/rd.csv"
        with (ROOT / path).open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["codec"] in {OURS, *PICTURE_RIVALS}]
        table = "".join(f"{line}\n" for line in leads(rows, "psnr", "bpp") if line.startswith("|"))
        text = (ROOT / document).read_text(encoding="utf-8")
        before, begin, rest = text.partition(f"<!-- from {path} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        if not begin or not end:
            raise SystemExit(f"{document}: has no place for {path}")
        (ROOT / document).write_text(before + begin + table + end + after, encoding="utf-8")


if __name__ == "__main__":
    main()
