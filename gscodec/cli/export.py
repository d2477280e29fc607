"""`gscodec export`: the maps of an `.igs` file to textures that engines load."""

from typing import Annotated, Literal

import typer

from gscodec.cli import _console
from gscodec.cli._limits import MaxCandidates, MaxMemory, MaxPixels, Timeout, limits_of
from gscodec.cli._lods import LAST_LOD, shown_lod
from gscodec.cli._paths import display_name, igs_source
from gscodec.cli._values import human_bytes


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file; - reads stdin.")],
    to: Annotated[Literal["dds", "ktx2", "png", "exr"], typer.Option("--to", help="Type of the files.")],
    output: Annotated[
        str | None,
        typer.Argument(
            metavar="[OUT_DIR]",
            help="Folder for the textures. Default: IN without suffix; with .exported where that has pictures that "
            "IN was or may be made of.",
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these maps, by file, name or role: normal,ao.")
    ] = None,
    format_name: Annotated[
        Literal["auto", "bc1", "bc3", "bc4", "bc5", "bc7", "rgba8"],
        typer.Option(
            "--format", help="Texels of dds and ktx2; auto: colour BC7, normals BC5, one channel BC4, floats half."
        ),
    ] = "auto",
    mips: Annotated[
        bool | None,
        typer.Option(
            "--mips/--no-mips", help="Coarser levels too; of png and exr each is a file. Default: of dds and ktx2."
        ),
    ] = None,
    bits: Annotated[
        Literal["8", "16", "32"] | None,
        typer.Option(help="Bits per sample; in dds and ktx2, 16 and 32 are not compressed. Default: 8, floats 16."),
    ] = None,
    lod: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LAST_LOD,
            metavar="N",
            help="Level of detail; 0 is the finest; beyond the coarsest of IN, that. Default: the finest there is.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Engine: auto, cpu or cuda:N.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
    ] = None,
    max_pixels: MaxPixels = None,
    max_memory: MaxMemory = None,
    max_candidates: MaxCandidates = None,
    timeout: Timeout = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Write the maps of an .igs file as textures for an engine.

    Compressed by role, with all mips: colour is averaged as light, normals as vectors. One line for each file.
    """
    from gscodec.decoding.image import open_igs
    from gscodec.exporting import export

    file, limits = igs_source(source), limits_of(max_pixels, max_memory, max_candidates, timeout)
    if lod:
        with open_igs(file, device="cpu", limits=limits) as image:
            lod = shown_lod(lod, image.lods, display_name(source))
    written = export(
        file,
        output,
        to=to,
        only=None if only is None else [name.strip() for name in only.split(",") if name.strip()],
        lod=lod,
        mips=mips,
        format=format_name,
        bits=None if bits is None else int(bits),
        device=device,
        threads=threads,
        overwrite=overwrite,
        limits=limits,
    )
    for one in written:
        levels = f", {one.levels} levels" if one.levels > 1 else ""
        _console.emit(f"{one.path}: {one.format}, {one.width}x{one.height}{levels}, {human_bytes(one.n_bytes)}")
