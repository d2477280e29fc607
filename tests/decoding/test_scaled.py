import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gscodec.decoding import scaled
from gscodec.decoding.image import open_igs

Builder = Callable[..., bytes]


def box_matrix(n_cells: int, n_outputs: int) -> npt.NDArray[np.float64]:
    """(n_outputs, n_cells) weights of the area average, in fractions, from the definition."""
    ratio = Fraction(n_cells, n_outputs)
    weights = [
        [
            max(Fraction(0), min((i + 1) * ratio, Fraction(k + 1)) - max(i * ratio, Fraction(k))) / ratio
            for k in range(n_cells)
        ]
        for i in range(n_outputs)
    ]
    return np.array([[float(weight) for weight in row] for row in weights])


def box_average(image: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[np.float64]:
    """Area average of (H, W, C), both axes by matrices."""
    tall = np.tensordot(box_matrix(image.shape[0], height), image.astype(np.float64), axes=(1, 0))
    return np.tensordot(tall, box_matrix(image.shape[1], width), axes=(1, 1)).swapaxes(1, 2)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_average_in_pieces_is_the_matrix_product(data: st.DataObject) -> None:
    n_cells = data.draw(st.integers(1, 40))
    n_outputs = data.draw(st.integers(1, n_cells))
    cuts = sorted({0, n_cells, *data.draw(st.lists(st.integers(0, n_cells), max_size=4))})
    cells = np.random.default_rng(n_cells).random((n_cells, 3))
    for long_sum, block in ((1, 1), (1 << 30, 7), (1 << 30, 1 << 14)):  # output by output, or some together
        result = np.zeros((n_outputs, 3))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scaled, "_LONG_SUM", long_sum)
            patch.setattr(scaled, "_BLOCK_SAMPLES", block)
            for first, last in pairwise(cuts):
                row, sums = scaled.average(cells[first:last], first, n_cells, n_outputs)
                result[row : row + len(sums)] += sums
        np.testing.assert_allclose(result, box_matrix(n_cells, n_outputs) @ cells, rtol=1e-13)


@pytest.mark.parametrize(("n_cells", "n_outputs"), [(7, 7), (6, 3), (7, 1), (5, 4), (1 << 20, 3)])
def test_flat_pictures_stay_flat(n_cells: int, n_outputs: int) -> None:
    _, sums = scaled.average(np.full((n_cells, 1), 0.7), 0, n_cells, n_outputs)
    np.testing.assert_allclose(sums, np.full((n_outputs, 1), 0.7), rtol=1e-12)


@pytest.mark.parametrize("size", [(45, 35), (22, 70), (15, 14), (44, 69), (1, 1), (7, 61), (45, 1)])
@pytest.mark.parametrize("samples", [1, 210, 4000, 1 << 22])
def test_shrinking_averages_the_whole_picture(
    igs: bytes, size: tuple[int, int], samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaled, "_STRIP_SAMPLES", samples)
    with open_igs(igs) as image:
        small = image.render(size=size, dtype=np.float32)
        assert small.shape == (*size, 3)
        assert small.dtype == np.float32
        np.testing.assert_allclose(small, box_average(image.render(dtype=np.float32), *size), atol=1e-6)


def test_shrinking_with_the_oracle(igs: bytes) -> None:
    with open_igs(igs, device="reference") as image:
        expected = box_average(image.render(dtype=np.float32), 10, 16)
        np.testing.assert_allclose(image.render(size=(10, 16), dtype=np.float32), expected, atol=1e-6)


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shrunk_regions_average_that_part(data: st.DataObject, igs: bytes) -> None:
    x, y = data.draw(st.integers(0, 60)), data.draw(st.integers(0, 40))
    w, h = data.draw(st.integers(2, 70 - x)), data.draw(st.integers(2, 45 - y))
    size = data.draw(st.integers(1, h)), data.draw(st.integers(1, w))
    with open_igs(igs) as image:
        small = image.render(1, (x, y, w, h), size, np.float32)
        expected = box_average(image.render(1, dtype=np.float32)[y : y + h, x : x + w], *size)
    np.testing.assert_allclose(small, expected, atol=1e-6)


def test_shrinking_rounds_last(igs: bytes) -> None:
    with open_igs(igs) as image:
        small = image.render(size=(11, 13), dtype=np.float32)
        for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
            rounded = np.floor(small.clip(0, 1) * np.float32(top) + np.float32(0.5)).astype(dtype)
            np.testing.assert_array_equal(image.render(size=(11, 13), dtype=dtype), rounded)
        np.testing.assert_array_equal(image.render(size=(11, 13)), image.render(size=(11, 13), dtype=np.uint8))


def test_the_stored_size_is_no_scaling(igs: bytes, device: str) -> None:
    with open_igs(igs, device=device) as image:
        np.testing.assert_array_equal(image.render(size=(45, 70)), image.render())
        part = image.render(region=(5, 6, 20, 30), dtype=np.float32)
        np.testing.assert_array_equal(image.render(region=(5, 6, 20, 30), size=(30, 20), dtype=np.float32), part)


@pytest.mark.parametrize(
    ("region", "size"),
    [((0, 0, 70, 45), (90, 140)), ((0, 0, 70, 45), (46, 71)), ((13, 7, 9, 11), (40, 23)), ((69, 44, 1, 1), (5, 7))],
)
def test_enlarging_samples_the_new_centres(
    igs: bytes, device: str, region: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    x, y, w, h = region
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width]
    points = np.stack([x + (columns.ravel() + 0.5) * (w / width), y + (rows.ravel() + 0.5) * (h / height)], axis=1)
    with open_igs(igs, device=device) as image:
        large = image.render(region=region, size=size, dtype=np.float32)
        np.testing.assert_array_equal(large.reshape(-1, 3), image.sample(points))


@pytest.mark.parametrize("size", [(20, 100), (90, 30)])
def test_one_axis_may_grow_while_the_other_shrinks(igs: bytes, size: tuple[int, int]) -> None:
    height, width = max(size[0], 45), max(size[1], 70)
    rows, columns = np.mgrid[0:height, 0:width]
    points = np.stack([(columns.ravel() + 0.5) * (70 / width), (rows.ravel() + 0.5) * (45 / height)], axis=1)
    with open_igs(igs) as image:
        lattice = image.sample(points).reshape(height, width, 3)
        np.testing.assert_allclose(image.render(size=size, dtype=np.float32), box_average(lattice, *size), atol=1e-5)


@pytest.mark.parametrize(("n_rows", "row_samples", "offset"), [(100, 10, 0), (100, 10, 5), (3, 1 << 30, 7), (1, 1, 15)])
def test_strips_cover_every_row_once(
    n_rows: int, row_samples: int, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaled, "_STRIP_SAMPLES", 400)
    parts = list(scaled.strips(n_rows, row_samples, offset))
    assert [row for first, last in parts for row in range(first, last)] == list(range(n_rows))
    if row_samples == 10:
        assert all((offset + last) % 16 == 0 for _, last in parts[:-1])
        assert all(last - first <= 40 for first, last in parts)


def test_a_large_picture_is_never_held_whole(build: Builder) -> None:
    with open_igs(build(height=2048, width=1024, n_gaussians=4, n_channels=4, lods=1)) as image:
        tracemalloc.start()
        assert image.render(size=(4, 4), dtype=np.float32).shape == (4, 4, 4)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2048 * 1024 * 4 * 8
