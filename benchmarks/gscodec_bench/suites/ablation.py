"""What each part of the paper's recipe is worth (paper, Table 1), on our data and engine."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from gscodec.image.levels import to_native, to_unit
from gscodec.image.stack import ImageStack
from gscodec.metrics import METRICS
from gscodec_bench import plots, tables
from gscodec_bench.codecs.igs import Igs
from gscodec_bench.measure import quality_figures, rate_figures
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task, load_all
from gscodec_bench.sources import Source
from gscodec_bench.table import Row, number
from gscodec_bench.write import write_text

GAUSSIANS_PER_PIXEL: Final = 10_000 / 2048**2
"""The paper's 10,000 Gaussians on 2048x2048 px."""
SIDE_PX: Final = 512
QUICK_SIDE_PX: Final = 256
QUICK_STEPS: Final = 500
FIELDS: Final = (
    "image",
    "category",
    "variant",
    "setting",
    "steps",
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
    "flip",
    "lpips",
)
KEY: Final = ("image", "variant", "setting", "steps")
SHOWN: Final = ("psnr", "ms_ssim", "flip", "lpips")


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`."""
    ours = Igs("paper")
    reason = ours.available()
    if reason:
        notes.skip(ours.name, reason)
        return []
    from gscodec_bench.ablated_fit import names_of, variants

    made = []
    side, steps = (QUICK_SIDE_PX, QUICK_STEPS) if plan.quick else (SIDE_PX, None)
    for source, _ in load_all(plan.sources, notes):
        stamps = {"source_sha256": source.sha256(), "codec_version": ours.version()}
        for parts in variants():
            name = names_of(parts)
            key = {"image": source.name, "variant": name, "setting": f"{side}px", "steps": steps or "paper"}
            work = partial(
                measure, source, tuple(sorted(parts)), key, side, steps, plan.metrics or tuple(METRICS), plan.threads
            )
            made.append(Task(f"{source.name} {name}", (key,), stamps, work))
    return made


def measure(
    source: Source,
    parts: tuple[Any, ...],
    key: dict[str, Any],
    side: int,
    steps: int | None,
    metrics: tuple[str, ...],
    threads: int | None,
) -> list[dict[str, Any]]:
    """The row of one picture's middle and one variant of the recipe."""
    from gscodec_bench.ablated_fit import fit_without

    stack = centre(source.load(), side)
    n_gaussians = max(1, round(GAUSSIANS_PER_PIXEL * stack.samples[:, :, 0].size))
    done = fit_without(stack, n_gaussians, frozenset(parts), steps=steps, threads=threads)
    samples = to_unit(to_native(done.image, stack.groups), stack.groups)
    figures = quality_figures(stack, samples, tuple(name for name in metrics if name in FIELDS))
    return [
        key
        | {"category": source.category, "gaussians": n_gaussians}
        | rate_figures(stack, done.n_bytes)
        | {name: value for name, value in figures.items() if name in FIELDS}
    ]


def centre(stack: ImageStack, side: int) -> ImageStack:
    """The middle of a picture, at most `side` px wide and high."""
    height, width, _ = stack.samples.shape
    y, x = (max(0, (length - side) // 2) for length in (height, width))
    return replace(stack, samples=np.ascontiguousarray(stack.samples[y : y + side, x : x + side]))


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = (
        "The paper's recipe on our engine, whole and with one part taken out; the middle of each picture, at the "
        "paper's density of 10,000 Gaussians on 2048x2048 px. Quantised to `f16` and brought to 8 bits before it is "
        "measured. `no top-k` adds up all Gaussians of a tile with the weights they have, which no `.igs` file can "
        "say; its figures are of the same Gaussians blended so. For comparison, the paper's Table 1 on its own 45 "
        "pictures of 2048x2048 px: full 31.77 dB, no colour 30.40, no position 29.88, neither 29.54, no inverse "
        "29.11, no top-K 29.35."
    )
    lines = tables.front_matter(results, "What each part of the recipe is worth", about)
    settings = dict.fromkeys((row["setting"], row["steps"]) for row in results.rows)
    for setting, steps in settings:
        rows = [row for row in results.rows if (row["setting"], row["steps"]) == (setting, steps)]
        pictures = len({row["image"] for row in rows})
        lines += [f"Middle {setting}, {steps} steps, mean of {pictures} pictures:", "", *_table(rows), ""]
    columns = ("image", "variant", "setting", "steps", "gaussians", "bytes", *SHOWN)
    lines += [*tables.markdown_table(columns, ([row[name] for name in columns] for row in results.rows)), ""]
    groups = {
        category: {name: _mean([row for row in rows if row["variant"] == name]) for name in _variants(rows)}
        for category, rows in _by_category(results.rows).items()
    }
    return [
        write_text(results.stem(".md"), "\n".join(lines)),
        *plots.bars(groups, "PSNR (dB)", results.stem("-psnr")),
    ]


def _table(rows: list[Row]) -> list[str]:
    body = []
    for variant in _variants(rows):
        own = [row for row in rows if row["variant"] == variant]
        digits = {"psnr": 2}
        cells = [tables.mean_cell((number(row, name) for row in own), digits.get(name, 4)) for name in SHOWN]
        body.append([variant, *cells])
    return tables.markdown_table(["variant", *(METRICS[name].label for name in SHOWN)], body)


def _variants(rows: list[Row]) -> list[str]:
    """The whole recipe first, then as in the paper."""
    from gscodec_bench.ablated_fit import names_of, variants

    there = {row["variant"] for row in rows}
    return [name for name in map(names_of, variants()) if name in there]


def _by_category(rows: list[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["category"], []).append(row)
    return groups


def _mean(rows: list[Row]) -> float:
    return sum(float(row["psnr"]) for row in rows) / len(rows)


SUITE: Final = Suite(
    name="ablation",
    summary="the paper's recipe with one of its parts taken out",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
    wants=lambda source: not source.is_stack,
)
