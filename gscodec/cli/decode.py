"""`gscodec decode`: an `.igs` file, or a part of it, to a picture."""

import math
from typing import Annotated, Literal

import typer

from gscodec.cli import _console
from gscodec.cli._paths import display_name, igs_source, output_path
from gscodec.cli._values import Dimensions, Region, parse_dimensions, parse_region
from gscodec.errors import InvalidArgument


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file; - reads stdin.")],
    output: Annotated[
        str | None, typer.Argument(metavar="[OUT]", help="Picture to write; - is stdout. Default: IN with .png.")
    ] = None,
    lod: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Level of detail; 0 is the finest. Default: the finest there is."),
    ] = None,
    region: Annotated[
        Region | None, typer.Option(parser=parse_region, metavar="X,Y,W,H", help="Only this part, in stored pixels.")
    ] = None,
    size: Annotated[
        Dimensions | None, typer.Option(parser=parse_dimensions, metavar="WxH", help="Size of the output picture.")
    ] = None,
    scale: Annotated[float | None, typer.Option(metavar="FACTOR", help="Output size as a factor of the input.")] = None,
    bits: Annotated[Literal["8", "16"] | None, typer.Option(help="Bits per sample. Default: the file's own.")] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="png, webp, tiff ... Default: OUT's suffix, or png.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Engine: auto, cpu or cuda:N.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Decode an .igs file to a picture.

    All of it or a region, at any size and level of detail. A file that was cut short decodes at the levels it holds.
    """
    if size is not None and scale is not None:
        raise InvalidArgument("--size and --scale exclude each other: give one")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise InvalidArgument(f"--scale {scale}: a factor must be above 0")
    suffix = f".{format_name.lower()}" if format_name else ".png"
    destination = output_path(source, output, suffix, overwrite)

    import numpy as np

    from gscodec.decode import open_igs
    from gscodec.image import save_image

    with open_igs(igs_source(source), device=device, threads=threads) as image:
        if lod is None and image.available_lods and image.available_lods[0] > 0:
            _console.say(f"{display_name(source)}: cut short; LOD {image.available_lods[0]} is the finest it holds")
        if scale is not None:
            height, width = image.shape[:2] if region is None else (region.height, region.width)
            size = Dimensions(max(1, round(height * scale)), max(1, round(width * scale)))
        picture = image.render(
            lod=lod, region=region, size=size, dtype={None: None, "8": np.uint8, "16": np.uint16}[bits]
        )
        save_image(
            _console.STREAM if destination is None else destination,
            picture,
            image.groups,
            image.icc,
            bit_depth=None if bits is None else int(bits),
            format=format_name,
            overwrite=overwrite,
        )
