"""`gscodec compare`: measures the difference between two pictures."""

import math
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import typer

from gscodec.cli import _console
from gscodec.cli._limits import MaxCandidates, MaxMemory, MaxPixels, limits_of
from gscodec.cli.exit import ExitCode
from gscodec.errors import GsCodecError, InvalidArgument, OutputExists, file_access_error
from gscodec.io.streams import Rejoined, is_stream, open_stdin
from gscodec.material.outputs import display_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from gscodec.material.restore import Restored
    from gscodec.model.channels import ChannelGroup
    from gscodec.model.limits import Limits


@dataclass(frozen=True)
class _Picture:
    name: str
    samples: "npt.NDArray[np.float32]"  # (H, W, C) in the model's domain, 0..1
    groups: "tuple[ChannelGroup, ...]"


def command(
    first: Annotated[str, typer.Argument(metavar="A", help="Picture or .igs file; - reads stdin.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Picture or .igs file; - reads stdin.")],
    min_psnr: Annotated[float | None, typer.Option(metavar="DB", help="Exit 7 if PSNR is below this.")] = None,
    min_ssim: Annotated[float | None, typer.Option(metavar="VALUE", help="Exit 7 if SSIM is below this.")] = None,
    min_ms_ssim: Annotated[float | None, typer.Option(metavar="VALUE", help="Exit 7 if MS-SSIM is below this.")] = None,
    min_ssimulacra2: Annotated[
        float | None, typer.Option(metavar="SCORE", help="Exit 7 if SSIMULACRA2 is below this.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(metavar="NAME", help="Part of A, a multi-part OpenEXR file, by name or number.")
    ] = None,
    nan: Annotated[
        str, typer.Option(metavar="POLICY", help="NaN and infinite samples: error, zero or hole.")
    ] = "error",
    max_pixels: MaxPixels = None,
    max_memory: MaxMemory = None,
    max_candidates: MaxCandidates = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Device for .igs files: auto, cpu, cuda, cuda:N or gpu.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Also write a page that shows both along a wipe, and an error map."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page if it exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare two pictures.

    Prints PSNR, SSIM and MS-SSIM, and for gray and colour of integer samples SSIMULACRA2 (100 for equal pictures, 70
    high quality, 30 low) with A as the reference. Each input is a picture or an .igs file, decoded without grain. Float
    pictures also get log PSNR, of log2(2^-14 + v) against 30 stops, and HDR-FLIP with A as the reference; their PSNR
    and SSIM are computed on asinh-mapped values over A's range. Exit code 7 if sizes or channels differ, or if a figure
    is below its minimum.
    """
    if first == second == _console.STREAM:
        raise InvalidArgument("stdin cannot be both pictures: name a file for one")
    if html is not None:
        _check_page(html, (first, second), overwrite)
    from gscodec import metrics

    limits = limits_of(max_pixels, max_memory, max_candidates)
    a, b = _load(first, device, threads, nan, limits, part), _load(second, device, threads, nan, limits)
    if a.samples.shape != b.samples.shape:
        raise _console.fail(ExitCode.DIFFERS, f"{_shape(a)}, but {_shape(b)}: they cannot be compared")
    from gscodec.metrics.measure import float_channels

    floats = float_channels(a.groups)
    if floats != float_channels(b.groups):
        integer, real = (b, a) if len(floats) > len(float_channels(b.groups)) else (a, b)
        text = f"{real.name} has floats where {integer.name} has integers: they cannot be compared"
        raise _console.fail(ExitCode.DIFFERS, text)
    height, width, n_channels = a.samples.shape
    samples_of_b = _in_domain_of(a, b)
    figures = {name: metrics.METRICS[name].measure(a.samples, samples_of_b, a.groups) for name in ("psnr", *_LIKENESS)}
    if floats:
        figures |= _light_figures(a, b)
    shown = [_FORMATS[name].format(value) for name, value in figures.items() if value is not None]
    if html is not None:
        _write_page(html, (first, a), (second, b), "  ".join(shown), overwrite)
    if as_json:
        _console.emit_json(
            {"a": a.name, "b": b.name, "width": width, "height": height, "channels": n_channels}
            | {"identical": bool((a.samples == samples_of_b).all())}
            | {name: None if value is None or math.isinf(value) else value for name, value in figures.items()}
        )
    else:
        _console.emit("  ".join(shown))
    minima = {"psnr": min_psnr, "ssim": min_ssim, "ms_ssim": min_ms_ssim, "ssimulacra2": min_ssimulacra2}
    for name, minimum in minima.items():
        if minimum is not None and figures[name] is None:
            raise InvalidArgument(f"--min-{name} needs gray or colour pictures of integer samples, 8 px or larger")
    missed = [
        f"{name.replace('_', '-').upper()} {value:.4f} is below {minimum:g}"
        for name, minimum in minima.items()
        if minimum is not None and (value := figures[name]) is not None and not value >= minimum
    ]
    if missed:
        raise _console.fail(ExitCode.DIFFERS, "; ".join(missed))


def _check_page(path: Path, inputs: "Sequence[str]", overwrite: bool) -> None:
    """Whether a page can be written, before anything is decoded.

    Raises:
        InvalidArgument: a picture comes from a stream, or the page is one of the pictures.
        OutputExists: it is there.
    """
    from gscodec.material.outputs import refuse_inputs

    if any(source == _console.STREAM or is_stream(source) for source in inputs):
        raise InvalidArgument("--html needs two files: a stream cannot be read again")
    refuse_inputs([path], inputs)
    if path.exists() and not overwrite:
        raise OutputExists(f"{path}: exists already; use --overwrite to replace it")


def _write_page(
    path: Path, first: tuple[str, _Picture], second: tuple[str, _Picture], figures: str, overwrite: bool
) -> None:
    """Write a page that holds both pictures, atomically."""
    from gscodec.format.layout import SIGNATURE
    from gscodec.io.atomic import write_atomic
    from gscodec.viewer.embedding import embedded_igs, embedded_picture
    from gscodec.viewer.page import viewer_page

    embedded = []
    for source, picture in (first, second):
        with _opened(source, len(SIGNATURE)) as (_, head):
            is_igs = head == SIGNATURE
        name = Path(source)
        embedded.append(
            embedded_igs(name, source) if is_igs else embedded_picture(name, picture.samples, picture.groups)
        )
    page = viewer_page(embedded[:1], second=embedded[1], figures=figures)
    write_atomic(path, page.encode(), overwrite)


_LIKENESS = ("ssim", "ms_ssim", "ssimulacra2")

_FORMATS = {
    "psnr": "PSNR {:.2f} dB",
    "ssim": "SSIM {:.4f}",
    "ms_ssim": "MS-SSIM {:.4f}",
    "ssimulacra2": "SSIMULACRA2 {:.2f}",
    "log_psnr": "log PSNR {:.2f} dB",
    "hdr_flip": "HDR-FLIP {:.4f}",
}


def _in_domain_of(a: _Picture, b: _Picture) -> "npt.NDArray[np.float32]":
    """Float samples of B in A's domain; each picture has a domain of its own, set by its values."""
    from gscodec.image.levels import has_floats, to_unit, to_values

    if not has_floats(a.groups) or _domains(a) == _domains(b):
        return b.samples
    return to_unit(to_values(b.samples, b.groups), a.groups)


def _domains(picture: _Picture) -> list[tuple[object, ...]]:
    return [(g.n_channels, g.transfer, g.value_min, g.value_max, g.knee_log2) for g in picture.groups]


def _light_figures(a: _Picture, b: _Picture) -> dict[str, float | None]:
    """Figures of float pictures; HDR-FLIP is None, with a note, without light or if its package is missing."""
    from gscodec import metrics
    from gscodec.image.levels import to_values
    from gscodec.metrics.measure import float_channels

    first, second = (to_values(picture.samples, picture.groups) for picture in (a, b))  # each has a range of its own
    channels = float_channels(a.groups)
    figures: dict[str, float | None] = {"log_psnr": metrics.log_psnr(first[:, :, channels], second[:, :, channels])}
    figures["hdr_flip"] = None
    seen = [metrics.light_of(values, a.groups) for values in (first, second)]
    reason = metrics.METRICS["hdr_flip"].missing()
    if reason:
        _console.say(f"gscodec: HDR-FLIP was not computed: {reason}")
    elif seen[0] is not None and seen[1] is not None:
        figures["hdr_flip"] = metrics.hdr_flip(seen[0], seen[1])
    return figures


def _load(
    source: str, device: str, threads: int | None, nan: str, limits: "Limits", part: str | None = None
) -> _Picture:
    """Samples of a picture; an .igs file is recognised by its content, not its name."""
    from gscodec.format.layout import SIGNATURE

    name = display_name(source)
    with _opened(source, len(SIGNATURE)) as (file, head):
        if source == _console.STREAM or is_stream(source):  # a stream can be read only once
            content: str | BinaryIO = cast(BinaryIO, Rejoined(head, file))
        else:
            content = source
        return _load_as(head == SIGNATURE, content, name, device, threads, nan, limits, part)


def _load_as(
    is_igs: bool,
    content: "str | BinaryIO",
    name: str,
    device: str,
    threads: int | None,
    nan: str,
    limits: "Limits",
    part: str | None,
) -> _Picture:
    if is_igs:
        from gscodec.decoding.image import open_igs
        from gscodec.image.levels import to_unit

        with open_igs(content, device=device, threads=threads, limits=limits, grain=False) as image:
            if image.has_file_chunk and len(image.files) == 1:  # with the source's channels that are not stored
                (restored,) = image.render_files().values()
                values, groups = _as_stored(restored, image.groups)
                return _Picture(name, to_unit(values, groups), groups)
            return _Picture(name, to_unit(image.render(), image.groups), image.groups)
    from gscodec.image.load import load_image

    stack = load_image(content, name, part=part, nan=nan, limits=limits)
    return _Picture(name, stack.samples, stack.groups)


def _as_stored(
    restored: "Restored", stored: "Sequence[ChannelGroup]"
) -> "tuple[npt.NDArray[Any], tuple[ChannelGroup, ...]]":
    """A file's picture with straight or premultiplied colour as in the .igs file, which keeps that of its source."""
    from gscodec.image.alpha import covers, in_modes

    modes = {cover.group.name: cover.mode for cover in covers(stored)}
    own = [modes.get(cover.group.name, cover.mode) for cover in covers(restored.groups)]
    return in_modes(restored.samples, restored.groups, own)


@contextmanager
def _opened(source: str, count: int) -> "Iterator[tuple[BinaryIO, bytes]]":
    """A file, or stdin for `-`, positioned after its first bytes, and these bytes.

    Raises:
        FileAccessError: the file cannot be opened, or its first bytes cannot be read.
    """
    name = display_name(source)
    try:
        with nullcontext(open_stdin()) if source == _console.STREAM else Path(source).open("rb") as file:
            head = file.read(count)
            yield file, head
    except GsCodecError:
        raise
    except OSError as fault:
        raise file_access_error(f"{name}: cannot be read: {fault.strerror or fault}", fault) from fault


def _shape(picture: _Picture) -> str:
    height, width, n_channels = picture.samples.shape
    return f"{picture.name} is {width}x{height} with {n_channels} channels"
