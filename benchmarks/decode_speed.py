"""Time to decode one picture to uint8 in-process: .igs beside AVIF (Pillow) and JPEG XL (imagecodecs), in one run.

    python benchmarks/decode_speed.py                      (synthetic: 20,000 Gaussians on 2048x2048)
    python benchmarks/decode_speed.py picture.igs --threads 2

The peers encode the very picture the .igs file decodes to, at the quality whose size comes nearest to the file's, found
by bisection. Every decoder gets the same number of threads and starts from bytes in memory; runs are interleaved so
that a busy moment of the machine hits all alike. Printed: median, fastest, bytes, bits per pixel.
"""

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _synthetic import synthetic_file
from _table import machine
from PIL import AvifImagePlugin, Image

from gscodec.decode import open_igs

Picture = npt.NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help=".igs file of 8-bit RGB; a synthetic one if left out")
    parser.add_argument("--side", type=int, default=2048, help="side of the synthetic picture in pixels")
    parser.add_argument("--gaussians", type=int, default=20_000, help="Gaussians of the synthetic picture")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()

    if arguments.file:
        data = arguments.file.read_bytes()
    else:
        data = synthetic_file(arguments.side, arguments.side, arguments.gaussians)
    picture = decode_igs(data, arguments.threads)
    pixels = picture.shape[0] * picture.shape[1]
    AvifImagePlugin.DEFAULT_MAX_THREADS = arguments.threads  # Pillow has no argument for it

    contenders: dict[str, tuple[bytes, Callable[[bytes, int], Picture]]] = {
        "igs": (data, decode_igs),
        "AVIF": (nearest_size(lambda level: encode_avif(picture, round(level)), 0.0, 100.0, len(data)), decode_avif),
        # Distance runs the other way: more of it is a smaller file.
        "JPEG XL": (
            nearest_size(lambda level: encode_jpegxl(picture, 25.0 - level), 0.0, 24.9, len(data)),
            decode_jpegxl,
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for run in range(arguments.runs + 1):  # the first is the warm-up
        for name, (encoded, decode) in contenders.items():
            start = time.perf_counter()
            decode(encoded, arguments.threads)
            if run:
                times[name].append((time.perf_counter() - start) * 1e3)

    print(f"{machine()}; {picture.shape[1]}x{picture.shape[0]}, {arguments.threads} threads, {arguments.runs} runs")
    print("| decoder | median ms | fastest ms | bytes | bpp |\n|---|---|---|---|---|")
    for name, (encoded, _) in contenders.items():
        row = (statistics.median(times[name]), min(times[name]), len(encoded), 8 * len(encoded) / pixels)
        print(f"| {name} | {row[0]:.1f} | {row[1]:.1f} | {row[2]} | {row[3]:.4f} |")


def nearest_size(encode: Callable[[float], bytes], low: float, high: float, wanted: int, rounds: int = 10) -> bytes:
    """The encoding nearest in size to `wanted` bytes, by bisection over a level that makes files larger."""
    best = encode(low)
    for _ in range(rounds):
        level = (low + high) / 2
        data = encode(level)
        if abs(len(data) - wanted) < abs(len(best) - wanted):
            best = data
        low, high = (level, high) if len(data) < wanted else (low, level)
    return best


def decode_igs(data: bytes, threads: int) -> Picture:
    with open_igs(data, threads=threads) as image:
        return np.asarray(image.render(dtype=np.uint8), dtype=np.uint8)


def encode_avif(picture: Picture, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "AVIF", quality=quality)
    return file.getvalue()


def decode_avif(data: bytes, threads: int) -> Picture:
    del threads  # set once for the whole plugin
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def encode_jpegxl(picture: Picture, distance: float) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegxl_encode(picture, distance=distance))


def decode_jpegxl(data: bytes, threads: int) -> Picture:
    import imagecodecs

    return np.asarray(imagecodecs.jpegxl_decode(data, numthreads=threads), dtype=np.uint8)


if __name__ == "__main__":
    main()
