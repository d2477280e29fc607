"""The CUDA engine on the GPU at hand: steps, renders, encodes, decodes, kernels beside their floors, cold starts.

    python benchmarks/gpu.py                 (or make bench-gpu, which builds the engine first)
    python benchmarks/gpu.py --device host --out out/gpu   the same on the tests' host runtime: a test of this script

Everything is made from a seed. Results go to NAME.json and NAME.md in --out, NAME being the GPU's, and are written anew
after every row: those that matter most come first, and a run that is stopped keeps what it has. Times on the device are
medians of CUDA events after a warm-up; those of a whole encode or decode are the waiting person's. A kernel's floor is
the greater of the bytes it has to move over the bandwidth of a large copy measured here, and the operations it cannot
do without over the GPU's arithmetic.
"""

import argparse
import json
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from _gpu_cases import FULL, SMOKE, Row, Sizes, Speed, kernels, render, speed_of, step
from _gpu_files import cold, decodes, encodes, transfers, unpacks
from _gpu_machine import HOST, Machine, opened
from _gpu_report import PAPER, cell, compare, report

from gscodec.errors import GsCodecError
from gscodec.version import __version__

RESULTS: Final = Path(__file__).parent / "results" / "gpu"
CLOCKS: Final = "clocks.sm,clocks.max.sm,clocks.mem,temperature.gpu,power.draw,utilization.gpu"


@dataclass(frozen=True)
class Job:
    """Some rows of one section."""

    section: str
    name: str
    needs_s: float  # on a GPU; what is left of the time must be as much
    rows: Callable[[], Iterator[Row]]


def jobs(machine: Machine, sizes: Sizes, speed: Speed) -> Iterator[Job]:
    """All there is to measure, what matters most first."""
    few, *more = sizes.step_counts
    side, *larger = sizes.render_sides
    least, *counts = sizes.render_counts
    for preset in ("paper", "balanced"):
        yield Job("steps", f"{preset} {few}", 5, partial(step, machine, preset, few, sizes))
    yield Job("renders", f"{side} {least}", 2, partial(render, machine, side, least, sizes))
    for preset, seconds in (("balanced", 15), ("paper", 20)):
        yield Job("encodes", preset, seconds, partial(encodes, machine, preset, sizes))
    for preset in ("paper", "balanced"):
        for count in more:
            yield Job("steps", f"{preset} {count}", 5, partial(step, machine, preset, count, sizes))
    for preset in ("paper", "balanced"):
        yield Job("kernels", f"{preset} {few}", 8, partial(kernels, machine, preset, few, sizes, speed))
    for width, count in sizes.decodes:
        yield Job("decodes", f"{width} {count}", 8, partial(decodes, machine, width, count, sizes))
    yield Job("unpacks", "", 8, partial(unpacks, machine, sizes))
    for count in counts:
        yield Job("renders", f"{side} {count}", 2, partial(render, machine, side, count, sizes))
    for what in ("decode", "encode"):
        yield Job("cold", what, 30, partial(cold, machine, what, sizes))
    yield Job("transfers", "", 3, partial(transfers, machine, sizes))
    for width in larger:
        for count in sizes.render_counts:
            yield Job("renders", f"{width} {count}", 3, partial(render, machine, width, count, sizes))
    for preset, seconds in (("fast", 8), ("best", 40)):
        yield Job("encodes", preset, seconds, partial(encodes, machine, preset, sizes))
    for preset in ("paper", "balanced"):
        for count in more[-1:]:
            yield Job("kernels", f"{preset} {count}", 8, partial(kernels, machine, preset, count, sizes, speed))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or host")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--seconds", type=float, default=600, help="start nothing that would take longer in all")
    parser.add_argument("--rows", default="", help="sections with commas between them; all are measured by default")
    options = parser.parse_args(arguments)
    if options.device == HOST and options.out == RESULTS:
        parser.error("figures of the host runtime are no results: say --out FOLDER")
    sections = {name.strip() for name in options.rows.split(",") if name.strip()}
    try:
        with opened(options.device) as machine:
            results = Results(machine, options.out)
            failed = measure(machine, results, FULL if machine.is_gpu else SMOKE, options.seconds, sections)
            paths = results.write()
    except GsCodecError as error:
        print(f"gpu.py: {error}")
        return 1
    print(f"{results.n_rows} rows" + f", FAILED: {', '.join(failed)}" * bool(failed) + f": {paths[0]} {paths[1]}")
    return int(bool(failed))


class Results:
    """What was measured so far, on disk."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._stem = folder / re.sub(r"[^a-z0-9]+", "_", machine.name.lower()).strip("_")
        self._rows: list[tuple[str, Row]] = []
        xp = machine.runtime.xp
        self.facts: dict[str, Any] = {
            "device": machine.name,
            "is_gpu": machine.is_gpu,
            "driver": machine.driver,
            "gscodec": __version__,
            "numpy": np.__version__,
            "array_module": f"{xp.__name__} {xp.__version__}",
            "python": platform.python_version(),
            "paper": PAPER,
            "clocks": {},
            "left_out": [],
            "failed": [],
        }
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def n_rows(self) -> int:
        """Number of rows of all sections."""
        return len(self._rows)

    def add(self, section: str, row: Row) -> None:
        """Keep a row, and write everything."""
        self._rows.append((section, row))
        self.write()

    def write(self) -> tuple[Path, Path]:
        """The JSON and the Markdown file: each is whole at any time."""
        results = compare({**self.facts, "rows": [{"section": section, **row} for section, row in self._rows]})
        made = []
        for suffix, text in ((".json", json.dumps(results, indent=1)), (".md", "\n".join(report(results)))):
            path, part = self._stem.with_suffix(suffix), self._stem.with_suffix(f"{suffix}.part")
            part.write_text(text + "\n", encoding="utf-8")
            part.replace(path)
            made.append(path)
        return made[0], made[1]


def measure(machine: Machine, results: Results, sizes: Sizes, seconds: float, sections: set[str]) -> list[str]:
    """Carries out jobs while there is time, and returns those that failed: they do not stop the others."""
    began, facts = time.perf_counter(), results.facts
    facts["clocks"]["before"] = clocks()
    speed = speed_of(machine.runtime, sizes)
    facts["bytes_per_s"], facts["operations_per_s"] = speed.bytes_per_s, speed.operations_per_s
    print(f"{machine.name}: {speed.bytes_per_s / 1e9:.0f} GB/s, {speed.operations_per_s / 1e12:.1f} T operations/s")
    for job in jobs(machine, sizes, speed):
        if sections and job.section not in sections:
            continue
        name = f"{job.section} {job.name}".strip()
        passed = time.perf_counter() - began
        if machine.is_gpu and passed + job.needs_s > seconds:
            facts["left_out"].append(name)
            continue
        try:
            for row in job.rows():
                results.add(job.section, row)
                text = " ".join(f"{key}={cell(value)}" for key, value in row.items())
                print(f"[{time.perf_counter() - began:.1f} s] {job.section}: {text}", flush=True)
        except Exception as error:  # one row less, and it is said
            facts["failed"].append(f"{name}: {type(error).__name__}: {error}")
            print(f"FAIL {facts['failed'][-1]}", flush=True)
    facts["clocks"]["after"] = clocks()
    if machine.is_gpu:
        facts["pool_bytes"] = int(machine.runtime.xp.get_default_memory_pool().total_bytes())
    if facts["left_out"]:
        print(f"no time for: {', '.join(facts['left_out'])}")
    return list(facts["failed"])


def clocks() -> str | None:
    """What the driver's tool says of clocks, heat and load at this moment; None without it."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", f"--query-gpu={CLOCKS}", "--format=csv,noheader"],
            capture_output=True,
            encoding="utf-8",
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
