"""Forecast of a fit: the PSNR that a number of Gaussians will reach, before the fit and while it grows.

Before the fit it follows from what planes leave of the picture in squares as large as the Gaussians' mean distance.
Squares are combined by a power mean that favours the calm ones: Gaussians gather at edges, so that few busy squares
cost less than their mean says. While the fit grows, its own errors correct the forecast.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gscodec.model.gaussians import Float32Array, Float64Array

SQUARES_PX: Final = (2, 4, 8, 16, 32, 64)
"""Sides of the squares, px."""

POWER: Final = 0.3
"""Exponent of the power mean. Of 0.3, 0.4, 0.5, 0.55 and 0.7 it forecasts best: 1.8 dB of scatter over eight pictures
of all kinds and counts from 1 to 22 per 1000 px; the plain mean of the variance has 4."""

FLOOR: Final = 1e-6
"""Variance added to every square, so that perfectly flat ones do not make the mean vanish."""

BASE_DB: Final = 1.3
PER_DB: Final = 0.87
PER_SLOPE: Final = 2.6
"""PSNR of a fit = BASE_DB + PER_DB * (dB that planes leave) + PER_SLOPE * (its change in dB per doubling of the count).
A regression over those pictures, presets `fast` and `balanced`."""

SLOPE_BASE_DB: Final = 1.2
SLOPE_PER_DB: Final = 0.8
"""Gain of a fit per doubling = SLOPE_BASE_DB + SLOPE_PER_DB * (that of planes); 0.9 dB of scatter."""

SLOPES_DB: Final = (0.1, 4.0)
"""Range of the change of planes per doubling of the count, dB."""

STEPS_TO_COME: Final = 1.5
"""Octaves of growth that the steps after a growth event are worth: errors of a fit that still grows are those of
Gaussians hardly trained."""

SPAN_OCTAVES: Final = 2.0
"""Doublings of the count over which the slope of a growing fit is measured."""

TYPICAL_SLOPE_DB: Final = 2.4
"""Gain in dB per doubling of the count of a fit that nothing is known of."""

END_BASE_DB: Final = 0.75
END_PER_DB: Final = 0.6
"""Gain of a finished fit per doubling of the count = END_BASE_DB + END_PER_DB * (what it gained since it grew last).
Pictures that gain much by training shapes gain much by more of them: 0.6 dB of scatter, least of all that was tried."""

END_SLOPES_DB: Final = (0.8, 7.0)
"""Range of that gain, dB."""

TRUST: Final = 0.5
"""Weight of the growing fit's own errors against the forecast from the picture. Either has 1.5 to 1.8 dB of scatter,
their mean 1.2."""


@dataclass(frozen=True)
class Detail:
    """What planes leave of a picture, or of parts of one: sums over squares, which add up."""

    sums: Float64Array  # (len(SQUARES_PX),) pixels times variance^POWER
    n_pixels: int

    @classmethod
    def of(cls, samples: Float32Array) -> "Detail":
        """Detail of samples (H, W, C)."""
        height, width, _ = samples.shape
        sums = [_sum(samples, side) for side in SQUARES_PX]
        return cls(np.array(sums), height * width)

    def __add__(self, other: "Detail") -> "Detail":
        """Detail of both parts together."""
        return Detail(self.sums + other.sums, self.n_pixels + other.n_pixels)

    def left_db(self, octaves: float) -> float:
        """PSNR in dB of planes in squares of 2^octaves px, between and beyond SQUARES_PX by straight lines."""
        db = -10.0 / POWER * np.log10(self.sums / self.n_pixels)
        at = np.log2(SQUARES_PX)
        k = int(np.clip(np.searchsorted(at, octaves) - 1, 0, len(at) - 2))
        return float(db[k] + (db[k + 1] - db[k]) * (octaves - at[k]) / (at[k + 1] - at[k]))


def _sum(samples: Float32Array, side: int) -> float:
    height, width, channels = samples.shape
    side_y, side_x = min(side, height), min(side, width)
    cut = samples[: height // side_y * side_y, : width // side_x * side_x]
    tiled = cut.reshape(height // side_y, side_y, width // side_x, side_x, channels)
    left = np.einsum("iajbc,iajbc->ijc", tiled, tiled, dtype=np.float64) / (side_y * side_x)
    left -= tiled.mean(axis=(1, 3), dtype=np.float64) ** 2
    for axis, n in ((1, side_y), (3, side_x)):
        if n > 1:
            ramp = np.arange(n) - 0.5 * (n - 1)
            shape = [n if k == axis else 1 for k in range(5)]
            along = (tiled * ramp.astype(np.float32).reshape(shape)).mean(axis=(1, 3), dtype=np.float64)
            left -= along**2 / (ramp**2).mean()
    each = np.maximum(left.mean(axis=2), 0.0) + FLOOR
    return float((each**POWER).mean() * height * width)


class Growth:
    """Errors of a fit by its count, while it grows."""

    def __init__(self) -> None:
        self._psnrs: dict[int, float] = {}  # dB, of the last step at that count

    def note(self, n_gaussians: int, psnr: float) -> None:
        """Record a step; those that show fewer Gaussians than an earlier one do not count."""
        if math.isfinite(psnr) and n_gaussians >= max(self._psnrs, default=0):
            self._psnrs[n_gaussians] = psnr

    def likely(self) -> tuple[int, float] | None:
        """The present count, and the PSNR in dB that a fit of that count will reach; None while there is no telling."""
        counts = sorted(self._psnrs)
        earlier = [n for n in counts if 2.0 * n <= counts[-1]]
        if not earlier:
            return None
        now = counts[-1]
        before = max([n for n in earlier if n * 2.0**SPAN_OCTAVES <= now * 1.01], default=earlier[0])
        slope = (self._psnrs[now] - self._psnrs[before]) / math.log2(now / before)
        return now, self._psnrs[now] + STEPS_TO_COME * max(0.0, slope)

    def slope_after(self, n_gaussians: int, psnr: float) -> float:
        """Gain in dB per doubling of the count, of a finished fit with n_gaussians and `psnr` dB."""
        earlier = [n for n in self._psnrs if n < n_gaussians]
        if not earlier:
            return TYPICAL_SLOPE_DB
        gained = psnr - self._psnrs[max(earlier)]
        return min(max(END_BASE_DB + END_PER_DB * gained, END_SLOPES_DB[0]), END_SLOPES_DB[1])


@dataclass(frozen=True)
class Forecast:
    """Expected PSNR of a fit by its number of Gaussians."""

    detail: Detail
    shift_db: float = 0.0

    def psnr(self, n_gaussians: float) -> float:
        """PSNR in dB of a finished fit, before quantisation."""
        octaves = self._octaves(n_gaussians)
        left = self.detail.left_db(octaves)
        return BASE_DB + PER_DB * left + PER_SLOPE * self._left_slope(octaves) + self.shift_db

    def slope(self, n_gaussians: float) -> float:
        """Gain in dB per doubling of the count."""
        return SLOPE_BASE_DB + SLOPE_PER_DB * self._left_slope(self._octaves(n_gaussians))

    def after(self, growth: Growth) -> "Forecast":
        """The forecast corrected by what the fit has shown so far."""
        likely = growth.likely()
        if likely is None:
            return self
        count, psnr = likely
        return replace(self, shift_db=self.shift_db + TRUST * (psnr - self.psnr(count)))

    def _octaves(self, n_gaussians: float) -> float:
        """Logarithm of the mean distance in px, to base 2."""
        return 0.5 * math.log2(max(self.detail.n_pixels / n_gaussians, 1.0))

    def _left_slope(self, octaves: float) -> float:
        """Change of what planes leave per doubling of the count, dB."""
        change = self.detail.left_db(octaves - 0.5) - self.detail.left_db(octaves + 0.5)
        return min(max(0.5 * change, SLOPES_DB[0]), SLOPES_DB[1])
