"""Peaks of the error under matched filters: where they are, of what size, and what they leave out."""

import numpy as np
import numpy.typing as npt
import pytest

from gscodec.fit.peaks import Blobs, Int64Array, error_peaks, keep_apart
from gscodec.model.gaussians import Float32Array, Float64Array

SIGMAS = (1.0, 2.0, 4.0, 8.0)


def peaks_of(
    errors: Float32Array, n_most: int, exponent: float = 1.0, allowed: npt.NDArray[np.bool_] | None = None
) -> tuple[Float64Array, Float64Array]:
    """(n, 2) centres in px and (n,) sigmas of peaks."""
    blobs = Blobs.near(SIGMAS, exponent, 1.5)
    pixels, sizes = error_peaks(errors, blobs, n_most, allowed=allowed)
    return centres_of(pixels, errors.shape[1]), blobs.sigmas[sizes]


def centres_of(pixels: Int64Array, width: int) -> Float64Array:
    return np.stack([pixels % width, pixels // width], axis=1).astype(np.float64) + 0.5


def blob(x: float, y: float, sigma: float, height: int = 96, width: int = 128) -> Float32Array:
    """(H, W, 1) Gaussian of height 1."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    plane = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.asarray(plane[:, :, None], np.float32)


@pytest.mark.parametrize("sigma", [2.0, 4.0, 8.0])
def test_a_blob_is_found_where_it_is_and_as_wide_as_it_is(sigma: float) -> None:
    errors = np.concatenate([blob(70.5, 40.5, sigma), -0.5 * blob(70.5, 40.5, sigma)], axis=2)
    centres, sigmas = peaks_of(errors, 1)
    assert centres == pytest.approx(np.array([[70.5, 40.5]]), abs=1.01)
    assert sigmas[0] == pytest.approx(sigma, rel=0.2)


def test_the_greatest_come_first_and_none_within_reach_of_another() -> None:
    errors = blob(20.5, 30.5, 4) + 3 * blob(90.5, 60.5, 4) + 2 * blob(50.5, 80.5, 4)
    centres, sigmas = peaks_of(errors, 50)
    assert centres[:3] == pytest.approx(np.array([[90.5, 60.5], [50.5, 80.5], [20.5, 30.5]]), abs=1.01)
    for k, (centre, sigma) in enumerate(zip(centres, sigmas, strict=True)):
        assert (np.abs(centres[k + 1 :] - centre).max(axis=1) > sigma).all()


def test_structure_gains_more_than_noise_of_the_same_energy() -> None:
    structure = blob(64.5, 48.5, 8)
    noise = np.random.default_rng(3).normal(size=structure.shape).astype(np.float32)
    noise *= np.sqrt((structure**2).sum() / (noise**2).sum())
    centres, sigmas = peaks_of(structure + noise, 1)
    assert centres == pytest.approx(np.array([[64.5, 48.5]]), abs=3.0)
    assert sigmas[0] > 6


def test_centres_lie_in_allowed_pixels() -> None:
    errors = np.random.default_rng(4).normal(size=(40, 50, 3)).astype(np.float32)
    allowed = np.zeros((40, 50), bool)
    allowed[:, 30:] = True
    everywhere, _ = peaks_of(errors, 500, 0.5)
    centres, _ = peaks_of(errors, 500, 0.5, allowed)
    assert everywhere[:, 0].min() < 30
    assert len(centres) > 5
    assert centres[:, 0].min() > 30


def test_no_error_has_no_peak() -> None:
    centres, sigmas = peaks_of(np.zeros((8, 9, 2), np.float32), 5)
    assert centres.shape == (0, 2)
    assert sigmas.shape == (0,)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (70, 1, 3), (130, 200, 4)])
def test_the_number_of_threads_changes_nothing(shape: tuple[int, int, int]) -> None:
    errors = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    blobs = Blobs.near(SIGMAS, 0.25, 1.5)
    one = error_peaks(errors, blobs, 300, threads=1)
    many = error_peaks(errors, blobs, 300, threads=7)
    assert len(one[0]) > 0
    assert np.array_equal(one[0], many[0])
    assert np.array_equal(one[1], many[1])


def test_the_blur_repeats_the_edges() -> None:
    pixels, _ = error_peaks(np.full((20, 30, 1), 0.5, np.float32), Blobs.near((4.0,), 0.0, 1.0), 400)
    assert pixels[0] == 0, "all are equal: the first is the peak"


def test_candidates_that_lie_apart_are_kept_in_the_order_of_their_gains() -> None:
    blobs = Blobs.near((2.0, 6.0), 0.0, 1.0)
    near, far = blobs.boxes[:, 1]
    pixels = np.array([10, 10 + near, 10 + near + 1, 60, 60 + far, 61 + far])
    sizes = np.array([0, 0, 0, 1, 1, 1], np.int32)
    gains = np.array([3, 9, 2, 7, 1, 8], np.float32)
    kept, of_size = keep_apart(pixels, sizes, gains, blobs, (1, 100), 3)
    assert kept.tolist() == [10 + near, 61 + far, 60]
    assert of_size.tolist() == [0, 1, 1]
