"""What `gscodec batch` promises, measured: second runs, runs that are killed, and a cluster, on many small pictures.

    python benchmarks/batch.py FOLDER_OF_PICTURES [N_FILES]

Prints a Markdown table. Pictures are cut into pieces of 96x64 px, 200 files in all.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
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


def timed(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(arguments, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def digest(folder: Path) -> str:
    """Of all files' names and bytes."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.igs")):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()[:16]


def killed_runs(tree: Path, target: Path, seconds: float) -> int:
    """Start and kill the batch at random; returns how many broken files were ever there."""
    from gscodec.format import validate

    draw = random.Random(7)
    broken = 0
    for _ in range(KILLS):
        process = subprocess.Popen(command(tree, target), start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.1, 0.15) * seconds + draw.uniform(0, 2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        broken += sum(bool(validate(path)) for path in target.rglob("*.igs"))
    return broken


def dask_run(tree: Path, target: Path) -> float:
    import distributed

    with distributed.LocalCluster(  # type: ignore[no-untyped-call]  # its stubs leave it untyped
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        return timed(command(tree, target, "--engine", "dask", "--scheduler", cluster.scheduler_address, "-j", "1"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("n_files", type=int, nargs="?", default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tree = root / "tree"
        make_tree(given.pictures, tree, given.n_files)
        first = timed(command(tree, root / "one"))
        again = min(timed(command(tree, root / "one")) for _ in range(3))
        (root / "one" / ".gscodec-batch.json").unlink()
        looked = timed(command(tree, root / "one"))
        broken = killed_runs(tree, root / "two", first)
        timed(command(tree, root / "two"))
        cluster = dask_run(tree, root / "three")
        same = [digest(root / name) == digest(root / "one") for name in ("two", "three")]
        shutil.rmtree(root / "two")
    print(f"| {given.n_files} files of {PIECE[1]}x{PIECE[0]} px, `{' '.join(ARGUMENTS)}` | |\n|---|---|")
    print(f"| first run | {first:.1f} s |")
    print(f"| second run, nothing changed | {again:.2f} s |")
    print(f"| second run without its notes: every picture read and hashed | {looked:.1f} s |")
    print(f"| broken files after {KILLS} kills at random moments | {broken} |")
    print(f"| files of the killed and finished runs the same as of one run | {same[0]} |")
    print(f"| files of a Dask cluster of two processes the same | {same[1]}, {cluster:.1f} s |")


if __name__ == "__main__":
    main()
