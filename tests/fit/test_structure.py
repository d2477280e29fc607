import numpy as np
import pytest

from gscodec.fit.placement import structure_at


@pytest.mark.parametrize("angle", [-1.2, -0.4, 0.0, 0.7, 1.5])
def test_waves_run_along_one_direction(angle: float) -> None:
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    wave = np.sin(0.4 * (np.cos(angle) * x + np.sin(angle) * y))[:, :, None]
    found, coherence = structure_at(wave, np.array([[32.0, 32.0], [20.0, 40.0]]), 8)
    assert np.abs(np.sin(found - angle)).max() < 0.05
    assert coherence.min() > 0.95


def test_it_is_the_mean_over_a_window_with_edges_repeated() -> None:
    image = np.random.default_rng(0).random((12, 17, 3), np.float32)
    positions = np.array([[0.0, 0.0], [17.0, 12.0], [8.3, 5.9]])
    radius = 4
    down, across = np.gradient(image.mean(axis=2, dtype=np.float64))
    for (px, py), angle, coherence in zip(positions, *structure_at(image, positions, radius), strict=True):
        x, y = min(int(px), 16), min(int(py), 11)
        rows = np.clip(np.arange(y - radius, y + radius + 1), 0, 11)
        columns = np.clip(np.arange(x - radius, x + radius + 1), 0, 16)
        gx, gy = across[np.ix_(rows, columns)], down[np.ix_(rows, columns)]
        xx, xy, yy = (gx * gx).mean(), (gx * gy).mean(), (gy * gy).mean()
        assert angle == pytest.approx(0.5 * np.arctan2(2 * xy, xx - yy), abs=1e-5)
        assert coherence == pytest.approx(np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6), abs=1e-5)


def test_a_line_of_pixels_has_a_structure_too() -> None:
    line = np.linspace(0, 1, 9, dtype=np.float32)[None, :, None]
    angle, coherence = structure_at(line, np.array([[4.5, 0.5]]), 2)
    assert angle[0] == pytest.approx(0.0)
    assert coherence[0] > 0.99
