"""Search for the smallest file with a target PSNR: number of Gaussians, and PSNR lost to quantisation.

Fitting is expensive; choosing quantiser steps afterwards is cheap. So a fit only has to come within about a decibel of
the target, which coarser or finer steps correct at nearly the same size. Two short fits of few Gaussians tell where to
begin.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

AIM_DB: Final = 0.05
"""Distance in dB above the target PSNR that files are aimed at."""

SLACK_DB: Final = 0.1
"""A file at most this far above the target, in dB, ends the search."""

MOST_FITS: Final = 5
"""Maximum number of full fits before the best file so far is kept."""

MORE_FITS: Final = 3
"""Maximum number of retries; each doubles the Gaussian count until the target PSNR is reached."""

MOST_FINISHES: Final = 5
"""Maximum number of files packed from one fit."""

LONGER_GAINS_DB: Final = 2.0
"""Approximate PSNR gain in dB of a full fit over one of a fifth of its steps, at the smaller probe count."""

LONGER_GAINS_SLOPE: Final = 0.6
"""Increase of that gain in dB per doubling of the count."""

DB_PER_DOUBLING: Final = 2.4
"""Default PSNR gain in dB per doubling of the Gaussian count, until it has been measured."""

SLOPES: Final = (0.8, 6.0)
"""Bounds in dB on the measured gain per doubling of the count: PSNRs of fits scatter."""

MOST_DB: Final = 120.0
"""PSNR in dB that stands for an exact result, so that differences stay finite."""

MOST_DOUBLINGS: Final = 3.0
"""Maximum number of doublings by which a count may lie beyond those tried."""


class Measured(Protocol):
    """An object with a PSNR."""

    @property
    def psnr(self) -> float:
        """PSNR in dB."""
        ...


class Sized(Measured, Protocol):
    """A finished file with a PSNR."""

    @property
    def data(self) -> bytes:
        """Contents of the file."""
        ...


F = TypeVar("F", bound=Measured)
E = TypeVar("E", bound=Sized)


@dataclass(frozen=True)
class LossRange:
    """Ranges, in dB, of the PSNR that a fit may lose through quantisation or pruning."""

    best: tuple[float, float]  # hardly costs more bytes than another count would
    possible: tuple[float, float]

    @property
    def usual(self) -> float:
        """The loss in dB for which counts are chosen."""
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
    """The smallest file found with at least `wanted` dB, or the best one if none has; and whether it has.

    Args:
        counts: Gaussian counts of the probes before the first fit, ascending.
        most: maximum number of Gaussians.
        probe: PSNR in dB of a short fit (a fifth of the steps) with a given count.
        fit: a full fit with a given count.
        finish: the file of a fit, quantised so that it loses about the given dB.
    """
    aim = wanted + AIM_DB
    probes = {count: min(probe(count), MOST_DB) for count in sorted({min(count, most) for count in counts})}
    fits: dict[int, F] = {}
    finished: set[int] = set()  # counts whose fits were packed into files
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
    # PSNRs of small fits scatter: if no file meets the target, try the other fits that are good enough.
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
    """Files of a fit, each quantised to come nearer to the aim than the ones before."""
    files: list[E] = []
    got: dict[float, float] = {}  # PSNR in dB by intended loss
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
    """Estimated gain in dB per doubling of the Gaussian count, from probes at two counts."""
    if len(probes) < 2:
        return DB_PER_DOUBLING
    low, high = min(probes), max(probes)
    return _within(SLOPES, (probes[high] - probes[low]) / math.log2(high / low) + LONGER_GAINS_SLOPE)


def first_count(probes: dict[int, float], aim: float, most: int) -> int:
    """The count whose full fit is estimated to have `aim` dB."""
    low = min(probes)
    doublings = (aim - probes[low] - LONGER_GAINS_DB) / slope_of(probes)
    doublings = _within((-MOST_DOUBLINGS, math.log2(max(probes) / low) + MOST_DOUBLINGS), doublings)
    return min(most, max(1, round(low * math.exp2(doublings))))


def next_count(psnrs: dict[int, float], aim: float, most: int, slope: float = DB_PER_DOUBLING) -> int:
    """The count to try next, between the trials around the aim or beyond the last one; a repeated one ends the search.

    PSNR is modelled as linear in the logarithm of the count. Fits scatter, so a step inside the bracket stays at least
    a sixth of its width from either end.
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
