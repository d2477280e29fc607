"""Files of 150 to 1000 bytes beside WebP, AVIF and JPEG of the same bytes, as a Markdown table on stdout.

Run from the repository root: python benchmarks/small.py [PRESET]
The rivals may shrink the picture first, as placeholders are made: every width of `SHARES`, quality and filter is tried,
and the best PSNR at the picture's size counts.
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gscodec.encoding.api import encode
from gscodec.metrics import psnr

SIZES = (150, 200, 300, 450, 700, 1000)
SHARES = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.0625)
QUALITIES = (0, 1, 2, *range(5, 100, 5))
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
RIVALS: dict[str, dict[str, Any]] = {"WEBP": {"method": 6}, "AVIF": {"speed": 4}, "JPEG": {"optimize": True}}
PICTURES = (("vector_tiger.png", 64), ("photo_dandelions.png", 128))


def picture(name: str, side: int) -> Image.Image:
    """The middle square of a sample, `side` px wide."""
    image = Image.open(Path("samples") / name).convert("RGB")
    edge = min(image.size)
    x, y = (image.width - edge) // 2, (image.height - edge) // 2
    return image.crop((x, y, x + edge, y + edge)).resize((side, side), Image.Resampling.LANCZOS)


def rival(image: Image.Image, kind: str, size: int) -> float | None:
    """The best PSNR, dB, of a rival's file of at most `size` bytes."""
    found = []
    for share in SHARES:
        width = max(4, round(image.width * share))
        small = image.resize((width, width), Image.Resampling.LANCZOS)
        best = None
        for quality in QUALITIES:
            file = io.BytesIO()
            small.save(file, kind, quality=quality, **RIVALS[kind])
            if file.tell() > size:
                break
            best = file
        if best is not None:
            decoded = Image.open(best).convert("RGB")
            found += [psnr(np.asarray(decoded.resize(image.size, way)), np.asarray(image)) for way in FILTERS]
    return max(found, default=None)


def main() -> None:
    """Print the table."""
    preset = sys.argv[1] if len(sys.argv) > 1 else "fast"
    print("| Picture | Bytes | gscodec small | coded | " + " | ".join(RIVALS) + " |")
    print("|---|---|---|---|" + "---|" * len(RIVALS))
    for name, side in PICTURES:
        image = picture(name, side)
        for size in SIZES:
            results = [encode(np.asarray(image), size=size, preset=preset, profile=of) for of in ("small", "coded")]
            shown = [f"{r.psnr:.2f} ({len(r.data)})" if len(r.data) <= size else "-" for r in results]
            shown += [f"{p:.2f}" if (p := rival(image, kind, size)) is not None else "-" for kind in RIVALS]
            print(f"| {Path(name).stem}, {side} px | {size} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
