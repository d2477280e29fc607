"""Options that raise the limits on reading and decoding, shared by all commands."""

from typing import TYPE_CHECKING, Annotated

import typer

from gscodec.cli._values import parse_byte_size

if TYPE_CHECKING:
    from gscodec.model.limits import Limits

MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Maximum pixels to read or compute. Default: 2^14 per byte of IN, at least 2^24, at most 2^30 in memory.",
    ),
]
MaxMemory = Annotated[
    int | None,
    typer.Option(
        parser=parse_byte_size,
        metavar="BYTES",
        help="Maximum memory for a picture, estimated in advance. Default: 8 GiB, at most half of the machine's.",
    ),
]
MaxCandidates = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Maximum mean number of Gaussians evaluated per pixel. Default: 256."),
]
Timeout = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Maximum total time for reading a URL. Default: 60.")
]


def limits_of(
    max_pixels: int | None = None,
    max_memory: int | None = None,
    max_candidates: int | None = None,
    timeout: float | None = None,
) -> "Limits":
    """The limits, with those replaced that options set."""
    from gscodec.model.limits import DEFAULT_CANDIDATES, DEFAULT_TIMEOUT, Limits

    return Limits(
        max_pixels,
        max_memory,
        DEFAULT_CANDIDATES if max_candidates is None else max_candidates,
        DEFAULT_TIMEOUT if timeout is None else timeout,
    )
