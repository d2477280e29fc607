"""`gscodec transcode`: makes an `.igs` file of another one without its source."""

from pathlib import Path
from typing import Annotated

import typer

from gscodec.cli import _console
from gscodec.cli._limits import Timeout, limits_of
from gscodec.cli._lods import LAST_LOD
from gscodec.cli._paths import igs_source
from gscodec.errors import InvalidArgument
from gscodec.material.outputs import display_name, refuse_inputs

_COPIES = 4
"""Copies of a file that are held at a time."""


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file, a path or URL; - reads stdin.")],
    output: Annotated[str, typer.Argument(metavar="OUT", help="The .igs file to write.")],
    finest: Annotated[
        int,
        typer.Option(
            min=0, max=LAST_LOD, metavar="N", help="Leave out levels of detail finer than N, which becomes LOD 0."
        ),
    ] = 0,
    coarsest: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LAST_LOD,
            metavar="N",
            help="Leave out the sets of Gaussians that are coarser than that of level N.",
        ),
    ] = None,
    lod: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LAST_LOD,
            metavar="N",
            help="Keep the set of Gaussians of level N, as a file whose finest level is N.",
        ),
    ] = None,
    f16: Annotated[
        bool, typer.Option("--mapped", help="Round values to 16 bits: profile f16, which can be mapped.")
    ] = False,
    timeout: Timeout = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Write a file with fewer levels of detail, or of 16-bit records, without the source.

    Gaussians stay as they are, bit for bit, unless --mapped rounds them. A level that is a coarser set becomes a
    picture of the size that the set was made of.
    """
    from gscodec.container.transcode import transcoded
    from gscodec.format.opening import open_source
    from gscodec.io.atomic import write_atomic

    if lod is not None and (finest or coarsest is not None):
        raise InvalidArgument("--lod is --finest and --coarsest of one level: leave those out")
    name = display_name(source)
    refuse_inputs([output], [source])
    limits = limits_of(timeout=timeout)
    opened = open_source(igs_source(source), name, limits)
    try:
        limits.check_memory(_COPIES * opened.size, f"{name}: {opened.size} bytes, which are held in memory,")
        data = bytes(opened.read_at(0, opened.size))
    finally:
        opened.close()
    first, last = (finest, coarsest) if lod is None else (lod, lod)
    data_out = transcoded(data, name, finest=first, coarsest=last, f16=f16)
    write_atomic(Path(output), data_out, overwrite)
    if not quiet:
        _console.say(f"{output}: {len(data_out)} bytes of {len(data)}")
