"""The oracle's photometric loss: L1, L2, block means and SSIM in float64, with the gradient written out.

SSIM follows Wang et al. 2004 with the weighted (population) variances of an 11-tap Gaussian window, sigma 1.5 px.
"""

import numpy as np

from gscodec.model.gaussians import Float64Array
from gscodec.model.rendering import LossWeights

MEAN_SIDE_PX = 4
SSIM_TAPS = 11
SSIM_SIGMA_PX = 1.5
SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2


def ssim_window() -> Float64Array:
    """(11,) Gaussian taps that sum to 1."""
    offset = np.arange(SSIM_TAPS) - SSIM_TAPS // 2
    taps = np.exp(-0.5 * (offset / SSIM_SIGMA_PX) ** 2)
    return np.asarray(taps / taps.sum())


def blur(image: Float64Array) -> Float64Array:
    """(H, W, C) image under the SSIM window, zeros beyond the border. The filter is its own adjoint."""
    reach = SSIM_TAPS // 2
    for axis in (0, 1):
        length = image.shape[axis]
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(image, pad)
        parts = [tap * np.take(padded, range(k, k + length), axis) for k, tap in enumerate(ssim_window())]
        image = np.sum(parts, axis=0)
    return image


def ssim_map(x: Float64Array, y: Float64Array, each: Float64Array | float = 1.0) -> tuple[Float64Array, Float64Array]:
    """SSIM per pixel and channel (H, W, C), and the gradient with respect to x of its sum, weighted by `each`."""
    mx, my = blur(x), blur(y)
    var_x, var_y, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    a1, a2 = 2.0 * mx * my + SSIM_C1, 2.0 * cov + SSIM_C2
    b1, b2 = mx * mx + my * my + SSIM_C1, var_x + var_y + SSIM_C2
    s = a1 * a2 / (b1 * b2)
    d_cov = 2.0 * a1 / (b1 * b2)
    d_var_x = -s / b2
    # The mean enters through a1 and b1, and through both second moments with a minus sign.
    d_mx = 2.0 * my * a2 / (b1 * b2) - 2.0 * mx * s / b1 - 2.0 * mx * d_var_x - my * d_cov
    grad = blur(each * d_mx) + 2.0 * x * blur(each * d_var_x) + y * blur(each * d_cov)
    return s, grad


def block_means(difference: Float64Array, each: Float64Array) -> tuple[Float64Array, float]:
    """(H, W, C) mean difference of each sample's block times its mean weight, and the sum of that times the mean.

    Args:
        difference, each: (H, W, C).
    """
    height, width, _ = difference.shape
    slope, total = np.empty_like(difference), 0.0
    for y in range(0, height, MEAN_SIDE_PX):
        for x in range(0, width, MEAN_SIDE_PX):
            block = np.s_[y : y + MEAN_SIDE_PX, x : x + MEAN_SIDE_PX]
            mean = difference[block].mean(axis=(0, 1))
            slope[block] = mean * each[block].mean(axis=(0, 1))
            total += float((slope[block] * mean).sum())
    return slope, total


def photometric_loss(
    x: Float64Array, y: Float64Array, weights: LossWeights, each: Float64Array | float = 1.0
) -> tuple[float, Float64Array]:
    """Loss of x (H, W, C) against y, as `LossWeights` defines it, and its gradient for x (0 for |d| at d = 0).

    Args:
        each: (H, W, 1) or (H, W, C), weight of each sample.
    """
    difference = x - y
    value = weights.l1 * float((each * np.abs(difference)).mean()) + weights.l2 * float((each * difference**2).mean())
    grad = each * (weights.l1 * np.sign(difference) + 2.0 * weights.l2 * difference) / x.size
    if weights.means:
        slope, total = block_means(difference, np.broadcast_to(each, x.shape))
        value += weights.means * total / x.size
        grad = grad + 2.0 * weights.means * slope / x.size
    if weights.ssim:
        s, grad_s = ssim_map(x, y, each)
        value += weights.ssim * float((each * (1.0 - s)).mean())
        grad = grad - weights.ssim * grad_s / x.size
    return value, grad
