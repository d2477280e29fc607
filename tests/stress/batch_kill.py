"""Batches that are killed at random moments, both ways, with another run and a shard beside them.

    python tests/stress/batch_kill.py [--kills 100] [--seed N] [--fork] [--output FILE.json]

Each round changes some sources, or cache and outputs, starts a batch, a second one and a shard in one folder, and ends
the first, and sometimes the others, with SIGKILL to their process groups. Afterwards no source may have changed, and
whatever lies in the output folder must be a whole file that some undisturbed run would have written. The next run must
end well, leave exactly what an undisturbed run leaves and no temporary file, and the one after it must find all of it
current. Anything else ends the program with exit code 1.

With --fork, batches are forks of this process that do their items themselves: a hundred times faster to start, so that
more of the kills meet them at work. Every other one writes through temporary names, as on systems without O_TMPFILE.
"""

import argparse
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

NAMES: Final = (
    "a.png",
    "tile.png",
    "tile.001.png",
    "deep/b.png",
    "deep/c.bmp",
    "wood/wood_albedo.png",
    "wood/wood_rough.png",
    "wood.png",
)
SIDE: Final = 48
VARIANTS: Final = (0, 1)
COMMON: Final = ["--jobs", "1", "-j", "1", "--device", "cpu", "--quiet"]
SYNC_SECONDS: Final = 0.02
"""Additional seconds of a fork's fsync, as on a slow disk, so that more kills fall into the writing of a file."""

REST_SECONDS: Final = 120
"""Longest wait, s, for a batch that is not killed."""


class Broken(Exception):
    """A promise that a batch has not kept."""


def paint(path: Path, seed: int) -> None:
    """A picture of blocks, written beside its place and moved there."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    pixels = np.kron(blocks, np.ones((SIDE // 6, SIDE // 6, 1), np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"new{path.suffix}")
    Image.fromarray(pixels if path.name != "wood_rough.png" else pixels[:, :, 0]).save(new)
    new.replace(path)


def seed_of(name: str, variant: int) -> int:
    """Seed of a picture's pixels."""
    return 2 * NAMES.index(name) + variant


@dataclass
class Running:
    """A batch in a process group of its own."""

    pid: int
    code: int | None = None

    def kill(self) -> None:
        """End it and all of its workers at once."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def wait(self) -> int:
        """Its exit code; all of its workers are gone by then."""
        if self.code is None:
            deadline = time.monotonic() + REST_SECONDS
            while True:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > deadline:
                    self.kill()
                    raise Broken(f"a batch has not ended within {REST_SECONDS} s")
                time.sleep(0.002)
            self.code = os.waitstatus_to_exitcode(status)
            while any(_members(self.pid)):
                time.sleep(0.002)
        return self.code


def _members(group: int) -> Iterator[int]:
    """Processes of a group that are not zombies."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in {"Z", "X"}:
                yield int(entry.name)


def spawned(arguments: Sequence[str], log: Path) -> Running:
    """`python -m gscodec batch` with its workers."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "gscodec", "batch", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    pid = process.pid
    process.returncode = 0  # waited for here
    return Running(pid)


def forked(arguments: Sequence[str], log: Path) -> Running:
    """The same in a fork, without workers."""
    pid = os.fork()
    if pid:
        return Running(pid)
    code = 1
    try:
        os.setsid()
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        from gscodec.batch import pool
        from gscodec.cli.app import main

        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        vars(pool)["run_tasks"] = _in_this_process
        if os.getpid() % 2:  # as on systems without files that have no name
            vars(os).pop("O_TMPFILE", None)
        vars(os)["fsync"] = functools.partial(_slowly, os.fsync)
        code = int(main(["batch", *arguments]))
        sys.stderr.flush()
    finally:
        os._exit(code)


def _slowly(sync: Callable[[int], None], descriptor: int) -> None:
    time.sleep(SYNC_SECONDS)
    sync(descriptor)


def _in_this_process(tasks: Sequence[Any], *_: Any) -> Iterator[tuple[str, int, Any]]:
    for number, task in enumerate(tasks):
        yield "begin", number, None
        yield "done", number, task.run(lambda _: None)


@dataclass
class Stress:
    """Folders, what an undisturbed run makes, and what has happened so far."""

    root: Path
    start: Callable[[Sequence[str], Path], Running]
    rng: random.Random
    seconds: dict[str, float] = field(default_factory=dict)  # of an undisturbed run, each way
    igs: dict[str, dict[bytes, tuple[int, ...]]] = field(default_factory=dict)
    back: dict[bytes, dict[str, bytes]] = field(default_factory=dict)  # of the bytes of an .igs file, by name below
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def log(self) -> Path:
        """What the batches say."""
        return self.root / "log"

    def arguments(self, way: str, *, root: Path | None = None) -> list[str]:
        """Command line arguments of `gscodec batch`."""
        root = root or self.root
        if way == "decode":
            return ["--decode", str(root / "packed"), str(root / "back"), *COMMON]
        return [str(root / "batch.toml"), "--cache", str(root / "cache"), *COMMON]

    def prepare(self) -> None:
        """Pictures, and what undisturbed runs make of every variant of them."""
        for variant in VARIANTS:
            self.reference((variant,) * len(NAMES))
        for mixed in ((0, 1), (1, 0)):  # of the two maps of a material
            self.reference(tuple(mixed[NAMES.index(name) % 2] for name in NAMES))
        self.write_manifest(self.root)
        for name in NAMES:
            paint(self.root / "src" / name, seed_of(name, 0))

    @staticmethod
    def write_manifest(root: Path) -> None:
        """`--lods` is no option of the program."""
        root.mkdir(parents=True, exist_ok=True)
        (root / "batch.toml").write_text(
            'source = "src"\noutput = "packed"\npreset = "fast"\ngaussians = 20\nsteps = 10\nlods = 1\n'
        )

    def reference(self, variants: Sequence[int]) -> None:
        """What an undisturbed run makes of some variants."""
        root = self.root / "reference"
        self.write_manifest(root)
        for name, variant in zip(NAMES, variants, strict=True):
            paint(root / "src" / name, seed_of(name, variant))
        for way in ("encode", "decode"):
            began = time.monotonic()
            code = self.start(self.arguments(way, root=root), self.log).wait()
            self.seconds[way] = time.monotonic() - began
            if code:
                raise Broken(f"an undisturbed {way} ends with code {code}; see {self.log}")
        pictures = files_in(root / "back")
        for name, data in files_in(root / "packed").items():
            stem = name.removesuffix(".igs")
            self.igs.setdefault(name, {})[data] = tuple(variants)
            own = {path: made for path, made in pictures.items() if path == f"{stem}.png"}
            own |= {
                path: made for path, made in pictures.items() if stem == "wood/wood" and path.startswith(f"{stem}/")
            }
            self.back[data] = own
        shutil.rmtree(root)

    def round(self, way: str) -> None:
        """One batch that is killed, and what must hold afterwards."""
        rng, sources = self.rng, {}
        if way == "encode":
            for name in NAMES:
                if rng.random() < 0.6:
                    paint(self.root / "src" / name, seed_of(name, rng.choice(VARIANTS)))
            if rng.random() < 0.4:
                shutil.rmtree(self.root / "packed", ignore_errors=True)
            if rng.random() < 0.7:
                shutil.rmtree(self.root / "cache", ignore_errors=True)
        elif rng.random() < 0.5:
            shutil.rmtree(self.root / "back", ignore_errors=True)
        sources = files_in(self.root / "src") | files_in(self.root / "packed" if way == "decode" else self.root / "src")
        arguments = self.arguments(way)
        more = [arguments] * (rng.random() < 0.7) + [[*arguments, "--shard", f"{rng.choice((1, 2))}/2"]] * (
            rng.random() < 0.7
        )
        main = self.start(arguments, self.log)
        others = [self.start(one, self.log) for one in more]
        time.sleep(rng.uniform(0, 0.9 * self.seconds[way] * (1 + 0.3 * len(others))))
        killed = [main, *(other for other in others if rng.random() < 0.4)]
        for one in killed:
            one.kill()
        for one in (main, *others):
            code = one.wait()
            if code == -signal.SIGKILL:
                self.counts[f"{way}: killed"] += 1
            elif code == 0:
                self.counts[f"{way}: ended before or beside"] += 1
            else:
                raise Broken(f"{way}: a batch that was not killed ends with code {code}; see {self.log}")
        self.counts["temporary files left by kills"] += len(self.leftovers())
        self.check_sources(way, sources)
        self.check_whole(way)
        self.check_next(way)
        self.check_sources(way, sources)

    def check_sources(self, way: str, before: dict[str, bytes]) -> None:
        now = files_in(self.root / "src") | files_in(self.root / "packed" if way == "decode" else self.root / "src")
        if now != before:
            raise Broken(f"{way}: sources are not what they were: {sorted(set(before) ^ set(now))}")

    def check_whole(self, way: str) -> None:
        """Every output there is, is one that an undisturbed run writes."""
        for name, data in files_in(self.root / "packed").items():
            if data not in self.igs.get(name, {}):
                raise Broken(f"{way}: packed/{name} is not a file that a batch writes")
        known: dict[str, set[bytes]] = {}
        for made in self.back.values():
            for name, data in made.items():
                known.setdefault(name, set()).add(data)
        for name, data in files_in(self.root / "back").items():
            if data not in known.get(name, set()):
                raise Broken(f"{way}: back/{name} is not a picture that a batch writes")

    def check_next(self, way: str) -> None:
        """The next run makes all of it right, and the one after it has nothing to do."""
        report = self.root / "report.json"
        for turn in ("next", "second"):
            code = self.start([*self.arguments(way), "--report", str(report)], self.log).wait()
            if code:
                raise Broken(f"{way}: the {turn} run ends with code {code}; see {self.log}")
        by_status = json.loads(report.read_text())["by_status"]
        if set(by_status) != {"current"}:
            raise Broken(f"{way}: the second run has {by_status}")
        left = self.leftovers()
        if left:
            raise Broken(f"{way}: temporary files are left: {left}")
        packed = files_in(self.root / "packed")
        if set(packed) != set(self.igs):
            raise Broken(f"{way}: packed has {sorted(packed)}")
        if way == "encode":
            for name, data in packed.items():
                expected = self.expected(name)
                if data != expected:
                    raise Broken(f"encode: packed/{name} is called current and is not of its source")
        else:
            pictures = {path: made for data in packed.values() for path, made in self.back[data].items()}
            if files_in(self.root / "back") != pictures:
                raise Broken("decode: the pictures are not those of an undisturbed run")

    def expected(self, name: str) -> bytes:
        """The `.igs` file of the sources as they are now."""
        stem = name.removesuffix(".igs")
        own = [one for one in NAMES if one.rpartition(".")[0] == stem]
        own = own or [one for one in NAMES if one.startswith("wood/")]
        found = [
            data
            for data, variants in self.igs[name].items()
            if all(self.variant_of(one) == variants[NAMES.index(one)] for one in own)
        ]
        return found[0]

    def variant_of(self, name: str) -> int:
        """Index of a source among the pictures."""
        with Image.open(self.root / "src" / name) as image:
            pixels = np.asarray(image.convert("RGB"))
        for variant in VARIANTS:
            path = self.root / "twin" / name
            paint(path, seed_of(name, variant))
            with Image.open(path) as image:
                if (np.asarray(image.convert("RGB")) == pixels).all():
                    return variant
        raise Broken(f"src/{name} is none of its pictures")

    def leftovers(self) -> list[str]:
        """Temporary files in the folders of results."""
        folders = [self.root / name for name in ("packed", "back", "cache", "src")]
        return sorted(str(path.relative_to(self.root)) for folder in folders for path in folder.rglob(".*.tmp"))


def files_in(folder: Path) -> dict[str, bytes]:
    """All files below a folder but hidden ones."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def stress(
    root: Path, kills: int, seed: int, *, fork: bool, say: Callable[[str], None] = lambda _: None
) -> Counter[str]:
    """Rounds until `kills` batches have been killed.

    Raises:
        Broken: a promise was not kept.
    """
    root.mkdir(parents=True, exist_ok=True)
    task = Stress(root, forked if fork else spawned, random.Random(seed))
    task.prepare()
    n_rounds = 0
    task.start(task.arguments("encode"), task.log).wait()
    while sum(count for what, count in task.counts.items() if what.endswith("killed")) < kills:
        task.round("encode" if n_rounds % 2 == 0 else "decode")
        n_rounds += 1
        say(f"round {n_rounds}: {dict(task.counts)}")
    task.counts["rounds"] = n_rounds
    return task.counts


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--fork", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.fork:
        import gscodec.fit  # noqa: F401 - once, not in every fork
    began = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="gscodec-stress-"))
    try:
        counts = stress(root, options.kills, options.seed, fork=options.fork, say=lambda line: print(line, flush=True))
    except Broken as fault:
        print(f"seed {options.seed}: {fault}; the folders are kept in {root}", file=sys.stderr)
        return 1
    shutil.rmtree(root)
    result = {"seed": options.seed, "seconds": round(time.monotonic() - began, 1)} | dict(sorted(counts.items()))
    text = json.dumps(result, indent=1)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
