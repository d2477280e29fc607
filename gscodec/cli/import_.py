"""`gscodec import`: makes an `.igs` file of Gaussians that another program wrote."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gscodec.cli import _console
from gscodec.cli._limits import MaxMemory, limits_of
from gscodec.cli._paths import output_path
from gscodec.cli._values import Dimensions, human_bytes, parse_channels, parse_dimensions
from gscodec.material.outputs import is_url


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="Gaussians: a NumPy archive .npz or a file .ply as export writes them, or a checkpoint .pt of the "
            "authors' Image-GS.",
        ),
    ],
    output: Annotated[
        str | None, typer.Argument(metavar="[OUT]", help="Output file. Default: IN with suffix .igs.")
    ] = None,
    size: Annotated[
        Dimensions | None,
        typer.Option(
            parser=parse_dimensions,
            metavar="WxH",
            help="Size of the picture in px, where IN does not have it: checkpoints never do.",
        ),
    ] = None,
    channels: Annotated[
        dict[str, int] | None,
        typer.Option(
            parser=parse_channels,
            metavar="NAME=N,...",
            help="With --size: channels of each map in their order, albedo=3,normal=3; a name says the role. "
            "Default: a colour picture; two and four channels have an alpha.",
        ),
    ] = None,
    profile: Annotated[
        Literal["f16", "coded", "packed"],
        typer.Option(help="How Gaussians are stored: f16 keeps 16 bits per value, the others are smaller and round."),
    ] = "f16",
    max_memory: MaxMemory = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Make an .igs file of Gaussians that another program wrote, without a fit.

    The file has one level of detail. What the arrays of .npz and the properties of .ply are is in docs/interchange.md.
    Nothing in IN is executed.
    """
    path = output_path(source, output, ".igs", overwrite)
    from gscodec.interchange.files import import_gaussians

    imported = import_gaussians(
        source if is_url(source) else Path(source),
        path,
        size=size,
        channels=channels,
        profile=profile,
        overwrite=overwrite,
        limits=limits_of(max_memory=max_memory),
    )
    if path is None:
        _console.emit_bytes(imported.data)
    if not quiet:
        _console.say(
            f"{'stdout' if path is None else path}: {human_bytes(len(imported.data))}, "
            f"{imported.n_gaussians} Gaussians, {imported.width}x{imported.height}, {imported.n_channels} channels"
        )
