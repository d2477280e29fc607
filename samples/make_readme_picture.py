"""Make samples/readme_compare.png: a sample, what an .igs file of it decodes to, and a coarse level of detail.

Run it from the repository: python samples/make_readme_picture.py
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import gscodec

HERE = Path(__file__).parent


def main() -> None:
    """Encode the sample in memory and write source, result and coarse level side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=HERE / "photo_dandelions.png", help="an RGB picture")
    parser.add_argument("--output", type=Path, default=HERE / "readme_compare.png")
    parser.add_argument("--bpp", type=float, default=0.2)
    parser.add_argument("--lod", type=int, default=1, help="level of detail of the third panel")
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--width", type=int, default=400, help="width of one panel in pixels")
    arguments = parser.parse_args()

    with Image.open(arguments.source) as picture:
        source = np.asarray(picture.convert("RGB"))
    result = gscodec.encode(source, bpp=arguments.bpp, preset=arguments.preset)
    with gscodec.open(result.data) as decoded:
        panels = [source, decoded.render(), decoded.render(lod=arguments.lod)]
    height = round(arguments.width * source.shape[0] / source.shape[1])
    small = [
        np.asarray(Image.fromarray(panel).resize((arguments.width, height), Image.Resampling.LANCZOS))
        for panel in panels
    ]
    gap = np.full((height, 8, 3), 255, dtype=np.uint8)
    Image.fromarray(np.hstack([small[0], gap, small[1], gap, small[2]])).save(arguments.output, optimize=True)
    print(f"{arguments.output}: {len(result.data)} bytes, {result.bpp:.3f} bpp, {result.psnr:.2f} dB")


if __name__ == "__main__":
    main()
