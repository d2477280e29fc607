"""PSNR and SSIMULACRA2 of pictures of which a part has arrived: `.igs` files, progressive JPEG, progressive JPEG XL.

    python benchmarks/arriving.py photo.png new.igs old.igs --steps 12

All files are compared at the same numbers of bytes; JPEG and JPEG XL are encoded to the size of the first `.igs` file.
A cell is PSNR / SSIMULACRA2, or a dash where nothing can be shown. JPEG XL takes the programs cjxl and djxl.
"""

import argparse
import io
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

import gscodec
from gscodec.errors import TruncatedStream
from gscodec.metrics import psnr
from gscodec.metrics.ssimulacra2 import ssimulacra2

Pixels = npt.NDArray[Any]
Decode = Callable[[bytes], Pixels | None]


def igs(data: bytes) -> Pixels | None:
    """What a part of an `.igs` file shows."""
    try:
        with gscodec.open(data, device="cpu") as image:
            return image.render(available=True) if (image.arrived() < image.lods).any() else None
    except TruncatedStream:
        return None


def jpeg(data: bytes) -> Pixels | None:
    """What a part of a JPEG shows."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except OSError:
        return None


def jpeg_xl(data: bytes) -> Pixels | None:
    """What a part of a JPEG XL shows."""
    with TemporaryDirectory() as folder:
        part, shown = Path(folder) / "part.jxl", Path(folder) / "part.png"
        part.write_bytes(data)
        done = subprocess.run(
            ["djxl", str(part), str(shown), "--allow_partial_files"], capture_output=True, check=False
        )
        if done.returncode or not shown.exists():
            return None
        with Image.open(shown) as image:
            return np.asarray(image.convert("RGB"))


def progressive_jpeg(picture: Path, n_bytes: int) -> bytes:
    """A progressive JPEG of at most n_bytes, or of the lowest quality."""
    best = b""
    with Image.open(picture) as image:
        for quality in range(1, 96):
            file = io.BytesIO()
            image.convert("RGB").save(file, "JPEG", quality=quality, progressive=True, optimize=True)
            if best and len(file.getvalue()) > n_bytes:
                break
            best = file.getvalue()
    return best


def progressive_jpeg_xl(picture: Path, n_bytes: int) -> bytes:
    """A progressive JPEG XL of at most n_bytes, found by bisection of its distance; effort 7."""
    best, low, high = b"", 0.1, 25.0
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.jxl"
        for _ in range(8):
            distance = (low * high) ** 0.5
            command = ["cjxl", str(picture), str(file), "-p", "-d", f"{distance:.3f}", "--quiet"]
            subprocess.run(command, check=True, capture_output=True)
            data = file.read_bytes()
            low, high = (distance, high) if len(data) > n_bytes else (low, distance)
            best = data if len(data) <= n_bytes and len(data) > len(best) else best
    return best


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table: bytes, then a column per file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("igs", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=12, help="numbers of bytes, each a factor above the one before")
    parser.add_argument("--least", type=float, default=0.02, help="share of the first file's bytes to begin with")
    options = parser.parse_args(arguments)
    with Image.open(options.picture) as image:
        source = np.asarray(image.convert("RGB"))
    files: list[tuple[str, bytes, Decode]] = [(path.stem, path.read_bytes(), igs) for path in options.igs]
    whole = len(files[0][1])
    files.append(("progressive JPEG", progressive_jpeg(options.picture, whole), jpeg))
    files.append(("progressive JPEG XL", progressive_jpeg_xl(options.picture, whole), jpeg_xl))
    print(f"| bytes | {' | '.join(f'{name}, {len(data)}' for name, data, _ in files)} |")
    print("|---" * (1 + len(files)) + "|")
    for n_bytes in np.geomspace(options.least * whole, whole, options.steps).astype(int):
        shown = [decode(data[:n_bytes]) for _, data, decode in files]
        cells = ["-" if one is None else f"{psnr(one, source):.2f} / {ssimulacra2(source, one):.1f}" for one in shown]
        print(f"| {n_bytes} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
