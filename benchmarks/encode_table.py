"""Quality, size and time of encoding: one row per picture, rate and preset, into a CSV that can be gone on with.

    python benchmarks/encode_table.py PICTURES... --bpp 0.2 0.5 --presets paper balanced --output table.csv

Figures are taken on the decoded picture at its own bit depth, against the source as it was loaded. cpu_seconds counts
all threads and is the figure to compare when the machine was not idle.
"""

import argparse
import time
from pathlib import Path

from _table import ResumableTable

from gscodec import metrics
from gscodec.decode import open_igs
from gscodec.encoder import encode
from gscodec.image import load_image, to_unit

FIELDS = (
    "image",
    "preset",
    "lods",
    "seed",
    "target_bpp",
    "bytes",
    "bpp",
    "gaussians",
    "psnr",
    "ssim",
    "ms_ssim",
    "encode_seconds",
    "cpu_seconds",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--bpp", nargs="+", type=float, default=[0.2, 0.5])
    parser.add_argument("--presets", nargs="+", default=["paper", "balanced"])
    parser.add_argument("--lods", type=int, help="levels of detail; default: those of the preset")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--output", type=Path, required=True, help="CSV to append to; its rows are not measured again")
    parser.add_argument("--markdown", type=Path, help="also write the whole table here")
    parser.add_argument("--keep", type=Path, help="folder to leave the .igs files in")
    arguments = parser.parse_args()

    table = ResumableTable(arguments.output, FIELDS, key=("image", "preset", "lods", "seed", "target_bpp"))
    for path in arguments.images:
        for preset in arguments.presets:
            for bpp in arguments.bpp:
                key = {
                    "image": path.stem,
                    "preset": preset,
                    "lods": arguments.lods or "default",
                    "seed": arguments.seed,
                    "target_bpp": bpp,
                }
                if not table.knows(**key):
                    figures, data = measure(path, preset, bpp, arguments.lods, arguments.seed, arguments.threads)
                    table.add(key | figures)
                    if arguments.keep:
                        arguments.keep.mkdir(parents=True, exist_ok=True)
                        name = f"{path.stem}_{preset}_{bpp:g}_lods-{key['lods']}_seed{arguments.seed}.igs"
                        (arguments.keep / name).write_bytes(data)
    if arguments.markdown:
        table.write_markdown(arguments.markdown, "Encoding: quality, size, time")


def measure(
    path: Path, preset: str, bpp: float, lods: int | None, seed: int, threads: int | None
) -> tuple[dict[str, object], bytes]:
    """The figures of one encode, and its file."""
    stack = load_image(path)
    before = time.process_time()
    result = encode(stack, bpp=bpp, preset=preset, lods=lods, seed=seed, threads=threads)
    cpu_seconds = time.process_time() - before
    with open_igs(result.data, threads=threads) as image:
        decoded = to_unit(image.render(), image.groups)
    figures: dict[str, object] = {
        "bytes": len(result.data),
        "bpp": f"{result.bpp:.4f}",
        "gaussians": result.n_gaussians,
        "psnr": f"{metrics.psnr(stack.samples, decoded):.3f}",
        "ssim": f"{metrics.ssim(stack.samples, decoded):.5f}",
        "ms_ssim": f"{metrics.ms_ssim(stack.samples, decoded):.5f}",
        "encode_seconds": f"{result.seconds:.1f}",
        "cpu_seconds": f"{cpu_seconds:.1f}",
    }
    return figures, result.data


if __name__ == "__main__":
    main()
