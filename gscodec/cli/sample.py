"""`gscodec sample`: values at single points of an `.igs` file."""

import sys
from typing import Annotated

import typer

from gscodec.cli import _console
from gscodec.cli._paths import igs_source
from gscodec.cli._values import Point, parse_point
from gscodec.errors import InvalidArgument


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file.")],
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="A point in stored pixels; repeatable. - or none: points from stdin."),
    ] = None,
    lod: Annotated[int, typer.Option(min=0, metavar="N", help="Level of detail; 0 is the finest.")] = 0,
    device: Annotated[str, typer.Option(metavar="NAME", help="Engine: auto, cpu or cuda:N.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Result as JSON.")] = False,
) -> None:
    """Print the channel values at single points.

    One line a point: x, y, then a value for each channel; nothing else is decoded. Pixel (0, 0) has its centre at
    0.5,0.5. Values of integer samples run from 0 to 1.
    """
    from_stdin = not at or at == [_console.STREAM]
    if from_stdin and source == _console.STREAM:
        raise InvalidArgument("stdin cannot be both the file and the points: give the points with --at")
    points = _points_from_stdin() if from_stdin else [parse_point(text) for text in at or ()]

    import numpy as np

    from gscodec.decode import open_igs

    with open_igs(igs_source(source), device=device, threads=threads) as image:
        values = image.sample(np.array(points, dtype=np.float64).reshape(-1, 2), lod=lod)
        channels = [f"{group.name}.{channel}" for group in image.groups for channel in range(group.n_channels)]
    if as_json:
        rows = [{"at": list(point), "values": row.tolist()} for point, row in zip(points, values, strict=True)]
        _console.emit_json({"lod": lod, "channels": channels, "points": rows})
        return
    for point, row in zip(points, values, strict=True):
        _console.emit(" ".join([f"{point.x:.10g}", f"{point.y:.10g}", *(f"{value:.6f}" for value in row)]))


def _points_from_stdin() -> list[Point]:
    """One point a line, `x,y` or `x y`; empty lines and lines that begin with # do not count."""
    points = []
    for number, line in enumerate(sys.stdin, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                points.append(parse_point(line))
            except typer.BadParameter as error:
                raise InvalidArgument(f"stdin, line {number}: {error.message}") from None
    return points
