"""What records of 32 to 64 bits lose, and the bits at which profile `coded` loses as much, at the same Gaussians.

    python benchmarks/packed.py PICTURE... [--gaussians 1843] [--output benchmarks/results/packed]

Each picture is fitted once, with preset `balanced`. The same fit is then fine-tuned for records of each length, and on
coded lattices for budgets around; PSNR is that of the decoded file at 8 bits, and bits are those of the whole file.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from gscodec_bench.machine import machine

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.decoding.image import open_igs
from gscodec.fit.loop import Fit, fit
from gscodec.fit.packed import fine_tune_packed
from gscodec.fit.presets import get_preset
from gscodec.fit.qat import fine_tune
from gscodec.fit.qat_task import QatTask
from gscodec.image.levels import to_unit
from gscodec.image.load import load_image
from gscodec.metrics import psnr
from gscodec.model.gaussians import GaussianSet, Grid
from gscodec.profiles.lattice import Lattice
from gscodec.render.engines import cpu_backend

FIELDS = ("image", "profile", "record_bits", "file_bits", "loss_db")
RECORD_BYTES = (4, 5, 6, 7, 8)
CODED_BITS = (30, 34, 38, 42, 46, 50, 56, 62)
PAGE_SIZES = {"packed": 64, "coded": 512}

Row = dict[str, str]


class Fitted:
    """A fit of a picture, and what becomes of it in files."""

    def __init__(self, path: Path, n_gaussians: int) -> None:
        image = load_image(str(path))
        samples = image.samples
        self.name, self.samples, self.groups = path.stem, samples, image.groups
        self.preset = get_preset("balanced")
        height, width, _ = samples.shape
        background = samples.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        self.grid = Grid(height, width, background, self.preset.top_k, self.preset.support_q)
        self.engine = cpu_backend(None)
        self.fit: Fit = fit(samples, n_gaussians, self.preset, rasterizer=self.engine, grid=self.grid, lods=5, seed=0)
        self.task = QatTask(samples, self.grid, self.groups, self.preset, self.fit.lods, self.engine, 0)

    def row(self, profile: str, contents: Contents, record_bits: int | None = None) -> Row:
        """What a file has, beside the float fit."""
        data = pack(contents)
        with open_igs(data, device="cpu") as image:
            lost = self.fit.psnr - psnr(to_unit(image.render(), self.groups), self.samples)
        bits = 8 * len(data) / len(self.fit.gaussians)
        values = (self.name, profile, record_bits or "", f"{bits:.2f}", f"{lost:.3f}")
        print(*values, flush=True)
        return dict(zip(FIELDS, map(str, values), strict=True))

    def packed(self, record_bytes: int) -> Row:
        """Fine-tuned for records of record_bytes bytes."""
        steps, page_size = self.preset.qat_steps, PAGE_SIZES["packed"]
        made = fine_tune_packed(self.task, self.fit.gaussians, steps, page_size=page_size, record_bytes=record_bytes)
        contents = Contents(
            self.grid, self.groups, self.fit.lods, made.gaussians, page_size=page_size, lattice=made.lattice
        )
        return self.row("packed", contents, 8 * record_bytes)

    def coded(self, bits: float) -> Row:
        """Fine-tuned for a file of at most `bits` bits per Gaussian."""
        page_size, lods = PAGE_SIZES["coded"], self.fit.lods

        def contents(gaussians: GaussianSet, lattice: Lattice) -> Contents:
            shown = lods.ending_at(len(gaussians))
            return Contents(self.grid, self.groups, shown, gaussians, page_size=page_size, lattice=lattice)

        made = fine_tune(
            self.task,
            self.fit.gaussians,
            self.preset.qat_steps,
            size_of=lambda gaussians, lattice: len(pack(contents(gaussians, lattice))),
            budget=int(bits * len(self.fit.gaussians) / 8),
        )
        return self.row("coded", contents(made.gaussians, made.lattice))


def report(rows: list[Row], n_gaussians: int, command: str) -> str:
    """The table."""
    lines = [
        "# Records of a given length",
        "",
        f"{n_gaussians} Gaussians, five levels of detail. Loss is that of the decoded file against the fit. Bits are",
        "those of whole files; the last column is what a Gaussian takes in profile `coded` where that loses as much.",
        "",
        f"`{command}`, {machine()}",
        "",
        "| image | record, bits | file, bits a Gaussian | loss, dB | coded at that loss, bits |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["image"] for row in rows):
        curve = sorted(
            (float(row["loss_db"]), float(row["file_bits"]))
            for row in rows
            if row["image"] == name and row["profile"] == "coded"
        )
        losses, bits = (np.array(column) for column in zip(*curve, strict=True))
        for row in rows:
            if row["image"] == name and row["profile"] == "packed":
                loss = float(row["loss_db"])
                near = np.interp(np.log(max(loss, 1e-3)), np.log(np.maximum(losses, 1e-3)), bits)
                beyond = "below " if loss > losses[-1] else "above " if loss < losses[0] else ""
                cells = (
                    name,
                    row["record_bits"],
                    f"{float(row['file_bits']):.1f}",
                    f"{loss:.2f}",
                    f"{beyond}{near:.1f}",
                )
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the rows and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--gaussians", type=int, default=1843)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/packed"))
    asked = parser.parse_args()
    rows: list[Row] = []
    for path in asked.pictures:
        fitted = Fitted(path, asked.gaussians)
        rows += [fitted.packed(n) for n in RECORD_BYTES]
        rows += [fitted.coded(bits) for bits in CODED_BITS]
    with asked.output.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, FIELDS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    names = " ".join(path.name for path in asked.pictures)
    text = report(rows, asked.gaussians, f"python benchmarks/packed.py {names} --gaussians {asked.gaussians}")
    asked.output.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
