"""Draws and initialises new Gaussians of a fit on a GPU: launches of growth.cu. fit/growth.py has the method."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.cuda.binning import WARP
from gscodec.cuda.runtime import Array, Define, Kernel, Runtime

Float32Array = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]

GROWTH_THREADS: Final = 256
KEYS_EACH: Final = 16
"""Pixels per thread when keys are drawn and searched."""
BLUR_RUN: Final = 64
SUM_BLOCKS: Final = 512
DIGIT_BITS: Final = 8
_DIGITS: Final = 1 << DIGIT_BITS
_KEY_BITS: Final = 32

DEFINES: Final[dict[str, Define]] = {
    "GROWTH_THREADS": GROWTH_THREADS,
    "KEYS_EACH": KEYS_EACH,
    "BLUR_RUN": BLUR_RUN,
    "SUM_BLOCKS": SUM_BLOCKS,
    "DIGIT_BITS": DIGIT_BITS,
    "DIGITS": _DIGITS,
    "LOSS_COLUMNS": 1,  # required by partial_sums.cuh
}
"""Macros of growth.cu."""


@dataclass(frozen=True)
class GrowthTerms:
    """Parameters of the placement and initialisation of new Gaussians."""

    uniform_share: float  # fraction placed uniformly
    error_power: float  # exponent of the error; unused for the first Gaussians, placed by the picture's gradient
    blur_px: float  # radius of the box filter over the error
    jitter: bool  # anywhere in a pixel instead of at its centre
    scale: float  # initial value of both scale parameters
    units: tuple[float, float]  # factors on the learning rates of x and y
    stretch: float  # elongation along the picture's structure, in units of the scale parameters; 0 means none
    structure_px: int  # radius of the window over which the structure is averaged


@dataclass(frozen=True)
class Placed:
    """New Gaussians whose places are known: the centres of pixels."""

    pixels: Int64Array  # (n,) counted row by row
    scales: Float32Array  # (n,) initial value of both scale parameters


class Growth:
    """Draws new Gaussians for a picture. The caller has entered the runtime.

    Args:
        target: float32 (C, H, W) in device memory.
        importance: float32 (H, W) or (C, H, W) in device memory, weight of each sample; None means 1 everywhere.
        allowed: bool (H, W) in device memory, pixels in which Gaussians may be placed, at least one; None means all.
        seed: of the random numbers.
    """

    def __init__(
        self, runtime: Runtime, target: Array, importance: Array | None, allowed: Array | None, seed: int
    ) -> None:
        self._runtime = runtime
        self._target = target
        by_channel = importance is not None and importance.ndim == 3
        self._each = importance if by_channel else None
        self._counts = None if by_channel else importance
        self._allowed = allowed
        self._seed = np.uint64(seed % (1 << 64))
        self._draw = 0

    def rows(
        self, terms: GrowthTerms, image: Array | None, n_new: int, placed: Placed | None = None
    ) -> tuple[Array, Array]:
        """Parameters of n_new Gaussians and the units of their learning rates, float32 (n_new, 5 + C) each.

        Args:
            image: float32 (C, H, W) picture of the present Gaussians; None places by the target's gradient.
            placed: the first ones, at most n_new; the others are drawn. None draws all.
        """
        drawn = self._runtime.xp.empty(n_new, np.int64)
        done = 0
        if placed is not None and len(placed.pixels):
            done = len(placed.pixels)
            drawn[:done] = self._runtime.upload(placed.pixels)
        if done < n_new:
            density, sums = self._density(terms, image)
        while done < n_new:  # repeated if too few pixels have a probability above 0
            keys, possible = self._keys(terms, density, sums)
            take = min(n_new - done, possible)
            self._list(keys, take, drawn[done:])
            done += take
        return self._start(terms, drawn, placed)

    def candidates(
        self, image: Array, radii: Sequence[int], factors: Float32Array, n_most: int
    ) -> tuple[Int64Array, Int32Array, Float32Array]:
        """(n,) pixels, sizes and gains of the n_most local maxima that gain most, in ascending order of the pixels.

        What a blob gains is `factor` times the square of the error after two passes of a box filter, the greatest of
        all sizes (`fit.peaks`).

        Args:
            image: float32 (C, H, W) picture of the present Gaussians.
            radii, factors: (S,) radius of the box of each size, px, and its factor.
        """
        xp, (c, height, width) = self._runtime.xp, self._target.shape
        n = height * width
        blocks, chunks = -(-n // GROWTH_THREADS), -(-n // (GROWTH_THREADS * KEYS_EACH))
        errors, blurred, other = xp.empty((c, n), np.float32), xp.empty(n, np.float32), xp.empty(n, np.float32)
        gain, most, size = xp.empty(n, np.float32), xp.empty(n, np.float32), xp.empty(n, np.int32)
        weights = self._each, self._counts
        self._launch("weighted_error", blocks, image, self._target, *weights, np.int32(c), np.int64(n), errors)
        for index, (radius, factor) in enumerate(zip(radii, factors, strict=True)):
            for channel in range(c):
                plane = errors[channel]
                for _ in range(2 if radius else 0):
                    self._blur(plane, blurred, other, height, width, radius)
                    plane = blurred
                self._launch("add_gain", blocks, plane, np.int64(n), np.float32(factor), np.int32(channel == 0), gain)
            self._launch("keep_most", blocks, gain, np.int64(n), np.int32(index), most, size)
        keys, possible = xp.empty(n, np.uint32), xp.zeros(1, np.int32)
        self._launch("peak_keys", chunks, most, self._allowed, np.int32(height), np.int32(width), keys, possible)
        take = min(int(self._runtime.download(possible)[0]), n_most)
        pixels, gains, sizes = xp.empty(take, np.int64), xp.empty(take, np.float32), xp.empty(take, np.int32)
        if take:
            self._list(keys, take, pixels)
            blocks = -(-take // GROWTH_THREADS)
            self._launch("gather_peaks", blocks, pixels, np.int32(take), most, size, gains, sizes)
        download = self._runtime.download
        return download(pixels), download(sizes), download(gains)

    def _density(self, terms: GrowthTerms, image: Array | None) -> tuple[Array, Array]:
        """float32 (H, W) unnormalised density, and its partial sums."""
        xp, (c, height, width) = self._runtime.xp, self._target.shape
        n = height * width
        density = xp.empty((height, width), np.float32)
        blocks = -(-n // GROWTH_THREADS)
        if image is None:
            self._launch(
                "gradient_density", blocks, self._target, self._each, *map(np.int32, (c, height, width)), density
            )
        else:
            self._launch(
                "error_density",
                blocks,
                image,
                self._target,
                self._each,
                np.int32(c),
                np.int64(n),
                np.float32(terms.error_power),
                density,
            )
            radius = round(terms.blur_px)
            if radius >= 1:
                other = xp.empty((height, width), np.float32)
                self._blur(density, density, other, height, width, radius)
        sums = xp.empty(SUM_BLOCKS, np.float64)
        self._launch("weigh_density", SUM_BLOCKS, density, self._counts, np.int64(n), sums)
        return density, sums

    def _blur(self, plane: Array, to: Array, other: Array, height: int, width: int, radius: int) -> None:
        """Write the means of the boxes around the pixels of a plane, which may be `to`; `other` holds the halves."""
        for lines, length, line_step, step, source, target in (
            (width, height, 1, width, plane, other),
            (height, width, width, 1, other, to),
        ):
            runs = lines * -(-length // BLUR_RUN)
            self._launch(
                "blur_along",
                -(-runs // GROWTH_THREADS),
                source,
                np.int32(lines),
                np.int32(length),
                np.int64(line_step),
                np.int64(step),
                np.int32(radius),
                target,
            )

    def _keys(self, terms: GrowthTerms, density: Array, sums: Array) -> tuple[Array, int]:
        """uint32 (H, W) random keys, 0 for pixels with probability 0, and the number of others. Waits for both."""
        xp, n = self._runtime.xp, density.size
        keys, possible = xp.empty(density.shape, np.uint32), xp.zeros(1, np.int32)
        self._launch(
            "draw_keys",
            -(-n // (GROWTH_THREADS * KEYS_EACH)),
            density,
            sums,
            self._allowed,
            np.int64(n),
            np.float64(terms.uniform_share),
            self._seed,
            self._next_draw(),
            keys,
            possible,
        )
        return keys, int(self._runtime.download(possible)[0])

    def _list(self, keys: Array, take: int, drawn: Array) -> None:
        """Write the pixels with the greatest keys, in ascending order, to `drawn`."""
        n, blocks = keys.size, -(-keys.size // (GROWTH_THREADS * KEYS_EACH))
        start = np.zeros(2 + _DIGITS, np.int32)
        start[1] = take
        select = self._runtime.upload(start)
        for shift in range(_KEY_BITS - DIGIT_BITS, -1, -DIGIT_BITS):
            self._launch("count_digits", blocks, keys, np.int64(n), np.int32(shift), select)
            self._launch("choose_digit", 1, np.int32(shift), select)
        chunks = self._runtime.xp.empty((blocks, 2), np.int32)
        self._launch("count_drawn", blocks, keys, np.int64(n), select, chunks)
        self._launch("list_drawn", blocks, keys, np.int64(n), select, chunks, drawn)

    def _start(self, terms: GrowthTerms, drawn: Array, placed: Placed | None) -> tuple[Array, Array]:
        n_placed = 0 if placed is None else len(placed.pixels)
        scales = None if placed is None or not n_placed else self._runtime.upload(placed.scales)
        c, height, width = self._target.shape
        n = len(drawn)
        jitters = terms.jitter and n > n_placed  # else no numbers are drawn, as in `fit.growth.new_rows`
        rows, units = (self._runtime.xp.empty((n, 5 + c), np.float32) for _ in range(2))
        self._launch(
            "start_rows",
            -(-n * WARP // GROWTH_THREADS),
            self._target,
            *map(np.int32, (c, height, width)),
            drawn,
            np.int32(n),
            scales,
            np.int32(n_placed),
            np.int32(jitters),
            self._seed,
            self._next_draw() if jitters else np.uint32(0),
            np.float32(terms.scale),
            *map(np.float32, terms.units),
            np.float64(terms.stretch),
            np.int32(max(1, terms.structure_px)),
            rows,
            units,
        )
        return rows, units

    def _next_draw(self) -> np.uint32:
        self._draw += 1
        return np.uint32(self._draw)

    def _launch(self, entry: str, blocks: int, *args: Array | np.generic | None) -> None:
        kernel: Kernel = self._runtime.kernel("growth", entry, **DEFINES)
        kernel(blocks, GROWTH_THREADS, *args)
