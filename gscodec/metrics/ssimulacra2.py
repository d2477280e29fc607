"""SSIMULACRA2: how visible the artefacts of compression are, tuned on people's ratings of coded photographs.

Sneyers, SSIMULACRA 2.1, as in the program `ssimulacra2` of libjxl (BSD-3), written in NumPy. Both pictures are
converted to XYB, a cube-root opponent space (X red-green, Y lightness, B blue less lightness), at six scales. At each
scale a Gaussian of sigma 1.5 px gives local moments, and three error maps are pooled as mean and as 4-norm: 1 - SSIM
without the denominator of its luminance term, contrast that was added (ringing, blocks), contrast that was lost
(blur). A weighted sum of the 108 values goes through a polynomial and a power. Scores near 90 are visually lossless,
70 is high quality, 50 medium, 30 low; there is no lower bound.

The package `ssimulacra2` on PyPI blurs with another Gaussian and mirrors one pair of borders, which moves a score by
1 to 4 points.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.metrics._samples import check_pair

MIN_SIDE: Final = 8  # px; libjxl's program refuses smaller pictures

SCALES: Final = 6
SIGMA: Final = 1.5  # px
_C2: Final = np.float32(0.0009)
_OPSIN: Final = np.array(
    [
        [0.30, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ],
    np.float32,
)
_OPSIN_BIAS: Final = np.float32(0.0037930732552754493)
_BLOCK: Final = 48  # rows filtered at a time, so that they stay in the cache
_WEIGHTS: Final = (  # a row a scale: of (SSIM, added contrast, lost contrast), as means, then as 4-norms
    (  # X
        (0, 0.0007376606707406586, 0, 0, 0.0007793481682867309, 0),
        (0, 0.0004371155730107379, 0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752),
        (0, 0.0016406437456599754, 0, 1.8422455520539298, 11.441172603757666, 0),
        (0.0007989109436015163, 0.000176816438078653, 0, 1.8787594979546387, 10.94906990605142, 0),
        (
            0.0007289346991508072,
            0.9677937080626833,
            0,
            0.00014003424285435884,
            0.9981766977854967,
            0.00031949755934435053,
        ),
        (0.0004550992113792063, 0, 0, 0.0013648766163243398, 0, 0),
    ),
    (  # Y
        (0, 0, 0, 7.466890328078848, 0, 17.445833984131262),
        (0.0006235601634041466, 0, 0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264),
        (225.20515300849274, 0, 0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985),
        (176.39317598450694, 0, 0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408),
        (0, 0, 0, 34.77906344483772, 44.835625328877896, 0),
        (0, 0, 0, 0, 0, 0),
    ),
    (  # B
        (0, 0.0008680556573291698, 0, 0, 0, 0),
        (0, 0.0005313191874358747, 0, 0.00016533814161379112, 0, 0),
        (0, 0, 0, 0.0004179171803251336, 0.0017290828234722833, 0),
        (0.0020827005846636437, 0, 0, 8.826982764996862, 23.19243343998926, 0),
        (
            95.1080498811086,
            0.9863978034400682,
            0.9834382792465353,
            0.0012286405048278493,
            171.2667255897307,
            0.9807858872435379,
        ),
        (0, 0, 0, 0.0005130064588990679, 0, 0.00010854057858411537),
    ),
)

Planes = npt.NDArray[np.float32]  # (3, H, W)


def ssimulacra2(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """SSIMULACRA2 score, 100 for equal pictures and without a lower bound; the first is the reference.

    Args:
        first: (H, W), (H, W, 1) or (H, W, 3) sRGB samples: unsigned integers, or floats in 0..1; MIN_SIDE px or more.
            Gray counts as RGB with three equal channels.
        second: the same shape and type.

    Raises:
        InvalidArgument: shapes differ, neither gray nor RGB, or a side below MIN_SIDE.
    """
    first, second, top = check_pair(first, second, None)
    if first.shape[2] not in {1, 3} or min(first.shape[:2]) < MIN_SIDE:
        raise InvalidArgument(f"SSIMULACRA2 is for gray or RGB pictures of {MIN_SIDE} px or more, not {first.shape}")
    a, b = _linear(first, top), _linear(second, top)
    pooled = []
    for scale in range(SCALES):
        if scale:
            if min(a.shape[1:]) < MIN_SIDE:
                break
            a, b = _halve(a), _halve(b)
        pooled.append(_errors(_xyb(a), _xyb(b)))
    # libjxl numbers the weights through, so those of a picture of fewer scales are shifted; kept, to agree with it
    values = np.stack(pooled).transpose(3, 0, 1, 2).ravel()
    return _score(float(np.array(_WEIGHTS).ravel()[: values.size] @ values))


def _score(error: float) -> float:
    error *= 0.9562382616834844
    error = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return 100 - 10 * error**0.6276336467831387 if error > 0 else 100.0


def _linear(picture: npt.NDArray[Any], top: float) -> Planes:
    """Linear light, 0..1, gray repeated."""
    unit = np.clip(picture.astype(np.float32) / np.float32(top), 0, 1)
    light = np.where(unit <= 0.04045, unit / np.float32(12.92), ((unit + np.float32(0.055)) / np.float32(1.055)) ** 2.4)
    return np.array(np.broadcast_to(np.moveaxis(light, 2, 0), (3, *light.shape[:2])), np.float32)


def _xyb(light: Planes) -> Planes:
    """XYB, scaled and shifted to lie in about 0..1."""
    mixed = (_OPSIN @ light.reshape(3, -1) + _OPSIN_BIAS).reshape(light.shape)
    long, medium, short = np.cbrt(mixed) - np.cbrt(_OPSIN_BIAS)
    y = (long + medium) / 2
    return np.stack([7 * (long - medium) + np.float32(0.42), y + np.float32(0.01), short - y + np.float32(0.55)])


def _halve(light: Planes) -> Planes:
    """Means of 2x2 blocks; a side of odd length gets its last row or column twice."""
    light = np.pad(light, [(0, 0), *((0, side % 2) for side in light.shape[1:])], mode="edge")
    rows = light[:, 0::2] + light[:, 1::2]
    return np.asarray((rows[:, :, 0::2] + rows[:, :, 1::2]) / 4, np.float32)


def _errors(a: Planes, b: Planes) -> npt.NDArray[np.float64]:
    """(2, 3, 3): mean and 4-norm of the three error maps, of each channel."""
    mean_a, mean_b = _blur(a), _blur(b)
    structure = 2 * (_blur(a * b) - mean_a * mean_b) + _C2
    structure /= (_blur(a * a) - mean_a * mean_a) + (_blur(b * b) - mean_b * mean_b) + _C2
    unlike = 1 - (1 - np.square(mean_a - mean_b)) * structure
    contrast = (1 + np.abs(b - mean_b)) / (1 + np.abs(a - mean_a)) - 1
    maps = (np.maximum(unlike, 0), np.maximum(contrast, 0), np.maximum(-contrast, 0))
    means = [error.mean((1, 2), dtype=np.float64) for error in maps]
    norms = [np.square(np.square(error)).mean((1, 2), dtype=np.float64) ** 0.25 for error in maps]
    return np.array([means, norms])


def kernel() -> Planes:
    """(N,) taps 0 to N - 1 of libjxl's Gaussian, which is symmetric and sums to one over both sides.

    A sum of three cosines, zero from N px on: Charalampidis, "Recursive Implementation of the Gaussian Filter Using
    Truncated Cosine Functions", IEEE TSP 64(14), 2016; numbers in brackets are its equations.
    """
    radius = round(3.2795 * SIGMA + 0.2546)  # (57)
    omega = np.array([1, 3, 5]) * math.pi / (2 * radius)
    signs = np.array([1, -1, 1])
    p = signs / np.tan(omega / 2)  # (37)
    r = signs * p * p / np.sin(omega)  # (44)
    rho = np.exp(-(SIGMA**2) / 2 * omega**2) / radius  # (50)
    zeta_1 = (p[1] * r[2] - r[1] * p[2]) / (p[0] * r[1] - r[0] * p[1])  # (52)
    zeta_3 = (p[2] * r[0] - r[2] * p[0]) / (p[0] * r[1] - r[0] * p[1])
    right = [1, radius**2 - SIGMA**2, zeta_1 * rho[0] + zeta_3 * rho[1] + rho[2]]  # (55)
    beta = np.linalg.solve(np.array([p, r, [zeta_1, zeta_3, 1]]), right)  # (53)
    return np.asarray(beta @ np.cos(np.outer(omega, np.arange(radius))), np.float32)


def _blur(planes: Planes) -> Planes:
    """Planes under the Gaussian, with zeros around them, as libjxl has it."""
    taps = kernel()
    reach = len(taps) - 1
    height = planes.shape[1]
    result = np.empty_like(planes)
    for plane, out in zip(planes, result, strict=True):
        for top in range(0, height, _BLOCK):
            bottom = min(height, top + _BLOCK)
            above, below = max(0, top - reach), min(height, bottom + reach)
            missing = (above - (top - reach), bottom + reach - below)
            rows = np.pad(plane[above:below], (missing, (reach, reach)))
            out[top:bottom] = _slide(_slide(rows, taps, 0), taps, 1)
    return result


def _slide(values: Planes, taps: Planes, axis: int) -> Planes:
    """Values filtered along one axis, where the whole window fits. Two taps share a product."""
    reach = len(taps) - 1
    size = values.shape[axis] - 2 * reach

    def tap(offset: int) -> Planes:
        place = slice(reach + offset, reach + offset + size)
        return values[place] if axis == 0 else values[:, place]

    result: Planes = tap(0) * taps[0]
    pair = np.empty_like(result)
    for offset in range(1, reach + 1):
        np.add(tap(-offset), tap(offset), out=pair)
        pair *= taps[offset]
        result += pair
    return result
