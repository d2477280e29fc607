"""Speed: every stage on its own, peers in the same run, and how cost grows with size, Gaussians and channels.

Inputs are synthetic, drawn from a seed, so the suite looks at no picture; rows belong to the machine they come from.
"""

import hashlib
import math
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from gscodec_bench import plots, tables
from gscodec_bench.codecs.igs import Igs
from gscodec_bench.machine import machine
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task
from gscodec_bench.table import Row
from gscodec_bench.write import write_text

FIELDS: Final = (
    "stage",
    "axis",
    "contender",
    "side",
    "gaussians",
    "channels",
    "threads",
    "runs",
    "median_ms",
    "fastest_ms",
    "ratio",
    "per_second",
    "unit",
    "bytes",
    "peak_mb",
    "load",
)
KEY: Final = ("stage", "axis", "contender", "side", "gaussians", "channels", "threads", "runs")

BASE: Final = (2048, 10_000, 3)  # side in px, Gaussians, channels: the paper's
QUICK_BASE: Final = (512, 2_000, 3)
CURVED: Final = ("bin", "forward", "step", "decode", "sample")
"""Stages whose cost is followed along an axis."""
AXES: Final[dict[str, tuple[int, ...]]] = {
    "side": (512, 1024, 2048, 4096, 8192),
    "gaussians": (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000),
    "channels": (1, 2, 3, 4, 8, 16, 32),
}
QUICK_AXES: Final[dict[str, tuple[int, ...]]] = {
    "side": (256, 512, 1024),
    "gaussians": (500, 2_000, 8_000),
    "channels": (1, 3, 8),
}
LARGEST_STEP_SIDE: Final = 4096
"""px; a fit keeps several copies of the picture, and 8192 px do not fit beside them in a small machine's memory."""
SINGLE: Final = {
    "bin": BASE,
    "forward": BASE,
    "backward": BASE,
    "loss": BASE,
    "step": BASE,
    "step paper": BASE,
    "decode": (2048, 20_000, 3),
    "sample": (2048, 20_000, 3),
    "one pixel": (4096, 1_000_000, 3),
    "start-up": (128, 200, 3),
    "memory": BASE,
}
"""Stages taken alone, and what they have to do; a million Gaussians make a file of 16 MB."""
QUICK_SINGLE: Final = dict.fromkeys(SINGLE, QUICK_BASE)
RUNS, QUICK_RUNS = 7, 2


def cases(quick: bool) -> Iterator[tuple[str, str, tuple[int, int, int]]]:
    """Stage, axis (empty for stages alone), and side, Gaussians, channels."""
    for stage, amount in (QUICK_SINGLE if quick else SINGLE).items():
        yield stage, "", amount
    base = QUICK_BASE if quick else BASE
    for axis, values in (QUICK_AXES if quick else AXES).items():
        for stage in CURVED:
            for value in values:
                side, gaussians, channels = base
                if axis == "side":
                    # The same Gaussians per pixel, so that every pixel has as much to do.
                    side, gaussians = value, max(1, round(base[1] * value**2 / base[0] ** 2))
                elif axis == "gaussians":
                    gaussians = value
                else:
                    channels = value
                if stage != "step" or side <= LARGEST_STEP_SIDE:
                    yield stage, axis, (side, gaussians, channels)


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`."""
    ours = Igs()
    reason = ours.available()
    if reason:
        notes.skip(ours.name, reason)
        return []
    from gscodec_bench.machine import usable_cores
    from gscodec_bench.stages import PEERS

    _, missing = plan.pick(PEERS)
    for name, why in missing.items():
        notes.skip(name, why)
    here = hashlib.sha256(machine().encode()).hexdigest()[:16]  # another machine measures anew
    stamps = {"source_sha256": here, "codec_version": ours.version()}
    threads, runs = plan.threads or usable_cores(), QUICK_RUNS if plan.quick else RUNS
    made = []
    for stage, axis, (side, gaussians, channels) in cases(plan.quick):
        key = {
            "stage": stage,
            "axis": axis,
            "side": side,
            "gaussians": gaussians,
            "channels": channels,
            "threads": threads,
            "runs": runs,
        }
        label = f"{stage} {side}px {gaussians} Gaussians {channels} channels" + (f" along {axis}" if axis else "")
        made.append(Task(label, (key | {"contender": _FIRST.get(stage, "gscodec")},), stamps, partial(measure, key)))
    return made


def measure(key: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each contender of a stage; along an axis ours alone."""
    from gscodec_bench.stages import STAGES, Case

    case = Case(key["side"], key["gaussians"], key["channels"], key["threads"], key["runs"])
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    timings = STAGES[key["stage"]](case)
    ours = timings[_FIRST.get(key["stage"], "gscodec")]
    return [
        key
        | {
            "contender": contender,
            "median_ms": f"{timing.median_ms:.4g}",
            "fastest_ms": f"{timing.fastest_ms:.4g}",
            "ratio": None if timing is ours else f"{timing.median_ms / ours.median_ms:.3g}",
            "per_second": None if timing.per_second is None else f"{timing.per_second:.4g}",
            "unit": timing.unit,
            "bytes": timing.n_bytes,
            "peak_mb": None if timing.peak_mb is None else f"{timing.peak_mb:.0f}",
            "load": None if load is None else f"{load:.1f}",
        }
        for contender, timing in timings.items()
        if not key["axis"] or timing is ours
    ]


_FIRST: Final = {"start-up": "gscodec --help", "memory": "decode"}
"""What a stage without a `gscodec` calls the contender that others are put in relation to."""


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = (
        "Medians of several runs after one that does not count; contenders of a stage take turns. The ratio is the "
        "contender's median over that of the stage's first line, in the same run: above 1 it is slower. Times are for "
        "a person to read, beside the machine; load is the machine's one-minute average before the stage began, and "
        "above about half of its cores it was not idle."
    )
    lines = tables.front_matter(results, "Speed", about)
    columns = (
        "stage",
        "contender",
        "side",
        "gaussians",
        "channels",
        "threads",
        "runs",
        "median_ms",
        "fastest_ms",
        "ratio",
        "per_second",
        "unit",
        "bytes",
        "peak_mb",
        "load",
    )
    single = [row for row in results.rows if not row["axis"]]
    order = {stage: number for number, stage in enumerate(SINGLE)}
    single.sort(key=lambda row: (order[row["stage"]], row["contender"] != _FIRST.get(row["stage"], "gscodec")))
    lines += ["## Stages", "", *tables.markdown_table(columns, ([row[name] for name in columns] for row in single)), ""]
    lines += ["## Growth", "", "Exponents of cost ~ amount^e, fitted to the logarithms of all points of a line:", ""]
    body = [[axis, stage, _range(rows, axis), f"{slope(rows, axis):.2f}"] for axis, stage, rows in _lines(results.rows)]
    lines += [*tables.markdown_table(["along", "stage", "from .. to", "exponent"], body), ""]
    for axis in AXES:
        own = [row for row in results.rows if row["axis"] == axis]
        lines += [f"Median ms along {axis}:", "", *_grid(own, axis), ""]
    return [write_text(results.stem(".md"), "\n".join(lines)), *_draw(results)]


def slope(rows: list[Row], axis: str) -> float:
    """Exponent e of cost ~ amount^e, by least squares on logarithms. Along sides the amount is the number of pixels."""
    if len(rows) < 2:
        return math.nan
    amounts = [_amount(row, axis) for row in rows]
    return float(np.polyfit(np.log(amounts), np.log([float(row["median_ms"]) for row in rows]), 1)[0])


def _amount(row: Row, axis: str) -> float:
    return float(row[axis]) ** 2 if axis == "side" else float(row[axis])


def _lines(rows: list[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    for axis in AXES:
        for stage in CURVED:
            own = [row for row in rows if row["axis"] == axis and row["stage"] == stage]
            if own:
                yield axis, stage, sorted(own, key=lambda row: _amount(row, axis))


def _range(rows: list[Row], axis: str) -> str:
    return f"{rows[0][axis]} .. {rows[-1][axis]}"


def _grid(rows: list[Row], axis: str) -> list[str]:
    values = sorted({int(row[axis]) for row in rows})
    cells = {(row["stage"], int(row[axis])): row["median_ms"] for row in rows}
    stages = [stage for stage in CURVED if any(row["stage"] == stage for row in rows)]
    body = [[stage, *(cells.get((stage, value), "-") for value in values)] for stage in stages]
    return tables.markdown_table(["stage", *map(str, values)], body)


@plots.if_possible
def _draw(results: Results) -> list[Path]:
    """A panel for each axis, logarithmic both ways, with the exponent beside each line's name."""
    drawn = list(_lines(results.rows))
    if not drawn:
        return []
    made, axes = plots.figure(len(AXES))
    for panel, axis in zip(axes, AXES, strict=True):
        for number, stage in enumerate(CURVED):
            for rows in (rows for name, line, rows in drawn if (name, line) == (axis, stage)):
                amounts = [_amount(row, axis) for row in rows]
                times = [float(row["median_ms"]) for row in rows]
                panel.plot(amounts, times, "o-", color=f"C{number}", label=f"{stage}: {slope(rows, axis):.2f}")
        plots.dress(panel, f"along {axis}", "pixels" if axis == "side" else axis, "median ms", log_x=True, log_y=True)
        panel.legend(fontsize=7, title="exponent", title_fontsize=7)
    return plots.save(made, results.stem("-growth"))


SUITE: Final = Suite(
    name="speed",
    summary="stages timed alone, beside peers, and along size, Gaussians and channels",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
    one_at_a_time=True,
)
