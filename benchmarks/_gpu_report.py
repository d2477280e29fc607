"""Results of benchmarks/gpu.py beside what they are measured by, and as Markdown."""

from collections.abc import Iterator
from typing import Any, Final

from _gpu_cases import Row

PAPER: Final[dict[str, Any]] = {
    "device": "NVIDIA RTX A6000",
    "side": 2048,
    "gaussians": 10_000,
    "step_ms": 18.7,
    "render_ms": 3.7,
}
"""What the paper states of its own implementation (Zhang et al. 2025)."""

TARGETS: Final = {
    ("steps", "paper"): ("step_ms", 1.0),
    ("steps", "balanced"): ("step_ms", 0.5),
    ("renders", None): ("ms", 0.2),
    ("encodes", "paper"): ("seconds", 6.0),
    ("encodes", "balanced"): ("seconds", 3.0),
}
"""At most, at the paper's size and count: section and preset, column and value."""

GROWTH_TARGET: Final = 1.3
"""Maximum ratio of the durations of steps with 50,000 and 10,000 Gaussians."""

SECTIONS: Final[tuple[tuple[str, str, str, dict[str, str]], ...]] = (
    (
        "steps",
        "Training steps",
        "Everything a step does, as one CUDA graph; the host looks on every few steps, which `wall` has in it.",
        {
            "preset": "preset",
            "side": "side",
            "gaussians": "Gaussians",
            "step_ms": "ms a step",
            "target": "target",
            "wall_ms": "wall ms",
            "of_fewest": "of the time with fewest Gaussians",
            "of_paper": "times the paper's speed",
            "graph": "graph",
        },
    ),
    (
        "renders",
        "Renders to uint8 on the device",
        "`ms` is lists and blending as one graph; apart, lists wait for the host once, to make room.",
        {
            "side": "side",
            "gaussians": "Gaussians",
            "ms": "ms",
            "target": "target",
            "bin_ms": "tile lists ms",
            "blend_ms": "blending ms",
            "of_paper": "times the paper's speed",
        },
    ),
    (
        "encodes",
        "Whole encodes",
        "In this process for the first time, which also compiles kernels, and again.",
        {
            "preset": "preset",
            "side": "side",
            "gaussians": "Gaussians",
            "profile": "profile",
            "turn": "turn",
            "steps": "steps",
            "seconds": "s",
            "target": "target",
            "psnr": "dB",
            "same_bytes": "same bytes again",
        },
    ),
    (
        "kernels",
        "Kernels of a step",
        "Each between two events and outside a graph: what takes a few microseconds is mostly its own start.",
        {
            "preset": "preset",
            "gaussians": "Gaussians",
            "kernel": "kernel",
            "launches": "launches",
            "ms": "ms",
            "floor_ms": "floor ms",
            "of_floor": "times the floor",
        },
    ),
    (
        "decodes",
        "Decodes from memory to uint8",
        "`again`: of a file that is open and whose level is on the device already.",
        {
            "side": "side",
            "gaussians": "Gaussians",
            "to": "to",
            "ms": "ms",
            "again_ms": "again ms",
            "megapixels_per_s": "Mpx/s",
        },
    ),
    (
        "unpacks",
        "Pages to Gaussians on the device",
        "The upload of the pages included; beside it the host's decoder, without an upload.",
        {"profile": "profile", "gaussians": "Gaussians", "bytes": "bytes", "ms": "ms", "host_ms": "host ms"},
    ),
    (
        "transfers",
        "Transfers",
        "",
        {"way": "way", "bytes": "bytes", "ms": "ms", "gigabytes_per_s": "GB/s"},
    ),
    (
        "cold",
        "A process's first",
        "Kernels are compiled in the first process and lie on disk in the second.",
        {
            "what": "what",
            "kernels": "kernels",
            "process_s": "process s",
            "open_s": "to open s",
            "first_s": "first s",
            "again_s": "again s",
        },
    ),
)
"""Tables of the report: section, title, explanation, columns."""


def compare(results: dict[str, Any]) -> dict[str, Any]:
    """The results, their rows beside a target, the paper's figure, the floor and fewer Gaussians."""
    rows: list[Row] = results["rows"]
    fewest: dict[str, Row] = {}
    for row in rows:
        known = fewest.get(row.get("preset", ""))
        if row["section"] == "steps" and (known is None or row["gaussians"] < known["gaussians"]):
            fewest[row["preset"]] = row
    return {**results, "rows": [{**row, **_beside(row, fewest)} for row in rows]}


def _beside(row: Row, fewest: dict[str, Row]) -> Row:
    section = row["section"]
    at_paper_size = all(row.get(key) == PAPER[key] for key in ("side", "gaussians"))
    found: Row = {}
    if section in {"steps", "renders", "encodes"}:
        column, target = TARGETS.get((section, row.get("preset")), ("", None))
        found["target"] = target if at_paper_size else None
        found["met"] = row[column] <= target if at_paper_size and target is not None else None
    if section == "steps":
        least = fewest[row["preset"]]
        found["of_fewest"] = row["step_ms"] / least["step_ms"]
        found["of_paper"] = PAPER["step_ms"] / row["step_ms"] if at_paper_size else None
        if (least["gaussians"], row["gaussians"]) == (10_000, 50_000):
            found["target"] = GROWTH_TARGET * least["step_ms"]
            found["met"] = found["of_fewest"] <= GROWTH_TARGET
    elif section == "renders":
        found["of_paper"] = PAPER["render_ms"] / row["ms"] if at_paper_size else None
    elif section == "kernels":
        found["of_floor"] = row["ms"] / row["floor_ms"] if row["floor_ms"] else None
    return found


def report(results: dict[str, Any]) -> Iterator[str]:
    """Lines of Markdown."""
    paper, rows = results["paper"], results["rows"]
    yield f"# CUDA engine on {results['device']}"
    yield ""
    if not results["is_gpu"]:
        yield "Made on the tests' host runtime, at tiny sizes: these are no figures of a GPU."
        yield ""
    line = (
        f"gscodec {results['gscodec']}, {results['array_module']}, Python {results['python']}, driver for CUDA "
        f"{results['driver']}. "
    )
    if "bytes_per_s" in results:
        line += (
            f"A large copy moves {results['bytes_per_s'] / 1e9:.0f} GB/s; lanes times clock make "
            f"{results['operations_per_s'] / 1e12:.1f} T float32 operations/s. "
        )
    yield line + "Made by `benchmarks/gpu.py` from synthetic pictures and files."
    for when, clocks in results["clocks"].items():
        if clocks:
            yield f"Clocks and load {when}: {clocks}."
    if "pool_bytes" in results:
        yield f"The memory pool held {results['pool_bytes'] / 2**20:.0f} MiB at the end."
    yield ""
    yield (
        f"The paper's implementation on an {paper['device']}, as published: {paper['step_ms']} ms a step and "
        f"{paper['render_ms']} ms a render at {paper['side']}x{paper['side']} with {paper['gaussians']:,} Gaussians. "
        "A target is an upper limit."
    )
    judged = [row for row in rows if row.get("met") is not None]
    if judged:
        yield f"{sum(row['met'] for row in judged)} of {len(judged)} rows with a target meet it."
    for label, key in (("No time was left for", "left_out"), ("Failed", "failed")):
        if results[key]:
            yield f"{label}: {'; '.join(results[key])}."
    for section, title, note, columns in SECTIONS:
        of_section = [row for row in rows if row["section"] == section]
        if of_section:
            yield from ("", f"## {title}", "", *([note, ""] if note else []), *_table(columns, of_section))


def _table(columns: dict[str, str], rows: list[Row]) -> list[str]:
    body = ["| " + " | ".join(cell(row.get(key)) for key in columns) + " |" for row in rows]
    return ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns), *body]


def cell(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
