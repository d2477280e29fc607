"""Levels of detail (paper, Figure 8): each level of a file beside a file of the same bytes encoded alone.

LOD l of a file is a prefix of it. A file with one level, asked for just those bytes, says what the prefix would be
worth if it did not have to be one; for LOD 0 that is the price of having levels at all.
"""

import statistics
from functools import partial
from pathlib import Path
from typing import Any, Final

import gscodec
from gscodec.container.describe import describe
from gscodec.container.reader import IgsReader
from gscodec.image.levels import to_unit
from gscodec.model.constants import DEFAULT_LODS
from gscodec_bench import plots, tables
from gscodec_bench.codecs import Igs
from gscodec_bench.measure import quality_figures, rate_figures
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task, load_all
from gscodec_bench.sources import Source
from gscodec_bench.table import Row
from gscodec_bench.write import write_text

RATES: Final = (0.5,)
OURS: Final = ("gscodec:balanced",)
QUICK: Final = ("gscodec:fast",)
FIELDS: Final = (
    "image",
    "category",
    "codec",
    "setting",
    "lod",
    "height",
    "width",
    "channels",
    "gaussians",
    "bytes",
    "bpp",
    "bppc",
    "psnr",
    "ssim",
    "ms_ssim",
    "alone_bytes",
    "alone_psnr",
    "loss_db",
)
KEY: Final = ("image", "codec", "setting", "lod")


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`. A task is a picture and a rate, and gives a row a level."""
    codecs, reasons = plan.pick(QUICK if plan.quick else OURS)
    for name, reason in reasons.items():
        notes.skip(name, reason)
    made = []
    for source, _ in load_all(plan.sources, notes):
        stamps = {"source_sha256": source.sha256()}
        for codec in codecs:
            if not isinstance(codec, Igs):
                notes.skip(codec.name, "has no levels of detail")
                continue
            for rate in plan.rates or RATES:
                keys = tuple(_key(source, codec, rate, lod) for lod in range(codec.lods or DEFAULT_LODS))
                work = partial(measure, source, codec, rate)
                label = f"{source.name} {codec.name} {rate:g}"
                made.append(Task(label, keys, stamps | {"codec_version": codec.version()}, work))
    return made


def measure(source: Source, codec: Igs, rate: float) -> list[dict[str, Any]]:
    """A row for each level of one file."""
    stack = source.load()
    options = codec.options() | {"lods": codec.lods or DEFAULT_LODS}
    data = gscodec.encode(stack, bpp=rate, **options).data
    rows = []
    with gscodec.open(data, device=codec.device, threads=codec.threads, grain=False) as image:
        for level in describe(IgsReader(data))["lods"]:
            lod, n_bytes = level["lod"], level["bytes"]
            samples = to_unit(image.render(lod=lod), stack.groups)
            alone = gscodec.encode(stack, size=n_bytes, **(options | {"lods": 1}))
            figures = quality_figures(stack, samples, ("psnr", "ssim", "ms_ssim"))
            rows.append(
                _key(source, codec, rate, lod)
                | {"category": source.category, "gaussians": level["n_gaussians"]}
                | rate_figures(stack, n_bytes)
                | figures
                | {"alone_bytes": len(alone.data), "alone_psnr": f"{alone.psnr:.3f}"}
                | {"loss_db": f"{alone.psnr - float(figures['psnr']):.3f}"}
            )
    return rows


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = (
        "Every level of a file is a prefix of it; beside it stands a file with one level encoded for the same bytes. "
        "The loss is what a prefix gives up against that; at LOD 0 it is the price of the levels."
    )
    lines = tables.front_matter(results, "Levels of detail", about)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in results.rows:
        groups.setdefault((row["codec"], row["lod"]), []).append(row)
    body = [
        [codec, lod, len(rows), _mean(rows, "psnr"), _mean(rows, "alone_psnr"), _mean(rows, "loss_db"), _worst(rows)]
        for (codec, lod), rows in groups.items()
    ]
    head = ["codec", "LOD", "files", "PSNR (dB)", "alone (dB)", "loss (dB)", "worst loss (dB)"]
    lines += ["Means over pictures and rates:", "", *tables.markdown_table(head, body), ""]
    columns = ("image", "codec", "setting", "lod", "gaussians", "bytes", "psnr", "alone_bytes", "alone_psnr", "loss_db")
    lines += [*tables.markdown_table(columns, ([row[name] for name in columns] for row in results.rows)), ""]
    return [write_text(results.stem(".md"), "\n".join(lines)), *_draw(results)]


@plots.if_possible
def _draw(results: Results) -> list[Path]:
    """A panel for each picture: levels of each file as a line, files encoded alone as points."""
    pictures = list(dict.fromkeys(row["image"] for row in results.rows))
    made, axes = plots.figure(len(pictures))
    for picture, panel in zip(pictures, axes, strict=True):
        for name, style in (("psnr", "o-"), ("alone_psnr", "s--")):
            files: dict[tuple[str, str], list[Row]] = {}
            for row in (row for row in results.rows if row["image"] == picture):
                files.setdefault((row["codec"], row["setting"]), []).append(row)
            for number, levels in enumerate(files.values()):
                rows = sorted(levels, key=lambda row: int(row["bytes"]))
                label = {"psnr": "level of a file", "alone_psnr": "file of its own"}[name] if number == 0 else None
                values = [float(row[name]) for row in rows]
                panel.plot([float(row["bpp"]) for row in rows], values, style, color=f"C{number}", label=label)
        plots.dress(panel, picture, "bpp", "PSNR (dB)", log_x=True)
        panel.legend(fontsize=7)
    return plots.save(made, results.stem("-psnr"))


def _key(source: Source, codec: Igs, rate: float, lod: int) -> dict[str, Any]:
    return {"image": source.name, "codec": codec.name, "setting": f"{rate:g}", "lod": lod}


def _mean(rows: list[Row], name: str) -> str:
    return f"{statistics.fmean(float(row[name]) for row in rows):.2f}"


def _worst(rows: list[Row]) -> str:
    return f"{max(float(row['loss_db']) for row in rows):.2f}"


SUITE: Final = Suite(
    name="lod",
    summary="levels of detail beside files of the same bytes",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
    wants=lambda source: not source.is_stack,
)
