"""The CUDA engine on the card at hand: steps, kernels beside their floors, renders, encodes, decodes. One call:

    python benchmarks/gpu.py                 (or make bench-gpu, which installs what it needs)

Everything is made from a seed. Results go to benchmarks/results/gpu_NAME.json and .md, NAME being the card's. Times on
the device are medians of CUDA events after a warm-up; those of a whole encode or decode are the waiting person's. A
kernel's floor is the greater of the bytes it has to move over the bandwidth of a large copy measured here, and the
operations it cannot do without over the card's arithmetic.
"""

import argparse
import json
import platform
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _gpu_cases import FULL, SMOKE, Row, Sizes, decodes, encodes, renders, speed_of, steps

from gscodec.cuda.device import cuda_devices, open_runtime, probe
from gscodec.cuda.runtime import Runtime
from gscodec.errors import GsCodecError
from gscodec.version import __version__

PAPER: dict[str, Any] = {
    "device": "NVIDIA RTX A6000",
    "side": 2048,
    "gaussians": 10_000,
    "step_ms": 18.7,
    "render_ms": 3.7,
}
"""What the paper states of its own implementation (Zhang et al. 2025)."""


SECTIONS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    (
        "steps",
        "Training steps",
        "Everything a step does, as one CUDA graph; the host looks on every few steps.",
        {
            "preset": "preset",
            "side": "side",
            "gaussians": "Gaussians",
            "step_ms": "ms a step",
            "steps_per_s": "steps/s",
            "of_fewest": "of the time with fewest Gaussians",
            "of_paper": "times the paper's speed",
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
        "renders",
        "Renders to uint8 on the device",
        "Tile lists here wait for the host once, to make room; blending does not.",
        {
            "side": "side",
            "gaussians": "Gaussians",
            "bin_ms": "tile lists ms",
            "blend_ms": "blending ms",
            "ms": "ms",
            "of_paper": "times the paper's speed",
        },
    ),
    (
        "encodes",
        "Whole encodes",
        "The second of two; the first also compiles kernels.",
        {
            "preset": "preset",
            "side": "side",
            "gaussians": "Gaussians",
            "steps": "steps",
            "seconds": "s",
            "first_seconds": "s, first",
            "psnr": "dB",
            "same_bytes": "same bytes twice",
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
)
"""Of the report: rows in the results, title, what to know, columns."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that everything runs")
    arguments = parser.parse_args()
    try:
        runtime = open_runtime(arguments.device)
    except GsCodecError as error:
        raise SystemExit(f"gpu.py: {error}") from error
    index = int(runtime.name.partition(":")[2])
    results = measure(runtime, arguments.device, SMOKE if arguments.smoke else FULL, cuda_devices()[index].name)
    for path in write(results, arguments.out):
        print(path)


def measure(runtime: Runtime, device: str, sizes: Sizes, name: str) -> dict[str, Any]:
    """All results, told on the way."""
    speed = speed_of(runtime, sizes)
    driver = probe().driver
    results: dict[str, Any] = {
        "device": name,
        "driver": None if driver is None else f"{driver[0]}.{driver[1]}",
        "gscodec": __version__,
        "numpy": np.__version__,
        "array_module": f"{runtime.xp.__name__} {runtime.xp.__version__}",
        "python": platform.python_version(),
        "bytes_per_s": speed.bytes_per_s,
        "operations_per_s": speed.operations_per_s,
        "paper": PAPER,
    }
    _tell(f"{name}: {speed.bytes_per_s / 1e9:.0f} GB/s, {speed.operations_per_s / 1e12:.1f} T operations/s")
    results["steps"], results["kernels"] = [], []
    for row, kernels in steps(runtime, sizes, speed):
        _tell(row)
        results["steps"].append(row)
        results["kernels"] += kernels
    for part, rows in (
        ("renders", renders(runtime, sizes)),
        ("encodes", encodes(device, sizes)),
        ("decodes", decodes(runtime, device, sizes)),
    ):
        results[part] = []
        for row in rows:
            _tell(row)
            results[part].append(row)
    _compare(results)
    return results


def _compare(results: dict[str, Any]) -> None:
    """Adds to rows what they are beside others: the paper's figure, the floor, fewer Gaussians."""
    fewest = {row["preset"]: row for row in reversed(results["steps"])}
    for row in results["steps"]:
        row["of_fewest"] = row["step_ms"] / fewest[row["preset"]]["step_ms"]
        row["of_paper"] = PAPER["step_ms"] / row["step_ms"] if _is_the_paper_s(row) else None
    for row in results["renders"]:
        row["of_paper"] = PAPER["render_ms"] / row["ms"] if _is_the_paper_s(row) else None
    for row in results["kernels"]:
        row["of_floor"] = row["ms"] / row["floor_ms"] if row["floor_ms"] else None


def _is_the_paper_s(row: Row) -> bool:
    return all(row[key] == PAPER[key] for key in ("side", "gaussians"))


def write(results: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """The JSON and the Markdown file, named after the device."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "gpu_" + re.sub(r"[^a-z0-9]+", "_", results["device"].lower()).strip("_")
    data, text = folder / f"{stem}.json", folder / f"{stem}.md"
    data.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text.write_text("\n".join(report(results)) + "\n", encoding="utf-8")
    return data, text


def report(results: dict[str, Any]) -> Iterator[str]:
    """Lines of Markdown."""
    paper = results["paper"]
    yield f"# CUDA engine on {results['device']}"
    yield ""
    yield (
        f"gscodec {results['gscodec']}, {results['array_module']}, Python {results['python']}, driver for CUDA "
        f"{results['driver']}. A large copy moves {results['bytes_per_s'] / 1e9:.0f} GB/s; lanes times clock make "
        f"{results['operations_per_s'] / 1e12:.1f} T float32 operations/s. Made by `benchmarks/gpu.py` from synthetic "
        "pictures and files."
    )
    yield ""
    yield (
        f"The paper's implementation on an {paper['device']}, as published: {paper['step_ms']} ms a step and "
        f"{paper['render_ms']} ms a render at {paper['side']}x{paper['side']} with {paper['gaussians']:,} Gaussians."
    )
    for key, title, note, columns in SECTIONS:
        yield from ("", f"## {title}", "", note, "") if note else ("", f"## {title}", "")
        yield from _table(columns, results[key])


def _table(columns: dict[str, str], rows: Iterable[Row]) -> list[str]:
    body = ["| " + " | ".join(_cell(row[key]) for key in columns) + " |" for row in rows]
    return ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns), *body]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _tell(row: Row | str) -> None:
    print(row if isinstance(row, str) else " ".join(f"{key}={_cell(value)}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
