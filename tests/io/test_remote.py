"""Files behind URLs: the same Gaussians in few requests, or one clear error."""

import sys
import threading
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from _range_server import Habit, RangeServer
from hypothesis import given
from hypothesis import strategies as st
from random_contents import MakeContents

from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import pack
from gscodec.errors import BadMagic, FileAccessError, GsCodecError, InvalidArgument, MissingExtra, TruncatedStream
from gscodec.io.remote import PREFETCH_BYTES, Pace, RemoteSource, coalesce
from gscodec.io.source import is_url, source_name


@pytest.fixture(scope="module")
def large(make_contents: MakeContents) -> bytes:
    """A file with a page tree, far longer than what is fetched at first."""
    contents = make_contents(20_000, 3, (1500, 1800), (300, 2000, 20_000), page_size=8)
    contents.gaussians.inv_scales[:] = np.clip(contents.gaussians.inv_scales, 0.3, 2)
    return pack(contents)


@pytest.fixture(scope="module")
def small(make_contents: MakeContents) -> bytes:
    return pack(make_contents(400, meta={"a": 1}))


def assert_same(one: IgsReader, other: IgsReader, lod: int = 0) -> None:
    for rect in ((20, 30, 21, 31), (3, 4, 30, 9)):
        found, expected = one.read_region(lod, rect), other.read_region(lod, rect)
        assert np.array_equal(found.means, expected.means)
        assert np.array_equal(found.features, expected.features)


def test_a_point_of_a_large_file_takes_three_requests(server: RangeServer, large: bytes) -> None:
    with IgsReader(server.add("large.igs", large)) as reader:
        assert server.requests == [f"GET bytes=0-{PREFETCH_BYTES - 1}"]
        assert reader.file_size == reader.stored_size == len(large)
        found = reader.read_region(0, (50, 50, 51, 51))
        assert len(server.requests) <= 3
        assert reader.traffic.n_reads == len(server.requests)
        assert reader.traffic.n_bytes < len(large) / 8
        again = reader.read_region(0, (50, 50, 51, 51))
        assert len(server.requests) <= 3
        assert np.array_equal(found.means, again.means)
        assert_same(reader, IgsReader(large))


def test_a_small_file_takes_one_request_or_two(server: RangeServer, small: bytes) -> None:
    with IgsReader(server.add("small.igs", small)) as reader:
        assert np.array_equal(reader.read(0).means, IgsReader(small).read(0).means)
        assert reader.meta == {"a": 1}
    assert len(server.requests) == 1


@pytest.mark.parametrize("habit", ["single", "whole of several", "none"])
def test_servers_with_other_habits_serve_as_well(server: RangeServer, large: bytes, habit: Habit) -> None:
    server.habit = habit
    with IgsReader(server.add("large.igs", large)) as reader:
        assert_same(reader, IgsReader(large))
        assert np.array_equal(reader.read(1).means, IgsReader(large).read(1).means)
    if habit == "none":
        assert len(server.requests) == 1


def test_a_region_reads_at_most_twice_its_pages(server: RangeServer, large: bytes) -> None:
    for habit in ("joins", "single"):
        server.habit = habit
        with IgsReader(server.add("large.igs", large)) as reader:
            tiles = (40, 40, 56, 56)
            reader.read_region(1, tiles)  # blocks of the index are read by now, and some pages
            needed = sum(reader.stored_set(0)._pages.meeting(tiles, reader.n_pages).lengths)
            before = reader.traffic.n_bytes
            reader.read_region(0, tiles)
            assert reader.traffic.n_bytes - before <= 2 * needed


def test_several_regions_are_fetched_together(server: RangeServer, large: bytes) -> None:
    rects = [(x, x, x + 1, x + 1) for x in (5, 20, 40, 60, 80)]
    with IgsReader(server.add("large.igs", large)) as reader:
        reader.prepare(0, rects)
        assert len(server.requests) <= 4
        before = len(server.requests)
        for rect in rects:
            assert np.array_equal(reader.read_region(0, rect).means, IgsReader(large).read_region(0, rect).means)
        assert len(server.requests) == before


def test_other_file_systems_of_fsspec(large: bytes, small: bytes, tmp_path: Path) -> None:
    memory: Any = fsspec.filesystem("memory")
    for name, data in (("large", large), ("small", small)):
        memory.pipe_file(f"/remote/{name}.igs", data)
        (tmp_path / f"{name}.igs").write_bytes(data)
    for url in ("memory://remote/{}.igs", f"file://{tmp_path}/{{}}.igs"):
        with IgsReader(url.format("large")) as reader:
            assert_same(reader, IgsReader(large))
        with IgsReader(url.format("small")) as reader:
            assert np.array_equal(reader.read(0).means, IgsReader(small).read(0).means)
        assert validate(url.format("small")) == []
    memory.pipe_file("/remote/empty.igs", b"")
    for url in ("memory://remote/empty.igs", "memory://remote/none.igs", "memory://remote"):
        with pytest.raises(GsCodecError):
            IgsReader(url)


def test_a_file_that_is_still_arriving_shows_what_it_has(server: RangeServer, large: bytes) -> None:
    whole = IgsReader(large)
    cut = large[: whole.prefix_size(1) + 1000]
    with IgsReader(server.add("part.igs", cut)) as reader:
        assert reader.available_lods == (1, 2)
        assert np.array_equal(reader.read(1).means, whole.read(1).means)
        with pytest.raises(TruncatedStream, match="the finest LOD it holds is 1"):
            reader.read(0)
    with pytest.raises(TruncatedStream):
        IgsReader(server.add("less.igs", large[:200]))


def test_a_file_that_changes_on_the_server_is_not_mixed_up(server: RangeServer, large: bytes) -> None:
    url = server.add("large.igs", large)
    with IgsReader(url) as reader:
        server.files["large.igs"] = large[:-1] + b"\0"
        with pytest.raises(FileAccessError, match="changed on the server"):
            reader.read_region(0, (50, 50, 51, 51))


def test_what_cannot_be_read_is_one_line(server: RangeServer, small: bytes) -> None:
    with pytest.raises(FileAccessError, match="status 404"):
        IgsReader(server.url("none.igs"))
    with pytest.raises(BadMagic):
        IgsReader(server.add("page.html", b"<html>" + bytes(50_000)))
    with pytest.raises(TruncatedStream):
        IgsReader(server.add("empty.igs", b""))
    server.habit = "nameless"
    with pytest.raises(FileAccessError, match="does not report the size"):
        IgsReader(server.add("small.igs", small))
    with pytest.raises(InvalidArgument, match="gopher"):
        IgsReader("gopher://example.org/a.igs")
    with pytest.raises(FileAccessError, match="cannot be read"):
        IgsReader("http://127.0.0.1:9/a.igs")  # a closed port


def test_secrets_of_a_url_stay_out_of_messages(server: RangeServer) -> None:
    assert source_name("https://me:word@example.org/a.igs?token=1") == "https://example.org/a.igs"
    with pytest.raises(FileAccessError) as caught:
        IgsReader(server.url("none.igs?token=secret"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a/b.igs", True),
        ("s3://bucket/b.igs", True),
        ("simplecache::s3://bucket/b.igs", True),
        ("a.igs", False),
        ("C://a.igs", False),
        ("/a/b:c.igs", False),
        ("-", False),
    ],
)
def test_what_counts_as_a_url(text: str, expected: bool) -> None:
    assert is_url(text) is expected
    assert not is_url(Path(text))


def test_a_missing_library_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fsspec>="):
        IgsReader("https://example.org/a.igs")


def test_threads_share_an_open_url(server: RangeServer, large: bytes) -> None:
    expected = {x: IgsReader(large).read_region(0, (x, x, x + 2, x + 2)).means for x in range(0, 80, 10)}
    wrong = []
    with IgsReader(server.add("large.igs", large)) as reader:

        def look(x: int) -> None:
            if not np.array_equal(reader.read_region(0, (x, x, x + 2, x + 2)).means, expected[x]):
                wrong.append(x)

        threads = [threading.Thread(target=look, args=(x,)) for x in expected for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_the_cache_stays_small(large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lists:
        gap_bytes, few_requests, n_requests = 0, False, 0

        def first(self, n_bytes: int) -> tuple[bytes, int]:
            return large[:n_bytes], len(large)

        pace = Pace(60, "lists")

        def fetch(self, ranges: Any) -> list[bytes]:
            self.n_requests += 1
            return [large[offset : offset + n] for offset, n in ranges]

    monkeypatch.setattr("gscodec.io.remote.CACHE_BYTES", 40_000)
    source = RemoteSource(Lists(), "lists")
    for at in range(20_000, 200_000, 5000):
        assert source.read_at(at, 3000) == large[at : at + 3000]
    assert source._held_bytes == sum(map(len, source._held.values())) <= 40_000
    before = source.traffic.n_reads
    source.read_at(195_000, 3000)
    assert source.traffic.n_reads == before


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 300)), min_size=1, max_size=30),
    st.integers(0, 100),
    st.booleans(),
)
def test_joined_ranges_hold_all_that_is_wanted(spans: list[tuple[int, int]], gap: int, close: bool) -> None:
    spans = sorted(spans)
    joined = coalesce(spans, gap, close_gaps=close)
    wanted = set().union(*(range(at, at + n) for at, n in spans))
    read = [byte for at, n in joined for byte in range(at, at + n)]
    assert wanted <= set(read)
    assert len(read) == len(set(read))
    assert joined == sorted(joined)
    if gap == 0:
        assert len(read) <= 2 * sum(n for _, n in spans)
