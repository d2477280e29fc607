"""Rate-distortion curves from rows, values at a rate, and Bjontegaard deltas.

Quality is interpolated over the logarithm of the rate by monotone cubics (PCHIP), for deltas as the standardisation
groups do it now, in place of the single polynomial of VCEG-M33, which swings. Nothing is extrapolated.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec_bench.table import Row, number

Float64Array = npt.NDArray[np.float64]

MIN_OVERLAP: Final = 0.25
"""Share of the shorter curve's range that two curves must have in common for a delta between them to mean anything."""
END_SLACK: Final = 0.02
"""How far beyond its ends, in parts of the rate, a curve still answers: a file asked for 0.2 bpp has 0.1998."""


@dataclass(frozen=True)
class Curve:
    """Points of one picture and codec, by rising rate and quality. Points that more bytes made worse are left out."""

    rates: tuple[float, ...]
    qualities: tuple[float, ...]  # higher is better: errors are negated
    dropped: int = 0  # points left out

    @cached_property
    def log_rates(self) -> Float64Array:
        """Natural logarithms of the rates."""
        return np.log(np.asarray(self.rates, np.float64)).astype(np.float64)

    def at(self, rate: float) -> float | None:
        """Quality at a rate; None outside the curve."""
        low, high = self.rates[0], self.rates[-1]
        if not low * (1 - END_SLACK) <= rate <= high * (1 + END_SLACK):
            return None
        if len(self.rates) == 1:
            return self.qualities[0]
        place = math.log(min(max(rate, low), high))
        return float(_Pchip(self.log_rates, np.asarray(self.qualities)).value(place))


def curve(points: Iterable[tuple[float, float]]) -> Curve:
    """The curve through (rate, quality) points: each point must be better than all that are cheaper."""
    rates: list[float] = []
    qualities: list[float] = []
    dropped = 0
    for rate, quality in sorted(points):
        if qualities and (quality <= qualities[-1] or rate == rates[-1]):
            dropped += 1
        else:
            rates.append(rate)
            qualities.append(quality)
    return Curve(tuple(rates), tuple(qualities), dropped)


def curves_of(rows: Iterable[Row], metric: str, rate: str, *, sign: float = 1.0) -> dict[tuple[str, str], Curve]:
    """Curves by (image, codec); rows without the metric are left out.

    Args:
        rate: column of the rate, `bpp` or `bppc`.
        sign: -1 for metrics that fall as quality rises.
    """
    points: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        quality, cost = number(row, metric), number(row, rate)
        if quality is not None and cost and math.isfinite(quality):
            points[row["image"], row["codec"]].append((cost, sign * quality))
    return {key: curve(some) for key, some in points.items()}


def bd_rate(anchor: Curve, test: Curve) -> float | None:
    """Bytes that `test` needs beyond those of `anchor` at equal quality, in percent; negative is a saving.

    None where the curves have too little quality in common.
    """
    difference = _mean_difference(anchor.qualities, anchor.log_rates, test.qualities, test.log_rates)
    return None if difference is None else 100 * math.expm1(difference)


def bd_quality(anchor: Curve, test: Curve) -> float | None:
    """Quality that `test` has above `anchor` at equal rate, in the unit of the quality; None without overlap."""
    return _mean_difference(anchor.log_rates, anchor.qualities, test.log_rates, test.qualities)


def mean_curve(curves: Sequence[Curve], n_points: int = 33) -> Curve | None:
    """Mean quality over several pictures, at rates that all of their curves have; None if there are none."""
    if not curves:
        return None
    low, high = max(c.rates[0] for c in curves), min(c.rates[-1] for c in curves)
    if len(curves) == 1:
        return curves[0]
    if not low < high:
        return None
    grid = np.exp(np.linspace(math.log(low), math.log(high), n_points))
    values = np.array([[c.at(float(rate)) for rate in grid] for c in curves], np.float64)
    return Curve(tuple(grid.tolist()), tuple(values.mean(axis=0).tolist()))


def _mean_difference(
    x_anchor: Sequence[float] | Float64Array,
    y_anchor: Sequence[float] | Float64Array,
    x_test: Sequence[float] | Float64Array,
    y_test: Sequence[float] | Float64Array,
) -> float | None:
    """Mean of y_test - y_anchor over the x that both have."""
    if min(len(x_anchor), len(x_test)) < 2:
        return None
    low, high = max(x_anchor[0], x_test[0]), min(x_anchor[-1], x_test[-1])
    shorter = min(x_anchor[-1] - x_anchor[0], x_test[-1] - x_test[0])
    if high - low < MIN_OVERLAP * shorter:
        return None
    areas = [
        _Pchip(np.asarray(x, float), np.asarray(y, float)).area(float(low), float(high))
        for x, y in ((x_anchor, y_anchor), (x_test, y_test))
    ]
    return (areas[1] - areas[0]) / float(high - low)


class _Pchip:
    """Piecewise cubic that is monotone where its points are (Fritsch and Carlson 1980, Fritsch and Butland 1984).

    Args:
        x: two or more rising values. y: values there.
    """

    def __init__(self, x: Float64Array, y: Float64Array) -> None:
        self._x, self._y = x, y
        self._steps = np.diff(x)
        self._slopes = np.diff(y) / self._steps
        self._tangents = self._tangents_at_points()

    def value(self, place: float) -> float:
        """The curve at a place between the first and the last x."""
        a, b, c, d, offset = self._piece(place)
        return a + offset * (b + offset * (c + offset * d))

    def area(self, low: float, high: float) -> float:
        """Integral from low to high, both between the first and the last x."""
        inner = self._x[(self._x > low) & (self._x < high)]
        ends = np.concatenate([[low], inner, [high]])
        total = 0.0
        for start, stop in pairwise(ends):
            a, b, c, d, _ = self._piece(0.5 * (start + stop))
            base = self._x[self._index(0.5 * (start + stop))]
            for sign, place in ((1, stop - base), (-1, start - base)):
                total += sign * place * (a + place * (b / 2 + place * (c / 3 + place * d / 4)))
        return float(total)

    def _index(self, place: float) -> int:
        return int(np.clip(np.searchsorted(self._x, place, side="right") - 1, 0, len(self._steps) - 1))

    def _piece(self, place: float) -> tuple[float, float, float, float, float]:
        """Coefficients of the cubic over the piece that holds `place`, and the offset into it."""
        k = self._index(place)
        h, slope, left, right = self._steps[k], self._slopes[k], self._tangents[k], self._tangents[k + 1]
        square = (3 * slope - 2 * left - right) / h
        cube = (left + right - 2 * slope) / (h * h)
        return self._y[k], left, square, cube, place - self._x[k]

    def _tangents_at_points(self) -> Float64Array:
        h, slopes = self._steps, self._slopes
        if len(slopes) == 1:
            return np.repeat(slopes, 2)
        tangents = np.zeros(len(self._x))
        same = slopes[:-1] * slopes[1:] > 0
        left, right = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            harmonic = (left + right) / (left / slopes[:-1] + right / slopes[1:])
        tangents[1:-1] = np.where(same, harmonic, 0.0)
        tangents[0] = _end_tangent(h[0], h[1], slopes[0], slopes[1])
        tangents[-1] = _end_tangent(h[-1], h[-2], slopes[-1], slopes[-2])
        return tangents


def _end_tangent(near_step: float, far_step: float, near: float, far: float) -> float:
    """Three-point tangent at an end, held back so that the curve stays monotone."""
    tangent = ((2 * near_step + far_step) * near - near_step * far) / (near_step + far_step)
    if np.sign(tangent) != np.sign(near):
        return 0.0
    if np.sign(near) != np.sign(far) and abs(tangent) > 3 * abs(near):
        return 3 * near
    return tangent
