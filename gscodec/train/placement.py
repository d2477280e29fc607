"""Where Gaussians start: content-adaptive initialisation and error-guided growth (paper, Section 3.3)."""

import numpy as np
import numpy.typing as npt

from gscodec.gaussians import Float32Array, Float64Array


def gradient_magnitude(image: Float32Array) -> Float64Array:
    """(H, W) Euclidean norm of the central-difference gradient over both axes and all channels of (H, W, C)."""
    total = np.zeros(image.shape[:2])
    for axis in (0, 1):
        if image.shape[axis] > 1:
            total += np.square(np.gradient(image, axis=axis), dtype=np.float64).sum(axis=2)
    magnitude: Float64Array = np.sqrt(total)
    return magnitude


def mix_with_uniform(density: Float64Array, uniform_share: float) -> Float64Array:
    """Probability per pixel: density normalised to sum 1, mixed with a uniform share (paper, Eq. 6)."""
    total = float(density.sum())
    if not total > 0:
        return np.full(density.shape, 1.0 / density.size)
    mixed: Float64Array = (1.0 - uniform_share) * density / total + uniform_share / density.size
    return mixed


def box_blur(values: Float64Array, radius: int) -> Float64Array:
    """Mean over (2 radius + 1)^2 pixels, edges repeated."""
    if radius < 1:
        return values
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius + 1, radius)
        sums = np.cumsum(np.pad(values, pad, mode="edge"), axis=axis)
        n = values.shape[axis]
        upper = np.take(sums, np.arange(2 * radius + 1, 2 * radius + 1 + n), axis=axis)
        values = (upper - np.take(sums, np.arange(n), axis=axis)) / (2 * radius + 1)
    return values


def draw_positions(rng: np.random.Generator, probability: Float64Array, count: int, jitter: bool) -> Float64Array:
    """(count, 2) positions in px, at distinct pixels while there are enough of them.

    Args:
        probability: (H, W), sums to 1.
        jitter: anywhere inside the pixel rather than at its centre.
    """
    weights = probability.ravel()
    possible = int(np.count_nonzero(weights))
    chosen: list[npt.NDArray[np.int64]] = []
    while count > 0:
        take = min(count, possible)
        # Gumbel top-k: draws without replacement in one pass (Efraimidis and Spirakis 2006).
        with np.errstate(divide="ignore"):
            keys = np.log(weights) + rng.gumbel(size=weights.size)
        chosen.append(np.sort(np.argpartition(keys, weights.size - take)[weights.size - take :]))
        count -= take
    pixels = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
    offset = rng.random((len(pixels), 2)) if jitter else 0.5
    return np.stack(np.divmod(pixels, probability.shape[1])[::-1], axis=1) + offset


def colours_at(image: Float32Array, positions: Float64Array) -> Float32Array:
    """(n, C) values of the pixels that contain the positions."""
    columns = np.clip(positions[:, 0].astype(np.int64), 0, image.shape[1] - 1)
    rows = np.clip(positions[:, 1].astype(np.int64), 0, image.shape[0] - 1)
    return image[rows, columns]
