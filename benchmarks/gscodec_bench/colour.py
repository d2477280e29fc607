"""CIELAB and CIEDE2000: differences of colours, in units of just noticeable ones."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

_TO_XYZ: Final = np.array(  # sRGB primaries, D65
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def lab_of(srgb: npt.NDArray[Any]) -> Float64Array:
    """(..., 3) CIELAB values, white at L = 100, of (..., 3) sRGB values in 0..1; white point D65."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)
    t = linear @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
    delta = 6 / 29
    x, y, z = np.moveaxis(np.where(t > delta**3, np.cbrt(t), t / (3 * delta**2) + 4 / 29), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(first: Float64Array, second: Float64Array) -> Float64Array:
    """(...) colour differences of CIELAB values (..., 3): CIEDE2000 with all weighting factors 1.

    Sharma, Wu, Dalal, "The CIEDE2000 Color-Difference Formula: Implementation Notes, Supplementary Test Data, and
    Mathematical Observations", Color Research and Application 30(1), 2005; numbers are its equations.
    """
    lightness = np.stack([first[..., 0], second[..., 0]])
    a, b = (np.stack([lab[..., axis] for lab in (first, second)]) for axis in (1, 2))
    mean_chroma_7 = np.hypot(a, b).mean(axis=0) ** 7  # (2), (3)
    a = a * (1 + 0.5 * (1 - np.sqrt(mean_chroma_7 / (mean_chroma_7 + 25.0**7))))  # (4), (5)
    chroma = np.hypot(a, b)  # (6)
    hue = np.degrees(np.arctan2(b, a)) % 360  # (7)
    gray = chroma[0] * chroma[1] == 0
    turn = hue[1] - hue[0]
    turn = np.where(gray, 0, (turn + 180) % 360 - 180)  # (10); of opposite hues only the square is used
    d_lightness, d_chroma = lightness[1] - lightness[0], chroma[1] - chroma[0]  # (8), (9)
    d_hue = 2 * np.sqrt(chroma[0] * chroma[1]) * np.sin(np.radians(turn / 2))  # (11)
    mean_lightness, mean_chroma = lightness.mean(axis=0), chroma.mean(axis=0)  # (12), (13)
    total = hue[0] + hue[1]
    wrapped = np.where(total < 360, total + 360, total - 360)
    mean_hue = np.where(gray, total, np.where(np.abs(hue[0] - hue[1]) <= 180, total, wrapped) / 2)  # (14)
    t = (  # (15)
        1
        - 0.17 * _cos(mean_hue - 30)
        + 0.24 * _cos(2 * mean_hue)
        + 0.32 * _cos(3 * mean_hue + 6)
        - 0.20 * _cos(4 * mean_hue - 63)
    )
    rotation = 30 * np.exp(-(((mean_hue - 275) / 25) ** 2))  # (16)
    crowding = 2 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7))  # (17)
    offset = (mean_lightness - 50) ** 2
    x = d_lightness / (1 + 0.015 * offset / np.sqrt(20 + offset))  # (18)
    y = d_chroma / (1 + 0.045 * mean_chroma)  # (19)
    z = d_hue / (1 + 0.015 * mean_chroma * t)  # (20)
    square = x**2 + y**2 + z**2 - np.sin(np.radians(2 * rotation)) * crowding * y * z  # (21), (22)
    return np.asarray(np.sqrt(np.maximum(square, 0)), np.float64)


def _cos(degrees: Float64Array) -> Float64Array:
    return np.asarray(np.cos(np.radians(degrees)), np.float64)
