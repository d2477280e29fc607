"""Presets beside the paper's recipe at the same number of Gaussians, 16-bit records and all.

    python benchmarks/equal_count.py FOLDER [--presets fast,balanced,best] [--output benchmarks/results/equal_count]

Counts are those of 0.2 and 0.5 bpp at 128 bits a Gaussian, on the pictures below FOLDER that the table names. Rows that
are there are kept, so that it goes on where it was stopped; delete those of a preset to measure it again.
"""

import argparse
import csv
import statistics
import time
from pathlib import Path

import numpy as np
from gscodec_bench.machine import machine

import gscodec
from gscodec.image.levels import to_unit
from gscodec.image.load import load_image
from gscodec.metrics import ms_ssim, psnr, ssim

FIELDS = ("image", "preset", "bpp", "gaussians", "bytes", "psnr", "ssim", "ms_ssim", "cpu_seconds")
NAMES = (
    *(f"kodim{number}" for number in ("01", "04", "08", "13", "15", "23")),
    *("px_mountain-dusk", "mu_starry-night_d", "gvn_street"),
)
RATES = (0.2, 0.5)

Row = dict[str, str]


def measured(path: Path, preset: str, bpp: float, count: int | None) -> Row:
    """A row; count None is what the rate buys."""
    started = time.process_time()
    target: dict[str, float | int] = {"bpp": bpp} if count is None else {"gaussians": count}
    result = gscodec.encode(str(path), preset=preset, profile="f16", device="cpu", **target)  # type: ignore[arg-type]  # one of them
    cpu_seconds = time.process_time() - started
    source = load_image(str(path))
    with gscodec.open(result.data, device="cpu") as image:
        decoded = to_unit(image.render(), source.groups)
    values = (
        path.stem,
        preset,
        bpp,
        result.n_gaussians,
        len(result.data),
        f"{psnr(decoded, source.samples):.3f}",
        f"{ssim(decoded, source.samples):.5f}",
        f"{ms_ssim(decoded, source.samples):.5f}",
        f"{cpu_seconds:.1f}",
    )
    return dict(zip(FIELDS, map(str, values), strict=True))


def report(rows: list[Row], presets: list[str]) -> str:
    """The tables."""
    of = {(row["image"], row["preset"], float(row["bpp"])): row for row in rows}
    lines = [
        "# Presets at the same number of Gaussians",
        "",
        f"{machine()}, shared with other work: CPU seconds of two threads.",
        "Made by `python benchmarks/equal_count.py FOLDER`.",
        "Records of 16 bits for all; `paper` has one level of detail, the others five.",
        "",
        "| count of | preset | pictures | PSNR | over `paper`, mean | least | SSIM | MS-SSIM | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for bpp in RATES:
        for preset in presets:
            found = [
                (of[n, preset, bpp], of[n, "paper", bpp])
                for n in NAMES
                if (n, preset, bpp) in of and (n, "paper", bpp) in of
            ]
            if not found:
                continue
            gains = [float(ours["psnr"]) - float(paper["psnr"]) for ours, paper in found]
            means = [
                statistics.mean(float(ours[key]) for ours, _ in found)
                for key in ("psnr", "ssim", "ms_ssim", "cpu_seconds")
            ]
            lines.append(
                f"| {bpp} bpp | `{preset}` | {len(found)} | {means[0]:.2f} | {np.mean(gains):+.2f} | "
                f"{min(gains):+.2f} | "
                f"{means[1]:.3f} | {means[2]:.4f} | {means[3]:.0f} |"
            )
    lines += [
        "",
        "PSNR, dB, of each picture:",
        "",
        f"| picture | count | {' | '.join(presets)} |",
        f"|---|---|{'---|' * len(presets)}",
    ]
    for name in NAMES:
        for bpp in RATES:
            if (name, "paper", bpp) in of:
                cells = [of[name, preset, bpp]["psnr"] if (name, preset, bpp) in of else "-" for preset in presets]
                lines.append(f"| {name} | {of[name, 'paper', bpp]['gaussians']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--presets", default="paper,fast,balanced,best")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results/equal_count")
    given = parser.parse_args()
    table = given.output.with_suffix(".csv")
    rows: list[Row] = []
    if table.exists():
        with table.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    presets = ["paper", *(name for name in given.presets.split(",") if name != "paper")]
    paths = {path.stem: path for path in given.folder.rglob("*.png")}
    for preset in presets:
        for name in NAMES:
            for bpp in RATES:
                known = {(row["image"], row["preset"], float(row["bpp"])): row for row in rows}
                if (name, preset, bpp) in known or name not in paths:
                    continue
                count = None if preset == "paper" else int(known[name, "paper", bpp]["gaussians"])
                rows.append(measured(paths[name], preset, bpp, count))
                with table.open("w", newline="", encoding="utf-8") as stream:
                    writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
                print(rows[-1], flush=True)
    given.output.with_suffix(".md").write_text(report(rows, presets), encoding="utf-8")


if __name__ == "__main__":
    main()
