"""`gscodec decode`: an `.igs` file, or a part of it, to a picture."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from gscodec.cli import _console
from gscodec.cli._limits import MaxCandidates, MaxMemory, MaxPixels, Timeout, limits_of
from gscodec.cli._lods import LAST_LOD, chosen_lod
from gscodec.cli._mips import check_mips, mip_path
from gscodec.cli._paths import display_name, igs_source, is_url, output_path
from gscodec.cli._values import Dimensions, Region, parse_byte_size, parse_dimensions, parse_region
from gscodec.errors import InvalidArgument

if TYPE_CHECKING:
    import numpy.typing as npt

    from gscodec.decoding.image import IgsImage
    from gscodec.model.channels import ChannelGroup


class _Output(NamedTuple):
    """Options of the pictures to write."""

    target: str | None
    format_name: str | None
    depth: int | None
    overwrite: bool


class _Picture(NamedTuple):
    """One picture to write."""

    samples: "npt.NDArray[Any]"  # (height, width, C)
    groups: "tuple[ChannelGroup, ...]"
    icc: bytes | None
    exr: Mapping[str, Any]


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
    device: Annotated[str, typer.Option(metavar="NAME", help="Device: auto, cpu, cuda or cuda:N.")] = "auto",
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
    if mips and any(given is not None for given in (size, scale, region, max_bytes, max_gaussians)):
        raise InvalidArgument("--mips writes all sizes of the whole picture: give no size, region or bound")

    from gscodec.cli._maps import is_one_picture
    from gscodec.decoding.image import open_igs

    limits = limits_of(max_pixels, max_memory, max_candidates, timeout)
    with open_igs(igs_source(source), device=device, threads=threads, count_work=stats, limits=limits) as image:
        lod = chosen_lod(lod, image, display_name(source))
        if scale is not None:
            height, width = image.shape[:2] if region is None else (region.height, region.width)
            size = Dimensions(max(1, round(height * scale)), max(1, round(width * scale)))
        request: dict[str, Any] = {"lod": lod}
        if not mips:
            request |= {"region": region, "size": size, "max_bytes": max_bytes, "max_gaussians": max_gaussians}
        names = None if only is None else [name.strip() for name in only.split(",") if name.strip()]
        wanted = _Output(output, format_name, None if bits is None else int(bits), overwrite)
        if names is not None or (len(image.files) > 1 and not is_one_picture(image.groups, output)):
            _decode_maps(image, source, names, wanted, request, mips)
        else:
            _decode_picture(image, source, wanted, request, mips)
        if stats:
            from gscodec.cli._stats import say_stats

            say_stats(image.stats)


def _decode_maps(
    image: "IgsImage", source: str, names: list[str] | None, wanted: _Output, request: dict[str, Any], mips: bool
) -> None:
    from gscodec.cli._maps import MapTarget

    target = MapTarget(source, *wanted)
    chosen = [entry.name for entry in target.check(image.select(names), image.source_names, mips)]
    levels = image.mip_files(chosen, **request) if mips else [image.render_files(chosen, **request)]
    for level, maps in enumerate(levels):
        target.write(maps, level)


def _decode_picture(image: "IgsImage", source: str, wanted: _Output, request: dict[str, Any], mips: bool) -> None:
    from gscodec.image.picture_names import usual_suffix
    from gscodec.image.save import save_image

    suffix = f".{wanted.format_name.lower().removeprefix('.')}" if wanted.format_name else usual_suffix(image.files[0])
    destination = output_path(source, wanted.target, suffix, wanted.overwrite, made_of=image.source_names)
    if mips:
        if destination is None:
            raise InvalidArgument("--mips writes several pictures: name an output file")
        check_mips(destination, image, wanted.overwrite, [] if is_url(source) else [source])
    place = request["lod"], request.get("region"), request.get("size")
    bounded = request.get("max_bytes") is not None or request.get("max_gaussians") is not None
    if destination is not None and not mips and not bounded:
        from gscodec.cli._large import is_streamed, stream_picture

        if is_streamed(image, destination, wanted.format_name, wanted.depth, *place[1:]):
            stream_picture(image, destination, wanted.depth, *place, wanted.overwrite)
            return
    for level, picture in enumerate(_pictures(image, wanted.depth, request, mips)):
        save_image(
            _console.STREAM if destination is None else Path(mip_path(destination, level)),
            picture.samples,
            picture.groups,
            picture.icc,
            bit_depth=wanted.depth,
            format=wanted.format_name or (suffix if destination is None else None),
            overwrite=wanted.overwrite,
            exr=picture.exr,
            metadata=image.metadata,
        )


def _pictures(image: "IgsImage", depth: int | None, request: dict[str, Any], mips: bool) -> Iterator[_Picture]:
    """The picture, or its mip chain."""
    import numpy as np

    from gscodec.image.levels import has_floats

    dtype = None if has_floats(image.groups) else {None: None, 8: np.uint8, 16: np.uint16, 32: None}[depth]
    if image.has_file_chunk:
        request = request | {"dtype": dtype}
        for maps in image.mip_files(None, **request) if mips else [image.render_files(None, **request)]:
            yield from (_Picture(one.samples, one.groups, one.icc, one.entry.exr) for one in maps.values())
        return
    for samples in image.mips(dtype=dtype, **request) if mips else [image.render(dtype=dtype, **request)]:
        yield _Picture(samples, image.groups, image.icc, {})
