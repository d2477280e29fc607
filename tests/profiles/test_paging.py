import numpy as np
import pytest

from gscodec.profiles.morton import interleave
from gscodec.profiles.paging import file_order


def scattered(n: int, width: int, height: int, seed: int = 3) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, width, n), rng.integers(0, height, n)], axis=1)


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("page_size", [1, 7, 64])
def test_every_gaussian_is_on_one_page_and_sorted_there(n: int, page_size: int) -> None:
    points = scattered(n, 300, 200)
    codes = interleave(points[:, 0], points[:, 1])
    order = file_order(codes, (n,), page_size)
    assert sorted(order.tolist()) == list(range(n))
    for first in range(0, n, page_size):
        page = order[first : first + page_size].tolist()
        assert page == sorted(page, key=lambda i: (codes[i], i))


def test_generations_stay_apart() -> None:
    points = scattered(500, 300, 300)
    order = file_order(interleave(points[:, 0], points[:, 1]), (100, 100, 500), 16)
    assert sorted(order[:100].tolist()) == list(range(100))


def test_pages_are_cells_of_a_tree_that_halves_the_longer_side() -> None:
    points = scattered(1024, 4000, 1000)  # four times as wide as high
    order = file_order(interleave(points[:, 0], points[:, 1]), (1024,), 16)
    boxes = [np.ptp(points[order[first : first + 16]], axis=0) for first in range(0, 1024, 16)]
    # 64 pages on 4 x 1: squares of 250 px a side, but for what chance does to them.
    assert np.mean([box.max() / max(box.min(), 1) for box in boxes]) < 2
    area = sum(float((box[0] + 1) * (box[1] + 1)) for box in boxes)
    assert area < 4000 * 1000, "no two pages overlap"


def test_equal_points_keep_their_order() -> None:
    codes = np.full(50, 77)
    assert file_order(codes, (50,), 8).tolist() == list(range(50))


def test_the_widest_have_pages_of_their_own() -> None:
    """Gaussians that are the widest of a generation fill its first page, where it has 40."""
    rng = np.random.default_rng(3)
    points, widths = rng.integers(0, 1 << 16, (700, 2)), rng.integers(0, 5, 700)
    codes = interleave(points[:, 0], points[:, 1])
    order = file_order(codes, (60, 700), 16, widths)
    assert sorted(order[:60].tolist()) == list(range(60))  # four pages, none for wide ones
    assert sorted(order.tolist()) == list(range(700))
    wide = np.argsort(-widths[60:], kind="stable")[:16] + 60
    assert set(order[60:76].tolist()) == set(wide.tolist())
    assert (np.diff(codes[order[60:76]]) >= 0).all()
    same = file_order(codes, (60, 700), 16)
    rest = file_order(np.delete(codes[60:], wide - 60), (624,), 16)
    assert codes[order[76:]].tolist() == np.delete(codes[60:], wide - 60)[rest].tolist()
    assert same.tolist() != order.tolist()
