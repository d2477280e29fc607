"""All fuzzing for a given time: `python tests/fuzz/fuzz.py --seconds 600`, which is `make fuzz SECONDS=600`.

Half of the time goes to the structured mutants of `campaign.py`, the rest to the native targets. What is found is kept
in the output folder: an input for a native target as TARGET-*, a file that a reader takes wrongly as NUMBER.igs with a
line in findings.txt. The corpora of the native targets grow from run to run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import campaign
from compilers import Compiler, fuzz_compiler, fuzz_target
from seeds import seed, seed_names

SHARES: Final = {"fuzz_reader": 0.25, "fuzz_coded": 0.12, "fuzz_packed": 0.08, "fuzz_paging": 0.05}
"""Fraction of the time for each native target; the mutants get the rest."""

CORPUS: Final = Path(__file__).parent / "corpus"


def run_native(name: str, seconds: float, folder: Path, programs: Path, compiler: Compiler) -> str:
    """Run one native target for some time; the fault that it found, or "".

    Args:
        folder: where its corpus lies and where what it finds is kept. programs: where it is compiled to.
    """
    program = fuzz_target(name, programs, compiler)
    corpus = (folder / "corpus" / name).absolute()
    corpus.mkdir(parents=True, exist_ok=True)
    given = [str(corpus)]
    if name == "fuzz_reader":
        seeds = programs / "seeds"
        seeds.mkdir(exist_ok=True)
        for which in seed_names():
            (seeds / f"{which}.igs").write_bytes(seed(which))
        given += [str(seeds.absolute()), str(CORPUS)]
    options = [f"-max_total_time={max(1, round(seconds))}", "-max_len=8192"]
    if compiler.guided:
        options += [
            "-len_control=0",
            "-timeout=5",
            "-rss_limit_mb=0",  # the peak counts the process that this one was forked from
            "-malloc_limit_mb=1024",
            f"-artifact_prefix={folder.absolute()}/{name}-",
        ]
    command = [str(program.absolute()), *options, *given]
    aborts = {f"{kind}_OPTIONS": "abort_on_error=1" for kind in ("ASAN", "UBSAN")}  # so that the driver keeps the input
    environment = {**os.environ, **({} if compiler.guided else aborts)}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False, env=environment
    )
    if not done.returncode:
        return ""
    crash = folder / "crash-input"  # of the driver that stands in for libFuzzer
    if crash.exists():
        crash.rename(folder / f"{name}-crash")
    return f"{name}: exit {done.returncode}\n{done.stderr[-6000:]}"


def fuzz(seconds: float, folder: Path, first: int, jobs: int) -> list[str]:
    """Run everything; what was found, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"native targets: {fuzz_compiler().label}", flush=True)
    found = []
    with tempfile.TemporaryDirectory() as programs:
        for name, share in SHARES.items():
            fault = run_native(name, share * seconds, folder, Path(programs), fuzz_compiler())
            print(f"{name}: {fault or 'nothing'}", flush=True)
            found += [fault] if fault else []
    result = campaign.run(first + 10**12, seconds * (1 - sum(SHARES.values())), jobs, first, folder)
    print(json.dumps(result, indent=1))
    report = folder / "findings.txt"
    return found + (report.read_text(encoding="utf-8").splitlines() if report.exists() else [])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="time for all of it")
    parser.add_argument(
        "--first", type=int, default=int(time.time()) * 1000, help="number of the first mutant (default: new ones)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes for the mutants")
    parser.add_argument("--output", type=Path, default=Path("out/fuzz"), help="folder for corpora and findings")
    options = parser.parse_args()
    found = fuzz(options.seconds, options.output, options.first, options.jobs)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
