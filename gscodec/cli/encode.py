"""`gscodec encode`: encodes a picture to an `.igs` file."""

import contextlib
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gscodec.cli import _console
from gscodec.cli._config import drop_replaced_targets
from gscodec.cli._encoding import (
    Block,
    Device,
    Halves,
    ImportanceStrength,
    Lods,
    Nan,
    Normal,
    Part,
    Profile,
    RecordBytes,
    Role,
    Seed,
    Steps,
    Strip,
    Threads,
    TimeBudget,
    Weights,
)
from gscodec.cli._limits import MaxMemory, MaxPixels, limits_of
from gscodec.cli._paths import output_path
from gscodec.cli._values import human_bytes, parse_byte_size
from gscodec.cli.exit import ExitCode
from gscodec.encoding.quality import DEFAULT_QUALITY, MAX_QUALITY
from gscodec.errors import FileAccessError, InvalidArgument
from gscodec.material.outputs import display_name
from gscodec.model.choices import MetadataPolicy, PresetName, TuneName
from gscodec.model.constants import DEFAULT_STRENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gscodec.encoding.progress import Progress, Show
    from gscodec.encoding.settings import EncodeSettings
    from gscodec.image.regions import RegionSource
    from gscodec.image.stack import ImageStack
    from gscodec.model.channels import ChannelGroup


def command(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... [OUT]",
            help="Picture to encode, - for stdin; a folder of tiles of one picture, such as map_0_3.png (column, row); "
            "or the maps of a material: a folder, files, or a manifest .toml. "
            "OUT ends in .igs, or is - for stdout. Default: IN with suffix .igs.",
        ),
    ],
    named_output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="OUT", help="Output file, with any suffix.")
    ] = None,
    bpp: Annotated[
        float | None, typer.Option(metavar="BITS", help="Target bit rate of the whole file, in bits per pixel.")
    ] = None,
    bppc: Annotated[
        float | None, typer.Option(metavar="BITS", help="Target bit rate, in bits per pixel and channel.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(parser=parse_byte_size, metavar="BYTES", help="Target file size: 12345, 10k, 10KiB, 1.5MB."),
    ] = None,
    gaussians: Annotated[int | None, typer.Option(min=1, metavar="N", help="Target number of Gaussians.")] = None,
    psnr: Annotated[
        float | None, typer.Option(metavar="DB", help="Target PSNR, met within about 0.3 dB; may take a second fit.")
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MAX_QUALITY,
            metavar="Q",
            help="0, tiny, to 100, nearly every pixel: bytes are spent where they gain as much in any picture. "
            f"The target if there is no other: {DEFAULT_QUALITY:g}.",
        ),
    ] = None,
    preset: Annotated[
        PresetName, typer.Option(help="Encoder effort; paper is the published Image-GS recipe.")
    ] = "balanced",
    tune: Annotated[
        TuneName | None,
        typer.Option(
            help="What errors count: visual, how well they are seen; psnr, the same everywhere. [default: visual; psnr "
            "with --psnr and preset paper]"
        ),
    ] = None,
    importance: Annotated[
        str | None,
        typer.Option(
            metavar="MAP",
            help="Where to spend Gaussians: a gray picture of the same size, white where errors count more, or auto "
            "for an estimate of what stands out.",
        ),
    ] = None,
    importance_strength: ImportanceStrength = DEFAULT_STRENGTH,
    profile: Profile = None,
    record_bytes: RecordBytes = None,
    lods: Lods = None,
    halves: Halves = 0,
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    part: Part = None,
    max_pixels: MaxPixels = None,
    max_memory: MaxMemory = None,
    nan: Nan = "error",
    time_budget: TimeBudget = None,
    block: Block = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep finished blocks in FILE: after an interruption the same command resumes from them, with "
            "the same result. Removed at the end.",
        ),
    ] = None,
    metadata: Annotated[
        MetadataPolicy,
        typer.Option(
            help="all keeps Exif, XMP, PNG texts, pixel density and OpenEXR attributes if they take at most 5 % of the "
            "target size; none drops them."
        ),
    ] = "all",
    strip: Strip = False,
    mask: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Picture that is 0 at texels outside UV charts; hidden texels cost nothing."),
    ] = None,
    mips_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Make coarser levels of detail of these mips of the picture, 'rock.mip*.png', instead of averages of "
            "the picture; quoted. May be repeated.",
        ),
    ] = None,
    weights: Weights = None,
    role: Role = None,
    normal: Normal = None,
    as_stack: Annotated[
        bool, typer.Option("--stack", help="Encode several pictures as one stack, whatever their names.")
    ] = False,
    grain: Annotated[
        bool,
        typer.Option(
            help="Describe film grain and noise, where the picture has some, in 40 bytes, so that decoders add noise "
            "like it."
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Estimate size and time from the first seconds of the encode; write nothing."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no closing line.")] = False,
) -> None:
    """Encode a picture, or all maps of a material together, to an .igs file.

    Give at most one target: --bpp, --bppc, --size, --gaussians, --psnr or --quality. A rate or size is an upper bound
    on the whole file. Exit code 8 if the target is not met; the file is written all the same.
    """
    from gscodec.encoding.settings import TARGETS, EncodeSettings

    drop_replaced_targets(context, TARGETS)
    targets = [f"--{name}" for name in TARGETS if context.params[name] is not None]
    if len(targets) > 1:
        raise InvalidArgument(
            f"give at most one of {', '.join(f'--{name}' for name in TARGETS)}, not {' and '.join(targets)}"
        )
    if strip:
        context.params["metadata"] = "none"
    named = {field.name for field in fields(EncodeSettings)}
    settings = EncodeSettings(**{name: value for name, value in context.params.items() if name in named})
    sources, output = _split(paths, named_output)
    source = sources[0]

    from gscodec.image.stack import ImageStack
    from gscodec.material.inputs import input_files
    from gscodec.material.load_picture import load_picture
    from gscodec.material.outputs import refuse_inputs

    mips = _matching(mips_from or [])
    maps = [path for path in (mask, importance, *mips) if path is not None and path != "auto"]
    inputs = [*input_files(sources), *map(Path, maps)]
    destination = output_path(source, output, ".igs", overwrite, inputs=inputs)
    if checkpoint is not None:
        refuse_inputs([checkpoint], inputs)

    limits = limits_of(max_pixels, max_memory)
    # before anything is computed, so that a wrong path is reported at once
    stack = load_picture(sources, part=part, nan=settings.nan, limits=limits, overrides=settings.overrides)

    from gscodec.encoding.api import encode

    in_parts = contextlib.nullcontext() if isinstance(stack, ImageStack) else stack
    if dry_run:
        with in_parts:
            _estimate(stack, destination, settings.for_samples(), mask, device, threads)
        return
    label = Path(display_name(source)).name
    with in_parts, _interruptible(checkpoint) as watch, _console.progress_bar(label, quiet) as show:
        result = encode(
            stack,
            destination,
            settings=settings.for_samples(),
            mask=mask,
            mips=mips,
            device=device,
            threads=threads,
            checkpoint=checkpoint,
            overwrite=overwrite,
            progress=watch(show),
        )
    if destination is None:
        _console.emit_bytes(result.data)
    if not quiet:
        name = "stdout" if destination is None else destination
        measured = f"{result.psnr:.2f} dB"
        if result.importance_psnr is not None:
            measured += f" ({result.importance_psnr:.2f} dB by importance)"
        _console.say(
            f"{name}: {human_bytes(len(result.data))}, {result.bpp:.4f} bpp, {measured}, "
            f"{result.n_gaussians} Gaussians, {result.seconds:.1f} s on {result.device}{_roles(stack.groups)}"
        )
        if result.target_met and result.note:
            _console.say(f"{name}: {result.note}")
    if not result.target_met:
        target = f"{targets[0]} {context.params[targets[0][2:]]}"
        fact = f"{target} was not met: {result.note}; the file has been written anyway"
        raise _console.fail(ExitCode.TARGET_NOT_MET, fact)


def _estimate(
    stack: "ImageStack | RegionSource",
    destination: Path | None,
    settings: "EncodeSettings",
    mask: str | None,
    device: str,
    threads: int | None,
) -> None:
    """Print what an encode is expected to give."""
    from gscodec.encoding.estimate import estimate
    from gscodec.image.stack import ImageStack

    height, width, n_channels = stack.samples.shape if isinstance(stack, ImageStack) else stack.shape
    n_pixels = height * width
    what = {"n_pixels": n_pixels, "n_channels": n_channels}
    expected = estimate(stack, settings, **what, mask=mask, device=device, threads=threads)
    about = "at most" if expected.is_bound else "about"
    count = "" if expected.n_gaussians is None else f", {expected.n_gaussians} Gaussians"
    _console.emit(
        f"{'stdout' if destination is None else destination}: {about} {human_bytes(expected.n_bytes)}, "
        f"{8 * expected.n_bytes / n_pixels:.4f} bpp{count}, about {_console.duration(expected.seconds)}; not written"
    )


@contextlib.contextmanager
def _interruptible(checkpoint: Path | None) -> "Iterator[Callable[[Show | None], Show]]":
    """Context in which an interrupt says how far the encode was; wraps a progress callback.

    Raises:
        Exit: the encode was interrupted.
    """
    last: list[Progress] = []

    def watch(show: "Show | None") -> "Show":
        def keep(state: "Progress") -> None:
            last[:] = [state]
            if show is not None:
                show(state)

        return keep

    try:
        yield watch
    except KeyboardInterrupt as fault:
        where = "while reading"
        if last:
            now = last[0]
            block = f"block {now.block} of {now.n_blocks}, " if now.n_blocks > 1 else ""
            where = f"after {_console.duration(now.seconds)}, {100 * now.fraction:.0f} % done ({block}{now.phase})"
        kept = "" if checkpoint is None else f"; {checkpoint} has the finished blocks, the same command continues"
        raise _console.fail(ExitCode.INTERRUPTED, f"interrupted {where}; nothing was written{kept}") from fault


def _roles(groups: "tuple[ChannelGroup, ...]") -> str:
    """Detected roles of the maps, for the closing line; empty for a colour picture."""
    if len(groups) == 1 and groups[0].role.value == "color":
        return ""
    listed = (
        f"{group.role.value} {group.normal.value}" if group.role.value == "normal" else group.role.value
        for group in groups
    )
    return f"; {', '.join(listed)}"


def _matching(patterns: list[str]) -> list[str]:
    """The files that patterns name, each once.

    Raises:
        FileAccessError: a pattern names none.
    """
    matches: dict[str, None] = {}
    for pattern in patterns:
        names = (
            [pattern]
            if Path(pattern).exists()
            else sorted(map(os.fspath, Path(pattern).parent.glob(Path(pattern).name)))
        )
        if not names:
            raise FileAccessError(
                f"{pattern}: no such file; --mips-from takes the names of mips, or a pattern in quotes"
            )
        matches.update(dict.fromkeys(names))
    return list(matches)


def _split(paths: list[str], named_output: str | None) -> tuple[list[str], str | None]:
    """The inputs, and the output that the user named, if any."""
    if named_output is not None:
        return paths, named_output
    last = paths[-1]
    if len(paths) == 1:
        return paths, None
    is_map = len(paths) > 2 or (Path(last).is_file() and last != paths[0])
    if last != _console.STREAM and not last.lower().endswith(".igs") and is_map:
        raise InvalidArgument(f"{len(paths)} inputs and no output: name a file that ends in .igs last, or use --output")
    return paths[:-1], last
