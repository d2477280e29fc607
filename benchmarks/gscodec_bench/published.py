"""Figures that others publish, for lines beside what is measured here.

`published/cool_chic_kodak.csv`: the 24 pictures of Kodak in Cool-chic 5.0 at its five rates, PSNR over RGB: the file
`results/v5.0/image-kodak.tsv` of github.com/Orange-OpenSource/Cool-Chic (BSD-3). A codec of overfitted neural networks,
and the highest PSNR per byte that we know of; it publishes no other metric per picture.
"""

import csv
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from gscodec_bench.table import Row

COOL_CHIC: Final = "Cool-chic 5.0 (published)"


def published_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows of published points for the pictures of Kodak's among `rows`, recognised by file name and size."""
    seen = {row["image"]: row for row in rows}
    return [
        {"image": image, "category": row["category"], "codec": COOL_CHIC, "setting": "", "bpp": bpp, "psnr": quality}
        for image, row in seen.items()
        if {row["width"], row["height"]} == {"768", "512"}
        for bpp, quality in _cool_chic().get(PurePosixPath(image).name, ())
    ]


@cache
def _cool_chic() -> dict[str, list[tuple[str, str]]]:
    text = (files("gscodec_bench") / "published" / "cool_chic_kodak.csv").read_text(encoding="utf-8")
    points: dict[str, list[tuple[str, str]]] = {}
    for row in csv.DictReader(text.splitlines()):
        points.setdefault(row["image"], []).append((row["bpp"], row["psnr"]))
    return points
