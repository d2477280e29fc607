"""`gscodec compare`: how far two pictures are apart."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gscodec.cli import _console
from gscodec.cli._paths import display_name
from gscodec.cli.exit import ExitCode
from gscodec.errors import FileAccessError, InvalidArgument

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class _Picture:
    name: str
    samples: "npt.NDArray[np.float32]"  # (H, W, C), 0..1 for integer samples


def command(
    first: Annotated[str, typer.Argument(metavar="A", help="Picture or .igs file; - reads stdin.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Picture or .igs file; - reads stdin.")],
    min_psnr: Annotated[float | None, typer.Option(metavar="DB", help="Exit 7 if PSNR is below this.")] = None,
    min_ssim: Annotated[float | None, typer.Option(metavar="VALUE", help="Exit 7 if SSIM is below this.")] = None,
    min_ms_ssim: Annotated[float | None, typer.Option(metavar="VALUE", help="Exit 7 if MS-SSIM is below this.")] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Engine for .igs files: auto, cpu or cuda:N.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Result as JSON.")] = False,
) -> None:
    """Measure how far two pictures are apart.

    Shows PSNR, SSIM and MS-SSIM; each input is an image or an .igs file. Exit code 7 if their sizes or channels
    differ, or if a figure is below the minimum asked for.
    """
    if first == second == _console.STREAM:
        raise InvalidArgument("stdin cannot be both pictures: name a file for one")
    from gscodec import metrics

    a, b = _load(first, device, threads), _load(second, device, threads)
    if a.samples.shape != b.samples.shape:
        raise _console.fail(ExitCode.DIFFERS, f"{_shape(a)}, but {_shape(b)}: they cannot be compared")
    height, width, n_channels = a.samples.shape
    figures = {
        "psnr": metrics.psnr(a.samples, b.samples),
        "ssim": metrics.ssim(a.samples, b.samples),
        "ms_ssim": metrics.ms_ssim(a.samples, b.samples),
    }
    if as_json:
        _console.emit_json(
            {"a": a.name, "b": b.name, "width": width, "height": height, "channels": n_channels}
            | {"identical": figures["psnr"] == math.inf}
            | {name: value if math.isfinite(value) else None for name, value in figures.items()}
        )
    else:
        _console.emit(f"PSNR {figures['psnr']:.2f} dB  SSIM {figures['ssim']:.4f}  MS-SSIM {figures['ms_ssim']:.4f}")
    minima = {"psnr": min_psnr, "ssim": min_ssim, "ms_ssim": min_ms_ssim}
    missed = [
        f"{name.replace('_', '-').upper()} {figures[name]:.4f} is below {minimum:g}"
        for name, minimum in minima.items()
        if minimum is not None and not figures[name] >= minimum
    ]
    if missed:
        raise _console.fail(ExitCode.DIFFERS, "; ".join(missed))


def _load(source: str, device: str, threads: int | None) -> _Picture:
    """A picture's samples; an .igs file is told by its content, whatever its name."""
    from gscodec.format import SIGNATURE

    name = display_name(source)
    content = _console.read_stdin() if source == _console.STREAM else None
    if (_first_bytes(source, len(SIGNATURE)) if content is None else content[: len(SIGNATURE)]) == SIGNATURE:
        from gscodec.decode import open_igs
        from gscodec.image import to_unit

        with open_igs(source if content is None else content, device=device, threads=threads) as image:
            return _Picture(name, to_unit(image.render(), image.groups))
    from gscodec.image import load_image

    return _Picture(name, load_image(source if content is None else content, name).samples)


def _first_bytes(path: str, count: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise FileAccessError(f"{path}: cannot be read: {error.strerror}") from error


def _shape(picture: _Picture) -> str:
    height, width, n_channels = picture.samples.shape
    return f"{picture.name} is {width}x{height} with {n_channels} channels"
