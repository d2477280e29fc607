"""Kernels with one fault each, and what finds it: `make races`, `make mutants`.

Barriers are taken out one by one, under the race detector. Operators and constants are exchanged as listed here. A
mutant that nothing finds survives: either the place is superfluous, or a test is missing.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gscodec.cuda import sources

ROOT = Path(__file__).parents[2]

TESTS = {
    "tile_bin.cu": ("test_tile_lists.py", "test_rasters.py"),
    "binning.cuh": ("test_tile_lists.py", "test_fit_kernels.py"),
    "blend.cuh": ("test_rasters.py", "test_edges.py"),
    "raster_forward.cu": ("test_rasters.py", "test_edges.py"),
    "raster_backward.cu": ("test_rasters.py", "test_fit_kernels.py"),
    "pointwise.cuh": ("test_loss.py", "test_rasters.py"),
    "gather.cuh": ("test_fit_kernels.py", "test_rasters.py"),
    "sample.cu": ("test_rasters.py", "test_edges.py"),
    "loss.cu": ("test_loss.py",),
    "partial_sums.cuh": ("test_loss.py", "test_fit_kernels.py"),
    "fit.cu": ("test_fit_kernels.py", "test_device_fit.py"),
    "device.cuh": ("test_tile_lists.py", "test_rasters.py"),
    "unpack_coded.cu": ("test_unpack.py",),
    "unpack_packed.cu": ("test_unpack.py",),
    "upkeep.cu": ("test_upkeep_kernels.py", "test_device_qat.py"),
}
"""Tests that cover a file; all of tests/cuda if it is not listed."""

SHORT = {
    "tile_bin.cu": "sort_long_lists or train",
    "binning.cuh": "sort_long_lists or train",
    "blend.cuh": "render or differentiate",
    "raster_forward.cu": "render",
    "raster_backward.cu": "differentiate",
    "gather.cuh": "differentiate",
    "sample.cu": "render",
    "loss.cu": "compare",
    "partial_sums.cuh": "compare",
    "fit.cu": "train",
    "unpack_coded.cu": "decode",
    "unpack_packed.cu": "decode",
}
"""Work of test_races.py to run first for a missing barrier; all of it if a file is not listed."""

LONGEST_S = 1800
"""What takes longer does not end."""

SUPERFLUOUS = frozenset[tuple[str, int]]()
"""Barriers whose removal nothing finds, by file and number: see benchmarks/notes/kernels.md."""

EXCHANGES = (
    ("tile_bin.cu", "last - span.first + 1", "last - span.first"),
    ("tile_bin.cu", "total <= capacity", "total < capacity"),
    ("tile_bin.cu", "n <= SORT_SHORT", "n < SORT_SHORT"),
    ("tile_bin.cu", "bit >= SORT_BITS", "bit > SORT_BITS"),
    ("binning.cuh", "if (first == u) first -= 1;", ""),
    ("binning.cuh", "last > end - 1", "last > end"),
    ("blend.cuh", "return q < threshold", "return q <= threshold"),
    ("blend.cuh", "list.length <= TOP_K", "list.length < TOP_K"),
    ("blend.cuh", "channel != staged_channel", "false"),
    ("raster_forward.cu", "fminf(fmaxf((float)value, 0.0f), 1.0f)", "fmaxf((float)value, 0.0f)"),
    ("raster_forward.cu", "(float)PEAK, 0.5f", "(float)PEAK, 0.499f"),
    ("raster_forward.cu", "column < column1 && row < row1", "column <= column1 && row < row1"),
    ("blend.cuh", "ties ? -inverse_total[p]", "false ? -inverse_total[p]"),
    ("pointwise.cuh", "d < 0 ? (T)-w.l1", "d < 0 ? (T)w.l1"),
    ("raster_backward.cu", "column < width && row < height", "column < width"),
    ("sample.cu", "tile < begin + count - 1", "tile < begin + count"),
    ("sample.cu", "tile_y * tile_columns + tile_x", "tile_x * tile_columns + tile_y"),
    ("loss.cu", "map_row < row1", "map_row <= row1"),
    ("loss.cu", "thread < kReach + kOutputs", "thread <= kReach + kOutputs"),
    ("loss.cu", "row < height && c >= 0", "c >= 0"),
    ("loss.cu", "multiply_add(-a, u, (2 - a) * v)", "multiply_add(a, u, (2 - a) * v)"),
    ("partial_sums.cuh", "w < THREADS / WARP", "w + 1 < THREADS / WARP"),
    ("fit.cu", "score < now_floats[NOW_BEST_SCORE]", "score <= now_floats[NOW_BEST_SCORE]"),
    ("fit.cu", "if (is_scale) value -= factor * constants.widening;", ""),
    ("fit.cu", "k == 0 ? constants.width", "k == 1 ? constants.width"),
    ("fit.cu", "x < low ? low", "x <= low ? 2 * low"),
    ("fit.cu", "level >= n_levels - 1", "level >= n_levels"),
)
"""File, what stands there, and what is put in its place, wherever it stands."""


@dataclass(frozen=True)
class Mutant:
    """One place of one file."""

    file: str
    number: int
    """Index among its kind in the file, from 0."""
    at: int
    line: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.old!r} -> {self.new!r}"

    def found_by(self, *, watched: bool) -> str:
        """What tells of it, in a line; empty when nothing does."""
        tests = [f"tests/cuda/{name}" for name in TESTS.get(self.file, ())] or ["tests/cuda"]
        if not watched:
            return self._found_in(tests, watched=False)
        short = ("tests/cuda/test_races.py", "-k", f"no_race and ({SHORT.get(self.file, 'no_race')})")
        return self._found_in(short, watched=True) or self._found_in(tests, watched=True)

    def _found_in(self, tests: Sequence[str], *, watched: bool) -> str:
        command = (sys.executable, "-m", "pytest", "-q", "-x", "-m", "not cuda", "-p", "no:cacheprovider")
        environment = {
            **os.environ,
            "GSCODEC_RACES": str(int(watched)),
            "GSCODEC_MUTANT": json.dumps({"file": self.file, "at": self.at, "old": self.old, "new": self.new}),
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "cuda"))),
        }
        try:
            run = subprocess.run(
                (*command, "-p", "kernel_mutant", *tests),
                cwd=ROOT,
                env=environment,
                capture_output=True,
                encoding="utf-8",
                check=False,
                timeout=LONGEST_S,
            )
        except subprocess.TimeoutExpired:
            return f"no end: after {LONGEST_S} s"
        if run.returncode == 0:
            return ""
        if run.returncode != 1:
            raise RuntimeError(f"{self}: pytest ends with {run.returncode}\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        fault = re.search(r"^E +\S*KernelFault: (.*)$", run.stdout, re.MULTILINE)
        test = re.search(r"^FAILED (\S+)", run.stdout, re.MULTILINE)
        return f"{fault[1] if fault else 'another result'} [{test[1] if test else run.stdout[-200:]}]"


def places(file: str, old: str, new: str) -> Iterator[Mutant]:
    """A mutant for each place where a text stands in a file, comments aside."""
    text = sources._text(file)
    for number, found in enumerate(re.finditer(re.escape(old), text)):
        line = text.count("\n", 0, found.start()) + 1
        if "//" not in text.splitlines()[line - 1].split(old)[0]:
            yield Mutant(file, number, found.start(), line, old, new)


def files() -> list[str]:
    """All files of kernels, headers first."""
    names = {name for headers in sources.HEADERS.values() for name in headers} | {f"{f}.cu" for f in sources.HEADERS}
    return sorted(names)


def barriers() -> list[Mutant]:
    """Every barrier and fence of every file, taken out."""
    return [
        mutant
        for file in files()
        for barrier in ("__syncthreads();", "__syncwarp();", "__threadfence();")
        for mutant in places(file, barrier, "(void)0;")
    ]


def exchanges() -> list[Mutant]:
    """What EXCHANGES lists.

    Raises:
        KeyError: a text of the list stands nowhere.
    """
    mutants = []
    for file, old, new in EXCHANGES:
        found = list(places(file, old, new))
        if not found:
            raise KeyError(f"{file} has no {old!r}")
        mutants += found
    return mutants


def main() -> int:
    """Prints who finds what; 1 when a mutant survives that is not known to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--barriers", action="store_true", help="barriers, not operators")
    parser.add_argument("--file", help="only of this file")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    args = parser.parse_args()
    mutants = [m for m in (barriers() if args.barriers else exchanges()) if args.file in {None, m.file}]
    survivors = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        for mutant, found in zip(mutants, pool.map(lambda m: m.found_by(watched=args.barriers), mutants), strict=True):
            known = args.barriers and (mutant.file, mutant.number) in SUPERFLUOUS
            survivors += not found and not known
            print(f"{mutant}: {found or ('superfluous' if known else 'SURVIVES')}", flush=True)
    print(f"{len(mutants)} mutants, {survivors} of them found by nothing")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
