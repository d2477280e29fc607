"""What decides the number of Gaussians of a fit where it is not its bytes: the slope of error over bytes, or a PSNR."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Final, Self

from gscodec.fit.forecast import Forecast, Growth

DB_PER_OCTAVE: Final = 10.0 * math.log10(2.0)
"""Decibels of a factor of two."""

CLOSE: Final = 0.002
"""Relative difference below which two counts are the same."""


@dataclass(frozen=True)
class Aim(ABC):
    """A goal that the count is derived from, by what a fit is expected to reach."""

    forecast: Forecast
    most: int  # maximum number of Gaussians

    @abstractmethod
    def is_enough(self, n_gaussians: float, gaussian_bits: float) -> bool:
        """Whether no more Gaussians are needed; with more of them it stays so.

        Args:
            gaussian_bits: bits of another Gaussian in the file.
        """

    def count(self, gaussian_bits: float) -> int:
        """The least number of Gaussians that is enough, 1 to `most`."""
        low, high = 1.0, float(self.most)
        while high > low * (1.0 + CLOSE):
            middle = math.sqrt(low * high)
            if self.is_enough(middle, gaussian_bits):
                high = middle
            else:
                low = middle
        return max(1, min(self.most, round(high)))

    def after(self, growth: Growth) -> Self:
        """The aim with its forecast corrected by a growing fit."""
        return replace(self, forecast=self.forecast.after(growth))


@dataclass(frozen=True)
class SlopeAim(Aim):
    """Gaussians as long as the next one lowers the summed squared error by `slope` per byte."""

    slope: float
    n_samples: int  # pixels times channels

    def is_enough(self, n_gaussians: float, gaussian_bits: float) -> bool:
        """See `Aim.is_enough`."""
        return self.slope_at(n_gaussians, gaussian_bits) <= self.slope

    def slope_at(self, n_gaussians: float, gaussian_bits: float) -> float:
        """Squared error per byte that another Gaussian saves."""
        error = self.n_samples * 10.0 ** (-self.forecast.psnr(n_gaussians) / 10.0)
        gain = self.forecast.slope(n_gaussians) / DB_PER_OCTAVE * error / n_gaussians
        return float(gain / (gaussian_bits / 8.0))


@dataclass(frozen=True)
class PsnrAim(Aim):
    """Gaussians until the fit is expected to have `psnr` dB, before quantisation."""

    psnr: float

    def is_enough(self, n_gaussians: float, gaussian_bits: float) -> bool:  # noqa: ARG002  # bytes do not matter
        """See `Aim.is_enough`."""
        return self.forecast.psnr(n_gaussians) >= self.psnr
