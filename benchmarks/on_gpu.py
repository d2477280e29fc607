"""Everything that needs a GPU, in one command, on a machine that may have no network and little time.

    python benchmarks/on_gpu.py OUT [SECONDS] [STAGES]      (or make on-gpu OUT=... SECONDS=... STAGES=...)

Stages, in order of their worth; STAGES names some of them, with commas between:

{stages}

Uses the interpreter that runs it as it is, with what is installed there, and installs nothing. Each stage has a limit
of its own and is stopped there; after each, a line goes to OUT/summary.txt. Whatever the stages print is in
OUT/log.txt, their results are beside it: tests.xml, the benchmark's NAME.json and NAME.md, profile.nsys-rep. Exit code
1: a stage failed or was stopped, the summary says which. With --host the same goes through without a GPU, on the tests'
host runtime.
"""

import argparse
import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
BENCHMARKS: Final = Path("benchmarks")

SECONDS: Final = 560.0
"""In all: a call that is ended after ten minutes has time to carry the results away."""

PATIENCE: Final = 10
"""Times the limits on the host, which compiles its kernels with a C++ compiler, beside other work."""

LEAST_S: Final = 5.0
"""With less left, no stage is begun."""

ROW_S: Final = 15.0
"""So long before its limit the benchmark begins no row that would not end by then."""

GRACE_S: Final = 5.0
"""From asking a stage to stop, when pytest still writes its report, to ending it."""

FAULTS: Final = re.compile(r"^(FAIL|FAILED|ERROR|E  |[A-Za-z.]*Error\b|========= (ERROR|Invalid|Race))")
"""Lines of a log that say what went wrong."""

NO_COUNTERS: Final = re.compile("ERR_NVGPUCTRPERM|No kernels were profiled")
"""What ncu says where the driver lets it see nothing, whatever its exit code."""

PROFILED: Final = ("blend_tiles", "backward_tiles", "ssim_loss", "sort_lists", "emit_pairs", "finish_step")
"""Kernels whose stalls and occupancy ncu reports."""

Command = Sequence[str]


@dataclass(frozen=True)
class Setting:
    """What the stages run with."""

    python: str
    out: Path
    host: bool
    limit_s: float = 0.0
    """Time limit of the current stage, s."""

    def script(self, name: str, *arguments: str) -> Command:
        """A script of this folder, on the device at hand."""
        return [self.python, str(BENCHMARKS / name), *(["--device", "host"] if self.host else []), *arguments]

    def pytest(self, *arguments: str) -> Command:
        """The tests that need a GPU; on the host, those that do not."""
        mark = "not cuda" if self.host else "cuda"
        return [self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", mark, *arguments]

    def environment(self) -> dict[str, str]:
        """For all stages: this very tree is imported, and a missing GPU fails tests."""
        cache = Path(tempfile.gettempdir()) / f"gscodec-kernels-{os.getuid()}"
        return {
            "CUPY_CACHE_DIR": str(cache),
            **os.environ,
            **({} if self.host else {"GSCODEC_NEED_GPU": "1"}),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # other packages' plugins; ours are named
        }


class Stage(NamedTuple):
    """A step of the run."""

    what: str
    limit_s: float
    commands: Callable[[Setting], Sequence[Command]]
    """Commands, tried in order until one succeeds; none at all means that a tool is missing, which is not a failure."""
    missing: str = ""
    """Message in that case."""
    variables: Mapping[str, str] = {}
    """Additional environment variables."""


def smoke(setting: Setting) -> Sequence[Command]:
    """All checks; on the host, a few, since the tests take the others."""
    return [setting.script("gpu_smoke.py", *(["--only", "opens,refuses another,graph,unpack"] if setting.host else []))]


def tests(setting: Setting) -> Sequence[Command]:
    """The parity tests, in as many processes as there is memory for on the device."""
    side_by_side = not setting.host and importlib.util.find_spec("xdist") is not None
    workers = ["-p", "xdist", "-n", str(min(8, os.cpu_count() or 1))] if side_by_side else []
    folders = ["tests/cuda/test_runtime.py"] if setting.host else ["tests/cuda", "tests/render"]
    return [setting.pytest(*workers, "--junitxml", str(setting.out / "tests.xml"), *folders)]


def bench(setting: Setting) -> Sequence[Command]:
    """The benchmark; on the host, a row."""
    options = ["--out", str(setting.out), "--seconds", f"{max(setting.limit_s - ROW_S, 1):.0f}"]
    return [setting.script("gpu.py", *options, *(["--rows", "transfers"] if setting.host else []))]


def profile(setting: Setting) -> Sequence[Command]:
    """Nsight Compute, and where that is missing or may not read the counters, Nsight Systems."""
    workload, found = setting.script("gpu_smoke.py", "--workload"), []
    if ncu := tool("ncu"):
        sections = ("SpeedOfLight", "Occupancy", "SchedulerStats", "WarpStateStats", "LaunchStats")
        kernels = f"regex:^({'|'.join(PROFILED)})$"
        options = ["--clock-control", "none", "--target-processes", "all", "-k", kernels]
        options += ["--launch-skip", "12", "--launch-count", "36", "--csv"]
        found.append([ncu, *options, *(word for name in sections for word in ("--section", name)), *workload])
    if nsys := tool("nsys"):
        options = ["profile", "--trace", "cuda", "--stats", "true", "--force-overwrite", "true"]
        found.append([nsys, *options, "--output", str(setting.out / "profile"), *workload])
    return found


def checked(kind: str, *selection: str) -> Callable[[Setting], Sequence[Command]]:
    """Tests under a tool of compute-sanitizer."""

    def commands(setting: Setting) -> Sequence[Command]:
        sanitizer = tool("compute-sanitizer")
        if not sanitizer:
            return []
        chosen = ["tests/cuda/test_runtime.py", "-k", "repeated"] if setting.host else selection
        return [[sanitizer, "--tool", kind, "--error-exitcode", "9", *setting.pytest(*chosen)]]

    return commands


NO_SANITIZER: Final = "compute-sanitizer was not found: accesses of a GPU were not checked"
EACH_ALONE: Final = {"GSCODEC_NO_MEMORY_POOL": "1"}
"""Arrays lie apart, so that the tool sees where each ends."""

STAGES: Final[dict[str, Stage]] = {
    "versions": Stage(
        "what is installed, what is missing and what that loses", 60, lambda s: [s.script("_gpu_versions.py")]
    ),
    "build": Stage(
        "the engine beside its sources, unless it is there; without it nothing else runs",
        180,
        lambda s: [[s.python, str(BENCHMARKS / "_gpu_build.py")]],
    ),
    "smoke": Stage("every way into the device once", 100, smoke),
    "tests": Stage("the parity tests", 200, tests),
    "bench": Stage("times, written row by row", 260, bench),
    "profile": Stage(
        "occupancy and stalls of the kernels of a step",
        90,
        profile,
        "ncu and nsys were not found: of the kernels there are the times in the benchmark's results alone",
    ),
    "memcheck": Stage(
        "accesses outside of memory",
        120,
        checked("memcheck", *(f"tests/cuda/test_{name}.py" for name in ("rasters", "unpack", "loss", "fit_kernels"))),
        NO_SANITIZER,
        EACH_ALONE,
    ),
    "racecheck": Stage(
        "races in shared memory",
        100,
        checked("racecheck", "tests/cuda/test_rasters.py", "tests/cuda/test_loss.py", "tests/cuda/test_tile_lists.py"),
        NO_SANITIZER,
    ),
    "synccheck": Stage(
        "barriers that not all threads reach", 60, checked("synccheck", "tests/cuda/test_rasters.py"), NO_SANITIZER
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    table = "\n".join(f"    {name:<10} {stage.what}; at most {stage.limit_s:.0f} s" for name, stage in STAGES.items())
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").format(stages=table), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the results; made")
    parser.add_argument("seconds", metavar="SECONDS", type=float, nargs="?", default=SECONDS, help="in all (560)")
    parser.add_argument("stages", metavar="STAGES", nargs="?", default="", help="names with commas between; all")
    parser.add_argument("--host", action="store_true", help="without a GPU: to test this script")
    options = parser.parse_args(arguments)
    wanted = [name for name in options.stages.split(",") if name] or list(STAGES)
    unknown = [name for name in wanted if name not in STAGES]
    if unknown:
        parser.error(f"no stage is called {unknown[0]!r}")
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(Setting(sys.executable, options.out.resolve(), options.host), options.seconds)
    with interruptible():
        failed = run.stages({name: stage for name, stage in STAGES.items() if name in wanted})
    run.say(f"FAILED: {', '.join(failed)}" if failed else "all stages that ran passed")
    return int(bool(failed))


class Run:
    """Stages one after the other, within a time in all.

    Args:
        seconds: in all.
    """

    def __init__(self, setting: Setting, seconds: float) -> None:
        self._setting = setting
        self._began = time.monotonic()
        self._seconds = seconds
        self._log = setting.out / "log.txt"

    def say(self, line: str) -> None:
        """Adds a line to the summary, and shows it."""
        line = f"[{time.monotonic() - self._began:.0f} s] {line}"
        print(line, flush=True)
        with (self._setting.out / "summary.txt").open("a", encoding="utf-8") as summary:
            summary.write(f"{line}\n")

    def stages(self, stages: Mapping[str, Stage]) -> list[str]:
        """Carries them out, and returns the names of those that failed or were stopped."""
        failed = []
        for name, stage in stages.items():
            left = self._seconds - (time.monotonic() - self._began)
            if left < LEAST_S:
                self.say(f"{name}: NOT RUN, no time is left")
                failed.append(name)
            elif not self._stage(name, stage, min(stage.limit_s * (PATIENCE if self._setting.host else 1), left)):
                failed.append(name)
                if name == "build":
                    self.say("without the engine nothing else runs")
                    break
        return failed

    def _stage(self, name: str, stage: Stage, limit_s: float) -> bool:
        commands = stage.commands(replace(self._setting, limit_s=limit_s))
        if not commands:
            self.say(f"{name}: not run: {stage.missing}")
            return True
        began, passed = time.monotonic(), False
        for number, command in enumerate(commands, 1):
            from_byte = self._note(f"===== {name}: {' '.join(command)}\n")
            left = limit_s - (time.monotonic() - began)
            code = run_for(left, command, {**self._setting.environment(), **stage.variables}, self._log)
            text = self._log.read_bytes()[from_byte:].decode(errors="replace")
            passed, judged = judge(code, text, limit_s)
            last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
            which = name if len(commands) == 1 else f"{name}, {Path(command[0]).name}"
            self.say(f"{which}: {judged} after {time.monotonic() - began:.0f} s: {last[:200]}")
            if passed or code is None:
                break
            if number == len(commands):
                for line in [line for line in text.splitlines() if FAULTS.match(line)][:12]:
                    print(f"    {line[:200]}", flush=True)
        return passed

    def _note(self, line: str) -> int:
        """Adds a line to the log, and returns how long the log is then."""
        with self._log.open("ab") as log:
            log.write(line.encode())
            return log.tell()


def judge(code: int | None, text: str, limit_s: float) -> tuple[bool, str]:
    """Whether a stage passed by its exit code (None: it was stopped) and what it printed; and the word for it."""
    if code is None:
        return False, f"STOPPED at its limit of {limit_s:.0f} s"
    if code:
        return False, f"FAILED (exit code {code})"
    skipped = re.search(r"^.*\b(\d+) skipped\b.* in [\d.]+s", text, re.MULTILINE)
    if skipped:
        return False, f"FAILED ({skipped[1]} tests were skipped, which is no pass)"
    if NO_COUNTERS.search(text):
        return False, "FAILED (no kernel was profiled)"
    return True, "ok"


def run_for(seconds: float, command: Command, environment: Mapping[str, str], log: Path) -> int | None:
    """Runs a command with its output behind the log; None if it had to be stopped, with all that it started."""
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            output.write(f"ERROR {command[0]} does not start: {error}\n".encode())
            return 127
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end(process)
    return code


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Programs started within end at SIGINT, even where this one was started in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process and its group: asks first, then does not ask."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def tool(name: str) -> str | None:
    """A program of the CUDA toolkit: on PATH, in its usual folders, or in a wheel of the interpreter's."""
    found = shutil.which(name)
    if found:
        return found
    places = [
        (Path("/usr/local"), (f"cuda*/bin/{name}", f"cuda*/compute-sanitizer/{name}")),
        (Path("/opt/nvidia"), (f"*/*/{name}", f"*/*/bin/{name}", f"*/*/target-linux-x64/{name}")),
        (Path(sysconfig.get_path("purelib")) / "nvidia", (f"**/{name}",)),
    ]
    for folder, patterns in places:
        for pattern in patterns:
            for path in sorted(folder.glob(pattern), reverse=True):
                if path.is_file() and os.access(path, os.X_OK):
                    return str(path)
    return None


if __name__ == "__main__":
    raise SystemExit(main())
