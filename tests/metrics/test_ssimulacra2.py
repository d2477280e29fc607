"""SSIMULACRA2 beside libjxl's program where there is one, and beside the package on PyPI given libjxl's blur."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy import ndimage

from gscodec.errors import InvalidArgument
from gscodec.metrics import ssimulacra2
from gscodec.metrics.ssimulacra2 import _blur, kernel

Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]
SAMPLE = Path(__file__).parents[2] / "samples" / "photo_dandelions.png"


def photo() -> npt.NDArray[np.uint8]:
    with Image.open(SAMPLE) as image:
        return np.asarray(image.convert("RGB").crop((20, 30, 341, 307)))  # odd sides


def saved(folder: Path, pair: Pair) -> list[Path]:
    paths = [folder / "first.png", folder / "second.png"]
    for path, pixels in zip(paths, pair, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def recursive_blur(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """One row under the recursion of libjxl's `FastGaussian1D`, of which `kernel` is the impulse response."""
    radius, sigma = 5, 1.5
    omega = np.array([1, 3, 5]) * np.pi / (2 * radius)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)
    r = np.array([1, -1, 1]) * p * p / np.sin(omega)
    rho = np.exp(-0.5 * sigma**2 * omega**2) / radius
    d13, d35, d51 = (p[i] * r[j] - r[i] * p[j] for i, j in ((0, 1), (1, 2), (2, 0)))
    matrix = np.array([p, r, [d35 / d13, d51 / d13, 1]])
    gamma = [1, radius**2 - sigma**2, d35 / d13 * rho[0] + d51 / d13 * rho[1] + rho[2]]
    beta = np.linalg.inv(matrix) @ gamma
    n2, d1 = -beta * np.cos(omega * (radius + 1)), -2 * np.cos(omega)
    padded = np.pad(values, (2 * radius, 2 * radius))
    before, last, out = np.zeros(3), np.zeros(3), []
    for n in range(-radius + 1, len(values)):
        total = padded[n + radius - 1] + padded[n + 3 * radius - 1]
        before, last = last, n2 * total - d1 * last - before
        out.append(last.sum())
    return np.array(out[radius - 1 :])


def test_the_blur_is_libjxls() -> None:
    taps = kernel()
    assert 2 * taps.sum() - taps[0] == pytest.approx(1, abs=1e-6)
    plane = np.random.default_rng(5).random((61, 53))
    expected = np.apply_along_axis(recursive_blur, 1, np.apply_along_axis(recursive_blur, 0, plane))
    planes = np.repeat(plane[None].astype(np.float32), 3, axis=0)
    assert np.abs(_blur(planes) - expected).max() < 2e-6


def test_equal_pictures_have_100(pictures: Pair) -> None:
    clean, _ = pictures
    assert ssimulacra2(clean, clean) == 100
    assert ssimulacra2(clean[:, :, 0], clean[:, :, 0]) == 100


def test_agrees_with_the_pypi_package_given_the_same_blur(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssimulacra2 import ssimulacra2 as package

    def blur(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        planes = np.ascontiguousarray(np.moveaxis(image, 2, 0), np.float32)
        return np.moveaxis(_blur(planes), 0, 2).astype(np.float64)

    monkeypatch.setattr(package, "blur_image", blur)
    clean = photo()  # wide enough for six scales: of smaller pictures the package leaves out the last, libjxl does not
    for sigma in (0.6, 2):
        blurred = ndimage.gaussian_filter(clean, (sigma, sigma, 0))
        pair = clean, blurred
        assert ssimulacra2(*pair) == pytest.approx(package.compute_ssimulacra2(*saved(tmp_path, pair)), abs=0.01)


def test_agrees_with_libjxls_program(tmp_path: Path) -> None:
    program = shutil.which("ssimulacra2")
    if program is None:
        pytest.skip("libjxl's program ssimulacra2 is not on PATH")
    clean = photo()
    Image.fromarray(clean).save(tmp_path / "coded.jpg", quality=40)
    with Image.open(tmp_path / "coded.jpg") as image:
        pair = clean, np.asarray(image)
    done = subprocess.run([program, *saved(tmp_path, pair)], check=True, capture_output=True, encoding="utf-8")
    assert ssimulacra2(*pair) == pytest.approx(float(done.stdout.split()[0]), abs=0.05)


def test_more_damage_has_a_lower_score() -> None:
    clean = photo()
    rng = np.random.default_rng(2)

    def noisy(sigma: float) -> npt.NDArray[np.uint8]:
        return np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 255).astype(np.uint8)

    def tinted(step: int) -> npt.NDArray[np.uint8]:
        blocks = np.kron(rng.integers(-1, 2, (18, 21, 3)), np.ones((16, 16, 1), int))[
            : clean.shape[0], : clean.shape[1]
        ]
        return np.clip(clean + step * blocks, 0, 255).astype(np.uint8)

    for damage in (
        [ndimage.gaussian_filter(clean, (sigma, sigma, 0)) for sigma in (0.4, 0.8, 1.6, 4)],
        [noisy(sigma) for sigma in (2, 6, 20, 60)],
        [tinted(step) for step in (2, 6, 20, 60)],
    ):
        scores = [100.0, *(ssimulacra2(clean, picture) for picture in damage)]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] < 20


def test_gray_counts_as_rgb_and_floats_as_integers() -> None:
    clean = photo()
    coded = ndimage.gaussian_filter(clean, (1, 1, 0))
    wide = ssimulacra2(*(np.repeat(picture[:, :, :1], 3, axis=2) for picture in (clean, coded)))
    assert ssimulacra2(clean[:, :, 0], coded[:, :, 0]) == pytest.approx(wide, abs=1e-5)
    floats = [picture.astype(np.float32) / 255 for picture in (clean, coded)]
    assert ssimulacra2(floats[0], floats[1]) == pytest.approx(ssimulacra2(clean, coded), abs=1e-3)


def test_what_it_is_not_for(pictures: Pair) -> None:
    clean, noisy = pictures
    assert ssimulacra2(clean[:8, :8], noisy[:8, :8]) < 100
    for pair in ((clean[:7], noisy[:7]), (clean[:, :, :2], noisy[:, :, :2])):
        with pytest.raises(InvalidArgument, match="SSIMULACRA2 is for"):
            ssimulacra2(*pair)
