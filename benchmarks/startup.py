"""Wall time of `gscodec --help` and of decoding a small file, start of the process included.

python benchmarks/startup.py --gscodec .venv/bin/gscodec
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from _synthetic import synthetic_file
from _table import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gscodec", default=shutil.which("gscodec"), help="the program; default: the one on PATH")
    parser.add_argument("--runs", type=int, default=11)
    arguments = parser.parse_args()
    if not arguments.gscodec:
        parser.error("gscodec is not on PATH: give --gscodec")

    print(f"{machine()}, {arguments.runs} runs")
    print("| command | median s | fastest s |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "small.igs"
        file.write_bytes(synthetic_file(128, 128, 200))
        decode = ["decode", str(file), str(file.with_suffix(".png")), "--overwrite"]
        for label, words in {"gscodec --help": ["--help"], "gscodec decode (128x128)": decode}.items():
            seconds = [timed([arguments.gscodec, *words]) for _ in range(arguments.runs + 1)][1:]
            print(f"| {label} | {statistics.median(seconds):.3f} | {min(seconds):.3f} |")


def timed(command: list[str]) -> float:
    """Seconds that one run of the command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
