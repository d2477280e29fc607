"""Pictures beyond memory: a mosaic of a folder's pictures is encoded and decoded; time, peak memory and seams.

    python benchmarks/large.py FOLDER --side 8192 --work /tmp/large --options="--preset fast --bpp 0.08"

Every cell of the mosaic is a crop of one picture, 1280 px wide so that its borders are not those of blocks. The mosaic,
the file and the decoded TIFF stay in the work folder; what is there is not made again.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

import gscodec
from gscodec.image.file_types.tiff_large import open_large_tiff
from gscodec.image.regions import Rect, RegionSource

CELL = 1280
TILE = 256
STRIPS = ((0, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 1 << 20))

Pixels = npt.NDArray[np.uint8]


def cells(folder: Path, side: int) -> Iterator[Pixels]:
    """Rows of cells, uint8 (h, side, 3), from the top down."""
    paths = sorted(path for path in folder.rglob("*.png") if "odd" not in path.parts)
    rng = np.random.default_rng(0)
    for y in range(0, side, CELL):
        row = np.empty((CELL, -(-side // CELL) * CELL, 3), np.uint8)
        for x in range(0, side, CELL):
            with Image.open(paths[rng.integers(len(paths))]) as image:
                picture = np.asarray(image.convert("RGB"))
            if rng.random() < 0.5:
                picture = picture[:, ::-1]
            missing = [max(0, CELL - n) for n in picture.shape[:2]]
            picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
            top, left = (int(rng.integers(n - CELL + 1)) for n in picture.shape[:2])
            row[:, x : x + CELL] = picture[top : top + CELL, left : left + CELL]
        yield row[: side - y, :side]


def make_mosaic(folder: Path, side: int, path: Path) -> None:
    """A tiled TIFF, BigTIFF where it must be; `side` is a multiple of TILE."""

    def tiles() -> Iterator[Pixels]:
        for row in cells(folder, side):
            for y in range(0, len(row), TILE):
                for x in range(0, side, TILE):
                    yield np.ascontiguousarray(row[y : y + TILE, x : x + TILE])

    with tifffile.TiffWriter(path, bigtiff=side >= 32768) as writer:
        writer.write(
            tiles(), shape=(side, side, 3), dtype=np.uint8, tile=(TILE, TILE), photometric="rgb", metadata=None
        )


def run(*arguments: object) -> dict[str, Any]:
    """`gscodec` with arguments; wall and CPU seconds, and the peak of its resident memory."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "gscodec", *map(str, arguments)], stderr=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stderr is not None
    message = process.stderr.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(message)
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": usage.ru_maxrss // 1024,
        "said": message.splitlines()[-1] if message else "",
    }


def profile(decoded: RegionSource, source: RegionSource, side: int, edges: list[int]) -> dict[str, float]:
    """PSNR of the pixels at some distances from the nearest inner edge of a block, dB."""
    squares, counts = np.zeros(len(STRIPS)), np.zeros(len(STRIPS))
    near = np.min([np.abs(np.arange(side) + 0.5 - edge) for edge in edges], axis=0)
    for y in range(0, side, TILE):
        area = Rect(0, y, side, min(side, y + TILE))
        error = np.square(decoded.read(area) - source.read(area)).mean(axis=2)
        distance = np.minimum(near[area.y0 : area.y1, None], near[None, :])
        for k, (first, last) in enumerate(STRIPS):
            inside = (distance >= first) & (distance < last)
            squares[k] += error[inside].sum(dtype=np.float64)
            counts[k] += inside.sum()
    known = {f"{first}-{last} px": (s, c) for (first, last), s, c in zip(STRIPS, squares, counts, strict=True) if c}
    result = {name: round(float(-10 * np.log10(s / c)), 2) for name, (s, c) in known.items()}
    return result | {"all": round(float(-10 * np.log10(squares.sum() / counts.sum())), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--block", type=int, default=1024, help="side of the blocks, to know where borders are")
    parser.add_argument("--options", default="--preset fast --bpp 0.08", help="of `gscodec encode`")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    source, igs = (arguments.work / f"mosaic_{arguments.side}{suffix}" for suffix in (".tif", ".igs"))
    if not source.exists():
        make_mosaic(arguments.folder, arguments.side, source)
    result: dict[str, Any] = {"side": arguments.side, "options": arguments.options}
    if not igs.exists():
        result["encode"] = run("encode", source, igs, *shlex.split(arguments.options))
        print(json.dumps(result), flush=True)
    back = arguments.work / f"mosaic_{arguments.side}_back.tif"
    result["decode"] = run("decode", igs, back, "--overwrite")
    result["thumbnail"] = run("decode", igs, arguments.work / "thumbnail.png", "--size", "512x512", "--overwrite")
    decoded, original = open_large_tiff(back, 0), open_large_tiff(source, 0)
    assert decoded is not None
    assert original is not None
    # Where pictures of the mosaic meet, any encode is worse.
    edges = [edge for edge in range(arguments.block, arguments.side, arguments.block) if edge % CELL]
    result["psnr"] = profile(decoded, original, arguments.side, edges)
    with gscodec.open(igs) as image:
        result["bytes"] = igs.stat().st_size
        result["gaussians"] = image.info["n_gaussians"]
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
