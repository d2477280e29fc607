"""Metrics of pictures without a largest value: light of any range, in the units of its file.

Log PSNR measures ratios. Samples v become L(v) = log2(eps + v), as in the log[RGB] error of Xu, Pattanaik, Hughes,
"High-Dynamic-Range Still-Image Encoding in JPEG 2000", IEEE CG&A 25(6), 2005 (used for HDR textures by Munkberg et al.,
SIGGRAPH 2006); eps is the smallest normal half, and the peak of the PSNR is the range from L(0) to L of the largest
half: 30 stops, whatever is in the picture. 1 % off everywhere is 66 dB, 10 % 47 dB. Negative values are mirrored: only
ratios to eps and sides of zero matter.

HDR-FLIP is Andersson et al., "Visualizing Errors in Rendered High Dynamic Range Images", Eurographics 2021: the most
that LDR-FLIP shows of a pixel at any exposure.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, MissingExtra
from gscodec.metrics._samples import Float64Array, check_pair
from gscodec.metrics.flip import flip_missing

LOG_EPSILON: Final = 2.0**-14
"""The smallest normal half: below it ratios count less and less."""
LOG_RANGE: Final = math.log2(1 + 65504 / LOG_EPSILON)
"""Stops from 0 to the largest half, 30.0: the peak of log PSNR."""

_BLOCK_ROWS: Final = 256
_LUMINANCE: Final = np.array([2613072, 8788810, 887015]) / 12288897  # of linear sRGB, as FLIP has it
_MOST_STOPS: Final = 24.0  # of exposures: where half the picture is black, its median says nothing
_BRIGHTEST: Final = 0.85  # tone-mapped value that the brightest or the median luminance gets (the paper, Section 4)
_ACES: Final = (0.6 * 0.6 * 2.51, 0.6 * 0.03, 0.0, 0.6 * 0.6 * 2.43, 0.6 * 0.59, 0.14)
"""(a x^2 + b x + c) / (d x^2 + e x + f), FLIP's default tone mapper."""


def log_psnr(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """20 log10(LOG_RANGE / RMSE of log2(LOG_EPSILON + v)) in dB, over all pixels and channels; inf for equal pictures.

    Args:
        first: (H, W) or (H, W, C) floats in the source's units. Negative values count as mirrored.
        second: the same shape.

    Raises:
        InvalidArgument: shapes differ, samples that are no floats or not finite.
    """
    first, second = _check(first, second)
    sums = []
    for row in range(0, first.shape[0], _BLOCK_ROWS):
        difference = _stops(first[row : row + _BLOCK_ROWS]) - _stops(second[row : row + _BLOCK_ROWS])
        sums.append(float(np.square(difference, out=difference).sum()))
    error = math.fsum(sums) / first.size
    return math.inf if error == 0 else 10 * math.log10(LOG_RANGE**2 / error)


def hdr_flip(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Mean HDR-FLIP error, 0..1, and 0 for equal pictures; the first is the reference, which sets the exposures.

    Of the authors' own package, with its viewing distance and tone mapper (ACES). Negative light counts as none.

    Args:
        first: (H, W), (H, W, 1) or (H, W, 3) floats of linear light, primaries of sRGB. Gray counts as RGB.
        second: the same shape.

    Raises:
        InvalidArgument: shapes differ, samples that are no floats or not finite, or neither gray nor RGB.
        MissingExtra: flip-evaluator is not installed.
    """
    first, second = _check(first, second)
    if first.shape[2] not in {1, 3}:
        raise InvalidArgument(f"FLIP is for gray or RGB pictures, not for {first.shape[2]} channels")
    reason = flip_missing()
    if reason:
        raise MissingExtra(reason)
    import flip_evaluator

    reference, test = _light(first), _light(second)
    brightest = float((reference @ _LUMINANCE).max())
    if brightest > 0:  # exposures follow, and the package's single precision is spared extremes
        reference, test = reference / brightest, np.minimum(test / brightest, 2.0**32)
    start, stop = exposures(reference)
    # The package finds the same exposures by itself, but ends the process where a picture has only one luminance.
    settings = {"startExposure": start, "stopExposure": stop, "numExposures": max(2, math.ceil(stop - start))}
    a, b = (np.array(picture, np.float32) for picture in (reference, test))  # it takes writable arrays only
    _, mean, _ = flip_evaluator.evaluate(a, b, "HDR", applyMagma=False, parameters=settings)
    return float(mean)


def exposures(reference: npt.NDArray[Any]) -> tuple[float, float]:
    """First and last exposure, in stops: the brightest and the median luminance become 0.85 once tone-mapped.

    At most 24 stops apart; both 0 for a black picture.
    """
    luminance = reference.astype(np.float64) @ _LUMINANCE
    brightest, median = float(luminance.max()), float(np.median(luminance))
    if brightest <= 0:
        return 0.0, 0.0
    a, b, c = (_ACES[power] - _BRIGHTEST * _ACES[power + 3] for power in range(3))
    light = (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)  # what the tone mapper makes _BRIGHTEST
    start = math.log2(light / brightest)
    return start, min(start + _MOST_STOPS, math.log2(light / median) if median > 0 else math.inf)


def _check(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    first, second, _ = check_pair(first, second, None)
    if first.dtype.kind != "f" or second.dtype.kind != "f":
        raise InvalidArgument(f"samples of types {first.dtype} and {second.dtype} are not light: give floats")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InvalidArgument("samples are not all finite")
    return first, second


def _stops(values: npt.NDArray[Any]) -> Float64Array:
    """Stops above LOG_EPSILON: for v >= 0 log2(LOG_EPSILON + v) less a constant."""
    v = values.astype(np.float64)
    result: Float64Array = np.copysign(np.log2(1 + np.abs(v) / LOG_EPSILON), v)
    return result


def _light(picture: npt.NDArray[Any]) -> Float64Array:
    light = np.maximum(picture.astype(np.float64), 0)
    result: Float64Array = np.broadcast_to(light, (*light.shape[:2], 3))
    return result
