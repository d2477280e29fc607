"""FLIP beside the paper's formulas written out again (Andersson et al., HPG 2020, Sections 4 and 5)."""

import importlib.util
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from gscodec.errors import InvalidArgument, MissingExtra
from gscodec.metrics import flip, flip_map

Plane = npt.NDArray[np.float64]
Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]

PPD = 0.7 * 3840 / 0.7 * math.pi / 180
TO_XYZ = np.array(
    [
        [10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794],
        [2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897],
        [1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382],
    ]
)
WHITE = TO_XYZ @ np.ones(3)
SENSITIVITY = ((1, 0.0047, 0, 1e-5), (1, 0.0053, 0, 1e-5), (34.1, 0.04, 13.5, 0.025))  # of Y, Cx, Cz


def linear(srgb: Plane) -> Plane:
    return np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)


def opponent(rgb: Plane) -> Plane:
    x, y, z = np.moveaxis(rgb @ TO_XYZ.T / WHITE, 2, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=2)


def back_to_rgb(ycxcz: Plane) -> Plane:
    y = (ycxcz[:, :, 0] + 16) / 116
    xyz = np.stack([y + ycxcz[:, :, 1] / 500, y, y - ycxcz[:, :, 2] / 200], axis=2) * WHITE
    return np.clip(xyz @ np.linalg.inv(TO_XYZ).T, 0, 1)


def hunt_lab(rgb: Plane) -> Plane:
    t = rgb @ TO_XYZ.T / WHITE
    delta = 6 / 29
    fx, fy, fz = np.moveaxis(np.where(t > delta**3, np.cbrt(t), t / (3 * delta**2) + 4 / 29), 2, 0)
    lightness = 116 * fy - 16
    return np.stack([lightness, 0.01 * lightness * 500 * (fx - fy), 0.01 * lightness * 200 * (fy - fz)], axis=2)


def hyab(a: Plane, b: Plane) -> Plane:
    difference = a - b
    result: Plane = np.abs(difference[:, :, 0]) + np.hypot(difference[:, :, 1], difference[:, :, 2])
    return result


def filtered(ycxcz: Plane) -> Plane:
    radius = math.ceil(3 * math.sqrt(0.04 / (2 * math.pi**2)) * PPD)
    square = np.add.outer(np.arange(-radius, radius + 1) ** 2, np.arange(-radius, radius + 1) ** 2) / PPD**2
    planes = []
    for channel, (a1, b1, a2, b2) in enumerate(SENSITIVITY):
        kernel = a1 * math.sqrt(math.pi / b1) * np.exp(-(math.pi**2) * square / b1)
        kernel += a2 * math.sqrt(math.pi / b2) * np.exp(-(math.pi**2) * square / b2)
        planes.append(ndimage.correlate(ycxcz[:, :, channel], kernel / kernel.sum(), mode="nearest"))
    return np.stack(planes, axis=2)


def features(y: Plane, *, edges: bool) -> Plane:
    sigma = 0.5 * 0.082 * PPD
    radius = math.ceil(3 * sigma)
    offsets = np.arange(-radius, radius + 1)
    x = np.broadcast_to(offsets, (2 * radius + 1, 2 * radius + 1)).astype(float)
    gauss = np.exp(-(x**2 + x.T**2) / (2 * sigma**2))
    kernel = -x * gauss if edges else (x**2 / sigma**2 - 1) * gauss
    kernel = np.where(kernel > 0, kernel / kernel[kernel > 0].sum(), kernel / -kernel[kernel < 0].sum())
    across = ndimage.correlate(y, kernel, mode="nearest")
    down = ndimage.correlate(y, kernel.T, mode="nearest")
    result: Plane = np.hypot(across, down)
    return result


def expected_map(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> Plane:
    a, b = (opponent(linear(picture / 255.0)) for picture in (first, second))
    colour = hyab(hunt_lab(back_to_rgb(filtered(a))), hunt_lab(back_to_rgb(filtered(b)))) ** 0.7
    green, blue = (hunt_lab(np.array([[c]], float)) for c in ((0, 1, 0), (0, 0, 1)))
    most = float(hyab(green, blue)[0, 0]) ** 0.7
    knee = 0.4 * most
    colour = np.where(colour < knee, 0.95 / knee * colour, 0.95 + (colour - knee) / (most - knee) * 0.05)
    ya, yb = ((picture[:, :, 0] + 16) / 116 for picture in (a, b))
    steps = [np.abs(features(ya, edges=kind) - features(yb, edges=kind)) for kind in (True, False)]
    feature = (np.maximum(*steps) / math.sqrt(2)) ** 0.5
    result: Plane = colour ** (1 - feature)
    return result


def test_agrees_with_the_formulas(pictures: Pair) -> None:
    expected = expected_map(*pictures)
    assert np.abs(flip_map(*pictures) - expected).max() < 2e-3
    assert flip(*pictures) == pytest.approx(expected.mean(), abs=2e-5)


def test_equal_pictures_have_no_error_and_opposites_much(pictures: Pair) -> None:
    assert flip(pictures[0], pictures[0]) == 0.0
    black = np.zeros((20, 20, 3), np.uint8)
    assert flip(black, ~black) > 0.9


def test_gray_is_rgb_with_equal_channels_and_floats_are_unit_samples(pictures: Pair) -> None:
    a, b = (picture[:, :, :1] for picture in pictures)
    three = flip(np.repeat(a, 3, axis=2), np.repeat(b, 3, axis=2))
    assert flip(a, b) == flip(a[:, :, 0], b[:, :, 0]) == three
    assert flip(a / np.float32(255), b / np.float32(255)) == pytest.approx(three, abs=1e-6)


def test_other_channels_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="4 channels"):
        flip(np.zeros((20, 20, 4)), np.zeros((20, 20, 4)))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "flip_evaluator" else found(name))
    with pytest.raises(MissingExtra, match="pip install"):
        flip(np.zeros((20, 20, 3)), np.zeros((20, 20, 3)))
