"""How many steps a time budget allows: measured while the work goes on, so that early errors are made up for."""

import time
from collections.abc import Callable
from typing import Final

LEAST_STEPS: Final = 12
"""Steps of any fit, however little time there is: with fewer nothing has grown."""

SPARE: Final = 0.05
"""Share of the time left that is not planned for."""


class Pace:
    """Steps per second and pixel so far, and the time that is left.

    Args:
        deadline: of the clock; None has all the time.
        reserve: seconds that come after the last step.
        clock: `time.perf_counter` unless given.
    """

    def __init__(self, deadline: float | None, reserve: float, clock: Callable[[], float] | None = None) -> None:
        self._deadline = deadline
        self._reserve = reserve
        self._clock = clock or time.perf_counter
        self._work = 0.0
        self._seconds = 0.0

    @property
    def is_blind(self) -> bool:
        """Whether time matters and nothing has been measured yet."""
        return self._deadline is not None and not self._work

    def took(self, steps: int, pixels: int, seconds: float) -> None:
        """Learn from a finished fit."""
        self._work += steps * pixels
        self._seconds += seconds

    def steps(self, wanted: int, pixels: int, pixels_left: int, extra: float) -> int:
        """Steps of a fit: as many as wanted, or as its part of the time allows.

        Args:
            pixels: of this fit. pixels_left: of this fit and all after it.
            extra: steps of another kind that come with each step.
        """
        if self._deadline is None or not self._work:
            return wanted
        left = (self._deadline - self._clock() - self._reserve) * (1 - SPARE)
        affordable = left * pixels / pixels_left / (self._seconds / self._work * pixels) / (1 + extra)
        return min(wanted, max(LEAST_STEPS, int(affordable)))
