"""What became of an item."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from gscodec.errors import GsCodecError


class Status(StrEnum):
    """What became of an item."""

    ENCODED = "encoded"
    COPIED = "copied"  # out of the cache
    CURRENT = "current"  # was there already
    DECODED = "decoded"
    MISSED = "missed"  # there, but its target was not met
    FAILED = "failed"
    WAITING = "waiting"  # not begun: the batch was stopped, or only planned


@dataclass(frozen=True)
class Made:
    """What an output was made of, for the state; no part of a report."""

    sources: str | None  # print of the sources before they were read
    digest: str  # SHA-256 of the output
    stat: list[int] | None  # its size and time of modification, ns


@dataclass(frozen=True)
class Outcome:
    """What became of an item, and of which file."""

    name: str
    status: Status
    output: str = ""
    message: str = ""  # one line: why it failed, or what a user should know of it
    key: str = ""
    n_bytes: int = 0
    bpp: float = 0.0
    psnr: float | None = None  # dB; None where the file does not say
    n_gaussians: int = 0
    seconds: float = 0.0
    made: Made | None = field(default=None, compare=False, repr=False)


REPORTED: Final = (
    "name",
    "status",
    "output",
    "message",
    "key",
    "n_bytes",
    "bpp",
    "psnr",
    "n_gaussians",
    "seconds",
)


def as_row(outcome: Outcome) -> dict[str, Any]:
    """The members of an outcome that a report has."""
    return {name: getattr(outcome, name) for name in REPORTED}


def one_line(fault: BaseException | str) -> str:
    """The text of an error or a warning in one line."""
    return " ".join(str(fault).split())


def settled(name: str, output: str, work: Callable[[], Outcome]) -> Outcome:
    """The outcome of some work, with the time that it took; errors of files and of the library are failures.

    Raises:
        BrokenPipeError: the batch that reads the progress is gone, and nobody waits for the outcome.
    """
    started = time.perf_counter()
    try:
        outcome = work()
    except BrokenPipeError:
        raise
    except GsCodecError as fault:
        outcome = Outcome(name, Status.FAILED, output, one_line(fault))
    except (OSError, ValueError) as fault:  # ValueError: a NUL in a path
        outcome = Outcome(name, Status.FAILED, output, f"{output}: {getattr(fault, 'strerror', None) or fault}")
    return replace(outcome, seconds=time.perf_counter() - started)
