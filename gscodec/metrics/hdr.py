"""Metrics for HDR pictures: linear light of any range, in the units of its file.

Log PSNR measures relative errors. Samples v become L(v) = log2(eps + v), as in the log[RGB] error of Xu, Pattanaik,
Hughes, "High-Dynamic-Range Still-Image Encoding in JPEG 2000", IEEE CG&A 25(6), 2005 (used for HDR textures by Munkberg
et al., SIGGRAPH 2006); eps is the smallest normal half, and the peak of the PSNR is the range from L(0) to L(largest
half): 30 stops, independent of the picture. A relative error of 1 % everywhere is 66 dB, 10 % is 47 dB. Negative values
are mirrored: L(-v) lies as far below L(0) as L(v) above it.

HDR-FLIP is Andersson et al., "Visualizing Errors in Rendered High Dynamic Range Images", Eurographics 2021: the maximum
of LDR-FLIP per pixel over a range of exposures.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, MissingExtra
from gscodec.metrics._samples import Float64Array, check_pair
from gscodec.metrics.flip import flip_missing

LOG_EPSILON: Final = 2.0**-14
"""The smallest normal half; errors of values below it count less and less."""
LOG_RANGE: Final = math.log2(1 + 65504 / LOG_EPSILON)
"""Stops from 0 to the largest half, 30.0: the peak of log PSNR."""

_BLOCK_ROWS: Final = 256
_LUMINANCE: Final = np.array([2613072, 8788810, 887015]) / 12288897  # luminance weights of linear sRGB, as in FLIP
_MOST_STOPS: Final = 24.0  # maximum range of exposures: the median of a half-black picture is meaningless
_BRIGHTEST: Final = 0.85  # tone-mapped value of the brightest or the median luminance (the paper, Section 4)
_ACES: Final = (0.6 * 0.6 * 2.51, 0.6 * 0.03, 0.0, 0.6 * 0.6 * 2.43, 0.6 * 0.59, 0.14)
"""(a x^2 + b x + c) / (d x^2 + e x + f), FLIP's default tone mapper."""


def log_psnr(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """20 log10(LOG_RANGE / RMSE of log2(LOG_EPSILON + v)) in dB, over all pixels and channels; inf for equal pictures.

    Args:
        first: (H, W) or (H, W, C) floats in the source's units. Negative values are mirrored.
        second: the same shape.

    Raises:
        InvalidArgument: shapes differ, or samples are not floats or not finite.
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

    Computed by the authors' package, with its viewing distance and tone mapper (ACES). Negative light is clamped to 0.

    Args:
        first: (H, W), (H, W, 1) or (H, W, 3) floats, linear light with sRGB primaries. Gray counts as RGB.
        second: the same shape.

    Raises:
        InvalidArgument: shapes differ, or samples are not floats or not finite, or neither gray nor RGB.
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
    if brightest > 0:  # normalised: exposures shift with it, and the package's float32 neither overflows nor underflows
        reference, test = reference / brightest, np.minimum(test / brightest, 2.0**32)
    start, stop = exposures(reference)
    # The package would choose the same exposures, but terminates the process if a picture has only one luminance.
    settings = {"startExposure": start, "stopExposure": stop, "numExposures": max(2, math.ceil(stop - start))}
    a, b = (
        np.array(picture, np.float32) for picture in (reference, test)
    )  # writable copies, which the package requires
    _, mean, _ = flip_evaluator.evaluate(a, b, "HDR", applyMagma=False, parameters=settings)
    return float(mean)


def exposures(reference: npt.NDArray[Any]) -> tuple[float, float]:
    """First and last exposure in stops: they map the brightest and the median luminance to 0.85 after tone mapping.

    At most 24 stops apart; both 0 for a black picture.
    """
    luminance = reference.astype(np.float64) @ _LUMINANCE
    brightest, median = float(luminance.max()), float(np.median(luminance))
    if brightest <= 0:
        return 0.0, 0.0
    a, b, c = (_ACES[power] - _BRIGHTEST * _ACES[power + 3] for power in range(3))
    light = (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)  # the light that the tone mapper maps to _BRIGHTEST
    start = math.log2(light / brightest)
    return start, min(start + _MOST_STOPS, math.log2(light / median) if median > 0 else math.inf)


def _check(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    first, second, _ = check_pair(first, second, None)
    if first.dtype.kind != "f" or second.dtype.kind != "f":
        raise InvalidArgument(f"samples of types {first.dtype} and {second.dtype} are not linear light: pass floats")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InvalidArgument("samples are not all finite")
    return first, second


def _stops(values: npt.NDArray[Any]) -> Float64Array:
    """Signed stops: log2(1 + |v| / LOG_EPSILON) with the sign of v; L(v) minus the constant log2(LOG_EPSILON)."""
    v = values.astype(np.float64)
    result: Float64Array = np.copysign(np.log2(1 + np.abs(v) / LOG_EPSILON), v)
    return result


def _light(picture: npt.NDArray[Any]) -> Float64Array:
    light = np.maximum(picture.astype(np.float64), 0)
    result: Float64Array = np.broadcast_to(light, (*light.shape[:2], 3))
    return result
