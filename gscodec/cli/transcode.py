"""`gscodec transcode`: makes an `.igs` file of another one without its source."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gscodec.cli import _console
from gscodec.cli._limits import Timeout, limits_of
from gscodec.cli._lods import LAST_LOD
from gscodec.cli._paths import igs_source
from gscodec.errors import InvalidArgument
from gscodec.material.outputs import display_name, refuse_inputs

if TYPE_CHECKING:
    from gscodec.model.limits import Limits

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
    profile: Annotated[
        Literal["coded", "packed", "f16"] | None,
        typer.Option(help="Round values to those of another profile. Default: the profile of IN, and no rounding."),
    ] = None,
    record_bytes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Profile packed: bytes per record. Default: 7 for RGB."),
    ] = None,
    timeout: Timeout = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Write a file with fewer levels of detail, or of another profile, without the source.

    Gaussians stay as they are, bit for bit, unless another --profile rounds them; the PSNR against IN is then printed.
    A level that is a coarser set becomes a picture of the size that the set was made of.
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
    kept = transcoded(data, name, finest=first, coarsest=last)
    result = kept if profile is None and record_bytes is None else _rounded(kept, profile, name, record_bytes)
    write_atomic(Path(output), result, overwrite)
    if not quiet:
        note = "" if result is kept else f"; its values are rounded, {_likeness(kept, result, limits)} from IN"
        _console.say(f"{output}: {len(result)} bytes of {len(data)}{note}")


def _rounded(data: bytes, profile: str | None, name: str, record_bytes: int | None) -> bytes:
    from gscodec.encoding.requantise import requantised
    from gscodec.render.engines import cpu_backend

    return requantised(data, profile or "packed", cpu_backend(None), name, record_bytes)


def _likeness(before: bytes, after: bytes, limits: "Limits") -> str:
    """How near the finest level of a file comes to that of another."""
    from gscodec.decoding.image import open_igs
    from gscodec.image.levels import to_unit
    from gscodec.metrics.seen import SquareErrors

    with open_igs(before, limits=limits, grain=False) as one, open_igs(after, limits=limits, grain=False) as other:
        errors = SquareErrors(one.groups)
        for (_, rows), (_, changed) in zip(one.strips(), other.strips(), strict=True):
            errors.add(to_unit(changed, one.groups), to_unit(rows, one.groups), None)
    return f"{errors.psnr:.1f} dB"
