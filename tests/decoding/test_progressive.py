"""Pictures of a file that is still arriving: each better than the one before, from any source of bytes."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _range_server import RangeServer
from random_contents import random_contents

import gscodec
from gscodec.container.rewrite import coarser_set, with_coarser
from gscodec.container.writer import pack
from gscodec.decoding.progressive import arrivals
from gscodec.errors import BadMagic, ChecksumMismatch, FileAccessError, InvalidArgument, LimitExceeded, TruncatedStream
from gscodec.model.gaussians import GaussianSet
from gscodec.model.limits import Limits


def local(n: int, size: tuple[int, int], counts: tuple[int, ...], seed: int) -> bytes:
    """A file of narrow Gaussians in small pages, so that each page meets a few tiles only."""
    contents = random_contents(n, 3, size, counts, seed, page_size=6)
    scales = np.random.default_rng(seed).uniform(0.5, 2.0, (n, 2))
    narrow = GaussianSet(contents.gaussians.means, scales, contents.gaussians.rotations, contents.gaussians.features)
    return pack(replace(contents, gaussians=narrow, meta={"made": "for tests"}))


@pytest.fixture(scope="module")
def data() -> bytes:
    """A file of two sets: one of three levels, and a coarser one of two, a quarter of the size."""
    coarser = coarser_set(local(60, (40, 56), (20, 60), 1), 2)
    return with_coarser(local(500, (160, 224), (60, 200, 500), 2), [coarser])


def seen(source: Any, **how: Any) -> list[tuple[int, bytes]]:
    """Bytes that had arrived, and pixels, of all pictures."""
    pictures = gscodec.progressive(source, device="cpu", **how)
    return [(picture.n_bytes, picture.pixels.tobytes()) for picture in pictures]


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


class Dripping(io.RawIOBase):
    """A stream that cannot seek and returns a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 97))


SOURCES: dict[str, Callable[[bytes, Path, RangeServer], Any]] = {
    "path": lambda data, path, _: path.write_bytes(data) and path,
    "name": lambda data, path, _: path.write_bytes(data) and str(path),
    "file object": lambda data, _, __: io.BytesIO(data),
    "stream": lambda data, _, __: Dripping(data),
    "pieces": lambda data, _, __: in_pieces(data, 131),
    "list": lambda data, _, __: [data[:5000], b"", bytearray(data[5000:])],
    "url": lambda data, _, server: server.add("a.igs", data),
    "fsspec": lambda data, path, _: path.write_bytes(data) and f"file://{path}",
}


@pytest.mark.parametrize("name", SOURCES)
def test_all_sources_give_the_same_pictures(data: bytes, name: str, tmp_path: Path, server: RangeServer) -> None:
    expected = seen(data)
    assert len(expected) > 8
    assert seen(SOURCES[name](data, tmp_path / "a.igs", server)) == expected
    if name == "url":
        assert server.requests == ["GET"]


def test_each_picture_is_of_the_bytes_that_have_arrived(data: bytes) -> None:
    with gscodec.open(data, device="cpu") as whole:
        last = np.full((10, 14), whole.lods + 1)
        ends = [whole.prefix_size(lod) for lod in range(whole.lods)]
        final = whole.render()
    n_bytes = []
    for picture in gscodec.progressive(data, device="cpu"):
        with gscodec.open(data[: picture.n_bytes], device="cpu") as cut:
            np.testing.assert_array_equal(picture.lods, cut.arrived())
            np.testing.assert_array_equal(picture.pixels, cut.render(available=True))
        assert (picture.lods <= last).all()
        assert (picture.lods < last).any()
        assert picture.total_bytes == len(data)
        assert picture.is_final == (picture.n_bytes >= ends[0])
        last = picture.lods
        n_bytes.append(picture.n_bytes)
    assert picture.is_final
    np.testing.assert_array_equal(picture.pixels, final)
    assert set(n_bytes) >= {*ends[:-1]}  # a level is shown as soon as it is there
    assert len(seen(data, growth=1.02)) > len(n_bytes) > len(seen(data, growth=4.0))


def test_a_region_ends_when_it_is_complete(data: bytes, server: RangeServer) -> None:
    region = (32, 16, 48, 48)
    pictures = list(gscodec.progressive(data, region=region, size=(24, 24), dtype=np.float32, device="cpu"))
    with gscodec.open(data, device="cpu") as whole:
        np.testing.assert_array_equal(pictures[-1].pixels, whole.render(None, region, (24, 24), np.float32))
        assert pictures[-1].lods.shape == (3, 3)
        assert pictures[-1].n_bytes < whole.prefix_size(0)
    stream = gscodec.progressive(server.add("a.igs", data), device="cpu")
    assert next(stream).n_bytes < 1500
    stream.close()  # ends the request
    assert server.requests == ["GET"]


@pytest.mark.parametrize("size", [300, 2000, 5001])
def test_a_file_that_ends_early_ends_the_pictures(data: bytes, size: int) -> None:
    pictures = list(gscodec.progressive(data[:size], device="cpu")) if size > 300 else []
    if not pictures:
        with pytest.raises(TruncatedStream, match="ends after 300 bytes"):
            next(gscodec.progressive(data[:size], device="cpu"))
        return
    assert not pictures[-1].is_final
    with gscodec.open(data[:size], device="cpu") as cut:
        np.testing.assert_array_equal(pictures[-1].pixels, cut.render(available=True))


def test_small_files_come_at_once() -> None:
    small = (Path(__file__).parents[2] / "spec" / "vectors" / "small_rgb.igs").read_bytes()
    (picture,) = gscodec.progressive(in_pieces(small, 7), device="cpu")
    assert picture.is_final
    empty = pack(random_contents(0, 3, (20, 30), (0,)))
    (picture,) = gscodec.progressive(empty, device="cpu")
    assert picture.lods.shape == (2, 2)


def test_a_program_that_feeds_bytes_itself(data: bytes) -> None:
    with gscodec.ProgressiveImage("a stream", device="cpu") as image:
        assert (image.image, image.can_render) == (None, False)
        with pytest.raises(TruncatedStream, match="a stream: 0 bytes"):
            image.render()
        could = []
        for piece in in_pieces(data, 700):
            image.feed(piece)
            could.append(image.can_render)
        assert could == sorted(could)
        assert image.n_bytes == len(data)
        with gscodec.open(data, device="cpu") as whole:
            np.testing.assert_array_equal(image.render((3, 4, 50, 60)), whole.render(None, (3, 4, 50, 60)))
        assert image.image is not None
        assert image.image.name == "a stream"
    assert image.n_bytes == 0


def test_what_cannot_be_read_is_refused(data: bytes, server: RangeServer, tmp_path: Path) -> None:
    for source, error, text in (
        (b"no picture at all" * 9, BadMagic, "not an"),
        (tmp_path / "none.igs", FileAccessError, "cannot be read"),
        (server.url("none.igs"), FileAccessError, "status 404"),
        (["text"], InvalidArgument, "piece of a file is str"),
        (17, InvalidArgument, "is not a path"),
    ):
        with pytest.raises(error, match=text):
            seen(source)
    with pytest.raises(InvalidArgument, match="growth"):
        seen(data, growth=1.0)
    with pytest.raises(LimitExceeded, match="max-memory"):
        seen(data, limits=Limits(max_memory=1000))
    damaged = bytearray(data)
    damaged[-300] ^= 1
    with pytest.raises(ChecksumMismatch):
        seen(bytes(damaged[:-200]) + b"x" * 200)


def test_the_open_file_of_each_picture(data: bytes) -> None:
    sizes = [(image.available_lods, n_bytes) for image, n_bytes in arrivals(data, device="cpu")]
    assert sizes[-1][0] == (0, 1, 2, 3, 4)
    assert sizes[0][0] in {(), (4,)}
    assert [lods for lods, _ in sizes] == sorted((lods for lods, _ in sizes), key=len)


def test_thumbnails_are_of_a_complete_level() -> None:
    """A result so small that a complete level suffices does not wait for tiles of finer ones."""
    big = local(40_000, (1200, 1200), (20_000, 40_000), 3)
    with gscodec.open(big, device="cpu") as whole:
        cut = big[: (whole.prefix_size(1) + len(big)) // 2]
        with gscodec.open(cut, device="cpu") as image:
            found = image.render(size=(100, 100), available=True)
            np.testing.assert_array_equal(found, image.render(size=(100, 100)))
            np.testing.assert_array_equal(found, whole.render(size=(100, 100)))
