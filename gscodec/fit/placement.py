"""Positions of new Gaussians: content-adaptive initialisation and error-guided growth (paper, Section 3.3)."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gscodec import _engine

Array = npt.NDArray[Any]


class Draws(Protocol):
    """A source of random numbers; `numpy.random.Generator` is one."""

    def random(self, size: tuple[int, ...]) -> Array:
        """Uniform float64 numbers in [0, 1)."""
        ...

    def gumbel(self, *, size: int) -> Array:
        """Float64 numbers from the standard Gumbel distribution."""
        ...


def gradient_magnitude(image: Array, each: Array | None = None) -> Array:
    """(H, W) float64 Euclidean norm of the central-difference gradient over both axes and all channels of (H, W, C).

    Args:
        each: (H, W, C) weights of the squares.
    """
    total = np.zeros(image.shape[:2])
    for axis in (0, 1):
        if image.shape[axis] > 1:
            squares = np.square(np.gradient(image, axis=axis), dtype=np.float64)
            total += (squares if each is None else each * squares).sum(axis=2)
    return np.sqrt(total)


def mix_with_uniform(density: Array, uniform_share: float) -> Array:
    """Probability per pixel: float64 density normalised to sum 1, mixed with a uniform share (paper, Eq. 6)."""
    total = float(density.sum())
    if not total > 0:
        return np.full(density.shape, 1.0 / density.size)
    return (1.0 - uniform_share) * density / total + uniform_share / density.size


def structure_at(image: Array, positions: Array, radius: int, threads: int = 0) -> tuple[Array, Array]:
    """Direction of steepest change in rad and its coherence in 0..1: float64 (n,) each.

    The structure tensor of the channels' mean, averaged over (2 radius + 1)^2 pixels around each position, edges
    repeated (Bigun and Granlund 1987). Computed at the positions alone: the windows around new Gaussians together hold
    fewer pixels than the picture.
    """
    limits = np.array([image.shape[1] - 1, image.shape[0] - 1])
    pixels = np.clip(positions.astype(np.int64), 0, limits)
    samples = np.ascontiguousarray(image, np.float32)
    xx, xy, yy = _engine.structure_at(samples, np.ascontiguousarray(pixels), max(1, radius), threads).T
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6)
    return 0.5 * np.arctan2(2 * xy, xx - yy), coherence


def box_blur(values: Array, radius: int) -> Array:
    """Mean of float64 (H, W) over (2 radius + 1)^2 pixels, edges repeated."""
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


def draw_positions(draws: Draws, probability: Array, count: int, jitter: bool) -> Array:
    """(count, 2) float64 positions in px, at distinct pixels as long as there are enough of them.

    Args:
        probability: (H, W), sums to 1.
        jitter: place positions uniformly inside the pixel instead of at its centre.
    """
    weights = probability.ravel()
    possible = int(np.count_nonzero(weights))
    chosen = [np.zeros(0, np.int64)]
    while count > 0:
        take = min(count, possible)
        # Gumbel top-k: draws without replacement in one pass (Efraimidis and Spirakis 2006).
        with np.errstate(divide="ignore"):
            keys = np.log(weights) + draws.gumbel(size=weights.size)
        chosen.append(np.sort(np.argpartition(keys, weights.size - take)[weights.size - take :]))
        count -= take
    pixels = np.concatenate(chosen)
    offset = draws.random((len(pixels), 2)) if jitter else 0.5
    return np.stack(np.divmod(pixels, probability.shape[1])[::-1], axis=1) + offset


def colours_at(image: Array, positions: Array) -> Array:
    """(n, C) values of the pixels of (H, W, C) that contain the positions."""
    columns = np.clip(positions[:, 0].astype(np.int64), 0, image.shape[1] - 1)
    rows = np.clip(positions[:, 1].astype(np.int64), 0, image.shape[0] - 1)
    return image[rows, columns]
