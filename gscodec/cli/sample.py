"""`gscodec sample`: prints values at single points of an `.igs` file."""

from pathlib import Path
from typing import Annotated

import typer

from gscodec.cli import _console
from gscodec.cli._limits import MaxCandidates, MaxMemory, Timeout, limits_of
from gscodec.cli._lods import LAST_LOD, chosen_lod
from gscodec.cli._paths import igs_source
from gscodec.cli._points import Format, read_points, write_values
from gscodec.cli._values import parse_point
from gscodec.errors import InvalidArgument, OutputExists
from gscodec.io.streams import is_stream
from gscodec.material.outputs import display_name, is_url


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file, a path or URL; - reads stdin.")],
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y", help="Point in stored pixels; repeatable. Without one, or with -: points from stdin."
        ),
    ] = None,
    points_file: Annotated[
        str | None,
        typer.Option("--points", metavar="FILE", help="Points as CSV, lines of x y, or NPY (M, 2); - reads stdin."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Output file. Default: stdout.")
    ] = None,
    format_name: Annotated[
        Format | None,
        typer.Option(
            "--format", help="Output format; npy has the values only. Default: from the suffix of --output, or text."
        ),
    ] = None,
    lod: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LAST_LOD,
            metavar="N",
            help="Level of detail: 0 is the finest; beyond the coarsest, the coarsest. Default: the finest in IN.",
        ),
    ] = None,
    grain: Annotated[bool, typer.Option(help="Add the grain that IN describes, if it does.")] = True,
    device: Annotated[str, typer.Option(metavar="NAME", help="Device: auto, cpu, cuda, cuda:N or gpu.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Print the bytes, pages and Gaussians read to stderr.")
    ] = False,
    max_memory: MaxMemory = None,
    max_candidates: MaxCandidates = None,
    timeout: Timeout = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Print the channel values at one or many points.

    One line per point: x, y, then a value per channel. Only the pages that the points need are decoded. Pixel (0, 0)
    has its centre at 0.5,0.5. Values of integer samples are in 0..1.
    """
    if at and points_file is not None:
        raise InvalidArgument("--at and --points exclude each other: give one")
    if as_json and format_name not in {None, "json"}:
        raise InvalidArgument(f"--json and --format {format_name} exclude each other: give one")
    if at == [_console.STREAM] or (not at and points_file is None):
        points_file = _console.STREAM
    if points_file == _console.STREAM and source == _console.STREAM:
        raise InvalidArgument("stdin cannot be both the file and the points: give the points with --at")
    target = output or _console.STREAM
    if target != _console.STREAM:
        from gscodec.material.outputs import refuse_inputs

        refuse_inputs([target], [name for name in (source, points_file) if name is not None and not is_url(name)])
    if target != _console.STREAM and Path(target).exists() and not overwrite and not is_stream(target):
        raise OutputExists(f"{target}: exists already; use --overwrite to replace it")
    suffix = Path(target).suffix.lower().removeprefix(".")
    named: Format = "csv" if suffix == "csv" else "json" if suffix == "json" else "npy" if suffix == "npy" else "text"
    kind = "json" if as_json else format_name or named

    import numpy as np

    from gscodec.decoding.image import open_igs
    from gscodec.model.channels import channel_spans

    if points_file is not None:
        points = read_points(points_file)
    else:
        points = np.array([parse_point(text) for text in at or ()], np.float64).reshape(-1, 2)
    limits = limits_of(None, max_memory, max_candidates, timeout)
    opened = open_igs(igs_source(source), device=device, threads=threads, count_work=stats, limits=limits, grain=grain)
    with opened as image:
        lod = chosen_lod(lod, image, display_name(source))
        values = image.sample(points, lod=lod)
        shown = image.available_lods[0] if lod is None else lod
        # The model's alpha overshoots 0 and 1 on purpose, and other samples may overshoot too.
        for group, channels in channel_spans(image.groups):
            if group.sample_type == "uint":
                np.clip(values[:, channels], 0, 1, out=values[:, channels])
        names = [f"{group.name}.{channel}" for group in image.groups for channel in range(group.n_channels)]
        cost = image.stats
    write_values(target, kind, shown, names, points, values)
    if stats:
        from gscodec.cli._stats import say_stats

        say_stats(cost)
