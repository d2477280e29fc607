"""Progress of an encode: which phase runs, how much of the work is done, and how long the rest takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Progress:
    """State of an encode, for a progress display."""

    step: int  # of the fit at hand, those of quantisation included
    total_steps: int
    n_gaussians: int
    psnr: float  # dB, of the fit so far, before quantisation
    bpp: float  # estimated, of a file with the present Gaussians
    phase: str  # "plan" (expected figures), "fit samples", "fit", "quantise", "pack", or "level 1 of 2: fit"
    fraction: float  # of the work, estimated by the cost of steps, 0..1; never falls
    seconds: float = 0.0  # since the encode began
    seconds_left: float = 0.0  # estimated
    block: int = 1  # current block of a large picture, from 1
    n_blocks: int = 1


Show = Callable[[Progress], None]


class Timed:
    """Adds seconds since `started`, in the time of time.perf_counter, and what is left; the fraction never falls."""

    def __init__(self, show: Show, started: float) -> None:
        self._show = show
        self._started = started
        self._most = 0.0
        self._last: Progress | None = None

    def __call__(self, state: Progress) -> None:
        """Show a state of the whole encode."""
        self._last = state
        self._most = max(self._most, min(state.fraction, 1.0))
        elapsed = time.perf_counter() - self._started
        left = elapsed * (1.0 - self._most) / self._most if self._most else 0.0
        self._show(replace(state, fraction=self._most, seconds=elapsed, seconds_left=left))

    def finish(self) -> None:
        """Show the last state once more as the end, unless it was."""
        if self._last is not None and self._most < 1.0:
            self(replace(self._last, fraction=1.0))


def report_plan(show: Show | None, n_gaussians: int, psnr: float, bpp: float) -> None:
    """Show what is expected of a fit before it begins."""
    if show is not None:
        show(Progress(0, 0, n_gaussians, psnr, bpp, "plan", 0.0))


def part_of(show: Show | None, start: float, share: float, name: str = "") -> Show | None:
    """Shows the progress of a part of the work.

    Args:
        start, share: fractions of the whole that are done before the part, and that it takes.
        name: put in front of its phases.
    """
    if show is None:
        return None
    label = f"{name}: " if name else ""
    return lambda state: show(
        replace(state, phase=f"{label}{state.phase}", fraction=start + share * min(state.fraction, 1.0))
    )
