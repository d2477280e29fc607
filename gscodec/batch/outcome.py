"""Outcome of a batch item: its status, its file and its figures."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from gscodec.batch.map_figures import Figures
from gscodec.errors import GsCodecError


class Status(StrEnum):
    """Status of an item after a run."""

    ENCODED = "encoded"
    COPIED = "copied"  # copied from the cache
    CURRENT = "current"  # up to date, not touched
    DECODED = "decoded"
    MISSED = "missed"  # encoded, but its target was not met
    FAILED = "failed"
    WAITING = "waiting"  # not started: the batch was stopped or is a dry run


@dataclass(frozen=True)
class Provenance:
    """Fingerprints of an output and its sources for the state file; not part of a report."""

    sources: str | None  # `print_of` the sources, taken before they were read
    digest: str  # SHA-256 of the output
    stat: list[int] | None  # size in bytes and modification time in ns


@dataclass(frozen=True)
class Outcome:
    """Outcome of one item."""

    name: str
    status: Status
    output: str = ""
    message: str = ""  # one line: why it failed, or a warning
    key: str = ""
    n_bytes: int = 0
    bpp: float = 0.0
    psnr: float | None = None  # dB; None if the file does not record it
    n_gaussians: int = 0
    seconds: float = 0.0
    map_figures: Figures | None = None  # errors of the maps of a material
    provenance: Provenance | None = field(default=None, compare=False, repr=False)


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
    "map_figures",
)


def as_row(outcome: Outcome) -> dict[str, Any]:
    """The members of an outcome that appear in a report."""
    return {name: getattr(outcome, name) for name in REPORTED}


def one_line(fault: BaseException | str) -> str:
    """The text of an error or a warning on one line."""
    return " ".join(str(fault).split())


def outcome_of(name: str, output: str, work: Callable[[], Outcome]) -> Outcome:
    """The outcome of `work` with its wall time in seconds; OS errors and the library's errors become failures.

    Raises:
        BrokenPipeError: the parent process that reads the progress has ended.
    """
    started = time.perf_counter()
    try:
        outcome = work()
    except BrokenPipeError:
        raise
    except GsCodecError as fault:
        outcome = Outcome(name, Status.FAILED, output, one_line(fault))
    except (OSError, ValueError) as fault:  # ValueError: a NUL character in a path
        outcome = Outcome(name, Status.FAILED, output, f"{output}: {getattr(fault, 'strerror', None) or fault}")
    return replace(outcome, seconds=time.perf_counter() - started)
