"""What is asked of large pictures: levels for a size, thumbnails, tiles, mip chains, points by the thousand."""

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from synthetic import synthetic_gaussians, synthetic_grid

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.decoding import store
from gscodec.decoding.clusters import clusters
from gscodec.decoding.image import open_igs
from gscodec.decoding.load_scene import load_scene
from gscodec.decoding.mips import mip_sizes
from gscodec.decoding.scene import Scene
from gscodec.errors import InvalidArgument, TruncatedStream
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Grid, LodTable

Builder = Callable[..., bytes]

HEIGHT, WIDTH = 1500, 2000
COUNTS = (400, 1200, 4000)


@pytest.fixture(scope="module")
def large() -> bytes:
    """Three megapixels, three levels, pages of 64, a page tree."""
    gaussians = synthetic_gaussians(HEIGHT, WIDTH, COUNTS[-1])
    gaussians.inv_scales[: COUNTS[0]] *= 0.5
    lods = LodTable(COUNTS, ((0.4,), (0.6, 0.6), (1.0, 1.0, 1.0)))
    grid = synthetic_grid(HEIGHT, WIDTH)
    return pack(Contents(grid, (ChannelGroup("color", n_channels=3),), lods, gaussians, page_size=4))


def test_a_small_size_takes_the_coarsest_level_that_has_a_gaussian_a_pixel(large: bytes) -> None:
    levels = {(18, 20): 2, (30, 40): 1, (50, 60): 0, (750, 1000): 0}
    for size, lod in levels.items():
        with open_igs(large) as image:
            shown = image.render(size=size, dtype=np.float32)
            assert image.stats.gaussians_read == COUNTS[2 - lod], size
            np.testing.assert_allclose(shown.mean(), image.render(lod, size=size, dtype=np.float32).mean(), atol=2e-3)


def test_a_thumbnail_reads_no_more_than_the_coarse_levels_bytes(large: bytes) -> None:
    with open_igs(large) as image, IgsReader(large) as reader:
        opened = image.stats.bytes_read
        image.render(size=(15, 20))
        assert image.stats.bytes_read - opened <= reader.prefix_size(2)


def test_a_thumbnail_is_near_the_exact_average(large: bytes) -> None:
    with open_igs(large) as image:
        shown = image.render(size=(50, 60), dtype=np.float32)
        exact = image.render(0, size=(50, 60), dtype=np.float32)
    assert np.sqrt(np.mean((shown - exact) ** 2)) < 0.02


def test_small_pictures_and_named_levels_are_averaged_exactly(large: bytes, igs: bytes) -> None:
    with open_igs(igs) as image:
        np.testing.assert_array_equal(image.render(size=(5, 7)), image.render(0, size=(5, 7)))
    with open_igs(large) as image:
        np.testing.assert_array_equal(
            image.render(region=(0, 0, 800, 800), size=(8, 8)), image.render(0, (0, 0, 800, 800), (8, 8))
        )


def test_bounds_choose_the_best_level_that_keeps_them(large: bytes) -> None:
    with open_igs(large) as image, IgsReader(large) as reader:
        region = (100, 100, 64, 64)
        for bounds, lod in [
            ({"max_gaussians": COUNTS[1]}, 1),
            ({"max_gaussians": COUNTS[1] - 1}, 2),
            ({"max_bytes": reader.prefix_size(1)}, 1),
            ({"max_bytes": reader.prefix_size(1) - 1}, 2),
            ({"max_bytes": 10**9, "max_gaussians": COUNTS[0]}, 2),
        ]:
            expected = image.render(lod, region)
            np.testing.assert_array_equal(image.render(region=region, **bounds), expected)  # type: ignore[call-overload]
        with pytest.raises(InvalidArgument, match=f"the coarsest has .* bytes and {COUNTS[0]} Gaussians"):
            image.render(max_gaussians=COUNTS[0] - 1)
        with pytest.raises(InvalidArgument, match="exclude each other"):
            image.render(1, max_bytes=10**9)


def test_a_cut_file_is_shown_at_the_finest_level_it_holds(large: bytes) -> None:
    with IgsReader(large) as reader:
        cut, bare = large[: reader.prefix_size(1)], large[: reader.data_offset + 9]
    region = (700, 300, 100, 80)
    with open_igs(cut) as image, open_igs(large) as whole:
        np.testing.assert_array_equal(image.render(region=region), whole.render(1, region))
        with pytest.raises(TruncatedStream):
            image.render(0, region)
    with open_igs(bare) as image, pytest.raises(TruncatedStream, match="no LOD is complete"):
        image.render()


@pytest.mark.parametrize(("size", "region"), [(16, None), (50, None), (7, (3, 5, 40, 30)), (1000, None)])
def test_tiles_cover_the_picture_once(igs: bytes, size: int, region: tuple[int, int, int, int] | None) -> None:
    x0, y0, width, height = region or (0, 0, 70, 45)
    canvas = np.zeros((height, width, 3), np.uint8)
    seen = np.zeros((height, width), int)
    with open_igs(igs) as image:
        for x, y, piece in image.tiles(size, region=region):
            part = np.s_[y - y0 : y - y0 + piece.shape[0], x - x0 : x - x0 + piece.shape[1]]
            canvas[part] = piece
            seen[part] += 1
        np.testing.assert_array_equal(canvas, image.render(region=region))
    assert (seen == 1).all()


def test_tiles_have_a_side(igs: bytes) -> None:
    with open_igs(igs) as image, pytest.raises(InvalidArgument, match="at least 1"):
        next(image.tiles(0))


def test_points_in_bulk_are_the_pixels(large: bytes) -> None:
    rng = np.random.default_rng(3)
    columns, rows = rng.integers(0, WIDTH, 6000), rng.integers(0, HEIGHT, 6000)
    points = np.stack([columns, rows], axis=1) + 0.5
    with open_igs(large) as image:
        values = image.sample(points)
        np.testing.assert_array_equal(values, image.render(dtype=np.float32)[rows, columns])
        np.testing.assert_array_equal(values[:40], image.sample(points[:40]))
    with open_igs(large) as image:
        np.testing.assert_array_equal(image.sample(points[:40]), values[:40])


def test_clusters_hold_every_point_and_little_else() -> None:
    grid = Grid(1 << 18, 1 << 18, np.zeros(1, np.float32))
    rng = np.random.default_rng(5)
    points = rng.uniform(0, 1 << 18, (500, 2))
    points[:200] = points[0] + rng.uniform(-100, 100, (200, 2))
    points = np.clip(points, 0, 1 << 18)
    seen = np.zeros(len(points), int)
    for (x0, y0, x1, y1), which in clusters(points, grid, None):
        inside = points[which] / 16
        assert ((inside >= [x0, y0]) & (inside <= [x1, y1])).all()
        assert (x1 - x0) * (y1 - y0) <= 1 << 12
        seen[which] += 1
    assert (seen == 1).all()


def test_huge_regions_go_by_in_bands(large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_igs(large) as image:
        whole, smaller = image.render(), image.render(0, size=(700, 2000))
        enlarged = image.render(region=(0, 450, 200, 300), size=(700, 200))
    monkeypatch.setattr(store, "WHOLE_TILES", 64)
    loaded: list[int] = []

    def counted(*arguments: object) -> Scene:
        scene = load_scene(*arguments)  # type: ignore[arg-type]
        loaded.append((scene.tiles[2] - scene.tiles[0]) * (scene.tiles[3] - scene.tiles[1]))
        return scene

    monkeypatch.setattr(store, "load_scene", counted)
    with open_igs(large) as image:
        np.testing.assert_array_equal(image.render(), whole)
        assert max(loaded) <= 32 * (WIDTH // 16)
        np.testing.assert_allclose(image.render(0, size=(700, 2000)), smaller, atol=1)
        np.testing.assert_array_equal(image.render(region=(0, 450, 200, 300), size=(700, 200)), enlarged)


def test_statistics_count_what_was_done(large: bytes) -> None:
    with open_igs(large, count_work=True) as image:
        assert image.stats.pages_read == image.stats.points == 0
        image.render(region=(512, 512, 256, 256))
        first = image.stats
        assert first.points == 256 * 256
        assert 0 < first.pages_read < first.n_pages
        assert first.blended <= first.candidates
        assert 1 <= first.candidates_per_point < 100
        assert first.bytes_read < first.file_bytes
        image.sample([[3.0, 4.0]])
        assert image.stats.points == first.points + 1
        assert first.multiply_adds_per_point >= 6 * first.candidates_per_point
    with open_igs(large) as image:
        image.render(region=(512, 512, 256, 256))
        assert image.stats.points == 0
        assert image.stats.pages_read == first.pages_read


def test_tile_lists_are_counted_point_by_point(build: Builder) -> None:
    data = build(45, 70)
    with open_igs(data, count_work=True) as image, open_igs(data, count_work=True) as other:
        image.render(region=(5, 7, 40, 30))
        y, x = np.mgrid[7:37, 5:45]
        other.sample(np.stack([x.ravel(), y.ravel()], axis=1) + 0.5)
        assert (image.stats.points, image.stats.candidates) == (other.stats.points, other.stats.candidates)


def test_threads_and_pickles_share_an_open_file(large: bytes) -> None:
    points = np.random.default_rng(1).uniform(0, [WIDTH, HEIGHT], (40, 2))
    with open_igs(large) as image:
        expected = image.sample(points)
    with open_igs(large) as image, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda point: image.sample([point])[0], points))
        np.testing.assert_array_equal(found, expected)
        with pickle.loads(pickle.dumps(image)) as again:
            np.testing.assert_array_equal(again.sample(points), expected)


def test_mip_sizes_halve() -> None:
    sizes = mip_sizes(300, 77)
    assert sizes[0] == (300, 77)
    assert sizes[-1] == (1, 1)
    for (h, w), (next_h, next_w) in pairwise(sizes):
        assert (next_h, next_w) == (max(1, h // 2), max(1, w // 2))
