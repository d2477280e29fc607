"""Pages in another order: the same pixels, and a valid file."""

from pathlib import Path

import numpy as np
import pytest
from random_contents import random_contents

import gscodec
from gscodec.container.page_order import page_runs, with_page_order
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.container.writer import pack
from gscodec.errors import InvalidArgument
from gscodec.format.layout import PAGT

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
NAMES = ("ladder_coded", "ladder_packed", "ladder_f16")


def reversed_runs(data: bytes, most: int) -> list[int]:
    """Pages with the runs of each generation backwards, but the last."""
    with IgsReader(data) as reader:
        runs = [[*generation[-2::-1], *generation[-1:]] for generation in page_runs(reader, most)]
    return [int(page) for generation in runs for run in generation for page in run]


def contents_files() -> dict[str, bytes]:
    made = {"f16": pack(random_contents(900, 3, (200, 300), (300, 900), page_size=16))}
    made["tree"] = pack(random_contents(3000, 3, (400, 300), (1400, 3000), page_size=1))
    return made | {name: (VECTORS / f"{name}.igs").read_bytes() for name in NAMES}


@pytest.mark.parametrize("name", ["f16", "tree", *NAMES])
def test_the_picture_stays_as_it_is(name: str) -> None:
    data = contents_files()[name]
    order = reversed_runs(data, 64)
    found = with_page_order(data, order)
    assert [issue for issue in validate(found) if issue.severity == "error"] == []
    with gscodec.open(data, device="cpu") as before, gscodec.open(found, device="cpu") as after:
        assert before.lods == after.lods
        for lod in range(before.lods):
            one, other = (image.render(lod, dtype=np.float32) for image in (before, after))
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)  # sums are of another order
        np.testing.assert_array_equal(after.render(0, (3, 5, 20, 9)), after.render(0)[5:14, 3:23])
    with IgsReader(data) as before, IgsReader(found) as after:
        np.testing.assert_array_equal(before.pages.boxes[order], after.pages.boxes)
        np.testing.assert_array_equal(before.pages.crcs[order], after.pages.crcs)
    back = np.argsort(order)
    assert with_page_order(found, back) == data


def test_runs_are_whole_blocks() -> None:
    data = contents_files()["tree"]
    with IgsReader(data) as reader:
        side = reader.block_size
        assert side > 1
        assert any(chunk.fourcc == PAGT for chunk in reader.chunks)
        generations = page_runs(reader, 8)
        assert [sum(map(len, runs)) for runs in generations] == [1400, 1600]
        for runs in generations:
            assert len(runs) <= 8
            assert all(len(run) % side == 0 for run in runs[:-1])
    with IgsReader(with_page_order(data, reversed_runs(data, 8))) as reader:
        assert reader.read_region(0, (3, 4, 5, 6)).n_channels == 3


@pytest.mark.parametrize("swap", [(0, 30), (17, 18), (3, 3)])
def test_pages_stay_in_their_generation(swap: tuple[int, int]) -> None:
    data = contents_files()["f16"]
    with IgsReader(data) as reader:
        order = np.arange(len(reader.pages))
    order[swap[0]] = swap[1]
    if swap != (3, 3):
        order[swap[1]] = swap[0]
    else:
        order[3] = 4
    with pytest.raises(InvalidArgument, match="change places"):
        with_page_order(data, order)
