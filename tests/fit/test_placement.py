import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gscodec.fit.placement import box_blur, colours_at, draw_positions, gradient_magnitude, mix_with_uniform


def test_gradient_is_zero_on_flat_pictures_of_any_size() -> None:
    for shape in ((1, 1, 3), (1, 9, 1), (9, 1, 4), (5, 7, 2)):
        magnitude = gradient_magnitude(np.full(shape, 0.3, np.float32))
        assert magnitude.shape == shape[:2]
        assert not magnitude.any()


def test_gradient_sees_an_edge_in_any_channel() -> None:
    image = np.zeros((8, 8, 2), np.float32)
    image[:, 4:, 1] = 1
    magnitude = gradient_magnitude(image)
    assert set(np.flatnonzero(magnitude[3])) == {3, 4}
    assert magnitude[3, 3] == pytest.approx(0.5)


def test_mixing_follows_equation_6() -> None:
    density = np.array([[1.0, 3.0], [0.0, 0.0]])
    np.testing.assert_allclose(mix_with_uniform(density, 0.3), [[0.7 / 4 + 0.075, 2.1 / 4 + 0.075], [0.075, 0.075]])
    np.testing.assert_allclose(mix_with_uniform(np.zeros((2, 5)), 0.3), 0.1)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 6))
def test_box_blur_is_the_mean_of_the_window(height: int, width: int, radius: int) -> None:
    values = np.random.default_rng(height * 100 + width).random((height, width))
    padded = np.pad(values, radius, mode="edge")
    size = 2 * radius + 1
    expected = [[padded[y : y + size, x : x + size].mean() for x in range(width)] for y in range(height)]
    np.testing.assert_allclose(box_blur(values, radius), expected, rtol=1e-12)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 150), st.booleans(), st.integers(0, 5))
def test_positions_lie_in_the_picture_at_distinct_pixels(h: int, w: int, n: int, jitter: bool, seed: int) -> None:
    positions = draw_positions(np.random.default_rng(seed), np.full((h, w), 1 / (h * w)), n, jitter)
    assert positions.shape == (n, 2)
    assert ((positions >= 0) & (positions < (w, h))).all()
    _, times = np.unique(np.floor(positions), axis=0, return_counts=True)
    assert n == 0 or times.max() <= -(-n // (h * w))


def test_positions_follow_the_probability() -> None:
    probability = np.array([[0.5, 0.0, 0.25, 0.25]])
    rng = np.random.default_rng(3)
    hits = np.concatenate([draw_positions(rng, probability, 1, False)[:, 0] for _ in range(4000)])
    np.testing.assert_allclose(np.bincount(hits.astype(int), minlength=4) / 4000, probability[0], atol=0.03)


def test_colours_are_those_of_the_pixel_that_contains_the_position() -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    assert colours_at(image, np.array([[0.0, 0.0], [3.99, 0.5], [2.5, 2.999], [4.0, 3.0]]))[:, 0].tolist() == [
        0,
        3,
        10,
        11,
    ]
