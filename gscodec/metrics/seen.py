"""PSNR with alpha: errors of straight (not premultiplied) colour are weighted by the source's alpha."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.image.alpha import covers, in_mode
from gscodec.metrics.psnr import psnr
from gscodec.model.channels import AlphaMode, ChannelGroup

_BLOCK_ROWS: Final = 256  # rows per float64 block, so that no float64 copy of the whole picture is made

Samples = npt.NDArray[np.float32]


def seen_psnr(source: Samples, decoded: Samples, groups: Sequence[ChannelGroup]) -> float:
    """PSNR in dB of samples (H, W, C) of the model's domain, as `SquareErrors` has it.

    Alphas that are opaque in source and decoded picture are left out, so that an opaque alpha does not change the PSNR.
    """
    alphas = [cover.alpha for cover in covers(groups) if cover.mode is AlphaMode.STRAIGHT]
    if not alphas:
        return psnr(source, decoded)
    if all(bool((picture[:, :, alphas] == 1).all()) for picture in (source, decoded)):
        return psnr(*(np.delete(picture, alphas, axis=2) for picture in (source, decoded)))
    errors = SquareErrors(groups)
    errors.add(decoded, source)
    return errors.psnr


def covered(samples: Samples, groups: Sequence[ChannelGroup]) -> Samples:
    """Samples (H, W, C) with straight colour multiplied by its alpha, as displayed over black."""
    premultiplied: Samples = in_mode(samples, groups, AlphaMode.PREMULTIPLIED)[0]
    return premultiplied


class SquareErrors:
    """Mean squared error of a picture, accumulated in parts.

    Errors of straight colour are weighted by the source's alpha at the pixel; errors of alpha and of other channels
    have weight 1. Without straight alpha this is the plain mean.
    """

    def __init__(self, groups: Sequence[ChannelGroup]) -> None:
        self._covers = [cover for cover in covers(groups) if cover.mode is AlphaMode.STRAIGHT]
        self._total = self._weight = 0.0

    def add(
        self,
        decoded: Samples,
        source: Samples,
        counts: npt.NDArray[np.float32] | npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Add samples (H, W, C) of the model's domain; `counts` (H, W) are the pixels' weights, None is 1 for all."""
        for row in range(0, len(source), _BLOCK_ROWS):
            rows = slice(row, row + _BLOCK_ROWS)
            squares = np.square(decoded[rows].astype(np.float64) - source[rows])
            if counts is None and not self._covers:
                self._total += float(squares.sum())
                self._weight += squares.size
                continue
            weights = np.ones_like(squares)
            if counts is not None:
                weights *= counts[rows, :, None].astype(np.float64)
            for cover in self._covers:
                weights[:, :, cover.colour] *= np.clip(source[rows, :, cover.alpha], 0, 1)[:, :, None]
            self._total += float((weights * squares).sum())
            self._weight += float(weights.sum())

    @property
    def mse(self) -> float:
        """Weighted mean squared error of all samples added; 0 if their total weight is 0."""
        return self._total / self._weight if self._weight else 0.0

    @property
    def psnr(self) -> float:
        """PSNR in dB for a peak of 1; inf if the error is 0."""
        return math.inf if self.mse == 0 else -10 * math.log10(self.mse)
