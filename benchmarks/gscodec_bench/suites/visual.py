"""What a person sees: all codecs under the same budgets of bytes, before judges that were tuned on people's ratings."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from gscodec_bench import plots, tables
from gscodec_bench.budget import Files, Search, budget_bytes, can_search, decoded
from gscodec_bench.codecs import PICTURE_RIVALS, Codec, Igs
from gscodec_bench.curves import curves_of
from gscodec_bench.judges import ALL_METRICS
from gscodec_bench.measure import file_name, keep_files, quality_figures, rate_figures
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task, load_all
from gscodec_bench.published import COOL_CHIC, published_rows
from gscodec_bench.sources import Source
from gscodec_bench.table import Row, number
from gscodec_bench.write import write_text

OURS: Final = ("gscodec:fast", "gscodec:fast:seed1", "gscodec:balanced")
QUICK: Final = ("gscodec:fast",)
RIVALS: Final = (*PICTURE_RIVALS, "avif:iq")
RATES: Final = (0.05, 0.1, 0.2, 0.35, 0.5)
QUICK_RATES: Final = (0.1, 0.2, 0.5)
JUDGES: Final = ("psnr", "ms_ssim", "ssimulacra2", "butteraugli3", "cvvdp", "block_luma", "block_hue")
FIELDS: Final = (
    "image",
    "category",
    "rate",
    "codec",
    "setting",
    "height",
    "width",
    "channels",
    "budget_bytes",
    "bytes",
    "bpp",
    "bppc",
    *JUDGES,
)
KEY: Final = ("image", "rate", "codec")
_DIGITS: Final = {"ms_ssim": 4, "ssimulacra2": 1}


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`. A task is a picture and one of our codecs at a rate, or a rival at all rates."""
    codecs, reasons = plan.pick((*(QUICK if plan.quick else OURS), *RIVALS))
    for name, reason in reasons.items():
        notes.skip(name, reason)
    judges = tuple(name for name in plan.metrics or JUDGES if name in JUDGES)
    for name in judges:
        missing = ALL_METRICS[name].missing()
        if missing:
            notes.skip(name, missing)
    rates = plan.rates or (QUICK_RATES if plan.quick else RATES)
    made = []
    for source, stack in load_all(plan.sources, notes):
        stamps = {"source_sha256": source.sha256()}
        for codec in codecs:
            refusal = codec.refuses(stack) if can_search(codec) else "has no dial between small and large files"
            if refusal:
                notes.skip(f"{source.name} with {codec.name}", refusal)
                continue
            for together in [(rate,) for rate in rates] if isinstance(codec, Igs) else [tuple(rates)]:
                keys = tuple(_key(source, rate, codec) for rate in together)
                work = partial(measure, source, codec, together, judges, plan.files)
                label = f"{source.name} {codec.name} {' '.join(f'{rate:g}' for rate in together)}"
                made.append(Task(label, keys, stamps | {"codec_version": codec.version()}, work))
    return made


def measure(
    source: Source, codec: Codec, rates: Sequence[float], judges: Sequence[str], files: Path | None
) -> list[dict[str, Any]]:
    """A row for each rate. A codec without files that small gets the row of its smallest, not judged."""
    stack = source.load()
    search = Search(codec, stack)
    rows = []
    figures: dict[str, dict[str, Any]] = {}
    for rate in rates:
        budget = budget_bytes(stack, rate)
        if isinstance(codec, Igs):
            setting = f"{rate:g}"
            found: Files = (codec.encode(stack, setting),)
        else:
            setting, found = search.largest_within(budget)
        n_bytes = sum(map(len, found))
        row = _key(source, rate, codec) | {"category": source.category, "setting": setting, "budget_bytes": budget}
        row |= rate_figures(stack, n_bytes)
        if n_bytes <= budget:
            if setting not in figures:
                figures[setting] = quality_figures(stack, decoded(codec, stack, found), judges)
            row |= figures[setting]
            if files is not None:
                keep_files(files, file_name(source.name, codec.name, setting), codec, found)
        rows.append(row)
    return rows


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = (
        "Every codec is given the same budget, rate x pixels / 8 bytes, and does its best with it: gscodec takes it as "
        "its target, the others are searched for their best quality setting of no more bytes. A cell with `(n of m)` "
        "is a mean over the pictures for which the codec has files that small; the tables of differences are over the "
        "pictures that both have. Seeds of one codec are averaged. SSIMULACRA2: 100 is the source, 70 high quality, 30 "
        "low. Butteraugli: the 3-norm, lower is better. Luma and colour of 16-px means say whether areas kept their "
        "lightness (RMS of levels of 255) and tint (CIEDE2000)."
    )
    rows = _without_seeds(results.rows)
    judges = [name for name in JUDGES if any(number(row, name) is not None for row in rows)]
    rates = sorted({float(row["rate"]) for row in rows})
    lines = tables.front_matter(results, "What a person sees, at equal bytes", about)
    for rate in rates:
        own = [row for row in rows if float(row["rate"]) == rate]
        lines += [f"## At {rate:g} bpp", ""]
        lines += [*tables.markdown_table(["codec", *map(_label, judges)], _means(own, judges)), ""]
        lines += _differences(own, judges)
        for name in judges:
            lines += [f"{_label(name)} by category:", "", *_by_category(own, name), ""]
    lines += _published(rows, rates)
    paths = [write_text(results.stem(".md"), "\n".join(lines))]
    drawn = [*rows, *published_rows(rows)]
    for name in judges:
        paths += plots.rate_distortion(drawn, name, "bpp", results.stem(f"-{name}"))
    return paths


def summary(rows: Sequence[Row], ours: str, rival: str, judges: Sequence[str]) -> list[str]:
    """A table of our results less those of a rival within the same bytes: rates and judges down, categories across."""
    rows = _without_seeds(rows)
    groups = tables.categories_of(rows)
    found = {(row["image"], row["rate"], row["codec"]): row for row in rows}

    def lead(image: str, rate: str, judge: str) -> float | None:
        both = [number(found.get((image, rate, codec), {}), judge) for codec in (ours, rival)]
        return None if both[0] is None or both[1] is None else both[0] - both[1]

    body = []
    for judge in judges:
        for rate in sorted({row["rate"] for row in rows}, key=float):
            means = [
                _cell((lead(name, rate, judge) for name in names), judge, signed=True) for names in groups.values()
            ]
            body.append([rate, _label(judge), *means])
    there = [row for row in body if any(cell != "-" for cell in row[2:])]
    return tables.markdown_table(["at bpp", "judge", *groups], there)


def _key(source: Source, rate: float, codec: Codec) -> dict[str, Any]:
    return {"image": source.name, "rate": f"{rate:g}", "codec": codec.name}


def _without_seeds(rows: Iterable[Row]) -> list[Row]:
    """Rows in which the seeds of one codec are one row, of their means."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        codec = ":".join(part for part in row["codec"].split(":") if not part.startswith("seed"))
        groups.setdefault((row["image"], row["rate"], codec), []).append(row)
    merged = []
    for (_, _, codec), own in groups.items():
        means = {}
        for name in ("bytes", "bpp", *JUDGES):
            values = [value for row in own if (value := number(row, name)) is not None]
            means[name] = f"{statistics.fmean(values):.6g}" if values else ""
        merged.append(own[0] | means | {"codec": codec})
    return merged


def _means(rows: Sequence[Row], judges: Sequence[str]) -> list[list[str]]:
    return [
        [codec, *(_cell((number(row, name) for row in rows if row["codec"] == codec), name) for name in judges)]
        for codec in tables.codecs_of(rows)
    ]


def _differences(rows: Sequence[Row], judges: Sequence[str]) -> list[str]:
    """A table for each of our codecs: its means less each rival's."""
    lines: list[str] = []
    names = tables.codecs_of(rows)
    for ours in filter(tables.is_ours, names):
        own = {row["image"]: row for row in rows if row["codec"] == ours}
        body = []
        for rival in (name for name in names if not tables.is_ours(name)):
            pairs = [(own[row["image"]], row) for row in rows if row["codec"] == rival and row["image"] in own]
            cells = []
            for name in judges:
                both = [(number(a, name), number(b, name)) for a, b in pairs]
                values = [a - b if a is not None and b is not None else None for a, b in both]
                cells.append(_cell(values, name, signed=True))
            body.append([rival, *cells])
        if body:
            lines += [f"`{ours}` less the rival:", ""]
            lines += [*tables.markdown_table(["rival", *map(_label, judges)], body), ""]
    return lines


def _by_category(rows: Sequence[Row], judge: str) -> list[str]:
    groups = tables.categories_of(rows)

    def values(codec: str, names: Sequence[str]) -> list[float | None]:
        return [number(row, judge) for row in rows if row["codec"] == codec and row["image"] in names]

    body = [
        [codec, *(_cell(values(codec, names), judge) for names in groups.values())] for codec in tables.codecs_of(rows)
    ]
    return tables.markdown_table(["codec", *groups], body)


def _published(rows: Sequence[Row], rates: Sequence[float]) -> list[str]:
    """PSNR of the pictures that Cool-chic's authors publish figures of, beside those figures."""
    others = curves_of(published_rows(rows), "psnr", "bpp")
    images = {image for image, _ in others}
    if not images:
        return []
    own = [row for row in rows if row["image"] in images]

    def line(codec: str, value: Callable[[str, float], float | None]) -> list[str]:
        return [codec, *(_cell((value(image, rate) for image in sorted(images)), "psnr") for rate in rates)]

    def measured(codec: str) -> Callable[[str, float], float | None]:
        known = {(row["image"], float(row["rate"])): number(row, "psnr") for row in own if row["codec"] == codec}
        return lambda image, rate: known.get((image, rate))

    body = [line(codec, measured(codec)) for codec in tables.codecs_of(own)]
    body.append(line(COOL_CHIC, lambda image, rate: others[image, COOL_CHIC].at(rate)))
    head = ["codec", *(f"{rate:g} bpp" for rate in rates)]
    return [
        "## Beside published figures",
        "",
        f"PSNR (dB) of {len(images)} pictures of Kodak's. Cool-chic's are interpolated between the points that its "
        "authors publish, and were not measured here.",
        "",
        *tables.markdown_table(head, body),
        "",
    ]


def _cell(values: Iterable[float | None], judge: str, *, signed: bool = False) -> str:
    return tables.mean_cell(values, _DIGITS.get(judge, 2), signed=signed)


def _label(judge: str) -> str:
    arrow = "" if ALL_METRICS[judge].higher_is_better else " (lower is better)"
    return ALL_METRICS[judge].label + arrow


SUITE: Final = Suite(
    name="visual",
    summary="pictures at equal bytes before SSIMULACRA2, Butteraugli, CVVDP and block means",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
    wants=lambda source: not source.is_stack,
)
