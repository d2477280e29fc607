"""What a file shows while it arrives: quality over the share of its bytes that are there, beside progressive rivals.

All files of a picture have about the same size. A codec that shows nothing yet shows the mean colour of the picture.
"""

import statistics
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import gscodec
from gscodec.image.levels import to_unit
from gscodec.image.stack import ImageStack
from gscodec_bench import plots, tables
from gscodec_bench.budget import Search, budget_bytes, can_search
from gscodec_bench.codecs import Codec, Igs
from gscodec_bench.codecs.base import channels_of
from gscodec_bench.measure import quality_figures, rate_figures
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task, load_all
from gscodec_bench.sources import Source
from gscodec_bench.table import Row
from gscodec_bench.write import write_text

RATES: Final = (0.5,)
SHARES: Final = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)
OURS: Final = ("gscodec:balanced", "gscodec:balanced:halves1")
QUICK: Final = ("gscodec:fast", "gscodec:fast:halves1")
RIVALS: Final = ("jpeg", "jxl-progressive")
FIGURES: Final = ("psnr", "ssimulacra2")
FIELDS: Final = (
    "image",
    "category",
    "codec",
    "rate",
    "percent",
    "setting",
    "height",
    "width",
    "channels",
    "bytes",
    "bpp",
    "bppc",
    *FIGURES,
)
KEY: Final = ("image", "codec", "rate", "percent")


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`. A task is a picture, a codec and a rate, and gives a row for each share of the file."""
    codecs, reasons = plan.pick((*(QUICK if plan.quick else OURS), *RIVALS))
    for name, reason in reasons.items():
        notes.skip(name, reason)
    made = []
    for source, stack in load_all(plan.sources, notes):
        stamps = {"source_sha256": source.sha256()}
        for codec in codecs:
            refusal = codec.refuses(stack) or (None if can_search(codec) else "takes no size")
            if refusal:
                notes.skip(f"{codec.name} {source.name}", refusal)
                continue
            for rate in plan.rates or RATES:
                keys = tuple(_key(source, codec, rate, share) for share in SHARES)
                work = partial(measure, source, codec, rate)
                label = f"{source.name} {codec.name} {rate:g}"
                made.append(Task(label, keys, stamps | {"codec_version": codec.version()}, work))
    return made


def measure(source: Source, codec: Codec, rate: float) -> list[dict[str, Any]]:
    """A row for each share of one file."""
    stack = source.load()
    height, width, _ = stack.samples.shape
    if isinstance(codec, Igs):
        setting, data = f"{rate:g}", gscodec.encode(stack, bpp=rate, **codec.options()).data
    else:
        setting, (data,) = Search(codec, stack).largest_within(budget_bytes(stack, rate))
    rows = []
    for share in SHARES:
        n_bytes = round(share * len(data))
        shown = codec.decode(data, height, width) if share == 1 else codec.decode_partial(data[:n_bytes], height, width)
        rows.append(
            _key(source, codec, rate, share)
            | {"category": source.category, "setting": setting}
            | rate_figures(stack, n_bytes)
            | quality_figures(stack, _samples(shown, stack), FIGURES)
        )
    return rows


def _samples(shown: npt.NDArray[Any] | None, stack: ImageStack) -> npt.NDArray[np.float32]:
    if shown is None:
        return np.broadcast_to(stack.samples.mean(axis=(0, 1), keepdims=True), stack.samples.shape)
    return to_unit(channels_of(shown, stack.samples.shape[2]), stack.groups)


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = (
        "Files of about the same bytes, cut after a share of them, as a viewer shows them while they arrive. Means "
        "over pictures and rates; where nothing is shown yet, the mean colour counts."
    )
    lines = tables.front_matter(results, "Files that are still arriving", about)
    codecs = list(dict.fromkeys(row["codec"] for row in results.rows))
    percents = list(dict.fromkeys(row["percent"] for row in results.rows))
    for name, title in zip(FIGURES, ("PSNR (dB)", "SSIMULACRA2"), strict=True):
        body = []
        for percent in percents:
            at = [
                [row for row in results.rows if (row["codec"], row["percent"]) == (codec, percent)] for codec in codecs
            ]
            body.append([f"{percent} %", *(_mean(rows, name) for rows in at)])
        lines += [f"{title}:", "", *tables.markdown_table(["of the bytes", *codecs], body), ""]
    return [write_text(results.stem(".md"), "\n".join(lines)), *_draw(results, codecs)]


@plots.if_possible
def _draw(results: Results, codecs: list[str]) -> list[Path]:
    """A panel for each figure: its mean over pictures by the share that has arrived."""
    made, axes = plots.figure(len(FIGURES))
    for name, panel in zip(FIGURES, axes, strict=True):
        for codec in codecs:
            rows = [row for row in results.rows if row["codec"] == codec]
            percents = sorted({float(row["percent"]) for row in rows})
            values = [float(_mean([row for row in rows if float(row["percent"]) == at], name)) for at in percents]
            panel.plot(percents, values, "o-", label=codec)
        plots.dress(panel, "", "% of the bytes", name, log_x=True)
        panel.legend(fontsize=7)
    return plots.save(made, results.stem("-curves"))


def _key(source: Source, codec: Codec, rate: float, share: float) -> dict[str, Any]:
    return {"image": source.name, "codec": codec.name, "rate": f"{rate:g}", "percent": f"{100 * share:.4g}"}


def _mean(rows: list[Row], name: str) -> str:
    return f"{statistics.fmean(float(row[name]) for row in rows):.2f}" if rows else ""


SUITE: Final = Suite(
    name="arriving",
    summary="quality over the bytes of a file that have arrived, beside progressive JPEG and JPEG XL",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
    wants=lambda source: not source.is_stack,
)
