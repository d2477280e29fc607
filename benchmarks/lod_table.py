"""What levels of detail cost: each LOD of a file beside a file of the same bytes encoded alone.

    python benchmarks/lod_table.py PICTURES... --bpp 0.2 0.5 --output lods.csv

For every picture and rate one file with several LODs is encoded. LOD l is a prefix of it; its PSNR stands beside that
of a file encoded with one LOD at the byte count of that prefix. For LOD 0 the prefix is the whole file, so its row is
the price of having LODs at all.
"""

import argparse
from pathlib import Path

from _table import ResumableTable

from gscodec import metrics
from gscodec.constants import DEFAULT_LODS
from gscodec.decode import open_igs
from gscodec.encoder import encode
from gscodec.format import IgsReader, describe
from gscodec.image import ImageStack, load_image, to_unit

FIELDS = (
    "image",
    "preset",
    "bpp",
    "lods",
    "seed",
    "lod",
    "gaussians",
    "bytes",
    "psnr",
    "alone_bytes",
    "alone_psnr",
    "loss",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--bpp", nargs="+", type=float, default=[0.2, 0.5])
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--lods", type=int, default=DEFAULT_LODS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--output", type=Path, required=True, help="CSV to append to; its rows are not measured again")
    parser.add_argument("--markdown", type=Path, help="also write the whole table here")
    arguments = parser.parse_args()

    table = ResumableTable(arguments.output, FIELDS, key=("image", "preset", "bpp", "lods", "seed", "lod"))
    for path in arguments.images:
        for bpp in arguments.bpp:
            measure(table, path, bpp, arguments)
    if arguments.markdown:
        table.write_markdown(arguments.markdown, "Levels of detail beside files encoded alone")


def measure(table: ResumableTable, path: Path, bpp: float, arguments: argparse.Namespace) -> None:
    """Fill in the rows of one picture and rate that are not there yet."""
    settings = {"preset": arguments.preset, "seed": arguments.seed, "threads": arguments.threads}
    keys = {
        lod: {
            "image": path.stem,
            "preset": arguments.preset,
            "bpp": bpp,
            "lods": arguments.lods,
            "seed": arguments.seed,
            "lod": lod,
        }
        for lod in range(arguments.lods)
    }
    if all(table.knows(**key) for key in keys.values()):
        return
    stack = load_image(path)
    data = encode(stack, bpp=bpp, lods=arguments.lods, **settings).data
    levels = {level["lod"]: level for level in describe(IgsReader(data))["lods"]}
    for lod, key in keys.items():
        if lod in levels and not table.knows(**key):
            prefix_bytes = levels[lod]["bytes"]
            alone = encode(stack, size=prefix_bytes, lods=1, **settings).data
            here, there = decoded_psnr(stack, data, lod), decoded_psnr(stack, alone, 0)
            table.add(
                key
                | {"gaussians": levels[lod]["n_gaussians"], "bytes": prefix_bytes, "psnr": f"{here:.3f}"}
                | {"alone_bytes": len(alone), "alone_psnr": f"{there:.3f}", "loss": f"{there - here:.3f}"}
            )


def decoded_psnr(stack: ImageStack, data: bytes, lod: int) -> float:
    """PSNR in dB of a level, decoded at the file's own bit depth, against the source."""
    with open_igs(data) as image:
        return float(metrics.psnr(stack.samples, to_unit(image.render(lod=lod), image.groups)))


if __name__ == "__main__":
    main()
