"""Small files that ask for much are refused before it is taken, or cost what they show; users raise the limits."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import synthetic_gaussians, synthetic_grid

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.decoding import store
from gscodec.decoding.image import open_igs
from gscodec.decoding.scene import Scene
from gscodec.decoding.store import SceneStore
from gscodec.decoding.work import TileRect, WorkBudget
from gscodec.errors import GsCodecError, InvalidArgument, LimitExceeded
from gscodec.format.files import FileEntry
from gscodec.format.layout import HEADER
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.limits import FREE_PIXELS, PIXELS_PER_BYTE, Limits, machine_memory
from gscodec.model.rendering import TooManyPairs

CASES = Path(__file__).parents[1] / "corrupt" / "cases"

GRAY = (ChannelGroup("gray", n_channels=1),)


def bomb(n: int, height: int, width: int) -> bytes:
    """Gaussians that each cover all of a picture."""
    means = np.random.default_rng(1).uniform(0, 1, (n, 2)) * [width, height]
    everywhere = GaussianSet(means, np.full((n, 2), 2.0**-14), np.zeros(n), np.full((n, 1), 0.5, np.float32))
    grid = Grid(height, width, np.zeros(1, np.float32), 32, 64.0)
    return pack(Contents(grid, GRAY, LodTable((n,), ((1.0,),)), everywhere, page_size=4096))


def many_sizes(*sizes: tuple[int, int], constant: bool = False) -> bytes:
    """A stack of one map whose files have sizes (height, width) of their own."""
    files = tuple(
        FileEntry(
            f"{number}.png",
            width,
            height,
            1,
            () if constant else ("gray",),
            constant=(0.5,) if constant else (),
            constant_group=GRAY[0] if constant else None,
        )
        for number, (height, width) in enumerate(sizes)
    )
    gaussians = synthetic_gaussians(24, 40, 20, 1, 3)
    return pack(Contents(synthetic_grid(24, 40, 1), GRAY, LodTable((20,), ((1.0,),)), gaussians, files=files))


_RUN = """
import sys
import gscodec
from pathlib import Path
with gscodec.open(sys.argv[1], device="cpu") as image:
    for work in (lambda: image.render(), lambda: image.render_files(), lambda: image.render(size=(20, 20)),
                 lambda: image.sample([(3, 4)]), lambda: next(image.mips()), lambda: next(image.strips())):
        try:
            work()
        except gscodec.GsCodecError as fault:
            print(type(fault).__name__)
# Not ru_maxrss, in which the process counts that this one was forked from.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


def cost(path: Path) -> tuple[list[str], int]:
    """What is refused of a file, and the most memory that it took, MiB."""
    done = subprocess.run([sys.executable, "-c", _RUN, str(path)], capture_output=True, encoding="utf-8", check=True)
    *refused, memory = done.stdout.split()
    return refused, int(memory)


@pytest.mark.parametrize(("n", "height", "width"), [(8000, 2048, 2048), (60_000, 1 << 20, 16), (40_000, 16, 1 << 20)])
def test_work_and_memory_are_bounded(tmp_path: Path, n: int, height: int, width: int) -> None:
    path = tmp_path / "bomb.igs"
    path.write_bytes(bomb(n, height, width))
    refused, memory = cost(path)
    assert refused.count("LimitExceeded") == len(refused) >= 4  # single points and thumbnails may be had
    assert memory < 500


def test_a_small_file_of_a_wide_picture_is_quick() -> None:
    refused, memory = cost(CASES / "small_file_of_wide_picture.igs")
    assert refused == ["LimitExceeded"] * 3  # the whole, its mips and its strips; not its file, a thumbnail or a point
    assert memory < 500


def test_messages_name_limit_need_and_option() -> None:
    with open_igs(bomb(10, 4097, 4097)) as image, pytest.raises(LimitExceeded) as caught:
        image.render()
    text = str(caught.value)
    for part in ("4097x4097", str(FREE_PIXELS), str(4097 * 4097), "--max-pixels", "Limits.max_pixels"):
        assert part in text
    memory = r"above the limit of 1 MiB.*--max-memory \(Limits.max_memory\)"
    with (
        open_igs(bomb(100, 64, 64), limits=Limits(max_memory=10_000)) as image,
        pytest.raises(LimitExceeded, match=memory),
    ):
        image.render()


def test_limits_are_raised() -> None:
    data = bomb(3000, 300, 400)
    with open_igs(data) as image, pytest.raises(LimitExceeded, match=r"about 3000 Gaussians .* --max-candidates"):
        image.render()
    with open_igs(data, limits=Limits(max_candidates=3000)) as image:
        assert image.render().shape == (300, 400, 1)
    with open_igs(data, limits=Limits(max_pixels=100)) as image:
        with pytest.raises(LimitExceeded):
            image.render()
        with pytest.raises(InvalidArgument):
            image.render(size=(301, 400))
        with pytest.raises(InvalidArgument):
            image.render(region=(0, 0, 11, 10))
        assert image.render(region=(0, 0, 10, 10)).shape == (10, 10, 1)


def test_channels_count() -> None:
    groups = tuple(ChannelGroup(f"c{number}", n_channels=1) for number in range(64))
    gaussians = synthetic_gaussians(40, 40, 9, 64, 1)
    data = pack(Contents(synthetic_grid(40, 40, 64), groups, LodTable((9,), ((1.0,),)), gaussians))
    with open_igs(data, limits=Limits(max_pixels=40 * 40 * 16)) as image:
        assert image.render().shape == (40, 40, 64)
    with (
        open_igs(data, limits=Limits(max_pixels=40 * 40 * 16 - 1)) as image,
        pytest.raises(LimitExceeded, match="of 64 channels, which count as 25600 pixels"),
    ):
        image.render()


def test_pixels_go_with_bytes() -> None:
    limits = Limits()
    assert limits.pixels(300) == FREE_PIXELS
    assert limits.pixels(10_000) == 10_000 * PIXELS_PER_BYTE
    assert limits.pixels(10**9, whole=False) == 10**9 * PIXELS_PER_BYTE
    assert limits.pixels(10**9) == 1 << 30
    assert Limits(max_pixels=7).pixels(10**9) == 7
    assert 0 < limits.memory <= max(machine_memory() // 2, 1)


@pytest.mark.parametrize("bad", [{"max_pixels": 0}, {"max_memory": -1}, {"max_candidates": 0}, {"timeout": 0.0}])
def test_limits_are_above_zero(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(bad))):
        Limits(**bad)


def test_gaussians_are_counted_before_they_are_decoded() -> None:
    with IgsReader(bomb(4000, 64, 64), limits=Limits(max_memory=100_000)) as reader:
        with pytest.raises(LimitExceeded, match="4000 Gaussians"):
            reader.read(0)
        with pytest.raises(LimitExceeded, match="4000 Gaussians"):
            reader.read_region(0, (0, 0, 1, 1))


@pytest.mark.parametrize(
    "sizes",
    [[(1 << 20, 1 << 20)], [(5000, 5000)], [(1000, 1000 + n) for n in range(40)]],
    ids=["huge", "large", "many"],
)
@pytest.mark.parametrize("constant", [False, True])
def test_sizes_of_files_are_bounded_together(sizes: list[tuple[int, int]], constant: bool) -> None:
    limits = Limits(max_memory=100 << 20)
    with open_igs(many_sizes((24, 40), *sizes, constant=constant), limits=limits) as image:
        with pytest.raises(LimitExceeded):
            image.render_files()
        with pytest.raises(LimitExceeded):
            list(image.mip_files())
        assert image.render_files(["0.png"])["0.png"].samples.shape == (24, 40, 1)


def test_long_lists_are_rendered_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    height, width, n = 600, 300, 3000
    grid = synthetic_grid(height, width, 3)
    groups = (ChannelGroup("color", n_channels=3),)
    data = pack(
        Contents(grid, groups, LodTable((n,), ((1.0,),)), synthetic_gaussians(height, width, n, 3, 5), page_size=64)
    )
    with open_igs(data, device="cpu") as image:
        requests: list[dict[str, Any]] = [
            {},
            {"size": (1000, 411)},
            {"size": (123, 300)},
            {"region": (30, 77, 200, 420)},
        ]
        expected = [image.render(0, **request) for request in requests]
        tiles = [piece for _, _, piece in image.tiles(64)]
        points = np.random.default_rng(0).uniform(0, 300, (50, 2))
        values = image.sample(points)
    monkeypatch.setattr(store, "PAIR_SHARE", Limits().memory // 4000)
    with open_igs(data, device="cpu") as image:
        for request, whole in zip(requests, expected, strict=True):
            np.testing.assert_array_equal(image.render(0, **request), whole)
        assert 0 < image._store.band_tiles(0, (0, 0, 19, 38)) < 38
        for found, (_, _, piece) in zip(tiles, image.tiles(64), strict=True):
            np.testing.assert_array_equal(found, piece)
        np.testing.assert_array_equal(np.concatenate([rows for _, rows in image.strips()]), expected[0])
        np.testing.assert_array_equal(image.sample(points), values)


def test_a_request_that_begins_again_spends_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[int] = []
    plain_spend, plain_scene = WorkBudget.spend, SceneStore.scene

    def spend(self: WorkBudget, longest: int, n_points: int, candidates: Callable[[], int]) -> None:
        plain_spend(self, longest, n_points, candidates)
        spent.append(self._points)

    def scene(self: SceneStore, lod: int, tiles: TileRect) -> Scene:
        if len(spent) == 2 and not fault:
            fault.append(TooManyPairs(200, self.reader.grid, 40_000))
            raise fault[0]
        return plain_scene(self, lod, tiles)

    fault: list[TooManyPairs] = []
    monkeypatch.setattr(WorkBudget, "spend", spend)
    monkeypatch.setattr(SceneStore, "scene", scene)
    monkeypatch.setattr(store, "PAIR_SHARE", Limits().memory // 40_000)
    with open_igs(bomb(200, 600, 300), device="cpu", limits=Limits(max_candidates=1)) as image:
        image.render(0)
    assert fault
    assert spent[-1] == 600 * 300


def test_pipes_are_not_drained_for_ever() -> None:
    class Endless:
        served = 0

        def read(self, n: int) -> bytes:
            start, self.served = self.served, self.served + n
            return bytes(head + bytes(n))[start : start + n] if start < len(head) else bytes(n)

    head = bytearray(bomb(10, 32, 32)[: HEADER.size])
    head[16:24] = (1 << 50).to_bytes(8, "little")
    pipe = Endless()
    with pytest.raises(GsCodecError, match="--max-memory"):
        IgsReader(pipe, "pipe")  # type: ignore[arg-type]
    assert pipe.served == HEADER.size
