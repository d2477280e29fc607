"""Number of steps that fit into a time budget, from speeds measured during the work, so that errors are corrected."""

import time
from collections.abc import Callable
from typing import Final

LEAST_STEPS: Final = 12
"""Minimum number of steps of a fit, whatever the time: with fewer, no growth has taken place."""

SPARE: Final = 0.05
"""Fraction of the remaining time that is kept in reserve."""


class Pace:
    """Speed so far, in steps per second and pixel, and the time that is left.

    Args:
        deadline: in the time of `clock`; None means no limit.
        reserve: seconds needed after the last step.
        clock: returns the time in seconds; None means `time.perf_counter`.
    """

    def __init__(self, deadline: float | None, reserve: float, clock: Callable[[], float] | None = None) -> None:
        self._deadline = deadline
        self._reserve = reserve
        self._clock = clock or time.perf_counter
        self._work = 0.0
        self._seconds = 0.0

    @property
    def is_blind(self) -> bool:
        """Whether there is a deadline and no speed has been measured yet."""
        return self._deadline is not None and not self._work

    def took(self, steps: int, pixels: int, seconds: float) -> None:
        """Record the duration of a finished fit."""
        self._work += steps * pixels
        self._seconds += seconds

    def steps(self, wanted: int, pixels: int, pixels_left: int, extra: float) -> int:
        """Number of steps of a fit: `wanted`, or fewer if its part of the time requires it.

        Args:
            pixels: of this fit. pixels_left: of this fit and all later ones.
            extra: steps of another kind per step, such as quantisation-aware fine-tuning.
        """
        if self._deadline is None or not self._work:
            return wanted
        left = (self._deadline - self._clock() - self._reserve) * (1 - SPARE)
        affordable = left * pixels / pixels_left / (self._seconds / self._work * pixels) / (1 + extra)
        return min(wanted, max(LEAST_STEPS, int(affordable)))
