"""What `gscodec batch` promises, measured: second runs, runs that are killed, and a cluster, on many small pictures.

    python benchmarks/batch.py FOLDER_OF_PICTURES [N_FILES] [--output FILE.md]

A Markdown table. Pictures are cut into pieces of 96x64 px, 200 files in all.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gscodec_bench.machine import machine
from PIL import Image

PIECE = (64, 96)
KILLS = 20
ARGUMENTS = ["--preset", "fast", "--steps", "30", "--bpp", "1", "--quiet"]


def make_tree(pictures: Path, tree: Path, n_files: int) -> None:
    """Pieces of the pictures, in four folders."""
    made = 0
    height, width = PIECE
    while made < n_files:
        for path in sorted(pictures.rglob("*.png")):
            with Image.open(path) as image:
                values = np.asarray(image.convert("RGB"))
            row = made * 37 % max(1, values.shape[0] - height)
            column = made * 91 % max(1, values.shape[1] - width)
            target = tree / f"part{made % 4}" / f"piece{made:03d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values[row : row + height, column : column + width]).save(target)
            made += 1
            if made == n_files:
                return


def command(tree: Path, target: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "gscodec", "batch", str(tree), str(target), *ARGUMENTS, *more]


@dataclass(frozen=True)
class Took:
    """Time of a run and of all its processes."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s, {self.cpu:.2f} CPU seconds"


def timed(arguments: list[str]) -> Took:
    started, before = time.perf_counter(), os.times()
    subprocess.run(arguments, check=True, stderr=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Took(time.perf_counter() - started, cpu)


def written(folder: Path) -> dict[Path, int]:
    """When each file was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.igs")}


def digest(folder: Path) -> str:
    """SHA-256 of all files' names and bytes."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.igs")):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()[:16]


def killed_runs(tree: Path, target: Path, seconds: float) -> tuple[int, list[int]]:
    """Start and kill the batch at random; how many broken files were ever there, and files after each kill."""
    from gscodec.container.validate import validate

    draw = random.Random(7)
    broken, counts = 0, []
    for _ in range(KILLS):
        process = subprocess.Popen(command(tree, target), start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(1 + draw.uniform(0, 0.3) * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        files = list(target.rglob("*.igs"))
        broken += sum(bool(validate(path)) for path in files)
        counts.append(len(files))
    return broken, counts


def dask_run(tree: Path, target: Path) -> Took:
    import distributed

    with distributed.LocalCluster(  # type: ignore[no-untyped-call]  # its stubs leave it untyped
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        return timed(command(tree, target, "--engine", "dask", "--scheduler", cluster.scheduler_address, "-j", "1"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("n_files", type=int, nargs="?", default=200)
    parser.add_argument("--output", type=Path, help="default: stdout")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tree = root / "tree"
        make_tree(given.pictures, tree, given.n_files)
        first = timed(command(tree, root / "one"))
        stamps = written(root / "one")
        again = min((timed(command(tree, root / "one")) for _ in range(3)), key=lambda took: took.wall)
        (root / "one" / ".gscodec-batch.jsonl").unlink()
        looked = timed(command(tree, root / "one"))
        rewritten = sum(stamps.get(path) != stamp for path, stamp in written(root / "one").items())
        broken, counts = killed_runs(tree, root / "two", first.wall)
        timed(command(tree, root / "two"))
        cluster = dask_run(tree, root / "three")
        same = [digest(root / name) == digest(root / "one") for name in ("two", "three")]
        leftovers = [path.name for path in (root / "two").rglob("*") if path.is_file() and path.suffix != ".igs"]
    lines = [
        "# Batches: second runs, kills and a cluster",
        "",
        "    python benchmarks/batch.py PICTURES",
        "",
        f"Measured on: {machine()}, shared; load average {os.getloadavg()[0]:.1f}. Each run is `gscodec batch` in a "
        "process of its own, start-up included.",
        "",
        f"| {given.n_files} files of {PIECE[1]}x{PIECE[0]} px, `{' '.join(ARGUMENTS)}` | |",
        "|---|---|",
        f"| files written by the first run | {len(stamps)} |",
        f"| first run | {first} |",
        f"| second run, nothing changed, best of three | {again} |",
        f"| second run without its notes: every picture read and hashed | {looked} |",
        f"| files that these four runs wrote again | {rewritten} |",
        f"| files after each of {KILLS} kills at random moments | {', '.join(map(str, counts))} |",
        f"| broken files among them | {broken} |",
        f"| after the run that finished: other files than `.igs` | {', '.join(leftovers)} |",
        f"| its files the same as those of one run | {'yes' if same[0] else 'no'} |",
        f"| files of a Dask cluster of two processes the same | {'yes' if same[1] else 'no'}; {cluster} |",
        "",
    ]
    if given.output:
        given.output.write_text("\n".join(lines), encoding="utf-8")
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
