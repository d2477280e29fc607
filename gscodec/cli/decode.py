"""`gscodec decode`: decodes an `.igs` file, or a part of it, to a picture."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gscodec.cli import _console
from gscodec.cli._limits import MaxCandidates, MaxMemory, MaxPixels, Timeout, limits_of
from gscodec.cli._lods import LAST_LOD, chosen_lod
from gscodec.cli._paths import igs_source
from gscodec.cli._values import Dimensions, Region, parse_byte_size, parse_dimensions, parse_region
from gscodec.errors import InvalidArgument
from gscodec.material.outputs import display_name, is_url

if TYPE_CHECKING:
    from gscodec.decoding.image import IgsImage
    from gscodec.decoding.to_files import DecodeOptions


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file, a path or URL; - reads stdin.")],
    output: Annotated[
        str | None,
        typer.Argument(
            metavar="[OUT]",
            help="Picture to write, - for stdout, or a folder for the maps of a stack. "
            "Default: IN with suffix .png, or without suffix for a folder; .decoded is added where that could be the "
            "source of IN.",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Only these maps of a stack, by file, name or role: normal,ao."),
    ] = None,
    lod: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LAST_LOD,
            metavar="N",
            help="Level of detail: 0 is the finest; beyond the coarsest, the coarsest. Default: chosen from the output "
            "size.",
        ),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            parser=parse_byte_size, metavar="BYTES", help="Finest level of detail within the first BYTES of IN."
        ),
    ] = None,
    max_gaussians: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Finest level of detail with at most N Gaussians.")
    ] = None,
    region: Annotated[
        Region | None,
        typer.Option(parser=parse_region, metavar="X,Y,W,H", help="Part of the picture, in stored pixels."),
    ] = None,
    size: Annotated[
        Dimensions | None, typer.Option(parser=parse_dimensions, metavar="WxH", help="Size of the output picture.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Output size as a factor of the stored size.")
    ] = None,
    bits: Annotated[
        Literal["8", "16", "32"] | None,
        typer.Option(help="Bits per sample; 16 and 32 are floats for float files. Default: the file's own."),
    ] = None,
    mips: Annotated[
        bool, typer.Option("--mips", help="Write the mip chain: OUT, OUT.mip1 and so on, halved down to 1x1.")
    ] = False,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="File type: png, webp, tiff ... Default: from OUT's suffix, or png."
        ),
    ] = None,
    available: Annotated[
        bool,
        typer.Option(
            "--available",
            help="Of a truncated file, show each tile of 16x16 px at the finest level that has arrived there. Default: "
            "the finest level that is complete.",
        ),
    ] = False,
    progressive: Annotated[
        bool,
        typer.Option(
            "--progressive",
            help="While IN arrives, write a picture whenever it shows more: OUT.001.png, OUT.002.png and so on.",
        ),
    ] = False,
    grain: Annotated[bool, typer.Option(help="Add the grain that IN describes, if it does.")] = True,
    device: Annotated[str, typer.Option(metavar="NAME", help="Device: auto, cpu, cuda, cuda:N or gpu.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Print the bytes, pages and Gaussians read to stderr.")
    ] = False,
    max_pixels: MaxPixels = None,
    max_memory: MaxMemory = None,
    max_candidates: MaxCandidates = None,
    timeout: Timeout = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Decode an .igs file to a picture, or a stack to its maps.

    Decodes the whole picture or a region, at any size and level of detail. A truncated file decodes at the levels it
    still holds. At half size or less, a picture of more than a megapixel is rendered from a coarser level that
    suffices; --lod 0 averages every stored pixel instead. More than 2^25 pixels go to TIFF tile by tile, in bounded
    memory.
    """
    if size is not None and scale is not None:
        raise InvalidArgument("--size and --scale exclude each other: give one")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise InvalidArgument(f"--scale {scale}: a factor must be above 0")
    if lod is not None and (max_bytes is not None or max_gaussians is not None):
        raise InvalidArgument("--lod excludes --max-bytes and --max-gaussians: give one")
    if mips and any(value is not None for value in (size, scale, region, max_bytes, max_gaussians)):
        raise InvalidArgument("--mips makes mips of the whole picture: give no size, region or bound")

    from gscodec.decoding.to_files import DecodeOptions, decode_to_files

    options = DecodeOptions(
        only=None if only is None else [name.strip() for name in only.split(",") if name.strip()],
        lod=lod,
        region=region,
        size=size,
        max_bytes=max_bytes,
        max_gaussians=max_gaussians,
        mips=mips,
        format=format_name,
        bits=None if bits is None else int(bits),
        overwrite=overwrite,
        available=available or progressive,
    )
    how: dict[str, Any] = {
        "device": device,
        "threads": threads,
        "limits": limits_of(max_pixels, max_memory, max_candidates, timeout),
        "grain": grain,
    }

    def sized(image: "IgsImage") -> DecodeOptions:
        if scale is None:
            return options
        height, width = image.shape[:2] if region is None else (region.height, region.width)
        return replace(options, size=(max(1, round(height * scale)), max(1, round(width * scale))))

    if progressive:
        if output is None or output == _console.STREAM:
            raise InvalidArgument("--progressive writes several pictures: name OUT")
        _write_arriving(source, Path(output), sized, how | {"region": region})
        return
    from gscodec.decoding.image import open_igs

    with open_igs(igs_source(source), count_work=stats, **how) as image:
        level = lod if available else chosen_lod(lod, image, display_name(source))
        chosen = replace(sized(image), lod=level)
        decode_to_files(image, source, output, chosen, _console.say, _console.refuse_terminal)
        if stats:
            from gscodec.cli._stats import say_stats

            say_stats(image.stats)


def _write_arriving(
    source: str, output: Path, options: "Callable[[IgsImage], DecodeOptions]", how: dict[str, Any]
) -> None:
    """Write a numbered picture, or folder of maps, whenever a file that is arriving shows more.

    Args:
        options: of an open file. how: arguments of `arrivals`.
    """
    from gscodec.decoding.progressive import arrivals
    from gscodec.decoding.to_files import decode_to_files
    from gscodec.io.streams import open_stdin

    opened = open_stdin() if source == _console.STREAM else source if is_url(source) else Path(source)
    for number, (image, n_bytes) in enumerate(arrivals(opened, **how), 1):
        chosen = options(image)
        path = output.with_name(f"{output.stem}.{number:03d}{output.suffix}")
        decode_to_files(image, source, str(path), chosen, _console.say)
        _console.say(f"{path}: {n_bytes} of {image.stats.file_bytes} bytes")
