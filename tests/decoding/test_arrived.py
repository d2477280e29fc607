"""A truncated file shows each tile at the finest level that has arrived there."""

from dataclasses import replace

import numpy as np
import pytest
from random_contents import random_contents

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.container.rewrite import coarser_set, with_coarser
from gscodec.container.writer import pack
from gscodec.errors import InvalidArgument, LimitExceeded
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.model.limits import Limits

TILE = 16


def local(n: int, size: tuple[int, int], counts: tuple[int, ...], seed: int) -> bytes:
    """A file of narrow Gaussians in small pages, so that each page meets a few tiles only."""
    contents = random_contents(n, 3, size, counts, seed, page_size=6)
    scales = np.random.default_rng(seed).uniform(0.5, 2.0, (n, 2))
    narrow = GaussianSet(contents.gaussians.means, scales, contents.gaussians.rotations, contents.gaussians.features)
    return pack(replace(contents, gaussians=narrow))


@pytest.fixture(scope="module")
def data() -> bytes:
    """A file of two sets: one of three levels, and a coarser one of two, a quarter of the size."""
    coarser = coarser_set(local(60, (40, 56), (20, 60), 1), 2)
    return with_coarser(local(500, (160, 224), (60, 200, 500), 2), [coarser])


@pytest.mark.parametrize("share", [0.08, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.99])
def test_each_tile_is_that_of_a_whole_level(data: bytes, share: float) -> None:
    size = round(share * len(data))
    with gscodec.open(data, device="cpu") as whole, gscodec.open(data[:size], device="cpu") as cut:
        lods = cut.arrived()
        assert lods.shape == (10, 14)
        complete = cut.available_lods
        assert lods.max() == (complete[0] if complete else cut.lods)
        shown = cut.render(available=True, dtype=np.float32)
        levels = [whole.render(lod, dtype=np.float32) for lod in range(whole.lods)]
        levels.append(np.broadcast_to(whole._reader.grid.background, shown.shape))
        for row, column in np.ndindex(lods.shape):
            tile = np.s_[row * TILE : row * TILE + TILE, column * TILE : column * TILE + TILE]
            np.testing.assert_array_equal(shown[tile], levels[lods[row, column]][tile])
        region = (30, 20, 77, 65)
        np.testing.assert_array_equal(
            cut.render(None, region, available=True), cut.render(available=True)[20:85, 30:107]
        )
        np.testing.assert_array_equal(cut.arrived(region), lods[1:6, 1:7])


def test_pages_count_that_have_arrived_and_no_others(data: bytes) -> None:
    """A tile has a level exactly if no page that is missing meets it."""
    reader = IgsReader(data)
    index, rows, columns = reader.pages, *reader.grid.tiles_shape
    for size in range(reader.data_offset, len(data), 97):
        expected = np.zeros((rows, columns), np.bool_)
        late = index.boxes[reader.data_offset + index.edges[1:] > size]
        for x0, y0, x1, y1 in late.tolist():
            expected[y0 : y1 + 1, x0 : x1 + 1] = True
        found = IgsReader(data[:size]).arrived_lods((0, 0, columns, rows))
        np.testing.assert_array_equal(found == 0, ~expected)


def test_more_bytes_never_show_a_coarser_level(data: bytes) -> None:
    first = IgsReader(data).prefix_size(4)
    before = None
    for size in range(first, len(data) + 1, 53):
        with gscodec.open(data[:size], device="cpu") as image:
            lods = image.arrived()
        assert before is None or (lods <= before).all()
        before = lods
    assert before is not None


def test_a_whole_file_is_what_it_is_without(data: bytes) -> None:
    with gscodec.open(data, device="cpu") as image:
        np.testing.assert_array_equal(image.render(available=True), image.render())
        assert (image.arrived() == 0).all()
        out = np.empty(image.shape, np.uint8)
        assert image.render(available=True, out=out) is out


def test_other_sizes_are_of_the_same_picture(data: bytes) -> None:
    with gscodec.open(data[: len(data) // 2], device="cpu") as image:
        whole = image.render(available=True, dtype=np.float32)
        half = image.render(size=(80, 112), available=True, dtype=np.float32)
        np.testing.assert_allclose(half, whole.reshape(80, 2, 112, 2, 3).mean(axis=(1, 3)), rtol=0, atol=1e-5)


def test_requests_that_contradict_are_refused(data: bytes) -> None:
    with gscodec.open(data[: len(data) // 2], device="cpu") as image:
        with pytest.raises(InvalidArgument, match="chooses the level"):
            image.render(1, available=True)
        with pytest.raises(InvalidArgument, match="chooses the level"):
            image.render(max_bytes=100, available=True)
    empty = pack(random_contents(0, 3, (1 << 14, 1 << 14), (0,)))
    assert LodTable.single(0).counts == IgsReader(empty).lods.counts
    with pytest.raises(LimitExceeded):
        IgsReader(empty, limits=Limits(max_memory=1 << 20)).arrived_lods((0, 0, 1024, 1024))
