"""Puts the committed rate-distortion table into README.md, between its two markers: the last step of `make bench`."""

import csv
import re
from pathlib import Path

from gscodec.bench.codecs import PICTURE_RIVALS
from gscodec.bench.tables import leads

ROOT = Path(__file__).parents[1]
OURS = "gscodec:balanced"
BEGIN, END = "<!-- from benchmarks/results/samples/rd.csv -->\n", "<!-- end -->\n"


def main() -> None:
    with (ROOT / "benchmarks/results/samples/rd.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["codec"] in {OURS, *PICTURE_RIVALS}]
    table = "".join(f"{line}\n" for line in leads(rows, "psnr", "bpp") if line.startswith("|"))
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    pattern = f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})"
    readme.write_text(re.sub(pattern, lambda _: table, text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
