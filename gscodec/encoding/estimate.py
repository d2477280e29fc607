"""Estimates size and time of an encode from its plan and its first steps, without a file as the result."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gscodec.encoding.api import Progress, encode
from gscodec.encoding.settings import EncodeSettings
from gscodec.model.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from gscodec.encoding.sources import Source

PATIENCE_SECONDS: Final = 4.0
"""Time for which steps are measured."""

LEAST_FRACTION: Final = 0.02
"""Fraction of the work that is measured, if that takes at most MOST_PATIENCE times as long."""

MOST_PATIENCE: Final = 5.0

TYPICAL_BYTES: Final = 5.0
"""Bytes of a Gaussian of colour in profile coded."""

LEVELS_FACTOR: Final = 1.05
"""Bytes of a file with its coarser levels, per byte of its finest set, where the target is no size."""


@dataclass(frozen=True)
class Estimate:
    """Expected result of an encode."""

    n_bytes: int  # of the file; of a target size, the most
    n_gaussians: int | None  # None: as many as fit into the size
    seconds: float
    is_bound: bool  # whether n_bytes is a bound and not an estimate
    n_pixels: int


class _Enough(Exception):  # no error: it ends the encode
    """Ends an encode from its progress callback."""


def estimate(
    source: "Source",
    settings: EncodeSettings,
    *,
    n_pixels: int,
    n_channels: int,
    mask: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    patience: float | None = None,
) -> Estimate:
    """What `encode` is expected to give: it is run until its speed is known.

    Args:
        source, settings, mask, device, threads, limits: as in `encode`.
        n_pixels, n_channels: of the source.
        patience: seconds for which steps are measured; None means PATIENCE_SECONDS.

    Raises:
        GsCodecError: as `encode`.
    """
    started = time.perf_counter()
    wait = PATIENCE_SECONDS if patience is None else patience
    seen: list[Progress] = []

    def watch(state: Progress) -> None:
        seen.append(state)
        least = LEAST_FRACTION if state.seconds < MOST_PATIENCE * wait else 0.0
        if state.seconds >= wait and state.fraction > least:
            raise _Enough

    budget = _budget(settings, n_pixels, n_channels)
    try:
        result = encode(
            source, settings=settings, mask=mask, device=device, threads=threads, limits=limits, progress=watch
        )
    except _Enough:
        pass
    else:
        seconds = time.perf_counter() - started
        return Estimate(len(result.data), result.n_gaussians, seconds, is_bound=False, n_pixels=n_pixels)
    last = seen[-1]
    seconds = last.seconds / last.fraction
    if budget is not None:
        return Estimate(budget, None, seconds, is_bound=True, n_pixels=n_pixels)
    plan = next((state for state in seen if state.phase == "plan"), last)
    count = settings.gaussians or plan.n_gaussians
    n_bytes = plan.bpp * n_pixels / 8 + _bytes_per_gaussian(seen[0], last, n_pixels) * (count - plan.n_gaussians)
    return Estimate(round(LEVELS_FACTOR * n_bytes), count, seconds, is_bound=False, n_pixels=n_pixels)


def _bytes_per_gaussian(first: Progress, last: Progress, n_pixels: int) -> float:
    """Bytes of another Gaussian, from two states of a growing fit; typical ones if it has not grown."""
    grown = last.n_gaussians - first.n_gaussians
    return (last.bpp - first.bpp) * n_pixels / 8 / grown if grown > 0 else TYPICAL_BYTES


def _budget(settings: EncodeSettings, n_pixels: int, n_channels: int) -> int | None:
    """Maximum bytes of the file; None if the target is no size."""
    if settings.bpp is None and settings.bppc is None:
        return settings.size
    return int(((settings.bpp or 0.0) + (settings.bppc or 0.0) * n_channels) * n_pixels / 8)
