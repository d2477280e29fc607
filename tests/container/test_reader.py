import io
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_contents import MakeContents

from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import pack
from gscodec.errors import FileAccessError, InvalidArgument, TruncatedStream
from gscodec.format.layout import HEADER
from gscodec.model.gaussians import GaussianSet, Grid
from gscodec.render.reference import smallest_q_per_tile


class CountingFile(io.BytesIO):
    """A file that keeps the ranges read from it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.ranges: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        at = self.tell()
        part = super().read(size)
        self.ranges.append((at, at + len(part)))
        return part


class Pipe(io.RawIOBase):
    """A stream that cannot seek and gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._rest, self.served = data, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        part, self._rest = self._rest[: min(size, 100)], self._rest[min(size, 100) :]
        self.served += len(part)
        return part


def identical(one: GaussianSet, other: GaussianSet) -> bool:
    fields = ("means", "inv_scales", "rotations", "features")
    return all(np.array_equal(getattr(one, field), getattr(other, field)) for field in fields)


def test_all_kinds_of_source_read_alike(make_contents: MakeContents, tmp_path: Path) -> None:
    data = pack(make_contents())
    path = tmp_path / "a.igs"
    path.write_bytes(data)
    expected = IgsReader(data).read(1)
    pipe = Pipe(data + bytes(500))
    with pytest.raises(Exception, match="follow the end"):
        IgsReader(pipe)  # type: ignore[arg-type]
    assert pipe.served == len(data) + 1  # an endless pipe is let go
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        with IgsReader(mapping) as reader:
            assert identical(reader.read(1), expected)
            del reader
        with IgsReader(file) as reader:
            assert reader.name == str(path)
            assert identical(reader.read(1), expected)
        assert not file.closed
    for source in (path, str(path), bytearray(data), memoryview(data), io.BytesIO(data), Pipe(data)):
        with IgsReader(source) as reader:  # type: ignore[arg-type]
            assert identical(reader.read(1), expected)
            reader.icc  # noqa: B018


def test_endless_garbage_on_a_pipe_is_let_go() -> None:
    pipe = Pipe(b"\xff" * 100_000)
    with pytest.raises(Exception, match="signature"):
        IgsReader(pipe)  # type: ignore[arg-type]
    assert pipe.served == HEADER.size


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.igs", tmp_path, "nul\0.igs"):
        with pytest.raises(FileAccessError):
            IgsReader(path)
        with pytest.raises(FileAccessError):
            validate(path)


def test_a_file_that_shrinks_while_open(make_contents: MakeContents, tmp_path: Path) -> None:
    path = tmp_path / "a.igs"
    path.write_bytes(pack(make_contents()))
    with IgsReader(path) as reader:
        with path.open("r+b") as file:
            file.truncate(900)
        with pytest.raises(TruncatedStream, match="became shorter"):
            reader.read(0)


def test_what_was_read_outlives_the_file(make_contents: MakeContents, tmp_path: Path) -> None:
    path = tmp_path / "a.igs"
    path.write_bytes(pack(make_contents(20_000)))
    code = """
import os, sys
from gscodec.format.opening import open_source
source = open_source(sys.argv[1], "a.igs")
parts = source.read_many([(0, 64), (100_000, 100_000)])
before = [bytes(part) for part in parts]
os.truncate(sys.argv[1], 100)
assert [bytes(part) for part in parts] == before  # a mapping would end the process here
try:
    source.read_at(150_000, 10)
except Exception as fault:
    print(type(fault).__name__, fault)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout) == (0, "TruncatedStream a.igs: became shorter while it was read\n"), (
        done.stderr
    )


def test_a_file_that_is_written_to_while_open(make_contents: MakeContents, tmp_path: Path) -> None:
    path = tmp_path / "a.igs"
    data = pack(make_contents(300))
    path.write_bytes(data)
    with IgsReader(path) as reader:
        reader.read(0)
        with path.open("r+b") as file:
            file.write(data[:-1])
        os.utime(path, ns=(1, 1))
        with pytest.raises(FileAccessError, match="was written to"):
            reader.read(0)
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(FileAccessError, match="was written to"):
            reader.read(0)


def test_opening_reads_nothing_behind_the_tables(make_contents: MakeContents) -> None:
    file = CountingFile(pack(make_contents(2000, meta={"a": 1})))
    reader = IgsReader(file)
    assert max(end for _, end in file.ranges) <= reader.data_offset
    assert reader.meta == {"a": 1}


def test_a_region_reads_only_its_pages(make_contents: MakeContents) -> None:
    contents = make_contents(4000, size=(512, 512), page_size=32)
    contents.gaussians.inv_scales[:] = 0.5
    file = CountingFile(pack(contents))
    reader = IgsReader(file)
    file.ranges.clear()
    part = reader.read_region(0, (0, 0, 2, 2))
    read = sum(end - start for start, end in file.ranges)
    assert read == len(part) * 16
    assert 0 < len(part) < 1000


def test_no_such_lod(make_contents: MakeContents) -> None:
    reader = IgsReader(pack(make_contents()))
    for lod in (-1, 3):
        with pytest.raises(InvalidArgument, match="does not exist"):
            reader.read(lod)


def tiles_by_gaussian(gaussians: GaussianSet, grid: Grid) -> list[set[tuple[int, int]]]:
    """Tiles (tx, ty) that each support ellipse meets, by asking every tile."""
    columns = grid.tiles_shape[1]
    lists = []
    for i in range(len(gaussians)):
        tiles = np.flatnonzero(smallest_q_per_tile(gaussians, i, grid) <= grid.support_q).tolist()
        lists.append({(tile % columns, tile // columns) for tile in tiles})
    return lists


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 10_000), st.data())
@settings(max_examples=40, deadline=None)
def test_a_region_has_every_gaussian_of_its_tiles_in_order(
    make_contents: MakeContents, n: int, page_size: int, seed: int, data: st.DataObject
) -> None:
    size = (data.draw(st.integers(1, 130)), data.draw(st.integers(1, 130)))
    contents = make_contents(n, 1, size, (n // 3, n), seed, page_size=page_size)
    # Means on tile corners touch four tiles.
    contents.gaussians.means[::3] = np.minimum(np.round(contents.gaussians.means[::3] / 16) * 16, size[::-1])
    reader = IgsReader(pack(contents))
    rows, columns = reader.grid.tiles_shape
    tx0, ty0 = data.draw(st.integers(0, columns)), data.draw(st.integers(0, rows))
    rect = (tx0, ty0, data.draw(st.integers(tx0, columns)), data.draw(st.integers(ty0, rows)))
    lod = data.draw(st.integers(0, 1))
    whole = reader.read(lod)
    part = reader.read_region(lod, rect)
    rows_of = [tuple(row) for row in np.column_stack([whole.means, whole.inv_scales, whole.rotations, whole.features])]
    picked = [tuple(row) for row in np.column_stack([part.means, part.inv_scales, part.rotations, part.features])]
    rest = iter(rows_of)
    assert all(row in rest for row in picked)  # an ordered subset
    inside = {(x, y) for x in range(rect[0], rect[2]) for y in range(rect[1], rect[3])}
    needed = [row for row, tiles in zip(rows_of, tiles_by_gaussian(whole, reader.grid), strict=True) if tiles & inside]
    rest = iter(picked)
    assert all(row in rest for row in needed)


def test_the_largest_grid_has_boxes_that_fit(make_contents: MakeContents) -> None:
    contents = make_contents(50, 1, (1 << 20, 1 << 20), counts=(50,))
    contents.gaussians.means[0] = 1 << 20
    reader = IgsReader(pack(contents))
    last = (1 << 16) - 1
    assert len(reader.read_region(0, (last, last, last + 1, last + 1))) > 0
