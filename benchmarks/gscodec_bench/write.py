"""The files of a rate-distortion suite: tables, deltas and plots."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gscodec.io.atomic import write_atomic
from gscodec_bench import plots, tables
from gscodec_bench.judges import ALL_METRICS
from gscodec_bench.plan import Results
from gscodec_bench.report import write_report
from gscodec_bench.table import Row, number

_DIGITS: Final = {"psnr": 2, "normal_deg": 2, "log_psnr": 2, "ssimulacra2": 1}
_SECOND: Final = ("ms_ssim", "ssimulacra2", "flip", "lpips", "normal_deg", "log_psnr", "hdr_flip")
"""Metrics whose tables come after the PSNR's, where they were measured."""


def write_comparison(
    results: Results,
    title: str,
    about: str,
    rate_column: str,
    rates: Sequence[float],
    more: Callable[[Sequence[Row], Sequence[float]], list[str]] = lambda rows, rates: [],  # noqa: ARG005
) -> list[Path]:
    """Tables as Markdown, Bjontegaard deltas as CSV, plots of every metric measured; the paths written.

    Args:
        more: sections of the suite's own, made of the rows and the rates.
    """
    rows = results.rows
    measured = [name for name in ("psnr", *_SECOND) if any(number(row, name) is not None for row in rows)]
    lines = tables.front_matter(results, title, about)
    found: list[dict[str, str]] = []
    for metric in measured:
        label = ALL_METRICS[metric].label
        better = "higher is better" if ALL_METRICS[metric].higher_is_better else "lower is better"
        lines += [f"## {label}, {better}", ""]
        lines += tables.quality_at_rates(rows, metric, rate_column, rates, _DIGITS.get(metric, 4))
        if metric == "psnr":
            lines += ["## Ahead and behind, in dB at equal bytes", ""]
            lines += tables.leads(rows, metric, rate_column)
        found += tables.deltas(rows, metric, rate_column, results.plan.anchor)
    lines += more(rows, rates)
    lines += _delta_section(found, results.plan.anchor)
    lines += [
        "## Cost",
        "",
        "Medians over all pictures and settings; for a person to read, not to rely on, where tasks ran side by side.",
        "",
        *tables.costs(rows),
        "",
    ]
    markdown = "\n".join(lines)
    paths = [write_text(results.stem(".md"), markdown), write_csv(results.stem("-bd.csv"), found)]
    for metric in measured:
        paths += plots.rate_distortion(rows, metric, rate_column, results.stem(f"-{metric}"))
    drawn = [path for path in paths if path.suffix == ".svg"]
    return [*paths, write_report(results, markdown, drawn, results.stem(".html"), rate_column)]


def write_text(path: Path, text: str) -> Path:
    """Write a file whole, in place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode(), overwrite=True)
    return path


def write_csv(path: Path, rows: Sequence[Row]) -> Path:
    """Rows that all have the same columns."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return write_text(path, out.getvalue())


def _delta_section(found: Sequence[Row], anchor: str) -> list[str]:
    lines = [f"## Bjontegaard deltas against {anchor}", ""]
    lines += [
        "Bytes at equal quality (negative is a saving), then quality at equal bytes; means of the deltas of single "
        "pictures whose curves overlap. `-bd.csv` has them for every metric.",
        "",
    ]
    rows = [row for row in found if row["metric"] == "psnr"]
    return [*lines, *(tables.delta_tables(rows) if rows else ["Nothing was measured."]), ""]
