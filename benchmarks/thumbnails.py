"""Thumbnails of a huge picture: time, bytes and Gaussians, in each profile, of random Gaussians packed into files.

    python benchmarks/thumbnails.py --side 32768 --gaussians 1000000

The files have coarser sets of a sixteenth of the Gaussians and a quarter of the sides each. Opening counts.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import gscodec
from gscodec.container.contents import Contents
from gscodec.container.rewrite import coarser_set, with_coarser
from gscodec.container.writer import pack
from gscodec.encoding.requantise import requantised
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.render.engines import cpu_backend

SETS = (4, 3, 2, 1)
"""Coarser sets, as powers of a sixteenth of the Gaussians, coarsest first."""

LEAST = 16
RUNS = 20


def random_file(n_gaussians: int, side: int, seed: int) -> bytes:
    """A file of profile `f16` of evenly spread Gaussians about as wide as they are apart."""
    rng = np.random.default_rng(seed)
    per_side = int(n_gaussians**0.5)
    apart = side / per_side
    rows, columns = np.mgrid[:per_side, :per_side].reshape(2, -1)
    n = per_side * per_side
    means = (np.stack([columns, rows], axis=1) + rng.uniform(0, 1, (n, 2))) * apart
    scales = 1 / (apart * np.exp(rng.normal(-0.7, 0.4, (n, 2))))
    gaussians = GaussianSet(means, scales, rng.uniform(0, np.pi, n), rng.uniform(0, 1, (n, 3)).astype(np.float32))
    grid = Grid(side, side, np.full(3, 0.5, np.float32))
    return pack(Contents(grid, (ChannelGroup("image", n_channels=3),), LodTable.single(n), gaussians))


def best_ms(path: Path, threads: int | None, px: int) -> tuple[float, int, int]:
    """Shortest of RUNS times from opening to the thumbnail; bytes and Gaussians read."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        with gscodec.open(path, device="cpu", threads=threads) as image:
            image.render(size=(px, px))
            stats = image.stats
        times.append(1e3 * (time.perf_counter() - started))
    return min(times), stats.bytes_read, stats.gaussians_read


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=32768, help="of the picture, px")
    parser.add_argument("--gaussians", type=int, default=1_000_000)
    parser.add_argument("--px", type=int, default=256, help="side of the thumbnail")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    sets = [
        coarser_set(random_file(options.gaussians >> 4 * power, options.side >> 2 * power, power), 2 * power)
        for power in SETS
        if options.gaussians >> 4 * power >= LEAST
    ]
    plain = with_coarser(random_file(options.gaussians, options.side, 0), sets)
    print("| profile | file, bytes | read, bytes | Gaussians | ms |\n|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for profile in ("f16", "coded", "packed"):
            path = Path(folder) / f"{profile}.igs"
            data = requantised(plain, profile, cpu_backend(options.threads))
            path.write_bytes(data)
            ms, n_bytes, n_gaussians = best_ms(path, options.threads, options.px)
            print(f"| {profile} | {len(data)} | {n_bytes} | {n_gaussians} | {ms:.1f} |", flush=True)


if __name__ == "__main__":
    main()
