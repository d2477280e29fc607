"""Files cut at every page boundary and at 200 random places: shown at the levels they hold, or one clear error."""

import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from _range_server import RangeServer
from synthetic import packed_contents, synthetic_gaussians, synthetic_grid

from gscodec.cli.app import main
from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.decoding.image import open_igs
from gscodec.errors import TruncatedStream
from gscodec.model.channels import ChannelGroup, Role
from gscodec.model.gaussians import LodTable
from gscodec.profiles.lattice import Lattice

N_RANDOM = 200
REGION = (100, 60, 40, 30)
SEED = int(os.environ.get("GSCODEC_TEST_SEED", time.time_ns() % 2**32))


def make(profile: str, page_size: int) -> bytes:
    """Four levels; with an ICC profile before and metadata behind the Gaussians."""
    height, width, counts = 180, 240, (30, 30, 200, 700)
    gaussians = synthetic_gaussians(height, width, counts[-1], 4)
    lattice = Lattice(
        4,
        75,
        (1, 1, 2, 4, 6, 10, 16, 22, 30, 40, 50, 60),
        (7, 6, 5, 4),
        np.full(4, 0.01, np.float32),
        np.eye(4),
    )
    lods = LodTable(counts, tuple((0.6 + 0.1 * m,) * (m + 1) for m in range(4)))
    groups = (ChannelGroup("color", n_channels=3), ChannelGroup("ao", Role.AO, 1))
    grid = synthetic_grid(height, width, 4)
    on = lattice if profile == "coded" else None
    contents = Contents(grid, groups, lods, gaussians, b"profile", {"a": "b"}, page_size, on)
    return pack(packed_contents(contents) if profile == "packed" else contents)


class Whole:
    """An uncut file and what it shows."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        with IgsReader(data) as reader:
            self.data_offset = reader.data_offset
            self.prefixes = [reader.prefix_size(lod) for lod in range(len(reader.lods))]
            self.page_ends = [self.data_offset + int(edge) for edge in reader.pages.edges]
        with open_igs(data) as image:
            self.shown = [image.render(lod, REGION) for lod in range(image.lods)]

    def random_cuts(self) -> Iterator[int]:
        draw = np.random.default_rng(SEED)
        print(f"GSCODEC_TEST_SEED={SEED}")  # shown where a test fails
        yield from draw.integers(0, len(self.data), N_RANDOM).tolist()

    def lods_within(self, size: int) -> tuple[int, ...]:
        return tuple(lod for lod, end in enumerate(self.prefixes) if end <= size)

    def check(self, source: Any, size: int) -> None:
        """Hold what is left of the file to the whole."""
        if size < self.data_offset:
            with pytest.raises(TruncatedStream) as caught:
                open_igs(source)
            assert "\n" not in str(caught.value)
            return
        held = self.lods_within(size)
        with open_igs(source) as image:
            assert image.available_lods == held, size
            for lod in range(image.lods):
                if lod in held:
                    np.testing.assert_array_equal(image.render(lod, REGION), self.shown[lod])
                else:
                    with pytest.raises(TruncatedStream, match=f"LOD {lod} ends at"):
                        image.render(lod, REGION)
            if held:
                finest: npt.NDArray[np.generic] = image.render(region=REGION)
                np.testing.assert_array_equal(finest, self.shown[held[0]])
                image.render(size=(4, 5))
                list(image.tiles(200))
            else:
                with pytest.raises(TruncatedStream, match="no LOD is complete"):
                    image.render()


@pytest.fixture(
    scope="module",
    params=[f"{profile}{tree}" for profile in ("f16", "coded", "packed") for tree in ("", " with a page tree")],
)
def whole(request: pytest.FixtureRequest) -> Whole:
    profile, _, tree = str(request.param).partition(" ")
    made = Whole(make(profile, 1 if tree else 16))
    with IgsReader(made.data) as reader:
        assert bool(tree) == any(chunk.fourcc == b"PAGT" for chunk in reader.chunks)
    return made


def test_cuts_at_page_boundaries(whole: Whole) -> None:
    for end in whole.page_ends:
        with open_igs(whole.data[:end]) as image:
            held = whole.lods_within(end)
            assert image.available_lods == held
            if held:
                np.testing.assert_array_equal(image.render(region=REGION), whole.shown[held[0]])
    for end in {*whole.prefixes, *whole.page_ends[::50]}:
        whole.check(whole.data[:end], end)
        whole.check(whole.data[: end - 1], end - 1)


def test_cuts_at_random_places(whole: Whole) -> None:
    for size in whole.random_cuts():
        whole.check(whole.data[:size], size)


def test_cuts_of_a_file_on_disk(whole: Whole, tmp_path: Path) -> None:
    path = tmp_path / "cut.igs"
    for size in [0, 1, 63, *list(whole.random_cuts())[:40]]:
        path.write_bytes(whole.data[:size])
        whole.check(path, size)


def test_cuts_behind_a_url(whole: Whole, server: RangeServer) -> None:
    for number, size in enumerate([*whole.prefixes, *list(whole.random_cuts())[:10]]):
        whole.check(server.add(f"{number}.igs", whole.data[:size]), size)


def test_the_program_says_one_line(whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "cut.igs", tmp_path / "out.png"
    for size in list(whole.random_cuts())[:25]:
        source.write_bytes(whole.data[:size])
        held = size >= whole.data_offset and bool(whole.lods_within(size))
        finest = (
            held and whole.lods_within(size)[0] == 0
        )  # cut behind the Gaussians: nothing is missing from the picture
        code = main(["decode", str(source), str(target), "--region", "0,0,8,8", "--only", "color", "--overwrite"])
        # The profile of these files is no ICC profile, which is said apart.
        messages = [line for line in capsys.readouterr().err.splitlines() if "ICC profile" not in line]
        assert code == (0 if held else 3), (size, messages)
        assert len(messages) == (not finest), (size, messages)
        assert target.exists() == held
        target.unlink(missing_ok=True)


def test_levels_end_at_pages(whole: Whole) -> None:
    assert set(whole.prefixes) <= set(whole.page_ends)
    assert all(fine >= coarse for fine, coarse in pairwise(whole.prefixes))
