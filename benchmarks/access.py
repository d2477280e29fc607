"""What random access costs: a pixel, a region, a million points and a thumbnail of large files.

    python benchmarks/access.py [--quick] [--output benchmarks/results/access.md]

Files are synthetic: the library's writer, random Gaussians. Files are dropped from the page cache before each cold run,
which is a process of its own; its imports are not counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _range_server import serve
from gscodec_bench.machine import machine
from gscodec_bench.synthetic import synthetic_gaussians, synthetic_grid

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.decoding.image import open_igs
from gscodec.image.stack import picture_groups
from gscodec.model.constants import DEFAULT_PAGE_SIZE
from gscodec.model.gaussians import LodTable
from gscodec.profiles.lattice import Lattice

SIDE = 32768
COLD_RUNS = 15

COLD = """
import json, os, sys, time
import numpy as np
from gscodec.decoding import open_igs
from gscodec.render.base import get_backend
get_backend("cpu")
path, request = sys.argv[1], json.loads(sys.argv[2])
descriptor = os.open(path, os.O_RDONLY)
os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
os.close(descriptor)
started, worked = time.perf_counter(), time.process_time()
with open_igs(path, device="cpu") as image:
    if "point" in request:
        image.sample([request["point"]])
    else:
        image.render(size=request["size"])
    ms, cpu_ms = 1e3 * (time.perf_counter() - started), 1e3 * (time.process_time() - worked)
    print(json.dumps([ms, cpu_ms, image.stats.bytes_read, image.stats.pages_read]))
"""


def large_file(profile: str, n_gaussians: int, side: int = SIDE) -> bytes:
    """A square picture with five levels, each with a quarter of the next one's Gaussians, twice as wide."""
    counts = tuple(n_gaussians >> 2 * (4 - m) for m in range(5))
    lattice = Lattice(
        4,
        80,
        (1, 1, 2, 4, 6, 10, 16, 22, 30, 40, 50, 60),
        (9, 8, 7, 6, 5),
        np.full(3, 1 / 64, np.float32),
        np.array([[1, 1, 1], [1, 0, -1], [-0.5, 1, -0.5]]),
    )
    return pack(
        Contents(
            synthetic_grid(side, side),
            picture_groups(3, 8),
            LodTable(counts, tuple((0.5 ** (4 - m),) * (m + 1) for m in range(5))),
            synthetic_gaussians(side, side, n_gaussians),
            page_size=512 if profile == "coded" else DEFAULT_PAGE_SIZE,
            lattice=lattice if profile == "coded" else None,
        )
    )


def cold(path: Path, requests: list[dict[str, Any]]) -> tuple[list[float], ...]:
    """ms, CPU ms, bytes and pages of each request, in a fresh process and with the file out of the page cache."""
    rows = []
    for request in requests:
        done = subprocess.run(
            [sys.executable, "-c", COLD, str(path), json.dumps(request)],
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        rows.append(json.loads(done.stdout))
    return tuple(list(column) for column in zip(*rows, strict=True))


def verdict(value: float, aim: float) -> str:
    return "met" if value <= aim else f"**missed**, {value / aim:.2f} times the aim"


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def times(work: Callable[[], object], runs: int) -> tuple[list[float], list[float]]:
    """Seconds and CPU seconds of some runs."""
    wall, cpu = [], []
    for _ in range(runs):
        started, worked = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - worked)
    return wall, cpu


def needed_bytes(data: bytes | Path, tiles: tuple[int, int, int, int]) -> tuple[int, int]:
    """Bytes of the pages whose boxes meet some tiles, and how many they are."""
    with IgsReader(data) as reader:
        index = reader.pages
        found = index.meeting(tiles, len(index))
        return int(found.lengths.sum()), len(found)


def pixel_rows(name: str, path: Path, draw: np.random.Generator) -> list[str]:
    points = draw.uniform(0, SIDE, (COLD_RUNS, 2)).tolist()
    ms, cpu_ms, read, pages = cold(path, [{"point": point} for point in points])
    size = path.stat().st_size / 1e6
    rows = [
        f"| one pixel, {name}, {size:.1f} MB, cold: ms | {spread(ms)}; CPU {spread(cpu_ms)} | 5 | "
        f"{verdict(statistics.median(ms), 5)} |",
        f"| the same: KiB read | {spread([n / 1024 for n in read])}, {statistics.median(pages):.0f} pages | 64 | "
        f"{verdict(max(read) / 1024, 64)} |",
    ]
    requests, kib, http_ms = [], [], []
    with serve() as server:
        url = server.add("large.igs", path.read_bytes())
        for point in points:
            server.requests.clear()
            server.n_bytes = 0
            started = time.perf_counter()
            with open_igs(url, device="cpu") as image:
                image.sample([point])
            http_ms.append(1e3 * (time.perf_counter() - started))
            requests.append(float(len(server.requests)))
            kib.append(server.n_bytes / 1024)
    rows.append(
        f"| one pixel, {name}, over HTTP: requests | {spread(requests)}; {spread(kib)} KiB, {spread(http_ms)} ms | 3 | "
        f"{verdict(max(requests), 3)} |"
    )
    return rows


def region_rows(name: str, path: Path, draw: np.random.Generator) -> list[str]:
    local: list[float] = []
    far: list[float] = []
    needs: list[float] = []
    with serve() as server:
        url = server.add("large.igs", path.read_bytes())
        for x, y in draw.integers(0, SIDE - 256, (8, 2)).tolist():
            need, _ = needed_bytes(path, (x // 16, y // 16, -(-(x + 256) // 16), -(-(y + 256) // 16)))
            needs.append(need / 1024)
            for source, ratios in ((path, local), (url, far)):
                with open_igs(source, device="cpu") as image:
                    image.render(0, (x, y, 256, 256))
                    ratios.append(image.stats.bytes_read / need)
    amount = f"{statistics.median(needs):.0f} KiB of pages"
    return [
        f"| 256x256 px, {name}, all bytes read over those of the pages it meets, local | "
        f"{statistics.median(local):.2f} (at most {max(local):.2f}), {amount} | 2 | {verdict(max(local), 2)} |",
        f"| the same over HTTP | {statistics.median(far):.2f} (at most {max(far):.2f}) | 2 | {verdict(max(far), 2)} |",
    ]


def thumbnail_rows(name: str, path: Path) -> list[str]:
    rows = []
    for side in (128, 256, 512):
        ms, cpu_ms, read, _ = cold(path, [{"size": [side, side]}] * 5)
        aim = ("50", verdict(statistics.median(ms), 50)) if side <= 256 else ("-", "-")
        rows.append(
            f"| thumbnail {side}x{side} of {SIDE}x{SIDE}, {name}, cold: ms | {spread(ms)}; CPU {spread(cpu_ms)}; "
            f"{statistics.median(read) / 1e6:.2f} MB read | {aim[0]} | {aim[1]} |"
        )
    return rows


def million_rows(name: str, data: bytes, draw: np.random.Generator) -> list[str]:
    points = draw.uniform(0, 2048, (1_000_000, 2))
    places = draw.integers(0, 2048, (1_000_000, 2))

    def sample() -> None:
        with open_igs(data, device="cpu", threads=2) as image:
            image.sample(points)

    wall, cpu = times(sample, 7)
    with open_igs(data, device="cpu", threads=2, count_work=True) as image:
        whole = image.render(dtype=np.float32)
        per_pixel = image.stats
        same = np.array_equal(image.sample(places + 0.5), whole[places[:, 1], places[:, 0]])
    best = min(wall)
    return [
        f"| a million random points, 2048x2048, 20,000 Gaussians, {name}, opening included: s | "
        f"{statistics.median(wall):.2f} (fastest {best:.2f}); CPU {statistics.median(cpu):.2f} | 0.5 | "
        f"{verdict(statistics.median(wall), 0.5)} |",
        f"| a million pixel centres give the pixels of the whole, to the bit | {'yes' if same else '**no**'} | yes | "
        f"{'met' if same else '**missed**'} |",
        f"| for each pixel of it, from its tile's list | {per_pixel.candidates_per_point:.1f} Gaussians, "
        f"{per_pixel.multiply_adds_per_point:.0f} multiply-adds | - | the paper: 300 |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="files a tenth as large")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    factor = 10 if given.quick else 1
    draw = np.random.default_rng(7)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for profile, n_gaussians in (("f16", 6_400_000), ("coded", 10_000_000)):
            path = Path(folder) / f"{profile}.igs"
            path.write_bytes(large_file(profile, n_gaussians // factor))
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
            name = f"`{profile}`"
            print(f"{name}: {path.stat().st_size} bytes", file=sys.stderr)
            rows += pixel_rows(name, path, draw) + region_rows(name, path, draw) + thumbnail_rows(name, path)
            path.unlink()
            small = large_file(profile, 20_000, 2048)
            rows += million_rows(name, small, draw)
    load = os.getloadavg()
    text = "\n".join(
        [
            "# Random access",
            "",
            f"{machine()}. Load average {load[0]:.1f} at the end: the machine was shared, and wall times with it.",
            f"Medians, in brackets the range of {COLD_RUNS} points, 8 regions or 5 thumbnails. A byte counts as read",
            "each time; requests and bytes over HTTP are what a server on the same machine saw. A verdict on bytes and",
            "requests is on the worst one, on times on the median. Made by",
            "`python benchmarks/access.py" + (" --quick`." if given.quick else "`."),
            "",
            "| what | measured | aim | |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
