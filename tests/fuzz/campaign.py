"""Compares the readers on mutants by the million: `python tests/fuzz/campaign.py --mutants 1000000 --jobs 2`.

Mutants are those of the seeds in turn, so that a run is known by its first number and how many there are. Each worker
is a process of its own with a limit on its memory; one that dies or works on one mutant for longer than the limit has
found something, and another goes on after it. Findings are files in --findings, NUMBER.igs, each with a line in
findings.txt; `--first NUMBER --mutants 1` does it again, and `--again FILE` takes any file.
"""

import argparse
import gc
import json
import mmap
import os
import platform
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from c_reader import CReader
from comparison import ReaderComparison
from compilers import ROOT, reader_library
from mutations import mutant
from seeds import seed_names

MAX_SECONDS: Final = 5.0
"""Maximum processor time for one mutant."""

MAX_BYTES: Final = 1 << 30
"""Bytes that a worker may allocate beyond those at its start: more is refused by the system, and a finding."""

MAX_RESIDENT: Final = 256 << 20
"""Bytes that a mutant may add to a worker's resident memory."""

DEEP_EVERY: Final = 16
"""One mutant in this many is also rendered in parts, at other sizes, and to files."""

_FIELDS: Final = struct.Struct("<QQQ")  # mutants begun, mutants done, most bytes that were added


def numbered(number: int) -> tuple[str, bytes, bool]:
    """The seed and the bytes of a mutant of a run, and whether it is looked at in depth."""
    turn, place = divmod(number, len(seed_names()))
    name = seed_names()[place]
    return name, mutant(name, turn), turn % DEEP_EVERY == 0


Result = dict[str, Any]
"""What came of a run, by the names that `run` gives."""


WARMED: Final = ("rgb", "coded_rgb", "packed_rgb")
"""Seeds whose mutants a worker takes first, uncounted."""


@dataclass
class Worker:
    """A process that takes every `step`-th mutant from `first` on."""

    first: int
    step: int
    end: float
    last: int
    folder: Path
    c_reader: Path
    shared: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, _FIELDS.size))
    pid: int = 0
    _seen: tuple[int, float] = (-1, 0.0)

    def start(self) -> None:
        """Begin, or go on behind the mutant that ended the process before."""
        with warnings.catch_warnings():  # Python 3.12 warns where there are threads; the engine's pool bears a fork
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if not self.pid:
            code = 1
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                self._work()
                code = 0
            finally:
                os._exit(code)

    @property
    def progress(self) -> tuple[int, int, int]:
        """Mutants begun and done, and the most bytes that one of them added."""
        begun, done, most = _FIELDS.unpack(self.shared[:])
        return begun, done, most

    def current(self) -> int:
        """Number of the mutant at hand, or of the last one."""
        return self.first + self.step * max(0, self.progress[0] - 1)

    def over_time(self) -> bool:
        """Whether the process has spent too much of a processor's time on its mutant."""
        begun, _, _ = self.progress
        spent = processor_seconds(self.pid)
        if begun != self._seen[0]:
            self._seen = begun, spent
        return begun > 0 and spent - self._seen[1] > MAX_SECONDS

    def _work(self) -> None:
        if hasattr(os, "sched_setaffinity"):  # the engine then has one thread, and workers do not wait for each other
            cpus = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cpus[self.first % self.step % len(cpus)]})
        gc.set_threshold(100_000, 50, 50)
        readers = ReaderComparison(CReader(self.c_reader))
        for name in WARMED:  # what is loaded or built once is no mutant's doing
            readers.check(mutant(name, 0), random.Random(0), deep=True)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MAX_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        begun, done, most = self.progress
        outcomes: Counter[str] = Counter()
        report = self.folder / f"outcomes_{self.first}_{begun}.json"
        while (number := self.first + self.step * begun) < self.last and time.monotonic() < self.end:
            begun += 1
            self.shared[:] = _FIELDS.pack(begun, done, most)
            name, data, deep = numbered(number)
            before = resident_bytes()
            found = readers.check(data, random.Random(number), deep=deep)
            added = resident_bytes() - before
            if added > MAX_RESIDENT:
                found.findings.append(f"memory: {added >> 20} MiB more are resident")
            for finding in found.findings:
                keep(self.folder, data, number, f"{name}: {finding}")
            outcomes[found.outcome] += 1
            done += 1
            most = max(most, added)
            if done % 200 == 0:
                report.write_text(json.dumps(outcomes))
            self.shared[:] = _FIELDS.pack(begun, done, most)
        report.write_text(json.dumps(outcomes))


def resident_bytes() -> int:
    """The most memory that this process has had at a time."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def processor_seconds(pid: int) -> float:
    """Processor time of a process, all its threads."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def keep(folder: Path, data: bytes, number: int, reason: str) -> None:
    """Write a finding down: its bytes, and what is wrong with them."""
    (folder / f"{number}.igs").write_bytes(data)
    with (folder / "findings.txt").open("a", encoding="utf-8") as file:
        file.write(f"{number} {ascii(reason)[1:-1]}\n")


def run(last: int, seconds: float, jobs: int, first: int, folder: Path) -> Result:
    """ReaderComparison the mutants `first` to `last`, or as many as the time allows."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        c_reader = reader_library(Path(scratch))
        began = time.monotonic()
        workers = [Worker(first + k, jobs, began + seconds, last, folder, c_reader) for k in range(jobs)]
        for worker in workers:
            worker.start()
        living = set(range(jobs))
        try:
            while living:
                time.sleep(0.25)
                for k in sorted(living):
                    if _ended(workers[k]):
                        living.discard(k)
        except KeyboardInterrupt:  # what is done counts
            for k in living:
                os.kill(workers[k].pid, signal.SIGKILL)
                os.waitpid(workers[k].pid, 0)
    outcomes: Counter[str] = Counter()
    for report in folder.glob("outcomes_*.json"):
        outcomes.update(json.loads(report.read_text()))
        report.unlink()
    findings = (folder / "findings.txt").read_text().splitlines() if (folder / "findings.txt").exists() else []
    kinds = Counter(line.split(": ")[1] for line in findings)
    return {
        "mutants": sum(worker.progress[1] for worker in workers) + kinds["crash"] + kinds["hang"],
        "first": first,
        "seconds": round(time.monotonic() - began, 1),
        "jobs": jobs,
        "outcomes": dict(outcomes.most_common()),
        "most_resident_mib": max(worker.progress[2] for worker in workers) >> 20,
        "findings": {kind: kinds[kind] for kind in ("crash", "hang", "memory", "foreign exception", "disagreement")},
        "commit": subprocess.run(
            ["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, encoding="utf-8", check=False
        ).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _ended(worker: Worker) -> bool:
    """Whether a worker is through; one that died or hangs is followed by another."""
    pid, status = os.waitpid(worker.pid, os.WNOHANG)
    if pid:
        if status == 0:
            return True
        what = f"crash: {signal.Signals(status & 127).name if status & 127 else f'exit {status >> 8}'}"
    elif worker.over_time():
        os.kill(worker.pid, signal.SIGKILL)
        os.waitpid(worker.pid, 0)
        what = f"hang: more than {MAX_SECONDS:g} s of processor time"
    else:
        return False
    if not worker.progress[0]:
        raise RuntimeError(f"a worker ended before its first mutant: {what}")
    name, data, _ = numbered(worker.current())
    keep(worker.folder, data, worker.current(), f"{name}: {what}")
    worker.start()
    return False


def again(path: Path) -> list[str]:
    """What is wrong with a file."""
    with tempfile.TemporaryDirectory() as scratch:
        readers = ReaderComparison(CReader(reader_library(Path(scratch))))
        found = readers.check(path.read_bytes(), random.Random(0), deep=True)
    return [found.outcome, *found.findings]


def record(path: Path, result: Result) -> None:
    """Add a run to a Markdown table, whose text stands in the file."""
    findings = result["findings"]
    cells = [result["mutants"], result["first"], *findings.values(), result["most_resident_mib"]]
    cells += [f"{result['seconds'] / 60:.0f}", result["jobs"], result["machine"], result["commit"]]
    with path.open("a", encoding="utf-8") as file:
        file.write(f"| {time.strftime('%Y-%m-%d')} | {' | '.join(map(str, cells))} |\n")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=10**9, help="how many (default: as the time allows)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seconds", type=float, default=7 * 24 * 3600.0, help="how long at most")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--findings", type=Path, default=Path("out/fuzz"), help="folder for what is found")
    parser.add_argument("--record", type=Path, help="Markdown file that ends with a table of runs")
    parser.add_argument("--again", type=Path, help="compare the readers on one file and nothing else")
    options = parser.parse_args()
    if options.again:
        print("\n".join(again(options.again)))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    result = run(options.first + options.mutants, options.seconds, options.jobs, options.first, options.findings)
    print(json.dumps(result, indent=1))
    if options.record:
        record(options.record, result)
    return 1 if any(result["findings"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
