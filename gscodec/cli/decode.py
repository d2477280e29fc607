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
        str | None,
        typer.Argument(
            metavar="[OUT]",
            help="Picture to write, - for stdout, or a folder for the maps of a stack. "
            "Default: IN with .png, or without suffix.",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Of a stack only these maps, by file, name or role: normal,ao."),
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
    bits: Annotated[
        Literal["8", "16", "32"] | None,
        typer.Option(help="Bits per sample; 16 and 32 of float files are floats. Default: the file's own."),
    ] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="png, webp, tiff ... Default: OUT's suffix, or png.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Engine: auto, cpu or cuda:N.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Decode an .igs file to a picture, or a stack to its maps.

    All of it or a region, at any size and level of detail. A file that was cut short decodes at the levels it holds.
    More than 2^25 pixels go to TIFF tile by tile, in bounded memory.
    """
    if size is not None and scale is not None:
        raise InvalidArgument("--size and --scale exclude each other: give one")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise InvalidArgument(f"--scale {scale}: a factor must be above 0")

    import numpy as np

    from gscodec.cli._large import is_streamed, stream_picture
    from gscodec.cli._maps import MapTarget, is_one_picture, usual_suffix
    from gscodec.decode import open_igs
    from gscodec.image import save_image
    from gscodec.image.levels import has_floats

    with open_igs(igs_source(source), device=device, threads=threads) as image:
        if lod is None and image.available_lods and image.available_lods[0] > 0:
            _console.say(f"{display_name(source)}: cut short; LOD {image.available_lods[0]} is the finest it holds")
        if scale is not None:
            height, width = image.shape[:2] if region is None else (region.height, region.width)
            size = Dimensions(max(1, round(height * scale)), max(1, round(width * scale)))
        depth = None if bits is None else int(bits)
        names = None if only is None else [name.strip() for name in only.split(",") if name.strip()]
        if names is not None or (len(image.files) > 1 and not is_one_picture(image.groups, output)):
            target = MapTarget(source, output, format_name, depth, overwrite)
            chosen = target.check(image.select(names))
            target.write(image.render_files([entry.name for entry in chosen], lod, region, size), image.icc)
            return
        suffix = f".{format_name.lower()}" if format_name else usual_suffix(image.files[0])
        destination = output_path(source, output, suffix, overwrite)
        if destination is not None and is_streamed(image, destination, format_name, depth, region, size):
            stream_picture(image, destination, depth, lod, region, size, overwrite)
            return
        if image.has_file_chunk:
            (restored,) = image.render_files(None, lod, region, size).values()
            picture, groups, exr = restored.samples, restored.groups, restored.entry.exr
        else:
            dtype = None if has_floats(image.groups) else {None: None, 8: np.uint8, 16: np.uint16, 32: None}[depth]
            picture, groups, exr = image.render(lod, region, size, dtype), image.groups, {}
        save_image(
            _console.STREAM if destination is None else destination,
            picture,
            groups,
            image.icc,
            bit_depth=depth,
            format=format_name or (suffix if destination is None else None),
            overwrite=overwrite,
            exr=exr,
        )
