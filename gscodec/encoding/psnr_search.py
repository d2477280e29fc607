"""The smallest file of a given PSNR: how many Gaussians, and how much of the fit's PSNR its coding may lose.

A fit is dear, and what becomes of its PSNR in the file is cheap to choose: the lattice's steps. So a fit only has to
come near, within the decibel that coarser or finer steps make up for at hardly more bytes. Where to begin, two short
fits of few Gaussians tell.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

AIM_DB: Final = 0.05
"""A file is aimed at so much above the PSNR asked for."""

SLACK_DB: Final = 0.1
"""A file this much above it is not worth another try."""

MOST_FITS: Final = 5
"""Full fits that a target may take before the best file so far is kept."""

MORE_FITS: Final = 3
"""And so many, each of twice the Gaussians, as long as no file has the target's PSNR."""

MOST_FINISHES: Final = 5
"""Files that are made of one fit."""

LONGER_GAINS_DB: Final = 2.0
"""What a full fit gains over one of a fifth of its steps, roughly, at the fewer Gaussians of the two short fits."""

LONGER_GAINS_SLOPE: Final = 0.6
"""By how much more the full fit gains with every doubling of Gaussians, dB."""

DB_PER_DOUBLING: Final = 2.4
"""What twice the Gaussians gain, roughly, where nothing better is known."""

SLOPES: Final = (0.8, 6.0)
"""Least and most that is believed of what twice the Gaussians gain, dB: fits scatter."""

MOST_DB: Final = 120.0
"""What is exact counts as: a fit's error is told down to there, and differences of infinities are no numbers."""

MOST_DOUBLINGS: Final = 3.0
"""Beyond the counts that were tried."""


class Measured(Protocol):
    """Anything that has a PSNR."""

    @property
    def psnr(self) -> float:
        """In dB."""
        ...


class Sized(Measured, Protocol):
    """A finished file."""

    @property
    def data(self) -> bytes:
        """Its bytes."""
        ...


F = TypeVar("F", bound=Measured)
E = TypeVar("E", bound=Sized)


@dataclass(frozen=True)
class LossRange:
    """dB that a fit may lose on its way into a file."""

    best: tuple[float, float]  # hardly costs more bytes than another count would
    possible: tuple[float, float]

    @property
    def usual(self) -> float:
        """The loss that counts are chosen for."""
        return 0.5 * (self.best[0] + self.best[1])


def smallest_at(
    wanted: float,
    *,
    counts: Sequence[int],
    most: int,
    losses: LossRange,
    probe: Callable[[int], float],
    fit: Callable[[int], F],
    finish: Callable[[F, float], E],
) -> tuple[E, bool]:
    """The smallest file found that has `wanted` dB, or the best one when none has; whether it has.

    Args:
        counts: of Gaussians that are probed before the first fit, ascending.
        most: Gaussians there may be.
        probe: dB of a fit of so many Gaussians, of a fifth of the steps.
        fit: a full fit of so many Gaussians.
        finish: the file of a fit that is meant to lose so many dB.
    """
    aim = wanted + AIM_DB
    probes = {count: min(probe(count), MOST_DB) for count in sorted({min(count, most) for count in counts})}
    fits: dict[int, F] = {}
    finished: set[int] = set()  # the counts whose fits became files
    files: list[E] = []
    count = first_count(probes, aim + losses.usual, most)
    while count not in fits and len(fits) < MOST_FITS:
        fits[count] = fit(count)
        room = _db(fits[count]) - aim
        if losses.best[0] <= room <= losses.best[1]:
            finished.add(count)
            files += _finished(aim, fits[count], losses, finish)
            if any(_close(wanted, file) for file in files):
                break
        count = next_count({n: _db(f) for n, f in fits.items()}, aim + losses.usual, most, slope_of(probes))
    # Fits of few Gaussians scatter: what none of them could be made to be, others that have enough may.
    for n in sorted(fits):
        if n not in finished and fits[n].psnr >= wanted and not any(_close(wanted, file) for file in files):
            files += _finished(aim, fits[n], losses, finish)
    while not any(file.psnr >= wanted for file in files) and max(fits) < most and len(fits) < MOST_FITS + MORE_FITS:
        count = min(most, 2 * max(fits))
        fits[count] = fit(count)
        files += _finished(aim, fits[count], losses, finish)
    if not files:
        files += _finished(aim, max(fits.values(), key=lambda f: f.psnr), losses, finish)
    enough = [file for file in files if file.psnr >= wanted]
    if enough:
        return min(enough, key=lambda file: len(file.data)), True
    return max(files, key=lambda file: file.psnr), False


def _db(measured: Measured) -> float:
    return min(measured.psnr, MOST_DB)


def _close(wanted: float, file: Measured) -> bool:
    return wanted <= file.psnr <= wanted + SLACK_DB


def _finished(aim: float, fit: F, losses: LossRange, finish: Callable[[F, float], E]) -> list[E]:
    """Files of a fit, each meant to come nearer to the aim than those before it."""
    files: list[E] = []
    got: dict[float, float] = {}  # PSNR, by the loss that was meant
    low, high = losses.possible
    loss = _within((low, high), _db(fit) - aim)
    while loss not in got and len(got) < MOST_FINISHES:
        files.append(finish(fit, loss))
        missed = _db(files[-1]) - aim
        if -AIM_DB <= missed <= SLACK_DB - AIM_DB or _db(files[-1]) in got.values():
            break
        got[loss] = _db(files[-1])
        above = max((x for x, psnr in got.items() if psnr >= aim), default=low)
        below = min((x for x, psnr in got.items() if psnr < aim), default=high)
        if above in got and below in got:
            part = (got[above] - aim) / max(got[above] - got[below], 1e-6)
            loss = above + (below - above) * _within((0.1, 0.9), part)
        else:
            lost = _db(fit) - _db(files[-1])
            loss = _within((low, high), loss * (_db(fit) - aim) / lost if lost > 0 else loss + missed)
    return files


def slope_of(probes: dict[int, float]) -> float:
    """DB that twice the Gaussians are likely to gain, by probes at two counts."""
    if len(probes) < 2:
        return DB_PER_DOUBLING
    low, high = min(probes), max(probes)
    return _within(SLOPES, (probes[high] - probes[low]) / math.log2(high / low) + LONGER_GAINS_SLOPE)


def first_count(probes: dict[int, float], aim: float, most: int) -> int:
    """The count whose full fit is likely to have `aim` dB."""
    low = min(probes)
    doublings = (aim - probes[low] - LONGER_GAINS_DB) / slope_of(probes)
    doublings = _within((-MOST_DOUBLINGS, math.log2(max(probes) / low) + MOST_DOUBLINGS), doublings)
    return min(most, max(1, round(low * math.exp2(doublings))))


def next_count(psnrs: dict[int, float], aim: float, most: int, slope: float = DB_PER_DOUBLING) -> int:
    """The count to try next: between the trials round the aim, or beyond the last one; a known one ends the search.

    PSNR is taken as linear in the logarithm of the count. Fits scatter, so a step inside the bracket never goes nearer
    than a sixth to its ends.
    """
    enough = [n for n, psnr in psnrs.items() if psnr >= aim]
    short = [n for n in psnrs if not enough or n < min(enough)]
    if short and enough:
        low, high = max(short), min(enough)
        part = (aim - psnrs[low]) / max(psnrs[high] - psnrs[low], 1e-6)
        middle = round(low * math.exp(math.log(high / low) * _within((1 / 6, 5 / 6), part)))
        return min(max(middle, low + 1), high - 1)
    end = min(enough) if enough else max(short)
    if len(psnrs) > 1:
        other = min((n for n in psnrs if n != end), key=lambda n: abs(math.log(n / end)))
        slope = _within(SLOPES, (psnrs[end] - psnrs[other]) / math.log2(end / other))
    doublings = _within((-MOST_DOUBLINGS, MOST_DOUBLINGS), (aim - psnrs[end]) / slope)
    return min(most, max(1, round(end * math.exp2(doublings))))


def _within(limits: tuple[float, float], value: float) -> float:
    return min(max(value, limits[0]), limits[1])
