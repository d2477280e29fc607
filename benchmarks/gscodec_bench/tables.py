"""Markdown of a rate-distortion suite: what each codec reaches at a rate, and who is ahead of whom by how much.

Means are taken over pictures, and say of how many where a codec does not have them all: BC7 has no point at 0.2 bits
per pixel, and a mean over the rest would compare different pictures.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from gscodec.io.text import shown
from gscodec_bench.curves import Curve, bd_quality, bd_rate, curves_of
from gscodec_bench.judges import ALL_METRICS
from gscodec_bench.plan import Results
from gscodec_bench.table import Row, as_text, number

ALL: Final = "all"

Curves = Mapping[tuple[str, str], Curve]


def markdown_table(head: Sequence[str], body: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(as_text(cell) for cell in row) + " |" for row in body]


def front_matter(results: Results, title: str, about: str) -> list[str]:
    """Heading, what it is, machine, command and what was left out."""
    machines = sorted({row["machine"] for row in results.rows if row["machine"]})
    lines = [f"# {title}", "", about, "", f"Measured on: {'; '.join(machines) or 'nothing yet'}.", ""]
    lines += [f"    {shown(results.command)}", ""]
    versions: dict[str, list[str]] = {}
    for row in results.rows:
        known = versions.setdefault(row.get("codec", "gscodec"), [])
        if row["codec_version"] not in known:
            known.append(row["codec_version"])
    if versions:
        texts = (f"{name} ({' and '.join(known)})" for name, known in versions.items())
        lines += ["Codecs: " + "; ".join(texts) + ".", ""]
    return lines + skipped_lines(results)


def skipped_lines(results: Results) -> list[str]:
    """What was left out, each with its reason; one line where many share one."""
    by_reason: dict[str, list[str]] = {}
    for entry in results.notes.skipped:
        by_reason.setdefault(entry.reason, []).append(entry.name)
    if not by_reason:
        return []
    lines = ["Left out:", ""]
    for reason, names in by_reason.items():
        listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        lines.append(f"- {shown(listed)}: {shown(reason)}")
    return [*lines, ""]


def categories_of(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Names of the pictures of each category, and of all where there is more than one category."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        names = groups.setdefault(row["category"], [])
        if row["image"] not in names:
            names.append(row["image"])
    if len(groups) > 1:
        groups[ALL] = [name for names in groups.values() for name in names]
    return groups


def codecs_of(rows: Iterable[Row]) -> list[str]:
    """Codecs, ours first."""
    names = list(dict.fromkeys(row["codec"] for row in rows))
    return [name for name in names if is_ours(name)] + [name for name in names if not is_ours(name)]


def is_ours(codec: str) -> bool:
    """Whether a name is one of gscodec's."""
    return codec.startswith("gscodec")


def mean_cell(values: Iterable[float | None], digits: int = 2, *, signed: bool = False) -> str:
    """Mean of what is there, and of how many that is where some are missing."""
    values = list(values)
    there = [value for value in values if value is not None]
    if not there:
        return "-"
    mean = statistics.fmean(there)
    text = f"{mean:+.{digits}f}" if signed else f"{mean:.{digits}f}"
    return text if len(there) == len(values) else f"{text} ({len(there)} of {len(values)})"


def quality_at_rates(
    rows: Sequence[Row], metric: str, rate_column: str, rates: Sequence[float], digits: int
) -> list[str]:
    """For every rate a table: codecs down, categories across, the mean quality of the interpolated curves."""
    curves = curves_of(rows, metric, rate_column, sign=_sign(metric))
    groups = categories_of(rows)
    lines: list[str] = []
    for rate in rates:
        body = [
            [codec, *(mean_cell(_at(curves, names, codec, rate, metric), digits) for names in groups.values())]
            for codec in codecs_of(rows)
        ]
        if any(cell != "-" for row in body for cell in row[1:]):
            lines += [f"At {rate:g} {rate_column}:", "", *markdown_table(["codec", *groups], body), ""]
    return lines


def leads(rows: Sequence[Row], metric: str, rate_column: str) -> list[str]:
    """Each of our codecs against each rival, at the very bytes of our files: our quality less theirs."""
    curves = curves_of(rows, metric, rate_column, sign=_sign(metric))
    groups = categories_of(rows)
    rivals = [name for name in codecs_of(rows) if not is_ours(name)]
    lines: list[str] = []
    for ours in (name for name in codecs_of(rows) if is_ours(name)):
        settings = sorted({float(row["setting"]) for row in rows if row["codec"] == ours})
        body = []
        for setting in settings:
            for rival in rivals:
                cells = [
                    _leads_of(rows, curves, ours, rival, setting, names, metric, rate_column)
                    for names in groups.values()
                ]
                body.append([f"{setting:g}", rival, *(mean_cell(cell, signed=True) for cell in cells)])
        body = [row for row in body if any(cell != "-" for cell in row[2:])]
        if body:
            lines += [f"`{ours}` less the rival:", ""]
            lines += [*markdown_table([f"at {rate_column}", "rival", *groups], body), ""]
    return lines


def deltas(rows: Sequence[Row], metric: str, rate_column: str, anchor: str) -> list[dict[str, str]]:
    """Bjontegaard deltas of every codec against the anchor, by category, as rows of a CSV file."""
    curves = curves_of(rows, metric, rate_column, sign=_sign(metric))
    result = []
    for category, names in categories_of(rows).items():
        for codec in codecs_of(rows):
            if codec == anchor:
                continue
            pairs = [
                (curves[name, anchor], curves[name, codec])
                for name in names
                if (name, anchor) in curves and (name, codec) in curves
            ]
            rate_changes = [value for pair in pairs if (value := bd_rate(*pair)) is not None]
            gains = [value for pair in pairs if (value := bd_quality(*pair)) is not None]
            result.append(
                {
                    "category": category,
                    "codec": codec,
                    "anchor": anchor,
                    "metric": metric,
                    "images": str(len(names)),
                    "images_bd_rate": str(len(rate_changes)),
                    "bd_rate_percent": f"{statistics.fmean(rate_changes):.2f}" if rate_changes else "",
                    "images_bd_quality": str(len(gains)),
                    "bd_quality": f"{statistics.fmean(gains):.4f}" if gains else "",
                }
            )
    return result


def delta_tables(found: Sequence[Mapping[str, str]]) -> list[str]:
    """The deltas as one table: codecs down, categories across, rate change and quality gain in a cell."""
    categories = list(dict.fromkeys(row["category"] for row in found))
    cells = {(row["codec"], row["category"]): row for row in found}
    body = [
        [codec, *(_delta_cell(cells[codec, category]) for category in categories)]
        for codec in dict.fromkeys(row["codec"] for row in found)
    ]
    return markdown_table(["codec", *categories], body)


def costs(rows: Sequence[Row]) -> list[str]:
    """Medians of what coding took, for a person to read beside the machine."""

    def median(codec: str, column: str, form: Callable[[float], str]) -> str:
        values = [value for row in rows if row["codec"] == codec and (value := number(row, column)) is not None]
        return form(statistics.median(values)) if values else "-"

    body = [
        [
            codec,
            median(codec, "encode_s", lambda value: f"{value:.2f}"),
            median(codec, "encode_cpu_s", lambda value: f"{value:.2f}"),
            median(codec, "decode_ms", lambda value: f"{value:.1f}"),
            median(codec, "bits_per_gaussian", lambda value: f"{value:.1f}"),
        ]
        for codec in codecs_of(rows)
    ]
    head = ["codec", "encode s", "encode CPU s", "decode ms", "bits per Gaussian"]
    return markdown_table(head, body)


def _delta_cell(row: Mapping[str, str]) -> str:
    if not row["bd_rate_percent"] and not row["bd_quality"]:
        return "-"
    parts = []
    for value, count, form in (
        (row["bd_rate_percent"], row["images_bd_rate"], "{:+.0f} %"),
        (row["bd_quality"], row["images_bd_quality"], "{:+.2f}"),
    ):
        some = f" ({count} of {row['images']})" if value and count != row["images"] else ""
        parts.append(form.format(float(value)) + some if value else "no overlap")
    return " / ".join(parts)


def _at(curves: Curves, names: Sequence[str], codec: str, rate: float, metric: str) -> list[float | None]:
    found = [curves[name, codec].at(rate) if (name, codec) in curves else None for name in names]
    return [None if value is None else _sign(metric) * value for value in found]


def _leads_of(
    rows: Sequence[Row],
    curves: Curves,
    ours: str,
    rival: str,
    setting: float,
    names: Sequence[str],
    metric: str,
    rate_column: str,
) -> list[float | None]:
    result: list[float | None] = []
    for name in names:
        row = next(
            (r for r in rows if r["image"] == name and r["codec"] == ours and float(r["setting"]) == setting), None
        )
        curve = curves.get((name, rival))
        here = number(row, metric) if row else None
        there = curve.at(float(row[rate_column])) if curve is not None and row is not None else None
        result.append(None if here is None or there is None else _sign(metric) * here - there)
    return result


def _sign(metric: str) -> float:
    return 1.0 if ALL_METRICS[metric].higher_is_better else -1.0
