"""Film grain in float64, slowly, as spec/igs.md states it: the judge of the engines."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gscodec.model.grain import Grain

Floats = npt.NDArray[np.float64]


def hash_noise(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    """n(x, y, k)."""
    word = 1 << 32
    v = np.asarray(
        [
            (int(a) * 0x9E3779B1 + int(b) * 0x85EBCA77 + k * 0xC2B2AE3D + 0x165667B1) % word
            for a, b in zip(x, y, strict=True)
        ],
        np.uint64,
    )
    v = ((v ^ (v >> np.uint64(16))) * np.uint64(0x7FEB352D)) % np.uint64(word)
    v = ((v ^ (v >> np.uint64(15))) * np.uint64(0x846CA68B)) % np.uint64(word)
    v ^= v >> np.uint64(16)
    parts = np.asarray([(v >> np.uint64(8 * byte)) & np.uint64(255) for byte in range(4)], np.int64)
    return np.asarray(parts.sum(axis=0) - 510, np.int64)


def grained(
    values: Floats,
    x: npt.NDArray[np.int64],
    y: npt.NDArray[np.int64],
    grain: Grain,
    channels: Sequence[int],
    steps: tuple[float, float] = (1.0, 1.0),
) -> Floats:
    """Values (n, C) of the pixels of numbers x, y (n,), with grain in some channels.

    Args:
        channels: of the group, without its alpha. steps: size of a pixel along x and y, in stored pixels.
    """
    a = grain.correlation
    gain = (16 + 2 * a) ** 2 / (256 + 2 * a * a)
    f = 1 / np.sqrt(np.prod([1 + (max(1.0, step) - 1) / gain for step in steps]))
    side = 0 if max(steps) > 1 else a
    weights = {-1: side, 0: 16, 1: side}

    def u(k: int) -> Floats:
        total = sum(weights[i] * weights[j] * hash_noise(x + i, y + j, k) for i in weights for j in weights)
        return np.asarray(total / (147.8 * (256 + 2 * side * side)))

    v = values[:, channels]
    luma = np.clip(v[:, 0] if len(channels) == 1 else (v[:, 0] + 2 * v[:, 1] + v[:, 2]) / 4, 0, 1)
    s = np.interp(luma, np.arange(8) / 7, grain.strengths) * f / 1024
    m, first = grain.independence / 255, 128 * grain.group
    result = values.copy()
    for c, channel in enumerate(channels):
        d = s * (np.sqrt(1 - m) * u(first) + np.sqrt(m) * u(first + 1 + c))
        room = np.maximum(0, np.minimum(v[:, c], 1 - v[:, c]))
        result[:, channel] = v[:, c] + np.clip(d, -room, room)
    return result
