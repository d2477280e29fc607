"""What parts of a file of several sets take: the finest level no byte of the others, a thumbnail those of one."""

from pathlib import Path

import numpy as np
import pytest
from random_contents import random_contents

from gscodec.container.reader import IgsReader
from gscodec.container.rewrite import coarser_set, with_coarser
from gscodec.container.transcode import transcoded
from gscodec.container.writer import pack
from gscodec.decoding.image import open_igs
from gscodec.decoding.scaled import shrink_array

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"


@pytest.mark.parametrize("name", ["ladder_coded", "ladder_packed", "ladder_f16"])
@pytest.mark.parametrize("region", [(0, 0, 1, 1), (17, 20, 9, 12), None])
def test_the_finest_level_costs_no_byte_of_coarser_sets(name: str, region: tuple[int, int, int, int] | None) -> None:
    """Beside a file without coarser sets, one with them takes their entries in the table of contents."""
    data = (VECTORS / f"{name}.igs").read_bytes()
    with open_igs(data, device="cpu") as image, open_igs(transcoded(data, coarsest=0), device="cpu") as plain:
        np.testing.assert_array_equal(image.render(0, region), plain.render(0, region))
    with IgsReader(data) as reader, IgsReader(transcoded(data, coarsest=0)) as alone:
        n_more = reader.header.toc_size - alone.header.toc_size
        assert n_more > 0
    with open_igs(data, device="cpu") as image, open_igs(transcoded(data, coarsest=0), device="cpu") as plain:
        image.render(0, region)
        plain.render(0, region)
        assert image.stats.pages_read == plain.stats.pages_read
        assert image.stats.bytes_read == plain.stats.bytes_read + n_more


def test_a_thumbnail_of_a_huge_picture_reads_one_coarser_set() -> None:
    side = 1 << 15
    sets = [
        coarser_set(pack(random_contents(n, 3, (side >> s, side >> s), (n,), s)), s) for n, s in ((90, 8), (3000, 4))
    ]
    data = with_coarser(pack(random_contents(40_000, 3, (side, side), (20_000, 40_000))), sets)
    with open_igs(data, device="cpu") as image:
        image.render(size=(64, 64))
        assert image.stats.gaussians_read == 3000
        assert image.stats.bytes_read < len(data) / 8


@pytest.mark.parametrize("side", [2, 4, 8, 3])
def test_means_of_blocks(side: int) -> None:
    values = np.random.default_rng(side).normal(size=(side * 5, side * 7, 3)).astype(np.float32)
    means = values.reshape(5, side, 7, side, 3).mean(axis=(1, 3), dtype=np.float64)
    np.testing.assert_allclose(shrink_array(values, (5, 7)), means, rtol=0, atol=1e-6)
